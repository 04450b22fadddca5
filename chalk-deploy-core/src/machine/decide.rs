//! What is to be done in a state.

use super::event::StepOutput;
use super::state::{State, StepProgress};
use super::step::Step;
use crate::error::RecordedError;
use crate::model::{DeploymentStatus, Timestamp};
use crate::{Error, ErrorCode};

/// Something for the driver to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The effect of this step is to be running. If the journal has no open intent for it, this attempt's intent is
    /// recorded first; if it has one, a crash came in between, and the effect is run again under it.
    Run {
        /// The step.
        step: Step,
        /// The attempt.
        attempt: u32,
    },
    /// Nothing before this time, unless something running ends first.
    WaitUntil(Timestamp),
    /// Record that the deployment is given up.
    Abandon(RecordedError),
    /// Record its end.
    Finish {
        /// The terminal status.
        status: DeploymentStatus,
        /// Why it is not a success.
        error: Option<RecordedError>,
        /// What could not be undone or removed.
        residue: Vec<String>,
    },
}

/// What is to be done now. The same state and time give the same commands; a state in which only the outside world can
/// change something gives [`Command::WaitUntil`] its deadline.
///
/// `drain` is how long the old version is kept after the cutover was verified.
pub fn decide(state: &State, now: Timestamp, drain: std::time::Duration) -> Vec<Command> {
    if state.finished.is_some() {
        return Vec::new();
    }
    match &state.abandoned {
        Some(reason) => undo(state, reason, now),
        None => forward(state, now, drain),
    }
}

fn forward(state: &State, now: Timestamp, drain: std::time::Duration) -> Vec<Command> {
    let committed = state.is_committed();
    if !committed && now >= state.plan.deadline {
        let error = Error::new(ErrorCode::DeadlineExceeded, "the deployment did not finish before its deadline")
            .on(format!("deployment {}", state.plan.id));
        return vec![Command::Abandon(error.record())];
    }
    let mut commands = Vec::new();
    let mut residue = Vec::new();
    let mut open = false;
    for step in Step::FORWARD {
        if state.is_past(step) {
            continue;
        }
        let met = |before: &Step| state.is_done(*before) || state.is_past(*before);
        if !step.applies_to(&state.plan) || !step.row().after.iter().all(met) {
            open |= step.applies_to(&state.plan) && !state.is_done(step);
            continue;
        }
        match state.steps.get(&step).map(|step_state| (&step_state.progress, step_state.attempt)) {
            Some((StepProgress::Done { .. }, _)) => {}
            // Only possible after the commit point: before it, a failed step abandons the deployment.
            Some((StepProgress::Failed { error, .. }, _)) => residue.push(format!("{step}: {error}")),
            other => {
                open = true;
                commands.push(run_or_wait(state, step, other, now, drain));
            }
        }
    }
    if !open {
        return vec![Command::Finish { status: DeploymentStatus::Success, error: None, residue }];
    }
    if !committed {
        commands.push(Command::WaitUntil(state.plan.deadline));
    }
    commands
}

fn run_or_wait(
    state: &State,
    step: Step,
    progress: Option<(&StepProgress, u32)>,
    now: Timestamp,
    drain: std::time::Duration,
) -> Command {
    match progress {
        Some((StepProgress::Waiting { retry_at, .. }, _)) if now < *retry_at => Command::WaitUntil(*retry_at),
        Some((StepProgress::Waiting { .. }, attempt)) => Command::Run { step, attempt: attempt + 1 },
        Some((_, attempt)) => Command::Run { step, attempt },
        None => {
            let drained_at = match state.steps.get(&Step::VerifyTraffic).map(|verify| &verify.progress) {
                Some(StepProgress::Done { at, .. }) if step == Step::RetirePrevious && replaces(state) => {
                    at.plus(drain)
                }
                _ => now,
            };
            if now < drained_at { Command::WaitUntil(drained_at) } else { Command::Run { step, attempt: 1 } }
        }
    }
}

/// Whether something served before, whose requests under way are waited for.
fn replaces(state: &State) -> bool {
    !matches!(state.output(Step::ObservePrevious), Some(StepOutput::Previous { objects, .. }) if objects.is_empty())
}

/// The undo of every step that was begun. One that fails for good stops only those that wait for it: objects are not
/// removed while traffic may still go to them.
fn undo(state: &State, reason: &RecordedError, now: Timestamp) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut residue = Vec::new();
    let mut blocked: Vec<Step> = Vec::new();
    let mut open: Vec<Step> = Vec::new();
    for undo in Step::UNDO {
        let begun =
            Step::FORWARD.into_iter().any(|step| step.row().undo == Some(undo) && state.steps.contains_key(&step));
        if !begun {
            // What waits for it need not wait; but what it waits for itself must be passed on.
            if undo.row().after.iter().any(|before| blocked.contains(before)) {
                blocked.push(undo);
            } else if undo.row().after.iter().any(|before| open.contains(before)) {
                open.push(undo);
            }
            continue;
        }
        if undo.row().after.iter().any(|before| blocked.contains(before)) {
            residue.push(format!("{undo}: not tried, because an earlier step of the undo failed"));
            blocked.push(undo);
            continue;
        }
        if undo.row().after.iter().any(|before| open.contains(before)) {
            open.push(undo);
            continue;
        }
        match state.steps.get(&undo).map(|step_state| (&step_state.progress, step_state.attempt)) {
            Some((StepProgress::Done { .. }, _)) => {}
            Some((StepProgress::Failed { error, .. }, _)) => {
                residue.push(format!("{undo}: {error}"));
                blocked.push(undo);
            }
            other => {
                open.push(undo);
                commands.push(run_or_wait(state, undo, other, now, std::time::Duration::ZERO));
            }
        }
    }
    if !open.is_empty() {
        return commands;
    }
    if residue.is_empty() {
        return vec![Command::Finish { status: reason.code.terminal_status(), error: Some(reason.clone()), residue }];
    }
    let error = Error::new(ErrorCode::UndoFailed, format!("what was done could not be undone, after this: {reason}"))
        .on(format!("deployment {}", state.plan.id));
    vec![Command::Finish { status: DeploymentStatus::InternalError, error: Some(error.record()), residue }]
}
