//! Stage 5, the cluster's half: objects applied, readiness awaited.
//!
//! *Takes* the [`BuiltRelease`](crate::model::BuiltRelease), whose images are in the registry by now. *Hands on* the
//! [`Revision`]. *Idempotent* by deployment id: every object's name carries it. *Undone* by removing what carries it,
//! by uid.

use std::time::Duration;

use super::context::StepContext;
use super::readiness::{Readiness, judge, overdue};
use crate::cloud::{ApplyOptions, Selector};
use crate::machine::StepOutput;
use crate::manifests::{least_instances, removal_order};
use crate::model::{DeploymentId, Revision};
use crate::observe::Unit;
use crate::runtime::RuntimeExt as _;
use crate::{Result, text};

/// Without news from the watch, a fresh look at least this often.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Reads what serves now. An undo goes back to exactly this.
pub(super) async fn observe_previous(context: &StepContext) -> Result<StepOutput> {
    let observed = context.plane.cloud.traffic.observe(&context.route()).await?;
    let mut objects = Vec::new();
    for deployment in observed.split.serving().filter(|deployment| **deployment != context.plan().id) {
        let live = context.plane.cloud.cluster.list(&context.plane.namespace, &selector(context, deployment)).await?;
        objects.extend(live.into_iter().map(|object| object.identity));
    }
    Ok(StepOutput::Previous { split: observed.split, objects })
}

/// Applies every object of the release, in order.
pub(super) async fn apply_objects(context: &StepContext) -> Result<StepOutput> {
    let release = context.release()?;
    let total = release.manifests.len() as u64;
    let options = ApplyOptions { token: context.token };
    let mut objects = Vec::new();
    for manifest in &release.manifests {
        objects.push(context.plane.cloud.cluster.apply(&context.plane.namespace, manifest, &options).await?);
        context.reporter.progress(objects.len() as u64, Some(total), Unit::Objects);
    }
    Ok(StepOutput::Revision(Revision { deployment: context.plan().id.clone(), objects }))
}

/// Waits until the pods are ready and have stayed so, or never will be. The time limit counts from the step's first
/// attempt, so that a restart does not extend it.
pub(super) async fn await_ready(context: &StepContext) -> Result<StepOutput> {
    let (runtime, policy) = (&context.runtime, &context.plane.policy);
    let (namespace, deployment) = (&context.plane.namespace, &context.plan().id);
    let until = context.started_at.plus(policy.ready_within);
    let mut ready_since: Option<Duration> = None;
    let mut said = String::new();
    loop {
        let observation = context.plane.cloud.cluster.observe(namespace, deployment).await?;
        let mut look_in = LOOK_EVERY;
        match judge(&observation, least_instances(context.plan().sizing)) {
            Readiness::Doomed(error) => return Err(error),
            Readiness::Ready { pods } => {
                context.reporter.progress(u64::from(pods), Some(u64::from(pods)), Unit::Pods);
                let since = *ready_since.get_or_insert_with(|| runtime.monotonic());
                let lasted = runtime.monotonic().saturating_sub(since);
                if lasted >= policy.stable_for {
                    return Ok(StepOutput::Ready { pods });
                }
                look_in = policy.stable_for.saturating_sub(lasted);
            }
            Readiness::Progressing { ready, desired } => {
                ready_since = None;
                context.reporter.progress(u64::from(ready), Some(u64::from(desired)), Unit::Pods);
                let waits_for = observation.pods.iter().find(|pod| !pod.ready && !pod.message.is_empty());
                if let Some(pod) = waits_for {
                    let line = format!("{}: {}", text::line(&pod.name, 253), text::line(&pod.message, 300));
                    if line != said {
                        context.reporter.line(&line);
                        said = line;
                    }
                }
            }
        }
        let now = runtime.now();
        if now >= until {
            return Err(overdue(&observation));
        }
        let wait = look_in.min(until.since(now));
        if let Some(changed) =
            runtime.within(wait, context.plane.cloud.cluster.changed(namespace, deployment, &observation)).await
        {
            changed?;
        }
    }
}

/// Removes whatever carries this deployment's label, recorded or not.
pub(super) async fn remove_objects(context: &StepContext) -> Result<StepOutput> {
    let cluster = &context.plane.cloud.cluster;
    let live = cluster.list(&context.plane.namespace, &selector(context, &context.plan().id)).await?;
    let mut objects: Vec<_> = live.into_iter().map(|object| object.identity).collect();
    removal_order(&mut objects);
    for object in &objects {
        cluster.delete(object).await?;
    }
    Ok(StepOutput::Removed(objects))
}

pub(super) fn selector(context: &StepContext, deployment: &DeploymentId) -> Selector {
    Selector { environment: context.plane.environment.clone(), deployment: Some(deployment.clone()) }
}
