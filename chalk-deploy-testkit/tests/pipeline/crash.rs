//! The process stops at each checkpoint, inside effects too, and another one goes on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chalk_deploy_core::checkpoint::Checkpoints;
use chalk_deploy_core::evidence::EvidencePolicy;
use chalk_deploy_core::machine::{Event, Step};
use chalk_deploy_core::model::{DeploymentId, DeploymentStatus};
use chalk_deploy_core::store::{DeploymentStore, HistoryQuery, MemoryStore};
use chalk_deploy_testkit::fake::{FakeSigner, PodBehaviour, PodScope};
use chalk_deploy_testkit::{World, sample};
use futures::FutureExt as _;

use crate::house::{House, OBJECTS, Plan, assert_success, request};

/// Stops the driver at the n-th checkpoint by unwinding it, without a word on stderr. What was on its way to the journal
/// is lost, as in a real stop; the real SIGKILL is sent in the tests of the examples.
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
        // `created` is told to the caller of `apply`, not to the driver: the tests of the examples stop there.
        if name == "created" {
            return;
        }
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.push(name.to_owned());
        let stop = self.at == Some(reached.len());
        drop(reached);
        if stop {
            std::panic::resume_unwind(Box::new("stopped by the test"));
        }
    }
}

/// Passed after the end was recorded: nothing is left to resume.
const LAST: &str = "rollout.retire_previous/after-record";

struct Outside {
    world: World,
    store: Arc<MemoryStore>,
}

impl Outside {
    fn new() -> Self {
        Self { world: World::memory(), store: MemoryStore::new() }
    }

    /// Another process on the same store and world. Each has a seed of its own, which decides the ids that it makes.
    fn process(&self, seed: u64, checkpoints: Arc<dyn Checkpoints>) -> House {
        let store: Arc<dyn DeploymentStore> = self.store.clone();
        let evidence = EvidencePolicy::none().signed_by(Arc::new(FakeSigner::new("key")));
        House::of(Plan { seed, world: self.world.clone(), store, checkpoints, evidence, ..Plan::default() })
    }

    async fn unfinished(&self) -> DeploymentId {
        let records = self.store.history(&HistoryQuery::unfinished(None)).await.expect("readable");
        assert_eq!(records.len(), 1);
        records[0].plan.id.clone()
    }

    /// The whole world, byte for byte, but for the number of the owner. Ids come from the seeds, so that a stopped run
    /// and an unstopped one have the same.
    fn content(&self) -> BTreeMap<String, String> {
        let owner =
            |text: &str| text.replace("\"token\": 2", "\"token\": OWNER").replace("\"token\": 3", "\"token\": OWNER");
        let snapshot = self.world.snapshot().expect("readable");
        snapshot.into_iter().map(|(path, content)| (path, owner(&String::from_utf8_lossy(&content)))).collect()
    }
}

