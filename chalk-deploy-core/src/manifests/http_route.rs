//! `HTTPRoute` of Gateway API (`gateway.networking.k8s.io/v1`), as far as dividing traffic needs it.
//!
//! A route is read, changed and written back whole, and others work on it too. So every type keeps the fields that it
//! does not know, and what was read and not changed is written back as it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fields that are kept and not understood.
pub type OtherFields = Map<String, Value>;

/// The `apiVersion`.
pub const API_VERSION: &str = "gateway.networking.k8s.io/v1";
/// The `kind`.
pub const KIND: &str = "HTTPRoute";

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// Name, labels and versions.
    pub metadata: RouteMetadata,
    /// What is wanted.
    #[serde(default)]
    pub spec: RouteSpec,
    /// What the gateways have made of it.
    #[serde(default, skip_serializing_if = "RouteStatus::is_empty")]
    pub status: RouteStatus,
    /// The rest.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// The `metadata` of a route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteMetadata {
    /// The name.
    pub name: String,
    /// The namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The uid; absent before it is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The version that a write is guarded by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// Counts the changes of `spec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The rest.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// What is wanted of a route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSpec {
    /// The gateways that it is attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// The hosts that it is for; none: all of the gateway's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// The rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RouteRule>,
    /// The rest.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// A gateway, or one of its listeners.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// The group; Gateway API's, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The kind; `Gateway`, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The namespace; the route's own, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The listener; all, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// The rest.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// A rule: which requests, and where they go.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteRule {
    /// Which requests; any of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RouteMatch>,
    /// Where they go, by weight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendReference>,
    /// The rest: filters, timeouts, the rule's name.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// Which requests; all of these must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RouteMatch {
    /// Headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// The rest: path, method, query.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// A header that a request must have.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// `Exact`, if it is absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name, without regard to case.
    pub name: String,
    /// The value.
    pub value: String,
    /// The rest.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// A service with its share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BackendReference {
    /// The group; the core group, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The kind; `Service`, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The namespace; the route's own, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The share among the weights of the rule; 1, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The rest: filters.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// What the gateways have made of a route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RouteStatus {
    /// What each of them says.
    #[serde(default)]
    pub parents: Vec<ParentStatus>,
    /// The rest.
    #[serde(flatten)]
    pub other: OtherFields,
}

impl RouteStatus {
    /// Whether nobody has said anything.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty() && self.other.is_empty()
    }
}

/// What one controller says of a route at one gateway.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The gateway.
    pub parent_ref: ParentReference,
    /// The controller.
    pub controller_name: String,
    /// What it says.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The rest.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// A condition of `meta/v1`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Accepted`, `ResolvedRefs`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A word for machines.
    #[serde(default)]
    pub reason: String,
    /// Words for people.
    #[serde(default)]
    pub message: String,
    /// The generation that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The rest.
    #[serde(flatten)]
    pub other: OtherFields,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_survives_being_read_and_written() {
        let document = json!({
            "apiVersion": API_VERSION, "kind": KIND,
            "metadata": {"name": "r", "generation": 3, "managedFields": [{"manager": "x"}], "finalizers": ["f"]},
            "spec": {
                "parentRefs": [{"name": "g", "port": 80}], "useDefaultGateways": "All",
                "rules": [{
                    "name": "n", "timeouts": {"request": "10s"},
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}, "headers": [{"name": "h", "value": "v"}]}],
                    "filters": [{"type": "RequestMirror"}],
                    "backendRefs": [{"name": "b", "port": 80, "weight": 1, "filters": []}],
                }],
            },
            "status": {"parents": [{"parentRef": {"name": "g"}, "controllerName": "c", "conditions": [
                {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "t"}]}]},
        });
        let route: HttpRoute = serde_json::from_value(document.clone()).expect("a route");
        assert_eq!(serde_json::to_value(route).expect("plain data"), document);
    }
}
