//! The fakes as the conformance suites want them.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::{
    ApplyOptions, Builder, Cloud, ClusterApi, FencingToken, Payload, PutMode, RouteReference, TrafficShifter,
};
use chalk_deploy_core::model::{
    ArchiveReference, BaseImage, Component, DeploymentId, Digest, Namespace, ObjectKey, ObjectReference, Repository,
};
use chalk_deploy_testkit::EmbeddedWorld;
use chalk_deploy_testkit::conformance::Fresh;
use chalk_deploy_testkit::conformance::builder::BuilderHarness;
use chalk_deploy_testkit::conformance::cluster::{ClusterHarness, ImageBehaviour};
use chalk_deploy_testkit::conformance::traffic::TrafficHarness;
use chalk_deploy_testkit::fake::{PodBehaviour, PodScope};
use serde_json::Value;

use super::common::workload_and_service;

/// The fakes of a world, perhaps under faults.
#[derive(Debug)]
pub(crate) struct FakeHarness {
    pub(crate) cloud: Cloud,
    pub(crate) world: EmbeddedWorld,
}

impl FakeHarness {
    pub(crate) fn new(world: EmbeddedWorld) -> Self {
        Self { cloud: world.cloud(), world }
    }
}

#[async_trait]
impl ClusterHarness for FakeHarness {
    fn cluster(&self) -> Arc<dyn ClusterApi> {
        self.cloud.cluster.clone()
    }

    async fn namespace(&self, fresh: &Fresh) -> Result<Namespace> {
        Namespace::new(fresh.prefix())
    }

    async fn image(&self, behaviour: ImageBehaviour) -> Result<String> {
        let image = format!("registry.embedded/conformance@{}", Digest::of(format!("{behaviour:?}")));
        let pods = match behaviour {
            ImageBehaviour::Runs => PodBehaviour::Ready { after: 2 },
            ImageBehaviour::Crashes => PodBehaviour::Crash,
            ImageBehaviour::NeverReady => PodBehaviour::NeverReady,
            // The registry does not hold it, and that is enough.
            ImageBehaviour::CannotBePulled => PodBehaviour::ByImage,
        };
        self.world.cluster().set_behaviour(PodScope::Image(image.clone()), pods);
        Ok(image)
    }

    async fn edit_as(&self, manager: &str, object: &ObjectReference, pointer: &str, value: Value) -> Result<()> {
        self.world.cluster().edit_as(manager, object, pointer, value)
    }
}

#[async_trait]
impl BuilderHarness for FakeHarness {
    fn builder(&self) -> Arc<dyn Builder> {
        self.cloud.builder.clone()
    }

    async fn upload(&self, key: &ObjectKey, content: &str) -> Result<ArchiveReference> {
        let payload = Payload::from_bytes(content.to_owned());
        self.cloud.object_store.put(key, &payload, PutMode::WriteOnce).await?;
        Ok(ArchiveReference { key: key.clone(), sha256: payload.sha256(), size: payload.size() })
    }

    fn base_images(&self) -> Vec<BaseImage> {
        let repository = Repository::new("registry.embedded/base").expect("a valid repository");
        [Component::StreamWorker, Component::Engine]
            .map(|component| BaseImage { component, repository: repository.clone(), digest: Digest::of("base") })
            .into()
    }

    fn repository(&self, fresh: &Fresh) -> Result<Repository> {
        Repository::new(format!("registry.embedded/{}", fresh.prefix()))
    }
}

#[async_trait]
impl TrafficHarness for FakeHarness {
    fn traffic(&self) -> Arc<dyn TrafficShifter> {
        self.cloud.traffic.clone()
    }

    async fn route(&self, fresh: &Fresh) -> Result<RouteReference> {
        let namespace = Namespace::new(format!("{}-t", fresh.prefix()))?;
        Ok(RouteReference { environment: fresh.environment("t")?, namespace })
    }

    async fn bring_up(&self, route: &RouteReference, deployment: &DeploymentId, ready: bool) -> Result<()> {
        let behaviour = if ready { PodBehaviour::Ready { after: 0 } } else { PodBehaviour::NeverReady };
        self.world.cluster().set_behaviour(PodScope::Deployment(deployment.clone()), behaviour);
        for manifest in workload_and_service(deployment, "registry.embedded/engine@sha256:0")? {
            let options = ApplyOptions { token: FencingToken(1) };
            self.world.cluster().apply(&route.namespace, &manifest, &options).await?;
        }
        Ok(())
    }

    async fn add_foreign_backend(&self, route: &RouteReference) -> Result<()> {
        self.world.traffic().add_foreign_backend(route, "someone-elses-service")
    }
}
