use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Problem, ProblemKind, duplicate_fields, invalid, unreadable, validate, validate_change};
use super::{full_deployment, told, with};
use crate::simulated::kubernetes::resource::{self, RESOURCES, Resource};

const CONTAINER: &str = "/spec/template/spec/containers/0";
const AT: &str = "spec.template.spec.containers[0]";

fn deployment_with(pointer: &str, value: Value) -> Vec<String> {
    told(&resource::DEPLOYMENT, &with(full_deployment(), pointer, value))
}

#[test]
fn unknown_fields_are_named_with_their_path_and_told_apart() {
    let object = with(with(full_deployment(), "/spec/foo", json!(1)), &format!("{CONTAINER}/imagee"), json!("x"));
    let mut problems = validate(&resource::DEPLOYMENT, &object);
    problems.sort_by_key(|problem| problem.field.clone());
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages, ["unknown field \"spec.foo\"", "unknown field \"spec.template.spec.containers[0].imagee\""]);
    assert!(problems.iter().all(Problem::is_strict));
    let status = unreadable(&resource::DEPLOYMENT, &problems[..1]);
    assert_eq!(
        (status.code.as_u16(), status.message.as_str()),
        (
            400,
            "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \
             \"spec.foo\""
        )
    );
}

#[test]
fn fields_that_are_there_twice_are_named() {
    let text = br#"{"spec": {"replicas": 1, "replicas": 2, "list": [{"a": 1}, {"a": 1, "b": 2, "a": 3}]}, "spec": 0}"#;
    let messages: Vec<_> = duplicate_fields(text).into_iter().map(|problem| problem.message).collect();
    assert_eq!(
        messages,
        ["duplicate field \"spec.replicas\"", "duplicate field \"spec.list[1].a\"", "duplicate field \"spec\""]
    );
    assert_eq!(duplicate_fields(b"{\"a\": 1, \"b\": [1.5, null, true, -1, \"x\"]}"), []);
    assert_eq!(duplicate_fields(b"{\"a\": 1, \"a\"").len(), 1, "as far as it can be read");
    let many = format!("{{{}}}", vec!["\"a\":1"; 1000].join(","));
    assert_eq!(duplicate_fields(many.as_bytes()).len(), 32);
}

#[test]
fn wrong_types_are_told_as_go_does_and_hide_the_rest() {
    for (pointer, value, message) in [
        (
            "/spec/replicas",
            json!("three"),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "/spec/replicas",
            json!(1.5),
            "json: cannot unmarshal number into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "/spec/replicas",
            json!(1_i64 << 40),
            "json: cannot unmarshal number 1099511627776 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "/metadata/labels",
            json!([]),
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]interface {}",
        ),
        (
            "/spec/template/spec/containers/0/name",
            json!(7),
            "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.name of type string",
        ),
        (
            "/metadata/creationTimestamp",
            json!("yesterday"),
            "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\"",
        ),
    ] {
        assert_eq!(deployment_with(pointer, value.clone()), [message], "{pointer} {value}");
    }
    let amount = deployment_with(&format!("{CONTAINER}/resources/limits/cpu"), json!("lots"));
    assert!(amount[0].starts_with("quantities must match the regular expression"), "{amount:?}");
    let object = with(with(full_deployment(), "/metadata/name", json!("Not A Name")), "/spec/paused", json!("yes"));
    let problems = validate(&resource::DEPLOYMENT, &object);
    assert_eq!(problems.len(), 1);
    assert!(
        unreadable(&resource::DEPLOYMENT, &problems).message.starts_with(
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string"
        )
    );
}

#[test]
fn nulls_are_nothing() {
    assert_eq!(deployment_with("/metadata/creationTimestamp", Value::Null), Vec::<String>::new());
    let problems = deployment_with("/spec/selector", Value::Null);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(problems[0], "spec.selector: Required value");
    // No selector selects nothing.
    assert!(problems[1].ends_with("`selector` does not match template `labels`"), "{problems:?}");
}

