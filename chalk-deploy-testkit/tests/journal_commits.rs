//! What the journal costs: durable writes, counted. That each of them is one fdatasync is shown at the system call by
//! `.ci/journal-fsyncs`.

use std::sync::Arc;

use chalk_deploy_core::Deployer;
use chalk_deploy_core::machine::Step;
use chalk_deploy_core::model::DeploymentStatus;
use chalk_deploy_core::store::SqliteStore;
use chalk_deploy_testkit::{EmbeddedEnvironments, EmbeddedWorld, sample};

#[tokio::test]
async fn a_durable_step_costs_at_most_two_durable_writes_and_on_average_less_than_one_and_a_half() {
    let state = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(state.path()).await.expect("a store");
    let environments = EmbeddedEnvironments::any(EmbeddedWorld::memory());
    let deployer = Deployer::builder(Arc::new(environments), store.clone()).build().expect("a deployer");
    let request = sample::request("source").expect("a valid request");
    let before = store.commits();
    let outcome = deployer.apply(request).await.expect("admitted").wait().await.expect("it ends");
    assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
    let commits = store.commits() - before;
    let steps = Step::FORWARD.len() as u64;
    // The record and the two of the lease are no steps.
    assert!(commits >= steps, "{commits} durable writes for {steps} steps: something is not recorded");
    assert!(commits <= steps * 3 / 2 + 3, "{commits} durable writes for {steps} steps");
}
