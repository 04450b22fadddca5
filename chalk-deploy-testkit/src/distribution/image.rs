//! An image, and what is done with it in the registry of every cloud.

use chalk_deploy_core::cloud::{ByteStream, ImageManifest, ManifestLocator, Payload, Registry as _};
use chalk_deploy_core::model::{Digest, ImageTag, Repository};
use chalk_deploy_core::oci::OciRegistry;
use futures::TryStreamExt as _;
use http::{Method, StatusCode};
use serde_json::json;

use super::Distribution;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const LAYERS: usize = 4;

/// An image of four layers and a config.
#[derive(Debug)]
pub struct Image {
    /// The manifest.
    pub manifest: ImageManifest,
    /// The layers and the config.
    pub blobs: Vec<Payload>,
}

impl Image {
    /// An image of which no other of a different name shares anything.
    pub fn new(name: &str) -> Self {
        let layer = |number: usize| -> Vec<u8> {
            format!("layer {number} of {name}\n").into_bytes().into_iter().cycle().take(300_000 + number).collect()
        };
        let mut blobs: Vec<_> = (0..LAYERS).map(|number| Payload::from_bytes(layer(number))).collect();
        let unpacked: Vec<Digest> = blobs.iter().map(Payload::sha256).collect();
        let config = json!({
            "os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": unpacked},
        });
        let described =
            |kind: &str, blob: &Payload| json!({"mediaType": kind, "digest": blob.sha256(), "size": blob.size()});
        let layers: Vec<_> = blobs.iter().map(|blob| described(LAYER, blob)).collect();
        let config = Payload::from_bytes(config.to_string());
        let manifest =
            json!({"schemaVersion": 2, "mediaType": IMAGE, "config": described(CONFIG, &config), "layers": layers});
        blobs.push(config);
        let manifest = ImageManifest { media_type: IMAGE.to_owned(), bytes: manifest.to_string().into() };
        Self { manifest, blobs }
    }

    /// Pushes it under a tag.
    ///
    /// # Errors
    /// Those of the push.
    pub async fn push(&self, registry: &OciRegistry, repository: &Repository) -> chalk_deploy_core::Result<()> {
        let tag = ImageTag::new("v1").expect("a tag");
        registry.push_image(repository, &self.manifest, &self.blobs, Some(&tag)).await.map(drop)
    }

    /// Holds what the registry has by digest to what was pushed, byte for byte.
    pub async fn assert_there(&self, registry: &OciRegistry, repository: &Repository) {
        let locator = ManifestLocator::Digest(self.manifest.digest());
        let found = registry.manifest(repository, &locator).await.expect("readable").expect("there");
        assert_eq!(found, self.manifest);
        for blob in &self.blobs {
            let pulled = registry.pull_blob(repository, &blob.sha256()).await.expect("there");
            assert!(read(pulled).await == blob.bytes().await.expect("bytes"), "other bytes than were pushed");
        }
    }

    /// Pushes it, pulls it back by digest, pushes it again by who remembers and by who does not, and mounts it in another
    /// repository. Only the first time bytes of a blob are sent.
    pub async fn assert_is_kept_and_moved_once(
        &self,
        distribution: &Distribution,
        registry: &OciRegistry,
        forgetful: &OciRegistry,
        [repository, other]: [&Repository; 2],
    ) {
        self.push(registry, repository).await.expect("pushed");
        let stored = distribution.passed().iter().filter(|it| it.ends_an_upload() && it.status.is_success()).count();
        assert_eq!(stored, self.blobs.len());
        self.assert_there(registry, repository).await;

        distribution.passed();
        self.push(registry, repository).await.expect("there already");
        let passed = distribution.passed();
        assert!(passed.len() == 1 && passed[0].method == Method::HEAD, "{passed:?}");

        for blob in &self.blobs {
            forgetful.push_blob(repository, blob).await.expect("there already");
        }
        let passed = distribution.passed();
        assert!(passed.iter().all(|it| it.method == Method::HEAD), "{passed:?}");
        assert_eq!(passed.iter().filter(|it| it.status == StatusCode::OK).count(), self.blobs.len());

        let origin = || Some(repository.clone());
        let blobs = self.blobs.iter().map(|blob| blob.clone().with_origin(origin())).collect();
        let mounted = Self { manifest: self.manifest.clone(), blobs };
        mounted.push(registry, other).await.expect("mounted");
        let passed = distribution.passed();
        assert!(!passed.iter().any(super::Passed::ends_an_upload), "{passed:?}");
        assert_eq!(
            passed.iter().filter(|it| it.path.contains("mount=") && it.status == StatusCode::CREATED).count(),
            5
        );
        mounted.assert_there(registry, other).await;
    }
}

async fn read(stream: ByteStream) -> Vec<u8> {
    stream
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
        .expect("whole")
}
