//! The settings of a deployment, none of them secret. What identifies it stands in the pods themselves, where no edit of
//! a `ConfigMap` reaches it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::object::{Metadata, metadata};
use crate::model::{Component, DeploymentPlan, Digest};

/// A `ConfigMap`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigMap {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    data: BTreeMap<&'static str, String>,
}

impl ConfigMap {
    /// What changes with the content. On the pod template, so that other settings restart the pods that read them.
    pub(super) fn checksum(&self) -> String {
        // Plain data with text keys: writing it cannot fail.
        Digest::of(serde_json::to_vec(&self.data).unwrap_or_default()).to_string()
    }
}

pub(super) fn config_map(plan: &DeploymentPlan, component: Component) -> ConfigMap {
    let settings = &plan.settings;
    let mut data = BTreeMap::from([
        ("CHALK_COMPONENT", component.to_string()),
        ("CHALK_GRAPH_DIGEST", plan.graph.to_string()),
        ("CHALK_PROJECT", plan.project.to_string()),
        ("CHALK_SOURCE_DIGEST", plan.source.sha256.to_string()),
    ]);
    let optional =
        [("CHALK_PLATFORM_VERSION", &settings.platform_version), ("CHALK_PYTHON_RUNTIME", &settings.runtime)];
    data.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    ConfigMap { api_version: "v1", kind: "ConfigMap", metadata: metadata(plan, component), data }
}
