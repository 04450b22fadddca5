//! What all objects have.

use std::collections::BTreeMap;

use serde::Serialize;

use super::object_name;
use crate::cloud::{FIELD_MANAGER, label};
use crate::model::{Component, DeploymentPlan};

/// An object with a `spec`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object<S> {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) metadata: Metadata,
    pub(super) spec: S,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) labels: Labels,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<&'static str, String>,
}

pub(super) type Labels = BTreeMap<&'static str, String>;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelSelector {
    pub(super) match_labels: Labels,
}

/// The metadata of a component's object.
pub(super) fn metadata(plan: &DeploymentPlan, component: Component) -> Metadata {
    Metadata { name: Some(object_name(plan, component)), labels: labels(plan, component), annotations: BTreeMap::new() }
}

/// The labels by which everything of a component is found, its pods included.
pub(super) fn labels(plan: &DeploymentPlan, component: Component) -> Labels {
    BTreeMap::from([
        (label::MANAGED_BY, FIELD_MANAGER.to_owned()),
        (label::ENVIRONMENT, plan.environment.to_string()),
        (label::DEPLOYMENT, plan.id.to_string()),
        (label::COMPONENT, component.to_string()),
    ])
}
