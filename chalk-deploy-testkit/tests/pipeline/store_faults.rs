//! A store that does not answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::machine::{RecordedEvent, fold};
use chalk_deploy_core::model::{DeploymentId, DeploymentPlan, Digest, EnvironmentId, Timestamp};
use chalk_deploy_core::store::{
    Append, Creation, DeploymentRecord, DeploymentStore, HistoryQuery, Lease, LeaseHolder, MemoryStore,
};
use chalk_deploy_core::{Error, ErrorCode, Result};

use crate::house::{House, OBJECTS, Plan, assert_success, request};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// The append is done, and its answer is lost.
    AnswerLost,
    /// The append is not done.
    NotDone,
    /// Neither this one nor any later one is done.
    AwayFromHere,
}

/// A store whose n-th append meets a fault.
#[derive(Debug)]
struct Flaky {
    inner: Arc<MemoryStore>,
    at: usize,
    fault: Fault,
    appends: Mutex<usize>,
}

impl Flaky {
    fn new(inner: &Arc<MemoryStore>, at: usize, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), at, fault, appends: Mutex::default() })
    }

    fn appends(&self) -> usize {
        *self.appends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DeploymentStore for Flaky {
    async fn create(&self, plan: &DeploymentPlan, graph: &Bytes) -> Result<Creation> {
        self.inner.create(plan, graph).await
    }

    async fn append(&self, append: &Append) -> Result<()> {
        let number = {
            let mut appends = self.appends.lock().unwrap_or_else(PoisonError::into_inner);
            *appends += 1;
            *appends
        };
        let away = || Err(Error::new(ErrorCode::StoreUnavailable, "the database does not answer"));
        match self.fault {
            Fault::AnswerLost if number == self.at => {
                self.inner.append(append).await?;
                away()
            }
            Fault::NotDone if number == self.at => away(),
            Fault::AwayFromHere if number >= self.at => away(),
            _ => self.inner.append(append).await,
        }
    }

    async fn events(&self, deployment: &DeploymentId, after: u64) -> Result<Vec<RecordedEvent>> {
        self.inner.events(deployment, after).await
    }

    async fn deployment(&self, deployment: &DeploymentId) -> Result<DeploymentRecord> {
        self.inner.deployment(deployment).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<DeploymentRecord>> {
        self.inner.history(query).await
    }

    async fn graph(&self, digest: &Digest) -> Result<Option<Bytes>> {
        self.inner.graph(digest).await
    }

    async fn request_cancel(&self, deployment: &DeploymentId) -> Result<()> {
        self.inner.request_cancel(deployment).await
    }

    async fn acquire_lease(
        &self,
        environment: &EnvironmentId,
        holder: &LeaseHolder,
        term: Duration,
        now: Timestamp,
    ) -> Result<Lease> {
        self.inner.acquire_lease(environment, holder, term, now).await
    }

    async fn renew_lease(&self, lease: &Lease, now: Timestamp) -> Result<()> {
        self.inner.renew_lease(lease, now).await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        self.inner.release_lease(lease).await
    }
}

async fn appends_of_a_deployment() -> usize {
    let store = Flaky::new(&MemoryStore::new(), 0, Fault::NotDone);
    House::of(Plan { store: store.clone(), ..Plan::default() }).apply("one").await;
    store.appends()
}

#[tokio::test(start_paused = true)]
async fn an_append_whose_answer_is_lost_or_that_fails_once_leaves_no_trace() {
    let appends = appends_of_a_deployment().await;
    assert!(appends > 15, "{appends}");
    for at in 1..=appends {
        for fault in [Fault::AnswerLost, Fault::NotDone] {
            let store = Flaky::new(&MemoryStore::new(), at, fault);
            let house = House::of(Plan { store, ..Plan::default() });
            let (id, outcome) = house.apply("one").await;
            assert_success(&outcome);
            let journal = house.journal(&id).await;
            fold(&journal).expect("nothing stands twice in the journal");
            assert_eq!(house.faults.count("builder", "submit"), 1, "append {at}, {fault:?}");
            assert_eq!(house.faults.count("cluster", "apply"), OBJECTS as u64, "append {at}, {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_stops_everything_and_the_deployment_is_resumed_when_it_is_back() {
    let appends = appends_of_a_deployment().await;
    for at in 1..=appends {
        let memory = MemoryStore::new();
        let store = Flaky::new(&memory, at, Fault::AwayFromHere);
        let house = House::of(Plan { store, ..Plan::default() });
        let handle = house.deployer.apply(request("one")).await.expect("admitted");
        let error = handle.wait().await.expect_err("it cannot go on");
        assert_eq!(error.code(), ErrorCode::StoreUnavailable, "append {at}");

        let world = house.world.world().clone();
        let back = House::of(Plan { seed: 2, store: memory, world, ..Plan::default() });
        let source = chalk_deploy_testkit::sample::source("one");
        let resumed = back.deployer.resume(handle.id(), Some(source)).await.expect("resumed");
        assert_success(&resumed.wait().await.expect("it ends"));
    }
}
