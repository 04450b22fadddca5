//! Where dependency layers are kept: the builder's folder, the bucket, and the registry that may have them already.

use std::io::Write as _;
use std::sync::Arc;

use futures::TryStreamExt as _;
use tempfile::NamedTempFile;

use super::record::{DependencyRecord, LayerRecord, RECORD_MOST};
use super::{STEP, Sought, tell};
use crate::build::Workshop;
use crate::build::contents::AtPath;
use crate::build::folder::failed;
use crate::build::progress::{Running, breathe};
use crate::build::requirements::Group;
use crate::cloud::{BuildRequest, Payload, PutMode};
use crate::model::{Digest, DigestHasher};
use crate::{Error, ErrorCode, Result};

/// The record of a key, if the folder has it, and the layer is in the folder or wherever it would have to go.
pub(super) async fn kept(
    workshop: &Workshop,
    request: &BuildRequest,
    group: &Group,
    key: &Digest,
    sought: Sought,
) -> Result<Option<DependencyRecord>> {
    let Some(record) = workshop.folder.dependencies(key)? else { return Ok(None) };
    let Some(layer) = &record.layer else { return Ok(Some(record)) };
    if workshop.folder.holds(&layer.descriptor) || is_pushed(workshop, request, group, &record, sought).await {
        return Ok(Some(record));
    }
    Ok(fetch_layer(workshop, &record).await?.then_some(record))
}

/// Whether all repositories that the layer is for have it. What is built again may be for no repository at all.
pub(super) async fn is_pushed(
    workshop: &Workshop,
    request: &BuildRequest,
    group: &Group,
    record: &DependencyRecord,
    sought: Sought,
) -> bool {
    let Some(layer) = record.layer.as_ref().filter(|_| sought == Sought::Anew) else { return false };
    for (base, repository) in request.base_images.iter().zip(&request.repositories) {
        if !group.components.contains(&base.component) {
            continue;
        }
        // A registry that does not let us look may still take it.
        if !workshop.registry.has_blob(repository, &layer.descriptor.digest).await.unwrap_or(false) {
            return false;
        }
    }
    true
}

/// The record of a key in the bucket.
pub(super) async fn of_bucket(workshop: &Workshop, key: &Digest) -> Result<Option<DependencyRecord>> {
    let place = DependencyRecord::key_in_bucket(key)?;
    let stored = match workshop.bucket.get(&place).await {
        Ok(stored) => stored,
        Err(error) if matches!(error.code(), ErrorCode::ObjectMissing | ErrorCode::PermissionDenied) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if stored.metadata.size > RECORD_MOST {
        return Ok(None);
    }
    let bytes = crate::cloud::collect(stored.body, RECORD_MOST).await?;
    Ok(DependencyRecord::read(&bytes, key))
}

/// Gets a layer from the bucket into the folder. Whether the folder has it then.
pub(super) async fn fetch_layer(workshop: &Workshop, record: &DependencyRecord) -> Result<bool> {
    let Some(layer) = &record.layer else { return Ok(true) };
    let descriptor = &layer.descriptor;
    if workshop.folder.holds(descriptor) {
        return Ok(true);
    }
    let place = DependencyRecord::layer_in_bucket(&descriptor.digest)?;
    let mut body = match workshop.bucket.get(&place).await {
        Ok(stored) => stored.body,
        Err(error) if matches!(error.code(), ErrorCode::ObjectMissing | ErrorCode::PermissionDenied) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let mut file = workshop.folder.work_file()?;
    let path = file.path().to_owned();
    let (mut hasher, mut size) = (DigestHasher::new(), 0);
    loop {
        let piece = body.try_next().await.map_err(|error| {
            crate::cloud::error_in_stream(error).unwrap_or_else(|error| {
                Error::new(ErrorCode::CloudUnavailable, "the dependency layer's body broke off")
                    .on(format!("object `{place}`"))
                    .caused_by(error)
            })
        })?;
        let Some(piece) = piece else { break };
        size += piece.len() as u64;
        if size > descriptor.size {
            break;
        }
        hasher.update(&piece);
        file.write_all(&piece).map_err(|error| failed("write", &path)(error))?;
        breathe().await;
    }
    if size != descriptor.size || hasher.finish() != descriptor.digest {
        return Err(Error::new(ErrorCode::DigestMismatch, "the bucket holds something else than the dependency layer")
            .on(format!("object `{place}`"))
            .with_hint("find out who writes to the bucket, and remove the object; the layer is made anew then"));
    }
    workshop.folder.keep_dependencies(record, Some(file))?;
    Ok(true)
}

/// Keeps a record and its layer: first in the bucket, so that what the folder has is never the only one, then in the
/// folder. Whoever was first has decided: the record that the bucket has then is given.
pub(super) async fn retain(
    workshop: &Workshop,
    record: DependencyRecord,
    file: Option<NamedTempFile>,
    running: &Arc<Running>,
) -> Result<DependencyRecord> {
    match put(workshop, &record, file.as_ref()).await {
        Ok(()) => {}
        Err(error) if error.code() == ErrorCode::PermissionDenied => {
            let note = "note: the bucket takes no dependency layer; without the index it cannot be made again";
            running.say(STEP, note.to_owned());
        }
        Err(error) if error.code() == ErrorCode::ObjectExists => {
            let first = of_bucket(workshop, &record.key).await?.ok_or(error)?;
            if first.layer == record.layer {
                workshop.folder.keep_dependencies(&first, file)?;
                return Ok(first);
            }
            if fetch_layer(workshop, &first).await? {
                workshop.folder.keep_dependencies(&first, None)?;
                tell(running, &first, "of another builder is taken");
                return Ok(first);
            }
        }
        Err(error) => return Err(error),
    }
    workshop.folder.keep_dependencies(&record, file)?;
    tell(running, &record, "is kept");
    Ok(record)
}

async fn put(workshop: &Workshop, record: &DependencyRecord, file: Option<&NamedTempFile>) -> Result<()> {
    if let (Some(LayerRecord { descriptor, .. }), Some(file)) = (&record.layer, file) {
        let place = DependencyRecord::layer_in_bucket(&descriptor.digest)?;
        let source = AtPath(file.path().to_owned());
        let payload = Payload::new(descriptor.digest, descriptor.size, Arc::new(source));
        workshop.bucket.put(&place, &payload, PutMode::WriteOnce).await?;
    }
    let place = DependencyRecord::key_in_bucket(&record.key)?;
    workshop.bucket.put(&place, &Payload::from_bytes(record.to_bytes()?), PutMode::WriteOnce).await.map(drop)
}
