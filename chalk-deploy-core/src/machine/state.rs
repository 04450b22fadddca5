//! The fold from journal to state.
//!
//! ```text
//! step:        (absent) --started--> Running --succeeded--> Done
//!                                    Running --failed, retry_at--> Waiting --started--> Running
//!                                    Running --failed, no retry--> Failed   (a forward step: the deployment is given up,
//!                                                                            unless production already runs it)
//! deployment:  Created --> (Queued) --> forward steps --> Finished SUCCESS
//!                                      \--> Abandoned --> undo steps --> Finished, any other terminal status
//! ```

use std::collections::BTreeMap;

use super::event::{Event, RecordedEvent, StepOutput};
use super::step::Step;
use crate::error::RecordedError;
use crate::model::{DeploymentPlan, DeploymentStatus, Timestamp};
use crate::{Error, ErrorCode};

/// A deployment as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// What it is made from.
    pub plan: DeploymentPlan,
    /// The number of the last event; what the next append expects.
    pub version: u64,
    /// Where it is.
    pub status: DeploymentStatus,
    /// The steps that were begun.
    pub steps: BTreeMap<Step, StepState>,
    /// Why it is given up, if it is.
    pub abandoned: Option<RecordedError>,
    /// How it ended, if it did.
    pub finished: Option<Finish>,
}

/// Where a step is.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// When its first attempt began; time limits of a step count from here, so that a restart does not extend them.
    pub started_at: Timestamp,
    /// The number of the newest attempt.
    pub attempt: u32,
    /// What became of it.
    pub progress: StepProgress,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepProgress {
    /// Its effect may be done, half done or not done.
    Running,
    /// The attempt failed; the next one may begin at that time.
    Waiting {
        /// The time.
        retry_at: Timestamp,
        /// Why it failed.
        error: RecordedError,
    },
    /// It is done.
    Done {
        /// When its result was recorded.
        at: Timestamp,
        /// What it hands on.
        output: Box<StepOutput>,
    },
    /// It failed for good.
    Failed {
        /// When that was recorded.
        at: Timestamp,
        /// Why.
        error: RecordedError,
    },
}

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// When.
    pub at: Timestamp,
    /// The terminal status.
    pub status: DeploymentStatus,
    /// Why it is not a success.
    pub error: Option<RecordedError>,
    /// What could not be undone or removed.
    pub residue: Vec<String>,
}

/// An event that cannot follow on a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {sequence} cannot follow: {reason}")]
pub struct IllegalTransition {
    /// The event's number.
    pub sequence: u64,
    /// Why it cannot follow.
    pub reason: String,
}

impl From<IllegalTransition> for Error {
    fn from(illegal: IllegalTransition) -> Self {
        Self::new(ErrorCode::JournalCorrupt, "the journal contradicts itself").caused_by(illegal)
    }
}

/// Folds a whole journal.
///
/// # Errors
/// [`IllegalTransition`] for a journal that is empty, does not begin with its creation, has a gap, or contradicts
/// itself.
pub fn fold<'a>(events: impl IntoIterator<Item = &'a RecordedEvent>) -> Result<State, IllegalTransition> {
    let mut events = events.into_iter();
    let illegal = |sequence, reason: &str| IllegalTransition { sequence, reason: reason.to_owned() };
    let first = events.next().ok_or_else(|| illegal(0, "the journal is empty"))?;
    let Event::Created { plan } = &first.event else {
        return Err(illegal(first.sequence, "a journal begins with the creation of its deployment"));
    };
    if first.sequence != 1 {
        return Err(illegal(first.sequence, "the first event has the number 1"));
    }
    let mut state = State::created(plan.as_ref().clone());
    for event in events {
        state.advance(event)?;
    }
    Ok(state)
}

impl State {
    /// The state right after the creation of the record.
    pub fn created(plan: DeploymentPlan) -> Self {
        Self {
            plan,
            version: 1,
            status: DeploymentStatus::AwaitingSource,
            steps: BTreeMap::new(),
            abandoned: None,
            finished: None,
        }
    }

