//! The steps of a build.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use futures::StreamExt as _;
use tempfile::NamedTempFile;

use super::base::Base;
use super::dependencies::{self, DependencyRecord, Sought};
use super::folder::{BuildFolder, Built, Made, failed};
use super::image::Added;
use super::progress::{Running, breathe};
use super::{SOURCE_DIRECTORY, Workshop, checks, image, layer, requirements};
use crate::cloud::{BuildRequest, ObjectStore};
use crate::model::{ArchiveReference, BuiltImage, Component, Descriptor, Digest, DigestHasher, ImageLocation};
use crate::{Error, ErrorCode, Result, text};

/// Fetches the source of a request, and compares it with its digest.
pub(super) async fn fetched(workshop: &Workshop, request: &BuildRequest, running: &Running) -> Result<NamedTempFile> {
    // A first turn for whoever submitted it.
    breathe().await;
    let archive = fetch(workshop, &request.source).await?;
    running
        .say("fetch", format!("the source archive is {}, {}", text::bytes(request.source.size), request.source.sha256));
    Ok(archive)
}

/// Builds all images of a request for one platform from its archive.
pub(super) async fn build(
    workshop: &Workshop,
    request: &BuildRequest,
    archive: &NamedTempFile,
    sought: Sought,
    running: &Arc<Running>,
) -> Result<Built> {
    let bases = bases(workshop, request, running).await?;
    let compiled = checks::run(workshop, archive.as_file(), request, &bases, running).await?;
    let dependencies = dependency_layers(workshop, request, &bases, sought, running).await?;
    let mut layer = layer::make(workshop, archive.as_file(), &request.source.sha256, compiled.as_ref()).await?;
    drop(compiled);
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
    for (component, base) in bases {
        let added = Added { dependencies: dependencies.get(&component), source: &layer };
        let digest = assemble(&workshop.folder, component, base, &added, request, &mut built)?;
        running.say("image", format!("the image of {component} is {digest}"));
    }
    built.made.sort_by_key(|made| made.image.component);
    built.bytecode = layer.interpreter.as_ref().map(ToString::to_string);
    built.dependencies = dependencies.values().map(|record| record.key).collect();
    let file = std::mem::replace(&mut layer.file, workshop.folder.work_file()?);
    built.files.push((layer.descriptor.digest, file));
    Ok(built)
}

async fn bases(workshop: &Workshop, request: &BuildRequest, running: &Running) -> Result<Vec<(Component, Base)>> {
    let mut bases = Vec::new();
    for image in &request.base_images {
        let base = Base::read(&*workshop.documents, &image.repository, image.digest, &request.platform).await?;
        let (component, layers) = (image.component, base.layers.len());
        running.say("base", format!("{component} is built on {}, layers: {layers}", base.digest));
        bases.push((component, base));
    }
    Ok(bases)
}

/// The dependency layer of each component that needs one. Components whose base images bring the same share it.
async fn dependency_layers(
    workshop: &Workshop,
    request: &BuildRequest,
    bases: &[(Component, Base)],
    sought: Sought,
    running: &Arc<Running>,
) -> Result<BTreeMap<Component, DependencyRecord>> {
    let needed = requirements::needed(request, bases, workshop.dependencies.is_some())?;
    for note in &needed.notes {
        running.say("dependencies", note.clone());
    }
    let mut records = BTreeMap::new();
    for group in &needed.groups {
        let record = dependencies::prepare(workshop, request, group, sought, running).await?;
        records.extend(group.components.iter().map(|component| (*component, record.clone())));
    }
    Ok(records)
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
    added: &Added<'_>,
    request: &BuildRequest,
    built: &mut Built,
) -> Result<Digest> {
    let config = image::config(&base, component, added, request);
    let described = descriptor(image::CONFIG, &config);
    let manifest = image::manifest(&base, &described, added);
    let manifest_described = descriptor(image::MANIFEST, &manifest);
    for (descriptor, bytes) in [(&described, &config), (&manifest_described, &manifest)] {
        // Two components on one base image may come to one config, and need it once.
        if built.files.iter().all(|(digest, _)| *digest != descriptor.digest) {
            built.files.push((descriptor.digest, folder.work_file_of(bytes)?));
        }
    }
    let digest = manifest_described.digest;
    let base_layers = base.layers.len();
    let own = added.descriptors();
    // The source's layer, which comes last, is not in its place yet. Of the others, the registry has what the folder has not.
    let elsewhere = own.iter().rev().skip(1).filter(|layer| !folder.holds(layer)).map(|layer| layer.digest).collect();
    let blobs = [described].into_iter().chain(base.layers).chain(own).collect();
    let repositories = request.base_images.iter().zip(&request.repositories);
    let repository = repositories.into_iter().find(|(base, _)| base.component == component);
    built.made.push(Made {
        image: BuiltImage {
            component,
            manifest: manifest_described,
            blobs,
            platforms: Vec::new(),
            location: ImageLocation::Builder,
        },
        base: base.repository,
        base_layers,
        platform: Some(base.platform),
        index: None,
        repository: repository.map(|(_, repository)| repository.clone()),
        elsewhere,
    });
    Ok(digest)
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: Digest::of(bytes), size: bytes.len() as u64 }
}
