//! Stage 5, the gateway's half: traffic moved, verified, and the old version retired only then.
//!
//! *Takes* the [`Revision`](crate::model::Revision), ready. *Hands on* the [`TrafficReport`]. *Idempotent* by the
//! stored division: a shift that is there already is not written again. *Undone* by one write of the old division.

use std::time::Duration;

use super::context::StepContext;
use super::readiness::{Readiness, judge};
use crate::cloud::{ObservedTraffic, Settlement, TrafficChange};
use crate::machine::{StepOutput, TrafficReport, Verification};
use crate::manifests::{least_instances, removal_order};
use crate::model::{Backend, DeploymentId, TrafficSplit, Weight};
use crate::{Error, ErrorCode, Result, text};

/// How long a gateway may take to act on a route. Envoy Gateway takes well under a second; this is for a control plane
/// that restarts.
const SETTLE_WITHIN: Duration = Duration::from_mins(1);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// So many answers in a row must come from the new version.
const ANSWERS: u32 = 5;

/// Moves all traffic to this deployment, in one write that is guarded by the version that was read. The decision rests
/// on a fresh observation: traffic never goes to pods that are not ready.
///
/// Where something serves already, the new version is named at weight 0 before, and the gateway must have understood
/// that. Its control plane learns of routes and of services on different ways: one that falls behind sees the route first,
/// and answers 500 for a backend that it does not know.
pub(super) async fn shift(context: &StepContext) -> Result<StepOutput> {
    let (previous, _) = context.previous()?;
    let wanted = cutover(context, previous)?;
    let current = observe(context).await?;
    if current.split == wanted {
        return Ok(StepOutput::Split(wanted));
    }
    let announced = announcement(context, previous)?;
    let current = if current.split == announced {
        current
    } else if current.split == *previous {
        write(context, &current, announced).await?
    } else {
        return Err(moved_by_someone_else(context));
    };
    if !previous.is_nothing() {
        settle(context, &current).await?;
    }
    let deployment = &context.plan().id;
    let observation = context.plane.cloud.cluster.observe(&context.plane.namespace, deployment).await?;
    match judge(&observation, least_instances(context.plan().sizing)) {
        Readiness::Ready { .. } => {}
        Readiness::Doomed(error) => return Err(error),
        Readiness::Progressing { ready, desired } => {
            let message = format!("only {ready} of {desired} pods are ready at the moment of the cutover");
            return Err(Error::new(ErrorCode::NeverReady, message)
                .on(format!("deployment {deployment}"))
                .with_retry(crate::error::Retry::Temporary));
        }
    }
    write(context, &current, wanted).await.map(|stored| StepOutput::Split(stored.split))
}

/// Waits until the gateway acts on the division, and asks through it, where that is possible, until the new version
/// has answered several times in a row.
pub(super) async fn verify(context: &StepContext) -> Result<StepOutput> {
    let stored = observe(context).await?;
    expect_cutover(context, &stored)?;
    settle(context, &stored).await?;
    let until = context.runtime.monotonic() + SETTLE_WITHIN;
    let late = |what: String| Error::new(ErrorCode::VerificationFailed, what).on(context.route());
    let verified_by = match context.plane.cloud.traffic.probe() {
        None => Verification::RouteStatus,
        Some(probe) => {
            let mut answers = 0;
            while answers < ANSWERS {
                let answered = probe.ask(&context.route()).await;
                if matches!(&answered, Ok(deployment) if *deployment == context.plan().id) {
                    answers += 1;
                    continue;
                }
                answers = 0;
                if context.runtime.monotonic() >= until {
                    return Err(answered.map_or_else(
                        |error| error,
                        |other| late(format!("deployment {other} answers instead of the new one")),
                    ));
                }
                context.runtime.sleep(LOOK_EVERY).await;
            }
            Verification::Probe
        }
    };
    // A chance row of right answers proves nothing about a division that was changed meanwhile.
    expect_cutover(context, &observe(context).await?)?;
    Ok(StepOutput::Verified(TrafficReport { backends: stored.split, verified_by }))
}

