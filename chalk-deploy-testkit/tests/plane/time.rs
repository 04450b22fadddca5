//! Virtual time.

use std::fmt::Write as _;
use std::time::Duration;

use chalk_deploy_core::model::DeploymentPolicy;
use chalk_deploy_core::observe::DeploymentEvent;
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_testkit::fake::PodScope;
use chalk_deploy_testkit::simulated::kubernetes::PodBehaviour;
use futures::StreamExt as _;

use crate::house::{House, Plan, assert_success, request};

/// The events of two deployments, as a program would log them.
async fn log(seed: u64) -> String {
    let house = House::of(Plan { seed, ..Plan::default() });
    let mut log = String::new();
    for source in ["one", "two"] {
        let handle = house.deployer.apply(request(source)).await.expect("admitted");
        let events: Vec<DeploymentEvent> = handle.events().collect().await;
        assert_success(&handle.wait().await.expect("it ends"));
        for event in events {
            log.push_str(&serde_json::to_string(&event).expect("an event is JSON"));
            log.push('\n');
        }
        for recorded in house.journal(handle.id()).await {
            log.push_str(&serde_json::to_string(&recorded).expect("an entry is JSON"));
            log.push('\n');
        }
    }
    for request in house.faults().log() {
        writeln!(log, "{request:?}").expect("a text takes all");
    }
    log
}

#[tokio::test(start_paused = true)]
async fn a_rollout_of_ten_minutes_takes_no_time() {
    let defaults = Plan::default();
    let policy = DeploymentPolicy { ready_within: Duration::from_mins(15), ..defaults.policy };
    let house = House::of(Plan { policy, ..defaults });
    house.plane.cluster().set_behaviour(PodScope::All, PodBehaviour::Ready { after: Duration::from_mins(10) });
    assert_success(&house.apply("one").await.1);
    assert!(house.runtime.monotonic() > Duration::from_mins(10), "{:?}", house.runtime.monotonic());
}

#[tokio::test(start_paused = true)]
async fn the_old_version_is_kept_while_it_drains_and_a_first_one_has_nothing_to_wait_for() {
    let defaults = Plan::default();
    let policy = DeploymentPolicy { drain: Duration::from_mins(30), ..defaults.policy };
    let house = House::of(Plan { policy, ..defaults });
    assert_success(&house.apply("one").await.1);
    let first = house.runtime.monotonic();
    assert!(first < Duration::from_mins(5), "{first:?}");
    assert_success(&house.apply("two").await.1);
    assert!(house.runtime.monotonic() > first + Duration::from_mins(30), "{:?}", house.runtime.monotonic());
}

#[test]
fn the_same_seed_gives_the_same_events_journal_and_requests_to_the_byte() {
    let run = |seed| {
        let executor =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("an executor");
        executor.block_on(log(seed))
    };
    let (first, again) = (run(7), run(7));
    let differs = first.lines().zip(again.lines()).find(|(one, other)| one != other);
    assert!(first == again, "{differs:?}");
    assert_ne!(first, run(8));
}
