//! Creation and the graph.

use bytes::Bytes;
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::machine::{Event, RecordedEvent};
use chalk_deploy_core::model::{DeploymentPlan, DeploymentStatus, Digest, Promotion};
use chalk_deploy_core::store::{Creation, DeploymentStore};
use futures::future::join_all;

use super::{created, fresh_environment, fresh_id, graph, history, of, plan, refused, with_key};

/// The record of a new deployment.
pub async fn a_new_deployment_awaits_its_source_and_its_journal_begins_with_its_plan(store: &dyn DeploymentStore) {
    let plan = with_key(&fresh_environment(), "a-key");
    assert_eq!(store.create(&plan, &graph()).await.expect("it is created"), Creation::New);
    let record = store.deployment(&plan.id).await.expect("it is there");
    assert_eq!((record.status, record.version), (DeploymentStatus::AwaitingSource, 1));
    assert_eq!((record.updated_at, record.cancel_requested), (plan.created_at, false));
    assert_eq!(record.plan, plan);
    let first =
        RecordedEvent { sequence: 1, at: plan.created_at, event: Event::Created { plan: Box::new(plan.clone()) } };
    assert_eq!(store.events(&plan.id, 0).await.expect("its journal is there"), [first]);
}

/// Idempotency of the creation.
pub async fn a_creation_repeated_under_its_key_gives_the_deployment_that_exists(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let (first, second) = (with_key(&environment, "key"), with_key(&environment, "key"));
    assert_ne!(first.id, second.id);
    assert_eq!(store.create(&first, &graph()).await.expect("it is created"), Creation::New);
    let repeated = store.create(&second, &graph()).await.expect("it exists");
    assert_eq!(repeated, Creation::Existing(first.id.clone()));
    refused(store.deployment(&second.id).await, ErrorCode::DeploymentUnknown);
    assert_eq!(history(store, &of(&environment)).await, [first.id]);
}

/// A key stands for one content.
pub async fn a_key_used_again_with_other_content_is_an_error_and_creates_nothing(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let first = with_key(&environment, "key");
    store.create(&first, &graph()).await.expect("it is created");
    let other = DeploymentPlan { promotion: Promotion::Hold, ..with_key(&environment, "key") };
    let sentence = refused(store.create(&other, &graph()).await, ErrorCode::IdempotencyKeyReused);
    assert!(sentence.contains(first.id.as_str()), "{sentence}");
    assert_eq!(history(store, &of(&environment)).await, [first.id]);
}

/// A key works for requests that arrive together.
pub async fn creations_at_the_same_moment_under_one_key_make_one_deployment(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let plans: Vec<_> = (0..8).map(|_| with_key(&environment, "key")).collect();
    let bytes = graph();
    let creations = join_all(plans.iter().map(|plan| store.create(plan, &bytes))).await;
    let made = history(store, &of(&environment)).await;
    assert_eq!(made.len(), 1);
    for (plan, creation) in plans.iter().zip(creations) {
        let expected = if plan.id == made[0] { Creation::New } else { Creation::Existing(made[0].clone()) };
        assert_eq!(creation.expect("all of them succeed"), expected);
    }
}

/// Keys belong to environments.
pub async fn the_same_key_in_another_environment_is_another_key(store: &dyn DeploymentStore) {
    for _ in 0..2 {
        let plan = with_key(&fresh_environment(), "key");
        assert_eq!(store.create(&plan, &graph()).await.expect("it is created"), Creation::New);
    }
}

/// Deploying the same again is a deployment of its own.
pub async fn without_a_key_equal_requests_make_deployments_of_their_own(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let first = created(store, &environment).await;
    let second = created(store, &environment).await;
    assert_eq!(history(store, &of(&environment)).await, [second, first]);
}

/// Ids are unique.
pub async fn an_id_that_is_taken_is_refused(store: &dyn DeploymentStore) {
    let plan = plan(&fresh_environment());
    store.create(&plan, &graph()).await.expect("it is created");
    refused(store.create(&plan, &graph()).await, ErrorCode::RequestInvalid);
    assert_eq!(store.events(&plan.id, 0).await.expect("its journal is there").len(), 1);
}

/// Graphs are kept by their digest.
pub async fn a_graph_comes_back_byte_for_byte(store: &dyn DeploymentStore) {
    let bytes = Bytes::from(fresh_id().to_string().into_bytes());
    let digest = Digest::of(&bytes);
    assert_eq!(store.graph(&digest).await.expect("the store answers"), None);
    for _ in 0..2 {
        let plan = DeploymentPlan { graph: digest, ..plan(&fresh_environment()) };
        store.create(&plan, &bytes).await.expect("it is created");
    }
    assert_eq!(store.graph(&digest).await.expect("the store answers"), Some(bytes));
}

/// What is stored under a digest has that digest.
pub async fn a_graph_that_is_not_the_one_of_the_plan_is_refused(store: &dyn DeploymentStore) {
    let plan = plan(&fresh_environment());
    refused(store.create(&plan, &Bytes::from_static(b"another one")).await, ErrorCode::DigestMismatch);
    refused(store.deployment(&plan.id).await, ErrorCode::DeploymentUnknown);
}