async fn stopped_at(point: usize, prepare: impl Fn(&House)) -> (Outside, Vec<String>, DeploymentId) {
    let outside = Outside::new();
    let (first, _) = outside.process(1, Arc::new(Stop::default())).apply("one").await;
    let stop = Stop::at(point);
    let house = outside.process(2, stop.clone());
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

#[tokio::test(start_paused = true)]
async fn a_deployment_stopped_at_any_checkpoint_is_resumed_to_the_same_end() {
    let names = checkpoints(|_| {}).await;
    for step in Step::FORWARD {
        for moment in ["before-effect", "after-effect", "after-record"] {
            let name = format!("{step}/{moment}");
            assert!(names.contains(&name), "{name} is not reached");
        }
    }
    assert!(names.iter().any(|name| name.ends_with("/between")), "the fakes stop between their writes: {names:?}");

    let (clean, _, _) = stopped_at(usize::MAX, |_| {}).await;
    let expected = clean.content();
    for point in 1..=names.len() {
        let (outside, reached, _) = stopped_at(point, |_| {}).await;
        let name = &reached[point - 1];
        if name != LAST {
            let id = outside.unfinished().await;
            let house = outside.process(3, Arc::new(Stop::default()));
            let handle = house.deployer.resume(&id, Some(sample::source("two"))).await.expect("resumed");
            assert_eq!(handle.id(), &id);
            assert_success(&handle.wait().await.expect("it ends"));
        }
        let content = outside.content();
        let differs: Vec<_> = expected
            .keys()
            .chain(content.keys())
            .filter(|path| expected.get(*path) != content.get(*path))
            .map(|path| (path, expected.get(path), content.get(path)))
            .collect();
        assert!(differs.is_empty(), "stopped at {name}: {differs:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_stopped_at_any_checkpoint_is_resumed_and_leaves_production_as_it_was() {
    let crash = |house: &House| house.world.cluster().set_behaviour(PodScope::All, PodBehaviour::Crash);
    let names = checkpoints(crash).await;
    assert!(names.iter().any(|name| name == "undo.remove_objects/after-effect"), "{names:?}");
    for point in 1..names.len() {
        let (outside, reached, first) = stopped_at(point, crash).await;
        let name = &reached[point - 1];
        let house = outside.process(3, Arc::new(Stop::default()));
        crash(&house);
        let id = outside.unfinished().await;
        let handle = house.deployer.resume(&id, Some(sample::source("two"))).await.expect("resumed");
        let outcome = handle.wait().await.expect("it ends");
        assert_eq!(outcome.status, DeploymentStatus::BootErrors, "stopped at {name}");
        let production = house.production().await;
        assert_eq!(production.split, chalk_deploy_core::model::TrafficSplit::all_to(first.clone()), "{name}");
        assert!(
            production.objects.iter().all(|object| !object.identity.reference.name.contains(id.as_str())),
            "{name}"
        );
        assert_eq!(production.objects.len(), OBJECTS, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_deployment_first_finishes_what_a_stopped_process_left() {
    let names = checkpoints(|_| {}).await;
    let point = names.iter().position(|name| name == "rollout.await_ready/before-effect").expect("reached") + 1;
    let (outside, _, _) = stopped_at(point, |_| {}).await;
    let left = outside.unfinished().await;
    let house = outside.process(3, Arc::new(Stop::default()));
    let (id, outcome) = house.apply("three").await;
    assert_success(&outcome);
    let left = house.deployer.outcome(&left).await.expect("readable").expect("it has ended");
    assert_eq!(left.status, DeploymentStatus::Success);
    assert_eq!(house.split().await, chalk_deploy_core::model::TrafficSplit::all_to(id));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_starts_goes_on_with_everything_unfinished() {
    let names = checkpoints(|_| {}).await;
    let point = names.iter().position(|name| name == "push.images/after-effect").expect("reached") + 1;
    let (outside, _, _) = stopped_at(point, |_| {}).await;
    let left = outside.unfinished().await;
    let house = outside.process(3, Arc::new(Stop::default()));
    let handles = house.deployer.resume_unfinished().await.expect("resumed");
    assert_eq!(handles.iter().map(chalk_deploy_core::DeploymentHandle::id).collect::<Vec<_>>(), [&left]);
    assert_success(&handles[0].wait().await.expect("it ends"));
    assert!(house.deployer.resume_unfinished().await.expect("nothing is left").is_empty());
}

/// Reads the journal at each moment of a step.
#[derive(Debug)]
struct Auditor {
    store: Arc<MemoryStore>,
    audited: Mutex<usize>,
}

impl Checkpoints for Auditor {
    fn reached(&self, name: &str) {
        let Some((step, moment)) = name.rsplit_once('/') else { return };
        let Some(step) = Step::ALL.iter().find(|known| known.as_str() == step) else { return };
        // The store in memory answers at once.
        let history = self.store.history(&HistoryQuery::default()).now_or_never().expect("at once").expect("readable");
        let id = &history[0].plan.id;
        let journal = self.store.events(id, 0).now_or_never().expect("at once").expect("readable");
        let begun =
            journal.iter().any(|event| matches!(&event.event, Event::StepStarted { step: of, .. } if of == step));
        let done =
            journal.iter().any(|event| matches!(&event.event, Event::StepSucceeded { step: of, .. } if of == step));
        let expected = match moment {
            "before-effect" | "after-effect" => (true, false),
            "after-record" => (true, true),
            _ => return,
        };
        assert_eq!((begun, done), expected, "{name}");
        *self.audited.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn an_intent_is_durable_before_its_effect_and_a_result_only_after_it() {
    let store = MemoryStore::new();
    let auditor = Arc::new(Auditor { store: store.clone(), audited: Mutex::default() });
    let house = House::of(Plan { store, checkpoints: auditor.clone(), ..Plan::default() });
    assert_success(&house.apply("one").await.1);
    assert_eq!(*auditor.audited.lock().unwrap_or_else(PoisonError::into_inner), 3 * Step::FORWARD.len());
}
