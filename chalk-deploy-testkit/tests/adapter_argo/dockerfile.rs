//! Projects that bring their own Dockerfile: strangers' commands between two containers of ours. The executor is a
//! stand-in; testbed's tests run the real one.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::build::argo::{ArgoSettings, CloudIdentity};
use chalk_deploy_core::build::report::{BuildReport, ReportedImage};
use chalk_deploy_core::cloud::{Builder as _, ImageManifest, ManifestLocator, Payload};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::kubernetes::Secret;
use chalk_deploy_core::model::{Component, ImageLocation};
use chalk_deploy_testkit::simulated::builder_image::SimulatedBuilderImage;
use chalk_deploy_testkit::simulated::seam::{StepEnd, StepInvocation, StepProgram};
use serde_json::{Value, json};

use super::yard::{SECRET, Yard, anonymous, finish, said, with_executor};

const ORDINARY: &str = "FROM ${CHALK_BASE_IMAGE}\nCOPY . /app\nUSER 65532\n";

fn builder(yard: &Yard, settings: ArgoSettings) -> chalk_deploy_core::build::argo::ArgoBuilder {
    yard.builder_with(yard.connection(anonymous()), settings)
}

#[tokio::test(start_paused = true)]
async fn a_projects_own_dockerfile_is_built_for_each_component_and_its_images_are_read_back() {
    let yard = Yard::new().await;
    let (builder, request) = (builder(&yard, with_executor()), yard.with_dockerfile('a', ORDINARY).await);
    builder.submit(&request).await.expect("submitted");
    let (events, images) = finish(&builder, &request.deployment).await;
    let images = images.unwrap_or_else(|error| panic!("{}: {:#?}", error.sentence(), said(&events)));
    let components: Vec<_> = images.iter().map(|image| image.component).collect();
    assert_eq!(components, [Component::Engine, Component::StreamWorker]);
    for (image, base) in images.iter().zip(request.base_images.iter().rev()) {
        let ImageLocation::Registry(repository) = &image.location else { panic!("{image:?}") };
        let mut config = yard.registry.pull_blob(repository, &image.blobs[0].digest).await.expect("a config");
        let bytes = futures::StreamExt::next(&mut config).await.expect("bytes").expect("bytes");
        let config: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(config["config"]["Labels"]["chalk.ai/component"], json!(base.component));
        assert_eq!(config["created"], "1970-01-01T00:00:00Z");
    }
    let said = said(&events);
    for part in [
        "unpack: it runs in pod",
        "fetch: the source archive is",
        "plan: engine is built from registry.embedded/chalk/base@sha256:",
        "dockerfile-stream-worker: level=info",
        "dockerfile-engine: it has succeeded",
        "verify: the image of engine has 1 layers",
        "push: engine is registry.embedded/chalk/engine-prod@sha256:",
    ] {
        assert!(said.iter().any(|line| line.starts_with(part)), "{part}: {said:#?}");
    }
    let of = |part: &str| said.iter().position(|line| line.starts_with(part)).expect(part);
    assert!(of("unpack: it has succeeded") < of("dockerfile-stream-worker: it runs"));
    assert!(of("dockerfile-engine: it has succeeded") < of("push: "));
}

