//! A gateway in whose tests time passes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::{
    ObservedTraffic, RouteReference, Settlement, TrafficChange, TrafficProbe, TrafficShifter,
};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::traffic::GatewayTraffic;

/// Lets time pass between two looks at a gateway that has not settled; the suite only yields.
#[derive(Debug)]
pub(crate) struct Patient {
    pub(crate) traffic: GatewayTraffic,
    pub(crate) runtime: Arc<dyn Runtime>,
}

#[async_trait]
impl TrafficShifter for Patient {
    async fn observe(&self, route: &RouteReference) -> Result<ObservedTraffic> {
        self.traffic.observe(route).await
    }

    async fn shift(&self, route: &RouteReference, change: &TrafficChange) -> Result<ObservedTraffic> {
        self.traffic.shift(route, change).await
    }

    async fn settlement(&self, route: &RouteReference, stored: &ObservedTraffic) -> Result<Settlement> {
        let settlement = self.traffic.settlement(route, stored).await?;
        if matches!(settlement, Settlement::Pending | Settlement::Unresolved(_)) {
            self.runtime.sleep(Duration::from_millis(10)).await;
        }
        Ok(settlement)
    }

    fn probe(&self) -> Option<Arc<dyn TrafficProbe>> {
        self.traffic.probe()
    }
}
