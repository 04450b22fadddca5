//! The five fakes wired together on one world: what `apply` runs on when nothing else is named.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::cloud::{Cloud, RouteReference};
use chalk_deploy_core::model::{
    BaseImage, Boundary, Buckets, ClusterName, Component, DataPlane, DeploymentPolicy, Digest, EnvironmentId,
    Environments, Identities, Namespace, Platform, Repository,
};
use chalk_deploy_core::{Error, ErrorCode, Result};

use crate::fake::{FakeBuilder, FakeCluster, FakeObjectStore, FakeRegistry, FakeTraffic, Pace};
use crate::world::World;

/// A bucket, a registry, a cluster, a builder and a gateway that know each other. Clones are the same world.
#[derive(Debug, Clone)]
pub struct EmbeddedWorld {
    world: World,
    object_store: FakeObjectStore,
    registry: FakeRegistry,
    cluster: FakeCluster,
    builder: FakeBuilder,
    traffic: FakeTraffic,
}

impl EmbeddedWorld {
    /// The world under a directory, which outlives the process.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the directory cannot be made or read.
    pub fn open(directory: impl AsRef<Path>, checkpoints: Arc<dyn Checkpoints>) -> Result<Self> {
        Ok(Self::on(World::directory(directory)?, checkpoints))
    }

    /// A world that ends with its last clone.
    pub fn memory() -> Self {
        Self::on(World::memory(), Arc::new(NoCheckpoints))
    }

    /// The fakes on a world.
    pub fn on(world: World, checkpoints: Arc<dyn Checkpoints>) -> Self {
        let object_store = FakeObjectStore::new(&world).with_checkpoints(checkpoints.clone());
        let registry = FakeRegistry::new(&world).with_checkpoints(checkpoints.clone());
        let cluster = FakeCluster::new(&world, registry.clone()).with_checkpoints(checkpoints.clone());
        let builder = FakeBuilder::new(&world, object_store.clone()).with_checkpoints(checkpoints.clone());
        let traffic = FakeTraffic::new(&world, cluster.clone()).with_checkpoints(checkpoints);
        Self { world, object_store, registry, cluster, builder, traffic }
    }

    /// Lets time pass where a real cluster and a real builder take theirs.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.cluster = self.cluster.with_pace(pace.clone());
        self.builder = self.builder.with_pace(pace);
        self
    }

    /// The five traits.
    pub fn cloud(&self) -> Cloud {
        Cloud {
            object_store: Arc::new(self.object_store.clone()),
            registry: Arc::new(self.registry.clone()),
            cluster: Arc::new(self.cluster.clone()),
            builder: Arc::new(self.builder.clone()),
            traffic: Arc::new(self.traffic.clone()),
        }
    }

    /// The data plane of an environment in this world. Nothing in it drains or must last, because no request is under
    /// way and no pod changes its mind.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for an environment whose names would be too long.
    pub fn data_plane(&self, environment: &EnvironmentId) -> Result<DataPlane> {
        let base = BaseImage {
            component: Component::Engine,
            repository: Repository::new("registry.embedded/chalk/engine-base")?,
            digest: Digest::of("the embedded engine's base image"),
        };
        Ok(DataPlane {
            environment: environment.clone(),
            cluster: ClusterName::new("embedded")?,
            namespace: namespace_of(environment)?,
            registry: Repository::new("registry.embedded/chalk")?,
            buckets: Buckets { source: "embedded-source".to_owned() },
            identities: Identities {
                deployer: "embedded-deployer".to_owned(),
                builder: "embedded-builder".to_owned(),
                workload: "embedded-workload".to_owned(),
            },
            boundary: Boundary::default().allowing_this_process(),
            base_images: vec![base],
            platforms: vec![Platform::linux_amd64()],
            policy: DeploymentPolicy {
                drain: Duration::ZERO,
                stable_for: Duration::ZERO,
                ..DeploymentPolicy::default()
            },
            cloud: self.cloud(),
        })
    }

    /// The route of an environment in this world.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for an environment whose names would be too long.
    pub fn route(&self, environment: &EnvironmentId) -> Result<RouteReference> {
        Ok(RouteReference { environment: environment.clone(), namespace: namespace_of(environment)? })
    }

    /// The storage under the fakes.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// The bucket.
    pub const fn object_store(&self) -> &FakeObjectStore {
        &self.object_store
    }

    /// The registry.
    pub const fn registry(&self) -> &FakeRegistry {
        &self.registry
    }

    /// The cluster.
    pub const fn cluster(&self) -> &FakeCluster {
        &self.cluster
    }

    /// The builder.
    pub const fn builder(&self) -> &FakeBuilder {
        &self.builder
    }

    /// The gateway.
    pub const fn traffic(&self) -> &FakeTraffic {
        &self.traffic
    }
}