#[test]
fn a_deployment_is_held_to_its_rules() {
    for (pointer, value, message) in [
        ("/metadata/name", json!("Engine"), "metadata.name: Invalid value: \"Engine\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'".to_owned()),
        ("/metadata/name", json!(""), "metadata.name: Required value: name or generateName is required".to_owned()),
        ("/metadata/labels/a b", json!("x"), "metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character".to_owned()),
        ("/metadata/labels/a", json!("-"), "metadata.labels: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', at most 63".to_owned()),
        ("/spec/replicas", json!(-1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0".to_owned()),
        ("/spec/selector", json!({}), "spec.selector: Invalid value: {}: empty selector is invalid for deployment".to_owned()),
        ("/spec/selector/matchLabels/app", json!("other"), "spec.template.metadata.labels: Invalid value: {\"app\":\"engine\",\"tier\":\"query\"}: `selector` does not match template `labels`".to_owned()),
        ("/spec/selector/matchExpressions/0/values", json!(["stream"]), "spec.template.metadata.labels: Invalid value: {\"app\":\"engine\",\"tier\":\"query\"}: `selector` does not match template `labels`".to_owned()),
        ("/spec/strategy/type", json!("Blue"), "spec.strategy.type: Unsupported value: \"Blue\": supported values: \"Recreate\", \"RollingUpdate\"".to_owned()),
        ("/spec/strategy/rollingUpdate/maxSurge", json!(0), "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0".to_owned()),
        ("/spec/progressDeadlineSeconds", json!(5), "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds".to_owned()),
        ("/spec/template/spec/restartPolicy", json!("Never"), "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"".to_owned()),
        ("/spec/template/spec/containers", json!([]), "spec.template.spec.containers: Required value".to_owned()),
        ("/spec/template/spec/initContainers/0/name", json!("engine"), "spec.template.spec.initContainers[0].name: Duplicate value: \"engine\"".to_owned()),
        ("/spec/template/spec/containers/0/image", json!(""), format!("{AT}.image: Required value")),
        ("/spec/template/spec/containers/0/imagePullPolicy", json!("Sometimes"), format!("{AT}.imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"")),
        ("/spec/template/spec/containers/0/ports/0/containerPort", json!(0), format!("{AT}.ports[0].containerPort: Invalid value: 0: must be between 1 and 65535, inclusive")),
        ("/spec/template/spec/containers/0/ports/0/containerPort", json!(65536), format!("{AT}.ports[0].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive")),
        ("/spec/template/spec/containers/0/ports/0/containerPort", Value::Null, format!("{AT}.ports[0].containerPort: Required value")),
        ("/spec/template/spec/containers/0/volumeMounts/0/name", json!("gone"), format!("{AT}.volumeMounts[0].name: Not found: \"gone\"")),
        ("/spec/template/spec/containers/0/volumeMounts/0/mountPath", json!("/data"), format!("{AT}.volumeMounts[4].mountPath: Duplicate value: \"/data\"")),
        ("/spec/template/spec/containers/0/resources/requests/memory", json!("3Gi"), format!("{AT}.resources.requests: Invalid value: \"3Gi\": must be less than or equal to memory limit of 2Gi")),
        ("/spec/template/spec/containers/0/resources/limits/ephemeral-storage", json!("-1"), format!("{AT}.resources.limits.ephemeral-storage: Invalid value: \"-1\": must be greater than or equal to 0")),
        ("/spec/template/spec/containers/0/livenessProbe/exec", json!({"command": ["a"]}), format!("{AT}.livenessProbe.grpc: Forbidden: may not specify more than 1 handler type")),
        ("/spec/template/spec/containers/0/readinessProbe/httpGet", Value::Null, format!("{AT}.readinessProbe: Required value: must specify a handler type")),
        ("/spec/template/spec/containers/0/env/0/name", json!(""), format!("{AT}.env[0].name: Required value")),
        ("/spec/template/spec/containers/0/env/1/value", json!("both"), format!("{AT}.env[1].valueFrom: Invalid value: {{\"secretKeyRef\":{{\"key\":\"k\",\"name\":\"s\",\"optional\":true}}}}: may not be specified when `value` is not empty")),
        ("/spec/template/spec/volumes/0/emptyDir", Value::Null, "spec.template.spec.volumes[0]: Required value: must specify a volume type".to_owned()),
        ("/spec/template/spec/volumes/0/hostPath", json!({"path": "/"}), "spec.template.spec.volumes[0]: Forbidden: may not specify more than 1 volume type".to_owned()),
        ("/spec/template/spec/topologySpreadConstraints/0/maxSkew", json!(0), "spec.template.spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero".to_owned()),
    ] {
        assert_eq!(deployment_with(pointer, value.clone()), [message], "{pointer} {value}");
    }
}

/// An object of the name `a` with something more.
fn named(rest: Value) -> Value {
    with(rest, "/metadata/name", json!("a"))
}

fn each_is_told(cases: impl IntoIterator<Item = (&'static Resource, Value, &'static str)>) {
    for (resource, object, message) in cases {
        assert_eq!(told(resource, &object), [message], "{} {object}", resource.kind);
    }
}

#[test]
fn other_kinds_are_held_to_theirs() {
    let job = |policy: &str| {
        named(
            json!({"spec": {"template": {"spec": {"restartPolicy": policy, "containers": [{"name": "a", "image": "a"}]}}}}),
        )
    };
    each_is_told([
        (
            &resource::SERVICE,
            with(json!({"spec": {"ports": [{"port": 80}]}}), "/metadata/name", json!("1a")),
            "metadata.name: Invalid value: \"1a\": must be a DNS label that begins with a letter",
        ),
        (&resource::SERVICE, named(json!({"spec": {}})), "spec.ports: Required value"),
        (
            &resource::SERVICE,
            named(json!({"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}})),
            "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
        ),
        (
            &resource::SERVICE,
            named(json!({"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81}]}})),
            "spec.ports[1].name: Required value",
        ),
        (
            &resource::SERVICE,
            named(json!({"spec": {"ports": [{"port": 80, "targetPort": 70000}]}})),
            "spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            &resource::NAMESPACE,
            with(json!({}), "/metadata/name", json!("a.b")),
            "metadata.name: Invalid value: \"a.b\": must be a DNS label: lower case letters, digits and '-'",
        ),
        (
            &resource::NAMESPACE,
            named(json!({"metadata": {"namespace": "x"}})),
            "metadata.namespace: Forbidden: not allowed on this type",
        ),
        (
            &resource::CONFIG_MAP,
            named(json!({"data": {"a/b": "c"}})),
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        ),
        (&resource::SECRET, named(json!({"data": {"a": "not base64"}})), "illegal base64 data in data.a"),
        (
            &resource::JOB,
            job("Always"),
            "spec.template.spec.restartPolicy: Unsupported value: \"Always\": supported values: \"OnFailure\", \"Never\"",
        ),
        (
            &resource::JOB,
            job(""),
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
        ),
        (&resource::POD, named(json!({})), "spec: Required value"),
        (
            &resource::POD,
            with(json!({"spec": {"containers": [{"name": "a", "image": "a"}]}}), "/metadata/generateName", json!("A-")),
            "metadata.generateName: Invalid value: \"A-\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
        ),
    ]);
}

#[test]
fn kinds_of_traffic_and_scale_are_held_to_theirs() {
    let route = |backend: Value| named(json!({"spec": {"rules": [{"backendRefs": [backend]}]}}));
    each_is_told([
        (
            &resource::HTTP_ROUTE,
            route(json!({"name": "b", "port": 80, "weight": 1_000_001})),
            "spec.rules[0].backendRefs[0].weight: Invalid value: 1000001: spec.rules[0].backendRefs[0].weight in body should be less than or equal to 1000000",
        ),
        (
            &resource::HTTP_ROUTE,
            route(json!({"name": "b", "port": 80, "weight": -1})),
            "spec.rules[0].backendRefs[0].weight: Invalid value: -1: spec.rules[0].backendRefs[0].weight in body should be greater than or equal to 0",
        ),
        (
            &resource::HTTP_ROUTE,
            route(json!({"name": "b"})),
            "spec.rules[0].backendRefs[0]: Invalid value: {\"name\":\"b\"}: Must have port for Service reference",
        ),
        (&resource::HTTP_ROUTE, route(json!({"port": 80})), "spec.rules[0].backendRefs[0].name: Required value"),
        (
            &resource::HTTP_ROUTE,
            route(json!({"name": "b", "port": "http"})),
            "spec.rules[0].backendRefs[0].port: Invalid value: \"string\": spec.rules[0].backendRefs[0].port in body must be of type integer: \"string\"",
        ),
        (
            &resource::HTTP_ROUTE,
            named(json!({"spec": {"rules": vec![json!({}); 17]}})),
            "spec.rules: Invalid value: 17: must have at most 16 items",
        ),
        (
            &resource::GATEWAYS,
            named(
                json!({"spec": {"gatewayClassName": "c", "listeners": [{"name": "a", "port": 1, "protocol": "HTTP"}, {"name": "a", "port": 2, "protocol": "HTTP"}]}}),
            ),
            "spec.listeners[1]: Duplicate value: {\"name\":\"a\"}",
        ),
        (
            &resource::HORIZONTAL_POD_AUTOSCALER,
            named(
                json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "a"}, "minReplicas": 3, "maxReplicas": 2}}),
            ),
            "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
        ),
        (
            &resource::POD_DISRUPTION_BUDGET,
            named(json!({"spec": {"maxUnavailable": "half"}})),
            "spec.maxUnavailable: Invalid value: \"half\": a valid percent string must be a numeric string followed by an ending '%'",
        ),
        (
            &resource::ROLE,
            named(json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": []}]})),
            "rules[0].verbs: Required value: verbs must contain at least one value",
        ),
        (
            &resource::SCALED_OBJECT,
            named(json!({"spec": {"scaleTargetRef": {"name": "a"}}})),
            "spec.triggers: Required value",
        ),
    ]);
}

#[test]
fn a_refusal_lists_the_fields_as_the_api_server_does() {
    let object = with(with(full_deployment(), "/spec/replicas", json!(-1)), "/metadata/name", json!("E"));
    let status = invalid(&resource::DEPLOYMENT, "E", &validate(&resource::DEPLOYMENT, &object));
    assert_eq!(status.code, http::StatusCode::UNPROCESSABLE_ENTITY);
    assert!(status.message.starts_with("Deployment.apps \"E\" is invalid: [metadata.name: Invalid value: \"E\": "));
    assert!(status.message.ends_with(", spec.replicas: Invalid value: -1: must be greater than or equal to 0]"));
    let reasons: Vec<_> = status.causes.iter().map(|(reason, _, field)| (reason.as_str(), field.as_str())).collect();
    assert_eq!(reasons, [("FieldValueInvalid", "metadata.name"), ("FieldValueInvalid", "spec.replicas")]);
}

#[test]
fn what_is_fixed_cannot_be_changed() {
    let changed = |resource: &Resource, before: Value, pointer: &str, value: Value| {
        let after = with(before.clone(), pointer, value);
        validate_change(resource, &before, &after)
            .into_iter()
            .map(|problem| format!("{}: {}", problem.field, problem.message))
            .collect::<Vec<_>>()
    };
    let deployment = full_deployment();
    assert_eq!(
        changed(&resource::DEPLOYMENT, deployment.clone(), "/spec/selector", json!({"matchLabels": {"a": "b"}})),
        ["spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: field is immutable"]
    );
    assert!(changed(&resource::DEPLOYMENT, deployment, "/spec/replicas", json!(7)).is_empty());
    let pod = json!({"spec": {"containers": [{"name": "a", "image": "1"}]}});
    assert!(changed(&resource::POD, pod.clone(), "/spec/containers/0/image", json!("2")).is_empty());
    assert_eq!(changed(&resource::POD, pod, "/spec/containers/0/args", json!(["x"])).len(), 1);
    let frozen = json!({"immutable": true, "data": {"a": "b"}});
    assert_eq!(
        changed(&resource::CONFIG_MAP, frozen, "/data/a", json!("c")),
        ["data: Forbidden: field is immutable when `immutable` is set"]
    );
    let binding = json!({"roleRef": {"name": "a"}});
    assert_eq!(changed(&resource::ROLE_BINDING, binding, "/roleRef/name", json!("b")).len(), 1);
    let service = json!({"spec": {"clusterIP": "10.0.0.1"}});
    assert_eq!(changed(&resource::SERVICE, service.clone(), "/spec/clusterIP", json!("10.0.0.2")).len(), 1);
    assert!(changed(&resource::SERVICE, service, "/spec/clusterIP", json!("")).is_empty());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "metadata",
        "name",
        "labels",
        "spec",
        "selector",
        "template",
        "containers",
        "volumes",
        "ports",
        "rules",
        "resources",
        "limits",
        "requests",
        "matchLabels",
        "matchExpressions",
        "status",
        "data",
        "strategy",
        "rollingUpdate",
    ]);
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_object_makes_it_panic_or_passes_without_a_name(object in any_json(), other in any_json()) {
        let named = object.pointer("/metadata/name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        for resource in RESOURCES {
            let problems = validate(resource, &object);
            let _ = validate_change(resource, &object, &other);
            let refused = problems.iter().any(|problem| problem.kind != ProblemKind::UnknownField);
            prop_assert!(named || refused, "a {} without a name passed", resource.kind);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = duplicate_fields(&text);
    }
}
