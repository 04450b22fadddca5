//! Reading what an image says of itself.

use serde_json::Value;

use super::inventory::Inventory;
use super::strict;
use crate::build::image::MANIFEST;
use crate::cloud::{ImageManifest, ManifestLocator, Registry, collect};
use crate::model::{Descriptor, Digest, ImageReference, Repository};
use crate::{Error, ErrorCode, Result};

/// The other media types of images and of indexes (Docker's own, before OCI).
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// No config is larger.
const CONFIG_MOST: u64 = 4 << 20;
/// The most images of an index.
const IMAGES_MOST: usize = 32;

impl Inventory {
    /// Reads the configs of an image in a registry. Each document is compared with the digest by which it is named.
    ///
    /// # Errors
    /// `IMAGE_MISMATCH` for an image that is not there or is not what its digest says; `EVIDENCE_INVALID` for what it says
    /// of itself and cannot be read; `PERMISSION_DENIED`; `CLOUD_UNAVAILABLE`.
    pub async fn read(registry: &dyn Registry, repository: &Repository, image: &Digest) -> Result<Self> {
        let manifest = manifest(registry, repository, image).await?;
        let size = manifest.bytes.len() as u64;
        let described = Descriptor { media_type: manifest.media_type.clone(), digest: *image, size };
        let document = document(&manifest, repository)?;
        let mut configs = Vec::new();
        if let Some(children) = document.get("manifests") {
            let children = children.as_array().map(Vec::as_slice).unwrap_or_default();
            let images: Vec<_> = children.iter().filter(|child| is_image(child)).collect();
            if images.is_empty() || images.len() > IMAGES_MOST {
                let message = format!("the index names no image, or more than {IMAGES_MOST}");
                return Err(unreadable(&message, repository, image));
            }
            for child in images {
                let child =
                    descriptor(child).ok_or_else(|| unreadable("the index describes no image", repository, image))?;
                let manifest = self::manifest(registry, repository, &child.digest).await?;
                configs.push(config(registry, repository, &manifest).await?);
            }
        } else {
            configs.push(config(registry, repository, &manifest).await?);
        }
        Self::of_configs(described, &configs)
    }
}

/// The image itself, by its digest.
pub(super) async fn manifest(
    registry: &dyn Registry,
    repository: &Repository,
    image: &Digest,
) -> Result<ImageManifest> {
    let reference = ImageReference { repository: repository.clone(), digest: *image };
    let found = registry.manifest(repository, &ManifestLocator::Digest(*image)).await?;
    let manifest = found
        .ok_or_else(|| Error::new(ErrorCode::ImageMismatch, "the registry does not have the image").on(&reference))?;
    if manifest.digest() == *image {
        return Ok(manifest);
    }
    Err(Error::new(ErrorCode::ImageMismatch, format!("the registry returns {}", manifest.digest())).on(reference))
}

/// A small blob, compared with its digest and its length.
pub(super) async fn blob(
    registry: &dyn Registry,
    repository: &Repository,
    described: &Descriptor,
) -> Result<bytes::Bytes> {
    let bytes = collect(registry.pull_blob(repository, &described.digest).await?, described.size).await?;
    if bytes.len() as u64 == described.size && Digest::of(&bytes) == described.digest {
        return Ok(bytes);
    }
    Err(Error::new(ErrorCode::ImageMismatch, "the registry returns other bytes than the digest and the length name")
        .on(format!("{repository}@{}", described.digest)))
}

async fn config(registry: &dyn Registry, repository: &Repository, manifest: &ImageManifest) -> Result<Value> {
    let digest = manifest.digest();
    let wrong = |what: &str| unreadable(what, repository, &digest);
    let document = document(manifest, repository)?;
    let described = document.get("config").and_then(descriptor).ok_or_else(|| wrong("the image names no config"))?;
    if described.size > CONFIG_MOST {
        return Err(wrong("the image's config is larger than any that is read"));
    }
    let bytes = blob(registry, repository, &described).await?;
    strict::parse(&bytes)
        .map_err(|error| wrong("the image's config is no JSON that has one reading only").caused_by(error))
}

fn document(manifest: &ImageManifest, repository: &Repository) -> Result<Value> {
    strict::parse(&manifest.bytes).map_err(|error| {
        unreadable("the image's manifest is no JSON that has one reading only", repository, &manifest.digest())
            .caused_by(error)
    })
}

/// Builders put what is no image into an index, too, on the platform `unknown`.
fn is_image(child: &Value) -> bool {
    let kind = child.get("mediaType").and_then(Value::as_str);
    let unknown =
        child.get("platform").and_then(|platform| platform.get("os")).and_then(Value::as_str) == Some("unknown");
    !unknown && kind.is_some_and(|kind| [MANIFEST, DOCKER_MANIFEST].contains(&kind))
}

fn descriptor(value: &Value) -> Option<Descriptor> {
    Some(Descriptor {
        media_type: value.get("mediaType")?.as_str()?.to_owned(),
        digest: value.get("digest")?.as_str()?.parse().ok()?,
        size: value.get("size")?.as_u64()?,
    })
}

fn unreadable(message: &str, repository: &Repository, image: &Digest) -> Error {
    Error::new(ErrorCode::EvidenceInvalid, message).on(format!("{repository}@{image}"))
}
