//! How a simulated gateway behaves.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::StatusCode;

/// How a simulated gateway behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySettings {
    /// From a change of an object to the controller acting on it: it writes the status and hands a configuration to the
    /// data plane.
    pub controller_delay: Duration,
    /// From there to the data plane routing by a changed route (RDS).
    pub route_delay: Duration,
    /// From there to the data plane knowing changed endpoints (EDS).
    pub endpoint_delay: Duration,
    /// The longest that a request may take where its rule says nothing: Envoy's 15 s. Zero is no limit.
    pub request_timeout: Duration,
    /// The answer for the share of a service without ready endpoints beside one that has some. The Gateway API asks for
    /// 503, and Envoy Gateway gives it from 1.7 on; 1.6 answers 500 there (and 503 where no other backend is left).
    pub empty_share: StatusCode,
    /// The address in the status of gateways.
    pub address: String,
}

impl Default for GatewaySettings {
    /// A quick control plane: a change is served after 60 ms.
    fn default() -> Self {
        Self {
            controller_delay: Duration::from_millis(10),
            route_delay: Duration::from_millis(50),
            endpoint_delay: Duration::from_millis(50),
            request_timeout: Duration::from_secs(15),
            empty_share: StatusCode::SERVICE_UNAVAILABLE,
            address: Ipv4Addr::LOCALHOST.to_string(),
        }
    }
}
