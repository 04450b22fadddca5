//! Which routes stand behind which listeners of which gateways.

use std::collections::{BTreeMap, BTreeSet};

use super::super::document::{GatewaySpecification, Listener, ParentReference};
use super::super::hostname::Hostname;
use super::condition::Condition;
use super::{CONTROLLER_NAME, ListenerStatus, ObjectName, ParentStatus, Snapshot, Status};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::GATEWAYS;

const GROUP: &str = "gateway.networking.k8s.io";

/// The gateways that are ours.
#[derive(Debug)]
pub(super) struct Gateways {
    gateways: BTreeMap<ObjectName, Vec<OpenListener>>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Debug)]
struct OpenListener {
    listener: Listener,
    hostname: Hostname,
    attached: BTreeSet<ObjectName>,
}

/// A route at one of its parents.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) reference: ParentReference,
    /// Why the parent does not take it.
    pub(super) refusal: Option<Condition>,
    pub(super) hostnames: Vec<Hostname>,
    /// The port of the first listener that takes it.
    pub(super) port: u16,
}

impl Gateways {
    /// The gateways of our classes, and the names of these classes.
    pub(super) fn new(snapshot: &Snapshot) -> (Self, Vec<String>) {
        let classes: Vec<String> = snapshot
            .classes
            .iter()
            .filter(|class| class["spec"]["controllerName"] == CONTROLLER_NAME)
            .map(|class| ObjectName::of(class).name)
            .collect();
        let mut gateways = BTreeMap::new();
        for gateway in &snapshot.gateways {
            let Ok(specification) = serde_json::from_value::<GatewaySpecification>(gateway["spec"].clone()) else {
                continue;
            };
            if classes.contains(&specification.gateway_class_name) {
                let open = specification.listeners.into_iter().map(|listener| OpenListener {
                    hostname: Hostname::new(listener.hostname.as_deref().unwrap_or_default()),
                    attached: BTreeSet::new(),
                    listener,
                });
                gateways.insert(ObjectName::of(gateway), open.collect());
            }
        }
        let labels = |namespace: &serde_json::Value| {
            serde_json::from_value(namespace["metadata"]["labels"].clone()).unwrap_or_default()
        };
        let namespaces = snapshot.namespaces.iter();
        let namespaces = namespaces.map(|namespace| (ObjectName::of(namespace).name, labels(namespace))).collect();
        (Self { gateways, namespaces }, classes)
    }

    /// Where a route stands. References to gateways that are not ours are left out.
    pub(super) fn attach(
        &mut self,
        route: &ObjectName,
        references: &[ParentReference],
        hostnames: &[Hostname],
    ) -> Vec<Attachment> {
        references.iter().filter_map(|reference| self.attach_to(route, reference, hostnames)).collect()
    }

    /// The status of a route that no parent takes.
    pub(super) fn refuse(
        &self,
        route: &ObjectName,
        references: Vec<ParentReference>,
        why: &Condition,
    ) -> Vec<ParentStatus> {
        references
            .into_iter()
            .filter(|reference| gateway_of(route, reference).is_some_and(|name| self.gateways.contains_key(&name)))
            .map(|reference| ParentStatus { reference, conditions: vec![why.clone()] })
            .collect()
    }

