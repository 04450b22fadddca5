//! A build for several platforms: one build for each, and for each component an index of what they made.

use std::sync::Arc;

use super::dependencies::Sought;
use super::folder::{Built, Made};
use super::progress::Running;
use super::{Workshop, index, work};
use crate::cloud::BuildRequest;
use crate::model::{BuiltImage, Descriptor, Digest, ImageLocation, PlatformImage};
use crate::{Error, ErrorCode, Result};

/// Builds all images of a request, one platform after the other.
pub(super) async fn build(
    workshop: &Workshop,
    request: &BuildRequest,
    sought: Sought,
    running: &Arc<Running>,
) -> Result<Built> {
    let alone = request.for_each_platform()?;
    let archive = work::fetched(workshop, request, running).await?;
    if let [only] = &alone[..] {
        return work::build(workshop, only, &archive, sought, running).await;
    }
    let mut whole = Built::default();
    for request in &alone {
        running.say("platform", format!("the images for {} are built", request.platform));
        let built = work::build(workshop, request, &archive, sought, running).await?;
        whole.made.extend(built.made);
        whole.bytecode = whole.bytecode.or(built.bytecode);
        whole.dependencies.extend(built.dependencies);
        for (digest, file) in built.files {
            // The layer with the source is the same on every platform.
            if whole.files.iter().all(|(held, _)| *held != digest) {
                whole.files.push((digest, file));
            }
        }
    }
    whole
        .made
        .sort_by(|one, other| (one.image.component, &one.platform).cmp(&(other.image.component, &other.platform)));
    for base in &request.base_images {
        let mut of_component: Vec<_> =
            whole.made.iter_mut().filter(|made| made.image.component == base.component).collect();
        let images = of_component.iter().map(|made| platform_image(made)).collect::<Result<Vec<_>>>()?;
        let bytes = index::index(&images, Some(&base.digest));
        let described =
            Descriptor { media_type: index::INDEX.to_owned(), digest: Digest::of(&bytes), size: bytes.len() as u64 };
        for made in &mut of_component {
            made.index = Some(described.clone());
        }
        running.say("index", format!("the images of {} are in the index {}", base.component, described.digest));
        if whole.files.iter().all(|(held, _)| *held != described.digest) {
            whole.files.push((described.digest, workshop.folder.work_file_of(&bytes)?));
        }
    }
    Ok(whole)
}

/// The images of a build as others see them: those of one index are one.
pub(super) fn images(made: &[Made]) -> Vec<BuiltImage> {
    let mut images: Vec<BuiltImage> = Vec::new();
    for made in made {
        let Some(index) = &made.index else {
            images.push(made.image.clone());
            continue;
        };
        let component = made.image.component;
        let at = images.iter().position(|image| image.component == component).unwrap_or_else(|| {
            images.push(BuiltImage {
                component,
                manifest: index.clone(),
                blobs: Vec::new(),
                platforms: Vec::new(),
                location: ImageLocation::Builder,
            });
            images.len() - 1
        });
        let whole = &mut images[at];
        for blob in &made.image.blobs {
            if !whole.blobs.contains(blob) {
                whole.blobs.push(blob.clone());
            }
        }
        whole.platforms.extend(platform_image(made).ok());
    }
    images
}

fn platform_image(made: &Made) -> Result<PlatformImage> {
    let platform = made.platform.clone().ok_or_else(|| {
        Error::new(ErrorCode::Internal, "it is not known what the image runs on").on(made.image.manifest.digest)
    })?;
    Ok(PlatformImage { platform, manifest: made.image.manifest.clone() })
}
