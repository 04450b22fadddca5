//! The events that a listener sees. Their JSON is the format of `apply --json`.

use serde::{Serialize, Serializer};

use crate::error::RecordedError;
use crate::machine::{Outcome, Stage, Step};
use crate::model::{DeploymentId, DeploymentStatus, EnvironmentId, ProjectName, Timestamp};

/// Something that happened to a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeploymentEvent {
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
    /// To which deployment.
    pub deployment_id: DeploymentId,
    /// When, as RFC 3339.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The record exists. Always the first event.
    Created {
        /// The project.
        project: ProjectName,
        /// The environment.
        environment: EnvironmentId,
    },
    /// The status changed.
    Status {
        /// The new one.
        status: DeploymentStatus,
    },
    /// The first step of a stage was begun.
    StageStarted {
        /// The stage.
        stage: Stage,
    },
    /// A step was begun.
    StepStarted {
        /// Its stage.
        stage: Stage,
        /// The step.
        step: Step,
        /// The attempt, from 1 on.
        attempt: u32,
    },
    /// A step came further. Not recorded: a listener that comes after the process was restarted does not see it.
    Progress {
        /// Its stage.
        stage: Stage,
        /// The step.
        step: Step,
        /// How much is done.
        done: u64,
        /// How much there is, where that is known.
        total: Option<u64>,
        /// Of what.
        unit: Unit,
    },
    /// A step said something. Printable.
    Log {
        /// Its stage.
        stage: Stage,
        /// The step.
        step: Step,
        /// The line.
        line: String,
    },
    /// An attempt failed; there will be another.
    StepRetrying {
        /// Its stage.
        stage: Stage,
        /// The step.
        step: Step,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        error: RecordedError,
        /// How long until the next, in milliseconds.
        wait_ms: u64,
    },
    /// A step is done.
    StepFinished {
        /// Its stage.
        stage: Stage,
        /// The step.
        step: Step,
        /// Since the start of its first attempt, in milliseconds.
        elapsed_ms: u64,
    },
    /// A step failed for good.
    StepFailed {
        /// Its stage.
        stage: Stage,
        /// The step.
        step: Step,
        /// Why.
        error: RecordedError,
    },
    /// Every step of a stage is done.
    StageFinished {
        /// The stage.
        stage: Stage,
        /// Since the start of its first step, in milliseconds.
        elapsed_ms: u64,
    },
    /// The deployment is given up; what was done is undone from here on.
    Abandoned {
        /// Why.
        error: RecordedError,
    },
    /// It has ended. Always the last event.
    Finished(Outcome),
}

/// What a progress counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Kubernetes objects.
    Objects,
    /// Pods.
    Pods,
}
