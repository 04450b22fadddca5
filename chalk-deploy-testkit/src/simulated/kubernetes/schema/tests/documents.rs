use serde_json::Value;

use super::super::{openapi_v2, openapi_v3, openapi_v3_index};
use crate::simulated::kubernetes::resource::RESOURCES;

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let mut documents = vec![openapi_v2()];
    let groups: std::collections::BTreeSet<_> =
        RESOURCES.iter().map(|resource| (resource.group, resource.version)).collect();
    documents.extend(groups.iter().map(|(group, version)| openapi_v3(group, version).expect("it is served")));
    for document in documents {
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("references stay inside");
            assert!(document.pointer(pointer).is_some_and(Value::is_object), "{reference}");
        }
    }
    assert_eq!(openapi_v3("apps", "v2"), None);
}

#[test]
fn a_patch_of_any_kind_takes_field_validation() {
    for resource in RESOURCES {
        for document in [openapi_v2(), openapi_v3(resource.group, resource.version).expect("it is served")] {
            let paths = document["paths"].as_object().expect("there are paths");
            let patches = paths.values().filter_map(|path| path.get("patch")).filter(|patch| {
                let kind = &patch["x-kubernetes-group-version-kind"];
                kind["group"] == resource.group && kind["version"] == resource.version && kind["kind"] == resource.kind
            });
            let mut patches = patches.peekable();
            assert!(patches.peek().is_some(), "{} can be patched", resource.kind);
            for patch in patches {
                let parameters = patch["parameters"].as_array().expect("it has parameters");
                let named = |parameter: &&Value| parameter["name"] == "fieldValidation" && parameter["in"] == "query";
                assert_eq!(parameters.iter().filter(named).count(), 1);
            }
        }
    }
}

#[test]
fn lists_say_how_they_merge() {
    let document = openapi_v2();
    let property = |object: &str, name: &str| document["definitions"][object]["properties"][name].clone();
    let volumes = property("io.k8s.api.core.v1.PodSpec", "volumes");
    assert_eq!(volumes["x-kubernetes-patch-strategy"], "merge,retainKeys");
    assert_eq!(volumes["x-kubernetes-patch-merge-key"], "name");
    let ports = property("io.k8s.api.core.v1.Container", "ports");
    assert_eq!(ports["x-kubernetes-list-map-keys"], serde_json::json!(["containerPort", "protocol"]));
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    assert_eq!(property("io.k8s.api.core.v1.Container", "args")["x-kubernetes-list-type"], "atomic");
    assert_eq!(
        property("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "finalizers")["x-kubernetes-list-type"],
        "set"
    );
    assert_eq!(
        document["definitions"]["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"]["x-kubernetes-map-type"],
        "atomic"
    );
    let strategy = property("io.k8s.api.apps.v1.DeploymentSpec", "strategy");
    assert_eq!(strategy["x-kubernetes-patch-strategy"], "retainKeys");
    let workflow = property("io.argoproj.v1alpha1.Workflow", "spec");
    assert_eq!(workflow["x-kubernetes-preserve-unknown-fields"], true);
}

#[test]
fn the_index_names_each_group_once() {
    let index = openapi_v3_index();
    let paths = index["paths"].as_object().expect("there are paths");
    assert_eq!(paths["api/v1"]["serverRelativeURL"], "/openapi/v3/api/v1");
    assert_eq!(paths["apis/apps/v1"]["serverRelativeURL"], "/openapi/v3/apis/apps/v1");
    assert_eq!(paths.len(), 10);
}
