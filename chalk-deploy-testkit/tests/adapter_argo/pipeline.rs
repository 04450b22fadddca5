//! Whole deployments whose images are built in the cluster.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::build::BuildFolder;
use chalk_deploy_core::build::argo::{ArgoBuilder, ArgoSettings};
use chalk_deploy_core::cloud::Cloud;
use chalk_deploy_core::kubernetes::{ClusterAccess, Connection};
use chalk_deploy_core::model::{
    DataPlane, DeploymentStatus, Digest, EnvironmentId, Environments, ImageReference, Namespace, Repository,
};
use chalk_deploy_core::observe::EventKind;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::store::MemoryStore;
use chalk_deploy_core::{ApplyRequest, Deployer, Result};
use chalk_deploy_testkit::simulated::builder_image::SimulatedBuilderImage;
use chalk_deploy_testkit::simulated::kubernetes::{ClusterSettings, TemplateBehaviour};
use chalk_deploy_testkit::simulated::plane::{Adapters, Plane, PlaneSettings, SimulatedEnvironments};
use chalk_deploy_testkit::{VirtualRuntime, World, sample};
use futures::StreamExt as _;

/// The simulated environments, with this builder in the place of theirs.
#[derive(Debug)]
struct Building(SimulatedEnvironments, ArgoBuilder);

#[async_trait]
impl Environments for Building {
    async fn resolve(&self, environment: &EnvironmentId) -> Result<Arc<DataPlane>> {
        let plane = self.0.resolve(environment).await?;
        let cloud = Cloud { builder: Arc::new(self.1.clone()), ..plane.cloud.clone() };
        let mut plane = DataPlane { cloud, ..(*plane).clone() };
        // The metadata side is outside: a build in this process would be refused.
        plane.boundary = chalk_deploy_core::model::Boundary::default();
        Ok(Arc::new(plane))
    }
}

fn house() -> (Plane, Deployer) {
    let (world, runtime) = (World::memory(), VirtualRuntime::new(5));
    let clock: Arc<dyn Runtime> = runtime;
    let settings = PlaneSettings { cluster: ClusterSettings::realistic(), ..PlaneSettings::default() };
    let plane = Plane::start(&world, &clock, settings).expect("the servers");
    let folder = BuildFolder::temporary().expect("a folder");
    let adapters = Adapters::new(&plane.ways(), None, folder, &clock).expect("the adapters");
    let cloud = adapters.cloud().clone();
    let program = SimulatedBuilderImage::new(cloud.object_store.clone(), cloud.registry.clone(), clock.clone());
    plane.cluster().set_step_program(Arc::new(program));
    let repository = Repository::new("registry.embedded/chalk/builder").expect("a repository");
    let image = ImageReference { repository, digest: Digest::of("the builder") };
    let namespace = Namespace::new("ns-default").expect("a namespace");
    let access = ClusterAccess::anonymous("https://kubernetes.embedded").expect("an address");
    let builder = ArgoBuilder::new(
        Connection::new(plane.ways().kubernetes, access, clock.clone()),
        ArgoSettings::new(namespace, image, "s3://embedded-source"),
        cloud.object_store,
        cloud.registry,
    );
    let environments = Building(SimulatedEnvironments::any(adapters), builder);
    let deployer = Deployer::builder(Arc::new(environments), MemoryStore::new()).with_runtime(clock);
    (plane, deployer.build().expect("a deployer"))
}

fn request() -> ApplyRequest {
    sample::request(sample::archive(&[("chalk.yaml", b"project: fraud\n"), ("a.py", b"x = 1")])).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_built_in_the_cluster_and_its_lines_are_told() {
    let (plane, deployer) = house();
    let handle = deployer.apply(request()).await.expect("admitted");
    let outcome = handle.wait().await.expect("it ends");
    assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
    let events: Vec<_> = handle.events().collect().await;
    let lines: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Log { line, .. } => Some(line.as_str()),
            _ => None,
        })
        .collect();
    for wanted in [
        "build: it runs in pod chalk-build-c",
        "layer: /app has",
        "push: engine is registry.embedded/chalk/engine-default@sha256:",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(wanted)), "{wanted}: {lines:#?}");
    }
    drop(plane);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_cancelled_while_it_builds_leaves_no_workflow_and_no_pod() {
    use chalk_deploy_testkit::simulated::kubernetes::resource::{POD, WORKFLOW};
    let (plane, deployer) = house();
    plane.cluster().set_template_behaviour("build", TemplateBehaviour::Hang);
    let handle = deployer.apply(request()).await.expect("admitted");
    let runtime = plane.objects().runtime().clone();
    runtime.sleep(std::time::Duration::from_secs(20)).await;
    assert_eq!(plane.objects().list(WORKFLOW, None).0.len(), 1);
    deployer.cancel(handle.id()).await.expect("cancelled");
    let outcome = handle.wait().await.expect("it ends");
    assert_eq!(outcome.status, DeploymentStatus::Cancelled);
    runtime.sleep(std::time::Duration::from_secs(20)).await;
    assert!(plane.objects().list(WORKFLOW, None).0.is_empty() && plane.objects().list(POD, None).0.is_empty());
}
