//! Environments of the simulated data plane.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::cloud::Cloud;
use chalk_deploy_core::model::{
    BaseImage, Boundary, Buckets, ClusterName, Component, DataPlane, DeploymentPolicy, EnvironmentId, Environments,
    Identities, Platform, Repository,
};
use chalk_deploy_core::{Error, ErrorCode, Result};

use super::adapters::{Adapters, base_repository};
use super::{BUCKET, host, namespace_of};

/// Finds the data plane of an environment among the simulated servers, and provides what a customer's cloud has.
#[derive(Debug, Clone)]
pub struct SimulatedEnvironments {
    adapters: Adapters,
    known: Option<BTreeSet<EnvironmentId>>,
    cloud: Cloud,
    policy: DeploymentPolicy,
}

impl SimulatedEnvironments {
    /// Knows every environment.
    pub fn any(adapters: Adapters) -> Self {
        // The servers have no requests under way that last longer than a pod's grace, and pods that are ready stay so.
        let policy =
            DeploymentPolicy { drain: Duration::ZERO, stable_for: Duration::ZERO, ..DeploymentPolicy::default() };
        let cloud = adapters.cloud().clone();
        Self { adapters, known: None, cloud, policy }
    }

    /// Knows these environments.
    #[must_use]
    pub fn listed(mut self, environments: impl IntoIterator<Item = EnvironmentId>) -> Self {
        self.known = Some(environments.into_iter().collect());
        self
    }

    /// Gives out this cloud instead of the adapters as they are, such as one with
    /// [faults](crate::fault::faulty_cloud).
    #[must_use]
    pub fn with_cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = cloud;
        self
    }

    /// Gives out this policy.
    #[must_use]
    pub fn with_policy(mut self, policy: DeploymentPolicy) -> Self {
        self.policy = policy;
        self
    }
}

#[async_trait]
impl Environments for SimulatedEnvironments {
    async fn resolve(&self, environment: &EnvironmentId) -> Result<Arc<DataPlane>> {
        if let Some(known) = &self.known
            && !known.contains(environment)
        {
            return Err(unknown(environment, known));
        }
        let digest = self.adapters.provision(environment).await?;
        Ok(Arc::new(DataPlane {
            environment: environment.clone(),
            cluster: ClusterName::new("embedded")?,
            namespace: namespace_of(environment)?,
            registry: Repository::new(format!("{}/chalk", host::REGISTRY))?,
            buckets: Buckets { source: BUCKET.to_owned() },
            identities: Identities {
                deployer: "embedded-deployer".to_owned(),
                builder: "embedded-builder".to_owned(),
                workload: "default".to_owned(),
            },
            boundary: Boundary::default().allowing_this_process(),
            base_images: vec![BaseImage { component: Component::Engine, repository: base_repository()?, digest }],
            platforms: vec![Platform::linux_amd64()],
            policy: self.policy.clone(),
            cloud: self.cloud.clone(),
        }))
    }
}

fn unknown(environment: &EnvironmentId, known: &BTreeSet<EnvironmentId>) -> Error {
    let names: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
    let hint = match names.as_slice() {
        [] => "there are no environments here".to_owned(),
        names => format!("the environments are {}", names.join(", ")),
    };
    Error::new(ErrorCode::EnvironmentUnknown, "there is no such environment")
        .on(format!("environment `{environment}`"))
        .with_hint(hint)
}
