//! Faults of a gateway, and of requests through it.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::{
    ObservedTraffic, RouteReference, Settlement, TrafficChange, TrafficProbe, TrafficShifter,
};
use chalk_deploy_core::model::DeploymentId;

super::faulty! {
    /// A [`TrafficShifter`] under a plan, as `traffic`.
    FaultyTraffic of TrafficShifter
}

super::faulty! {
    /// A [`TrafficProbe`] under a plan, as `probe`.
    FaultyProbe of TrafficProbe
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl TrafficShifter for FaultyTraffic {
    async fn observe(&self, route: &RouteReference) -> Result<ObservedTraffic> {
        self.plan.run("traffic", "observe", route, || self.inner.observe(route)).await
    }

    async fn shift(&self, route: &RouteReference, change: &TrafficChange) -> Result<ObservedTraffic> {
        self.plan.run("traffic", "shift", route, || self.inner.shift(route, change)).await
    }

    async fn settlement(&self, route: &RouteReference, stored: &ObservedTraffic) -> Result<Settlement> {
        self.plan.run("traffic", "settlement", route, || self.inner.settlement(route, stored)).await
    }

    fn probe(&self) -> Option<Arc<dyn TrafficProbe>> {
        let inner = self.inner.probe()?;
        Some(Arc::new(FaultyProbe::new(inner, self.plan.clone())))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl TrafficProbe for FaultyProbe {
    async fn ask(&self, route: &RouteReference) -> Result<DeploymentId> {
        self.plan.run("probe", "ask", route, || self.inner.ask(route)).await
    }
}
