//! Images built in the cluster, by the real controller of Argo Workflows and under seed 003's role.

#![expect(clippy::print_stdout, reason = "what a test has measured is for whoever runs it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::build::argo::{ArgoBuilder, ArgoSettings};
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder};
use chalk_deploy_core::cloud::{BuildRequest, Builder, Payload, PutMode};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::kubernetes::{AccessReview as _, KubernetesCluster, Secret};
use chalk_deploy_core::model::{
    ArchiveReference, BaseImage, DeploymentStatus, Digest, ImageReference, ObjectKey, ProjectSettings, Repository,
};
use chalk_deploy_core::runtime::{Runtime as _, RuntimeExt as _, SystemRuntime};
use chalk_deploy_core::{ErrorCode, Result};
use chalk_deploy_testkit::conformance::Fresh;
use chalk_deploy_testkit::conformance::builder::{self, BuilderHarness};
use chalk_deploy_testkit::following::follow;
use chalk_deploy_testkit::testbed::{Identity, Part};

use crate::house::{House, TESTBED};

const STATIC: &str = "STATIC_IMAGE";
/// The service account of the builds' pods.
const ACCOUNT: &str = "chalk-builder";

/// Seed 003's `argo-workflows-role`, word for word, for the two who need it; the service account has nothing else.
const ROLE: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: chalk-builder}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: argo-workflows-role}
rules:
- apiGroups: ["argoproj.io"]
  resources: ["workflows"]
  verbs: ["get", "list", "watch", "create", "update", "patch", "delete"]
- apiGroups: [""]
  resources: ["pods"]
  verbs: ["get", "list", "watch", "create", "update", "patch", "delete"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: argo-workflows-role}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: argo-workflows-role}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: chalk-deploy-pipeline}
- {kind: ServiceAccount, name: chalk-builder}
"#;

/// The program of the build container, as cargo has put it beside this test.
fn program() -> PathBuf {
    let here = std::env::current_exe().expect("this test has a path");
    let profile = here.parent().and_then(Path::parent).expect("a folder of the profile");
    let program = profile.join("examples/build_image");
    assert!(program.exists(), "build it first: cargo build -p chalk-deploy-examples --example build_image");
    program
}

/// An environment whose images are built in its own namespace.
#[derive(Debug)]
pub(crate) struct Site {
    house: HouseOf,
    pub(crate) builder: ArgoBuilder,
}

/// Shown without what it holds.
struct HouseOf(House);

impl std::fmt::Debug for HouseOf {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("House")
    }
}

impl Site {
    pub(crate) async fn new(name: &str) -> Self {
        Self::with(name, |_, _| {}).await
    }

    /// One whose builder is set up otherwise.
    pub(crate) async fn with(name: &str, change: impl FnOnce(&House, &mut ArgoSettings)) -> Self {
        let mut house = House::on(name, STATIC).await;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("builder-image");
        std::fs::create_dir_all(&folder).expect("a folder");
        let image = house.testbed.load_builder(&program(), &folder).await.expect("the image of the builder");
        house.kubectl(&["apply", "-f", "-"], ROLE).await;
        let value = |name: &str| house.testbed.value(name).expect("a value").to_owned();
        let (key, secret) = (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
        let literals = [
            format!("--from-literal=AWS_ACCESS_KEY_ID={key}"),
            format!("--from-literal=AWS_SECRET_ACCESS_KEY={secret}"),
        ];
        house.kubectl(&["create", "secret", "generic", "bucket", &literals[0], &literals[1]], "").await;
        let (repository, digest) = image.split_once('@').expect("a reference by digest");
        let image = ImageReference {
            repository: Repository::new(repository).expect("a repository"),
            digest: digest.parse().expect("a digest"),
        };
        let mut settings = ArgoSettings::new(house.plane.namespace.clone(), image, value("BUCKET"));
        ACCOUNT.clone_into(&mut settings.service_account);
        settings.bucket_secret = Some("bucket".to_owned());
        settings.plain_http.insert(house.testbed.registry_host().expect("a host"));
        "50m".clone_into(&mut settings.resources.processors);
        "256Mi".clone_into(&mut settings.resources.memory);
        settings.secrets = vec![Secret::new(secret)];
        change(&house, &mut settings);
        let builder = builder(&house, settings);
        house.plane.cloud.builder = Arc::new(builder.clone());
        house.reopen();
        Self { house: HouseOf(house), builder }
    }

    pub(crate) fn house(&self) -> &House {
        &self.house.0
    }

    pub(crate) fn house_mut(&mut self) -> &mut House {
        &mut self.house.0
    }

    async fn request(&self, content: &str) -> BuildRequest {
        self.request_of(&[("a.py", &format!("# {content}\n"))]).await
    }

    /// A request for a project of these files.
    pub(crate) async fn request_of(&self, files: &[(&str, &str)]) -> BuildRequest {
        let deployment = SystemRuntime::new().deployment_id().expect("an id");
        let key = ObjectKey::new(format!("incoming/{deployment}")).expect("a key");
        let bases = self.base_images();
        BuildRequest {
            source: self.upload_files(&key, files).await.expect("uploaded"),
            repositories: bases
                .iter()
                .map(|base| self.house().plane.repository(base.component))
                .collect::<Result<_>>()
                .expect("repositories"),
            base_images: bases,
            deployment,
            requirements: Vec::new(),
            settings: ProjectSettings::default(),
            platform: "linux/amd64".to_owned(),
            more_platforms: Vec::new(),
        }
    }

    async fn upload_files(&self, key: &ObjectKey, files: &[(&str, &str)]) -> Result<ArchiveReference> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content.as_bytes()).expect("memory takes all");
        }
        let payload = Payload::from_bytes(archive.into_inner().expect("memory takes all"));
        self.house().plane.cloud.object_store.put(key, &payload, PutMode::WriteOnce).await?;
        Ok(ArchiveReference { key: key.clone(), sha256: payload.sha256(), size: payload.size() })
    }

    pub(crate) async fn workflows(&self) -> String {
        self.house().kubectl(&["get", "workflows", "-o", "name"], "").await
    }
}

