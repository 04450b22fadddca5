//! Traffic by Gateway API: how the division of an environment's requests is written into an `HTTPRoute` and read back,
//! and the [`TrafficShifter`](crate::cloud::TrafficShifter) adapter.

/// The request header by which a request names its environment; the route matches on it (Chalk's clients send it).
pub const ENVIRONMENT_HEADER: &str = "x-chalk-env-id";

/// The response header by which an engine says which deployment answered.
pub const DEPLOYMENT_HEADER: &str = "x-chalk-deployment-id";
