//! A whole deployment with the real builder and the real registry adapter; the rest of the cloud are the fakes.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::build::InProcessBuilder;
use chalk_deploy_core::cloud::{Cloud, Registry};
use chalk_deploy_core::model::{
    BaseImage, Component, DataPlane, DeploymentStatus, EnvironmentId, Environments, Platform, Repository,
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
    platforms: Vec<Platform>,
}

#[async_trait]
impl Environments for Plane {
    async fn resolve(&self, environment: &EnvironmentId) -> Result<Arc<DataPlane>> {
        let plane = self.world.data_plane(environment)?;
        let registry = Repository::new("registry.example/chalk")?;
        let (cloud, base_images, platforms) = (self.cloud.clone(), vec![self.base.clone()], self.platforms.clone());
        Ok(Arc::new(DataPlane { cloud, base_images, platforms, registry, ..plane }))
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
    let platforms = vec![Platform::linux_amd64()];
    Deployer::builder(Arc::new(Plane { world, cloud, base, platforms }), MemoryStore::new())
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

/// A deployer whose builder makes an image for each of two platforms, as the fake one does.
fn deployer_for_two(server: &SmallRegistry, faults: &Arc<ProtocolFaults>) -> Deployer {
    let (world, runtime) = (EmbeddedWorld::memory(), VirtualRuntime::new(1));
    let registry: Arc<dyn Registry> = Arc::new(faulty_adapter(server, faults, OciSettings::default()));
    world.cluster().set_behaviour(PodScope::All, PodBehaviour::Ready { after: 1 });
    let repository = Repository::new("registry.example/chalk/engine-base").expect("a valid repository");
    let digest = base_image::SimulatedBaseImage::new().digest();
    let base = BaseImage { component: Component::Engine, repository, digest };
    let platforms = ["linux/arm64/v8", "linux/amd64"].map(|text| text.parse().expect("a platform")).to_vec();
    let cloud = Cloud { registry, ..world.cloud() };
    Deployer::builder(Arc::new(Plane { world, cloud, base, platforms }), MemoryStore::new())
        .with_runtime(runtime)
        .build()
        .expect("a deployer")
}

#[tokio::test(start_paused = true)]
async fn images_for_several_platforms_are_pushed_before_the_index_that_the_pods_run() {
    let source = || archive(&[("chalk.yaml", "project: fraud\n"), ("a.py", "x = 1\n")]);
    let mut expected = None;
    for nth in 0..=14 {
        let (server, faults) = (SmallRegistry::new(Options::default()), Arc::new(ProtocolFaults::new()));
        if nth > 0 {
            faults.nth(Requests::any(), nth, ProtocolFault::SeverAfter);
        }
        let deployer = deployer_for_two(&server, &faults);
        let outcome = apply(&deployer, source()).await;
        assert_eq!(outcome.status, DeploymentStatus::Success, "at {nth}: {:?}", outcome.error);
        assert_eq!(*expected.get_or_insert_with(|| outcome.images.clone()), outcome.images, "at {nth}");
        let image = &outcome.images[&Component::Engine];
        let digest = image.rsplit_once('@').expect("a digest").1.to_owned();
        let state = server.state();
        let (media_type, index) = &state.manifests[&("chalk/engine-default".to_owned(), digest.clone())];
        assert_eq!(media_type, "application/vnd.oci.image.index.v1+json");
        let index: serde_json::Value = serde_json::from_slice(index).expect("JSON");
        let children = index["manifests"].as_array().expect("images");
        assert_eq!(children[0]["platform"]["architecture"], "amd64");
        assert_eq!(children[1]["platform"]["variant"], "v8");
        assert!(state.tags.values().all(|tagged| *tagged == digest));
        let put = |digest: &str| {
            let line = format!("/manifests/{digest}");
            let sent = state.seen.iter().position(|seen| seen.method == "PUT" && seen.target.ends_with(&line));
            sent.expect("it was put")
        };
        for child in children {
            assert!(put(child["digest"].as_str().expect("a digest")) < put(&digest), "at {nth}");
        }
    }
}
