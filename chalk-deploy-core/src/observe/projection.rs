//! From a journal to the events that a listener sees. Pure, so that a late listener sees what an early one saw.

use std::collections::BTreeMap;

use super::event::{DeploymentEvent, EventKind};
use crate::machine::{Event, IllegalTransition, RecordedEvent, Stage, State, Step, fold, outcome};
use crate::model::Timestamp;

/// Folds a journal and tells what each event means to a listener.
#[derive(Debug)]
pub(crate) struct Projection {
    state: State,
    stages: BTreeMap<Stage, Timestamp>,
}

impl Projection {
    /// From the journal's first event.
    pub(crate) fn begin(first: &RecordedEvent) -> Result<(Self, Vec<DeploymentEvent>), IllegalTransition> {
        let state = fold([first])?;
        let kinds = vec![
            EventKind::Created { project: state.plan.project.clone(), environment: state.plan.environment.clone() },
            EventKind::Status { status: state.status },
        ];
        let projection = Self { state, stages: BTreeMap::new() };
        let events = projection.dress(kinds, first.at);
        Ok((projection, events))
    }

    /// From one further event.
    pub(crate) fn next(&mut self, recorded: &RecordedEvent) -> Result<Vec<DeploymentEvent>, IllegalTransition> {
        let before = self.state.status;
        self.state.advance(recorded)?;
        let mut kinds = Vec::new();
        let status = self.state.status;
        if status != before && !status.is_terminal() {
            kinds.push(EventKind::Status { status });
        }
        self.tell(recorded, &mut kinds);
        Ok(self.dress(kinds, recorded.at))
    }

    /// The state so far.
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    fn tell(&mut self, recorded: &RecordedEvent, kinds: &mut Vec<EventKind>) {
        let at = recorded.at;
        match &recorded.event {
            Event::Created { .. } | Event::Queued => {}
            Event::StepStarted { step, attempt } => {
                let stage = step.stage();
                if !step.is_undo() && !self.stages.contains_key(&stage) {
                    self.stages.insert(stage, at);
                    kinds.push(EventKind::StageStarted { stage });
                }
                kinds.push(EventKind::StepStarted { stage, step: *step, attempt: *attempt });
            }
            Event::StepSucceeded { step, .. } => {
                let stage = step.stage();
                kinds.push(EventKind::StepFinished { stage, step: *step, elapsed_ms: self.since_start(*step, at) });
                let mut steps = stage.steps().filter(|step| step.applies_to(&self.state.plan));
                if !step.is_undo() && steps.all(|step| self.state.is_done(step)) {
                    let elapsed_ms = self.stages.get(&stage).map_or(0, |started| millis(at, *started));
                    kinds.push(EventKind::StageFinished { stage, elapsed_ms });
                }
            }
            Event::StepFailed { step, attempt, error, retry_at } => {
                let (stage, error) = (step.stage(), error.clone());
                kinds.push(match retry_at {
                    Some(retry_at) => EventKind::StepRetrying {
                        stage,
                        step: *step,
                        attempt: *attempt,
                        error,
                        wait_ms: millis(*retry_at, at),
                    },
                    None => EventKind::StepFailed { stage, step: *step, error },
                });
            }
            Event::Log { step, line } => {
                kinds.push(EventKind::Log { stage: step.stage(), step: *step, line: line.clone() });
            }
            Event::Abandoned { error } => kinds.push(EventKind::Abandoned { error: error.clone() }),
            Event::Finished { .. } => kinds.extend(outcome(&self.state).map(EventKind::Finished)),
        }
    }

    fn since_start(&self, step: Step, at: Timestamp) -> u64 {
        self.state.steps.get(&step).map_or(0, |state| millis(at, state.started_at))
    }

    fn dress(&self, kinds: Vec<EventKind>, at: Timestamp) -> Vec<DeploymentEvent> {
        let deployment_id = &self.state.plan.id;
        kinds.into_iter().map(|kind| DeploymentEvent { kind, deployment_id: deployment_id.clone(), at }).collect()
    }
}

fn millis(later: Timestamp, earlier: Timestamp) -> u64 {
    later.as_millis().saturating_sub(earlier.as_millis())
}
