//! One deployment, from where its journal stands to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{AbortHandle, Abortable, Aborted, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tracing::Instrument as _;

use super::engine::Engine;
use super::journal::Journal;
use super::lane::{LaneEntry, Ticket};
use crate::cloud::{FencingToken, Payload};
use crate::error::{RecordedError, Retry};
use crate::machine::{Command, Event, Outcome, Stage, Step, StepOutput, StepProgress, decide, outcome};
use crate::model::{DataPlane, DeploymentId, DeploymentPolicy, DeploymentStatus, Timestamp};
use crate::observe::{EventLog, metric};
use crate::runtime::RuntimeExt as _;
use crate::stages::{self, Reporter, StepContext};
use crate::{Error, ErrorCode, Result};

/// How often a driver looks whether another process asked for the cancellation.
const LOOK_FOR_CANCEL: Duration = Duration::from_secs(1);

/// How far to go.
#[derive(Debug)]
pub(crate) enum Extent {
    /// The client's part: until the source has arrived. Needs no lease.
    Upload,
    /// To the end, as the owner of the environment.
    End {
        /// The right to work there.
        entry: LaneEntry,
        /// A place in the queue, if it was taken before.
        ticket: Option<Ticket>,
    },
}

impl Extent {
    /// Gives back the place in the queue and the right to work in the environment.
    pub(crate) async fn leave(self) {
        if let Self::End { entry, ticket } = self {
            drop(ticket);
            entry.leave().await;
        }
    }
}

/// What is to be driven.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) deployment: DeploymentId,
    pub(crate) source: Option<Payload>,
    pub(crate) log: Arc<EventLog>,
    /// Turns true when the cancellation is wanted.
    pub(crate) cancel: watch::Receiver<bool>,
}

/// Drives a deployment. `None` when it went as far as it was to go without ending.
///
/// # Errors
/// Those of the store, and `LEASE_LOST`: the deployment is unfinished then and can be resumed. A deployment that fails
/// is no error: it has an outcome.
pub(crate) async fn drive(engine: &Arc<Engine>, task: &Task, extent: &mut Extent) -> Result<Option<Outcome>> {
    let record = engine.store.deployment(&task.deployment).await?;
    let plane = engine.environments.resolve(&record.plan.environment).await?;
    let token = match extent {
        Extent::Upload => None,
        Extent::End { entry, .. } => Some(entry.lease().token),
    };
    let journal = Journal::load(engine, &task.deployment, token, &task.log).await?;
    let span = tracing::info_span!(
        "deployment",
        deployment_id = %task.deployment,
        environment = %record.plan.environment,
        project = %record.plan.project
    );
    let now = engine.runtime.monotonic();
    let mut driver = Driver {
        engine,
        task,
        plane,
        token: token.unwrap_or_default(),
        journal,
        running: FuturesUnordered::new(),
        in_flight: BTreeMap::new(),
        recorded: Vec::new(),
        closing: Vec::new(),
        cancel_wanted: record.cancel_requested,
        looked_at: now,
        renewed_at: now,
    };
    driver.run(extent).instrument(span).await
}

type Attempt = (Step, Result<Ended, Aborted>);

struct Ended {
    elapsed: Duration,
    lines: Vec<String>,
    result: Result<StepOutput>,
}

struct Driver<'a> {
    engine: &'a Arc<Engine>,
    task: &'a Task,
    plane: Arc<DataPlane>,
    token: FencingToken,
    journal: Journal,
    running: FuturesUnordered<BoxFuture<'static, Attempt>>,
    in_flight: BTreeMap<Step, AbortHandle>,
    /// Steps whose result is staged; the checkpoint after the record is theirs.
    recorded: Vec<Step>,
    /// Why the deployment is given up, recorded once nothing of it runs any more.
    closing: Vec<Event>,
    cancel_wanted: bool,
    looked_at: Duration,
    renewed_at: Duration,
}