    /// Goes one event further.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the event is not in the table for this state, which then is as it was.
    pub fn advance(&mut self, recorded: &RecordedEvent) -> Result<(), IllegalTransition> {
        let illegal = |reason: String| IllegalTransition { sequence: recorded.sequence, reason };
        if recorded.sequence != self.version + 1 {
            return Err(illegal(format!("event {} was expected", self.version + 1)));
        }
        if self.finished.is_some() {
            return Err(illegal("the deployment is finished".to_owned()));
        }
        match &recorded.event {
            Event::Queued if self.abandoned.is_none() && self.status == DeploymentStatus::Pending => {
                self.status = DeploymentStatus::Queued;
            }
            Event::Log { .. } => {}
            Event::Abandoned { error } if self.abandoned.is_none() && !self.is_committed() => {
                self.abandoned = Some(error.clone());
            }
            Event::Finished { status, error, residue } if status.is_terminal() => {
                self.status = *status;
                self.finished =
                    Some(Finish { at: recorded.at, status: *status, error: error.clone(), residue: residue.clone() });
            }
            Event::StepStarted { step, attempt } => self.start(*step, *attempt, recorded.at).map_err(illegal)?,
            Event::StepSucceeded { step, output } => {
                let progress = StepProgress::Done { at: recorded.at, output: output.clone() };
                self.end(*step, None, progress).map_err(illegal)?;
                if *step == Step::PutArchive {
                    self.status = self.status.max(DeploymentStatus::Pending);
                }
            }
            Event::StepFailed { step, attempt, error, retry_at: Some(retry_at) } => {
                let progress = StepProgress::Waiting { retry_at: *retry_at, error: error.clone() };
                self.end(*step, Some(*attempt), progress).map_err(illegal)?;
            }
            Event::StepFailed { step, attempt, error, retry_at: None } => {
                let progress = StepProgress::Failed { at: recorded.at, error: error.clone() };
                self.end(*step, Some(*attempt), progress).map_err(illegal)?;
                if !step.is_undo() && self.abandoned.is_none() && !self.is_committed() {
                    self.abandoned = Some(error.clone());
                }
            }
            event => return Err(illegal(format!("{} is not possible in {}", event.name(), self.status))),
        }
        self.version = recorded.sequence;
        Ok(())
    }

    /// Whether production runs this deployment for good: from here on nothing is undone and a cancellation is refused.
    pub fn is_committed(&self) -> bool {
        self.is_done(Step::commit_point(&self.plan))
    }

    /// Whether a step's result is recorded.
    pub fn is_done(&self, step: Step) -> bool {
        matches!(self.steps.get(&step).map(|state| &state.progress), Some(StepProgress::Done { .. }))
    }

    /// Whether the journal has gone past a step without it, as journals of an older table have.
    pub fn is_past(&self, step: Step) -> bool {
        let waits = |later: &Step| later.row().after.contains(&step);
        step.may_be_lacking() && !self.steps.contains_key(&step) && self.steps.keys().any(waits)
    }

    /// What a step handed on, if it is done.
    pub fn output(&self, step: Step) -> Option<&StepOutput> {
        match self.steps.get(&step).map(|state| &state.progress) {
            Some(StepProgress::Done { output, .. }) => Some(output),
            _ => None,
        }
    }

    fn start(&mut self, step: Step, attempt: u32, at: Timestamp) -> Result<(), String> {
        if step.is_undo() != self.abandoned.is_some() {
            return Err(format!("{step} goes in the wrong direction"));
        }
        let met = |before: &Step| self.is_done(*before) || before.may_be_lacking() && !self.steps.contains_key(before);
        let ready = step.row().after.iter().all(met) && step.applies_to(&self.plan);
        if !step.is_undo() && !ready {
            return Err(format!("{step} is not ready to start"));
        }
        match self.steps.get_mut(&step) {
            None if attempt == 1 => {
                self.steps.insert(step, StepState { started_at: at, attempt, progress: StepProgress::Running });
            }
            Some(state @ StepState { progress: StepProgress::Waiting { .. }, .. }) if attempt == state.attempt + 1 => {
                state.attempt = attempt;
                state.progress = StepProgress::Running;
            }
            _ => return Err(format!("attempt {attempt} of {step} cannot start now")),
        }
        let status = match step {
            Step::BuildImages | Step::RetainArchive => DeploymentStatus::Working,
            Step::ObservePrevious => DeploymentStatus::Deploying,
            _ => return Ok(()),
        };
        self.status = self.status.max(status);
        Ok(())
    }

    fn end(&mut self, step: Step, attempt: Option<u32>, progress: StepProgress) -> Result<(), String> {
        match self.steps.get_mut(&step) {
            Some(state)
                if state.progress == StepProgress::Running
                    && attempt.is_none_or(|attempt| attempt == state.attempt) =>
            {
                state.progress = progress;
                Ok(())
            }
            _ => Err(format!("{step} is not running that attempt")),
        }
    }
}

impl Event {
    /// The name on the wire, for messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Queued => "queued",
            Self::StepStarted { .. } => "step_started",
            Self::StepSucceeded { .. } => "step_succeeded",
            Self::StepFailed { .. } => "step_failed",
            Self::Log { .. } => "log",
            Self::Abandoned { .. } => "abandoned",
            Self::Finished { .. } => "finished",
        }
    }
}
