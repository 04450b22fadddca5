//! What several of these tests apply.

use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::label;
use chalk_deploy_core::model::{Component, DeploymentId, Manifest};
use serde_json::json;

/// The two objects that bring up one pod of a deployment.
pub(crate) fn workload_and_service(deployment: &DeploymentId, image: &str) -> Result<[Manifest; 2]> {
    let labels = json!({label::DEPLOYMENT: deployment, label::COMPONENT: Component::Engine});
    let name = format!("engine-{deployment}");
    let workload = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": 1, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "engine", "image": image}]},
        }},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels},
        "spec": {"selector": {label::DEPLOYMENT: deployment}},
    });
    Ok([Manifest::new(workload)?, Manifest::new(service)?])
}
