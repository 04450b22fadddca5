//! Two builders as one: what needs only layers stays in the process, what brings a Dockerfile goes to workflows.

use std::sync::Arc;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::build::argo::ArgoBuilder;
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder, RoutedBuilder, Routing};
use chalk_deploy_core::cloud::{BuildRequest, Builder};
use chalk_deploy_core::model::{BuildPlace, ImageLocation};

use super::yard::{Yard, anonymous, finish, settings, with_executor};

const ORDINARY: &str = "FROM ${CHALK_BASE_IMAGE}\nUSER 65532\n";

/// A process: its two builders, on a folder that outlives it.
fn process(yard: &Yard, folder: &BuildFolder, routing: Routing) -> RoutedBuilder {
    let here = InProcessBuilder::new(
        Arc::new(yard.bucket.clone()),
        yard.registry.clone(),
        folder.clone(),
        yard.runtime.clone(),
    );
    let workflows: ArgoBuilder = yard.builder_with(yard.connection(anonymous()), with_executor());
    RoutedBuilder::new(Arc::new(here), Arc::new(workflows)).with_routing(routing)
}

fn places(builder: &RoutedBuilder, requests: [&BuildRequest; 2]) -> [BuildPlace; 2] {
    requests.map(|request| builder.place(&request.settings).expect("it builds both"))
}

#[tokio::test(start_paused = true)]
async fn each_project_is_built_where_its_place_is_told_and_both_are_found_again() {
    let yard = Yard::new().await;
    let folder = BuildFolder::temporary().expect("a folder");
    let (plain, own) = (yard.request('a', "x").await, yard.with_dockerfile('b', ORDINARY).await);
    let builder = process(&yard, &folder, Routing::Dockerfiles);
    assert_eq!(places(&builder, [&plain, &own]), [BuildPlace::ThisProcess, BuildPlace::DataPlane]);
    builder.submit(&plain).await.expect("submitted");
    assert!(yard.workflows().is_empty(), "nothing of it leaves the process");
    builder.submit(&own).await.expect("submitted");
    drop(builder);
    // Another process, which is told the deployments only.
    let later = process(&yard, &folder, Routing::Dockerfiles);
    let images = finish(&later, &plain.deployment).await.1.expect("built");
    assert!(images.iter().all(|image| image.location == ImageLocation::Builder));
    let contents = later.contents().expect("it holds them");
    contents.manifest(&images[0].manifest).await.expect("it hands them out");
    let images = finish(&later, &own.deployment).await.1.expect("built");
    assert!(images.iter().all(|image| matches!(image.location, ImageLocation::Registry(_))));
    for request in [&plain, &own] {
        later.stop(&request.deployment).await.expect("stopped");
        yard.seconds(60).await;
        let error = later.state(&request.deployment, 0).await.expect_err("forgotten");
        assert_eq!(error.code(), ErrorCode::BuildLost);
    }
    assert!(yard.workflows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_build_that_began_under_another_routing_is_not_gone_on_with_in_a_place_that_was_not_told() {
    let yard = Yard::new().await;
    let folder = BuildFolder::temporary().expect("a folder");
    let plain = yard.request('a', "x").await;
    process(&yard, &folder, Routing::Dockerfiles).submit(&plain).await.expect("submitted");
    let everything = process(&yard, &folder, Routing::Everything);
    assert_eq!(everything.place(&plain.settings).expect("a place"), BuildPlace::DataPlane);
    everything.submit(&plain).await.expect("submitted");
    assert_eq!(yard.workflows().len(), 1);
    let images = finish(&everything, &plain.deployment).await.1.expect("built");
    assert!(images.iter().all(|image| matches!(image.location, ImageLocation::Registry(_))));
    // And back: the workflow goes.
    let here = process(&yard, &folder, Routing::Dockerfiles);
    here.submit(&plain).await.expect("submitted");
    yard.seconds(60).await;
    assert!(yard.workflows().is_empty());
    let images = finish(&here, &plain.deployment).await.1.expect("built");
    assert!(images.iter().all(|image| image.location == ImageLocation::Builder));
}

#[tokio::test(start_paused = true)]
async fn where_workflows_run_no_dockerfiles_such_a_project_is_refused_and_others_are_built() {
    let yard = Yard::new().await;
    let here = InProcessBuilder::new(
        Arc::new(yard.bucket.clone()),
        yard.registry.clone(),
        BuildFolder::temporary().expect("a folder"),
        yard.runtime.clone(),
    );
    let workflows = yard.builder_with(yard.connection(anonymous()), settings());
    let builder = RoutedBuilder::new(Arc::new(here), Arc::new(workflows));
    let (plain, own) = (yard.request('a', "x").await, yard.with_dockerfile('b', ORDINARY).await);
    let error = builder.place(&own.settings).expect_err("nowhere");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
    assert_eq!(builder.submit(&own).await.expect_err("refused").sentence(), error.sentence());
    builder.submit(&plain).await.expect("submitted");
    finish(&builder, &plain.deployment).await.1.expect("built");
}