#[tokio::test(start_paused = true)]
async fn the_container_of_strangers_holds_no_credentials_and_can_write_nothing_that_others_run() {
    let yard = Yard::new().await;
    let mut settings = with_executor();
    settings.bucket_secret = Some("bucket".to_owned());
    settings.registry_secret = Some("registries".to_owned());
    let (builder, request) = (builder(&yard, settings), yard.with_dockerfile('a', ORDINARY).await);
    builder.submit(&request).await.expect("submitted");
    finish(&builder, &request.deployment).await.1.expect("built");
    let pod = yard.pods().remove(0);
    let before = pod["spec"]["initContainers"].as_array().expect("containers").clone();
    let names: Vec<_> = before.iter().map(|container| container["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["init", "unpack", "dockerfile-stream-worker", "dockerfile-engine"]);
    for stranger in &before[2..] {
        let text = stranger.to_string();
        for part in ["secretRef", "registries", "\"bucket\"", "--request", "/var/run/argo", "{{"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
        assert_eq!(stranger["command"], json!(["/kaniko/executor"]));
        let mounts = stranger["volumeMounts"].as_array().expect("mounts");
        let writable: Vec<_> = mounts.iter().filter(|mount| mount["readOnly"] != true).collect();
        assert_eq!(writable, [&json!({"name": "image", "mountPath": "/chalk/image"})]);
        // Where the token of the service account would be.
        let account = json!("/var/run/secrets/kubernetes.io/serviceaccount");
        assert!(mounts.iter().any(|mount| mount["mountPath"] == account && mount["name"] == "nothing"));
        let security = &stranger["securityContext"];
        assert_eq!((&security["allowPrivilegeEscalation"], &security["privileged"]), (&json!(false), &Value::Null));
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
    }
    // Each of ours gets what it needs, and no more: no bucket where images are pushed, no registry where they are not.
    let main = pod["spec"]["containers"].as_array().expect("containers").iter().find(|of| of["name"] == "main");
    let (unpack, push) = (before[1].to_string(), main.expect("main").to_string());
    assert!(unpack.contains("secretRef") && !unpack.contains("\"registry\""), "{unpack}");
    assert!(push.contains("\"registry\"") && !push.contains("secretRef"), "{push}");
    for of_ours in [unpack, push] {
        assert!(of_ours.contains("\"readOnlyRootFilesystem\":true"), "{of_ours}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dockerfile_that_fails_ends_the_build_with_its_last_lines_and_nothing_is_pushed() {
    let yard = Yard::new().await;
    let (builder, request) = (
        builder(&yard, with_executor()),
        yard.with_dockerfile('a', "FROM ${CHALK_BASE_IMAGE}\nRUN echo no such package: nampy\nRUN exit 7\n").await,
    );
    builder.submit(&request).await.expect("submitted");
    let (events, end) = finish(&builder, &request.deployment).await;
    let error = end.expect_err("it fails");
    assert_eq!((error.code(), error.retry()), (ErrorCode::BuildFailed, Retry::Permanent));
    let sentence = error.sentence();
    assert!(sentence.contains("the project's own Dockerfile has failed with exit code 7"), "{sentence}");
    assert!(sentence.contains("no such package: nampy"), "{sentence}");
    assert!(!said(&events).iter().any(|line| line.starts_with("push: ") || line.starts_with("dockerfile-engine: ")));
}

#[tokio::test(start_paused = true)]
async fn a_dockerfile_that_is_not_taken_is_refused_with_its_line_before_anything_of_it_runs() {
    let yard = Yard::new().await;
    for (letter, dockerfile, part) in [
        (
            'a',
            "FROM registry.embedded/chalk/base:1\n",
            "`docker/Dockerfile`, line 1: `registry.embedded/chalk/base:1` is named by a tag",
        ),
        ('b', "FROM ${CHALK_BASE_IMAGE}\nRUN --mount=type=secret x\n", "`docker/Dockerfile`, line 2: a flag of RUN"),
    ] {
        let (builder, request) = (builder(&yard, with_executor()), yard.with_dockerfile(letter, dockerfile).await);
        builder.submit(&request).await.expect("submitted");
        let (events, end) = finish(&builder, &request.deployment).await;
        let error = end.expect_err("refused");
        assert_eq!((error.code(), error.retry()), (ErrorCode::RequestInvalid, Retry::Permanent));
        assert!(error.sentence().starts_with(part), "{}", error.sentence());
        assert!(!said(&events).iter().any(|line| line.starts_with("dockerfile-")), "{:#?}", said(&events));
    }
    let mut request = yard.with_dockerfile('c', ORDINARY).await;
    request.settings.dockerfile = Some("Dockerfile".to_owned());
    let builder = builder(&yard, with_executor());
    builder.submit(&request).await.expect("submitted");
    let error = finish(&builder, &request.deployment).await.1.expect_err("it is not there");
    assert!(error.sentence().contains("the source archive has no such file"), "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn an_image_for_root_is_refused_before_it_is_pushed_unless_the_policy_takes_it() {
    let yard = Yard::new().await;
    let mut settings = with_executor();
    let request = yard.with_dockerfile('a', "FROM ${CHALK_BASE_IMAGE}\nUSER root\n").await;
    let strict = builder(&yard, settings.clone());
    strict.submit(&request).await.expect("submitted");
    let (events, end) = finish(&strict, &request.deployment).await;
    let error = end.expect_err("refused");
    assert!(error.sentence().contains("its config names the user `root`"), "{}", error.sentence());
    assert!(!said(&events).iter().any(|line| line.starts_with("push: ")));
    strict.stop(&request.deployment).await.expect("stopped");
    yard.seconds(60).await;
    settings.dockerfiles.as_mut().expect("an executor").policy.allows_root = true;
    let mild = builder(&yard, settings);
    mild.submit(&request).await.expect("submitted");
    finish(&mild, &request.deployment).await.1.expect("taken");
}

/// Our builder's program, but for what it reports at the end.
#[derive(Debug)]
struct Lies(SimulatedBuilderImage, StepEnd);

#[async_trait]
impl StepProgram for Lies {
    async fn run(&self, invocation: StepInvocation, say: &(dyn Fn(String) + Send + Sync)) -> StepEnd {
        if invocation.container == "main" { self.1.clone() } else { self.0.run(invocation, say).await }
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_for_root_is_refused_out_here_whatever_the_pod_says_of_it() {
    let yard = Yard::new().await;
    let request = yard.with_dockerfile('a', ORDINARY).await;
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": {"User": "0", "Cmd": ["x"]},
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    let config = Payload::from_bytes(config.to_string());
    let mut reported = Vec::new();
    for (base, repository) in request.base_images.iter().zip(&request.repositories) {
        yard.registry.push_blob(repository, &config).await.expect("pushed");
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        let document = json!({
            "schemaVersion": 2, "mediaType": media_type, "layers": [],
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.sha256(), "size": config.size()},
        });
        let manifest = ImageManifest { media_type, bytes: document.to_string().into() };
        let digest = yard.registry.put_manifest(repository, &manifest, None).await.expect("pushed");
        assert!(yard.registry.manifest(repository, &ManifestLocator::Digest(digest)).await.expect("asked").is_some());
        reported.push(ReportedImage { component: base.component, digest });
    }
    let end = StepEnd { code: 0, message: BuildReport::Images(reported).to_json() };
    let ours = SimulatedBuilderImage::new(Arc::new(yard.bucket.clone()), yard.registry.clone(), yard.runtime.clone());
    yard.cluster.set_step_program(Arc::new(Lies(ours, end)));
    let builder = builder(&yard, with_executor());
    builder.submit(&request).await.expect("submitted");
    let error = finish(&builder, &request.deployment).await.1.expect_err("refused");
    assert!(error.sentence().contains("its config names the user `0`"), "{}", error.sentence());
}

/// The executor says this, and ends like this; the rest is ours.
#[derive(Debug)]
struct Stranger(SimulatedBuilderImage, Vec<String>, StepEnd);

#[async_trait]
impl StepProgram for Stranger {
    async fn run(&self, invocation: StepInvocation, say: &(dyn Fn(String) + Send + Sync)) -> StepEnd {
        if invocation.container.starts_with("dockerfile-") {
            self.1.iter().cloned().for_each(say);
            return self.2.clone();
        }
        self.0.run(invocation, say).await
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_choose_no_step_leave_no_report_spill_no_secret_and_fill_no_log() {
    let yard = Yard::new().await;
    let request = yard.with_dockerfile('a', ORDINARY).await;
    let images =
        request.base_images.iter().map(|base| ReportedImage { component: base.component, digest: base.digest });
    let report = BuildReport::Images(images.collect()).to_json();
    let mut lines = vec![
        r#"{"step":"push","line":"engine is pushed"}"#.to_owned(),
        format!("token={SECRET} \u{1b}[2J"),
        report.clone(),
    ];
    lines.extend((0..20_000).map(|number| format!("{number}")));
    lines.push("the last word".to_owned());
    let ours = SimulatedBuilderImage::new(Arc::new(yard.bucket.clone()), yard.registry.clone(), yard.runtime.clone());
    let end = StepEnd { code: 1, message: report };
    yard.cluster.set_step_program(Arc::new(Stranger(ours, lines, end)));
    let mut settings = with_executor();
    settings.secrets = vec![Secret::new(SECRET)];
    let builder = builder(&yard, settings);
    builder.submit(&request).await.expect("submitted");
    let (events, end) = finish(&builder, &request.deployment).await;
    let error = end.expect_err("a failed container reports no images");
    let said = said(&events);
    assert!(said.contains(&r#"dockerfile-stream-worker: {"step":"push","line":"engine is pushed"}"#.to_owned()));
    assert!(said.len() < 1900, "{}", said.len());
    assert!(said.iter().any(|line| line.contains("only the first 1800 lines of the Dockerfile are kept")));
    assert!(error.sentence().contains("the last word"), "{}", error.sentence());
    for text in said.into_iter().chain([error.sentence()]) {
        assert!(!text.contains(SECRET) && !text.contains('\u{1b}'), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_build_of_a_dockerfile_is_adopted_in_its_midst_by_another_process() {
    let yard = Yard::new().await;
    let request = yard.with_dockerfile('a', ORDINARY).await;
    builder(&yard, with_executor()).submit(&request).await.expect("submitted");
    yard.seconds(1).await;
    let later = builder(&yard, with_executor());
    later.submit(&request).await.expect("found");
    finish(&later, &request.deployment).await.1.expect("built");
    assert_eq!((yard.workflows().len(), yard.pods().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_identity_of_a_cloud_only_adds_to_the_pod_and_one_that_reaches_strangers_is_refused() {
    let yard = Yard::new().await;
    let request = yard.with_dockerfile('a', ORDINARY).await;
    let with = |identity: CloudIdentity| ArgoSettings { identity, ..with_executor() };
    let gke = builder(&yard, with(CloudIdentity::Gke));
    let error = gke.submit(&request).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
    assert!(error.sentence().contains("whose identity no container can be kept from"), "{}", error.sentence());
    assert!(yard.workflows().is_empty());
    let mut specs = Vec::new();
    for identity in [CloudIdentity::None, CloudIdentity::Eks, CloudIdentity::Aks] {
        let builder = builder(&yard, with(identity));
        builder.submit(&request).await.expect("submitted");
        finish(&builder, &request.deployment).await.1.expect("built");
        let mut workflow = (*yard.workflows().remove(0)).clone();
        let metadata = workflow["spec"].as_object_mut().expect("a spec").remove("podMetadata");
        specs.push((workflow["spec"].clone(), metadata, yard.pods().remove(0)));
        builder.stop(&request.deployment).await.expect("stopped");
        yard.seconds(60).await;
    }
    let [(plain, None, _), (amazon, Some(_), amazon_pod), (azure, Some(_), azure_pod)] = &specs[..] else {
        panic!("{specs:#?}")
    };
    assert!(plain == amazon && plain == azure, "nothing else changes");
    let annotations = &amazon_pod["metadata"]["annotations"];
    assert_eq!(
        annotations["eks.amazonaws.com/skip-containers"],
        "init,wait,dockerfile-stream-worker,dockerfile-engine"
    );
    assert_eq!(azure_pod["metadata"]["labels"]["azure.workload.identity/use"], "true");
}
