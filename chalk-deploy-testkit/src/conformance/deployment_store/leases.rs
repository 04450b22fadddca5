//! Leases and their tokens.

use chalk_deploy_core::cloud::FencingToken;
use chalk_deploy_core::model::{DeploymentStatus, Timestamp};
use chalk_deploy_core::store::{DeploymentStore, Lease, LeaseHolder};
use chalk_deploy_core::{ErrorCode, Result};
use futures::future::join_all;

use super::{TERM, append, at, created, fresh_environment, fresh_holder, leased, refused};

/// The refusal helps the person who reads it.
pub async fn a_lease_that_is_held_names_its_owner_and_the_way_to_take_over(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let owner = LeaseHolder { name: "the\u{1b}owner".to_owned(), process: 4242, started_at: at(7) };
    store.acquire_lease(&environment, &owner, TERM, at(0)).await.expect("the environment is free");
    // The owner itself gets no second lease either: two tasks of one process must not both believe that it is theirs.
    for wanting in [fresh_holder(), owner.clone()] {
        let result = store.acquire_lease(&environment, &wanting, TERM, at(1)).await;
        let sentence = refused(result, ErrorCode::LeaseHeld);
        let started_at = owner.started_at.to_string();
        for part in [environment.as_str(), "process 4242", started_at.as_str(), "--resume"] {
            assert!(sentence.contains(part), "{part} is missing: {sentence}");
        }
        assert!(!sentence.contains('\u{1b}'), "{sentence:?}");
    }
}

/// Mutual exclusion.
pub async fn of_many_who_want_an_environment_exactly_one_gets_it(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let holders: Vec<_> = (0..8).map(|_| fresh_holder()).collect();
    let results = join_all(holders.iter().map(|holder| store.acquire_lease(&environment, holder, TERM, at(0)))).await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "{won:?}");
    let winner = won.into_iter().next().expect("one has won").expect("it has won");
    for result in lost {
        let sentence = refused(result, ErrorCode::LeaseHeld);
        assert!(sentence.contains(&winner.holder.name), "{sentence}");
    }
}

/// One active rollout an environment, many in all.
pub async fn leases_of_different_environments_do_not_meet(store: &dyn DeploymentStore) {
    let leases = [leased(store, &fresh_environment()).await, leased(store, &fresh_environment()).await];
    for lease in &leases {
        store.renew_lease(lease, at(1)).await.expect("it is in force");
    }
}

/// Giving up needs no waiting, and may be repeated.
pub async fn a_lease_that_is_given_up_is_free_at_once(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    for _ in 0..3 {
        let lease = leased(store, &environment).await;
        store.release_lease(&lease).await.expect("it is given up");
        store.release_lease(&lease).await.expect("giving up again succeeds");
    }
}

/// No token comes twice.
pub async fn tokens_grow_from_lease_to_lease(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let mut newest = FencingToken(0);
    for _ in 0..5 {
        let holder = fresh_holder();
        let lease = store.acquire_lease(&environment, &holder, TERM, at(0)).await.expect("the environment is free");
        assert!(lease.token > newest, "{} after {newest}", lease.token);
        assert_eq!((&lease.environment, &lease.holder, lease.term), (&environment, &holder, TERM));
        newest = lease.token;
        // A failed attempt in between takes nothing away.
        refused(store.acquire_lease(&environment, &fresh_holder(), TERM, at(0)).await, ErrorCode::LeaseHeld);
        store.release_lease(&lease).await.expect("it is given up");
    }
}

/// Renewals.
pub async fn a_lease_can_be_renewed_while_it_is_in_force_and_not_afterwards(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let lease = leased(store, &environment).await;
    for millis in [1, 2] {
        store.renew_lease(&lease, at(millis)).await.expect("it is in force");
    }
    let forged = Lease { token: FencingToken(lease.token.0 + 1), ..lease.clone() };
    refused(store.renew_lease(&forged, at(3)).await, ErrorCode::LeaseLost);
    store.release_lease(&lease).await.expect("it is given up");
    refused(store.renew_lease(&lease, at(4)).await, ErrorCode::LeaseLost);
    let next = leased(store, &environment).await;
    refused(store.renew_lease(&lease, at(5)).await, ErrorCode::LeaseLost);
    store.renew_lease(&next, at(6)).await.expect("it is in force");
    let elsewhere = Lease { environment: fresh_environment(), ..next };
    refused(store.renew_lease(&elsewhere, at(7)).await, ErrorCode::LeaseLost);
}

/// A late release of an old owner.
pub async fn giving_up_an_old_lease_leaves_the_new_one_alone(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let old = leased(store, &environment).await;
    store.release_lease(&old).await.expect("it is given up");
    let new = leased(store, &environment).await;
    store.release_lease(&old).await.expect("giving up what is lost succeeds");
    refused(store.acquire_lease(&environment, &fresh_holder(), TERM, at(1)).await, ErrorCode::LeaseHeld);
    store.renew_lease(&new, at(1)).await.expect("it is in force");
    store.append(&append(&deployment, 1, Some(new.token), 1, DeploymentStatus::Working)).await.expect("it fits");
}

/// A holder that died is no owner once its term has passed; until somebody takes over, it is not fenced.
pub async fn a_lease_whose_term_has_passed_is_free(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let old = leased(store, &environment).await;
    let end = at(0).plus(TERM);
    let just_before = Timestamp::from_millis(end.as_millis() - 1);
    let early = store.acquire_lease(&environment, &fresh_holder(), TERM, just_before).await;
    refused(early, ErrorCode::LeaseHeld);
    store.append(&append(&deployment, 1, Some(old.token), 1, DeploymentStatus::Working)).await.expect("it fits");
    let new = store.acquire_lease(&environment, &fresh_holder(), TERM, end).await.expect("the term has passed");
    assert!(new.token > old.token);
    refused(
        store.append(&append(&deployment, 2, Some(old.token), 1, DeploymentStatus::Working)).await,
        ErrorCode::LeaseLost,
    );
    refused(store.renew_lease(&old, end).await, ErrorCode::LeaseLost);
    store.append(&append(&deployment, 2, Some(new.token), 1, DeploymentStatus::Working)).await.expect("it fits");
}

/// A renewal counts from its own time.
pub async fn a_renewed_lease_lasts_a_term_longer(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let lease = leased(store, &environment).await;
    let renewed_at = at(10_000);
    store.renew_lease(&lease, renewed_at).await.expect("it is in force");
    let first_end = at(0).plus(TERM);
    refused(store.acquire_lease(&environment, &fresh_holder(), TERM, first_end).await, ErrorCode::LeaseHeld);
    let end = renewed_at.plus(TERM);
    store.acquire_lease(&environment, &fresh_holder(), TERM, end).await.expect("the term has passed");
}
