//! An image registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::cloud::{ByteStream, ImageManifest, ManifestLocator, Payload, Referrer, Referrers, Registry};
use chalk_deploy_core::model::{Descriptor, Digest, ImageTag, Repository};
use chalk_deploy_core::text::printable;
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::payload::{compare, receive, verified};
use crate::world::{Room, World};

/// The largest manifest that registries take (OCI distribution specification, *Pushing Manifests*).
const LARGEST_MANIFEST: usize = 4 * 1024 * 1024;

/// A registry that keeps blobs and manifests by digest, and per repository the links to them and the tags. Clones are
/// the same registry.
#[derive(Debug, Clone)]
pub struct FakeRegistry {
    room: Room,
    checkpoints: Arc<dyn Checkpoints>,
    immutable_tags: bool,
}

/// A manifest in a repository.
#[derive(Debug, Serialize, Deserialize)]
struct Link {
    media_type: String,
}

impl FakeRegistry {
    /// The registry of a world. Its tags may be moved.
    pub fn new(world: &World) -> Self {
        Self { room: world.room("registry"), checkpoints: Arc::new(NoCheckpoints), immutable_tags: false }
    }

    /// Tells of the moments between two writes.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: Arc<dyn Checkpoints>) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// Refuses to move a tag.
    #[must_use]
    pub const fn with_immutable_tags(mut self) -> Self {
        self.immutable_tags = true;
        self
    }

    /// The tags of a repository and what they point to.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the world cannot be read.
    pub fn tags(&self, repository: &Repository) -> Result<BTreeMap<String, Digest>> {
        let prefix = format!("tags/{repository}/");
        let mut tags = BTreeMap::new();
        for document in self.room.names(&prefix)? {
            let tag = document.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix("/current"));
            // The tags of the repositories below this one have further segments.
            if let Some(tag) = tag.filter(|tag| !tag.contains('/'))
                && let Some(digest) = self.room.read_json(&document)?
            {
                tags.insert(tag.to_owned(), digest);
            }
        }
        Ok(tags)
    }

    /// The digests of the manifests of a repository, tagged or not.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the world cannot be read.
    pub fn manifests(&self, repository: &Repository) -> Result<Vec<Digest>> {
        let prefix = format!("revisions/{repository}/");
        let documents = self.room.names(&prefix)?;
        Ok(documents.iter().filter_map(|document| Digest::from_hex(document.strip_prefix(&prefix)?).ok()).collect())
    }

    /// Whether a node could pull this manifest.
    pub(super) fn has_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        self.room.holds(&revision(repository, digest))
    }

    fn linked(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        Ok(self.room.holds(&link(repository, digest))? && self.room.holds(&blob(digest))?)
    }

    /// Refuses a manifest that contradicts itself or names what the repository does not hold.
    fn check(&self, repository: &Repository, manifest: &ImageManifest) -> Result<()> {
        let invalid = |message: &str| {
            Error::new(ErrorCode::ValueInvalid, message).on(format!("manifest {} for {repository}", manifest.digest()))
        };
        if manifest.bytes.len() > LARGEST_MANIFEST {
            return Err(invalid("the manifest is larger than the 4 MiB that registries take"));
        }
        let document: Value =
            serde_json::from_slice(&manifest.bytes).map_err(|error| invalid("it is no JSON").caused_by(error))?;
        if document.get("mediaType").is_some_and(|inner| inner.as_str() != Some(&manifest.media_type)) {
            return Err(invalid("its `mediaType` is another one than it is stored under"));
        }
        let (index, image) = (document.get("manifests"), document.get("layers"));
        if index.is_some() && (image.is_some() || document.get("config").is_some()) {
            return Err(invalid("it is an image and an index at once"));
        }
        let blobs = document.get("config").into_iter().chain(image.and_then(Value::as_array).into_iter().flatten());
        for descriptor in blobs {
            let digest = digest_of(descriptor).ok_or_else(|| invalid("a descriptor has no sha256 digest"))?;
            if !self.linked(repository, &digest)? {
                return Err(missing(repository, "blob", &digest));
            }
        }
        for descriptor in index.and_then(Value::as_array).into_iter().flatten() {
            let digest = digest_of(descriptor).ok_or_else(|| invalid("a descriptor has no sha256 digest"))?;
            if !self.has_manifest(repository, &digest)? {
                return Err(missing(repository, "manifest", &digest));
            }
        }
        Ok(())
    }

    fn tagged(&self, repository: &Repository, tag: &ImageTag) -> Result<Option<Digest>> {
        self.room.read_json(&current(repository, tag))
    }
}

