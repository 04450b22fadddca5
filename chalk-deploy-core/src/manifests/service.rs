//! What the route names. A gateway and a mesh learn from `appProtocol` what is spoken.
//!
//! There is no `trafficDistribution`: keeping requests in their zone overloads the one pod of a zone when a rollout or
//! an autoscaler has not spread them yet.

use serde::Serialize;

use super::deployment::PORT_NAME;
use super::object::{Labels, Object, labels, metadata};
use crate::model::{Component, DeploymentPlan};

#[derive(Debug, Serialize)]
pub(super) struct ServiceSpecification {
    r#type: &'static str,
    selector: Labels,
    ports: Vec<ServicePort>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServicePort {
    name: &'static str,
    port: u16,
    target_port: &'static str,
    protocol: &'static str,
    app_protocol: &'static str,
}

pub(super) fn service(plan: &DeploymentPlan, component: Component) -> Object<ServiceSpecification> {
    let app_protocol = match component {
        // gRPC without TLS: HTTP/2 from the first byte.
        Component::QueryServer => "kubernetes.io/h2c",
        _ => "http",
    };
    Object {
        api_version: "v1",
        kind: "Service",
        metadata: metadata(plan, component),
        spec: ServiceSpecification {
            r#type: "ClusterIP",
            selector: labels(plan, component),
            ports: vec![ServicePort {
                name: PORT_NAME,
                port: 80,
                target_port: PORT_NAME,
                protocol: "TCP",
                app_protocol,
            }],
        },
    }
}
