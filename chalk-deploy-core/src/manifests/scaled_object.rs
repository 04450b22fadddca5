//! KEDA's scaler, where more instances are allowed than are asked for at least. It scales by processor time, which every
//! component has; seed 000 names no other measure.

use serde::Serialize;

use super::object::{Object, metadata};
use super::{least_instances, object_name};
use crate::model::{Component, DeploymentPlan};

/// Of the processor time that a pod requests, in percent.
const TARGET_UTILISATION: &str = "70";
/// In seconds, KEDA's defaults: between two looks, and from the last activity to scaling down.
const POLLING_INTERVAL: u32 = 30;
const COOLDOWN: u32 = 300;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaledSpecification {
    scale_target_ref: ScaleTarget,
    min_replica_count: u32,
    max_replica_count: u32,
    polling_interval: u32,
    cooldown_period: u32,
    triggers: Vec<Trigger>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ScaleTarget {
    api_version: &'static str,
    kind: &'static str,
    name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trigger {
    r#type: &'static str,
    metric_type: &'static str,
    metadata: TriggerMetadata,
}

#[derive(Debug, Serialize)]
struct TriggerMetadata {
    value: &'static str,
}

pub(super) fn scaled_object(plan: &DeploymentPlan, component: Component) -> Object<ScaledSpecification> {
    Object {
        api_version: "keda.sh/v1alpha1",
        kind: "ScaledObject",
        metadata: metadata(plan, component),
        spec: ScaledSpecification {
            scale_target_ref: ScaleTarget {
                api_version: "apps/v1",
                kind: "Deployment",
                name: object_name(plan, component),
            },
            min_replica_count: least_instances(plan.sizing),
            max_replica_count: plan.sizing.max_instances,
            polling_interval: POLLING_INTERVAL,
            cooldown_period: COOLDOWN,
            triggers: vec![Trigger {
                r#type: "cpu",
                metric_type: "Utilization",
                metadata: TriggerMetadata { value: TARGET_UTILISATION },
            }],
        },
    }
}
