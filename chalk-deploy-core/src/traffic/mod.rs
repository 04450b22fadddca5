//! Traffic by Gateway API: how the division of an environment's requests is written into an `HTTPRoute` and read back,
//! and the [`TrafficShifter`](crate::cloud::TrafficShifter) adapter.
//!
//! An environment has one route, `chalk-<environment>`, with one rule of ours: requests whose header
//! [`ENVIRONMENT_HEADER`] names the environment go to the services of its deployments, by weight in percent. One environment
//! of a gateway may also take the requests that name none.

mod rule;
#[cfg(feature = "kubernetes")]
mod gateway;
#[cfg(feature = "kubernetes")]
mod probe;
#[cfg(feature = "kubernetes")]
mod settlement;

#[cfg(feature = "kubernetes")]
pub use self::gateway::GatewayTraffic;
#[cfg(feature = "kubernetes")]
pub use self::probe::GatewayProbe;
pub use self::rule::{GatewayReference, RouteSettings, new_route, read_division, route_name, write_division};

/// The request header by which a request names its environment; the route matches on it (Chalk's clients send it).
pub const ENVIRONMENT_HEADER: &str = "x-chalk-env-id";

/// The response header by which an engine says which deployment answered.
pub const DEPLOYMENT_HEADER: &str = "x-chalk-deployment-id";
