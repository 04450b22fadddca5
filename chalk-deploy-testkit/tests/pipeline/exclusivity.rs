//! One rollout at a time in an environment, and nothing from an owner that was replaced.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::checkpoint::Checkpoints;
use chalk_deploy_core::cloud::{
    Cloud, FencingToken, ObservedTraffic, RouteReference, Settlement, TrafficChange, TrafficProbe, TrafficShifter,
};
use chalk_deploy_core::machine::{Event, Outcome, Step};
use chalk_deploy_core::model::{Backend, DeploymentId, DeploymentStatus, Promotion, TrafficSplit, Weight};
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_core::store::{HistoryQuery, LeaseHolder};
use chalk_deploy_core::{Deployer, ErrorCode, Result};
use chalk_deploy_testkit::fake::{BuildBehaviour, PodBehaviour, PodScope};
use chalk_deploy_testkit::{EmbeddedEnvironments, EmbeddedWorld, VirtualRuntime};
use futures::FutureExt as _;

use crate::house::{House, OBJECTS, Plan, assert_success, environment, request};

#[tokio::test(start_paused = true)]
async fn deployments_of_one_environment_are_rolled_out_one_after_the_other() {
    let house = House::new();
    let mut handles = Vec::new();
    for source in ["one", "two", "three"] {
        handles.push(house.deployer.apply(request(source)).await.expect("admitted"));
    }
    let mut spans = Vec::new();
    for handle in &handles {
        assert_success(&handle.wait().await.expect("it ends"));
        let journal = house.journal(handle.id()).await;
        let began =
            journal.iter().find(|event| matches!(event.event, Event::StepStarted { step: Step::BuildImages, .. }));
        spans.push((began.expect("built").at, journal.last().expect("ended").at));
    }
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
    assert_eq!(house.split().await, TrafficSplit::all_to(handles[2].id().clone()));
    let queued = house.journal(handles[2].id()).await.iter().any(|event| event.event == Event::Queued);
    assert!(queued, "the wait is visible as QUEUED");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_waits_for_its_turn_can_be_cancelled() {
    let house = House::new();
    house.world.builder().set_behaviour(BuildBehaviour::Hang);
    let first = house.deployer.apply(request("one")).await.expect("admitted");
    let second = house.deployer.apply(request("two")).await.expect("admitted");
    house.runtime.sleep(Duration::from_secs(5)).await;
    assert_eq!(house.deployer.status(second.id()).await.expect("known").status, DeploymentStatus::Queued);
    house.deployer.cancel(second.id()).await.expect("noted");
    assert_eq!(second.wait().await.expect("it ends").status, DeploymentStatus::Cancelled);
    house.deployer.cancel(first.id()).await.expect("noted");
    assert_eq!(first.wait().await.expect("it ends").status, DeploymentStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_a_living_owner_holds_is_refused_and_nothing_is_created() {
    let house = House::new();
    house.world.builder().set_behaviour(BuildBehaviour::Hang);
    house.deployer.apply(request("one")).await.expect("admitted");
    let other = House::of(Plan {
        seed: 2,
        store: Arc::clone(&house.store),
        world: house.world.world().clone(),
        ..Plan::default()
    });
    let error = other.deployer.apply(request("two")).await.expect_err("held");
    assert_eq!(error.code(), ErrorCode::LeaseHeld);
    assert!(error.sentence().contains(&format!("process {}", std::process::id())), "{}", error.sentence());
    assert_eq!(house.deployer.history(&HistoryQuery::default()).await.expect("readable").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_may_wait_gets_the_environment_when_its_owner_is_done() {
    let house = House::new();
    let first = house.deployer.apply(request("one")).await.expect("admitted");
    let store = Arc::clone(&house.store);
    let plan =
        Plan { store, world: house.world.world().clone(), lease_wait: Duration::from_mins(5), ..Plan::default() };
    let other = House::of(plan);
    let (second, outcome) = other.apply("two").await;
    assert_success(&outcome);
    assert!(first.wait().await.is_ok());
    assert_eq!(house.split().await, TrafficSplit::all_to(second));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_replaced_changes_nothing_any_more() {
    let house = House::new();
    house.apply("one").await;
    let production = house.production().await;
    house.world.cluster().set_behaviour(PodScope::All, PodBehaviour::NeverReady);
    let handle = house.deployer.apply(request("two")).await.expect("admitted");
    house.runtime.sleep(Duration::from_secs(20)).await;
    assert_eq!(house.deployer.status(handle.id()).await.expect("known").status, DeploymentStatus::Deploying);

    // Someone else finds the lease expired, as after a long pause of its owner.
    let usurper = LeaseHolder { name: "usurper".to_owned(), process: 1, started_at: house.runtime.now() };
    let later = house.runtime.now().plus(Duration::from_hours(1));
    house.store.acquire_lease(&environment(), &usurper, Duration::from_hours(1), later).await.expect("it has expired");
    let version = house.deployer.status(handle.id()).await.expect("known").version;

    let error = handle.wait().await.expect_err("it may not go on");
    assert_eq!(error.code(), ErrorCode::LeaseLost);
    assert_eq!(house.deployer.status(handle.id()).await.expect("known").version, version, "not a word in the journal");
    assert_eq!(house.split().await, production.split);
}

/// Moves the traffic, by another hand, when a moment is reached.
#[derive(Debug)]
struct Meddler {
    at: &'static str,
    world: EmbeddedWorld,
    /// Who gets it: all of it, or half of what someone has now.
    to: DeploymentId,
    half: bool,
}

impl Meddler {
    fn meddle(&self) {
        let (route, traffic) = (self.world.route(&environment()).expect("valid"), self.world.traffic());
        let current = traffic.observe(&route).now_or_never().expect("at once").expect("readable");
        let half = Weight::new(50).expect("a weight");
        let serving = current.split.serving().next().expect("someone serves").clone();
        let halves = [serving, self.to.clone()].map(|deployment| Backend { deployment, weight: half });
        let split = if self.half { TrafficSplit::new(halves) } else { Ok(TrafficSplit::all_to(self.to.clone())) };
        let change = TrafficChange {
            split: split.expect("sums to 100"),
            expected_version: current.version,
            token: FencingToken(current.token.0 + 10),
        };
        traffic.shift(&route, &change).now_or_never().expect("at once").expect("it is ready");
    }
}

impl Checkpoints for Meddler {
    fn reached(&self, name: &str) {
        if name == self.at {
            self.meddle();
        }
    }
}

/// One version serves, another one is held ready, and someone promotes it while a third is being deployed.
async fn meddled_with(at: &'static str, half: bool) -> (House, DeploymentId, Outcome) {
    let house = House::new();
    house.apply("one").await;
    let (held, _) = house.finish(request("two").with_promotion(Promotion::Hold)).await;
    let meddler = Meddler { at, world: house.world.clone(), to: held.clone(), half };
    let (store, world) = (Arc::clone(&house.store), house.world.world().clone());
    let next = House::of(Plan { seed: 2, store, world, checkpoints: Arc::new(meddler), ..Plan::default() });
    let (_, outcome) = next.apply("three").await;
    (house, held, outcome)
}

#[tokio::test(start_paused = true)]
async fn traffic_that_someone_else_moved_during_the_rollout_is_left_as_they_moved_it() {
    let (house, held, outcome) = meddled_with("rollout.await_ready/after-record", false).await;
    assert_eq!(outcome.status, DeploymentStatus::Failure);
    assert_eq!(outcome.error.expect("a reason").code, ErrorCode::ObjectConflict);
    assert_eq!(house.split().await, TrafficSplit::all_to(held));
    assert_eq!(house.production().await.objects.len(), 2 * OBJECTS, "the new version is removed, the two others stay");
}

#[tokio::test(start_paused = true)]
async fn traffic_that_someone_else_took_from_the_new_version_is_not_taken_back_by_the_undo() {
    let (house, held, outcome) = meddled_with("rollout.shift_traffic/after-record", false).await;
    assert_eq!(outcome.status, DeploymentStatus::Failure);
    assert_eq!(outcome.error.expect("a reason").code, ErrorCode::ObjectConflict);
    assert_eq!(house.split().await, TrafficSplit::all_to(held));
}

#[tokio::test(start_paused = true)]
async fn a_new_version_that_someone_else_gave_traffic_to_is_not_removed_under_it() {
    let (house, held, outcome) = meddled_with("rollout.shift_traffic/after-record", true).await;
    assert_eq!(outcome.status, DeploymentStatus::InternalError, "what was done could not be undone");
    assert_eq!(outcome.error.expect("a reason").code, ErrorCode::UndoFailed);
    assert!(!outcome.residue.is_empty());
    assert_eq!(house.split().await.weight_of(&held).percent(), 50, "as they left it");
    assert_eq!(house.production().await.objects.len(), 3 * OBJECTS, "all three versions are there");
}

/// A gateway whose probe sees the traffic move in the middle of its questions, and gets right answers all the same, as
/// one that asks at random may.
#[derive(Debug, Clone)]
struct LuckyGateway {
    meddler: Arc<Meddler>,
    answered: Arc<Mutex<Vec<DeploymentId>>>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl TrafficShifter for LuckyGateway {
    async fn observe(&self, route: &RouteReference) -> Result<ObservedTraffic> {
        self.meddler.world.traffic().observe(route).await
    }

    async fn shift(&self, route: &RouteReference, change: &TrafficChange) -> Result<ObservedTraffic> {
        self.meddler.world.traffic().shift(route, change).await
    }

    async fn settlement(&self, route: &RouteReference, stored: &ObservedTraffic) -> Result<Settlement> {
        self.meddler.world.traffic().settlement(route, stored).await
    }

    fn probe(&self) -> Option<Arc<dyn TrafficProbe>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl TrafficProbe for LuckyGateway {
    async fn ask(&self, route: &RouteReference) -> Result<DeploymentId> {
        let first = self.answered.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
        let answer = match first {
            Some(first) => first,
            None => self.meddler.world.traffic().probe().expect("it can be asked").ask(route).await?,
        };
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.push(answer.clone());
        if answered.len() == 2 {
            self.meddler.meddle();
        }
        Ok(answer)
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_of_right_answers_proves_nothing_about_traffic_that_moved_meanwhile() {
    let house = House::new();
    house.apply("one").await;
    let (held, _) = house.finish(request("two").with_promotion(Promotion::Hold)).await;
    let meddler = Arc::new(Meddler { at: "", world: house.world.clone(), to: held.clone(), half: false });
    let gateway = LuckyGateway { meddler, answered: Arc::default() };
    let cloud = Cloud { traffic: Arc::new(gateway.clone()), ..house.world.cloud() };
    let environments = EmbeddedEnvironments::any(house.world.clone()).with_cloud(cloud);
    let deployer = Deployer::builder(Arc::new(environments), Arc::clone(&house.store))
        .with_runtime(VirtualRuntime::new(2))
        .build()
        .expect("a deployer");
    let handle = deployer.apply(request("three")).await.expect("admitted");
    let outcome = handle.wait().await.expect("it ends");
    let answered = gateway.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(answered.len() == 5 && answered.iter().all(|answer| answer == handle.id()), "{answered:?}");
    assert_eq!(outcome.status, DeploymentStatus::Failure);
    assert_eq!(outcome.error.expect("a reason").code, ErrorCode::ObjectConflict);
    assert_eq!(house.split().await, TrafficSplit::all_to(held));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_retired_when_someone_else_moved_the_traffic_after_the_verification() {
    let (house, held, outcome) = meddled_with("rollout.verify/after-record", false).await;
    assert_eq!(outcome.status, DeploymentStatus::Success, "it was verified before");
    assert_eq!(outcome.residue.len(), 1, "{:?}", outcome.residue);
    assert_eq!(house.split().await, TrafficSplit::all_to(held));
    assert_eq!(house.production().await.objects.len(), 3 * OBJECTS, "all three versions are there");
}
