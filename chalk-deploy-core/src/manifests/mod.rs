//! The objects that run a deployment, generated from its plan and images. Pure: the same plan, images and settings give
//! the same documents.
//!
//! Every name carries the deployment's id, so that a late create of an abandoned deployment is inert and is found by
//! the inventory. The fencing token never enters a pod template: a new owner must not restart pods.
//!
//! | object | what for |
//! |---|---|
//! | `ConfigMap` | the settings of the deployment, none of them secret |
//! | Service | what the route names, for components with a route |
//! | Deployment | the pods |
//! | `PodDisruptionBudget` | one pod at a time leaves for the maintenance of nodes |
//! | KEDA's `ScaledObject` | where more instances are allowed than are asked for at least |
//!
//! A new kind also needs its place in [`removal_order`] and in the kinds that the cluster's adapter lists.

mod config_map;
mod deployment;
mod disruption_budget;
mod object;
mod scaled_object;
mod service;
mod settings;

pub mod http_route;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Result;
use crate::model::{Component, DeploymentPlan, ImageReference, Manifest, ObjectIdentity, Sizing};
use crate::{Error, ErrorCode};

pub use settings::WorkloadSettings;

/// The objects of a deployment, in the order in which they are applied: what others need comes before them.
///
/// # Errors
/// [`ErrorCode::Internal`] if a document could not be written, which would be a defect of ours.
pub fn generate(
    plan: &DeploymentPlan,
    images: &BTreeMap<Component, ImageReference>,
    settings: &WorkloadSettings,
) -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for (component, image) in images {
        let config = config_map::config_map(plan, *component);
        manifests.push(manifest(&config)?);
        if component.has_route() {
            manifests.push(manifest(&service::service(plan, *component))?);
        }
        manifests.push(manifest(&deployment::deployment(plan, *component, image, settings, &config))?);
        manifests.push(manifest(&disruption_budget::disruption_budget(plan, *component))?);
        if is_scaled(plan.sizing) {
            manifests.push(manifest(&scaled_object::scaled_object(plan, *component))?);
        }
    }
    Ok(manifests)
}

/// The name of a component's objects.
pub fn object_name(plan: &DeploymentPlan, component: Component) -> String {
    format!("{component}-{}", plan.id)
}

/// How many pods of each component must be there before it counts as ready: the least that the sizing allows, and never
/// none. Nothing in the data plane wakes a component that has no pod, and KEDA scales by processor time from one pod on.
pub const fn least_instances(sizing: Sizing) -> u32 {
    if sizing.min_instances == 0 { 1 } else { sizing.min_instances }
}

/// Whether an autoscaler decides how many pods there are. Then `spec.replicas` is its field and stands in no manifest of
/// ours: were it applied once and left out later, the API server would reset it to 1; were it applied again, it would
/// be a conflict with the autoscaler. The Deployment begins with one pod, and the readiness gate waits until the
/// autoscaler has brought [`least_instances`].
pub const fn is_scaled(sizing: Sizing) -> bool {
    sizing.max_instances > least_instances(sizing)
}

/// Sorts objects into the order in which they are removed: what acts on another before that one, what others need after
/// them. A scaler without its target would be held by its finaliser, and pods that end while their Service is still
/// there leave its endpoints first.
pub fn removal_order(objects: &mut [ObjectIdentity]) {
    objects.sort_by_key(|object| match object.reference.kind.as_str() {
        "HTTPRoute" => 0,
        "ScaledObject" => 1,
        "PodDisruptionBudget" => 2,
        "Service" => 4,
        "ConfigMap" => 5,
        _ => 3,
    });
}

fn manifest(document: &impl Serialize) -> Result<Manifest> {
    let document = serde_json::to_value(document)
        .map_err(|error| Error::new(ErrorCode::Internal, "a manifest could not be written").caused_by(error))?;
    Manifest::new(document)
}

#[cfg(test)]
mod tests;