/// Takes the old version out of the division, and removes its objects by uid.
pub(super) async fn retire_previous(context: &StepContext) -> Result<StepOutput> {
    let current = observe(context).await?;
    let alone = TrafficSplit::all_to(context.plan().id.clone());
    if current.split.weight_of(&context.plan().id) != Weight::ALL {
        return Err(Error::new(
            ErrorCode::ObjectConflict,
            "the traffic was changed by someone else before the retirement",
        )
        .on(context.route()));
    }
    write(context, &current, alone).await?;
    let (_, objects) = context.previous()?;
    let mut objects = objects.to_vec();
    removal_order(&mut objects);
    for object in &objects {
        context.plane.cloud.cluster.delete(object).await?;
    }
    Ok(StepOutput::Removed(objects))
}

/// Writes the old division back, in one write. A division by someone else's hand is left alone: if it names the new
/// version nowhere, there is nothing to take back; if it does, that is for a person to settle.
pub(super) async fn restore(context: &StepContext) -> Result<StepOutput> {
    let (previous, _) = context.previous()?;
    let current = observe(context).await?;
    let is_backend = current.split.backends().any(|(deployment, _)| *deployment == context.plan().id);
    if current.split == *previous || !is_backend {
        return Ok(StepOutput::Split(current.split));
    }
    if current.split != cutover(context, previous)? && current.split != announcement(context, previous)? {
        return Err(moved_by_someone_else(context));
    }
    write(context, &current, previous.clone()).await.map(|stored| StepOutput::Split(stored.split))
}

/// Waits until the gateway acts on a stored division. It may not know a backend for a while that is there.
async fn settle(context: &StepContext, stored: &ObservedTraffic) -> Result<()> {
    let until = context.runtime.monotonic() + SETTLE_WITHIN;
    let refused = |reason: &str| Error::new(ErrorCode::TrafficRefused, text::line(reason, 300)).on(context.route());
    loop {
        let settlement = context.plane.cloud.traffic.settlement(&context.route(), stored).await?;
        let is_late = context.runtime.monotonic() >= until;
        match settlement {
            Settlement::Settled => return Ok(()),
            Settlement::Refused(reason) => return Err(refused(&reason)),
            Settlement::Unresolved(reason) if is_late => return Err(refused(&reason)),
            Settlement::Pending if is_late => {
                let what = "the gateway does not act on the new division";
                return Err(Error::new(ErrorCode::VerificationFailed, what).on(context.route()));
            }
            Settlement::Unresolved(_) | Settlement::Pending => context.runtime.sleep(LOOK_EVERY).await,
        }
    }
}

/// What serves stays as it is, and the new version is named. Nothing, where nothing serves: no route is without weight.
fn announcement(context: &StepContext, previous: &TrafficSplit) -> Result<TrafficSplit> {
    if previous.is_nothing() {
        return Ok(previous.clone());
    }
    let new = &context.plan().id;
    let as_it_is = |(deployment, weight): (&DeploymentId, Weight)| Backend { deployment: deployment.clone(), weight };
    let others = previous.backends().map(as_it_is).filter(|backend| backend.deployment != *new);
    TrafficSplit::new(others.chain([Backend { deployment: new.clone(), weight: Weight::NONE }]))
}

/// All traffic to the new version; the old ones stay as backends at 0, so that going back is one write.
fn cutover(context: &StepContext, previous: &TrafficSplit) -> Result<TrafficSplit> {
    let new = &context.plan().id;
    let old = previous.serving().filter(|deployment| *deployment != new);
    let old = old.map(|deployment| Backend { deployment: deployment.clone(), weight: Weight::NONE });
    TrafficSplit::new(old.chain([Backend { deployment: new.clone(), weight: Weight::ALL }]))
}

fn expect_cutover(context: &StepContext, current: &ObservedTraffic) -> Result<()> {
    let (previous, _) = context.previous()?;
    if current.split == cutover(context, previous)? { Ok(()) } else { Err(moved_by_someone_else(context)) }
}

fn moved_by_someone_else(context: &StepContext) -> Error {
    Error::new(ErrorCode::ObjectConflict, "the traffic was changed by someone else during the rollout")
        .on(context.route())
}

async fn observe(context: &StepContext) -> Result<ObservedTraffic> {
    context.plane.cloud.traffic.observe(&context.route()).await
}

async fn write(context: &StepContext, current: &ObservedTraffic, split: TrafficSplit) -> Result<ObservedTraffic> {
    let change = TrafficChange { split, expected_version: current.version.clone(), token: context.token };
    context.plane.cloud.traffic.shift(&context.route(), &change).await
}
