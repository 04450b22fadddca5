use std::collections::BTreeSet;

use k8s_openapi::serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::super::{Field, List, ListKind, Object, Schema, fill_defaults, is_custom, schema_of, validate};
use super::{full_deployment, told};
use crate::simulated::kubernetes::resource::{self, RESOURCES};

fn each_object(schema: &'static Schema, visit: &mut impl FnMut(&'static Object)) {
    match schema {
        Schema::Object(object) => {
            visit(object);
            object.fields.iter().for_each(|field| each_object(&field.schema, visit));
        }
        Schema::Map { values, .. } => each_object(values, visit),
        Schema::List(list) => each_object(list.items, visit),
        _ => {}
    }
}

#[test]
fn every_kind_has_a_schema_with_its_name() {
    for resource in RESOURCES {
        let object = schema_of(resource).object().expect("a kind is an object");
        assert!(object.name.ends_with(&format!(".{}.{}", resource.version, resource.kind)), "{}", object.name);
        for name in ["apiVersion", "kind", "metadata"] {
            assert!(object.field(name).is_some(), "{} has no {name}", resource.kind);
        }
        // What decides whose business the status is rests on this.
        assert_eq!(object.field("status").is_some(), resource.subresources.contains(&"status"), "{}", resource.kind);
        assert_eq!(
            is_custom(resource),
            resource.group.contains('.')
                && !resource.group.ends_with("authorization.k8s.io")
                && resource.group != "discovery.k8s.io"
        );
    }
}

#[test]
fn the_tables_are_sound() {
    let mut seen = 0;
    for resource in RESOURCES {
        each_object(schema_of(resource), &mut |object| {
            seen += 1;
            let names: BTreeSet<_> = object.fields.iter().map(|field| field.name).collect();
            assert_eq!(names.len(), object.fields.len(), "{} names a field twice", object.name);
            for required in object.required {
                assert!(names.contains(required), "{} requires {required}", object.name);
            }
            for Field { name, schema, default } in object.fields {
                if let Some(default) = default {
                    let parsed = serde_json::from_str::<Value>(default);
                    assert!(parsed.is_ok(), "the default of {name} in {} is no JSON: {default}", object.name);
                }
                let Schema::List(List { items, kind: ListKind::Map(keys), patch }) = schema else { continue };
                let item = items.object().expect("only objects have keys");
                assert!(keys.iter().all(|key| item.field(key).is_some()), "{name} in {} has other keys", object.name);
                let merge_key = patch.and_then(|patch| patch.merge_key);
                assert!(
                    merge_key.is_none_or(|key| keys[0] == key),
                    "{name} in {} is merged by another key",
                    object.name
                );
            }
        });
    }
    assert!(seen > 500, "only {seen} objects were looked at");
}

/// What the types of k8s-openapi keep of an object.
fn through<T: Serialize + DeserializeOwned>(object: &Value) -> Value {
    let typed: T = serde_json::from_value(object.clone()).expect("it is of its type");
    serde_json::to_value(typed).expect("it can be written")
}

