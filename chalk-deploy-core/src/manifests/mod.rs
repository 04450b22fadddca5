//! The objects that run a deployment, generated from its plan and images. Pure: the same plan and images give the same
//! documents.
//!
//! Every name carries the deployment's id, so that a late create of an abandoned deployment is inert and is found by
//! the inventory. The fencing token never enters a pod template: a new owner must not restart pods.

pub mod http_route;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Result;
use crate::cloud::{FIELD_MANAGER, label};
use crate::model::{Component, DeploymentPlan, ImageReference, Manifest};
use crate::{Error, ErrorCode};

/// The port on which a component's container serves.
const CONTAINER_PORT: u16 = 8080;

/// The objects of a deployment, in the order in which they are applied.
///
/// # Errors
/// [`ErrorCode::Internal`] if a document could not be written, which would be a defect of ours.
pub fn generate(plan: &DeploymentPlan, images: &BTreeMap<Component, ImageReference>) -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for (component, image) in images {
        manifests.push(manifest(&workload(plan, *component, image))?);
        if component.has_route() {
            manifests.push(manifest(&service(plan, *component))?);
        }
    }
    Ok(manifests)
}

/// The name of a component's workload and service.
pub fn object_name(plan: &DeploymentPlan, component: Component) -> String {
    format!("{component}-{}", plan.id)
}

fn manifest(document: &impl Serialize) -> Result<Manifest> {
    let document = serde_json::to_value(document)
        .map_err(|error| Error::new(ErrorCode::Internal, "a manifest could not be written").caused_by(error))?;
    Manifest::new(document)
}

fn labels(plan: &DeploymentPlan, component: Component) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        (label::MANAGED_BY, FIELD_MANAGER.to_owned()),
        (label::ENVIRONMENT, plan.environment.to_string()),
        (label::DEPLOYMENT, plan.id.to_string()),
        (label::COMPONENT, component.to_string()),
    ])
}

fn workload(plan: &DeploymentPlan, component: Component, image: &ImageReference) -> Object<WorkloadSpec> {
    let labels = labels(plan, component);
    Object {
        api_version: "apps/v1",
        kind: "Deployment",
        metadata: Metadata { name: Some(object_name(plan, component)), labels: labels.clone() },
        spec: WorkloadSpec {
            replicas: plan.sizing.min_instances,
            selector: LabelSelector { match_labels: labels.clone() },
            template: PodTemplate {
                metadata: Metadata { name: None, labels },
                spec: PodSpec { containers: vec![container(plan, component, image)] },
            },
        },
    }
}

fn container(plan: &DeploymentPlan, component: Component, image: &ImageReference) -> Container {
    Container {
        name: component.as_str(),
        image: image.to_string(),
        ports: vec![ContainerPort { name: "http", container_port: CONTAINER_PORT }],
        env: vec![
            EnvironmentVariable { name: "CHALK_DEPLOYMENT_ID", value: plan.id.to_string() },
            EnvironmentVariable { name: "CHALK_ENVIRONMENT", value: plan.environment.to_string() },
        ],
        readiness_probe: Probe { http_get: HttpGet { path: "/ready", port: "http" } },
    }
}

fn service(plan: &DeploymentPlan, component: Component) -> Object<ServiceSpec> {
    let labels = labels(plan, component);
    Object {
        api_version: "v1",
        kind: "Service",
        metadata: Metadata { name: Some(object_name(plan, component)), labels: labels.clone() },
        spec: ServiceSpec {
            selector: labels,
            ports: vec![ServicePort { name: "http", port: 80, target_port: "http" }],
        },
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<S> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: S,
}

#[derive(Serialize)]
struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    labels: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct WorkloadSpec {
    replicas: u32,
    selector: LabelSelector,
    template: PodTemplate,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LabelSelector {
    match_labels: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct PodTemplate {
    metadata: Metadata,
    spec: PodSpec,
}

#[derive(Serialize)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: &'static str,
    image: String,
    ports: Vec<ContainerPort>,
    env: Vec<EnvironmentVariable>,
    readiness_probe: Probe,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    name: &'static str,
    container_port: u16,
}

#[derive(Serialize)]
struct EnvironmentVariable {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    http_get: HttpGet,
}

#[derive(Serialize)]
struct HttpGet {
    path: &'static str,
    port: &'static str,
}

#[derive(Serialize)]
struct ServiceSpec {
    selector: BTreeMap<&'static str, String>,
    ports: Vec<ServicePort>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServicePort {
    name: &'static str,
    port: u16,
    target_port: &'static str,
}
