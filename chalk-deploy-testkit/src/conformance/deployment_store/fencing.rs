//! Which token may write.

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::FencingToken;
use chalk_deploy_core::model::DeploymentStatus;
use chalk_deploy_core::store::DeploymentStore;

use super::{append, created, fresh_environment, leased, refused};

/// The client writes until its source has arrived, the owner from then on.
pub async fn without_a_token_only_the_awaited_source_may_be_recorded(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let _owner = leased(store, &environment).await;
    let upload = [(1, DeploymentStatus::AwaitingSource), (2, DeploymentStatus::Pending)];
    for (version, status) in upload {
        store.append(&append(&deployment, version, None, 1, status)).await.expect("the source is awaited");
    }
    let late = append(&deployment, 3, None, 1, DeploymentStatus::Pending);
    refused(store.append(&late).await, ErrorCode::LeaseLost);
}

/// A token must have been given out.
pub async fn a_token_that_was_never_given_out_is_refused(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let never_given_out = |newest: u64| [0, newest + 1, u64::MAX];
    for guess in never_given_out(0) {
        let guessed = append(&deployment, 1, Some(FencingToken(guess)), 1, DeploymentStatus::Working);
        refused(store.append(&guessed).await, ErrorCode::LeaseLost);
    }
    let newest = leased(store, &environment).await.token;
    for guess in never_given_out(newest.0) {
        let guessed = append(&deployment, 1, Some(FencingToken(guess)), 1, DeploymentStatus::Working);
        refused(store.append(&guessed).await, ErrorCode::LeaseLost);
    }
    assert_eq!(store.deployment(&deployment).await.expect("it is there").version, 1);
}

/// A lease is for one environment.
pub async fn the_token_of_another_environment_is_refused(store: &dyn DeploymentStore) {
    let (ours, theirs) = (fresh_environment(), fresh_environment());
    let deployment = created(store, &ours).await;
    let _owner = leased(store, &ours).await;
    for _ in 0..2 {
        let lease = leased(store, &theirs).await;
        store.release_lease(&lease).await.expect("it is given up");
    }
    let foreign = Some(leased(store, &theirs).await.token);
    refused(store.append(&append(&deployment, 1, foreign, 1, DeploymentStatus::Working)).await, ErrorCode::LeaseLost);
}

/// A paused owner that wakes up changes nothing.
pub async fn a_token_is_refused_after_a_takeover(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let old = leased(store, &environment).await;
    store.append(&append(&deployment, 1, Some(old.token), 1, DeploymentStatus::Working)).await.expect("it fits");
    store.release_lease(&old).await.expect("it is given up");
    let new = leased(store, &environment).await;
    let sentence = refused(
        store.append(&append(&deployment, 2, Some(old.token), 1, DeploymentStatus::Working)).await,
        ErrorCode::LeaseLost,
    );
    assert!(sentence.contains("taken over"), "{sentence}");
    // Also when the version is wrong: such a writer is to stop, not to try again.
    refused(
        store.append(&append(&deployment, 1, Some(old.token), 1, DeploymentStatus::Working)).await,
        ErrorCode::LeaseLost,
    );
    store.append(&append(&deployment, 2, Some(new.token), 1, DeploymentStatus::Working)).await.expect("it fits");
}

/// Giving up is for good.
pub async fn a_token_is_refused_once_its_lease_is_given_up(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let lease = leased(store, &environment).await;
    store.release_lease(&lease).await.expect("it is given up");
    let late = append(&deployment, 1, Some(lease.token), 1, DeploymentStatus::Working);
    refused(store.append(&late).await, ErrorCode::LeaseLost);
}
