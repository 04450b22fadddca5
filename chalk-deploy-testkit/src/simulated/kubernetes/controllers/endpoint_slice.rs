//! Endpoint slices: the pods behind each service.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::pass::{Moments, Pass};
use super::write::{Writer, document, owned};
use super::{pod, selector, view};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{ENDPOINT_SLICE, NODE, POD, SERVICE};

const WRITER: Writer = Writer::ControllerManager;
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";

/// How many endpoints one slice holds: the default of the controller of Kubernetes.
const MOST: usize = 100;

/// Keeps the slices of every service, each change so much later than its cause as the settings say.
#[derive(Debug, Default)]
pub(super) struct EndpointSlices {
    behind: Moments,
}

/// A slice, and the endpoints that it is to list.
type Slice = (Arc<Value>, Vec<Value>);

/// The endpoints of a service by the ports that they serve on, each by its pod's uid.
type Wanted = BTreeMap<String, (Value, BTreeMap<String, Value>)>;

impl EndpointSlices {
    /// Looks at every service.
    pub(super) fn reconcile(&mut self, pass: &Pass<'_>) {
        let services = pass.list(SERVICE, None);
        self.behind.keep(&services.iter().map(|service| view::uid(service)).collect());
        for service in &services {
            let selects =
                service.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|all| !all.is_empty());
            if !selects || view::is_deleting(service) || view::text(service, "/spec/type") == "ExternalName" {
                continue;
            }
            let plan = Plan::of(pass, service);
            if plan.is_nothing() {
                self.behind.forget(view::uid(service), "behind");
                continue;
            }
            let since = self.behind.first_seen(view::uid(service), "behind", pass.now);
            if pass.has_passed(pass.settings.endpoint_lag, since) {
                plan.carry_out(pass, service);
                self.behind.forget(view::uid(service), "behind");
            }
        }
    }
}

/// What is to be written for one service.
#[derive(Debug, Default)]
struct Plan {
    changed: Vec<Slice>,
    removed: Vec<Arc<Value>>,
    new: Vec<(Value, Vec<Value>)>,
}

impl Plan {
    fn of(pass: &Pass<'_>, service: &Value) -> Self {
        let mut wanted = wanted(pass, service);
        let mut plan = Self::default();
        let slices: Vec<_> = pass
            .list(ENDPOINT_SLICE, Some(view::namespace(service)))
            .into_iter()
            .filter(|slice| !view::is_deleting(slice) && is_ours(slice, service))
            .collect();
        // A service without pods has one empty slice, so that its having none can be told from not being looked at.
        if wanted.is_empty() {
            let ports = slices.first().map_or_else(|| json!([]), |slice| slice["ports"].clone());
            wanted.insert(ports.to_string(), (ports, BTreeMap::new()));
        }
        let mut room: BTreeMap<String, Vec<Slice>> = BTreeMap::new();
        // What is listed stays in its slice.
        for slice in slices {
            let ports = slice["ports"].to_string();
            let Some((_, endpoints)) = wanted.get_mut(&ports) else {
                plan.removed.push(slice);
                continue;
            };
            let listed = view::items(&slice, "/endpoints").iter();
            let kept = listed.filter_map(|endpoint| endpoints.remove(view::text(endpoint, "/targetRef/uid"))).collect();
            room.entry(ports).or_default().push((slice, kept));
        }
        for (ports, (written, endpoints)) in wanted {
            let mut slices = room.remove(&ports).unwrap_or_default();
            let mut missing: Vec<_> = endpoints.into_values().collect();
            for (_, kept) in &mut slices {
                let free = MOST.saturating_sub(kept.len()).min(missing.len());
                kept.extend(missing.drain(..free));
            }
            let empty = slices.is_empty() && missing.is_empty();
            plan.new.extend(missing.chunks(MOST).map(|part| (written.clone(), part.to_vec())));
            if empty {
                plan.new.push((written, Vec::new()));
            }
            // All but the last of the empty ones go.
            let mut full = slices.iter().any(|(_, kept)| !kept.is_empty());
            for (slice, kept) in slices {
                if kept.is_empty() && full {
                    plan.removed.push(slice);
                    continue;
                }
                full |= kept.is_empty();
                if view::items(&slice, "/endpoints") != kept {
                    plan.changed.push((slice, kept));
                }
            }
        }
        plan
    }

    fn is_nothing(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty() && self.new.is_empty()
    }

