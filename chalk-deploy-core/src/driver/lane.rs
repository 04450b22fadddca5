//! One rollout at a time in an environment: the lease keeps other processes out, the queue orders the deployments of
//! this one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::engine::Engine;
use crate::model::EnvironmentId;
use crate::store::Lease;
use crate::{ErrorCode, Result};

/// Between two tries to become the owner of an environment.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// The lanes of all environments.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<HashMap<EnvironmentId, Arc<Lane>>>);

/// One environment, as this process sees it.
#[derive(Debug)]
pub(crate) struct Lane {
    holding: tokio::sync::Mutex<Holding>,
    /// The tickets that are out. The smallest one has its turn.
    queue: watch::Sender<Queue>,
}

#[derive(Debug, Default)]
struct Holding {
    lease: Option<Lease>,
    users: usize,
}

#[derive(Debug, Default)]
struct Queue {
    issued: u64,
    waiting: BTreeSet<u64>,
}

impl Lanes {
    /// Enters an environment's lane, becoming its owner if this process is not yet.
    ///
    /// # Errors
    /// `LEASE_HELD` when a living owner kept it for as long as the engine waits.
    pub(crate) async fn enter(engine: &Arc<Engine>, environment: &EnvironmentId) -> Result<LaneEntry> {
        let lane = {
            let mut lanes = engine.lanes.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(lanes.entry(environment.clone()).or_insert_with(|| {
                Arc::new(Lane { holding: tokio::sync::Mutex::default(), queue: watch::Sender::default() })
            }))
        };
        let mut holding = lane.holding.lock().await;
        let lease = match &holding.lease {
            Some(lease) => lease.clone(),
            None => acquire(engine, environment).await?,
        };
        holding.lease = Some(lease.clone());
        holding.users += 1;
        drop(holding);
        Ok(LaneEntry { engine: Arc::clone(engine), lane, lease })
    }
}

async fn acquire(engine: &Engine, environment: &EnvironmentId) -> Result<Lease> {
    let began = engine.runtime.monotonic();
    loop {
        let now = engine.runtime.now();
        let acquired = engine.store.acquire_lease(environment, &engine.holder, engine.lease_term, now).await;
        let waited = engine.runtime.monotonic().saturating_sub(began);
        match acquired {
            Err(error) if error.code() == ErrorCode::LeaseHeld && waited < engine.lease_wait => {
                engine.runtime.sleep(TRY_EVERY).await;
            }
            result => return result,
        }
    }
}

/// The right to work in an environment. Given back with [`leave`](Self::leave).
#[derive(Debug)]
pub(crate) struct LaneEntry {
    engine: Arc<Engine>,
    lane: Arc<Lane>,
    lease: Lease,
}

impl LaneEntry {
    pub(crate) const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// A place in the queue of rollouts.
    pub(crate) fn ticket(&self) -> Ticket {
        let mut number = 0;
        self.lane.queue.send_modify(|queue| {
            queue.issued += 1;
            number = queue.issued;
            queue.waiting.insert(number);
        });
        Ticket { lane: Arc::clone(&self.lane), number }
    }

    /// Gives the right back; the last one out gives the environment up.
    pub(crate) async fn leave(self) {
        let mut holding = self.lane.holding.lock().await;
        holding.users = holding.users.saturating_sub(1);
        if holding.users > 0 {
            return;
        }
        if let Some(lease) = holding.lease.take()
            && let Err(error) = self.engine.store.release_lease(&lease).await
        {
            // It ends with its term, or with this process.
            tracing::warn!(environment = %lease.environment, %error, "the lease could not be given up");
        }
    }

    /// Forgets a lease that was lost, so that the next one who enters asks for a new one.
    pub(crate) async fn lost(&self) {
        let mut holding = self.lane.holding.lock().await;
        if holding.lease.as_ref().is_some_and(|lease| lease.token == self.lease.token) {
            holding.lease = None;
        }
    }
}

/// A place in the queue; the place is given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    lane: Arc<Lane>,
    number: u64,
}

impl Ticket {
    /// Whether it is this one's turn.
    pub(crate) fn is_first(&self) -> bool {
        self.lane.queue.borrow().waiting.first() == Some(&self.number)
    }

    /// Waits for this one's turn.
    pub(crate) async fn turn(&self) {
        let mut queue = self.lane.queue.subscribe();
        // The sender lives in the lane that this ticket holds, so this cannot fail.
        let _ = queue.wait_for(|queue| queue.waiting.first() == Some(&self.number)).await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.lane.queue.send_modify(|queue| {
            queue.waiting.remove(&self.number);
        });
    }
}