fn namespace_of(environment: &EnvironmentId) -> Result<Namespace> {
    Namespace::new(format!("ns-{environment}"))
}

/// Resolves environments to data planes in one [`EmbeddedWorld`].
#[derive(Debug, Clone)]
pub struct EmbeddedEnvironments {
    world: EmbeddedWorld,
    known: Option<BTreeSet<EnvironmentId>>,
    cloud: Option<Cloud>,
    policy: Option<DeploymentPolicy>,
}

impl EmbeddedEnvironments {
    /// Knows every environment.
    pub const fn any(world: EmbeddedWorld) -> Self {
        Self { world, known: None, cloud: None, policy: None }
    }

    /// Knows these environments.
    pub fn listed(world: EmbeddedWorld, environments: impl IntoIterator<Item = EnvironmentId>) -> Self {
        Self { world, known: Some(environments.into_iter().collect()), cloud: None, policy: None }
    }

    /// Gives out this cloud instead of the world's own, such as one with [faults](crate::fault::faulty_cloud).
    #[must_use]
    pub fn with_cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = Some(cloud);
        self
    }

    /// Gives out this policy.
    #[must_use]
    pub fn with_policy(mut self, policy: DeploymentPolicy) -> Self {
        self.policy = Some(policy);
        self
    }
}

#[async_trait]
impl Environments for EmbeddedEnvironments {
    async fn resolve(&self, environment: &EnvironmentId) -> Result<Arc<DataPlane>> {
        if let Some(known) = &self.known
            && !known.contains(environment)
        {
            let names: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
            let hint = match names.as_slice() {
                [] => "this world has no environments".to_owned(),
                names => format!("the environments are {}", names.join(", ")),
            };
            return Err(Error::new(ErrorCode::EnvironmentUnknown, "there is no such environment")
                .on(format!("environment `{environment}`"))
                .with_hint(hint));
        }
        let mut data_plane = self.world.data_plane(environment)?;
        if let Some(cloud) = &self.cloud {
            data_plane.cloud = cloud.clone();
        }
        if let Some(policy) = &self.policy {
            data_plane.policy = policy.clone();
        }
        Ok(Arc::new(data_plane))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> EnvironmentId {
        EnvironmentId::new(name).expect("a valid environment")
    }

    #[tokio::test]
    async fn an_environment_that_is_not_listed_is_refused_with_the_names_of_those_that_are() {
        let world = EmbeddedWorld::memory();
        let listed = EmbeddedEnvironments::listed(world.clone(), [environment("dev"), environment("prod")]);
        let data_plane = listed.resolve(&environment("prod")).await.expect("listed");
        assert_eq!(data_plane.namespace.as_str(), "ns-prod");
        let error = listed.resolve(&environment("test")).await.expect_err("not listed");
        assert_eq!(error.code(), ErrorCode::EnvironmentUnknown);
        assert!(error.sentence().contains("`dev`, `prod`"), "{}", error.sentence());
        EmbeddedEnvironments::any(world).resolve(&environment("test")).await.expect("any is known");
    }

    #[test]
    fn the_longest_environment_still_has_a_data_plane() {
        let longest = environment(&"e".repeat(40));
        let data_plane = EmbeddedWorld::memory().data_plane(&longest).expect("its names fit");
        data_plane.repository(Component::BackgroundPersistence).expect("its repository fits");
    }
}
