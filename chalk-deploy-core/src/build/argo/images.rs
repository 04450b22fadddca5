//! The images that a build says it has pushed, read back.

use std::sync::Arc;

use serde::Deserialize;

use super::platforms;
use super::settings::DockerfileSettings;
use crate::build::contents::RegistryBlob;
use crate::build::dockerfile::{CONFIG_MOST, check_runnable};
use crate::build::report::ReportedImage;
use crate::cloud::{BuildRequest, ImageManifest, ManifestLocator, Payload, Registry};
use crate::model::{BuiltImage, Descriptor, Digest, ImageLocation, Repository};
use crate::{Error, ErrorCode, Result};

#[derive(Deserialize)]
struct Document {
    config: Entry,
    layers: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: u64,
}

/// The images of a report, each read by its digest from the repository that the request names for it. What was not asked
/// for, is missing, or is not in its repository, is refused: a build's word alone leads to no image.
pub(super) async fn read_back(
    registry: &Arc<dyn Registry>,
    request: &BuildRequest,
    reported: &[ReportedImage],
    dockerfiles: Option<&DockerfileSettings>,
) -> Result<Vec<BuiltImage>> {
    if request.platforms()?.len() > 1 {
        return platforms::read_back(&**registry, request, reported).await;
    }
    let refused =
        |message: String| Error::new(ErrorCode::ImageMismatch, message).on(format!("build of {}", request.deployment));
    let mut images = Vec::new();
    for (base, repository) in request.base_images.iter().zip(&request.repositories) {
        let component = base.component;
        let mut of_component = reported.iter().filter(|image| image.component == component);
        let (Some(image), None) = (of_component.next(), of_component.next()) else {
            return Err(refused(format!("it does not report one image of {component}")));
        };
        let locator = ManifestLocator::Digest(image.digest);
        let manifest = registry.manifest(repository, &locator).await?.ok_or_else(|| {
            refused(format!("it reports {repository}@{}, and the registry does not have it", image.digest))
        })?;
        let image = described(&manifest, component, repository, image.digest)
            .ok_or_else(|| refused(format!("{repository}@{} is no image", image.digest)))?;
        if let Some(dockerfiles) = dockerfiles.filter(|_| request.settings.dockerfile.is_some()) {
            check_config(registry, repository, &image, request, dockerfiles).await?;
        }
        images.push(image);
    }
    if reported.len() != images.len() {
        return Err(refused("it reports images that nobody has asked for".to_owned()));
    }
    images.sort_by_key(|image| image.component);
    Ok(images)
}

fn described(
    manifest: &ImageManifest,
    component: crate::model::Component,
    repository: &Repository,
    digest: Digest,
) -> Option<BuiltImage> {
    if manifest.digest() != digest {
        return None;
    }
    let document: Document = serde_json::from_slice(&manifest.bytes).ok()?;
    let descriptor = |entry: Entry| Descriptor { media_type: entry.media_type, digest: entry.digest, size: entry.size };
    Some(BuiltImage {
        component,
        manifest: Descriptor { media_type: manifest.media_type.clone(), digest, size: manifest.bytes.len() as u64 },
        blobs: [document.config].into_iter().chain(document.layers).map(descriptor).collect(),
        platforms: Vec::new(),
        location: ImageLocation::Registry(repository.clone()),
    })
}

/// Judges once more, out here, whether an image may run into which strangers' commands were let.
async fn check_config(
    registry: &Arc<dyn Registry>,
    repository: &Repository,
    image: &BuiltImage,
    request: &BuildRequest,
    dockerfiles: &DockerfileSettings,
) -> Result<()> {
    let refused = |message: &str| {
        let subject = format!("{repository}@{}", image.manifest.digest);
        Error::new(ErrorCode::ImageMismatch, message).on(subject)
    };
    let Some((config, layers)) = image.blobs.split_first() else { return Err(refused("it has no config")) };
    if config.size > CONFIG_MOST {
        return Err(refused("its config is too long"));
    }
    let blob = RegistryBlob::new(registry.clone(), repository.clone(), config.digest);
    let bytes = Payload::new(config.digest, config.size, Arc::new(blob)).bytes().await?;
    let config = serde_json::from_slice(&bytes).map_err(|error| refused("its config is no JSON").caused_by(error))?;
    check_runnable(&config, layers.len(), &request.platform, dockerfiles.policy)
}
