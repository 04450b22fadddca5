//! Stage 3: the archive gets its permanent, write-once key, an index entry, and is read back. Runs beside stage 2.
//!
//! *Takes* the [`ArchiveReference`](crate::model::ArchiveReference). *Hands on* the [`RetainedArchive`]. *Idempotent* by
//! the archive's digest: equal archives share one object. *Not undone*: archives are retained.

use super::context::StepContext;
use crate::cloud::{Payload, PutMode};
use crate::machine::StepOutput;
use crate::model::{ArchiveRetention, RetainedArchive};
use crate::observe::Unit;
use crate::source::{SourceRecord, verify_stored};
use crate::{Error, ErrorCode, Result};

/// Copies the archive, inside the store, to `archives/<sha256>`, and has it kept there where the policy says so.
pub(super) async fn retain(context: &StepContext) -> Result<StepOutput> {
    let incoming = context.archive()?;
    let retained = RetainedArchive {
        key: SourceRecord::archive_key(incoming.sha256)?,
        index: SourceRecord::key(&context.plan().id)?,
        sha256: incoming.sha256,
        size: incoming.size,
    };
    context.plane.cloud.object_store.copy(&incoming.key, &retained.key, PutMode::WriteOnce).await?;
    if let Some(asked) = context.plane.policy.retention {
        keep(context, &retained, asked).await?;
    }
    Ok(StepOutput::Retained(retained))
}

/// Has the store keep the archive. Counted from the creation of the deployment, so that a repetition asks for the same.
async fn keep(context: &StepContext, retained: &RetainedArchive, asked: ArchiveRetention) -> Result<()> {
    let Some(retention) = context.plane.cloud.object_store.retention() else {
        context.reporter.line("note: this bucket keeps nothing from being removed; the archive has no retention");
        return Ok(());
    };
    let until = context.plan().created_at.plus(asked.period);
    retention.retain(&retained.key, until, asked.mode).await?;
    context.reporter.line(&format!("the archive is kept until {until}"));
    Ok(())
}

/// Writes the index entry.
pub(super) async fn index(context: &StepContext) -> Result<StepOutput> {
    let retained = context.retained()?;
    let entry = Payload::from_bytes(index_entry(context, retained)?);
    context.plane.cloud.object_store.put(&retained.index, &entry, PutMode::WriteOnce).await?;
    Ok(StepOutput::Nothing)
}

/// Reads both back, byte by byte: a digest that a store keeps beside an object is what we told it, not what it holds. The
/// archive goes through the reader once more, so what is retained can be inspected and built again.
pub(super) async fn verify(context: &StepContext) -> Result<StepOutput> {
    let retained = context.retained()?;
    let store = &context.plane.cloud.object_store;
    let expected = Payload::from_bytes(index_entry(context, retained)?);
    let stored = store.get(&retained.index).await?;
    let found = Payload::from_bytes(crate::cloud::collect(stored.body, expected.size()).await?);
    if found.sha256() != expected.sha256() {
        let message = format!("the store holds {}, not {}", found.sha256(), expected.sha256());
        return Err(Error::new(ErrorCode::DigestMismatch, message).on(&retained.index));
    }
    verify_stored(store, &retained.key, &context.plan().source, (*context.archive_rules).clone()).await?;
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
    let record = SourceRecord {
        deployment: plan.id.clone(),
        environment: plan.environment.clone(),
        project: plan.project.clone(),
        created_at: plan.created_at,
        archive: retained.key.clone(),
        source: plan.source.clone(),
        graph: plan.graph,
        git_commit: plan.git.commit.clone(),
    };
    record.to_bytes()
}
