//! Every way to fail, with its terminal status, and production as it was.

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::machine::Outcome;
use chalk_deploy_core::model::DeploymentStatus;
use chalk_deploy_testkit::fake::{BuildBehaviour, GatewayBehaviour, PodBehaviour, PodScope, ProbeBehaviour};

use crate::house::{House, Production};

/// A house in which one version serves already; the next deployment is made to fail.
async fn serving() -> (House, Production) {
    let house = House::new();
    house.apply("one").await;
    let production = house.production().await;
    (house, production)
}

fn assert_failed(outcome: &Outcome, status: DeploymentStatus, code: ErrorCode) {
    let error = outcome.error.as_ref().expect("a failure has a reason");
    assert_eq!((outcome.status, error.code), (status, code), "{error}");
    assert!(outcome.residue.is_empty(), "{:?}", outcome.residue);
    assert!(outcome.images.is_empty(), "no image is told of a deployment that is not there");
}

async fn pods_end_in(behaviour: PodBehaviour, status: DeploymentStatus, code: ErrorCode) {
    let (house, production) = serving().await;
    house.world.cluster().set_behaviour(PodScope::All, behaviour);
    let (id, outcome) = house.apply("two").await;
    assert_failed(&outcome, status, code);
    assert_eq!(house.production().await, production, "production is as it was");
    assert!(!house.tags().contains_key(id.as_str()), "the tag is removed");
    assert!(house.keys().await.iter().all(|key| !key.starts_with("incoming/")));
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_ends_in_boot_errors() {
    pods_end_in(PodBehaviour::ImagePullFailed, DeploymentStatus::BootErrors, ErrorCode::ImagePullFailed).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_crash_loops_ends_in_boot_errors() {
    pods_end_in(PodBehaviour::Crash, DeploymentStatus::BootErrors, ErrorCode::ContainerCrashed).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_never_become_ready_end_in_timeout() {
    pods_end_in(PodBehaviour::NeverReady, DeploymentStatus::Timeout, ErrorCode::NeverReady).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_no_node_takes_end_in_timeout() {
    pods_end_in(PodBehaviour::Unschedulable, DeploymentStatus::Timeout, ErrorCode::Unschedulable).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_flap_never_count_as_ready() {
    pods_end_in(PodBehaviour::Flapping, DeploymentStatus::Timeout, ErrorCode::NeverReady).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_a_quota_refuses_ends_in_failure() {
    pods_end_in(PodBehaviour::QuotaRefused, DeploymentStatus::Failure, ErrorCode::ObjectRefused).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_a_quota_refuses_end_in_failure() {
    pods_end_in(PodBehaviour::PodsRefused, DeploymentStatus::Failure, ErrorCode::ObjectRefused).await;
}

#[tokio::test(start_paused = true)]
async fn a_build_step_that_fails_ends_in_failure_and_names_the_step() {
    let (house, production) = serving().await;
    house.world.builder().set_behaviour(BuildBehaviour::FailAt("bytecode-compile".to_owned()));
    let (_, outcome) = house.apply("two").await;
    assert_failed(&outcome, DeploymentStatus::Failure, ErrorCode::BuildFailed);
    assert!(outcome.error.expect("a reason").to_string().contains("bytecode-compile"));
    assert_eq!(house.production().await, production);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_hangs_ends_in_timeout_at_the_deadline() {
    let (house, production) = serving().await;
    house.world.builder().set_behaviour(BuildBehaviour::Hang);
    let (id, outcome) = house.apply("two").await;
    assert_failed(&outcome, DeploymentStatus::Timeout, ErrorCode::DeadlineExceeded);
    assert_eq!(house.production().await, production);
    assert!(!house.world.builder().builds().expect("readable").contains(&id), "the build is stopped");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_refuses_the_route_sends_the_traffic_back() {
    let (house, production) = serving().await;
    house.world.traffic().set_behaviour(GatewayBehaviour::Refuses("the backend's port is unknown".to_owned()));
    let (_, outcome) = house.apply("two").await;
    assert_failed(&outcome, DeploymentStatus::Failure, ErrorCode::TrafficRefused);
    assert_eq!(house.production().await, production);
}

#[tokio::test(start_paused = true)]
async fn a_new_version_that_does_not_answer_as_itself_sends_the_traffic_back() {
    let (house, production) = serving().await;
    house.world.traffic().set_behaviour(GatewayBehaviour::Settles { after: 1_000_000 });
    let (_, outcome) = house.apply("two").await;
    assert_failed(&outcome, DeploymentStatus::Failure, ErrorCode::VerificationFailed);
    assert_eq!(house.production().await, production);
}

#[tokio::test(start_paused = true)]
async fn without_a_probe_the_routes_status_is_the_proof() {
    let house = House::new();
    house.world.traffic().set_probe(None::<ProbeBehaviour>);
    let (_, outcome) = house.apply("one").await;
    crate::house::assert_success(&outcome);
    let verified_by = outcome.traffic.expect("told").verified_by;
    assert_eq!(verified_by, chalk_deploy_core::machine::Verification::RouteStatus);
}
