//! What every [`Registry`] does.

use std::sync::Arc;

use chalk_deploy_core::cloud::{ImageManifest, ManifestLocator, Payload, Registry};
use chalk_deploy_core::model::{Digest, ImageTag, Repository};
use chalk_deploy_core::{ErrorCode, Result};
use serde_json::json;

use super::{Fresh, Verdict, ensure, read, refused, suite};

suite! { "registry", RegistryHarness;
    a_pushed_blob_is_there_and_whole,
    pushing_a_blob_again_changes_nothing,
    bytes_that_are_not_the_declared_ones_are_never_a_blob,
    a_blob_of_one_repository_is_not_in_another,
    what_was_never_pushed_is_not_there,
    a_manifest_is_read_by_digest_and_by_tag_byte_for_byte,
    a_manifest_without_a_tag_gets_none,
    putting_a_manifest_again_changes_nothing,
    a_manifest_that_names_a_missing_blob_is_refused_and_tags_nothing,
    a_tag_is_moved_whole_or_refused,
    removing_a_tag_leaves_the_manifest_and_may_be_repeated,
}

/// The registry under test.
#[derive(Debug, Clone)]
pub struct RegistryHarness {
    /// The registry.
    pub registry: Arc<dyn Registry>,
    /// Under which repositories may be made: `host/path`.
    pub base: Repository,
}

