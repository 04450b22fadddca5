//! The images for several platforms that a build says it has pushed, read back: each an index of one image a platform.

use serde::Deserialize;

use crate::build::report::ReportedImage;
use crate::cloud::{BuildRequest, ImageManifest, ManifestLocator, Registry};
use crate::model::{BuiltImage, Component, Descriptor, Digest, ImageLocation, Platform, PlatformImage, Repository};
use crate::{Error, ErrorCode, Result};

/// An image, or an index of images; what is both is neither.
#[derive(Deserialize)]
struct Document {
    config: Option<Entry>,
    layers: Option<Vec<Entry>>,
    manifests: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: u64,
    platform: Option<Written>,
}

#[derive(Deserialize)]
struct Written {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// The indexes of a report, with the images that they name. What was not asked for, is missing, or is for other platforms
/// than were asked for, is refused.
pub(super) async fn read_back(
    registry: &dyn Registry,
    request: &BuildRequest,
    reported: &[ReportedImage],
) -> Result<Vec<BuiltImage>> {
    let refused =
        |message: String| Error::new(ErrorCode::ImageMismatch, message).on(format!("build of {}", request.deployment));
    if request.settings.dockerfile.is_some() {
        return Err(refused(
            "it ran a Dockerfile of the project's own, which makes an image for one platform".to_owned(),
        )
        .with_hint("name one platform for the environment"));
    }
    let mut images = Vec::new();
    for (base, repository) in request.base_images.iter().zip(&request.repositories) {
        let component = base.component;
        let mut of_component = reported.iter().filter(|image| image.component == component);
        let (Some(image), None) = (of_component.next(), of_component.next()) else {
            return Err(refused(format!("it does not report one image of {component}")));
        };
        let built = index_of(registry, request, component, repository, image.digest).await?;
        images.push(built.ok_or_else(|| {
            refused(format!("{repository}@{} is no index of images for the platforms asked for", image.digest))
        })?);
    }
    if reported.len() != images.len() {
        return Err(refused("it reports images that nobody has asked for".to_owned()));
    }
    images.sort_by_key(|image| image.component);
    Ok(images)
}

/// An index as its registry has it; `None` for what is none, or one for other platforms than were asked for.
async fn index_of(
    registry: &dyn Registry,
    request: &BuildRequest,
    component: Component,
    repository: &Repository,
    digest: Digest,
) -> Result<Option<BuiltImage>> {
    let manifest = manifest(registry, request, repository, digest).await?;
    let location = ImageLocation::Registry(repository.clone());
    let described = Descriptor {
        media_type: manifest.media_type.clone(),
        digest: manifest.digest(),
        size: manifest.bytes.len() as u64,
    };
    let asked = request.platforms()?;
    let document = serde_json::from_slice(&manifest.bytes);
    let Ok(Document { config: None, layers: None, manifests: Some(entries) }) = document else { return Ok(None) };
    if entries.len() != asked.len() {
        return Ok(None);
    }
    let (mut blobs, mut platforms) = (Vec::new(), Vec::new());
    for entry in entries {
        let of = entry.platform.as_ref();
        let of = of.and_then(|of| Platform::new(&of.os, &of.architecture, of.variant.as_deref()).ok());
        let Some(platform) = of.filter(|of| asked.iter().any(|asked| of.fits(asked).is_some())) else {
            return Ok(None);
        };
        let child = self::manifest(registry, request, repository, entry.digest).await?;
        let Some(found) = blobs_of(&child).filter(|_| child.bytes.len() as u64 == entry.size) else { return Ok(None) };
        for blob in found {
            if !blobs.contains(&blob) {
                blobs.push(blob);
            }
        }
        let manifest = Descriptor { media_type: entry.media_type, digest: entry.digest, size: entry.size };
        platforms.push(PlatformImage { platform, manifest });
    }
    let has = |asked: &Platform| platforms.iter().any(|image: &PlatformImage| image.platform.fits(asked).is_some());
    if !asked.iter().all(has) {
        return Ok(None);
    }
    Ok(Some(BuiltImage { component, manifest: described, blobs, platforms, location }))
}

async fn manifest(
    registry: &dyn Registry,
    request: &BuildRequest,
    repository: &Repository,
    digest: Digest,
) -> Result<ImageManifest> {
    let found = registry.manifest(repository, &ManifestLocator::Digest(digest)).await?;
    found.filter(|manifest| manifest.digest() == digest).ok_or_else(|| {
        let message = format!("it reports {repository}@{digest}, and the registry does not have it");
        Error::new(ErrorCode::ImageMismatch, message).on(format!("build of {}", request.deployment))
    })
}

fn blobs_of(manifest: &ImageManifest) -> Option<Vec<Descriptor>> {
    let Document { config: Some(config), layers: Some(layers), manifests: None } =
        serde_json::from_slice(&manifest.bytes).ok()?
    else {
        return None;
    };
    let descriptor = |entry: Entry| Descriptor { media_type: entry.media_type, digest: entry.digest, size: entry.size };
    Some([config].into_iter().chain(layers).map(descriptor).collect())
}