fn builder(house: &House, settings: ArgoSettings) -> ArgoBuilder {
    let connection = house.testbed.connection(Identity::Pipeline).expect("a connection");
    let cloud = &house.plane.cloud;
    ArgoBuilder::new(connection, settings, cloud.object_store.clone(), cloud.registry.clone())
}

#[async_trait]
impl BuilderHarness for Site {
    fn builder(&self) -> Arc<dyn Builder> {
        Arc::new(self.builder.clone())
    }

    async fn upload(&self, key: &ObjectKey, content: &str) -> Result<ArchiveReference> {
        self.upload_files(key, &[("a.py", content)]).await
    }

    fn base_images(&self) -> Vec<BaseImage> {
        self.house().plane.base_images.clone()
    }

    fn repository(&self, fresh: &Fresh) -> Result<Repository> {
        Repository::new(format!("{}/{}", self.house().testbed.registry_host()?, fresh.prefix()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_is_built_by_a_workflow_under_seed_003s_role_and_serves() {
    let _alone = TESTBED.lock().await;
    let site = Site::new("argo").await;
    let clock = SystemRuntime::new();
    let began = clock.monotonic();
    let id = site.house().deploy("built in the cluster").await;
    let took = clock.monotonic().saturating_sub(began);
    assert_eq!(site.house().answering().await, id);
    let (events, images) = follow(&site.builder, &id).await;
    let images = images.expect("built");
    println!("from the request to SUCCESS: {took:?}");
    for event in &events {
        println!("{:>3} {}: {}", event.number, event.step, event.line);
    }
    for step in ["fetch", "layer", "base", "image", "push"] {
        assert!(events.iter().any(|event| event.step == step), "{step}: {events:#?}");
    }
    assert_eq!(images.len(), 1);
    let workflow = site.house().kubectl(&["get", "workflows", "-o", "yaml"], "").await;
    let secret = site.house().testbed.value("AWS_SECRET_ACCESS_KEY").expect("a value");
    assert!(!workflow.contains(secret), "the workflow holds the bucket's secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_needs_is_permitted_and_its_images_are_those_of_the_in_process_builder() {
    let _alone = TESTBED.lock().await;
    let site = Site::new("argo-same").await;
    let connection = site.house().testbed.connection(Identity::Pipeline).expect("a connection");
    let permissions = site.builder.settings().permissions();
    let missing = KubernetesCluster::new(connection).missing(&permissions).await.expect("answered");
    assert_eq!(missing, [], "seed 003's role and the pipeline's are enough");
    let request = site.request("the same").await;
    let folder = BuildFolder::temporary().expect("a folder");
    let cloud = &site.house().plane.cloud;
    let here = InProcessBuilder::new(cloud.object_store.clone(), cloud.registry.clone(), folder, SystemRuntime::new());
    here.submit(&request).await.expect("submitted");
    let expected = follow(&here, &request.deployment).await.1.expect("built");
    let clock = SystemRuntime::new();
    let began = clock.monotonic();
    site.builder.submit(&request).await.expect("submitted");
    let (events, images) = follow(&site.builder, &request.deployment).await;
    println!("a build of one image: {:?}", clock.monotonic().saturating_sub(began));
    let images = images.unwrap_or_else(|error| panic!("{}: {events:#?}", error.sentence()));
    assert_eq!((&images[0].manifest, &images[0].blobs), (&expected[0].manifest, &expected[0].blobs));
    site.builder.stop(&request.deployment).await.expect("stopped");
    assert_eq!(site.builder.state(&request.deployment, 0).await.expect_err("forgotten").code(), ErrorCode::BuildLost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_argo_builder_passes_on_the_real_controller() {
    let _alone = TESTBED.lock().await;
    let site = Site::new("argo-suite").await;
    let clock = SystemRuntime::new();
    let began = clock.monotonic();
    builder::suite(&site, &format!("e2e{}", std::process::id())).await.assert_passed();
    println!("the suite of builders: {:?}", clock.monotonic().saturating_sub(began));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_argos_executor_may_report_the_images_are_known_also_when_the_pod_is_gone() {
    let _alone = TESTBED.lock().await;
    let site = Site::new("argo-outputs").await;
    let mut settings = site.builder.settings().clone();
    // The testbed lets it write workflowtaskresults.
    "default".clone_into(&mut settings.service_account);
    let request = site.request("outputs").await;
    let permitted = builder(site.house(), settings.clone());
    permitted.submit(&request).await.expect("submitted");
    let images = follow(&permitted, &request.deployment).await.1.expect("built");
    let name = format!("workflow/chalk-build-{}", request.deployment);
    let done = ["wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s", &name];
    site.house().kubectl(&done, "").await;
    site.house().kubectl(&["delete", "pods", "--all", "--force", "--grace-period=0"], "").await;
    let later = builder(site.house(), settings);
    assert_eq!(follow(&later, &request.deployment).await.1.expect("known"), images);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_outlives_the_controller_and_the_process_that_submitted_it() {
    let _alone = TESTBED.lock().await;
    let site = Site::new("argo-restart").await;
    let testbed = &site.house().testbed;
    let request = site.request("restarted").await;
    testbed.kill(Part::ArgoController).await.expect("killed");
    site.builder.submit(&request).await.expect("submitted");
    SystemRuntime::new().sleep(Duration::from_secs(2)).await;
    testbed.start_again(Part::ArgoController).await.expect("started");
    // Another process, which knows nothing.
    let later = builder(site.house(), site.builder.settings().clone());
    later.submit(&request).await.expect("found");
    later.state(&request.deployment, 0).await.expect("known");
    testbed.kill(Part::ArgoController).await.expect("killed");
    testbed.start_again(Part::ArgoController).await.expect("started");
    let (events, images) = follow(&later, &request.deployment).await;
    images.unwrap_or_else(|error| panic!("{}: {events:#?}", error.sentence()));
    assert_eq!(site.workflows().await.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_is_stopped_or_deleted_goes_with_its_pod_and_one_that_fails_says_why() {
    let _alone = TESTBED.lock().await;
    let site = Site::new("argo-ends").await;
    let mut missing = site.request("fails").await;
    missing.base_images[0].digest = Digest::of("not there");
    site.builder.submit(&missing).await.expect("submitted");
    let (events, end) = follow(&site.builder, &missing.deployment).await;
    let error = end.expect_err("there is no such base image");
    println!("{}", error.sentence());
    assert_eq!(error.code(), ErrorCode::ObjectMissing, "{events:#?}");
    assert!(events.iter().any(|event| event.step == "error"), "{events:#?}");
    site.builder.stop(&missing.deployment).await.expect("stopped");

    let stopped = site.request("stopped").await;
    site.builder.submit(&stopped).await.expect("submitted");
    site.builder.stop(&stopped.deployment).await.expect("stopped");
    let deleted = site.request("deleted").await;
    site.builder.submit(&deleted).await.expect("submitted");
    site.builder.state(&deleted.deployment, 0).await.expect("known");
    let name = format!("chalk-build-{}", deleted.deployment);
    site.house().kubectl(&["delete", "workflow", &name], "").await;
    let error = site.builder.state(&deleted.deployment, 0).await.expect_err("it is gone");
    assert_eq!((error.code(), error.retry()), (ErrorCode::BuildLost, Retry::Temporary));
    // A pod may fail to begin where the machine is busy; who submits again, as the driver does, gets another.
    for _ in 0..3 {
        site.builder.submit(&deleted).await.expect("submitted again");
        match follow(&site.builder, &deleted.deployment).await.1 {
            Err(error) if error.retry() == Retry::Temporary => println!("again after: {}", error.sentence()),
            built => {
                built.expect("built");
                break;
            }
        }
    }
    site.builder.stop(&deleted.deployment).await.expect("stopped");
    for _ in 0..60 {
        let pods = site.house().kubectl(&["get", "pods", "-o", "name"], "").await;
        if pods.is_empty() && site.workflows().await.is_empty() {
            return;
        }
        SystemRuntime::new().sleep(Duration::from_millis(500)).await;
    }
    panic!("something is left: {}", site.workflows().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_is_cancelled_while_no_controller_runs_leaves_no_workflow() {
    let _alone = TESTBED.lock().await;
    let site = Site::new("argo-cancel").await;
    // The controller is away, so that the build does not end before it is cancelled.
    site.house().testbed.kill(Part::ArgoController).await.expect("killed");
    let request = site.house().request(&[("features.py", "x = 1")]);
    let handle = site.house().deployer.apply(request).await.expect("admitted");
    for _ in 0..40 {
        if !site.workflows().await.is_empty() {
            break;
        }
        SystemRuntime::new().sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(site.workflows().await.lines().count(), 1);
    site.house().deployer.cancel(handle.id()).await.expect("cancelled");
    let outcome = handle.wait().await.expect("it ends");
    assert_eq!(outcome.status, DeploymentStatus::Cancelled, "{:?}", outcome.error);
    assert_eq!(site.workflows().await, "");
    site.house().testbed.start_again(Part::ArgoController).await.expect("started");
}
