//! Builds that this process works on: what they have said, and how they ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::folder::{Built, Made};
use super::platforms;
use crate::cloud::{BuildEvent, BuildState};
use crate::error::{RecordedError, Retry};
use crate::model::DeploymentId;
use crate::{Error, ErrorCode, Result};

/// The builds of this process.
#[derive(Default)]
pub(super) struct Table(Mutex<BTreeMap<DeploymentId, Arc<Running>>>);

impl Table {
    pub(super) fn get(&self, deployment: &DeploymentId) -> Option<Arc<Running>> {
        self.lock().get(deployment).cloned()
    }

    /// Starts one, unless it is there.
    pub(super) fn start(
        &self,
        deployment: &DeploymentId,
        spawn: impl FnOnce(Arc<Running>) -> tokio::task::JoinHandle<()>,
    ) -> Arc<Running> {
        let mut table = self.lock();
        if let Some(running) = table.get(deployment) {
            return running.clone();
        }
        table.retain(|_, running| !running.is_recorded());
        let running = Arc::new(Running::default());
        let task = spawn(running.clone()).abort_handle();
        running.state_of().task = Some(task);
        table.insert(deployment.clone(), running.clone());
        running
    }

    /// Stops one, if it is there.
    pub(super) fn remove(&self, deployment: &DeploymentId) {
        if let Some(running) = self.lock().remove(deployment) {
            running.stop();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeploymentId, Arc<Running>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Builds end with their builder.
impl Drop for Table {
    fn drop(&mut self) {
        for running in self.lock().values() {
            running.stop();
        }
    }
}

/// One build.
#[derive(Default)]
pub(super) struct Running {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    events: Vec<BuildEvent>,
    outcome: Option<Result<Vec<Made>, RecordedError>>,
    stopped: bool,
    task: Option<AbortHandle>,
}

impl Running {
    /// Something that happened.
    pub(super) fn say(&self, step: &str, line: String) {
        let mut state = self.state_of();
        let number = state.events.len() as u64 + 1;
        state.events.push(BuildEvent { number, step: step.to_owned(), line });
        drop(state);
        self.news.notify_waiters();
    }

    /// All that it has said.
    pub(super) fn events(&self) -> Vec<BuildEvent> {
        self.state_of().events.clone()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state_of().stopped
    }

    /// Whether its end is on the disk, so that nobody needs to remember it.
    fn is_recorded(&self) -> bool {
        match &self.state_of().outcome {
            None => false,
            Some(Ok(_)) => true,
            Some(Err(error)) => error.retry == Retry::Permanent,
        }
    }

    pub(super) fn outcome(&self) -> Option<Result<(), RecordedError>> {
        self.state_of().outcome.as_ref().map(|outcome| outcome.as_ref().map(drop).map_err(Clone::clone))
    }

    /// Ends the build, unless it was stopped: what was stopped must not record itself.
    pub(super) fn end(
        &self,
        result: Result<Built>,
        record: impl FnOnce(&[BuildEvent], &Result<Built, RecordedError>) -> Result<()>,
    ) {
        let outcome = result.map_err(|error| error.record());
        // The lock is held while it is recorded: whoever stops the build comes before that, or after.
        let mut state = self.state_of();
        if state.stopped {
            return;
        }
        state.outcome = Some(match record(&state.events, &outcome) {
            Ok(()) => outcome.map(|built| built.made),
            Err(error) => Err(error.record()),
        });
        drop(state);
        self.news.notify_waiters();
    }

    /// What has happened since; `None` when nothing has.
    pub(super) fn state(&self, after: u64) -> Option<BuildState> {
        let state = self.state_of();
        let events: Vec<_> = state.events.iter().filter(|event| event.number > after).cloned().collect();
        match &state.outcome {
            Some(Ok(made)) => Some(BuildState::Succeeded { events, images: platforms::images(made) }),
            Some(Err(error)) => Some(BuildState::Failed { events, error: error.clone() }),
            None if state.task.as_ref().is_some_and(AbortHandle::is_finished) => {
                let error = Error::new(ErrorCode::Internal, "the build panicked, or its runtime has ended").record();
                Some(BuildState::Failed { events, error })
            }
            None if events.is_empty() => None,
            None => Some(BuildState::Running { events }),
        }
    }

    /// Waits for something new; `None` when the build was stopped.
    pub(super) async fn news(&self, after: u64) -> Option<BuildState> {
        loop {
            let news = self.news.notified();
            if self.state_of().stopped {
                return None;
            }
            if let Some(state) = self.state(after) {
                return Some(state);
            }
            news.await;
        }
    }

    fn stop(&self) {
        let mut state = self.state_of();
        state.stopped = true;
        if let Some(task) = state.task.take() {
            task.abort();
        }
        drop(state);
        self.news.notify_waiters();
    }

    fn state_of(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives others their turn.
pub(super) async fn breathe() {
    tokio::task::yield_now().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_build_that_was_stopped_records_nothing_however_far_it_was() {
        let (table, deployment) = (Table::default(), DeploymentId::new(format!("c{}", "0".repeat(24))).expect("an id"));
        let running = table.start(&deployment, |_| tokio::spawn(std::future::pending()));
        table.remove(&deployment);
        running.end(Ok(Built::default()), |_, _| panic!("what was stopped records itself"));
        assert!(running.is_stopped() && running.outcome().is_none());
        assert!(running.news(0).await.is_none());
    }

    #[tokio::test]
    async fn an_end_that_cannot_be_recorded_is_a_failure() {
        let running = Running::default();
        running.end(Ok(Built::default()), |_, _| Err(Error::new(ErrorCode::CloudUnavailable, "the disk is full")));
        let error = running.outcome().expect("it has ended").expect_err("it failed");
        assert_eq!(error.code, ErrorCode::CloudUnavailable);
        assert!(!running.is_recorded());
    }
}
