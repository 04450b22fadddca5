//! The effects, one file a stage. Each effect is idempotent: it may be run again after a crash, under the same intent,
//! and finds what it did before.
//!
//! | stage | step | takes | trait | hands on |
//! |---|---|---|---|---|
//! | upload | `put_archive` | the client's source | `ObjectStore` | `ArchiveReference` |
//! | upload | `check_graph` | the plan's graph | the store | |
//! | build | `images` | `ArchiveReference` | `Builder` | `BuiltRelease` |
//! | archive | `retain`, `index`, `verify`, `remove_incoming` | `ArchiveReference` | `ObjectStore` | `RetainedArchive` |
//! | push | `images`, `tag` | `BuiltRelease` | `Registry` | `PushedImages` |
//! | push | `attest` | `PushedImages` | `Referrers`, `Signer` | |
//! | rollout | `observe_previous`, `apply`, `await_ready` | `BuiltRelease` | `ClusterApi` | `Revision` |
//! | rollout | `shift_traffic`, `verify`, `retire_previous` | `Revision` | `TrafficShifter` | `TrafficReport` |

mod archive;
mod attest;
mod build;
mod context;
mod push;
mod readiness;
mod rollout;
mod traffic;
mod upload;

use crate::Result;
use crate::machine::{Step, StepOutput};

pub(crate) use context::{Reporter, StepContext};

/// Runs the effect of a step.
pub(crate) async fn run(step: Step, context: &StepContext) -> Result<StepOutput> {
    match step {
        Step::PutArchive => upload::put_archive(context).await,
        Step::CheckGraph => upload::check_graph(context).await,
        Step::BuildImages => build::build_images(context).await,
        Step::RetainArchive => archive::retain(context).await,
        Step::IndexArchive => archive::index(context).await,
        Step::VerifyArchive => archive::verify(context).await,
        Step::RemoveIncoming | Step::DiscardIncoming => archive::remove_incoming(context).await,
        Step::PushImages => push::push_images(context).await,
        Step::TagImages => push::tag_images(context).await,
        Step::AttestImages => attest::attest_images(context).await,
        Step::ObservePrevious => rollout::observe_previous(context).await,
        Step::ApplyObjects => rollout::apply_objects(context).await,
        Step::AwaitReady => rollout::await_ready(context).await,
        Step::ShiftTraffic => traffic::shift(context).await,
        Step::VerifyTraffic => traffic::verify(context).await,
        Step::RetirePrevious => traffic::retire_previous(context).await,
        Step::RestoreTraffic => traffic::restore(context).await,
        Step::RemoveObjects => rollout::remove_objects(context).await,
        Step::RemoveTags => push::remove_tags(context).await,
        Step::StopBuild => build::stop_build(context).await,
    }
}
