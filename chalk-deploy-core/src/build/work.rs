//! The steps of a build.

use std::io::Write as _;
use std::sync::Arc;

use futures::StreamExt as _;
use tempfile::NamedTempFile;

use super::base::Base;
use super::folder::{BuildFolder, Built, Made, failed};
use super::layer::{self, Layer};
use super::progress::{Running, breathe};
use super::{SOURCE_DIRECTORY, Workshop, checks, image};
use crate::cloud::{BuildRequest, ObjectStore};
use crate::model::{ArchiveReference, BuiltImage, Component, Descriptor, Digest, DigestHasher, ImageLocation};
use crate::{Error, ErrorCode, Result, text};

/// Builds all images of a request.
pub(super) async fn build(workshop: &Workshop, request: &BuildRequest, running: &Arc<Running>) -> Result<Built> {
    // A first turn for whoever submitted it.
    breathe().await;
    let archive = fetch(workshop, &request.source).await?;
    running
        .say("fetch", format!("the source archive is {}, {}", text::bytes(request.source.size), request.source.sha256));
    let mut bases = Vec::new();
    for image in &request.base_images {
        bases.push(Base::read(&workshop.registry, &image.repository, image.digest, &request.platform).await?);
    }
    let compiled = checks::run(workshop, archive.as_file(), request, &bases, running).await?;
    let mut layer = layer::make(workshop, archive.as_file(), &request.source.sha256, compiled.as_ref()).await?;
    drop((archive, compiled));
    running.say(
        "layer",
        format!(
            "{SOURCE_DIRECTORY} has {} entries with {}, packed into {}",
            layer.entries,
            text::bytes(layer.unpacked),
            text::bytes(layer.descriptor.size)
        ),
    );
    let mut built = Built::default();
    for (image, base) in request.base_images.iter().zip(bases) {
        let (component, layers) = (image.component, base.layers.len());
        running.say("base", format!("{component} is built on {}, layers: {layers}", base.digest));
        let digest = assemble(&workshop.folder, component, base, &layer, request, &mut built)?;
        running.say("image", format!("the image of {component} is {digest}"));
    }
    built.made.sort_by_key(|made| made.image.component);
    let file = std::mem::replace(&mut layer.file, workshop.folder.work_file()?);
    built.files.push((layer.descriptor.digest, file));
    Ok(built)
}

/// Refuses a source that is not in the bucket.
pub(super) async fn check_source(bucket: &dyn ObjectStore, source: &ArchiveReference) -> Result<()> {
    let missing = || {
        Error::new(ErrorCode::ObjectMissing, "the source archive is not in the bucket")
            .on(format!("object `{}`", source.key))
            .with_hint("upload it before it is built")
    };
    let found = bucket.head(&source.key).await?.ok_or_else(missing)?;
    if found.sha256.is_some_and(|sha256| sha256 != source.sha256) || found.size != source.size {
        return Err(Error::new(ErrorCode::DigestMismatch, "the bucket holds another archive under this key")
            .on(format!("object `{}`", source.key)));
    }
    Ok(())
}

async fn fetch(workshop: &Workshop, source: &ArchiveReference) -> Result<NamedTempFile> {
    let mismatch =
        |message: String| Error::new(ErrorCode::DigestMismatch, message).on(format!("object `{}`", source.key));
    let mut body = workshop.bucket.get(&source.key).await?.body;
    let mut file = workshop.folder.work_file()?;
    let (mut hasher, mut size) = (DigestHasher::new(), 0);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| {
            crate::cloud::error_in_stream(error).unwrap_or_else(|error| {
                Error::new(ErrorCode::CloudUnavailable, "the source archive's body broke off")
                    .on(format!("object `{}`", source.key))
                    .caused_by(error)
            })
        })?;
        size += piece.len() as u64;
        if size > source.size {
            return Err(mismatch(format!("the source archive is longer than the {} bytes declared", source.size)));
        }
        hasher.update(&piece);
        file.write_all(&piece).map_err(|error| failed("write", file.path())(error))?;
        breathe().await;
    }
    let digest = hasher.finish();
    if size != source.size || digest != source.sha256 {
        return Err(mismatch(format!("the source archive is {digest} with {size} bytes, and another was declared")));
    }
    Ok(file)
}

fn assemble(
    folder: &BuildFolder,
    component: Component,
    base: Base,
    layer: &Layer,
    request: &BuildRequest,
    built: &mut Built,
) -> Result<Digest> {
    let config = image::config(&base, component, layer, request);
    let described = descriptor(image::CONFIG, &config);
    let manifest = image::manifest(&base, &described, layer);
    let manifest_described = descriptor(image::MANIFEST, &manifest);
    for (descriptor, bytes) in [(&described, &config), (&manifest_described, &manifest)] {
        // Two components on one base image may come to one config, and need it once.
        if built.files.iter().all(|(digest, _)| *digest != descriptor.digest) {
            built.files.push((descriptor.digest, folder.work_file_of(bytes)?));
        }
    }
    let digest = manifest_described.digest;
    let base_layers = base.layers.len();
    let blobs = [described].into_iter().chain(base.layers).chain([layer.descriptor.clone()]).collect();
    built.made.push(Made {
        image: BuiltImage { component, manifest: manifest_described, blobs, location: ImageLocation::Builder },
        base: base.repository,
        base_layers,
    });
    Ok(digest)
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: Digest::of(bytes), size: bytes.len() as u64 }
}
