//! How a deployment stands: its workloads, its pods, and what stands behind its service.
//!
//! The published role of Chalk's own documentation permits neither watching deployments nor reading endpoint slices.
//! Readiness is told without them then, and more coarsely: workloads as their pods show them, endpoints as the ready
//! pods that the service selects. Reading pods is indispensable.

mod endpoints;
mod pods;
mod workloads;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};

pub(crate) use self::endpoints::{SERVICE_NAME, ready_endpoints};
use super::asked::{Asked, Verb};
use super::cluster::list;
use super::connection::Connection;
use super::kinds::{DEPLOYMENT, POD, SERVICE};
use super::watching::Versions;
use crate::Result;
use crate::cloud::{Observation, label};
use crate::model::{DeploymentId, Namespace};

pub(super) async fn observe(
    connection: &Connection,
    namespace: &Namespace,
    deployment: &DeploymentId,
) -> Result<Observation> {
    let labels = format!("{}={deployment}", label::DEPLOYMENT);
    let mut versions = Versions::default();

    // Pods last: what the controllers say of them is then never newer than what they show.
    let (services, version) = list::<Service>(connection, SERVICE, namespace, &labels)
        .await
        .map_err(|failure| failure.error(&Asked::about(Verb::List, SERVICE, namespace)))?;
    versions.services = version;
    let mut names: Vec<String> = services.iter().filter_map(|service| service.metadata.name.clone()).collect();
    names.sort_unstable();
    let slices = if names.is_empty() { None } else { Some(ready_endpoints(connection, namespace, &names).await) };
    let deployments = list::<Deployment>(connection, DEPLOYMENT, namespace, &labels).await;
    let (pods, version) = list::<Pod>(connection, POD, namespace, &labels)
        .await
        .map_err(|failure| failure.error(&Asked::about(Verb::List, POD, namespace)))?;
    versions.pods = version;

    let workloads = match deployments {
        Ok((deployments, version)) => {
            versions.deployments = version;
            workloads::of_deployments(deployments, namespace)
        }
        Err(failure) if failure.is_forbidden() => {
            tracing::debug!(%namespace, "deployments may not be listed; readiness is told by the pods alone");
            workloads::of_pods(&pods, namespace)
        }
        Err(failure) => return Err(failure.error(&Asked::about(Verb::List, DEPLOYMENT, namespace))),
    };
    let ready_endpoints = match slices {
        None => None,
        Some(Ok((ready, version))) => {
            versions.endpoint_slices = version;
            // Several services are several ways in, and each must be open.
            Some(names.iter().map(|name| ready.get(name).copied().unwrap_or_default()).min().unwrap_or_default())
        }
        Some(Err(failure)) if failure.is_forbidden() => {
            tracing::debug!(%namespace, "endpoint slices may not be listed; ready pods count as endpoints");
            services.iter().map(|service| endpoints::of_pods(service, &pods)).min()
        }
        Some(Err(failure)) => {
            return Err(failure.error(&Asked::about(Verb::List, super::kinds::ENDPOINT_SLICE, namespace)));
        }
    };
    versions.service_names = names;
    let mut pods: Vec<_> = pods.into_iter().map(pods::observed).collect();
    pods.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Observation { resource_version: versions.to_string(), workloads, pods, ready_endpoints })
}
