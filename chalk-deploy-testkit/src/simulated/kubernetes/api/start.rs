//! What every cluster begins with.

use serde_json::{Value, json};

use super::defaults;
use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::resource::{
    CLUSTER_ROLE, CLUSTER_ROLE_BINDING, NAMESPACE, Resource, SERVICE_ACCOUNT,
};

/// Makes what is missing. What someone has taken away in a running cluster comes back with the next start, as it does
/// in a real one.
pub(super) fn create_built_ins(objects: &Objects) {
    for namespace in ["default", "kube-system", "kube-public"] {
        create(objects, NAMESPACE, "", namespace, json!({}));
    }
    for namespace in ["default", "kube-system", "kube-public"] {
        create(objects, SERVICE_ACCOUNT, namespace, "default", json!({}));
    }
    let everything = json!({"rules": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ]});
    let discovery = json!({"rules": [{"verbs": ["get"], "nonResourceURLs": [
        "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version",
        "/version/",
    ]}]});
    let questions = json!({"rules": [
        {
            "verbs": ["create"],
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        },
        {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
    ]});
    let health = json!({"rules": [
        {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"]},
    ]});
    for (name, role, groups) in [
        ("cluster-admin", everything, &["system:masters"][..]),
        ("system:discovery", discovery, &["system:authenticated"]),
        ("system:basic-user", questions, &["system:authenticated"]),
        ("system:public-info-viewer", health, &["system:authenticated", "system:unauthenticated"]),
    ] {
        create(objects, CLUSTER_ROLE, "", name, role);
        let group = |name: &&str| json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name});
        let binding = json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": groups.iter().map(group).collect::<Vec<_>>(),
        });
        create(objects, CLUSTER_ROLE_BINDING, "", name, binding);
    }
}

fn create(objects: &Objects, resource: Resource, namespace: &str, name: &str, mut object: Value) {
    let key = Key::new(resource, namespace, name);
    if objects.get(&key).is_some() {
        return;
    }
    object["metadata"]["name"] = name.into();
    defaults::complete(&resource, &mut object);
    if let Err(status) = objects.create(&key, object) {
        // Whoever uses the cluster is told the same by their own first write.
        tracing::warn!(message = status.message, "a cluster could not be given what it begins with");
    }
}
