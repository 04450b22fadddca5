//! Builds that fail, and what is told of it.

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::build::report::{BuildReport, ReportedImage};
use chalk_deploy_core::cloud::{BuildRequest, BuildState, Builder};
use chalk_deploy_core::error::{RecordedError, Retry};
use chalk_deploy_core::model::{Component, Digest};
use chalk_deploy_core::{Error, ErrorCode};
use chalk_deploy_testkit::fault::FaultyRegistry;
use chalk_deploy_testkit::simulated::builder_image::SimulatedBuilderImage;
use chalk_deploy_testkit::simulated::kubernetes::TemplateBehaviour;
use chalk_deploy_testkit::simulated::kubernetes::objects::Key;
use chalk_deploy_testkit::simulated::kubernetes::resource::{POD, WORKFLOW};
use chalk_deploy_testkit::simulated::seam::StepEnd;
use chalk_deploy_testkit::{Fault, FaultPlan};

use super::yard::{Ends, SPACE, Yard, anonymous, finish, said, settings};

/// Builds what must fail, and tells the error as a journal keeps it.
async fn failed(builder: &dyn Builder, request: &BuildRequest) -> RecordedError {
    builder.submit(request).await.expect("submitted");
    let mut seen = 0;
    loop {
        match builder.state(&request.deployment, seen).await.expect("known") {
            BuildState::Running { events } => seen += events.len() as u64,
            BuildState::Failed { error, .. } => return error,
            BuildState::Succeeded { .. } => panic!("it succeeds"),
        }
    }
}

fn workflow_of(request: &BuildRequest) -> Key {
    Key::new(WORKFLOW, SPACE, format!("chalk-build-{}", request.deployment))
}

