//! Random documents of six kinds, most of them valid, made of few names and values so that they meet each other.

use serde_json::{Map, Value, json};

use crate::random::Random;

/// A kind, and where its objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) api_version: &'static str,
    pub(super) root: &'static str,
    pub(super) plural: &'static str,
}

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "Deployment", api_version: "apps/v1", root: "/apis/apps/v1", plural: "deployments" },
    Kind { name: "ConfigMap", api_version: "v1", root: "/api/v1", plural: "configmaps" },
    Kind { name: "Service", api_version: "v1", root: "/api/v1", plural: "services" },
    Kind {
        name: "PodDisruptionBudget",
        api_version: "policy/v1",
        root: "/apis/policy/v1",
        plural: "poddisruptionbudgets",
    },
    Kind {
        name: "HTTPRoute",
        api_version: "gateway.networking.k8s.io/v1",
        root: "/apis/gateway.networking.k8s.io/v1",
        plural: "httproutes",
    },
    Kind {
        name: "ScaledObject",
        api_version: "keda.sh/v1alpha1",
        root: "/apis/keda.sh/v1alpha1",
        plural: "scaledobjects",
    },
];

/// A whole document. `broken` puts a value in it that the server must refuse, prune or warn of.
pub(super) fn whole(random: &mut Random, kind: Kind, name: &str, broken: bool) -> Value {
    let mut document = json!({"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata(random, name)});
    let body = match kind.name {
        "ConfigMap" => config_map(random, broken),
        "Deployment" => json!({"spec": deployment(random, broken)}),
        "Service" => json!({"spec": service(random, broken)}),
        "PodDisruptionBudget" => json!({"spec": budget(random, broken)}),
        "HTTPRoute" => json!({"spec": route(random, broken)}),
        _ => json!({"spec": scaler(random, broken)}),
    };
    merge(&mut document, body);
    document
}

/// A few fields, as a patch would change them.
pub(super) fn part(random: &mut Random, kind: Kind, broken: bool) -> Value {
    let whole = whole(random, kind, "a", broken);
    let mut part = json!({});
    if random.percent(40) {
        part["metadata"] = json!({"labels": {random.of(&["x", "y"]): pick(random, &[json!("1"), Value::Null])}});
    }
    let holder = if kind.name == "ConfigMap" { &whole } else { &whole["spec"] };
    let fields: Vec<&String> = holder
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .filter(|name| !["apiVersion", "kind", "metadata"].contains(&name.as_str()))
        .collect();
    if fields.is_empty() {
        return part;
    }
    let field = fields[random.below(fields.len())];
    let value = if random.percent(12) { Value::Null } else { holder[field].clone() };
    if kind.name == "ConfigMap" {
        part[field] = value;
    } else {
        part["spec"] = json!({field: value});
    }
    part
}

fn merge(document: &mut Value, more: Value) {
    if let (Value::Object(document), Value::Object(more)) = (document, more) {
        document.extend(more);
    }
}

fn pick(random: &mut Random, values: &[Value]) -> Value {
    values[random.below(values.len())].clone()
}

fn some(random: &mut Random, names: &[&str], value: impl Fn(&mut Random, &str) -> Value) -> Map<String, Value> {
    let mut chosen = Map::new();
    for name in names {
        if random.percent(50) {
            chosen.insert((*name).to_owned(), value(random, name));
        }
    }
    chosen
}

fn metadata(random: &mut Random, name: &str) -> Value {
    let mut metadata = json!({"name": name});
    if random.percent(50) {
        metadata["labels"] = some(random, &["x", "y"], |random, _| pick(random, &[json!("1"), json!("2")])).into();
    }
    if random.percent(25) {
        metadata["annotations"] = some(random, &["note.test/a", "b"], |_, _| json!("kept")).into();
    }
    metadata
}

fn config_map(random: &mut Random, broken: bool) -> Value {
    let value = |random: &mut Random, _: &str| pick(random, &[json!("1"), json!("2"), json!("")]);
    let mut map = json!({"data": some(random, &["a", "b", "c"], value)});
    if random.percent(8) {
        map["immutable"] = random.percent(70).into();
    }
    if broken {
        match random.below(4) {
            0 => map["data"]["d"] = json!(1),
            1 => map["data"]["not a key"] = json!("1"),
            2 => map["binaryData"] = json!({"a": "###"}),
            _ => map["unknown"] = json!("1"),
        }
    } else if random.percent(15) {
        map["binaryData"] = json!({"z": "AAEC"});
    }
    map
}

fn container(random: &mut Random, name: &str) -> Value {
    let image = *[
        &"image:1",
        &"image",
        &"registry.test/image@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ][random.below(3)];
    let mut container = json!({"name": name, "image": image});
    if random.percent(60) {
        let mut env: Vec<Value> = Vec::new();
        for variable in ["A", "B", "C"] {
            if random.percent(50) {
                env.push(json!({"name": variable, "value": pick(random, &[json!("1"), json!("2")])}));
            }
        }
        if random.percent(25) {
            env.reverse();
        }
        if random.percent(15) {
            env.push(json!({"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}));
        }
        container["env"] = env.into();
    }
    if random.percent(50) {
        let mut ports = Vec::new();
        if random.percent(70) {
            ports.push(json!({"name": "http", "containerPort": 8080}));
        }
        if random.percent(50) {
            ports.push(json!({"containerPort": 9090, "protocol": random.of(&["TCP", "UDP"])}));
        }
        container["ports"] = ports.into();
    }
    if random.percent(30) {
        container["resources"] = json!({
            "requests": {"cpu": pick(random, &[json!("500m"), json!("0.5"), json!(1)]), "memory": "128Mi"},
            "limits": some(random, &["memory"], |_, _| json!("1Gi")),
        });
    }
    if random.percent(30) {
        container["readinessProbe"] =
            json!({"httpGet": {"path": "/ready", "port": pick(random, &[json!(8080), json!("http")])}});
    }
    container
}

fn deployment(random: &mut Random, broken: bool) -> Value {
    let mut containers = vec![container(random, "engine")];
    if random.percent(35) {
        containers.push(container(random, "sidecar"));
    }
    if random.percent(20) {
        containers.reverse();
    }
    let mut spec = json!({
        "selector": {"matchLabels": {"app": "engine"}},
        "template": {"metadata": {"labels": {"app": "engine"}}, "spec": {"containers": containers}},
    });
    if random.percent(60) {
        spec["replicas"] = random.below(4).into();
    }
    if random.percent(25) {
        spec["strategy"] = pick(
            random,
            &[
                json!({"type": "Recreate"}),
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
                json!({"rollingUpdate": {"maxSurge": "50%"}}),
            ],
        );
    }
    if random.percent(25) {
        spec["template"]["spec"]["terminationGracePeriodSeconds"] = pick(random, &[json!(60), json!(30)]);
    }
    if random.percent(20) {
        spec["progressDeadlineSeconds"] = json!(300);
    }
    if random.percent(20) {
        spec["template"]["spec"]["nodeSelector"] = json!({"pool": random.of(&["small", "large"])});
    }
    if broken {
        match random.below(9) {
            0 => spec["replicas"] = json!(-1),
            1 => spec["template"]["spec"]["containers"] = json!([]),
            2 => spec["template"]["metadata"]["labels"] = json!({"app": "other"}),
            3 => spec["selector"] = json!({"matchLabels": {"app": "engine", "more": "1"}}),
            4 => spec["unknown"] = json!({"a": 1}),
            5 => spec["replicas"] = json!("many"),
            6 => spec["template"]["spec"]["containers"][0]["name"] = json!("Not_A_Name"),
            7 => spec["template"]["spec"]["restartPolicy"] = json!("Never"),
            _ => {
                spec["template"]["spec"]["containers"][0]["ports"] =
                    json!([{"name": "same", "containerPort": 1}, {"name": "same", "containerPort": 2}]);
            }
        }
    }
    spec
}

fn service(random: &mut Random, broken: bool) -> Value {
    let mut ports =
        vec![json!({"name": "http", "port": 80, "targetPort": pick(random, &[json!(8080), json!("http")])})];
    if random.percent(40) {
        ports.push(json!({"name": "metrics", "port": 9090}));
    }
    if random.percent(20) {
        ports.reverse();
    }
    let mut spec = json!({"ports": ports});
    if random.percent(70) {
        spec["selector"] = json!({"app": random.of(&["engine", "other"])});
    }
    if random.percent(15) {
        spec["clusterIP"] = json!("None");
    }
    if random.percent(15) {
        spec["sessionAffinity"] = random.of(&["None", "ClientIP"]).into();
    }
    if random.percent(10) {
        spec["publishNotReadyAddresses"] = true.into();
    }
    if broken {
        match random.below(5) {
            0 => spec["ports"] = json!([{"port": 80}, {"port": 81}]),
            1 => spec["ports"] = json!([{"port": 70000}]),
            2 => spec["ports"] = json!([]),
            3 => spec["type"] = json!("Elsewhere"),
            _ => spec["ports"] = json!([{"port": "eighty"}]),
        }
    }
    spec
}

fn budget(random: &mut Random, broken: bool) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"app": random.of(&["engine", "other"])}}});
    let amount = pick(random, &[json!(1), json!("50%"), json!(0)]);
    spec[if random.percent(50) { "minAvailable" } else { "maxUnavailable" }] = amount;
    if random.percent(20) {
        spec["selector"]["matchLabels"]["more"] = json!("1");
    }
    if random.percent(15) {
        spec["unhealthyPodEvictionPolicy"] = random.of(&["AlwaysAllow", "IfHealthyBudget"]).into();
    }
    if broken {
        match random.below(4) {
            0 => {
                spec["minAvailable"] = json!(1);
                spec["maxUnavailable"] = json!(1);
            }
            1 => spec["maxUnavailable"] = json!("many"),
            2 => spec["minAvailable"] = json!(-1),
            _ => spec["selector"] = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]}),
        }
    }
    spec
}

