//! What may not change once it is there.

use serde_json::Value;

use super::super::Problem;
use super::Part;
use crate::simulated::kubernetes::resource::Resource;

const IMMUTABLE: &str = "field is immutable";

pub(in super::super) fn changed(resource: &Resource, before: &Value, after: &Value, problems: &mut Vec<Problem>) {
    let fixed: &[&[&str]] = match (resource.group, resource.kind) {
        ("apps", "Deployment" | "ReplicaSet") => &[&["spec", "selector"]],
        ("batch", "Job") => &[&["spec", "template"], &["spec", "selector"], &["spec", "completions"]],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &[&["roleRef"]],
        ("discovery.k8s.io", "EndpointSlice") => &[&["addressType"]],
        ("", "Secret") => &[&["type"]],
        _ => &[],
    };
    for path in fixed {
        immutable(&Part::root(before).path(path), &Part::root(after).path(path), problems);
    }
    match (resource.group, resource.kind) {
        ("", "ConfigMap" | "Secret") if before.get("immutable") == Some(&Value::Bool(true)) => {
            for name in ["data", "binaryData", "immutable"] {
                if before.get(name) != after.get(name) {
                    problems.push(Problem::forbidden(name, "field is immutable when `immutable` is set"));
                }
            }
        }
        ("", "Service") => {
            let path = ["spec", "clusterIP"];
            let (before, after) = (Part::root(before).path(&path), Part::root(after).path(&path));
            // A service may lose its address by becoming an external name.
            if !before.is_empty() && !after.is_empty() {
                let after = Part { at: "spec.clusterIPs[0]".to_owned(), ..after };
                immutable(&before, &after, problems);
            }
        }
        ("", "Pod") => pod(before, after, problems),
        _ => {}
    }
    for name in ["name", "namespace", "uid"] {
        let (before, after) =
            (Part::root(before).path(&["metadata", name]), Part::root(after).path(&["metadata", name]));
        if before.is_there() && after.is_there() {
            immutable(&before, &after, problems);
        }
    }
}

fn immutable(before: &Part<'_>, after: &Part<'_>, problems: &mut Vec<Problem>) {
    if before.value != after.value {
        problems.push(after.invalid(IMMUTABLE));
    }
}

/// Of a pod's specification only a few fields may change.
fn pod(before: &Value, after: &Value, problems: &mut Vec<Problem>) {
    let fixed = |pod: &Value| {
        let mut spec = pod.get("spec").cloned().unwrap_or_default();
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(fields) = container.as_object_mut() {
                    fields.remove("image");
                }
            }
        }
        if let Some(fields) = spec.as_object_mut() {
            for name in [
                "activeDeadlineSeconds",
                "tolerations",
                "terminationGracePeriodSeconds",
                "schedulingGates",
                "nodeName",
                "ephemeralContainers",
            ] {
                fields.remove(name);
            }
        }
        spec
    };
    if fixed(before) != fixed(after) {
        problems.push(Problem::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, \
             `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing tolerations), \
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
}