impl RegistryHarness {
    fn repository(&self, fresh: &Fresh, name: &str) -> Result<Repository> {
        Repository::new(format!("{}/{}-{name}", self.base, fresh.prefix()))
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A pushed blob is there and whole.
pub async fn a_pushed_blob_is_there_and_whole(harness: &RegistryHarness, fresh: &Fresh) -> Verdict {
    let repository = harness.repository(fresh, "a")?;
    let bytes: Vec<u8> = fresh.prefix().bytes().cycle().take(1_000_000).collect();
    let payload = Payload::from_bytes(bytes.clone());
    ensure!(!harness.registry.has_blob(&repository, &payload.sha256()).await?, "it is there before it is pushed");
    harness.registry.push_blob(&repository, &payload).await?;
    ensure!(harness.registry.has_blob(&repository, &payload.sha256()).await?, "it is not there after it was pushed");
    let pulled = read(harness.registry.pull_blob(&repository, &payload.sha256()).await?).await?;
    ensure!(pulled == bytes, "the bytes pulled are not the bytes pushed");
    Ok(())
}

/// Pushing a blob again changes nothing.
pub async fn pushing_a_blob_again_changes_nothing(harness: &RegistryHarness, fresh: &Fresh) -> Verdict {
    let repository = harness.repository(fresh, "a")?;
    let payload = Payload::from_bytes(fresh.prefix().to_owned());
    for _ in 0..3 {
        harness.registry.push_blob(&repository, &payload).await?;
    }
    let pulled = read(harness.registry.pull_blob(&repository, &payload.sha256()).await?).await?;
    ensure!(pulled == fresh.prefix().as_bytes(), "the blob has changed");
    Ok(())
}

/// Bytes that are not the declared ones are never a blob.
pub async fn bytes_that_are_not_the_declared_ones_are_never_a_blob(
    harness: &RegistryHarness,
    fresh: &Fresh,
) -> Verdict {
    struct Bytes(&'static [u8]);
    #[async_trait::async_trait]
    impl chalk_deploy_core::cloud::PayloadSource for Bytes {
        async fn open(&self) -> Result<chalk_deploy_core::cloud::ByteStream> {
            Payload::from_bytes(self.0).open().await
        }
    }
    let repository = harness.repository(fresh, "a")?;
    for (declared, size) in [("other", 5), ("bytes", 4), ("bytes", 6)] {
        let declared = Digest::of(format!("{}{declared}", if declared == "other" { fresh.prefix() } else { "" }));
        let lie = Payload::new(declared, size, Arc::new(Bytes(b"bytes")));
        let pushed = harness.registry.push_blob(&repository, &lie).await;
        refused(pushed, ErrorCode::DigestMismatch, "pushing bytes that are not the declared ones")?;
        ensure!(!harness.registry.has_blob(&repository, &declared).await?, "the blob is there all the same");
    }
    Ok(())
}

/// A blob of one repository is not in another.
pub async fn a_blob_of_one_repository_is_not_in_another(harness: &RegistryHarness, fresh: &Fresh) -> Verdict {
    let (one, other) = (harness.repository(fresh, "a")?, harness.repository(fresh, "b")?);
    let payload = Payload::from_bytes(fresh.prefix().to_owned());
    harness.registry.push_blob(&one, &payload).await?;
    ensure!(!harness.registry.has_blob(&other, &payload.sha256()).await?, "it is in another repository");
    harness.registry.push_blob(&other, &payload).await?;
    ensure!(harness.registry.has_blob(&other, &payload.sha256()).await?, "it was pushed and is not there");
    Ok(())
}

/// What was never pushed is not there, and that is no failure of the registry.
pub async fn what_was_never_pushed_is_not_there(harness: &RegistryHarness, fresh: &Fresh) -> Verdict {
    let (repository, digest) = (harness.repository(fresh, "a")?, Digest::of(fresh.prefix()));
    let registry = &harness.registry;
    ensure!(!registry.has_blob(&repository, &digest).await?, "there is a blob in a repository that there is not");
    refused(registry.pull_blob(&repository, &digest).await, ErrorCode::ObjectMissing, "pulling it")?;
    for locator in [ManifestLocator::Digest(digest), ManifestLocator::Tag(ImageTag::new("none")?)] {
        ensure!(registry.manifest(&repository, &locator).await?.is_none(), "there is a manifest at {locator:?}");
    }
    Ok(())
}

/// A manifest is read by digest and by tag, byte for byte.
pub async fn a_manifest_is_read_by_digest_and_by_tag_byte_for_byte(
    harness: &RegistryHarness,
    fresh: &Fresh,
) -> Verdict {
    let repository = harness.repository(fresh, "a")?;
    let manifest = image(harness, &repository, fresh.prefix()).await?;
    let tag = ImageTag::new("first")?;
    let digest = harness.registry.put_manifest(&repository, &manifest, Some(tag.clone())).await?;
    ensure!(digest == manifest.digest(), "the registry says that it stored {digest}");
    for locator in [ManifestLocator::Digest(digest), ManifestLocator::Tag(tag)] {
        let read = harness.registry.manifest(&repository, &locator).await?;
        ensure!(read.as_ref() == Some(&manifest), "at {locator:?} there is {read:?}");
    }
    Ok(())
}

/// A manifest without a tag gets none.
pub async fn a_manifest_without_a_tag_gets_none(harness: &RegistryHarness, fresh: &Fresh) -> Verdict {
    let repository = harness.repository(fresh, "a")?;
    let manifest = image(harness, &repository, fresh.prefix()).await?;
    harness.registry.put_manifest(&repository, &manifest, None).await?;
    for tag in ["latest", "none"] {
        let locator = ManifestLocator::Tag(ImageTag::new(tag)?);
        ensure!(harness.registry.manifest(&repository, &locator).await?.is_none(), "the tag `{tag}` was set");
    }
    Ok(())
}

/// Putting a manifest again, with its tag, changes nothing.
pub async fn putting_a_manifest_again_changes_nothing(harness: &RegistryHarness, fresh: &Fresh) -> Verdict {
    let repository = harness.repository(fresh, "a")?;
    let manifest = image(harness, &repository, fresh.prefix()).await?;
    let tag = ImageTag::new("first")?;
    for tag in [None, Some(tag.clone()), Some(tag.clone()), None] {
        let digest = harness.registry.put_manifest(&repository, &manifest, tag).await?;
        ensure!(digest == manifest.digest(), "the registry says that it stored {digest}");
    }
    let read = harness.registry.manifest(&repository, &ManifestLocator::Tag(tag)).await?;
    ensure!(read.as_ref() == Some(&manifest), "the tag leads to {read:?}");
    Ok(())
}

/// A manifest that names a missing blob is refused, and tags nothing.
pub async fn a_manifest_that_names_a_missing_blob_is_refused_and_tags_nothing(
    harness: &RegistryHarness,
    fresh: &Fresh,
) -> Verdict {
    let repository = harness.repository(fresh, "a")?;
    let config = Payload::from_bytes(config(fresh.prefix()));
    harness.registry.push_blob(&repository, &config).await?;
    let manifest = manifest(&config, &Payload::from_bytes(format!("{} is missing", fresh.prefix())));
    let tag = ImageTag::new("first")?;
    let put = harness.registry.put_manifest(&repository, &manifest, Some(tag.clone())).await;
    refused(put, ErrorCode::ObjectMissing, "putting a manifest without its layer")?;
    for locator in [ManifestLocator::Tag(tag), ManifestLocator::Digest(manifest.digest())] {
        ensure!(harness.registry.manifest(&repository, &locator).await?.is_none(), "something is at {locator:?}");
    }
    Ok(())
}

/// A tag is moved to another manifest, or refused as immutable; it is never lost.
pub async fn a_tag_is_moved_whole_or_refused(harness: &RegistryHarness, fresh: &Fresh) -> Verdict {
    let repository = harness.repository(fresh, "a")?;
    let tag = ImageTag::new("moving")?;
    let old = image(harness, &repository, &format!("{} old", fresh.prefix())).await?;
    let new = image(harness, &repository, &format!("{} new", fresh.prefix())).await?;
    harness.registry.put_manifest(&repository, &old, Some(tag.clone())).await?;
    let expected = match harness.registry.put_manifest(&repository, &new, Some(tag.clone())).await {
        Ok(_) => new,
        refusal => {
            refused(refusal, ErrorCode::ObjectExists, "moving an immutable tag")?;
            old.clone()
        }
    };
    let read = harness.registry.manifest(&repository, &ManifestLocator::Tag(tag)).await?;
    ensure!(read.as_ref() == Some(&expected), "the tag leads to {read:?}");
    let left = harness.registry.manifest(&repository, &ManifestLocator::Digest(old.digest())).await?;
    ensure!(left == Some(old), "the manifest that the tag pointed to is gone");
    Ok(())
}

/// Removing a tag leaves the manifest, and may be repeated.
pub async fn removing_a_tag_leaves_the_manifest_and_may_be_repeated(
    harness: &RegistryHarness,
    fresh: &Fresh,
) -> Verdict {
    let repository = harness.repository(fresh, "a")?;
    let manifest = image(harness, &repository, fresh.prefix()).await?;
    let (gone, kept) = (ImageTag::new("gone")?, ImageTag::new("kept")?);
    for tag in [&gone, &kept] {
        harness.registry.put_manifest(&repository, &manifest, Some(tag.clone())).await?;
    }
    for _ in 0..2 {
        harness.registry.remove_tag(&repository, &gone).await?;
        let removed = harness.registry.manifest(&repository, &ManifestLocator::Tag(gone.clone())).await?;
        ensure!(removed.is_none(), "the tag is still there");
    }
    for locator in [ManifestLocator::Tag(kept), ManifestLocator::Digest(manifest.digest())] {
        let left = harness.registry.manifest(&repository, &locator).await?;
        ensure!(left.as_ref() == Some(&manifest), "at {locator:?} there is {left:?}");
    }
    Ok(())
}

/// Pushes the blobs of a small image and answers with its manifest.
async fn image(harness: &RegistryHarness, repository: &Repository, text: &str) -> Result<ImageManifest> {
    let (config, layer) = (Payload::from_bytes(config(text)), Payload::from_bytes(text.to_owned()));
    for blob in [&config, &layer] {
        harness.registry.push_blob(repository, blob).await?;
    }
    Ok(manifest(&config, &layer))
}

fn config(text: &str) -> String {
    let layers = [Digest::of(text)];
    json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": layers}}).to_string()
}

fn manifest(config: &Payload, layer: &Payload) -> ImageManifest {
    // Spaces that no serialiser would write: whoever writes the document anew changes its digest.
    let bytes = format!(
        r#"{{ "schemaVersion": 2,  "mediaType": "{MANIFEST}", "config": {}, "layers": [ {} ] }}"#,
        json!({"mediaType": CONFIG, "digest": config.sha256(), "size": config.size()}),
        json!({"mediaType": LAYER, "digest": layer.sha256(), "size": layer.size()}),
    );
    ImageManifest { media_type: MANIFEST.to_owned(), bytes: bytes.into() }
}