#[async_trait]
impl Registry for FakeRegistry {
    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        self.linked(repository, digest)
    }

    async fn push_blob(&self, repository: &Repository, payload: &Payload) -> Result<()> {
        let digest = payload.sha256();
        let received = if self.room.holds(&blob(&digest))? {
            compare(payload).await?;
            None
        } else {
            Some(receive(&self.room, &blob(&digest), payload).await?)
        };
        self.room.exclusively(|room| {
            if let Some(received) = received {
                room.accept(received)?;
            }
            self.checkpoints.reached("registry.push_blob/between");
            room.write_json(&link(repository, &digest), &payload.size())
        })
    }

    async fn pull_blob(&self, repository: &Repository, digest: &Digest) -> Result<ByteStream> {
        if !self.room.holds(&link(repository, digest))? {
            return Err(missing(repository, "blob", digest));
        }
        let stream = self.room.open(&blob(digest))?.ok_or_else(|| missing(repository, "blob", digest))?;
        Ok(verified(stream, *digest))
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &ImageManifest,
        tag: Option<ImageTag>,
    ) -> Result<Digest> {
        let digest = manifest.digest();
        self.room.exclusively(|room| {
            self.check(repository, manifest)?;
            if self.immutable_tags
                && let Some(tag) = &tag
                && let Some(elsewhere) = self.tagged(repository, tag)?.filter(|tagged| *tagged != digest)
            {
                return Err(Error::new(
                    ErrorCode::ObjectExists,
                    format!("the tag is immutable and points to {elsewhere}"),
                )
                .on(format!("tag `{tag}` of {repository}")));
            }
            room.write(&stored_manifest(&digest), &manifest.bytes)?;
            self.checkpoints.reached("registry.put_manifest/between");
            room.write_json(&revision(repository, &digest), &Link { media_type: manifest.media_type.clone() })?;
            if let Some(tag) = &tag {
                self.checkpoints.reached("registry.put_manifest/before-tag");
                room.write_json(&format!("tags/{repository}/{tag}/index/{}", digest.hex()), &digest)?;
                room.write_json(&current(repository, tag), &digest)?;
            }
            Ok(digest)
        })
    }

    async fn manifest(&self, repository: &Repository, locator: &ManifestLocator) -> Result<Option<ImageManifest>> {
        let digest = match locator {
            ManifestLocator::Digest(digest) => *digest,
            ManifestLocator::Tag(tag) => match self.tagged(repository, tag)? {
                Some(digest) => digest,
                None => return Ok(None),
            },
        };
        let Some(link) = self.room.read_json::<Link>(&revision(repository, &digest))? else { return Ok(None) };
        let Some(bytes) = self.room.read(&stored_manifest(&digest))? else { return Ok(None) };
        let manifest = ImageManifest { media_type: link.media_type, bytes: bytes.into() };
        if manifest.digest() != digest {
            return Err(Error::new(
                ErrorCode::ImageMismatch,
                format!("the registry holds {} where it should hold another manifest", manifest.digest()),
            )
            .on(format!("{repository}@{digest}")));
        }
        Ok(Some(manifest))
    }

    async fn remove_tag(&self, repository: &Repository, tag: &ImageTag) -> Result<()> {
        self.room.exclusively(|room| {
            room.remove(&current(repository, tag))?;
            self.checkpoints.reached("registry.remove_tag/between");
            let index = format!("tags/{repository}/{tag}/index/");
            for document in self.room.names(&index)? {
                if document.strip_prefix(&index).is_some_and(|rest| Digest::from_hex(rest).is_ok()) {
                    room.remove(&document)?;
                }
            }
            Ok(())
        })
    }

    fn referrers(&self) -> Option<Arc<dyn Referrers>> {
        Some(Arc::new(self.clone()))
    }
}

/// Looks through all manifests of the repository; they are the list.
#[async_trait]
impl Referrers for FakeRegistry {
    async fn list_referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
        let mut referrers = Vec::new();
        for digest in self.manifests(repository)? {
            let Some(manifest) = self.manifest(repository, &ManifestLocator::Digest(digest)).await? else { continue };
            let document: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
            if document.get("subject").and_then(digest_of) == Some(*subject) {
                let size = manifest.bytes.len() as u64;
                let artifact_type = document.get("artifactType").and_then(Value::as_str).map(str::to_owned);
                let manifest = Descriptor { media_type: manifest.media_type, digest, size };
                referrers.push(Referrer { manifest, artifact_type });
            }
        }
        Ok(referrers)
    }

    async fn attach(&self, repository: &Repository, subject: &Digest, manifests: &[ImageManifest]) -> Result<()> {
        for manifest in manifests {
            let document: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
            if document.get("subject").and_then(digest_of) != Some(*subject) {
                let message = "the manifest does not point at the image that it is to be attached to";
                return Err(Error::new(ErrorCode::ValueInvalid, message).on(manifest.digest()));
            }
            self.put_manifest(repository, manifest, None).await?;
        }
        Ok(())
    }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/{}", digest.hex())
}

