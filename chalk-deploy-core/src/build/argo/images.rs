//! The images that a build says it has pushed, read back.

use std::sync::Arc;

use serde::Deserialize;

use super::platforms;
use super::settings::DockerfileSettings;
use crate::build::contents::RegistryBlob;
use crate::build::dockerfile::{CONFIG_MOST, check_runnable};
use crate::build::report::ReportedImage;
use crate::cloud::{BuildRequest, ImageManifest, ManifestLocator, Payload, Registry};
use crate::model::{BuiltImage, Component, Descriptor, Digest, ImageLocation, Repository};
use crate::{Error, ErrorCode, Result};

/// An image, or an index of images; what is both is neither.
#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) config: Option<Entry>,
    pub(super) layers: Option<Vec<Entry>>,
    pub(super) manifests: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) platform: Option<Written>,
}

/// A platform, as an index writes it.
#[derive(Deserialize)]
pub(super) struct Written {
    pub(super) os: String,
    pub(super) architecture: String,
    pub(super) variant: Option<String>,
}

/// The images of a report, each read by its digest from the repository that the request names for it. What was not asked
/// for, is missing, or is not in its repository, is refused: a build's word alone leads to no image.
pub(super) async fn read_back(
    registry: &Arc<dyn Registry>,
    request: &BuildRequest,
    reported: &[ReportedImage],
    dockerfiles: Option<&DockerfileSettings>,
) -> Result<Vec<BuiltImage>> {
    let refused =
        |message: String| Error::new(ErrorCode::ImageMismatch, message).on(format!("build of {}", request.deployment));
    let is_for_several = request.platforms()?.len() > 1;
    if is_for_several && request.settings.dockerfile.is_some() {
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
        let manifest = stored(&**registry, request, repository, image.digest).await?;
        let (image, what) = if is_for_several {
            let index = platforms::index_of(&**registry, request, component, repository, &manifest).await?;
            (index, "index of images for the platforms asked for")
        } else {
            (described(&manifest, component, repository), "image")
        };
        let image = image.ok_or_else(|| refused(format!("{repository}@{} is no {what}", manifest.digest())))?;
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

/// A manifest that a build has reported or an index has named, as the registry has it.
pub(super) async fn stored(
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

fn described(manifest: &ImageManifest, component: Component, repository: &Repository) -> Option<BuiltImage> {
    Some(BuiltImage {
        component,
        manifest: descriptor_of(manifest),
        blobs: blobs_of(manifest)?,
        platforms: Vec::new(),
        location: ImageLocation::Registry(repository.clone()),
    })
}

pub(super) fn descriptor_of(manifest: &ImageManifest) -> Descriptor {
    let size = manifest.bytes.len() as u64;
    Descriptor { media_type: manifest.media_type.clone(), digest: manifest.digest(), size }
}

/// Config and layers; `None` for what is no image.
pub(super) fn blobs_of(manifest: &ImageManifest) -> Option<Vec<Descriptor>> {
    let Document { config: Some(config), layers: Some(layers), manifests: None } =
        serde_json::from_slice(&manifest.bytes).ok()?
    else {
        return None;
    };
    let descriptor = |entry: Entry| Descriptor { media_type: entry.media_type, digest: entry.digest, size: entry.size };
    Some([config].into_iter().chain(layers).map(descriptor).collect())
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