fn route(random: &mut Random, broken: bool) -> Value {
    let mut backends = Vec::new();
    for name in ["a", "b"] {
        if random.percent(70) {
            let mut backend = json!({"name": name, "port": 80});
            if random.percent(70) {
                backend["weight"] = pick(random, &[json!(0), json!(10), json!(90)]);
            }
            backends.push(backend);
        }
    }
    let mut rule = json!({"backendRefs": backends});
    if random.percent(50) {
        rule["matches"] = pick(
            random,
            &[
                json!([{"path": {"type": "PathPrefix", "value": "/v1"}}]),
                json!([{"headers": [{"name": "x-chalk-version", "value": "1"}]}]),
                json!([{"method": "GET"}]),
            ],
        );
    }
    if random.percent(20) {
        rule["filters"] = json!([{
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {"set": [{"name": "x-a", "value": random.of(&["1", "2"])}]},
        }]);
    }
    let mut spec = json!({"parentRefs": [{"name": random.of(&["gateway", "other"])}], "rules": [rule]});
    if random.percent(30) {
        spec["hostnames"] = json!([random.of(&["a.test", "b.test"])]);
    }
    if broken {
        match random.below(6) {
            0 => spec["rules"][0]["backendRefs"] = json!([{"name": "a", "port": 80, "weight": 2_000_000}]),
            1 => spec["rules"][0]["backendRefs"] = json!([{"port": 80}]),
            2 => spec["rules"][0]["backendRefs"] = json!([{"name": "a", "port": 70000}]),
            3 => spec["unknown"] = json!(true),
            4 => spec["hostnames"] = json!("a.test"),
            _ => spec["rules"][0]["matches"] = json!([{"method": "FETCH"}]),
        }
    }
    spec
}

fn scaler(random: &mut Random, broken: bool) -> Value {
    let mut spec = json!({
        "scaleTargetRef": {"name": random.of(&["engine", "other"])},
        "triggers": [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": random.of(&["50", "70"])}}],
    });
    if random.percent(60) {
        spec["minReplicaCount"] = random.below(3).into();
    }
    if random.percent(60) {
        spec["maxReplicaCount"] = (3 + random.below(3)).into();
    }
    if random.percent(20) {
        spec["cooldownPeriod"] = json!(30);
    }
    if random.percent(20) {
        spec["fallback"] = json!({"failureThreshold": 3, "replicas": 2});
    }
    if broken {
        match random.below(5) {
            0 => spec["triggers"] = Value::Null,
            1 => spec["pollingInterval"] = json!("often"),
            2 => spec["triggers"] = json!([{"type": "cpu"}]),
            3 => spec["scaleTargetRef"] = json!({"kind": "Deployment"}),
            _ => spec["unknown"] = json!([1, 2]),
        }
    }
    spec
}
