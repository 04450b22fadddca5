//! The objects that routes of a sequence refer to.

use serde_json::{Value, json};

use crate::exchange::Ask;

/// So many sequences are recorded beside each other, each behind a listener of its own.
pub(super) const LANES: u64 = 8;

/// The names of a sequence.
#[derive(Debug)]
pub(super) struct Names {
    seed: u64,
}

impl Names {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    pub(super) fn namespace(&self) -> String {
        format!("sequence-{}", self.seed)
    }

    /// A namespace that no listener takes routes from.
    pub(super) fn other_namespace(&self) -> String {
        format!("sequence-{}-other", self.seed)
    }

    pub(super) fn section(&self) -> String {
        format!("lane-{}", self.seed % LANES)
    }

    pub(super) fn host(&self) -> String {
        format!("s{}.lane-{}.example", self.seed, self.seed % LANES)
    }

    pub(super) fn other_host(&self) -> String {
        format!("t{}.lane-{}.example", self.seed, self.seed % LANES)
    }

    /// A host of the listener that wants a label of the namespace.
    pub(super) fn labelled_host(&self) -> String {
        format!("s{}.labelled.example", self.seed)
    }

    pub(super) fn namespace_object(&self, labelled: bool) -> Ask {
        let mut labels = json!({"chalk.ai/environment": "recording"});
        if labelled {
            labels["recording"] = "labelled".into();
        }
        let name = self.namespace();
        let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        apply(&format!("/api/v1/namespaces/{name}"), &document)
    }

    pub(super) fn other_namespace_object(&self) -> Ask {
        let name = self.other_namespace();
        let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        apply(&format!("/api/v1/namespaces/{name}"), &document)
    }
}

/// What stands behind a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// No slice at all.
    Nothing,
    /// A slice without endpoints.
    EmptySlice,
    /// One that answers.
    Ready,
    /// One that would answer, and is not ready.
    Unready,
    /// One of which nothing is known.
    Unknown,
    /// One that ends, and still answers.
    Terminating,
    /// One that ends and is said to be ready, as for services that publish such addresses.
    TerminatingReady,
    /// One that answers and one that is not ready.
    Mixed,
    /// One where nothing listens.
    Refused,
    /// One with the port under another name.
    Misnamed,
}

pub(super) const EVERYTHING: [&Behind; 10] = [
    &Behind::Nothing,
    &Behind::EmptySlice,
    &Behind::Ready,
    &Behind::Unready,
    &Behind::Unknown,
    &Behind::Terminating,
    &Behind::TerminatingReady,
    &Behind::Mixed,
    &Behind::Refused,
    &Behind::Misnamed,
];

/// The services of every sequence, with the port at which the echo is each of them.
pub(super) const SERVICES: [(&str, u16, Behind); 5] = [
    ("a", 9001, Behind::Ready),
    ("b", 9002, Behind::Ready),
    ("empty", 9003, Behind::Nothing),
    ("unready", 9003, Behind::Unready),
    ("refused", 9003, Behind::Refused),
];

pub(super) fn service(namespace: &str, name: &str) -> Ask {
    let document = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]},
    });
    apply(&format!("/api/v1/namespaces/{namespace}/services/{name}"), &document)
}

/// A service that is but another name.
pub(super) fn alias(namespace: &str) -> Ask {
    let document = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "alias"},
        "spec": {
            "type": "ExternalName",
            "externalName": "elsewhere.example",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
        },
    });
    apply(&format!("/api/v1/namespaces/{namespace}/services/alias"), &document)
}

pub(super) fn delete_service(namespace: &str, name: &str) -> Ask {
    Ask::new("DELETE", format!("/api/v1/namespaces/{namespace}/services/{name}"))
}

/// The slice of a service, written by hand: no controller has a part in it.
pub(super) fn slice(namespace: &str, name: &str, port: u16, behind: Behind) -> Ask {
    let target = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}-1");
    if behind == Behind::Nothing {
        return Ask::new("DELETE", target);
    }
    let port = if behind == Behind::Refused { 9099 } else { port };
    let port_name = if behind == Behind::Misnamed { "other" } else { "http" };
    let document = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": endpoints(behind),
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    });
    apply(&target, &document)
}

fn endpoints(behind: Behind) -> Value {
    let echo = |conditions: Value| json!({"addresses": ["{{echo}}"], "conditions": conditions});
    let ready = || echo(json!({"ready": true, "serving": true, "terminating": false}));
    match behind {
        Behind::Nothing | Behind::EmptySlice => json!([]),
        Behind::Ready | Behind::Refused | Behind::Misnamed => json!([ready()]),
        Behind::Unready => json!([echo(json!({"ready": false, "serving": false, "terminating": false}))]),
        Behind::Unknown => json!([echo(json!({}))]),
        Behind::Terminating => json!([echo(json!({"ready": false, "serving": true, "terminating": true}))]),
        Behind::TerminatingReady => json!([echo(json!({"ready": true, "serving": true, "terminating": true}))]),
        Behind::Mixed => {
            let other = json!({
                "addresses": ["{{nobody}}"],
                "conditions": {"ready": false, "serving": false, "terminating": false},
            });
            json!([ready(), other])
        }
    }
}

pub(super) fn route(namespace: &str, name: &str, specification: &Value) -> Ask {
    let document = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": specification,
    });
    apply(&route_target(namespace, name), &document)
}

pub(super) fn delete_route(namespace: &str, name: &str) -> Ask {
    Ask::new("DELETE", route_target(namespace, name))
}

pub(super) fn routes(namespace: &str) -> Ask {
    Ask::new("GET", format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes"))
}

fn route_target(namespace: &str, name: &str) -> String {
    format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/{name}")
}

/// Server-side apply: what is there becomes what the document says.
pub(super) fn apply(target: &str, document: &Value) -> Ask {
    Ask::new("PATCH", format!("{target}?fieldManager=recorder&force=true"))
        .body("application/apply-patch+yaml", document.to_string())
}
