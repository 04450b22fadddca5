//! The `Registry` adapter and the in-process builder: held to their contracts, against a small registry that a test
//! bends as it likes and against the simulated one, in the process and over loopback.

#![cfg(feature = "simulated")]

mod builds;
mod built_platforms;
mod contract;
mod creation;
mod dependencies;
mod downloads;
mod evidence;
mod foreign;
mod hostile;
mod hostile_answers;
mod images;
mod pipeline;
mod platforms;
mod referrers;
mod requests;
mod secrets;
mod small_registry;
mod streaming;
mod tags;
mod tokens;
mod uploads;
mod wheels;

use std::sync::Arc;

use bytes::Bytes;
use chalk_deploy_core::cloud::{ImageManifest, Payload};
use chalk_deploy_core::model::{Digest, ImageTag, Repository};
use chalk_deploy_core::oci::{Credential, OciRegistry, OciSettings, Secret, StaticCredentials};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::simulated::fault::{ProtocolFaults, faulty};
use chalk_deploy_testkit::simulated::http::in_process;
use small_registry::SmallRegistry;

const HOST: &str = "registry.example";
const SECRET: &str = "hunter2-hunter2";

fn repository(path: &str) -> Repository {
    Repository::new(format!("{HOST}/{path}")).expect("a valid repository")
}

fn tag(text: &str) -> ImageTag {
    ImageTag::new(text).expect("a valid tag")
}

/// The adapter on a small registry, in the process and in virtual time.
fn adapter(server: &SmallRegistry, settings: OciSettings) -> OciRegistry {
    OciRegistry::new(in_process(Arc::new(server.clone())), VirtualRuntime::new(1), settings)
}

/// The same, with faults in between.
fn faulty_adapter(server: &SmallRegistry, faults: &Arc<ProtocolFaults>, settings: OciSettings) -> OciRegistry {
    let runtime = VirtualRuntime::new(1);
    let server = faulty(Arc::new(server.clone()), faults.clone(), runtime.clone());
    OciRegistry::new(in_process(server), runtime, settings)
}

/// A password for the registry and for no one else.
fn credentials() -> Arc<StaticCredentials> {
    let credential = Credential::Basic { username: "user".to_owned(), secret: Secret::new(SECRET) };
    Arc::new(StaticCredentials::new().with(HOST, credential))
}

/// A manifest that names nothing but a config.
fn manifest_of(config: &Payload) -> ImageManifest {
    const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
    let config = serde_json::json!({
        "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.sha256(), "size": config.size(),
    });
    let document = serde_json::json!({"schemaVersion": 2, "mediaType": TYPE, "config": config, "layers": []});
    ImageManifest { media_type: TYPE.to_owned(), bytes: document.to_string().into() }
}

/// Bytes that compress badly and come in many pieces.
fn blob(length: usize) -> Payload {
    struct Pieces(Bytes);

    #[async_trait::async_trait]
    impl chalk_deploy_core::cloud::PayloadSource for Pieces {
        async fn open(&self) -> chalk_deploy_core::Result<chalk_deploy_core::cloud::ByteStream> {
            use futures::StreamExt as _;
            let pieces: Vec<_> = self.0.chunks(50_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            Ok(futures::stream::iter(pieces).boxed())
        }
    }

    let bytes: Bytes = (0..length).map(|at| u8::try_from((at * at / 7 + at) % 251).expect("small")).collect();
    Payload::new(Digest::of(&bytes), length as u64, Arc::new(Pieces(bytes)))
}
