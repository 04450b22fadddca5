//! A fault at each call that the pipeline makes, before the effect, after it, and doubled.

use std::collections::BTreeSet;

use chalk_deploy_core::model::DeploymentStatus;
use chalk_deploy_testkit::fault::{Call, METHODS};
use chalk_deploy_testkit::{Fault, FaultPlan};

use crate::house::{House, Plan, assert_success, denied, no_answer};

/// The calls of the second deployment of a house, as (trait, method, n-th call from its beginning).
async fn calls_of_a_second_deployment() -> Vec<(&'static str, &'static str, u64)> {
    let house = House::new();
    house.apply("one").await;
    let before = house.faults.calls().len();
    house.apply("two").await;
    let calls = house.faults.calls();
    calls[before..]
        .iter()
        .enumerate()
        .map(|(at, call)| {
            let same = |other: &&Call| (other.trait_name, other.method) == (call.trait_name, call.method);
            let earlier = calls[before..before + at].iter().filter(same).count() as u64;
            (call.trait_name, call.method, earlier + 1)
        })
        // Two looks at the pods are like one; every other call is visited each time that it is made.
        .filter(|(_, method, call)| !matches!(*method, "observe" | "changed" | "state" | "ask") || *call <= 2)
        .collect()
}

/// A house in which one version serves, whose next deployment meets `fault` at that call.
async fn meeting(trait_name: &str, method: &str, call: u64, fault: Fault) -> House {
    let probe = House::new();
    probe.apply("one").await;
    let made = probe.faults.count(trait_name, method);
    let faults = FaultPlan::new().at(trait_name, method, made + call, fault);
    let house = House::of(Plan { faults, ..Plan::default() });
    let (_, outcome) = house.apply("one").await;
    assert_success(&outcome);
    house
}

#[tokio::test(start_paused = true)]
async fn the_walk_visits_every_method_that_a_rollout_needs() {
    let visited: BTreeSet<_> =
        calls_of_a_second_deployment().await.into_iter().map(|(of, method, _)| (of, method)).collect();
    let all: BTreeSet<_> =
        METHODS.iter().flat_map(|(of, methods)| methods.iter().map(move |method| (*of, *method))).collect();
    // What only an undo or a person calls; and what is asked when a builder has lost an image.
    let rest: BTreeSet<_> = [
        ("object_store", "list"),
        ("registry", "has_blob"),
        ("registry", "pull_blob"),
        ("registry", "remove_tag"),
        ("cluster", "get"),
        ("builder", "stop"),
    ]
    .into();
    assert_eq!(all.difference(&visited).copied().collect::<BTreeSet<_>>(), rest);
}

/// But for the probe: one bad answer through the gateway proves nothing, and it is asked again.
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_for_good_ends_in_failure_with_production_as_it_was_or_is_told_as_residue() {
    for (trait_name, method, call) in calls_of_a_second_deployment().await {
        let house = meeting(trait_name, method, call, Fault::before(&denied())).await;
        let production = house.production().await;
        let (id, outcome) = house.apply("two").await;
        let place = format!("{trait_name}.{method} call {call}");
        if trait_name == "probe" {
            assert_success(&outcome);
            continue;
        }
        if outcome.status == DeploymentStatus::Success {
            assert_eq!(outcome.residue.len(), 1, "{place}: after the commit point, only the retirement can fail");
            assert_eq!(house.split().await.weight_of(&id).percent(), 100, "{place}");
            continue;
        }
        assert_eq!(outcome.status, DeploymentStatus::Failure, "{place}: {:?}", outcome.error);
        assert_eq!(house.production().await, production, "{place}");
        assert!(!house.tags().contains_key(id.as_str()), "{place}");
        assert!(house.keys().await.iter().all(|key| !key.starts_with("incoming/")), "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_once_or_whose_answer_is_lost_or_that_happens_twice_changes_nothing_in_the_end() {
    let clean = House::new();
    clean.apply("one").await;
    clean.apply("two").await;
    let expected = outside(&clean).await;
    for (trait_name, method, call) in calls_of_a_second_deployment().await {
        for fault in [Fault::before(&no_answer()), Fault::after(&no_answer()), Fault::Twice] {
            let place = format!("{trait_name}.{method} call {call}: {fault:?}");
            let house = meeting(trait_name, method, call, fault).await;
            let (_, outcome) = house.apply("two").await;
            assert_success(&outcome);
            assert_eq!(outside(&house).await, expected, "{place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_away_ends_in_internal_error_once_the_retries_are_used_up() {
    let faults = FaultPlan::new().from("registry", "put_manifest", 1, Fault::before(&no_answer()));
    let house = House::of(Plan { faults, ..Plan::default() });
    let (_, outcome) = house.apply("one").await;
    assert_eq!(outcome.status, DeploymentStatus::InternalError);
    let error = outcome.error.expect("a reason");
    assert_eq!(error.retry, chalk_deploy_core::error::Retry::Persistent);
    assert_eq!(house.faults.count("registry", "put_manifest"), 8, "the policy's attempts");
}

/// The outside world, but for what bears an id or a uid: how many of each thing there are, and the digests.
async fn outside(house: &House) -> (Vec<String>, Vec<String>, usize, usize) {
    let mut keys = house.keys().await;
    keys.iter_mut().filter(|key| key.starts_with("deployments/")).for_each(|key| "deployments/ID".clone_into(key));
    let digests = house.tags().values().map(ToString::to_string).collect::<BTreeSet<_>>().into_iter().collect();
    let production = house.production().await;
    (keys, digests, production.objects.len(), production.split.backends().count())
}
