//! Disruption budgets.

use super::super::build::{INT_OR_STRING, INT32, INT64, STRING, TIME, by, list, map};
use super::meta::{CONDITION, LABEL_SELECTOR_REQUIREMENT, OBJECT_META};

objects! {
    POD_DISRUPTION_BUDGET "io.k8s.api.policy.v1.PodDisruptionBudget" {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: POD_DISRUPTION_BUDGET_SPEC,
        status: POD_DISRUPTION_BUDGET_STATUS,
    }

    POD_DISRUPTION_BUDGET_SPEC "io.k8s.api.policy.v1.PodDisruptionBudgetSpec" {
        maxUnavailable: INT_OR_STRING, minAvailable: INT_OR_STRING, selector: REPLACED_SELECTOR,
        unhealthyPodEvictionPolicy: STRING,
    }

    POD_DISRUPTION_BUDGET_STATUS "io.k8s.api.policy.v1.PodDisruptionBudgetStatus" {
        conditions: by(&["type"], &CONDITION), currentHealthy: INT32, desiredHealthy: INT32,
        disruptedPods: map(&TIME), disruptionsAllowed: INT32, expectedPods: INT32, observedGeneration: INT64,
    }

    REPLACED_SELECTOR "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector" atomic() replaced() {
        matchExpressions: list(&LABEL_SELECTOR_REQUIREMENT), matchLabels: map(&STRING),
    }
}
