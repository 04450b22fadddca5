//! Services and what stands behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::super::document::{self, EndpointSlice, ServiceSpecification};
use super::ObjectName;
use crate::simulated::kubernetes::objects::Objects;
use crate::simulated::kubernetes::resource::ENDPOINT_SLICE;

/// A label of an endpoint slice: the service that it belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// An address that takes requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Endpoint {
    pub(in super::super) port_name: String,
    pub(in super::super) address: String,
    pub(in super::super) port: u16,
}

/// The endpoints of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct ServiceEndpoints {
    /// Those that take requests.
    pub(in super::super) ready: Vec<Endpoint>,
    /// The names of ports that some address has, whether it takes requests or not.
    known: BTreeSet<String>,
}

impl ServiceEndpoints {
    /// Whether no address has this port, whether it takes requests or not.
    pub(in super::super) fn is_empty(&self, port_name: &str) -> bool {
        !self.known.contains(port_name)
    }
}

/// The services of a cluster.
#[derive(Debug)]
pub(super) struct Services {
    services: BTreeMap<ObjectName, ServiceSpecification>,
    endpoints: BTreeMap<ObjectName, ServiceEndpoints>,
}

impl Services {
    pub(super) fn new(services: &[Arc<Value>], slices: &[Arc<Value>]) -> Self {
        let services = services.iter().filter_map(|service| {
            Some((ObjectName::of(service), serde_json::from_value(service["spec"].clone()).ok()?))
        });
        Self { services: services.collect(), endpoints: gather(slices) }
    }

    pub(super) fn get(&self, name: &ObjectName) -> Option<&ServiceSpecification> {
        self.services.get(name)
    }

    /// Whether a service has any endpoint with this port, ready or not.
    pub(super) fn has_endpoints(&self, name: &ObjectName, port_name: &str) -> bool {
        self.endpoints.get(name).is_some_and(|endpoints| !endpoints.is_empty(port_name))
    }

    pub(super) fn endpoints(self) -> BTreeMap<ObjectName, Arc<ServiceEndpoints>> {
        self.endpoints.into_iter().map(|(name, endpoints)| (name, Arc::new(endpoints))).collect()
    }
}

/// The endpoints of a service that are ready in the cluster now, whatever the data plane knows.
pub(in super::super) fn ready_endpoints(objects: &Objects, service: &ObjectName) -> usize {
    let (mut slices, _) = objects.list(ENDPOINT_SLICE, Some(&service.namespace));
    slices.retain(|slice| slice["metadata"]["labels"][SERVICE_NAME] == service.name.as_str());
    gather(&slices).get(service).map_or(0, |endpoints| endpoints.ready.len())
}

fn gather(slices: &[Arc<Value>]) -> BTreeMap<ObjectName, ServiceEndpoints> {
    let mut gathered: BTreeMap<ObjectName, ServiceEndpoints> = BTreeMap::new();
    for slice in slices {
        let Some(service) = slice["metadata"]["labels"][SERVICE_NAME].as_str() else { continue };
        let Ok(content) = serde_json::from_value::<EndpointSlice>((**slice).clone()) else { continue };
        let name = ObjectName::new(ObjectName::of(slice).namespace, service);
        let endpoints = gathered.entry(name).or_default();
        for endpoint in content.endpoints.unwrap_or_default() {
            for port in content.ports.iter().flatten().filter(|port| is_tcp(port.protocol.as_deref())) {
                let Some(number) = port.port else { continue };
                if !endpoint.addresses.is_empty() {
                    endpoints.known.insert(port.name.clone().unwrap_or_default());
                }
                if !endpoint.conditions.takes_requests() {
                    continue;
                }
                endpoints.ready.extend(endpoint.addresses.iter().map(|address| Endpoint {
                    port_name: port.name.clone().unwrap_or_default(),
                    address: address.clone(),
                    port: number,
                }));
            }
        }
    }
    for endpoints in gathered.values_mut() {
        // An address may stand in two slices while it moves from one to the other.
        endpoints.ready.sort();
        endpoints.ready.dedup();
    }
    gathered
}

pub(super) fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.is_none_or(|protocol| protocol == "TCP")
}

/// The port of a service that a reference names, if it has it.
pub(super) fn port(service: &ServiceSpecification, number: u16) -> Option<&document::ServicePort> {
    service.ports.iter().find(|port| port.port == number && is_tcp(port.protocol.as_deref()))
}
