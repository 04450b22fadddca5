//! What divides the requests of an environment between deployments.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::FencingToken;
use crate::Result;
use crate::model::{DeploymentId, EnvironmentId, Namespace, TrafficSplit};

/// The one thing that moves production traffic. Every write is guarded: by the version that was read, and by the
/// token of the environment's owner.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait TrafficShifter: fmt::Debug + Send + Sync + 'static {
    /// The stored division, freshly read. A route that does not exist yet serves nothing.
    ///
    /// **Errors.** `OBJECT_CONFLICT` when someone else has put backends of their own in our rule;
    /// `PERMISSION_DENIED`; `CLOUD_UNAVAILABLE`.
    async fn observe(&self, route: &RouteReference) -> Result<ObservedTraffic>;

    /// Replaces the division, in one write: all weights change together.
    ///
    /// **Idempotency.** If the stored division is already the wanted one, nothing is written, whatever the version,
    /// and the token is the stored one or newer.
    ///
    /// **After a crash.** The division is the old one or the new one, never a mixture.
    ///
    /// **Errors.** `VERSION_CONFLICT` when the route was changed since it was read; `LEASE_LOST` when it carries a
    /// newer token; `TRAFFIC_REFUSED` when a backend that would get traffic has no ready endpoint, or the route is
    /// refused; `PERMISSION_DENIED`; `CLOUD_UNAVAILABLE`.
    async fn shift(&self, route: &RouteReference, change: &TrafficChange) -> Result<ObservedTraffic>;

    /// Whether the gateway acts on a stored division yet.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn settlement(&self, route: &RouteReference, stored: &ObservedTraffic) -> Result<Settlement>;

    /// A way to ask through the gateway who answers; `None` where the boundary or the network forbids it.
    fn probe(&self) -> Option<Arc<dyn TrafficProbe>>;
}

/// Sends a request through the gateway.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait TrafficProbe: fmt::Debug + Send + Sync + 'static {
    /// The deployment that answered one request to the environment.
    ///
    /// **Errors.** `VERIFICATION_FAILED` with the answer when it is no success; `CLOUD_UNAVAILABLE`.
    async fn ask(&self, route: &RouteReference) -> Result<DeploymentId>;
}

/// Which route is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RouteReference {
    /// Its environment.
    pub environment: EnvironmentId,
    /// Its namespace.
    pub namespace: Namespace,
}

impl fmt::Display for RouteReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "route of environment `{}` in namespace {}", self.environment, self.namespace)
    }
}

/// A division as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedTraffic {
    /// The division.
    pub split: TrafficSplit,
    /// The route's version, opaque; empty for a route that does not exist.
    pub version: String,
    /// The token of the owner that wrote it.
    pub token: FencingToken,
}

/// A wanted division.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficChange {
    /// The division.
    pub split: TrafficSplit,
    /// The version that the decision was made on.
    pub expected_version: String,
    /// The token of the environment's owner.
    pub token: FencingToken,
}

/// Whether the gateway acts on a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// Not yet.
    Pending,
    /// Not yet: it does not know one of the backends, for this reason. That passes when the backend is there and the
    /// gateway has only fallen behind.
    Unresolved(String),
    /// It does.
    Settled,
    /// It will not, for this reason.
    Refused(String),
}
