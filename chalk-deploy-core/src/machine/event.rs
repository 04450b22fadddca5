//! What a journal holds.

use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::error::RecordedError;
use crate::model::name::Component;
use crate::model::{
    ArchiveReference, BuiltRelease, DeploymentPlan, DeploymentStatus, Digest, ImageReference, ObjectIdentity,
    PushedImages, RetainedArchive, Revision, Timestamp, TrafficSplit,
};

/// The version of the format that this library writes. A journal of an unknown one is refused, never guessed at.
///
/// | format | what is new |
/// |---|---|
/// | 1 | |
/// | 2 | the step `push.attest` and its result; a journal of format 1 that has gone past it does without |
pub const JOURNAL_FORMAT: u32 = 2;

/// The versions of the format that this library reads.
pub const JOURNAL_FORMATS: std::ops::RangeInclusive<u32> = 1..=JOURNAL_FORMAT;

/// An event with its place and time. The time is for people; nothing is decided by it but waits and deadlines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedEvent {
    /// Its place in the journal, from 1 on without gaps.
    pub sequence: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened to a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The record exists.
    Created {
        /// What the deployment is made from.
        plan: Box<DeploymentPlan>,
    },
    /// It waits for another rollout of its environment.
    Queued,
    /// The intent of a step: recorded before its effect.
    StepStarted {
        /// The step.
        step: Step,
        /// The number of the attempt, from 1 on. A step that a crash interrupted is run again under the same number.
        attempt: u32,
    },
    /// The result of a step: recorded after its effect.
    StepSucceeded {
        /// The step.
        step: Step,
        /// What later steps see.
        output: Box<StepOutput>,
    },
    /// An attempt failed.
    StepFailed {
        /// The step.
        step: Step,
        /// Which attempt.
        attempt: u32,
        /// Why.
        error: RecordedError,
        /// When the next attempt may begin; `None` when there is none.
        retry_at: Option<Timestamp>,
    },
    /// A line that a step said. Changes no state; recorded with the step's result so that late readers see it.
    Log {
        /// The step.
        step: Step,
        /// The line, made printable.
        line: String,
    },
    /// It is given up: what was done is undone from here on.
    Abandoned {
        /// Why.
        error: RecordedError,
    },
    /// It has ended.
    Finished {
        /// The terminal status.
        status: DeploymentStatus,
        /// Why it is not a success.
        error: Option<RecordedError>,
        /// What could not be undone or removed, one sentence each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        residue: Vec<String>,
    },
}

/// What a step hands on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutput {
    /// The step hands nothing on.
    Nothing,
    /// `PutArchive`.
    Archive(ArchiveReference),
    /// `BuildImages`.
    Release(BuiltRelease),
    /// `RetainArchive`.
    Retained(RetainedArchive),
    /// `PushImages`.
    Images(std::collections::BTreeMap<Component, ImageReference>),
    /// `TagImages`.
    Pushed(PushedImages),
    /// `AttestImages`: the manifests that hold the evidence of each image.
    Evidence(std::collections::BTreeMap<Component, Vec<Digest>>),
    /// `ObservePrevious`: the traffic, and the objects of the deployments that it goes to.
    Previous {
        /// The division before this deployment.
        split: TrafficSplit,
        /// The objects that serve it.
        objects: Vec<ObjectIdentity>,
    },
    /// `ApplyObjects`.
    Revision(Revision),
    /// `AwaitReady`: how many pods are ready.
    Ready {
        /// The pods.
        pods: u32,
    },
    /// `ShiftTraffic` and `RestoreTraffic`: the stored division.
    Split(TrafficSplit),
    /// `VerifyTraffic`.
    Verified(TrafficReport),
    /// `RetirePrevious` and `RemoveObjects`: what is gone.
    Removed(Vec<ObjectIdentity>),
}

/// The traffic as a finished deployment left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficReport {
    /// The stored division.
    pub backends: TrafficSplit,
    /// How it was proven.
    pub verified_by: Verification,
}

/// How the new version was verified. Which one is possible depends on the boundary (seed 002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// It answered requests through the gateway.
    Probe,
    /// The gateway reports that it acts on the route.
    RouteStatus,
    /// It takes no traffic: its pods are ready, and that is all that was to be shown.
    Readiness,
}
