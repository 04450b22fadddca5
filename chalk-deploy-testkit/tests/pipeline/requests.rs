//! What is asked for, and what is refused before anything is created.

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::model::{
    Boundary, BuildPlace, DeploymentStatus, DeploymentTag, IdempotencyKey, ProjectSettings, Strategy,
};
use chalk_deploy_core::observe::EventKind;
use chalk_deploy_core::store::HistoryQuery;
use chalk_deploy_testkit::fake::BuildBehaviour;

use chalk_deploy_testkit::sample;
use futures::StreamExt as _;

use crate::house::{House, assert_success, request};

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).expect("a valid key")
}

#[tokio::test(start_paused = true)]
async fn the_same_key_and_content_is_the_same_deployment_and_other_content_is_an_error() {
    let house = House::new();
    let (first, outcome) = house.finish(request("one").with_idempotency_key(key("ci-42"))).await;
    assert_success(&outcome);
    let (again, told_again) = house.finish(request("one").with_idempotency_key(key("ci-42"))).await;
    assert_eq!((&again, &told_again), (&first, &outcome));
    let error =
        house.deployer.apply(request("two").with_idempotency_key(key("ci-42"))).await.expect_err("other content");
    assert_eq!(error.code(), ErrorCode::IdempotencyKeyReused);
    assert_eq!(house.deployer.history(&HistoryQuery::default()).await.expect("readable").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_joins_the_deployment_that_is_under_way() {
    let house = House::new();
    let first = house.deployer.apply(request("one").with_idempotency_key(key("k"))).await.expect("admitted");
    let second = house.deployer.apply(request("one").with_idempotency_key(key("k"))).await.expect("admitted");
    assert_eq!(first.id(), second.id());
    assert_eq!(first.wait().await.expect("ends"), second.wait().await.expect("ends"));
    assert_eq!(house.faults.count("builder", "submit"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_request_is_found_before_anything_is_created() {
    let house = House::new();
    let tag = DeploymentTag::new("green").expect("a valid tag");
    let cases = [
        (request("one").with_strategy(Strategy::BlueGreen), ErrorCode::RequestInvalid),
        (request("one").with_tag(tag.clone()).with_tag(tag), ErrorCode::RequestInvalid),
        (sample::request_of("another", "one").expect("a valid request"), ErrorCode::GraphInvalid),
    ];
    for (request, code) in cases {
        assert_eq!(house.deployer.apply(request.clone()).await.expect_err("refused").code(), code);
        assert_eq!(house.deployer.submit(request).await.expect_err("refused").code(), code);
    }
    assert!(house.deployer.history(&HistoryQuery::default()).await.expect("readable").is_empty());
    assert!(house.world.world().snapshot().expect("readable").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_builder_outside_the_customers_cloud_is_refused_when_the_boundary_says_so() {
    let house = House::new();
    let mut plane = house.world.data_plane(&crate::house::environment()).expect("a data plane");
    // That the metadata plane's cluster is inside says nothing of a process.
    plane.boundary = Boundary::default().with_metadata_inside();
    let builds_in = plane.cloud.builder.place(&ProjectSettings::default()).expect("it builds all");
    assert_eq!(builds_in, BuildPlace::ThisProcess);
    let deployer = chalk_deploy_core::Deployer::single(plane, house.store.clone()).expect("a deployer");
    let error = deployer.apply(request("one")).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::BoundaryViolation);
    assert!(house.faults.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_submitted_deployment_has_its_source_and_goes_on_when_a_deployer_takes_it_up() {
    let house = House::new();
    let submission = house.deployer.submit(request("one")).await.expect("recorded");
    assert_eq!(submission.arrived().await.expect("uploaded"), None, "it has not ended");
    let id = submission.id();
    let record = house.deployer.status(id).await.expect("known");
    assert_eq!(record.status, DeploymentStatus::Pending);
    assert_eq!(house.keys().await, [format!("incoming/{id}")]);
    let handles = house.deployer.resume_unfinished().await.expect("resumed");
    assert_success(&handles[0].wait().await.expect("it ends"));
}

#[tokio::test(start_paused = true)]
async fn a_submission_needs_no_ownership_of_the_environment() {
    let house = House::new();
    house.world.builder().set_behaviour(BuildBehaviour::Hang);
    house.deployer.apply(request("one")).await.expect("admitted");
    let elsewhere = House::of(crate::house::Plan {
        seed: 2,
        store: house.store.clone(),
        world: house.world.world().clone(),
        ..Default::default()
    });
    let submission = elsewhere.deployer.submit(request("two")).await.expect("recorded beside the running one");
    assert_eq!(submission.arrived().await.expect("uploaded"), None);
    let events: Vec<_> = submission.events().collect().await;
    assert!(matches!(events.first().map(|event| &event.kind), Some(EventKind::Created { .. })));
    let arrived = EventKind::Status { status: DeploymentStatus::Pending };
    assert!(events.iter().any(|event| event.kind == arrived), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_graph_has_an_empty_diff_and_nothing_deployed_has_none() {
    let house = House::new();
    let (environment, graph) = (crate::house::environment(), sample::graph().expect("a real export"));
    assert!(house.deployer.diff(&environment, &graph).await.expect("readable").is_none());
    house.apply("one").await;
    let diff = house.deployer.diff(&environment, &graph).await.expect("readable").expect("something is deployed");
    assert!(diff.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_submission_whose_upload_fails_for_good_has_ended() {
    let faults = chalk_deploy_testkit::FaultPlan::new();
    let denied = chalk_deploy_testkit::Fault::before(&crate::house::denied());
    let house =
        House::of(crate::house::Plan { faults: faults.at("object_store", "put", 1, denied), ..Default::default() });
    let submission = house.deployer.submit(request("one")).await.expect("recorded");
    let outcome = submission.arrived().await.expect("driven").expect("it has ended");
    assert_eq!(outcome.status, DeploymentStatus::Failure);
    assert!(house.keys().await.is_empty());
}
