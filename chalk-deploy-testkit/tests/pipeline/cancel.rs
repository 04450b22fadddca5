//! Cancelling, at any moment.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chalk_deploy_core::checkpoint::Checkpoints;
use chalk_deploy_core::model::{DeploymentStatus, TrafficSplit};
use chalk_deploy_core::store::{DeploymentStore, HistoryQuery, MemoryStore};
use chalk_deploy_core::{Deployer, ErrorCode};
use tokio::runtime::Handle;

use crate::house::{House, Plan, request};

/// Asks for the cancellation of whatever runs when the n-th checkpoint is reached.
#[derive(Debug, Default)]
struct CancelAt {
    at: usize,
    reached: Mutex<Vec<String>>,
    deployer: OnceLock<Deployer>,
}

impl Checkpoints for CancelAt {
    fn reached(&self, name: &str) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.push(name.to_owned());
        if reached.len() == self.at
            && let Some(deployer) = self.deployer.get().cloned()
        {
            Handle::current().spawn(async move {
                for record in deployer.history(&HistoryQuery::unfinished(None)).await.expect("readable") {
                    // Refused once production runs it: that is one of the two outcomes.
                    let _ = deployer.cancel(&record.plan.id).await;
                }
            });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_cancelled_at_any_checkpoint_leaves_production_as_it_was_or_has_replaced_it() {
    let mut at = 0;
    let (mut cancelled, mut succeeded) = (0, 0);
    loop {
        at += 1;
        let checkpoints = Arc::new(CancelAt { at: 0, ..CancelAt::default() });
        let store: Arc<dyn DeploymentStore> = MemoryStore::new();
        let world = chalk_deploy_testkit::World::memory();
        let before = House::of(Plan { world: world.clone(), store: store.clone(), checkpoints, ..Plan::default() });
        before.apply("one").await;
        let production = before.production().await;

        let checkpoints = Arc::new(CancelAt { at, ..CancelAt::default() });
        let house = House::of(Plan { seed: 2, world, store, checkpoints: checkpoints.clone(), ..Plan::default() });
        checkpoints.deployer.set(house.deployer.clone()).expect("set once");
        let (id, outcome) = house.apply("two").await;
        let names = checkpoints.reached.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if names.len() < at {
            break;
        }
        let name = &names[at - 1];
        match outcome.status {
            DeploymentStatus::Cancelled => {
                cancelled += 1;
                assert_eq!(house.production().await, production, "cancelled at {name}");
                assert!(!house.tags().contains_key(id.as_str()), "{name}");
                assert!(house.keys().await.iter().all(|key| !key.starts_with("incoming/")), "{name}");
            }
            DeploymentStatus::Success => {
                succeeded += 1;
                assert_eq!(house.split().await, TrafficSplit::all_to(id), "cancelled too late, at {name}");
            }
            other => panic!("cancelled at {name}, it ended in {other}: {:?}", outcome.error),
        }
    }
    assert!(cancelled > 20 && succeeded >= 1, "{cancelled} cancelled, {succeeded} too late");
}

#[tokio::test(start_paused = true)]
async fn asking_again_changes_nothing_and_a_finished_deployment_cannot_be_cancelled() {
    let house = House::new();
    house.world.builder().set_behaviour(chalk_deploy_testkit::fake::BuildBehaviour::Hang);
    let handle = house.deployer.apply(request("one")).await.expect("admitted");
    house.deployer.cancel(handle.id()).await.expect("noted");
    house.deployer.cancel(handle.id()).await.expect("noted again");
    assert_eq!(handle.wait().await.expect("it ends").status, DeploymentStatus::Cancelled);
    let error = house.deployer.cancel(handle.id()).await.expect_err("it has ended");
    assert_eq!(error.code(), ErrorCode::DeploymentFinal);
    assert_eq!(house.split().await, TrafficSplit::nothing());
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_another_process_asks_for_is_seen() {
    let store: Arc<dyn DeploymentStore> = MemoryStore::new();
    let house = House::of(Plan { store: store.clone(), ..Plan::default() });
    house.world.builder().set_behaviour(chalk_deploy_testkit::fake::BuildBehaviour::Hang);
    let handle = house.deployer.apply(request("one")).await.expect("admitted");
    let elsewhere = House::of(Plan { store, ..Plan::default() });
    elsewhere.deployer.cancel(handle.id()).await.expect("noted in the store");
    assert_eq!(handle.wait().await.expect("it ends").status, DeploymentStatus::Cancelled);
}
