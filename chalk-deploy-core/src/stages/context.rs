//! What an effect may use: the data plane, what earlier steps handed on, and a way to report.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cloud::{FencingToken, Payload, RouteReference};
use crate::evidence::EvidencePolicy;
use crate::graph::Validation;
use crate::machine::{State, Step, StepOutput};
use crate::model::{
    ArchiveReference, BuiltRelease, Component, DataPlane, DeploymentPlan, ImageReference, ObjectIdentity, ObjectKey,
    RetainedArchive, Timestamp, TrafficSplit,
};
use crate::observe::{DeploymentEvent, EventKind, EventLog, Unit};
use crate::runtime::Runtime;
use crate::source::ArchiveRules;
use crate::store::DeploymentStore;
use crate::{Error, ErrorCode, Result, text};

/// Everything that one attempt of one step sees.
#[derive(Debug, Clone)]
pub(crate) struct StepContext {
    pub(crate) plane: Arc<DataPlane>,
    pub(crate) state: Arc<State>,
    pub(crate) store: Arc<dyn DeploymentStore>,
    pub(crate) runtime: Arc<dyn Runtime>,
    /// What source archives must keep.
    pub(crate) archive_rules: Arc<ArchiveRules>,
    /// The owner's token. Steps of the upload, which belong to the client, run without one and use it nowhere.
    pub(crate) token: FencingToken,
    /// The client's source, where this process has it.
    pub(crate) source: Option<Payload>,
    /// When the first attempt of this step began.
    pub(crate) started_at: Timestamp,
    pub(crate) validation: Validation,
    /// What is done about evidence.
    pub(crate) evidence: Arc<EvidencePolicy>,
    pub(crate) reporter: Reporter,
}

impl StepContext {
    pub(crate) fn plan(&self) -> &DeploymentPlan {
        &self.state.plan
    }

    pub(crate) fn route(&self) -> RouteReference {
        RouteReference { environment: self.plane.environment.clone(), namespace: self.plane.namespace.clone() }
    }

    /// `incoming/<deployment id>`.
    pub(crate) fn incoming_key(&self) -> Result<ObjectKey> {
        ObjectKey::new(format!("incoming/{}", self.plan().id))
    }

    pub(crate) fn archive(&self) -> Result<&ArchiveReference> {
        match self.state.output(Step::PutArchive) {
            Some(StepOutput::Archive(archive)) => Ok(archive),
            _ => Err(missing(Step::PutArchive)),
        }
    }

    pub(crate) fn retained(&self) -> Result<&RetainedArchive> {
        match self.state.output(Step::RetainArchive) {
            Some(StepOutput::Retained(retained)) => Ok(retained),
            _ => Err(missing(Step::RetainArchive)),
        }
    }

    pub(crate) fn release(&self) -> Result<&BuiltRelease> {
        match self.state.output(Step::BuildImages) {
            Some(StepOutput::Release(release)) => Ok(release),
            _ => Err(missing(Step::BuildImages)),
        }
    }

    pub(crate) fn images(&self) -> Result<&std::collections::BTreeMap<Component, ImageReference>> {
        match self.state.output(Step::PushImages) {
            Some(StepOutput::Images(images)) => Ok(images),
            _ => Err(missing(Step::PushImages)),
        }
    }

    pub(crate) fn previous(&self) -> Result<(&TrafficSplit, &[ObjectIdentity])> {
        match self.state.output(Step::ObservePrevious) {
            Some(StepOutput::Previous { split, objects }) => Ok((split, objects)),
            _ => Err(missing(Step::ObservePrevious)),
        }
    }
}

fn missing(step: Step) -> Error {
    Error::new(ErrorCode::Internal, format!("the result of {step} is needed and is not in the journal"))
}

/// Tells listeners how a step goes, and keeps its lines for the journal.
#[derive(Clone)]
pub(crate) struct Reporter {
    step: Step,
    deployment: crate::model::DeploymentId,
    runtime: Arc<dyn Runtime>,
    log: Arc<EventLog>,
    lines: Arc<Mutex<Vec<String>>>,
    last: Arc<Mutex<Option<std::time::Duration>>>,
}

impl Reporter {
    /// Lines that are kept for the journal, a step.
    const LINES_MOST: usize = 500;
    /// Characters of a line.
    const LINE_MOST: usize = 2000;
    /// No more often than this, apart from the last one.
    const PROGRESS_EVERY: std::time::Duration = std::time::Duration::from_millis(100);

    pub(crate) fn new(
        step: Step,
        deployment: crate::model::DeploymentId,
        runtime: Arc<dyn Runtime>,
        log: Arc<EventLog>,
    ) -> Self {
        Self { step, deployment, runtime, log, lines: Arc::default(), last: Arc::default() }
    }

    /// A line that the step said; made printable and cut to length here.
    pub(crate) fn line(&self, line: &str) {
        let line = text::line(line, Self::LINE_MOST);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == Self::LINES_MOST {
            lines.push("further lines were not kept".to_owned());
        }
        if lines.len() > Self::LINES_MOST {
            return;
        }
        tracing::info!(target: "chalk_deploy::step", step = self.step.as_str(), "{line}");
        lines.push(line.clone());
        drop(lines);
        self.tell(EventKind::Log { stage: self.step.stage(), step: self.step, line });
    }

    /// How far the step is.
    pub(crate) fn progress(&self, done: u64, total: Option<u64>, unit: Unit) {
        let now = self.runtime.monotonic();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = total == Some(done);
        if !complete && last.is_some_and(|last| now.saturating_sub(last) < Self::PROGRESS_EVERY) {
            return;
        }
        *last = Some(now);
        drop(last);
        self.tell(EventKind::Progress { stage: self.step.stage(), step: self.step, done, total, unit });
    }

    /// The lines so far; they are recorded with the step's result.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, kind: EventKind) {
        self.log.extend([DeploymentEvent { kind, deployment_id: self.deployment.clone(), at: self.runtime.now() }]);
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Reporter({})", self.step)
    }
}
