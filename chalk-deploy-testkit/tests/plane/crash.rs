//! The process stops at each checkpoint and around each request that changes something, and another one goes on.

use std::sync::{Arc, Mutex, PoisonError};

use chalk_deploy_core::checkpoint::Checkpoints;
use chalk_deploy_core::cloud::Payload;
use chalk_deploy_core::machine::Step;
use chalk_deploy_core::model::{DeploymentId, DeploymentStatus, TrafficSplit};
use chalk_deploy_core::store::HistoryQuery;
use chalk_deploy_testkit::fake::PodScope;
use chalk_deploy_testkit::simulated::kubernetes::PodBehaviour;
use chalk_deploy_testkit::simulated::plane::PlaneSettings;

use crate::house::{House, Outside, Plan, Production, archive, assert_success, request};

/// Stops the driver at the n-th checkpoint by unwinding it, without a word on stderr. The servers go with their process,
/// and what they have not acknowledged with them.
#[derive(Debug, Default)]
struct Stop {
    at: Option<usize>,
    reached: Mutex<Vec<String>>,
}

impl Stop {
    fn at(at: usize) -> Arc<Self> {
        Arc::new(Self { at: Some(at), reached: Mutex::default() })
    }

    fn names(&self) -> Vec<String> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Checkpoints for Stop {
    fn reached(&self, name: &str) {
        // `created` is told to the caller of `apply`, and what is provided before is the test's own.
        if name == "created" {
            return;
        }
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        // Builds are tasks of their own: with one task, all must stop, as those of a process that was killed.
        let stopped = self.at.is_some_and(|at| reached.len() >= at);
        if !stopped {
            reached.push(name.to_owned());
        }
        let stop = stopped || self.at == Some(reached.len());
        drop(reached);
        if stop {
            std::panic::resume_unwind(Box::new("stopped by the test"));
        }
    }
}

/// Passed after the end was recorded: nothing is left to resume.
const LAST: &str = "rollout.retire_previous/after-record";

fn process(outside: &Outside, seed: u64, checkpoints: Arc<dyn Checkpoints>) -> House {
    let defaults = Plan::default();
    let settings = PlaneSettings { checkpoints: checkpoints.clone(), ..defaults.settings };
    House::of(Plan { seed, outside: outside.clone(), checkpoints, settings, ..defaults })
}

async fn stopped_at(point: usize, prepare: impl Fn(&House)) -> (Outside, Vec<String>, DeploymentId) {
    let outside = Outside::new();
    let first = {
        let house = process(&outside, 1, Arc::new(Stop::default()));
        house.apply("one").await.0
    };
    let stop = Stop::at(point);
    let house = process(&outside, 2, stop.clone());
    prepare(&house);
    let handle = house.deployer.apply(request("two")).await.expect("admitted");
    let ended = handle.wait().await;
    if point <= stop.names().len() {
        ended.expect_err("the driver was stopped");
    }
    (outside, stop.names(), first)
}

async fn checkpoints(prepare: impl Fn(&House)) -> Vec<String> {
    stopped_at(usize::MAX, prepare).await.1
}

async fn unfinished(outside: &Outside) -> DeploymentId {
    let records = outside.store.history(&HistoryQuery::unfinished(None)).await.expect("readable");
    assert_eq!(records.len(), 1);
    records[0].plan.id.clone()
}

/// What is left in the world, whoever made it.
async fn left(house: &House) -> (Production, Vec<String>, Vec<String>) {
    (house.composition().await, house.keys().await, house.tags().into_iter().collect())
}

#[tokio::test(start_paused = true)]
async fn a_deployment_stopped_at_any_moment_is_resumed_to_the_same_end() {
    let names = checkpoints(|_| {}).await;
    for step in Step::FORWARD {
        for moment in ["before-effect", "after-effect", "after-record"] {
            let name = format!("{step}/{moment}");
            assert!(names.contains(&name), "{name} is not reached");
        }
    }
    for server in ["registry", "kubernetes", "bucket"] {
        assert!(names.iter().any(|name| name.starts_with(server)), "{server} is not written to: {names:?}");
    }
    let expected = {
        let (outside, _, _) = stopped_at(usize::MAX, |_| {}).await;
        left(&process(&outside, 3, Arc::new(Stop::default()))).await
    };
    for point in 1..=names.len() {
        let (outside, reached, _) = stopped_at(point, |_| {}).await;
        let name = &reached[point - 1];
        let house = process(&outside, 3, Arc::new(Stop::default()));
        if name != LAST {
            let id = unfinished(&outside).await;
            let source = Payload::from_bytes(archive("two"));
            let handle = house.deployer.resume(&id, Some(source)).await.expect("resumed");
            assert_eq!(handle.id(), &id);
            assert_success(&handle.wait().await.expect("it ends"));
        }
        assert_eq!(left(&house).await, expected, "stopped at {name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_stopped_at_any_moment_is_resumed_and_leaves_production_as_it_was() {
    let never = |house: &House| house.plane.cluster().set_behaviour(PodScope::All, PodBehaviour::ImagePullFailed);
    let names = checkpoints(never).await;
    assert!(names.iter().any(|name| name == "undo.remove_objects/after-effect"), "{names:?}");
    let begun = names.iter().position(|name| name.starts_with("undo.")).expect("there is an undo") + 1;
    for point in begun..names.len() {
        let (outside, reached, first) = stopped_at(point, never).await;
        let name = &reached[point - 1];
        let house = process(&outside, 3, Arc::new(Stop::default()));
        never(&house);
        let id = unfinished(&outside).await;
        let handle = house.deployer.resume(&id, None).await.expect("resumed");
        let outcome = handle.wait().await.expect("it ends");
        assert_eq!(outcome.status, DeploymentStatus::BootErrors, "stopped at {name}");
        let production = house.production().await;
        assert_eq!(production.split, TrafficSplit::all_to(first.clone()), "{name}");
        assert!(production.objects.keys().all(|object| object.contains(first.as_str())), "{name}: {production:?}");
    }
}