#[tokio::test(start_paused = true)]
async fn the_error_of_the_build_itself_comes_with_its_code_and_its_remedy() {
    let yard = Yard::new().await;
    let mut request = yard.request('a', "x").await;
    request.base_images[0].digest = Digest::of("not there");
    let builder = yard.builder();
    let error = failed(&builder, &request).await;
    assert_eq!((error.code, error.retry), (ErrorCode::ObjectMissing, Retry::Permanent));
    assert!(error.message.contains("the base image is not in its repository"), "{error}");
    assert!(error.hint.contains("push it there"), "{}", error.hint);
    // A failure for good stays one: submitting again builds nothing.
    let uid = yard.workflows()[0]["metadata"]["uid"].clone();
    builder.submit(&request).await.expect("submitted");
    assert_eq!(yard.workflows()[0]["metadata"]["uid"], uid);
    let (events, _) = finish(&builder, &request.deployment).await;
    assert!(said(&events).iter().any(|line| line.starts_with("error: base image registry.embedded")), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_leaves_no_report_fails_with_its_last_lines() {
    let yard = Yard::idle().await;
    let lines = ["one", "two", "", "Traceback: three", "ValueError: four"].map(str::to_owned).to_vec();
    yard.cluster.set_step_program(Arc::new(Ends(lines, StepEnd { code: 3, message: String::new() })));
    let request = yard.request('a', "x").await;
    let error = failed(&yard.builder(), &request).await;
    assert_eq!((error.code, error.retry), (ErrorCode::BuildFailed, Retry::Permanent));
    assert_eq!(
        error.to_string(),
        format!(
            "build of {}: the step `build` has failed: main: Error (exit code 3); it said last: two | Traceback: three | \
             ValueError: four",
            request.deployment
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_build_that_failed_for_a_reason_that_may_pass_is_built_anew_when_it_is_submitted_again() {
    let yard = Yard::idle().await;
    let away = Error::new(ErrorCode::CloudUnavailable, "the registry is away");
    let plan = Arc::new(FaultPlan::new().at("registry", "push_blob", 1, Fault::before(&away)));
    let registry = FaultyRegistry::new(yard.registry.clone(), plan);
    let bucket = Arc::new(yard.bucket.clone());
    let program = SimulatedBuilderImage::new(bucket, Arc::new(registry), yard.runtime.clone());
    yard.cluster.set_step_program(Arc::new(program));
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    let error = failed(&builder, &request).await;
    assert_eq!((error.code, error.retry), (ErrorCode::CloudUnavailable, Retry::Temporary));
    // Whoever comes after a crash does the same as the process that has seen it fail.
    yard.builder().submit(&request).await.expect("submitted");
    finish(&yard.builder(), &request.deployment).await.1.expect("built");
    builder.submit(&request).await.expect("submitted");
    finish(&builder, &request.deployment).await.1.expect("built");
    assert_eq!((yard.workflows().len(), yard.pods().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_deleted_fails_the_build_for_now() {
    let yard = Yard::idle().await;
    yard.cluster.set_template_behaviour("build", TemplateBehaviour::Hang);
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    yard.seconds(5).await;
    let pod = yard.pods()[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    yard.objects.remove(&Key::new(POD, SPACE, pod), None, None).expect("removed");
    let error = failed(&builder, &request).await;
    assert_eq!((error.code, error.retry), (ErrorCode::BuildFailed, Retry::Temporary));
    assert!(error.message.contains("pod deleted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_is_deleted_in_the_middle_is_lost_and_built_anew() {
    let yard = Yard::new().await;
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    builder.state(&request.deployment, 0).await.expect("known");
    yard.objects.remove(&workflow_of(&request), None, None).expect("removed");
    let (_, end) = finish(&builder, &request.deployment).await;
    let error = end.expect_err("lost");
    assert_eq!((error.code(), error.retry()), (ErrorCode::BuildLost, Retry::Temporary));
    // Its pod may still be there when the next one is made.
    builder.submit(&request).await.expect("submitted");
    let (_, end) = finish(&builder, &request.deployment).await;
    if let Err(error) = end {
        assert_eq!(error.retry(), Retry::Temporary, "{error}");
        builder.submit(&request).await.expect("submitted");
        finish(&builder, &request.deployment).await.1.expect("built");
    }
}

#[tokio::test(start_paused = true)]
async fn a_build_that_takes_too_long_needs_more_memory_or_is_stopped_by_someone_says_so() {
    let yard = Yard::idle().await;
    yard.cluster.set_template_behaviour("build", TemplateBehaviour::Hang);
    let mut short = settings();
    short.deadline = Duration::from_mins(2);
    let builder = yard.builder_with(yard.connection(anonymous()), short);
    let error = failed(&builder, &yard.request('a', "x").await).await;
    assert_eq!(error.code, ErrorCode::DeadlineExceeded, "{error}");
    assert!(error.hint.contains("raise the deadline of builds"));

    let request = yard.request('b', "x").await;
    builder.submit(&request).await.expect("submitted");
    yard.seconds(5).await;
    let stopped = yard.objects.update(&workflow_of(&request), None, |workflow| {
        workflow["spec"]["shutdown"] = "Terminate".into();
        Ok(())
    });
    stopped.expect("it is there");
    let error = failed(&builder, &request).await;
    assert_eq!((error.code, error.retry), (ErrorCode::BuildFailed, Retry::Permanent));
    assert!(error.message.contains("someone has stopped the workflow"), "{error}");

    let yard = Yard::idle().await;
    yard.cluster.set_step_program(Arc::new(Ends(Vec::new(), StepEnd { code: 137, message: String::new() })));
    let error = failed(&yard.builder(), &yard.request('c', "x").await).await;
    assert_eq!(error.code, ErrorCode::BuildFailed);
    assert!(error.message.contains("more memory than it may use"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_not_there_is_told_when_the_build_is_submitted() {
    let yard = Yard::new().await;
    let mut elsewhere = settings();
    elsewhere.namespace = "nowhere".parse().expect("a name");
    let builder = yard.builder_with(yard.connection(anonymous()), elsewhere);
    let error = builder.submit(&yard.request('a', "x").await).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::ObjectRefused);
}

#[tokio::test(start_paused = true)]
async fn images_that_a_build_reports_are_believed_only_when_the_registry_has_them() {
    let image = |component| ReportedImage { component, digest: Digest::of("nothing") };
    for images in [
        vec![],
        vec![image(Component::Engine)],
        vec![image(Component::Engine), image(Component::StreamWorker)],
        vec![image(Component::Engine), image(Component::Engine), image(Component::StreamWorker)],
        vec![image(Component::Engine), image(Component::StreamWorker), image(Component::BatchWorker)],
    ] {
        let yard = Yard::idle().await;
        let message = BuildReport::Images(images.clone()).to_json();
        yard.cluster.set_step_program(Arc::new(Ends(Vec::new(), StepEnd { code: 0, message })));
        let error = failed(&yard.builder(), &yard.request('a', "x").await).await;
        assert_eq!(error.code, ErrorCode::ImageMismatch, "{images:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_nobody_has_asked_for_is_refused_although_the_registry_has_it() {
    let yard = Yard::new().await;
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    let built = finish(&builder, &request.deployment).await.1.expect("built");
    let mut images: Vec<_> =
        built.iter().map(|image| ReportedImage { component: image.component, digest: image.manifest.digest }).collect();
    for extra in [None, Some(ReportedImage { component: Component::BatchWorker, digest: images[0].digest })] {
        let refused = extra.is_some();
        images.extend(extra);
        let message = BuildReport::Images(images.clone()).to_json();
        yard.cluster.set_step_program(Arc::new(Ends(Vec::new(), StepEnd { code: 0, message })));
        builder.stop(&request.deployment).await.expect("stopped");
        builder.submit(&request).await.expect("submitted");
        let end = finish(&builder, &request.deployment).await.1;
        assert_eq!(end.err().map(|error| error.code()), refused.then_some(ErrorCode::ImageMismatch));
    }
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_succeeds_without_a_report_is_built_anew() {
    let yard = Yard::idle().await;
    yard.cluster.set_step_program(Arc::new(Ends(Vec::new(), StepEnd { code: 0, message: "done".to_owned() })));
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    let error = failed(&builder, &request).await;
    assert_eq!((error.code, error.retry), (ErrorCode::BuildLost, Retry::Temporary));
    yard.open();
    builder.submit(&request).await.expect("submitted");
    finish(&builder, &request.deployment).await.1.expect("built");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_a_while_is_an_error_that_may_pass() {
    use chalk_deploy_testkit::simulated::fault::{ProtocolFault, Requests};
    let yard = Yard::new().await;
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    for nth in 1..=20 {
        yard.faults.nth(Requests::to("kubernetes"), nth, ProtocolFault::status(503));
    }
    let (mut refused, mut seen) = (0, 0);
    loop {
        match builder.state(&request.deployment, seen).await {
            Err(error) => {
                assert_eq!(error.retry(), Retry::Temporary, "{error}");
                refused += 1;
            }
            Ok(BuildState::Succeeded { .. }) => break,
            Ok(BuildState::Failed { error, .. }) => panic!("{error}"),
            Ok(BuildState::Running { events }) => seen += events.len() as u64,
        }
    }
    assert!(refused > 0, "nothing was refused");
}