    fn attach_to(
        &mut self,
        route: &ObjectName,
        reference: &ParentReference,
        hostnames: &[Hostname],
    ) -> Option<Attachment> {
        let gateway = gateway_of(route, reference)?;
        let labels = self.namespaces.get(&route.namespace);
        let listeners = self.gateways.get_mut(&gateway)?;
        let refused = |reason: &'static str, message: &str| {
            let refusal = Some(Condition::fails("Accepted", reason, message));
            Some(Attachment { reference: reference.clone(), refusal, hostnames: Vec::new(), port: 0 })
        };
        let mut named: Vec<_> = listeners.iter_mut().filter(|open| is_named(&open.listener, reference)).collect();
        if named.is_empty() {
            return refused("NoMatchingParent", "No listeners match this parent ref");
        }
        named.retain(|open| open.listener.permits(route, &gateway, labels));
        if named.is_empty() {
            return refused(
                "NotAllowedByListeners",
                "No listeners included by this parent ref allowed this attachment.",
            );
        }
        let mut shared = Vec::new();
        let mut port = None;
        for open in named {
            open.attached.insert(route.clone());
            let any = [Hostname::Any];
            let wanted = if hostnames.is_empty() { &any[..] } else { hostnames };
            let both: Vec<_> = wanted.iter().filter_map(|hostname| hostname.intersection(&open.hostname)).collect();
            if !both.is_empty() {
                port.get_or_insert(open.listener.port);
            }
            shared.extend(both);
        }
        match port {
            Some(port) => Some(Attachment { reference: reference.clone(), refusal: None, hostnames: shared, port }),
            None => refused(
                "NoMatchingListenerHostname",
                "There were no hostname intersections between the HTTPRoute and this parent ref's Listener(s).",
            ),
        }
    }

    pub(super) fn statuses(self, address: &str) -> Vec<(Key, Status)> {
        let statuses = self.gateways.into_iter().map(|(name, listeners)| {
            let any_open = listeners.iter().any(|open| open.listener.is_served());
            let listeners = listeners.into_iter().map(|open| open.listener.status(open.attached.len()));
            let programmed = if any_open {
                Condition::holds("Programmed", "Programmed", "the data plane serves this gateway")
            } else {
                Condition::fails("Programmed", "Invalid", "none of its listeners can be served")
            };
            let accepted = Condition::holds("Accepted", "Accepted", "this controller serves the gateway");
            let status = Status::Gateway {
                conditions: vec![accepted, programmed],
                listeners: listeners.collect(),
                address: address.to_owned(),
            };
            (Key::new(GATEWAYS, name.namespace, name.name), status)
        });
        statuses.collect()
    }
}

impl Listener {
    fn is_served(&self) -> bool {
        matches!(self.protocol.as_str(), "HTTP" | "HTTPS")
    }

    fn permits(&self, route: &ObjectName, gateway: &ObjectName, labels: Option<&BTreeMap<String, String>>) -> bool {
        let kinds = &self.allowed_routes.kinds;
        let is_route = |kind: &super::super::document::RouteKind| {
            kind.kind == "HTTPRoute" && kind.group.as_deref().unwrap_or(GROUP) == GROUP
        };
        let namespaces = &self.allowed_routes.namespaces;
        let from_there = match namespaces.from.as_deref().unwrap_or("Same") {
            "All" => true,
            "Same" => route.namespace == gateway.namespace,
            "Selector" => labels.is_some_and(|labels| namespaces.selector.matches(labels)),
            _ => false,
        };
        self.is_served() && from_there && (kinds.is_empty() || kinds.iter().any(is_route))
    }

    fn status(self, attached: usize) -> ListenerStatus {
        let conditions = if self.is_served() {
            vec![
                Condition::holds("Accepted", "Accepted", "the listener is valid"),
                Condition::holds("Programmed", "Programmed", "the data plane serves this listener"),
                Condition::holds("ResolvedRefs", "ResolvedRefs", "all its references are resolved"),
            ]
        } else {
            let message = "only HTTP and HTTPS are served here";
            vec![
                Condition::fails("Accepted", "UnsupportedProtocol", message),
                Condition::fails("Programmed", "Invalid", message),
            ]
        };
        ListenerStatus { name: self.name, attached, conditions }
    }
}

fn gateway_of(route: &ObjectName, reference: &ParentReference) -> Option<ObjectName> {
    let is_gateway = reference.kind.as_deref().unwrap_or("Gateway") == "Gateway"
        && reference.group.as_deref().unwrap_or(GROUP) == GROUP;
    let namespace = reference.namespace.clone().unwrap_or_else(|| route.namespace.clone());
    is_gateway.then(|| ObjectName::new(namespace, reference.name.clone()))
}

fn is_named(listener: &Listener, reference: &ParentReference) -> bool {
    reference.section_name.as_ref().is_none_or(|name| *name == listener.name)
        && reference.port.is_none_or(|port| port == listener.port)
}
