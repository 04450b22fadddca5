//! How many pods may leave at once for the maintenance of nodes: one.
//!
//! As `maxUnavailable` and not as `minAvailable`, which with a single pod would keep its node from ever being drained.
//! A deployment of one pod is then interrupted by a drain; who does not want that runs two. Pods that are not ready
//! protect nothing and may always leave.

use serde::Serialize;

use super::object::{LabelSelector, Object, labels, metadata};
use crate::model::{Component, DeploymentPlan};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BudgetSpecification {
    selector: LabelSelector,
    max_unavailable: u32,
    unhealthy_pod_eviction_policy: &'static str,
}

pub(super) fn disruption_budget(plan: &DeploymentPlan, component: Component) -> Object<BudgetSpecification> {
    Object {
        api_version: "policy/v1",
        kind: "PodDisruptionBudget",
        metadata: metadata(plan, component),
        spec: BudgetSpecification {
            selector: LabelSelector { match_labels: labels(plan, component) },
            max_unavailable: 1,
            unhealthy_pod_eviction_policy: "AlwaysAllow",
        },
    }
}
