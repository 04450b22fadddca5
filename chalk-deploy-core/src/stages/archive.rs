//! Stage 3: the archive gets its permanent, write-once key, an index entry, and is read back. Runs beside stage 2.
//!
//! *Takes* the [`ArchiveReference`](crate::model::ArchiveReference). *Hands on* the [`RetainedArchive`]. *Idempotent* by
//! the archive's digest: equal archives share one object. *Not undone*: archives are retained.

use serde::{Deserialize, Serialize};

use super::context::StepContext;
use crate::cloud::{Payload, PutMode};
use crate::machine::StepOutput;
use crate::model::{
    DeploymentId, Digest, DigestHasher, EnvironmentId, ObjectKey, ProjectName, RetainedArchive, SourceFingerprint,
    Timestamp,
};
use crate::observe::Unit;
use crate::{Error, ErrorCode, Result};

/// What `deployments/<deployment id>` holds: the way from a deployment to its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct IndexEntry {
    deployment: DeploymentId,
    environment: EnvironmentId,
    project: ProjectName,
    created_at: Timestamp,
    archive: ObjectKey,
    source: SourceFingerprint,
    graph: Digest,
    git_commit: Option<String>,
}

/// Copies the archive, inside the store, to `archives/<sha256>`.
pub(super) async fn retain(context: &StepContext) -> Result<StepOutput> {
    let incoming = context.archive()?;
    let retained = RetainedArchive {
        key: ObjectKey::new(format!("archives/{}", incoming.sha256.hex()))?,
        index: ObjectKey::new(format!("deployments/{}", context.plan().id))?,
        sha256: incoming.sha256,
        size: incoming.size,
    };
    context.plane.cloud.object_store.copy(&incoming.key, &retained.key, PutMode::WriteOnce).await?;
    Ok(StepOutput::Retained(retained))
}

/// Writes the index entry.
pub(super) async fn index(context: &StepContext) -> Result<StepOutput> {
    let retained = context.retained()?;
    let entry = Payload::from_bytes(index_entry(context, retained)?);
    context.plane.cloud.object_store.put(&retained.index, &entry, PutMode::WriteOnce).await?;
    Ok(StepOutput::Nothing)
}

/// Reads both back: the index entry whole, the archive by the store's own digest where it keeps one, else by reading it
/// through a hash.
pub(super) async fn verify(context: &StepContext) -> Result<StepOutput> {
    let retained = context.retained()?;
    let expected = Payload::from_bytes(index_entry(context, retained)?);
    expect_stored(context, &retained.index, expected.sha256(), expected.size()).await?;
    expect_stored(context, &retained.key, retained.sha256, retained.size).await?;
    context.reporter.progress(retained.size, Some(retained.size), Unit::Bytes);
    Ok(StepOutput::Nothing)
}

/// Removes `incoming/<deployment id>`, in stage 3 and in the undo.
pub(super) async fn remove_incoming(context: &StepContext) -> Result<StepOutput> {
    context.plane.cloud.object_store.delete(&context.incoming_key()?).await?;
    Ok(StepOutput::Nothing)
}

fn index_entry(context: &StepContext, retained: &RetainedArchive) -> Result<Vec<u8>> {
    let plan = context.plan();
    let entry = IndexEntry {
        deployment: plan.id.clone(),
        environment: plan.environment.clone(),
        project: plan.project.clone(),
        created_at: plan.created_at,
        archive: retained.key.clone(),
        source: plan.source.clone(),
        graph: plan.graph,
        git_commit: plan.git.commit.clone(),
    };
    serde_json::to_vec(&entry)
        .map_err(|error| Error::new(ErrorCode::Internal, "the index entry could not be written").caused_by(error))
}

async fn expect_stored(context: &StepContext, key: &ObjectKey, sha256: Digest, size: u64) -> Result<()> {
    let store = &context.plane.cloud.object_store;
    let stored = store.head(key).await?.ok_or_else(|| {
        Error::new(ErrorCode::ObjectMissing, "the store acknowledged the object and does not have it").on(key)
    })?;
    let found = match stored.sha256 {
        Some(found) if store.capabilities().stored_digest => found,
        _ => digest_of(context, key).await?,
    };
    if found == sha256 && stored.size == size {
        return Ok(());
    }
    Err(Error::new(ErrorCode::DigestMismatch, format!("the store holds {found}, not {sha256}")).on(key))
}

async fn digest_of(context: &StepContext, key: &ObjectKey) -> Result<Digest> {
    use futures::StreamExt as _;

    let mut body = context.plane.cloud.object_store.get(key).await?.body;
    let mut hasher = DigestHasher::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| {
            Error::new(ErrorCode::CloudUnavailable, "reading the object back broke off").on(key).caused_by(error)
        })?;
        hasher.update(&chunk);
    }
    Ok(hasher.finish())
}
