//! A whole deployment with the real builder and the real registry adapter; the rest of the cloud are the fakes.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::build::InProcessBuilder;
use chalk_deploy_core::cloud::{Cloud, Registry};
use chalk_deploy_core::model::{
    BaseImage, Component, DataPlane, DeploymentStatus, EnvironmentId, Environments, Repository,
};
use chalk_deploy_core::oci::OciSettings;
use chalk_deploy_core::store::MemoryStore;
use chalk_deploy_core::{Deployer, Result};
use chalk_deploy_testkit::fake::{PodBehaviour, PodScope};
use chalk_deploy_testkit::simulated::base_image;
use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests};
use chalk_deploy_testkit::{EmbeddedWorld, VirtualRuntime, sample};

use super::builds::{archive, temporary};
use super::small_registry::{Options, SmallRegistry};
use super::{adapter, faulty_adapter};

/// The data plane of a world with another registry and another builder.
#[derive(Debug)]
struct Plane {
    world: EmbeddedWorld,
    cloud: Cloud,
    base: BaseImage,
}

#[async_trait]
impl Environments for Plane {
    async fn resolve(&self, environment: &EnvironmentId) -> Result<Arc<DataPlane>> {
        let plane = self.world.data_plane(environment)?;
        let registry = Repository::new("registry.example/chalk")?;
        Ok(Arc::new(DataPlane { cloud: self.cloud.clone(), base_images: vec![self.base.clone()], registry, ..plane }))
    }
}

/// A deployer whose requests to the registry run into these faults.
async fn deployer(server: &SmallRegistry, faults: &Arc<ProtocolFaults>) -> Deployer {
    let (world, runtime) = (EmbeddedWorld::memory(), VirtualRuntime::new(1));
    let registry: Arc<dyn Registry> = Arc::new(faulty_adapter(server, faults, OciSettings::default()));
    let base = Repository::new("registry.example/chalk/engine-base").expect("a valid repository");
    let base = base_image::install(&adapter(server, OciSettings::default()), &base, Component::Engine)
        .await
        .expect("installed");
    let bucket = Arc::new(world.object_store().clone());
    let builder = Arc::new(InProcessBuilder::new(bucket, registry.clone(), temporary(), runtime.clone()));
    // The fake cluster pulls from the fake registry, which is empty.
    world.cluster().set_behaviour(PodScope::All, PodBehaviour::Ready { after: 1 });
    let cloud = Cloud { registry, builder, ..world.cloud() };
    Deployer::builder(Arc::new(Plane { world, cloud, base }), MemoryStore::new())
        .with_runtime(runtime)
        .build()
        .expect("a deployer")
}

async fn apply(deployer: &Deployer, source: Vec<u8>) -> chalk_deploy_core::machine::Outcome {
    let request = sample::request(source).expect("a valid request");
    deployer.apply(request).await.expect("admitted").wait().await.expect("it ends")
}

#[tokio::test(start_paused = true)]
async fn a_project_is_built_and_pushed_with_its_base_mounted() {
    let (server, faults) = (SmallRegistry::new(Options::default()), Arc::new(ProtocolFaults::new()));
    let deployer = deployer(&server, &faults).await;
    server.requests();
    let outcome = apply(&deployer, archive(&[("chalk.yaml", "project: fraud\n"), ("a.py", "x = 1\n")])).await;
    assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
    let first = server.requests();
    let count = |lines: &[String], text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count(&first, "mount="), 1, "{first:?}");
    // Our own layer and the config.
    assert_eq!(count(&first, "PUT /v2/chalk/engine-default/blobs/"), 2);
    let layer = base_image::SimulatedBaseImage::new().layer;
    let pulled = format!("GET /v2/chalk/engine-base/blobs/{}", chalk_deploy_core::model::Digest::of(layer));
    assert_eq!(count(&first, &pulled), 0, "the base image's layer never passes through this process");

    let again = apply(&deployer, archive(&[("chalk.yaml", "project: fraud\n"), ("a.py", "x = 1\n")])).await;
    assert_eq!(again.images, outcome.images);
    let second = server.requests();
    assert_eq!(count(&second, "POST"), 0, "{second:?}");
    assert_eq!(count(&second, "/v2/chalk/engine-default/blobs/"), 0, "the manifest says all: {second:?}");
    assert_eq!(count(&second, "PUT"), 1, "the tag of the second deployment");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_over_a_registry_with_any_fault_at_any_request_ends_in_the_same_image() {
    let source = || archive(&[("chalk.yaml", "project: fraud\n"), ("a.py", "x = 1\n")]);
    let mut expected = None;
    let all = [
        ProtocolFault::SeverBefore,
        ProtocolFault::SeverAfter,
        ProtocolFault::status(503),
        ProtocolFault::busy(429, 7),
        ProtocolFault::CutRequest { after: 3 },
        ProtocolFault::CutAnswer { after: 10 },
        ProtocolFault::Stall,
    ];
    // Each request meets two of them. `uploads.rs` puts all of them at all of the adapter's own requests.
    for (nth, fault) in (1..=16).flat_map(|nth| [nth, nth + 3].map(|at| (nth, all[at % all.len()].clone()))) {
        let server = SmallRegistry::new(Options::default());
        let faults = Arc::new(ProtocolFaults::new().at(Requests::any(), nth as u64, fault.clone()));
        let deployer = deployer(&server, &faults).await;
        let outcome = apply(&deployer, source()).await;
        assert_eq!(outcome.status, DeploymentStatus::Success, "{fault:?} at {nth}: {:?}", outcome.error);
        assert_eq!(*expected.get_or_insert_with(|| outcome.images.clone()), outcome.images, "{fault:?} at {nth}");
        assert!(faults.unmet().is_empty(), "request {nth} was made");
    }
}
