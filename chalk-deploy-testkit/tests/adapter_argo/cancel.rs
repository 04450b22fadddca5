//! Builds that are stopped.

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{BuildState, Builder as _};
use chalk_deploy_testkit::simulated::kubernetes::TemplateBehaviour;
use chalk_deploy_testkit::simulated::kubernetes::objects::Key;
use chalk_deploy_testkit::simulated::kubernetes::resource::WORKFLOW;
use serde_json::json;

use super::yard::{SPACE, Yard, finish};

#[tokio::test(start_paused = true)]
async fn a_stopped_build_is_forgotten_at_once_and_its_pod_goes() {
    let yard = Yard::idle().await;
    yard.cluster.set_template_behaviour("build", TemplateBehaviour::Hang);
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    yard.seconds(10).await;
    let state = builder.state(&request.deployment, 0).await.expect("known");
    assert!(matches!(state, BuildState::Running { .. }), "{state:?}");
    assert_eq!(yard.pods().len(), 1);
    for _ in 0..2 {
        builder.stop(&request.deployment).await.expect("stopped");
        let error = builder.state(&request.deployment, 0).await.expect_err("forgotten");
        assert_eq!(error.code(), ErrorCode::BuildLost);
    }
    yard.seconds(10).await;
    assert!(yard.workflows().is_empty() && yard.pods().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_submitted_while_its_stopped_one_still_goes_waits_for_its_name() {
    let yard = Yard::new().await;
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    yard.seconds(3).await;
    builder.stop(&request.deployment).await.expect("stopped");
    let before = yard.workflows();
    assert!(!before[0]["metadata"]["deletionTimestamp"].is_null(), "it is gone already, and nothing is shown");
    builder.submit(&request).await.expect("submitted");
    finish(&builder, &request.deployment).await.1.expect("built");
    assert_ne!(yard.workflows()[0]["metadata"]["uid"], before[0]["metadata"]["uid"]);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_never_goes_is_told_and_not_waited_for_without_end() {
    let yard = Yard::new().await;
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    let key = Key::new(WORKFLOW, SPACE, format!("chalk-build-{}", request.deployment));
    let held = yard.objects.update(&key, None, |workflow| {
        workflow["metadata"]["finalizers"] = json!(["example.org/held"]);
        Ok(())
    });
    held.expect("it is there");
    builder.stop(&request.deployment).await.expect("stopped");
    let error = builder.submit(&request).await.expect_err("its name is taken");
    assert_eq!(error.code(), ErrorCode::CloudUnavailable);
    assert!(error.message().contains("still being removed"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_workflow_of_someone_else_is_left_alone() {
    let yard = Yard::new().await;
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    let key = Key::new(WORKFLOW, SPACE, format!("chalk-build-{}", request.deployment));
    for labels in
        [json!({}), json!({"app.kubernetes.io/managed-by": "chalk-deploy", "chalk.ai/deployment": request.deployment})]
    {
        let foreign = json!({
            "metadata": {"labels": labels},
            "spec": {"entrypoint": "main", "suspend": true, "templates": [{"name": "main", "container": {"image": "x"}}]},
        });
        yard.objects.create(&key, foreign).expect("free");
        let uid = yard.workflows()[0]["metadata"]["uid"].clone();
        for error in [
            builder.submit(&request).await.expect_err("taken"),
            builder.state(&request.deployment, 0).await.expect_err("not ours"),
        ] {
            assert_eq!(error.code(), ErrorCode::ObjectConflict);
            assert!(error.sentence().contains("find out whose it is"), "{}", error.sentence());
        }
        builder.stop(&request.deployment).await.expect("nothing of ours is there");
        yard.seconds(20).await;
        assert_eq!(yard.workflows()[0]["metadata"]["uid"], uid);
        yard.objects.remove(&key, None, None).expect("removed");
    }
}
