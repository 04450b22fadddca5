//! One rollout at a time in an environment, and nothing from an owner that was replaced.

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::machine::{Event, Step};
use chalk_deploy_core::model::{DeploymentStatus, TrafficSplit};
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_core::store::{HistoryQuery, LeaseHolder};
use chalk_deploy_testkit::fake::{BuildBehaviour, PodBehaviour, PodScope};

use crate::house::{House, Plan, assert_success, environment, request};

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
