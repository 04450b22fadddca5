//! What the controller makes of the objects: a configuration for the data plane, and the status of every object. Pure:
//! one snapshot gives one translation.

mod attachment;
mod condition;
mod rules;
mod services;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::GatewaySettings;
use super::document;
use super::filter::{HeaderEdit, Redirect, Rewrite};
use super::hostname::Hostname;
use super::matching::Matcher;
use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::resource::{
    ENDPOINT_SLICE, GATEWAY_CLASS, GATEWAYS, HTTP_ROUTE, NAMESPACE, Resource, SERVICE,
};

pub(super) use self::condition::merge_conditions;
pub(super) use self::services::{Endpoint, ServiceEndpoints, ready_endpoints};

/// The name under which Envoy Gateway's controller signs.
pub const CONTROLLER_NAME: &str = "gateway.envoyproxy.io/gatewayclass-controller";

/// A name in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectName {
    /// A name in a namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    fn of(object: &Value) -> Self {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        Self::new(text("namespace"), text("name"))
    }
}

/// The objects that the controller looks at, as they were at one look.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    classes: Vec<Arc<Value>>,
    gateways: Vec<Arc<Value>>,
    routes: Vec<Arc<Value>>,
    services: Vec<Arc<Value>>,
    slices: Vec<Arc<Value>>,
    namespaces: Vec<Arc<Value>>,
}

impl Snapshot {
    pub(super) fn take(objects: &Objects) -> Self {
        let all = |resource: Resource| objects.list(resource, None).0;
        Self {
            classes: all(GATEWAY_CLASS),
            gateways: all(GATEWAYS),
            routes: all(HTTP_ROUTE),
            services: all(SERVICE),
            slices: all(ENDPOINT_SLICE),
            namespaces: all(NAMESPACE),
        }
    }

    /// Whether nothing changed between two looks.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |one: &[Arc<Value>], two: &[Arc<Value>]| {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| Arc::ptr_eq(one, two))
        };
        same(&self.classes, &other.classes)
            && same(&self.gateways, &other.gateways)
            && same(&self.routes, &other.routes)
            && same(&self.services, &other.services)
            && same(&self.slices, &other.slices)
            && same(&self.namespaces, &other.namespaces)
    }
}