fn link(repository: &Repository, digest: &Digest) -> String {
    format!("links/{repository}/{}", digest.hex())
}

fn stored_manifest(digest: &Digest) -> String {
    format!("manifests/{}", digest.hex())
}

fn revision(repository: &Repository, digest: &Digest) -> String {
    format!("revisions/{repository}/{}", digest.hex())
}

fn current(repository: &Repository, tag: &ImageTag) -> String {
    format!("tags/{repository}/{tag}/current")
}

fn digest_of(descriptor: &Value) -> Option<Digest> {
    descriptor.get("digest")?.as_str()?.parse().ok()
}

fn missing(repository: &Repository, what: &str, digest: &Digest) -> Error {
    Error::new(ErrorCode::ObjectMissing, format!("the repository does not hold this {what}"))
        .on(printable(&format!("{repository}@{digest}")))
        .with_hint("push it first")
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    fn repository(text: &str) -> Repository {
        Repository::new(text).expect("a valid repository")
    }

    fn tag(text: &str) -> ImageTag {
        ImageTag::new(text).expect("a valid tag")
    }

    fn empty_index(note: &str) -> ImageManifest {
        let bytes = serde_json::json!({"schemaVersion": 2, "manifests": [], "annotations": {"note": note}}).to_string();
        ImageManifest { media_type: "application/vnd.oci.image.index.v1+json".to_owned(), bytes: bytes.into() }
    }

    #[tokio::test]
    async fn bytes_damaged_in_the_registry_are_never_handed_out_as_good() {
        let world = World::memory();
        let registry = FakeRegistry::new(&world);
        let repository = repository("registry.test/engine");
        registry.push_blob(&repository, &Payload::from_bytes("layer")).await.expect("pushed");
        let digest = registry.put_manifest(&repository, &empty_index(""), None).await.expect("stored");
        world
            .room("registry")
            .exclusively(|room| {
                room.write(&blob(&Digest::of("layer")), b"lawyer")?;
                room.write(&stored_manifest(&digest), b"{}")
            })
            .expect("damaged");

        let stream = registry.pull_blob(&repository, &Digest::of("layer")).await.expect("it is there");
        stream.try_collect::<Vec<_>>().await.expect_err("the bytes are others");
        let error = registry.manifest(&repository, &ManifestLocator::Digest(digest)).await.expect_err("damaged");
        assert_eq!(error.code(), ErrorCode::ImageMismatch);
    }

    #[tokio::test]
    async fn an_immutable_tag_is_not_moved_and_nothing_is_stored() {
        let world = World::memory();
        let registry = FakeRegistry::new(&world).with_immutable_tags();
        let repository = repository("registry.test/engine");
        let first = registry.put_manifest(&repository, &empty_index("1"), Some(tag("t"))).await.expect("stored");
        registry.put_manifest(&repository, &empty_index("1"), Some(tag("t"))).await.expect("the same one");
        let before = world.snapshot().expect("readable");
        let error = registry.put_manifest(&repository, &empty_index("2"), Some(tag("t"))).await.expect_err("immutable");
        assert_eq!(error.code(), ErrorCode::ObjectExists);
        assert_eq!(world.snapshot().expect("readable"), before);
        assert_eq!(registry.tags(&repository).expect("readable"), [("t".to_owned(), first)].into());
    }

    #[tokio::test]
    async fn a_manifest_that_is_an_image_and_an_index_at_once_is_refused() {
        let registry = FakeRegistry::new(&World::memory());
        let repository = repository("registry.test/engine");
        for bytes in [r#"{"manifests":[],"layers":[]}"#, r#"{"mediaType":"text/plain"}"#, "[", r#"{"layers":[{}]}"#] {
            let manifest = ImageManifest { media_type: "application/json".to_owned(), bytes: bytes.into() };
            let error = registry.put_manifest(&repository, &manifest, None).await.expect_err("ambiguous");
            assert_eq!(error.code(), ErrorCode::ValueInvalid, "{bytes}");
        }
    }

    #[tokio::test]
    async fn the_tags_of_a_repository_are_not_those_of_the_ones_below_it() {
        let world = World::memory();
        let registry = FakeRegistry::new(&world);
        let (above, below) = (repository("registry.test/a"), repository("registry.test/a/t"));
        registry.put_manifest(&above, &empty_index(""), Some(tag("t"))).await.expect("stored");
        registry.put_manifest(&below, &empty_index(""), Some(tag("index"))).await.expect("stored");
        assert_eq!(registry.tags(&above).expect("readable").len(), 1);
        registry.remove_tag(&above, &tag("t")).await.expect("removed");
        assert_eq!(registry.tags(&above).expect("readable").len(), 0);
        assert_eq!(registry.tags(&below).expect("readable").len(), 1);
        assert_eq!(registry.manifests(&above).expect("readable").len(), 1);
    }
}
