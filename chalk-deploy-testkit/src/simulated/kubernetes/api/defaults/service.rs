//! Services, and the addresses and ports that the cluster gives them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{default, each, existing, part};
use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::resource::{Resource, SERVICE};
use crate::simulated::kubernetes::status::{Cause, Status};

/// The addresses of services, 10.96.0.0/16, without those that mean something else.
const ADDRESSES: std::ops::Range<u32> = 0x0a60_000a..0x0a60_fff0;

/// The ports of nodes.
const NODE_PORTS: std::ops::Range<u64> = 30_000..32_768;

pub(super) fn service(service: &mut Value) {
    let Some(spec) = part(service, "spec") else { return };
    default(spec, "type", "ClusterIP");
    default(spec, "sessionAffinity", "None");
    if spec["type"] != "ExternalName" {
        default(spec, "internalTrafficPolicy", "Cluster");
    }
    if spec["sessionAffinity"] == "ClientIP"
        && let Some(settings) = part(spec, "sessionAffinityConfig")
        && let Some(client) = part(settings, "clientIP")
    {
        default(client, "timeoutSeconds", 10_800);
    }
    if matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if spec["type"] == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true);
    }
    if let Some(ports) = existing(spec, "ports") {
        for port in each(ports) {
            default(port, "protocol", "TCP");
            let number = port["port"].clone();
            if !number.is_null() {
                default(port, "targetPort", number);
            }
        }
    }
    if let Some(status) = part(service, "status") {
        default(status, "loadBalancer", json!({}));
    }
}

/// Gives a new service its address and its ports.
///
/// # Errors
/// 422 for an address or a port that another one has, 500 when there are no more.
pub(in super::super) fn allocate(objects: &Objects, key: &Key, object: &mut Value) -> Result<(), Status> {
    if key.resource != SERVICE {
        return Ok(());
    }
    let (services, _) = objects.list(SERVICE, None);
    address(&services, key, object)?;
    node_ports(&services, key, object)
}

fn address(services: &[std::sync::Arc<Value>], key: &Key, object: &mut Value) -> Result<(), Status> {
    let Some(spec) = part(object, "spec") else { return Ok(()) };
    if spec["type"] == "ExternalName" {
        super::drop_null(spec, "clusterIP");
        return Ok(());
    }
    let taken: BTreeSet<&str> = services.iter().filter_map(|service| service["spec"]["clusterIP"].as_str()).collect();
    let asked = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    let address = if asked.is_empty() {
        // The one after the last: an address that has just been given back is not given to another at once.
        let last = taken.iter().filter_map(|text| text.parse::<Ipv4Addr>().ok()).map(u32::from).max();
        let next = last.map_or(ADDRESSES.start, |last| last.saturating_add(1).max(ADDRESSES.start));
        (next..ADDRESSES.end)
            .chain(ADDRESSES)
            .map(|number| Ipv4Addr::from(number).to_string())
            .find(|address| !taken.contains(address.as_str()))
            .ok_or_else(|| Status::internal("failed to allocate a cluster address: range is full"))?
    } else {
        let free = asked == "None" || !taken.contains(asked.as_str());
        let valid = asked == "None" || asked.parse::<Ipv4Addr>().is_ok_and(|ip| (u32::from(ip) >> 16) == 0x0a60);
        if !free || !valid {
            let why = if free {
                "failed to allocate IP: the provided IP is not in the valid range 10.96.0.0/16"
            } else {
                "failed to allocate IP: provided IP is already allocated"
            };
            let cause = Cause::invalid("spec.clusterIPs", &json!([asked]), why);
            return Err(Status::invalid(&key.resource, &key.name, vec![cause]));
        }
        asked
    };
    // Without a selector and an address nobody can tell of which family its endpoints are: of both.
    let any = asked_for_none(&address) && spec["selector"].as_object().is_none_or(serde_json::Map::is_empty);
    default(spec, "ipFamilyPolicy", if any { "RequireDualStack" } else { "SingleStack" });
    default(spec, "ipFamilies", if any { json!(["IPv4", "IPv6"]) } else { json!(["IPv4"]) });
    spec["clusterIPs"] = json!([address]);
    spec["clusterIP"] = address.into();
    Ok(())
}

fn asked_for_none(address: &str) -> bool {
    address == "None"
}

fn node_ports(services: &[std::sync::Arc<Value>], key: &Key, object: &mut Value) -> Result<(), Status> {
    if !matches!(object["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        return Ok(());
    }
    let mut taken: BTreeSet<u64> = services
        .iter()
        .flat_map(|service| service["spec"]["ports"].as_array().into_iter().flatten())
        .filter_map(|port| port["nodePort"].as_u64())
        .collect();
    let Some(ports) = existing(&mut object["spec"], "ports") else { return Ok(()) };
    for (index, port) in each(ports).enumerate() {
        let number = match port["nodePort"].as_u64().filter(|number| *number > 0) {
            Some(asked) if taken.contains(&asked) => {
                let field = format!("spec.ports[{index}].nodePort");
                let cause = Cause::invalid(field, &asked.into(), "provided port is already allocated");
                return Err(Status::invalid(&key.resource, &key.name, vec![cause]));
            }
            Some(asked) => asked,
            None => NODE_PORTS
                .clone()
                .find(|number| !taken.contains(number))
                .ok_or_else(|| Status::internal("failed to allocate a node port: range is full"))?,
        };
        taken.insert(number);
        port["nodePort"] = number.into();
    }
    Ok(())
}

/// A change that says nothing of the address keeps it.
pub(in super::super) fn keep_allocated(resource: &Resource, live: &Value, next: &mut Value) {
    if *resource != SERVICE || next["spec"]["type"] == "ExternalName" || live["spec"]["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let said = &next["spec"][field];
        let nothing = said.is_null() || said == "" || said.as_array().is_some_and(Vec::is_empty);
        if nothing && !live["spec"][field].is_null() {
            next["spec"][field] = live["spec"][field].clone();
        } else if nothing {
            super::drop_null(&mut next["spec"], field);
        }
    }
}
