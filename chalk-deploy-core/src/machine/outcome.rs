//! What a finished deployment tells: derived from its journal, so that it can be told again at any time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::{StepOutput, TrafficReport, Verification};
use super::state::{State, StepProgress};
use super::step::{Stage, Step};
use crate::error::RecordedError;
use crate::model::name::Component;
use crate::model::{Backend, DeploymentStatus, TrafficSplit, Weight};

/// The end of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The terminal status.
    pub status: DeploymentStatus,
    /// The images in the environment's registry, `repository@sha256:…`, by component.
    pub images: BTreeMap<Component, String>,
    /// The retained source archive.
    pub archive: Option<ArchiveOutcome>,
    /// The traffic as this deployment left it; absent when it never came to that.
    pub traffic: Option<TrafficOutcome>,
    /// The five stages.
    pub stages: Vec<StageOutcome>,
    /// Why it is not a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RecordedError>,
    /// What could not be undone or removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residue: Vec<String>,
}

/// Where the source lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveOutcome {
    /// Its permanent key in the source bucket.
    pub key: String,
    /// Its digest: 64 hex digits.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
}

/// How the traffic stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficOutcome {
    /// Whether the new version took the traffic.
    pub promoted: bool,
    /// Every backend with its share; a version that is held back stands here at 0.
    pub backends: Vec<Backend>,
    /// How it was proven.
    pub verified_by: Verification,
}

/// A stage of a finished deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageOutcome {
    /// Which one.
    pub stage: Stage,
    /// Whether all of its steps are done.
    pub done: bool,
    /// From the start of its first step to the end of its last one, in milliseconds.
    pub elapsed_ms: u64,
    /// How many further attempts its steps took.
    pub retries: u32,
}

/// The end of a deployment, or `None` while it has none.
pub fn outcome(state: &State) -> Option<Outcome> {
    let finish = state.finished.as_ref()?;
    let images = match (state.output(Step::TagImages), finish.status) {
        (Some(StepOutput::Pushed(pushed)), DeploymentStatus::Success) => {
            pushed.images.iter().map(|(component, image)| (*component, image.to_string())).collect()
        }
        _ => BTreeMap::new(),
    };
    let archive = match state.output(Step::RetainArchive) {
        Some(StepOutput::Retained(retained)) => {
            Some(ArchiveOutcome { key: retained.key.to_string(), sha256: retained.sha256.hex(), size: retained.size })
        }
        _ => None,
    };
    Some(Outcome {
        status: finish.status,
        images,
        archive,
        traffic: traffic(state),
        stages: Stage::ALL.into_iter().map(|stage| stage_outcome(state, stage)).collect(),
        error: finish.error.clone(),
        residue: finish.residue.clone(),
    })
}

fn traffic(state: &State) -> Option<TrafficOutcome> {
    if let Some(StepOutput::Verified(TrafficReport { backends, verified_by })) = state.output(Step::VerifyTraffic) {
        // The retirement takes the old version out of the division.
        let retired = state.is_done(Step::RetirePrevious);
        let backends = if retired { TrafficSplit::all_to(state.plan.id.clone()) } else { backends.clone() };
        return Some(TrafficOutcome { promoted: true, backends: backends.into(), verified_by: *verified_by });
    }
    let Some(StepOutput::Previous { split, .. }) = state.output(Step::ObservePrevious) else { return None };
    let mut backends: Vec<Backend> = TrafficSplit::clone(split).into();
    if state.is_committed() {
        backends.push(Backend { deployment: state.plan.id.clone(), weight: Weight::NONE });
    }
    Some(TrafficOutcome { promoted: false, backends, verified_by: Verification::Readiness })
}

fn stage_outcome(deployment: &State, stage: Stage) -> StageOutcome {
    let mut steps = stage.steps().filter(|step| step.applies_to(&deployment.plan)).peekable();
    let done = steps.peek().is_some() && steps.all(|step| deployment.is_done(step));
    let begun = || stage.steps().filter_map(|step| deployment.steps.get(&step));
    let started = begun().map(|step| step.started_at).min();
    let ended = begun()
        .map(|step| match &step.progress {
            StepProgress::Done { at, .. } | StepProgress::Failed { at, .. } => *at,
            _ => step.started_at,
        })
        .max();
    let elapsed = started.zip(ended).map(|(started, ended)| ended.since(started)).unwrap_or_default();
    StageOutcome {
        stage,
        done,
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        retries: begun().map(|step| step.attempt.saturating_sub(1)).sum(),
    }
}
