//! What listeners see.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chalk_deploy_core::machine::{Stage, Step};
use chalk_deploy_core::observe::{DeploymentEvent, EventKind, Metrics, metric};
use futures::StreamExt as _;

use crate::house::{House, Plan, no_answer, request};

async fn all(stream: chalk_deploy_core::observe::EventStream) -> Vec<DeploymentEvent> {
    stream.collect().await
}

#[tokio::test(start_paused = true)]
async fn a_late_and_a_second_listener_see_everything_from_the_start() {
    let house = House::new();
    let handle = house.deployer.apply(request("one")).await.expect("admitted");
    let early = tokio::spawn(all(handle.events()));
    handle.wait().await.expect("it ends");
    let early = early.await.expect("the listener ends");
    let late = all(handle.events()).await;
    assert_eq!(early, late);
    assert!(matches!(early.first().map(|event| &event.kind), Some(EventKind::Created { .. })));
    assert!(matches!(early.last().map(|event| &event.kind), Some(EventKind::Finished(_))));
    for stage in Stage::ALL {
        let started = early.iter().position(|event| event.kind == EventKind::StageStarted { stage });
        let finished = early
            .iter()
            .position(|event| matches!(event.kind, EventKind::StageFinished { stage: of, .. } if of == stage));
        assert!(started.expect("it starts") < finished.expect("it finishes"), "{stage}");
    }
    assert!(early.iter().any(|event| matches!(event.kind, EventKind::Progress { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_listener_in_another_process_sees_all_but_progress() {
    let house = House::new();
    let handle = house.deployer.apply(request("one")).await.expect("admitted");
    let elsewhere = House::of(Plan { store: Arc::clone(&house.store), ..Plan::default() });
    let following = tokio::spawn(all(elsewhere.deployer.events(handle.id()).await.expect("it exists")));
    handle.wait().await.expect("it ends");
    // A line reaches the journal with the result of its step; live listeners see it a little earlier.
    let lasting = |events: Vec<DeploymentEvent>| {
        let (lines, others): (Vec<_>, Vec<_>) = events
            .into_iter()
            .map(|event| event.kind)
            .filter(|kind| !matches!(kind, EventKind::Progress { .. }))
            .partition(|kind| matches!(kind, EventKind::Log { .. }));
        let mut lines: Vec<_> = lines.iter().map(|line| format!("{line:?}")).collect();
        lines.sort();
        (lines, others)
    };
    let seen = lasting(following.await.expect("the listener ends"));
    assert!(!seen.0.is_empty(), "the build says something");
    assert_eq!(seen, lasting(all(handle.events()).await));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_events_to_the_byte() {
    let run = async |seed| {
        let house = House::of(Plan { seed, ..Plan::default() });
        house.faults.at_next("registry", "push_blob", chalk_deploy_testkit::Fault::before(&no_answer()));
        let handle = house.deployer.apply(request("one")).await.expect("admitted");
        handle.wait().await.expect("it ends");
        serde_json::to_string(&all(handle.events()).await).expect("events are plain data")
    };
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await, "the seed decides the id and the jitter");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_will_be_repeated_is_told_with_its_wait() {
    let house = House::new();
    house.faults.at_next("object_store", "copy", chalk_deploy_testkit::Fault::before(&no_answer()));
    let handle = house.deployer.apply(request("one")).await.expect("admitted");
    handle.wait().await.expect("it ends");
    let events = all(handle.events()).await;
    let retry = events.iter().find_map(|event| match &event.kind {
        EventKind::StepRetrying { stage, attempt, wait_ms, .. } => Some((*stage, *attempt, *wait_ms)),
        _ => None,
    });
    let (stage, attempt, wait_ms) = retry.expect("the retry is told");
    assert_eq!((stage, attempt), (Stage::Archive, 1));
    assert!((250..=500).contains(&wait_ms), "{wait_ms}");
}

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Ledger(Mutex<Vec<String>>);

impl Ledger {
    fn note(&self, name: &str, labels: &[(&'static str, &str)]) {
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{name} {}", labels.join(" ")));
    }

    fn times(&self, line: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|other| *other == line).count()
    }
}

impl Metrics for Ledger {
    fn count(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        self.note(name, labels);
    }

    fn duration(&self, name: &'static str, _: Duration, labels: &[(&'static str, &str)]) {
        self.note(name, labels);
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_of_a_step_and_each_end_is_measured() {
    let ledger = Arc::new(Ledger::default());
    let house = House::of(Plan { metrics: ledger.clone(), ..Plan::default() });
    house.faults.at_next("object_store", "copy", chalk_deploy_testkit::Fault::before(&no_answer()));
    house.apply("one").await;
    for step in Step::FORWARD {
        assert_eq!(ledger.times(&format!("{} step={step} result=ok", metric::STEP_DURATION)), 1, "{step}");
    }
    let retried = format!("{} step=archive.retain code=CLOUD_UNAVAILABLE", metric::STEP_RETRIES);
    assert_eq!(ledger.times(&retried), 1);
    for name in [metric::DEPLOYMENTS_FINISHED, metric::DEPLOYMENT_DURATION] {
        assert_eq!(ledger.times(&format!("{name} environment=default status=SUCCESS")), 1, "{name}");
    }
    assert!(ledger.times(&format!("{} ", metric::JOURNAL_APPEND)) > Step::FORWARD.len());
}
