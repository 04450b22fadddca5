//! One deployment's journal as its writer sees it: events are staged, then made durable together.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use crate::cloud::FencingToken;
use crate::error::Retry;
use crate::machine::{Event, RecordedEvent, State, fold};
use crate::model::{DeploymentId, Timestamp};
use crate::observe::{EventLog, Projection, metric};
use crate::store::Append;
use crate::{Error, ErrorCode, Result};

/// How often an append is tried while the store stays away.
const ATTEMPTS: u32 = 6;
/// The wait after the first failed append; it doubles.
const BACKOFF: Duration = Duration::from_millis(200);

/// The state that a journal tells.
pub(crate) async fn load_state(engine: &Engine, deployment: &DeploymentId) -> Result<State> {
    let events = engine.store.events(deployment, 0).await?;
    fold(&events).map_err(|illegal| Error::from(illegal).on(format!("deployment {deployment}")))
}

#[derive(Debug)]
pub(crate) struct Journal {
    engine: Arc<Engine>,
    token: Option<FencingToken>,
    /// The state with everything that is staged.
    state: State,
    staged: Vec<RecordedEvent>,
    projection: Projection,
    log: Arc<EventLog>,
}

impl Journal {
    /// Loads the journal and tells the listeners what was before.
    pub(crate) async fn load(
        engine: &Arc<Engine>,
        deployment: &DeploymentId,
        token: Option<FencingToken>,
        log: &Arc<EventLog>,
    ) -> Result<Self> {
        let corrupt = |illegal| Error::from(illegal).on(format!("deployment {deployment}"));
        let events = engine.store.events(deployment, 0).await?;
        let state = fold(&events).map_err(corrupt)?;
        let Some((first, rest)) = events.split_first() else {
            return Err(
                Error::new(ErrorCode::JournalCorrupt, "the journal is empty").on(format!("deployment {deployment}"))
            );
        };
        let (mut projection, told) = Projection::begin(first).map_err(corrupt)?;
        log.extend(told);
        for event in rest {
            log.extend(projection.next(event).map_err(corrupt)?);
        }
        Ok(Self { engine: Arc::clone(engine), token, state, staged: Vec::new(), projection, log: Arc::clone(log) })
    }

    /// The state, with what is staged.
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// Adds an event to the next append.
    pub(crate) fn stage(&mut self, event: Event) -> Result<()> {
        let recorded = RecordedEvent { sequence: self.state.version + 1, at: self.now(), event };
        self.state.advance(&recorded)?;
        self.staged.push(recorded);
        Ok(())
    }

    /// Makes what is staged durable, in one append, then tells the listeners. After an error the journal must be loaded
    /// again: what was staged may or may not have been recorded.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        let Some(first) = self.staged.first() else { return Ok(()) };
        let append = Append {
            deployment: self.state.plan.id.clone(),
            expected_version: first.sequence - 1,
            token: self.token,
            events: std::mem::take(&mut self.staged),
            status: self.state.status,
        };
        let started = self.engine.runtime.monotonic();
        self.append(&append).await?;
        let elapsed = self.engine.runtime.monotonic().saturating_sub(started);
        self.engine.metrics.duration(metric::JOURNAL_APPEND, elapsed, &[]);
        for event in &append.events {
            let told = self.projection.next(event)?;
            // Lines were told when they were said.
            if !matches!(event.event, Event::Log { .. }) {
                self.log.extend(told);
            }
        }
        Ok(())
    }

    /// Time never goes back within a journal, even if the clock does.
    fn now(&self) -> Timestamp {
        let last = self.staged.last().map_or(self.state.plan.created_at, |event| event.at);
        self.engine.runtime.now().max(last)
    }

    async fn append(&self, append: &Append) -> Result<()> {
        let mut wait = BACKOFF;
        let mut attempt = 1;
        loop {
            let error = match self.engine.store.append(append).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.code() != ErrorCode::StoreUnavailable || error.retry() != Retry::Temporary {
                return Err(error);
            }
            if attempt == ATTEMPTS {
                return Err(error.with_retry(Retry::Persistent));
            }
            self.engine.runtime.sleep(wait).await;
            wait *= 2;
            attempt += 1;
            // The answer may have been lost after the commit.
            match self.engine.store.events(&append.deployment, append.expected_version).await {
                Ok(events) if events == append.events => return Ok(()),
                Ok(events) if !events.is_empty() => {
                    return Err(Error::new(ErrorCode::VersionConflict, "someone else has written to the journal")
                        .on(format!("deployment {}", append.deployment)));
                }
                _ => {}
            }
        }
    }
}
