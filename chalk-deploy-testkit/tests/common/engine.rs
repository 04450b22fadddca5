//! What a deployment of the engine needs to answer through a gateway.

use chalk_deploy_core::cloud::{FIELD_MANAGER, label};
use chalk_deploy_core::model::{Component, DeploymentId, EnvironmentId, Manifest};
use serde_json::{Value, json};

/// The labels of what belongs to a deployment.
pub(crate) fn labels(environment: &EnvironmentId, deployment: &DeploymentId) -> Value {
    json!({
        label::MANAGED_BY: FIELD_MANAGER, label::ENVIRONMENT: environment, label::DEPLOYMENT: deployment,
        label::COMPONENT: Component::Engine,
    })
}

/// The workload, of pods of this image, and its service.
pub(crate) fn engine(
    environment: &EnvironmentId,
    deployment: &DeploymentId,
    image: &str,
    replicas: u32,
) -> [Manifest; 2] {
    let name = format!("engine-{deployment}");
    let labels = labels(environment, deployment);
    let workload = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {label::DEPLOYMENT: deployment}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{
                    "name": "engine", "image": image,
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "env": [{"name": "CHALK_DEPLOYMENT_ID", "value": deployment}],
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
                }]},
            },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels},
        "spec": {
            "selector": {label::DEPLOYMENT: deployment},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    });
    [Manifest::new(workload).expect("a manifest"), Manifest::new(service).expect("a manifest")]
}