#[test]
fn a_full_deployment_passes_and_is_one_by_another_description_too() {
    let object = full_deployment();
    assert_eq!(told(&resource::DEPLOYMENT, &object), Vec::<String>::new());
    let mut normal = object.clone();
    // The one thing that the other writes in another way.
    normal["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!("2");
    assert_eq!(through::<k8s_openapi::api::apps::v1::Deployment>(&normal), normal);
}

#[test]
fn one_of_each_other_kind_passes() {
    let template = json!({
        "metadata": {"labels": {"app": "a"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]},
    });
    let meta = |kind: &str, version: &str, rest: Value| {
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}});
        object.as_object_mut().expect("it is one").extend(rest.as_object().cloned().unwrap_or_default());
        object
    };
    let rbac = "rbac.authorization.k8s.io/v1";
    let gateway = "gateway.networking.k8s.io/v1";
    let rules = json!({"rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "watch"]}]});
    let binding = |kind: &str| {
        json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "a"},
            "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "b"}],
        })
    };
    let objects = [
        meta("Namespace", "v1", json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})),
        meta(
            "Node",
            "v1",
            json!({
                "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}], "podCIDR": "10.0.0.0/24"},
                "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
            }),
        ),
        meta(
            "Pod",
            "v1",
            json!({"spec": template["spec"], "status": {
                "phase": "Running", "podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}], "startTime": "2026-01-01T00:00:00Z",
                "containerStatuses": [{"name": "a", "ready": true, "state": {"running": {"startedAt": "2026-01-01T00:00:00+01:00"}}}],
            }}),
        ),
        meta(
            "Service",
            "v1",
            json!({"spec": {
                "type": "ClusterIP", "selector": {"app": "a"}, "clusterIP": "None",
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "appProtocol": "kubernetes.io/h2c"},
                          {"name": "dns", "port": 80, "targetPort": 53, "protocol": "UDP"}],
            }}),
        ),
        meta("ConfigMap", "v1", json!({"data": {"a.yaml": "b"}, "binaryData": {"b": "AA=="}, "immutable": true})),
        meta("Secret", "v1", json!({"type": "Opaque", "data": {"a": "AA=="}, "stringData": {"b": "c"}})),
        meta(
            "ServiceAccount",
            "v1",
            json!({"imagePullSecrets": [{"name": "a"}], "automountServiceAccountToken": true}),
        ),
        meta(
            "Event",
            "v1",
            json!({
                "involvedObject": {"kind": "Pod", "name": "a"}, "reason": "Started", "type": "Normal", "count": 1,
                "firstTimestamp": "2026-01-01T00:00:00Z", "eventTime": "2026-01-01T00:00:00.000001Z",
            }),
        ),
        meta("ResourceQuota", "v1", json!({"spec": {"hard": {"pods": "10", "requests.cpu": "4"}}})),
        meta(
            "ReplicaSet",
            "apps/v1",
            json!({"spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "a"}},
                "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
            }}),
        ),
        meta(
            "Job",
            "batch/v1",
            json!({"spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": 60, "template": template}}),
        ),
        meta(
            "EndpointSlice",
            "discovery.k8s.io/v1",
            json!({
                "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
                "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "a"}}],
            }),
        ),
        meta(
            "PodDisruptionBudget",
            "policy/v1",
            json!({"spec": {
                "minAvailable": "50%", "selector": {"matchLabels": {"app": "a"}}, "unhealthyPodEvictionPolicy": "AlwaysAllow",
            }}),
        ),
        meta(
            "HorizontalPodAutoscaler",
            "autoscaling/v2",
            json!({"spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
                "minReplicas": 1, "maxReplicas": 3,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
            }}),
        ),
        meta("Role", rbac, rules.clone()),
        meta("RoleBinding", rbac, binding("Role")),
        meta("ClusterRole", rbac, rules),
        meta("ClusterRoleBinding", rbac, binding("ClusterRole")),
        meta("GatewayClass", gateway, json!({"spec": {"controllerName": "example.com/gateway"}})),
        meta(
            "Gateway",
            gateway,
            json!({"spec": {
                "gatewayClassName": "a",
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}],
            }}),
        ),
        meta(
            "HTTPRoute",
            gateway,
            json!({
                "spec": {
                    "parentRefs": [{"name": "gateway", "namespace": "infra", "sectionName": "http"}],
                    "hostnames": ["a.example"],
                    "rules": [{
                        "matches": [{"path": {"type": "PathPrefix", "value": "/"}, "headers": [{"name": "x-chalk", "value": "1"}]}],
                        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}],
                        "backendRefs": [{"name": "blue", "port": 80, "weight": 90}, {"name": "green", "port": 80, "weight": 1_000_000}],
                        "timeouts": {"request": "10s"},
                    }],
                },
                "status": {"parents": [{
                    "parentRef": {"name": "gateway"}, "controllerName": "example.com/gateway",
                    "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
                                    "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}],
                }]},
            }),
        ),
        meta(
            "ScaledObject",
            "keda.sh/v1alpha1",
            json!({"spec": {
                "scaleTargetRef": {"name": "engine"}, "minReplicaCount": 1, "maxReplicaCount": 10, "cooldownPeriod": 300,
                "triggers": [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "80"}}],
            }}),
        ),
        meta(
            "Workflow",
            "argoproj.io/v1alpha1",
            json!({
                "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "a", "anything": [1]}}]},
                "status": {"phase": "Running", "nodes": {"a": {"phase": "Pending"}}},
            }),
        ),
    ];
    for object in &objects {
        let text = |name: &str| object[name].as_str().expect("it is written above");
        let resource = resource::Resource::of_kind(text("apiVersion"), text("kind")).expect("it is served");
        assert_eq!(told(resource, object), Vec::<String>::new(), "{}", resource.kind);
    }
    assert_eq!(objects.len() + 1, RESOURCES.len(), "with the deployment above there is one of each kind");
}

#[test]
fn custom_resources_get_their_defaults() {
    let mut route =
        json!({"spec": {"rules": [{"backendRefs": [{"name": "blue", "port": 80}]}], "parentRefs": [{"name": "g"}]}});
    fill_defaults(schema_of(&resource::HTTP_ROUTE), &mut route);
    assert_eq!(
        route["spec"],
        json!({
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"group": "", "kind": "Service", "name": "blue", "port": 80, "weight": 1}],
            }],
        })
    );
    assert!(validate(&resource::HTTP_ROUTE, &json!({"metadata": {"name": "a"}, "spec": route["spec"]})).is_empty());
}
