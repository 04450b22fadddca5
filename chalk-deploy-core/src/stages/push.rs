//! Stage 4: images go to the environment's own registry, by digest. What a builder pushed itself is only read back:
//! image bytes never pass through the metadata side then.
//!
//! *Takes* the [`BuiltRelease`](crate::model::BuiltRelease). *Hands on* the [`PushedImages`]. *Idempotent* by image
//! digest. *Undone* by removing our tag; content without a tag is the registry's lifecycle rules' to collect.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::context::StepContext;
use super::upload::reported;
use crate::cloud::{ImageContents, ImageManifest, ManifestLocator};
use crate::machine::StepOutput;
use crate::model::{
    BuiltImage, Component, Descriptor, ImageLocation, ImageReference, ImageTag, PushedImages, Repository,
};
use crate::{Error, ErrorCode, Result};

/// Blobs of one image that are under way at once.
const AT_ONCE: usize = 4;

/// Pushes what is not there, and reads every manifest back by digest.
pub(super) async fn push_images(context: &StepContext) -> Result<StepOutput> {
    let mut images: BTreeMap<Component, ImageReference> = BTreeMap::new();
    for image in &context.release()?.images {
        let repository = context.plane.repository(image.component)?;
        match &image.location {
            // The manifest's digest says all of it: a registry that holds it holds what it names.
            ImageLocation::Builder if is_there(context, &repository, image).await? => {
                context.reporter.line(&format!("the registry holds the image of {} already", image.component));
            }
            ImageLocation::Builder => {
                push_image(context, &repository, image).await?;
                read_back(context, &repository, image).await?;
            }
            ImageLocation::Registry(pushed) if *pushed == repository => {
                read_back(context, &repository, image).await?;
            }
            ImageLocation::Registry(elsewhere) => {
                return Err(Error::new(ErrorCode::ImageMismatch, format!("the builder pushed to {elsewhere}"))
                    .on(format!("image of {}, which belongs into {repository}", image.component)));
            }
        }
        images.insert(image.component, ImageReference { repository, digest: image.manifest.digest });
    }
    Ok(StepOutput::Images(images))
}

/// Lets the deployment's id point to each image.
pub(super) async fn tag_images(context: &StepContext) -> Result<StepOutput> {
    let tag = ImageTag::new(context.plan().id.as_str())?;
    let images = context.images()?;
    for image in images.values() {
        let manifest = stored_manifest(context, image).await?;
        context.plane.cloud.registry.put_manifest(&image.repository, &manifest, Some(tag.clone())).await?;
    }
    Ok(StepOutput::Pushed(PushedImages { images: images.clone(), tag }))
}

/// Removes the deployment's tag from each repository.
pub(super) async fn remove_tags(context: &StepContext) -> Result<StepOutput> {
    let tag = ImageTag::new(context.plan().id.as_str())?;
    for image in context.images()?.values() {
        context.plane.cloud.registry.remove_tag(&image.repository, &tag).await?;
    }
    Ok(StepOutput::Nothing)
}

async fn push_image(context: &StepContext, repository: &Repository, image: &BuiltImage) -> Result<()> {
    let registry = &context.plane.cloud.registry;
    let contents = context.plane.cloud.builder.contents().ok_or_else(|| {
        Error::new(ErrorCode::CloudAnswerInvalid, "the builder says that it holds the image, and hands nothing out")
            .on(format!("image of {}", image.component))
    })?;
    let mut pushes: Vec<BoxFuture<'_, Result<()>>> = Vec::with_capacity(image.blobs.len());
    for blob in &image.blobs {
        pushes.push(push_blob(context, &*contents, repository, blob).boxed());
    }
    futures::stream::iter(pushes).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let bytes = contents.manifest(&image.manifest).await?;
    let manifest = ImageManifest { media_type: image.manifest.media_type.clone(), bytes };
    let digest = registry.put_manifest(repository, &manifest, None).await?;
    if digest == image.manifest.digest {
        return Ok(());
    }
    Err(Error::new(ErrorCode::ImageMismatch, format!("the registry stored {digest}, not {}", image.manifest.digest))
        .on(repository))
}

async fn push_blob(
    context: &StepContext,
    contents: &dyn ImageContents,
    repository: &Repository,
    blob: &Descriptor,
) -> Result<()> {
    let registry = &context.plane.cloud.registry;
    match contents.blob(blob).await {
        Ok(payload) => registry.push_blob(repository, &reported(&payload, &context.reporter)).await,
        // What the builder no longer holds may have arrived before it was lost.
        Err(lost) => match registry.has_blob(repository, &blob.digest).await {
            Ok(true) => Ok(()),
            _ => Err(lost),
        },
    }
}

async fn is_there(context: &StepContext, repository: &Repository, image: &BuiltImage) -> Result<bool> {
    let reference = ImageReference { repository: repository.clone(), digest: image.manifest.digest };
    Ok(find_manifest(context, &reference).await?.is_some())
}

async fn read_back(context: &StepContext, repository: &Repository, image: &BuiltImage) -> Result<()> {
    let reference = ImageReference { repository: repository.clone(), digest: image.manifest.digest };
    stored_manifest(context, &reference).await.map(drop)
}

async fn stored_manifest(context: &StepContext, image: &ImageReference) -> Result<ImageManifest> {
    find_manifest(context, image).await?.ok_or_else(|| {
        Error::new(ErrorCode::ImageMismatch, "the registry acknowledged the image and does not have it").on(image)
    })
}

async fn find_manifest(context: &StepContext, image: &ImageReference) -> Result<Option<ImageManifest>> {
    let locator = ManifestLocator::Digest(image.digest);
    let found = context.plane.cloud.registry.manifest(&image.repository, &locator).await?;
    if let Some(manifest) = found.as_ref().filter(|manifest| manifest.digest() != image.digest) {
        return Err(
            Error::new(ErrorCode::ImageMismatch, format!("the registry returns {}", manifest.digest())).on(image)
        );
    }
    Ok(found)
}