impl Driver<'_> {
    async fn run(&mut self, extent: &mut Extent) -> Result<Option<Outcome>> {
        loop {
            let plan = self.next(extent)?;
            self.journal.flush().await?;
            for step in std::mem::take(&mut self.recorded) {
                self.checkpoint(step, "after-record");
            }
            if self.journal.state().finished.is_some() {
                let outcome = outcome(self.journal.state());
                self.measure_end(outcome.as_ref());
                return Ok(outcome);
            }
            for step in plan.start {
                self.start(step);
            }
            if matches!(extent, Extent::Upload) && self.in_flight.is_empty() && plan.uploaded {
                return Ok(None);
            }
            if !plan.again {
                self.wait(extent, plan.wake).await?;
            }
        }
    }

    /// Stages what follows from the state, and says what to start and how long to wait.
    fn next(&mut self, extent: &mut Extent) -> Result<Next> {
        let mut next = Next::default();
        let state = self.journal.state();
        if self.cancel_wanted && state.abandoned.is_none() && !state.is_committed() && self.closing.is_empty() {
            let error = Error::new(ErrorCode::Cancelled, "cancelled on request");
            self.closing.push(Event::Abandoned { error: error.record() });
        }
        if !self.closing.is_empty() {
            self.interrupt();
            if !self.in_flight.is_empty() {
                return Ok(next);
            }
            for event in std::mem::take(&mut self.closing) {
                self.journal.stage(event)?;
            }
        }
        let now = self.engine.runtime.now();
        for command in decide(self.journal.state(), now, self.plane.policy.drain) {
            match command {
                Command::Run { step, .. } if self.in_flight.contains_key(&step) => {}
                Command::Run { step, attempt } => self.plan_step(step, attempt, extent, &mut next)?,
                Command::WaitUntil(time) => {
                    next.wake = Some(next.wake.map_or(time, |wake: Timestamp| wake.min(time)));
                }
                Command::Abandon(error) => {
                    self.closing.push(Event::Abandoned { error });
                    next.again = true;
                    next.start.clear();
                }
                Command::Finish { status, error, residue } if self.in_flight.is_empty() => {
                    self.journal.stage(Event::Finished { status, error, residue })?;
                }
                Command::Finish { .. } => {}
            }
        }
        Ok(next)
    }

    fn plan_step(&mut self, step: Step, attempt: u32, extent: &mut Extent, next: &mut Next) -> Result<()> {
        let needs_turn = step.stage() != Stage::Upload;
        let source_arrived = self.journal.state().status != DeploymentStatus::AwaitingSource;
        match extent {
            Extent::Upload if source_arrived => {
                next.uploaded = true;
                return Ok(());
            }
            Extent::End { entry, ticket } if needs_turn => {
                let has_turn = ticket.get_or_insert_with(|| entry.ticket()).is_first();
                if !has_turn && self.journal.state().status == DeploymentStatus::Pending {
                    self.journal.stage(Event::Queued)?;
                }
                if !has_turn {
                    return Ok(());
                }
            }
            _ => {}
        }
        let open = self.journal.state().steps.get(&step).is_some_and(|state| state.progress == StepProgress::Running);
        if !open {
            self.journal.stage(Event::StepStarted { step, attempt })?;
        }
        next.start.push(step);
        Ok(())
    }

    fn start(&mut self, step: Step) {
        let runtime = Arc::clone(&self.engine.runtime);
        let reporter =
            Reporter::new(step, self.task.deployment.clone(), Arc::clone(&runtime), Arc::clone(&self.task.log));
        let state = Arc::new(self.journal.state().clone());
        let context = StepContext {
            plane: Arc::clone(&self.plane),
            started_at: state.steps.get(&step).map_or(state.plan.created_at, |state| state.started_at),
            state,
            store: Arc::clone(&self.engine.store),
            runtime: Arc::clone(&runtime),
            archive_rules: Arc::clone(&self.engine.archive_rules),
            token: self.token,
            source: self.task.source.clone(),
            validation: self.engine.validation,
            evidence: Arc::clone(&self.engine.evidence),
            reporter: reporter.clone(),
        };
        self.checkpoint(step, "before-effect");
        let stage_span = tracing::info_span!("stage", stage = step.stage().as_str());
        let step_span = tracing::info_span!(parent: &stage_span, "step", step = step.as_str());
        let effect = async move {
            let began = runtime.monotonic();
            let result = stages::run(step, &context).await;
            Ended { elapsed: runtime.monotonic().saturating_sub(began), lines: reporter.take_lines(), result }
        };
        let (abort, registration) = AbortHandle::new_pair();
        let effect = Abortable::new(effect.instrument(step_span).instrument(stage_span), registration);
        self.running.push(effect.map(move |ended| (step, ended)).boxed());
        self.in_flight.insert(step, abort);
    }

    /// Drops the steps that may be dropped. The others are let finish, so that nothing of theirs arrives after the undo.
    fn interrupt(&mut self) {
        for (step, abort) in &self.in_flight {
            if step.row().interruptible {
                abort.abort();
            }
        }
        self.in_flight.retain(|step, _| !step.row().interruptible);
    }

    async fn wait(&mut self, extent: &Extent, wake: Option<Timestamp>) -> Result<()> {
        let runtime = Arc::clone(&self.engine.runtime);
        let until_wake = wake.map_or(LOOK_FOR_CANCEL, |wake| wake.since(runtime.now()).min(LOOK_FOR_CANCEL));
        let mut cancel = self.task.cancel.clone();
        let wanted = self.cancel_wanted;
        tokio::select! {
            biased;
            Some((step, ended)) = self.running.next(), if !self.running.is_empty() => {
                if let Ok(ended) = ended {
                    self.end(step, ended)?;
                }
            }
            () = turn(extent) => {}
            _ = cancel.wait_for(|wanted| *wanted), if !wanted => self.cancel_wanted = *self.task.cancel.borrow(),
            () = runtime.sleep(until_wake) => {}
        }
        self.look_for_cancel().await?;
        self.renew(extent).await
    }

    /// Stages the result of a step.
    fn end(&mut self, step: Step, ended: Ended) -> Result<()> {
        if self.in_flight.remove(&step).is_none() {
            // It had finished at the moment at which it was interrupted; the undo covers it.
            return Ok(());
        }
        self.checkpoint(step, "after-effect");
        let label = ended.result.as_ref().err().map_or("ok", |error| error.code().as_str());
        self.engine.metrics.duration(
            metric::STEP_DURATION,
            ended.elapsed,
            &[("step", step.as_str()), ("result", label)],
        );
        for line in ended.lines {
            self.journal.stage(Event::Log { step, line })?;
        }
        match ended.result {
            Ok(output) => {
                self.journal.stage(Event::StepSucceeded { step, output: Box::new(output) })?;
                self.recorded.push(step);
                Ok(())
            }
            // Someone else owns the environment: nothing may be written any more, not even the failure.
            Err(error) if error.code() == ErrorCode::LeaseLost => Err(error),
            Err(error) => self.fail(step, &error),
        }
    }

    fn fail(&mut self, step: Step, error: &Error) -> Result<()> {
        let attempt = self.journal.state().steps.get(&step).map_or(1, |state| state.attempt);
        let recorded = error.record();
        let again = error.retry() == Retry::Temporary && attempt < self.plane.policy.attempts;
        if again && self.closing.is_empty() {
            self.engine
                .metrics
                .count(metric::STEP_RETRIES, &[("step", step.as_str()), ("code", error.code().as_str())]);
            let wait = self.engine.runtime.jittered(backoff(&self.plane.policy, attempt));
            let retry_at = Some(self.engine.runtime.now().plus(wait));
            tracing::warn!(step = step.as_str(), attempt, error = %recorded, "the step failed and will be tried again");
            self.recorded.push(step);
            return self.journal.stage(Event::StepFailed { step, attempt, error: recorded, retry_at });
        }
        let retry = if error.retry() == Retry::Temporary { Retry::Persistent } else { error.retry() };
        let error = RecordedError { retry, ..recorded };
        tracing::error!(step = step.as_str(), attempt, %error, "the step failed");
        let failed = Event::StepFailed { step, attempt, error, retry_at: None };
        let gives_up =
            !step.is_undo() && self.journal.state().abandoned.is_none() && !self.journal.state().is_committed();
        if gives_up {
            self.closing.push(failed);
            return Ok(());
        }
        self.recorded.push(step);
        self.journal.stage(failed)
    }

    async fn look_for_cancel(&mut self) -> Result<()> {
        let now = self.engine.runtime.monotonic();
        if self.cancel_wanted || now.saturating_sub(self.looked_at) < LOOK_FOR_CANCEL {
            return Ok(());
        }
        self.looked_at = now;
        match self.engine.store.deployment(&self.task.deployment).await {
            Ok(record) => self.cancel_wanted = record.cancel_requested,
            // The next append meets the same store, and decides.
            Err(error) if error.retry() == Retry::Temporary => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn renew(&mut self, extent: &Extent) -> Result<()> {
        let Extent::End { entry, .. } = extent else { return Ok(()) };
        let now = self.engine.runtime.monotonic();
        let age = now.saturating_sub(self.renewed_at);
        if age < self.engine.lease_term / 3 {
            return Ok(());
        }
        match self.engine.store.renew_lease(entry.lease(), self.engine.runtime.now()).await {
            Ok(()) => self.renewed_at = now,
            Err(error) if error.retry() == Retry::Temporary && age < self.engine.lease_term => {}
            Err(error) if error.retry() == Retry::Temporary => {
                entry.lost().await;
                return Err(Error::new(ErrorCode::LeaseLost, "the lease could not be renewed in time")
                    .on(format!("environment `{}`", entry.lease().environment))
                    .caused_by(error));
            }
            Err(error) => {
                entry.lost().await;
                return Err(error);
            }
        }
        Ok(())
    }

    fn checkpoint(&self, step: Step, moment: &str) {
        self.engine.checkpoints.reached(&format!("{step}/{moment}"));
    }

    fn measure_end(&self, outcome: Option<&Outcome>) {
        let Some(outcome) = outcome else { return };
        let plan = &self.journal.state().plan;
        let labels = [("environment", plan.environment.as_str()), ("status", outcome.status.as_str())];
        self.engine.metrics.count(metric::DEPLOYMENTS_FINISHED, &labels);
        let elapsed = self.engine.runtime.now().since(plan.created_at);
        self.engine.metrics.duration(metric::DEPLOYMENT_DURATION, elapsed, &labels);
    }
}

#[derive(Default)]
struct Next {
    start: Vec<Step>,
    wake: Option<Timestamp>,
    /// The state changed in a way that must be decided on at once.
    again: bool,
    /// The client's part is done.
    uploaded: bool,
}

/// Waits until it is this deployment's turn; for ever, if it has it or does not want it yet.
async fn turn(extent: &Extent) {
    match extent {
        Extent::End { ticket: Some(ticket), .. } if !ticket.is_first() => ticket.turn().await,
        _ => std::future::pending().await,
    }
}

fn backoff(policy: &DeploymentPolicy, attempt: u32) -> Duration {
    let doubled = policy.backoff.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    doubled.min(policy.backoff_most)
}
