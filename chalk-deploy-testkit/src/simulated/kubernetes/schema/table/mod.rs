//! The tables, one file for one idea of the API. Facts of the published descriptions of Kubernetes, the Gateway API
//! (standard channel) and KEDA: names, types, what is required, how lists merge, and the defaults that the custom
//! resources declare.

/// Writes objects down: a constant, the name of its definition (empty if it has none of its own), what is special about
/// it, and its fields with their schemas and defaults (as JSON).
macro_rules! objects {
    ($($constant:ident $name:literal $($word:ident ($($required:tt)?))* {
        $($field:ident : $schema:expr $(=> $default:literal)?),* $(,)?
    })*) => {
        $(pub(in super::super) const $constant: super::super::Schema = super::super::Schema::Object(
            &super::super::Object::new($name, &[
                $(super::super::Field {
                    name: stringify!($field),
                    schema: $schema,
                    default: super::optional!($($default)?),
                },)*
            ])$(.$word($(&$required)?))*
        );)*
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}
use optional;

mod apps;
mod autoscaling;
mod batch;
mod container;
mod core;
mod gateway;
mod http_route;
mod keda;
mod meta;
mod network;
mod node;
mod pod;
mod pod_status;
mod policy;
mod rbac;
mod service;
mod volume;
mod workflow;

use super::Schema;
use crate::simulated::kubernetes::resource::{self, Resource};

/// Each kind with its schema.
pub(super) static KINDS: &[(Resource, Schema)] = &[
    (resource::NAMESPACE, core::NAMESPACE),
    (resource::NODE, node::NODE),
    (resource::POD, pod::POD),
    (resource::SERVICE, service::SERVICE),
    (resource::CONFIG_MAP, core::CONFIG_MAP),
    (resource::SECRET, core::SECRET),
    (resource::SERVICE_ACCOUNT, core::SERVICE_ACCOUNT),
    (resource::EVENT, core::EVENT),
    (resource::RESOURCE_QUOTA, core::RESOURCE_QUOTA),
    (resource::DEPLOYMENT, apps::DEPLOYMENT),
    (resource::REPLICA_SET, apps::REPLICA_SET),
    (resource::JOB, batch::JOB),
    (resource::ENDPOINT_SLICE, network::ENDPOINT_SLICE),
    (resource::POD_DISRUPTION_BUDGET, policy::POD_DISRUPTION_BUDGET),
    (resource::HORIZONTAL_POD_AUTOSCALER, autoscaling::HORIZONTAL_POD_AUTOSCALER),
    (resource::ROLE, rbac::ROLE),
    (resource::ROLE_BINDING, rbac::ROLE_BINDING),
    (resource::CLUSTER_ROLE, rbac::CLUSTER_ROLE),
    (resource::CLUSTER_ROLE_BINDING, rbac::CLUSTER_ROLE_BINDING),
    (resource::GATEWAY_CLASS, gateway::GATEWAY_CLASS),
    (resource::GATEWAYS, gateway::GATEWAY),
    (resource::HTTP_ROUTE, http_route::HTTP_ROUTE),
    (resource::SCALED_OBJECT, keda::SCALED_OBJECT),
    (resource::WORKFLOW, workflow::WORKFLOW),
];
