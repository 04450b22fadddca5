//! Requests through the fake gateway.

use async_trait::async_trait;
use chalk_deploy_core::cloud::{RouteReference, TrafficProbe};
use chalk_deploy_core::model::{DeploymentId, TrafficSplit};
use chalk_deploy_core::{Error, ErrorCode, Result};

use super::FakeTraffic;

/// What requests are answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProbeBehaviour {
    /// By the deployments, according to their weights.
    Answers,
    /// With this status, whatever the weights.
    Fails(u16),
}

/// Asks the fake gateway who answers. Of any hundred requests in a row each deployment answers as many as its weight
/// says, in an order that is always the same.
#[derive(Debug, Clone)]
pub struct FakeProbe(FakeTraffic);

impl FakeProbe {
    pub(super) const fn new(traffic: FakeTraffic) -> Self {
        Self(traffic)
    }

    fn next_request(&self, route: &RouteReference) -> u64 {
        let mut gateway = self.0.gateway();
        let number = gateway.requests.entry(route.clone()).or_default();
        *number += 1;
        *number - 1
    }
}

#[async_trait]
impl TrafficProbe for FakeProbe {
    async fn ask(&self, route: &RouteReference) -> Result<DeploymentId> {
        let failed = |status: u16, why: &str| {
            Error::new(ErrorCode::VerificationFailed, format!("the gateway answered {status}: {why}")).on(route)
        };
        let behaviour = self.0.gateway().probe;
        match behaviour {
            Some(ProbeBehaviour::Answers) => {}
            Some(ProbeBehaviour::Fails(status)) => return Err(failed(status, "the test wants it so")),
            None => return Err(Error::new(ErrorCode::CloudUnavailable, "nobody may ask this gateway").on(route)),
        }
        let split = self.0.acting(route)?;
        let number = self.next_request(route);
        let deployment = choose(&split, number).ok_or_else(|| failed(404, "the route has no backend"))?;
        if self.0.cluster.ready_endpoints(&route.namespace, &deployment)?.unwrap_or_default() == 0 {
            return Err(failed(503, "the backend has no ready endpoint"));
        }
        Ok(deployment)
    }
}

/// The backend of a request. 37 has no factor in common with 100, so a hundred requests visit every percent once.
fn choose(split: &TrafficSplit, number: u64) -> Option<DeploymentId> {
    let mut place = number.wrapping_mul(37) % 100;
    for (deployment, weight) in split.backends() {
        let share = u64::from(weight.percent());
        if place < share {
            return Some(deployment.clone());
        }
        place -= share;
    }
    None
}
