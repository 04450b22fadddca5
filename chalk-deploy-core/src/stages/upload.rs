//! Stage 1: the archive streams into the source bucket; the graph is validated again on this side.
//!
//! *Takes* the client's source and the plan. *Hands on* the [`ArchiveReference`]. *Idempotent* by deployment id and
//! digest. *Undone* by removing `incoming/<deployment id>`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::StreamExt as _;

use super::context::{Reporter, StepContext};
use crate::cloud::{ByteStream, Payload, PayloadSource, PutMode};
use crate::graph::FeatureGraph;
use crate::machine::StepOutput;
use crate::model::ArchiveReference;
use crate::observe::Unit;
use crate::{Error, ErrorCode, Result};

/// Streams the source to `incoming/<deployment id>`. If it lies there already, the source is not needed: a deployment
/// can be resumed where the project is not.
pub(super) async fn put_archive(context: &StepContext) -> Result<StepOutput> {
    let key = context.incoming_key()?;
    let expected = &context.plan().source;
    let store = &context.plane.cloud.object_store;
    let stored = store.head(&key).await?;
    let there = stored.is_some_and(|stored| stored.size == expected.size && stored.sha256 == Some(expected.sha256));
    if !there {
        let source = context.source.as_ref().ok_or_else(|| {
            Error::new(ErrorCode::SourceMissing, "the source was never uploaded, and this process does not have it")
                .on(format!("deployment {}", context.plan().id))
        })?;
        if source.sha256() != expected.sha256 {
            return Err(Error::new(
                ErrorCode::SourceChanged,
                "the project is not the one that the deployment was made of",
            )
            .on(format!("deployment {}", context.plan().id)));
        }
        store.put(&key, &reported(source, &context.reporter), PutMode::WriteOnce).await?;
    }
    context.reporter.progress(expected.size, Some(expected.size), Unit::Bytes);
    Ok(StepOutput::Archive(ArchiveReference { key, sha256: expected.sha256, size: expected.size }))
}

/// Validates the graph that the store keeps.
pub(super) async fn check_graph(context: &StepContext) -> Result<StepOutput> {
    let digest = context.plan().graph;
    let bytes = context
        .store
        .graph(&digest)
        .await?
        .ok_or_else(|| Error::new(ErrorCode::JournalCorrupt, "the feature graph is not in the store").on(digest))?;
    context.validation.check(&FeatureGraph::decode(bytes, None)?)?;
    Ok(StepOutput::Nothing)
}

/// The same payload, which tells how far it was read.
pub(super) fn reported(payload: &Payload, reporter: &Reporter) -> Payload {
    struct Reported {
        payload: Payload,
        reporter: Reporter,
    }

    #[async_trait]
    impl PayloadSource for Reported {
        async fn open(&self) -> Result<ByteStream> {
            let (reporter, total) = (self.reporter.clone(), self.payload.size());
            let done = AtomicU64::new(0);
            let stream = self.payload.open().await?.inspect(move |chunk| {
                if let Ok(chunk) = chunk {
                    let length = chunk.len() as u64;
                    reporter.progress(done.fetch_add(length, Ordering::Relaxed) + length, Some(total), Unit::Bytes);
                }
            });
            Ok(stream.boxed())
        }
    }

    let source = Reported { payload: payload.clone(), reporter: reporter.clone() };
    Payload::new(payload.sha256(), payload.size(), Arc::new(source)).with_origin(payload.origin().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Step;
    use crate::model::{DeploymentId, Repository};
    use crate::observe::EventLog;
    use crate::runtime::SystemRuntime;

    #[tokio::test]
    async fn a_reported_payload_is_the_same_one_from_the_same_place() {
        let deployment = DeploymentId::new("cm9n46thy000bwe6y784y4j0l").expect("a valid id");
        let reporter = Reporter::new(Step::PushImages, deployment, SystemRuntime::new(), EventLog::new());
        let origin = Repository::new("registry.example/base").expect("a valid repository");
        let payload = reported(&Payload::from_bytes("x").with_origin(Some(origin.clone())), &reporter);
        assert_eq!((payload.origin(), payload.size()), (Some(&origin), 1));
        assert_eq!(payload.bytes().await.expect("whole"), "x");
    }
}
