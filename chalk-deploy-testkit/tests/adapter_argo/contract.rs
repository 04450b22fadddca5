//! What every builder does, and what this one does differently.

use std::sync::Arc;

use chalk_deploy_core::build::argo::ArgoBuilder;
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder};
use chalk_deploy_core::cloud::Builder as _;
use chalk_deploy_core::kubernetes::{AccessRequest, Credentials, Secret};
use chalk_deploy_core::model::{BuildPlace, ImageLocation, ProjectSettings};
use chalk_deploy_core::{Error, ErrorCode};
use chalk_deploy_testkit::conformance::builder::suite;
use chalk_deploy_testkit::simulated::kubernetes::api::{Anonymous, Token, User};
use chalk_deploy_testkit::simulated::kubernetes::objects::Key;
use chalk_deploy_testkit::simulated::kubernetes::resource::{ROLE, ROLE_BINDING};
use serde_json::{Value, json};

use super::yard::{Harness, SPACE, Yard, anonymous, finish, said, settings};

#[tokio::test(start_paused = true)]
async fn the_argo_builder_passes() {
    let yard = Yard::new().await;
    let builder = yard.builder();
    suite(&Harness { yard, builder }, "argo").await.assert_passed();
}

#[tokio::test(start_paused = true)]
async fn it_builds_the_images_that_the_in_process_builder_builds_and_neither_source_nor_image_comes_through_here() {
    let yard = Yard::new().await;
    let request = yard.request('a', "x = 1").await;
    let here = InProcessBuilder::new(
        Arc::new(yard.bucket.clone()),
        yard.registry.clone(),
        BuildFolder::temporary().expect("a folder"),
        yard.runtime.clone(),
    );
    here.submit(&request).await.expect("submitted");
    let expected = finish(&here, &request.deployment).await.1.expect("built");
    let builder = yard.builder();
    let place = builder.place(&request.settings).expect("it builds this");
    assert_eq!((place, builder.contents().is_none()), (BuildPlace::DataPlane, true));
    builder.submit(&request).await.expect("submitted");
    let (events, images) = finish(&builder, &request.deployment).await;
    let images = images.expect("built");
    assert_eq!(images.len(), 2);
    for (image, expected) in images.iter().zip(&expected) {
        assert_eq!((&image.manifest, &image.blobs), (&expected.manifest, &expected.blobs));
        let repository = format!("registry.embedded/chalk/{}-prod", image.component);
        assert!(matches!(&image.location, ImageLocation::Registry(pushed) if pushed.as_str() == repository));
    }
    let said = said(&events);
    for step in [
        "build: it runs in pod",
        "fetch: the source archive is",
        "layer: /app has",
        "push: engine is",
        "build: it has succeeded",
    ] {
        assert!(said.iter().any(|line| line.starts_with(step)), "{step}: {said:#?}");
    }
    // All that this side has asked: whether the source is there, and for two manifests.
    let plan = &yard.plan;
    assert_eq!((plan.count("object_store", "head"), plan.count("registry", "manifest")), (1, 2));
    for (name, method) in
        [("object_store", "get"), ("registry", "pull_blob"), ("registry", "push_blob"), ("registry", "put_manifest")]
    {
        assert_eq!(plan.count(name, method), 0, "{name}.{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ended_workflow_goes_with_its_pod_when_its_time_is_over_and_is_lost_then() {
    let yard = Yard::new().await;
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    finish(&builder, &request.deployment).await.1.expect("built");
    yard.seconds(60).await;
    assert_eq!((yard.workflows().len(), yard.pods().len()), (1, 1));
    yard.seconds(24 * 3600 + 60).await;
    assert_eq!((yard.workflows().len(), yard.pods().len()), (0, 0));
    let error = builder.state(&request.deployment, 0).await.expect_err("it is gone");
    assert_eq!(error.code(), ErrorCode::BuildLost);
}

#[tokio::test(start_paused = true)]
async fn a_project_with_its_own_dockerfile_is_refused_with_a_sentence_and_nothing_is_made() {
    let yard = Yard::new().await;
    let mut request = yard.request('a', "x").await;
    request.settings =
        ProjectSettings { dockerfile: Some("docker/Dockerfile".to_owned()), ..ProjectSettings::default() };
    let error = yard.builder().submit(&request).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
    assert_eq!(
        error.sentence(),
        "`docker/Dockerfile`: the project brings its own Dockerfile, and no image that runs Dockerfiles is set up for its \
         workflows; set up the Argo builder with an image that runs Dockerfiles, or remove `dockerfile` from chalk.yaml"
    );
    let placed = yard.builder().place(&request.settings).expect_err("nowhere");
    assert_eq!(placed.sentence(), error.sentence(), "it is told before anything is recorded");
    assert!(yard.workflows().is_empty());
}

/// Seed 003's `argo-workflows-role`, word for word, and what of the management role is about logs.
fn seed_003() -> Vec<Value> {
    let verbs = json!(["get", "list", "watch", "create", "update", "patch", "delete"]);
    vec![
        json!({"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": verbs}),
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": verbs}),
        json!({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get", "list", "watch"]}),
    ]
}

/// A builder that may do what these rules say.
fn under(yard: &Yard, rules: &[Value]) -> ArgoBuilder {
    yard.objects.create(&Key::new(ROLE, SPACE, "builder"), json!({"rules": rules})).expect("free");
    let binding = json!({
        "subjects": [{"kind": "User", "name": "builder", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": "builder", "apiGroup": "rbac.authorization.k8s.io"},
    });
    yard.objects.create(&Key::new(ROLE_BINDING, SPACE, "builder"), binding).expect("free");
    yard.server.adjust(|settings| {
        settings.rbac = true;
        settings.anonymous = Anonymous::Refused;
        settings.tokens = vec![Token::new("a-token", User::new("builder", [""; 0]))];
    });
    let access = anonymous().with_credentials(Credentials::Token(Secret::new("a-token")));
    yard.builder_over(yard.connection(access))
}

#[tokio::test(start_paused = true)]
async fn kanikos_role_of_seed_003_is_all_that_it_needs() {
    let yard = Yard::new().await;
    let builder = under(&yard, &seed_003());
    suite(&Harness { yard, builder }, "role").await.assert_passed();
}

#[tokio::test(start_paused = true)]
async fn the_permissions_that_it_names_are_enough_and_none_is_too_many() {
    let permissions = settings().permissions();
    let rule = |permission: &AccessRequest| {
        let slash = if permission.subresource.is_empty() { "" } else { "/" };
        let resource = format!("{}{slash}{}", permission.resource, permission.subresource);
        json!({"apiGroups": [permission.group], "resources": [resource], "verbs": [permission.verb]})
    };
    let all: Vec<_> = permissions.iter().map(rule).collect();
    let yard = Yard::new().await;
    let builder = under(&yard, &all);
    suite(&Harness { yard, builder }, "named").await.assert_passed();
    for (at, permission) in permissions.iter().enumerate() {
        let mut less = all.clone();
        less.remove(at);
        let yard = Yard::new().await;
        let (builder, request) = (under(&yard, &less), yard.request('a', "x").await);
        let built = async {
            builder.submit(&request).await?;
            // A second time, as after a crash: it is found.
            builder.submit(&request).await?;
            let (events, images) = finish(&builder, &request.deployment).await;
            images?;
            builder.stop(&request.deployment).await?;
            Ok::<_, Error>(events)
        };
        match built.await {
            // One builds without watching, only later, and without lines.
            Ok(events) => {
                let silent = said(&events).iter().any(|line| line.contains("its log cannot be read"));
                assert!(permission.verb == "watch" || silent, "{permission} is not needed");
            }
            Err(error) => assert_eq!(error.code(), ErrorCode::PermissionDenied, "{permission}: {error}"),
        }
    }
}