/// What the data plane routes one `HTTPRoute` by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RouteConfiguration {
    /// Age and name settle which of two equal matches is asked first.
    pub(super) created: String,
    pub(super) generation: u64,
    pub(super) hostnames: Vec<Hostname>,
    pub(super) listener_port: u16,
    pub(super) rules: Vec<RuleConfiguration>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RuleConfiguration {
    /// Its place in the route.
    pub(super) index: usize,
    pub(super) matches: Vec<Matcher>,
    pub(super) action: Action,
    /// Whether a reference is invalid, one of weight 0 included.
    pub(super) has_invalid_backend: bool,
    pub(super) request: HeaderEdit,
    pub(super) response: HeaderEdit,
    pub(super) rewrite: Rewrite,
    pub(super) mirrors: Vec<MirrorConfiguration>,
    /// `None`: the data plane's own.
    pub(super) timeout: Option<Duration>,
    pub(super) retry: Option<RetryConfiguration>,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// It is answered here.
    Answer(StatusCode),
    Redirect(Redirect),
    /// It goes to one of these, by weight. None of weight 0 is among them.
    Forward(Vec<BackendConfiguration>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct BackendConfiguration {
    pub(super) weight: u32,
    pub(super) backend: Backend,
    /// Whether its share is answered with 500, because the reference is invalid.
    pub(super) invalid: bool,
    /// The name of the service's port, which is how endpoints know it.
    pub(super) port_name: String,
    pub(super) request: HeaderEdit,
    pub(super) response: HeaderEdit,
}

/// A service that a rule names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// The service.
    pub service: ObjectName,
    /// Its port; 0 where the reference has none.
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct MirrorConfiguration {
    pub(super) backend: BackendConfiguration,
    /// Of how many requests how many are mirrored.
    pub(super) share: (u32, u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RetryConfiguration {
    pub(super) attempts: u32,
    pub(super) backoff: Duration,
    pub(super) codes: Vec<u16>,
}

/// Everything that a snapshot means.
#[derive(Debug, Default)]
pub(super) struct Translation {
    pub(super) routes: BTreeMap<ObjectName, Arc<RouteConfiguration>>,
    pub(super) endpoints: BTreeMap<ObjectName, Arc<ServiceEndpoints>>,
    /// The `status` of each object that is ours, by its key, with the generation that it is for.
    pub(super) statuses: Vec<(Key, Status)>,
}

/// What the controller says about an object. Conditions are merged into the stored ones.
#[derive(Debug)]
pub(super) enum Status {
    Class(Vec<condition::Condition>),
    Gateway { conditions: Vec<condition::Condition>, listeners: Vec<ListenerStatus>, address: String },
    Route { parents: Vec<ParentStatus> },
}

#[derive(Debug)]
pub(super) struct ListenerStatus {
    pub(super) name: String,
    pub(super) attached: usize,
    pub(super) conditions: Vec<condition::Condition>,
}

#[derive(Debug)]
pub(super) struct ParentStatus {
    pub(super) reference: document::ParentReference,
    pub(super) conditions: Vec<condition::Condition>,
}

/// Translates a snapshot.
pub(super) fn translate(snapshot: &Snapshot, settings: &GatewaySettings) -> Translation {
    let mut translation = Translation::default();
    let services = services::Services::new(&snapshot.services, &snapshot.slices);
    let (mut gateways, classes) = attachment::Gateways::new(snapshot);
    for class in classes {
        let accepted = condition::Condition::holds("Accepted", "Accepted", "the class is served by this controller");
        translation.statuses.push((Key::new(GATEWAY_CLASS, "", class), Status::Class(vec![accepted])));
    }
    for route in &snapshot.routes {
        let name = ObjectName::of(route);
        let (configuration, status) = translate_route(route, &name, &mut gateways, &services);
        if let Some(configuration) = configuration {
            translation.routes.insert(name.clone(), Arc::new(configuration));
        }
        if let Some(status) = status {
            translation.statuses.push((Key::new(HTTP_ROUTE, name.namespace, name.name), status));
        }
    }
    translation.statuses.extend(gateways.statuses(&settings.address));
    translation.endpoints = services.endpoints();
    translation
}

fn translate_route(
    route: &Value,
    name: &ObjectName,
    gateways: &mut attachment::Gateways,
    services: &services::Services,
) -> (Option<RouteConfiguration>, Option<Status>) {
    let specification = match serde_json::from_value::<document::RouteSpecification>(route["spec"].clone()) {
        Ok(specification) => specification,
        Err(error) => {
            let parents = serde_json::from_value(route["spec"]["parentRefs"].clone()).unwrap_or_default();
            let refused = condition::Condition::fails("Accepted", "UnsupportedValue", format!("the route: {error}"));
            return (None, Some(Status::Route { parents: gateways.refuse(name, parents, &refused) }));
        }
    };
    let hostnames: Vec<_> = specification.hostnames.iter().map(|hostname| Hostname::new(hostname)).collect();
    let attachments = gateways.attach(name, &specification.parent_refs, &hostnames);
    let rules = specification.rules.unwrap_or_else(|| vec![document::Rule::default()]);
    let translated = rules::translate(&rules, name, services);
    let mut parents = Vec::new();
    let mut served: Vec<Hostname> = Vec::new();
    let mut listener_port = 80;
    for attachment in attachments {
        let refusal = translated.rejection().or(attachment.refusal);
        let accepted = refusal.is_none();
        let mut conditions = match refusal {
            Some(refusal) => vec![refusal],
            None => translated.acceptance(),
        };
        conditions.extend(translated.references());
        parents.push(ParentStatus { reference: attachment.reference, conditions });
        if accepted {
            listener_port = attachment.port;
            served.extend(attachment.hostnames);
        }
    }
    served.sort();
    served.dedup();
    let status = (!translated.has_no_status()).then_some(Status::Route { parents });
    let configuration = (!served.is_empty()).then(|| RouteConfiguration {
        created: route["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned(),
        generation: generation(route),
        hostnames: served,
        listener_port,
        rules: translated.rules,
    });
    (configuration, status)
}

pub(super) fn generation(object: &Value) -> u64 {
    object["metadata"]["generation"].as_u64().unwrap_or_default()
}

/// The status of an object after the controller has written it; equal to the old one if there is nothing new to say.
pub(super) fn write(status: &Status, object: &Value, now: &str) -> Value {
    let generation = generation(object);
    let old = &object["status"];
    match status {
        Status::Class(conditions) => {
            json!({"conditions": merge_conditions(&old["conditions"], conditions, generation, now)})
        }
        Status::Gateway { conditions, listeners, address } => {
            let written = listeners.iter().map(|listener| {
                let before = old["listeners"].as_array().into_iter().flatten();
                let before = before.into_iter().find(|before| before["name"] == listener.name.as_str());
                let before = before.map_or(&Value::Null, |before| &before["conditions"]);
                json!({
                    "name": listener.name,
                    "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
                    "attachedRoutes": listener.attached,
                    "conditions": merge_conditions(before, &listener.conditions, generation, now),
                })
            });
            json!({
                "addresses": [{"type": "IPAddress", "value": address}],
                "conditions": merge_conditions(&old["conditions"], conditions, generation, now),
                "listeners": written.collect::<Vec<_>>(),
            })
        }
        Status::Route { parents } => {
            let before: Vec<&Value> = old["parents"].as_array().into_iter().flatten().collect();
            let is_ours = |parent: &Value| parent["controllerName"] == CONTROLLER_NAME;
            // Plain data with text keys: writing it cannot fail.
            let reference = |parent: &ParentStatus| serde_json::to_value(&parent.reference).unwrap_or_default();
            let now_named: Vec<_> = parents.iter().map(reference).collect();
            // What was said about a parent that the route no longer names stays, as Envoy Gateway 1.6 leaves it. Which
            // port was named makes no difference there.
            let is_same = |one: &Value, two: &Value| {
                ["group", "kind", "namespace", "name", "sectionName"].iter().all(|field| one[field] == two[field])
            };
            let stays = |parent: &&&Value| {
                !is_ours(parent) || !now_named.iter().any(|named| is_same(named, &parent["parentRef"]))
            };
            let mut written: Vec<Value> = before.iter().filter(stays).copied().cloned().collect();
            for (parent, reference) in parents.iter().zip(now_named.iter().cloned()) {
                let old = before.iter().find(|old| is_ours(old) && old["parentRef"] == reference);
                let old = old.map_or(&Value::Null, |old| &old["conditions"]);
                written.push(json!({
                    "parentRef": reference,
                    "controllerName": CONTROLLER_NAME,
                    "conditions": merge_conditions(old, &parent.conditions, generation, now),
                }));
            }
            if written.is_empty() && old.is_null() { Value::Null } else { json!({"parents": written}) }
        }
    }
}

/// The weights of a route as they are stored, whatever becomes of them.
pub(super) fn stored_weights(route: &Value) -> Vec<Vec<(Backend, u32)>> {
    let Ok(specification) = serde_json::from_value::<document::RouteSpecification>(route["spec"].clone()) else {
        return Vec::new();
    };
    let own = ObjectName::of(route).namespace;
    let of_rule = |rule: &document::Rule| {
        let weights = rule.backend_refs.iter().map(|wanted| {
            let namespace = wanted.namespace.clone().unwrap_or_else(|| own.clone());
            let service = ObjectName::new(namespace, wanted.name.clone());
            (Backend { service, port: wanted.port.unwrap_or_default() }, wanted.weight.unwrap_or(1))
        });
        weights.collect()
    };
    specification.rules.iter().flatten().map(of_rule).collect()
}
