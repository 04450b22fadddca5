//! The list of what points at an image where the registry keeps none: an index under a tag, which several write.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{ByteStream, ImageManifest, ManifestLocator, Payload, Referrers as _, Registry as _};
use chalk_deploy_core::model::Digest;
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::runtime::{Runtime, RuntimeExt as _};
use chalk_deploy_testkit::simulated::http::{Server, Severed, in_process};
use chalk_deploy_testkit::simulated::registry::{RegistryServer, RegistrySettings};
use chalk_deploy_testkit::{VirtualRuntime, World};
use http::{Request, Response};
use serde_json::{Value, json};

use super::{repository, tag};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry to which each request and each answer takes its time.
#[derive(Debug)]
struct Distant {
    server: Arc<RegistryServer>,
    runtime: Arc<VirtualRuntime>,
    most: Duration,
}

#[async_trait]
impl Server for Distant {
    fn name(&self) -> &'static str {
        "registry"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        self.runtime.sleep(self.runtime.jittered(self.most)).await;
        let answer = self.server.answer(request).await;
        self.runtime.sleep(self.runtime.jittered(self.most)).await;
        answer
    }
}

fn server(referrers: bool) -> Arc<RegistryServer> {
    let settings = RegistrySettings { referrers, ..RegistrySettings::plain() };
    Arc::new(RegistryServer::new(&World::memory(), VirtualRuntime::new(1), settings))
}

fn near(server: &Arc<RegistryServer>) -> OciRegistry {
    OciRegistry::new(in_process(server.clone()), VirtualRuntime::new(2), OciSettings::default())
}

fn subject() -> Digest {
    Digest::of("subject")
}

/// A manifest that points at the subject, and what it names is there.
async fn pointing(registry: &OciRegistry, note: &str) -> ImageManifest {
    let config = Payload::from_bytes("{}");
    registry.push_blob(&repository("a"), &config).await.expect("pushed");
    let config = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": config.sha256(), "size": 2});
    let document = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "text/note", "config": config, "layers": [config],
        "subject": {"mediaType": MANIFEST, "digest": subject(), "size": 7}, "annotations": {"note": note},
    });
    ImageManifest { media_type: MANIFEST.to_owned(), bytes: document.to_string().into() }
}

async fn listed(registry: &OciRegistry) -> Vec<Digest> {
    let listed = registry.list_referrers(&repository("a"), &subject()).await.expect("listed");
    listed.into_iter().map(|referrer| referrer.manifest.digest).collect()
}

#[tokio::test(start_paused = true)]
async fn writers_of_the_same_index_do_not_lose_each_others_entries() {
    for seed in 0..40 {
        let server = server(false);
        let writers = 2 + usize::try_from(seed % 3).expect("small");
        let mut expected = Vec::new();
        let mut writing = Vec::new();
        for writer in 0..writers {
            let manifest = pointing(&near(&server), &format!("of writer {writer}")).await;
            expected.push(manifest.digest());
            // Each is a process of its own, as far from the registry as a quarter of the time for settling.
            let runtime = VirtualRuntime::new(seed * 100 + writer as u64);
            let distant =
                Distant { server: server.clone(), runtime: runtime.clone(), most: Duration::from_millis(250) };
            let registry = OciRegistry::new(in_process(Arc::new(distant)), runtime, OciSettings::default());
            writing.push(async move { registry.attach(&repository("a"), &subject(), &[manifest]).await });
        }
        for written in futures::future::join_all(writing).await {
            written.expect("attached");
        }
        let mut found = listed(&near(&server)).await;
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "seed {seed}, {writers} writers");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_have_written_into_the_index_stays_as_it_is() {
    let server = server(false);
    let registry = near(&server);
    let stranger = pointing(&registry, "a stranger's").await;
    registry.put_manifest(&repository("a"), &stranger, None).await.expect("stored");
    let unknown = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "annotations": {"of": "a stranger"},
        "manifests": [{"mediaType": MANIFEST, "digest": stranger.digest(), "size": stranger.bytes.len(), "data": "e30="}],
    });
    let index = ImageManifest {
        media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
        bytes: unknown.to_string().into(),
    };
    let place = tag(&format!("sha256-{}", subject().hex()));
    registry.put_manifest(&repository("a"), &index, Some(place.clone())).await.expect("stored");
    let ours = pointing(&registry, "ours").await;
    for _ in 0..2 {
        registry.attach(&repository("a"), &subject(), std::slice::from_ref(&ours)).await.expect("attached");
    }
    let found = registry.manifest(&repository("a"), &ManifestLocator::Tag(place)).await.expect("read").expect("there");
    let found: Value = serde_json::from_slice(&found.bytes).expect("JSON");
    assert_eq!(found["annotations"], unknown["annotations"]);
    assert_eq!(found["manifests"][0], unknown["manifests"][0]);
    let added = json!({
        "mediaType": MANIFEST, "digest": ours.digest(), "size": ours.bytes.len(), "artifactType": "text/note",
        "annotations": {"note": "ours"},
    });
    assert_eq!((&found["manifests"][1], found["manifests"].as_array().map(Vec::len)), (&added, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_holds_something_else_is_left_alone() {
    let server = server(false);
    let registry = near(&server);
    let other = pointing(&registry, "no index").await;
    let place = tag(&format!("sha256-{}", subject().hex()));
    registry.put_manifest(&repository("a"), &other, Some(place.clone())).await.expect("stored");
    let ours = pointing(&registry, "ours").await;
    let error = registry.attach(&repository("a"), &subject(), &[ours]).await.expect_err("it is no index");
    assert_eq!(error.code(), ErrorCode::ObjectConflict);
    let found = registry.manifest(&repository("a"), &ManifestLocator::Tag(place)).await.expect("read");
    assert_eq!(found, Some(other));
}

#[tokio::test(start_paused = true)]
async fn a_list_on_several_pages_is_read_to_its_end_and_needs_no_tag() {
    let settings = RegistrySettings { largest_page: 2, ..RegistrySettings::plain() };
    let server = Arc::new(RegistryServer::new(&World::memory(), VirtualRuntime::new(1), settings));
    let registry = near(&server);
    let mut manifests = Vec::new();
    for note in ["one", "two", "three", "four", "five"] {
        manifests.push(pointing(&registry, note).await);
    }
    registry.attach(&repository("a"), &subject(), &manifests).await.expect("attached");
    assert_eq!(listed(&registry).await.len(), 5);
    assert!(server.tags("a").expect("readable").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_points_elsewhere_is_not_attached() {
    let registry = near(&server(true));
    let manifest = pointing(&registry, "note").await;
    let error = registry.attach(&repository("a"), &Digest::of("other"), &[manifest]).await.expect_err("elsewhere");
    assert_eq!(error.code(), ErrorCode::ValueInvalid);
}
