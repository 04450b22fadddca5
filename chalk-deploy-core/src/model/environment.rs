//! Environments and the data planes behind them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::boundary::{Boundary, Identities};
use super::digest::Digest;
use super::name::{ClusterName, Component, EnvironmentId, Namespace, Repository};
use super::platform::Platform;
use crate::cloud::{Cloud, RetentionMode};
use crate::{Error, ErrorCode, Result};

/// Finds the data plane of an environment. Many environments may share a cluster, and many clusters hang on one
/// [`Deployer`](crate::Deployer).
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Environments: fmt::Debug + Send + Sync + 'static {
    /// The data plane of an environment, as it is now. Called once for every deployment that is driven.
    ///
    /// **Idempotency.** A read; it may be repeated.
    ///
    /// **Errors.** [`ErrorCode::EnvironmentUnknown`] names the environments that there are.
    async fn resolve(&self, environment: &EnvironmentId) -> Result<Arc<DataPlane>>;
}

/// Sugar for a service with one environment.
#[derive(Debug, Clone)]
pub struct SingleEnvironment(Arc<DataPlane>);

impl SingleEnvironment {
    /// Resolves the data plane's own environment and no other.
    pub fn new(data_plane: DataPlane) -> Self {
        Self(Arc::new(data_plane))
    }
}

#[async_trait]
impl Environments for SingleEnvironment {
    async fn resolve(&self, environment: &EnvironmentId) -> Result<Arc<DataPlane>> {
        if *environment == self.0.environment {
            return Ok(self.0.clone());
        }
        Err(Error::new(ErrorCode::EnvironmentUnknown, "there is no such environment")
            .on(format!("environment `{environment}`"))
            .with_hint(format!("the only environment here is `{}`", self.0.environment)))
    }
}

/// Everything that a deployment into one environment needs to know about the customer's cloud.
#[derive(Debug, Clone)]
pub struct DataPlane {
    /// The environment.
    pub environment: EnvironmentId,
    /// The cluster that runs it.
    pub cluster: ClusterName,
    /// Its namespace in that cluster.
    pub namespace: Namespace,
    /// The repository under which the components' images lie: `<registry>/<component>-<environment>`.
    pub registry: Repository,
    /// The buckets.
    pub buckets: Buckets,
    /// Who acts as whom.
    pub identities: Identities,
    /// What may leave the customer's cloud.
    pub boundary: Boundary,
    /// The platform image under each component that is deployed, by digest.
    pub base_images: Vec<BaseImage>,
    /// What the images run on: `linux/amd64` where nothing else is known. With several, each image is an index.
    pub platforms: Vec<Platform>,
    /// How long things may take.
    pub policy: DeploymentPolicy,
    /// The five implementations.
    pub cloud: Cloud,
}

impl DataPlane {
    /// The repository of a component's images in this environment.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when the joined name is longer than a repository may be.
    pub fn repository(&self, component: Component) -> Result<Repository> {
        Repository::new(format!("{}/{component}-{}", self.registry, self.environment))
    }
}

/// A platform image that a component's image is layered on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseImage {
    /// The component.
    pub component: Component,
    /// The repository of the base image.
    pub repository: Repository,
    /// Its digest: base images are pinned, never taken by tag.
    pub digest: Digest,
}

/// The buckets of a data plane that the pipeline touches (seed 001 provisions five; deploys use the source bucket).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    /// Where source archives live.
    pub source: String,
}

/// How long a deployment may take, and how often a step is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentPolicy {
    /// From the creation of the record to a terminal status.
    pub deadline: Duration,
    /// From the applied objects to ready pods.
    pub ready_within: Duration,
    /// For how long readiness must last before it counts.
    pub stable_for: Duration,
    /// From the verified cutover to the removal of the old version, so that requests under way end there.
    pub drain: Duration,
    /// How often a step that fails for a temporary reason is tried, at least once.
    pub attempts: u32,
    /// The wait after the first failed attempt; it doubles with each further one, with jitter.
    pub backoff: Duration,
    /// The longest wait between two attempts.
    pub backoff_most: Duration,
    /// For how long source archives are kept from being changed or removed, where the bucket can do that.
    #[serde(default)]
    pub retention: Option<ArchiveRetention>,
}

/// For how long, and how firmly, source archives are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveRetention {
    /// From the creation of the deployment on.
    pub period: Duration,
    /// Whether it may be shortened.
    pub mode: RetentionMode,
}

impl Default for DeploymentPolicy {
    /// One hour in all, ten minutes to be ready, 30 s to drain (the default of Argo Rollouts), eight attempts.
    fn default() -> Self {
        Self {
            deadline: Duration::from_hours(1),
            ready_within: Duration::from_mins(10),
            stable_for: Duration::from_secs(2),
            drain: Duration::from_secs(30),
            attempts: 8,
            backoff: Duration::from_millis(500),
            backoff_most: Duration::from_secs(30),
            retention: None,
        }
    }
}
