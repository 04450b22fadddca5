//! Deployments that end badly leave production as it was, and say why.

use std::time::Duration;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::model::DeploymentStatus;
use chalk_deploy_testkit::fake::PodScope;
use chalk_deploy_testkit::simulated::kubernetes::PodBehaviour;

use crate::house::{House, assert_success};

async fn ends(behaviour: PodBehaviour, status: DeploymentStatus, code: ErrorCode) {
    let house = House::new();
    let (first, outcome) = house.apply("one").await;
    assert_success(&outcome);
    let production = house.production().await;

    // The pods that run are left alone: the behaviour is for what starts from here on.
    house.plane.cluster().set_behaviour(PodScope::Deployment(first), PodBehaviour::ByImage);
    house.plane.cluster().set_behaviour(PodScope::All, behaviour.clone());
    let (id, outcome) = house.apply("two").await;
    let error = outcome.error.as_ref().expect("a reason");
    assert_eq!((outcome.status, error.code), (status, code), "{behaviour:?}: {error:?}");
    assert_eq!(house.production().await, production, "{behaviour:?}");
    assert!(outcome.residue.is_empty(), "{behaviour:?}: {:?}", outcome.residue);
    assert!(!house.tags().contains(id.as_str()), "{behaviour:?}");
    assert_eq!(house.lost_requests(), 0, "{behaviour:?}");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_a_boot_error() {
    ends(PodBehaviour::ImagePullFailed, DeploymentStatus::BootErrors, ErrorCode::ImagePullFailed).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_exits_is_a_boot_error() {
    let crash = PodBehaviour::Crash { after: Duration::from_millis(500), restarts: None };
    ends(crash, DeploymentStatus::BootErrors, ErrorCode::ContainerCrashed).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_never_ready_run_out_of_time() {
    ends(PodBehaviour::NeverReady, DeploymentStatus::Timeout, ErrorCode::NeverReady).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_no_node_takes_run_out_of_time() {
    ends(PodBehaviour::Unschedulable, DeploymentStatus::Timeout, ErrorCode::Unschedulable).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_crashes_once_and_then_stays_up_is_no_error() {
    let house = House::new();
    let crash = PodBehaviour::Crash { after: Duration::from_millis(500), restarts: Some(1) };
    house.plane.cluster().set_behaviour(PodScope::All, crash);
    assert_success(&house.apply("one").await.1);
}