    fn carry_out(self, pass: &Pass<'_>, service: &Value) {
        for (slice, endpoints) in self.changed {
            pass.update(WRITER, ENDPOINT_SLICE, &slice, |slice| slice["endpoints"] = endpoints.into());
        }
        for (ports, endpoints) in self.new {
            let mut labels = view::labels(service);
            labels.insert(SERVICE_NAME.to_owned(), view::name(service).to_owned());
            labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
            let prefix = format!("{}-", view::name(service));
            let key: Key = pass.new_name(ENDPOINT_SLICE, view::namespace(service), &prefix, view::uid(service));
            let mut metadata = owned(SERVICE, service, &labels);
            metadata["generateName"] = prefix.into();
            let slice = json!({"addressType": "IPv4", "ports": ports, "endpoints": endpoints});
            // A service whose namespace is going away needs none.
            let _ = pass.create(WRITER, &key, document(metadata, slice));
        }
        for slice in self.removed {
            pass.remove(ENDPOINT_SLICE, &slice);
        }
    }
}

fn is_ours(slice: &Value, service: &Value) -> bool {
    let labels = view::labels(slice);
    labels.get(SERVICE_NAME).is_some_and(|name| name == view::name(service))
        && labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER)
        && view::is_controlled_by(slice, view::uid(service))
}

/// The endpoints that a service is to have.
fn wanted(pass: &Pass<'_>, service: &Value) -> Wanted {
    let mut wanted = Wanted::new();
    let eager = view::flag(service, "/spec/publishNotReadyAddresses");
    for pod in pass.list(POD, Some(view::namespace(service))) {
        let address = view::text(&pod, "/status/podIP");
        let selected = selector::selects_plainly(&service["spec"]["selector"], &view::labels(&pod));
        if !selected || address.is_empty() || pod::has_ended(&pod) {
            continue;
        }
        let ports = ports(service, &pod);
        let (_, endpoints) = wanted.entry(ports.to_string()).or_insert_with(|| (ports, BTreeMap::new()));
        endpoints.insert(view::uid(&pod).to_owned(), endpoint(pass, &pod, address, eager));
    }
    wanted
}

fn endpoint(pass: &Pass<'_>, pod: &Value, address: &str, eager: bool) -> Value {
    let serving = view::holds(pod, "Ready");
    let terminating = view::is_deleting(pod);
    let node = view::text(pod, "/spec/nodeName");
    let mut endpoint = json!({
        "addresses": [address],
        "conditions": {"ready": eager || (serving && !terminating), "serving": serving, "terminating": terminating},
        "nodeName": node,
        "targetRef": {
            "kind": "Pod", "namespace": view::namespace(pod), "name": view::name(pod), "uid": view::uid(pod),
        },
    });
    let zone = pass.objects.get(&Key::new(NODE, "", node));
    if let Some(zone) = zone.as_ref().and_then(|node| view::labels(node).remove("topology.kubernetes.io/zone")) {
        endpoint["zone"] = zone.into();
    }
    endpoint
}

/// The ports of a service as a pod serves them. A named one that the pod does not have is left out.
fn ports(service: &Value, pod: &Value) -> Value {
    let ports = view::items(service, "/spec/ports").iter().filter_map(|port| {
        let protocol = Some(view::text(port, "/protocol")).filter(|text| !text.is_empty()).unwrap_or("TCP");
        let target = port.get("targetPort").filter(|target| !target.is_null() && **target != json!(0));
        let number = match target.unwrap_or(&port["port"]) {
            Value::String(name) => container_port(pod, name, protocol)?,
            number => u32::try_from(number.as_u64()?).ok()?,
        };
        let mut resolved = json!({"name": view::text(port, "/name"), "port": number, "protocol": protocol});
        if let Some(application) = port.get("appProtocol") {
            resolved["appProtocol"] = application.clone();
        }
        Some(resolved)
    });
    ports.collect()
}

fn container_port(pod: &Value, name: &str, protocol: &str) -> Option<u32> {
    let containers = view::items(pod, "/spec/containers").iter();
    let mut ports = containers.flat_map(|container| view::items(container, "/ports"));
    let port = ports.find(|port| {
        let of = Some(view::text(port, "/protocol")).filter(|text| !text.is_empty()).unwrap_or("TCP");
        view::text(port, "/name") == name && of == protocol
    })?;
    view::number(port, "/containerPort")
}
