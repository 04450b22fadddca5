//! Sequences from seeds.

use serde_json::{Value, json};

use super::documents::{KINDS, Kind, part, whole};
use crate::exchange::Ask;
use crate::random::Random;

pub(super) fn namespace(seed: u64) -> String {
    format!("sequence-{seed}")
}

/// A list, random requests, and at the end everything that a watch tells since that list.
pub(super) fn sequence(seed: u64) -> Vec<Ask> {
    let random = &mut Random::new(seed);
    let kind = KINDS[usize::try_from(seed).expect("a small number") % KINDS.len()];
    let collection = format!("{}/namespaces/{}/{}", kind.root, namespace(seed), kind.plural);
    let mut asks = vec![Ask::new("GET", &collection)];
    for _ in 0..8 + random.below(6) {
        asks.push(ask(random, kind, &collection));
    }
    for name in ["a", "b"] {
        asks.push(Ask::new("GET", format!("{collection}/{name}")));
    }
    asks.push(Ask::new("GET", &collection));
    asks.push(Ask::new(
        "GET",
        format!("{collection}?watch=true&resourceVersion={{{{list-version}}}}&timeoutSeconds=2"),
    ));
    asks.into_iter().map(|ask| ask.header("user-agent", "recorder/1.0")).collect()
}

fn ask(random: &mut Random, kind: Kind, collection: &str) -> Ask {
    let name = if random.percent(75) { "a" } else { "b" };
    let place = format!("{collection}/{name}");
    let broken = random.percent(14);
    match random.below(100) {
        0..32 => apply(random, kind, &place, name, broken),
        32..42 => merge_patch(random, kind, &place, broken),
        42..50 => json_patch(random, kind, &place),
        50..60 => strategic_patch(random, kind, &place, broken),
        60..70 => {
            let body = whole(random, kind, name, broken).to_string();
            Ask::new("POST", format!("{collection}{}", options(random, &[]))).body("application/json", body)
        }
        70..82 => update(random, kind, &place, name, broken),
        82..92 => delete(random, &place),
        92..95 => Ask::new("GET", place),
        95..98 => {
            let selector = random.of(&[
                "",
                "?labelSelector=x%3D1",
                "?labelSelector=x%20in%20(1,2),!y",
                "?fieldSelector=metadata.name%3Da",
                "?limit=1",
            ]);
            Ask::new("GET", format!("{collection}{selector}"))
        }
        _ if kind.name == "Deployment" => {
            let body = json!({"spec": {"replicas": random.below(5)}}).to_string();
            Ask::new("PATCH", format!("{place}/scale?fieldManager=scaler")).body("application/merge-patch+json", body)
        }
        _ => Ask::new("DELETE", collection.to_owned()),
    }
}

/// The query of a write.
fn options(random: &mut Random, first: &[&str]) -> String {
    let mut options: Vec<String> = first.iter().map(|option| (*option).to_owned()).collect();
    if random.percent(5) {
        options.push("dryRun=All".to_owned());
    }
    if random.percent(20) {
        options.push(format!("fieldValidation={}", random.of(&["Strict", "Ignore", "Warn"])));
    }
    if random.percent(50) && !first.iter().any(|option| option.starts_with("fieldManager")) {
        options.push(format!("fieldManager={}", random.of(&["human", "pipeline"])));
    }
    if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) }
}

fn apply(random: &mut Random, kind: Kind, place: &str, name: &str, broken: bool) -> Ask {
    let manager = format!("fieldManager={}", random.of(&["pipeline", "pipeline", "scaler", "human"]));
    let mut first = vec![manager.as_str()];
    if random.percent(40) {
        first.push("force=true");
    }
    let query = options(random, &first);
    let mut document = whole(random, kind, name, broken);
    match random.below(20) {
        // Only a part: the manager gives the rest up, or never had it.
        0..5 => {
            let mut less = part(random, kind, false);
            less["apiVersion"] = kind.api_version.into();
            less["kind"] = kind.name.into();
            less["metadata"] = json!({"name": name, "labels": less["metadata"]["labels"]});
            without_null(&mut less);
            document = less;
        }
        5 => document["metadata"]["resourceVersion"] = reference(random, place).into(),
        6 => document["metadata"]["uid"] = json!(format!("{{{{uid:{place}}}}}")),
        7 => document["metadata"]["name"] = "another".into(),
        8 => document = json!({"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": name}}),
        _ => {}
    }
    Ask::new("PATCH", format!("{place}{query}")).body("application/apply-patch+yaml", document.to_string())
}

fn without_null(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(without_null);
    }
}

/// The newest version, one from before, or one that was never there.
fn reference(random: &mut Random, place: &str) -> String {
    match random.below(10) {
        0..6 => format!("{{{{version:{place}}}}}"),
        6..9 => format!("{{{{first-version:{place}}}}}"),
        _ => "1".to_owned(),
    }
}

fn merge_patch(random: &mut Random, kind: Kind, place: &str, broken: bool) -> Ask {
    let mut body = part(random, kind, broken);
    if random.percent(15) {
        body["metadata"]["resourceVersion"] = reference(random, place).into();
    }
    let query = options(random, &[]);
    Ask::new("PATCH", format!("{place}{query}")).body("application/merge-patch+json", body.to_string())
}

fn json_patch(random: &mut Random, kind: Kind, place: &str) -> Ask {
    let label = random.of(&["1", "2"]);
    let mut steps = vec![match random.below(5) {
        0 => json!({"op": "replace", "path": "/metadata/labels/x", "value": label}),
        1 => json!({"op": "test", "path": "/metadata/name", "value": random.of(&["a", "z"])}),
        2 => json!({"op": "add", "path": "/metadata/labels", "value": {"x": label}}),
        3 => json!({"op": "remove", "path": "/metadata/labels/y"}),
        _ => json!({"op": "add", "path": "/metadata/annotations", "value": {"patched": "yes"}}),
    }];
    steps.push(match kind.name {
        "ConfigMap" => json!({"op": "add", "path": "/data/a", "value": label}),
        "Deployment" => match random.below(3) {
            0 => json!({"op": "replace", "path": "/spec/replicas", "value": random.below(4)}),
            1 => json!({"op": "add", "path": "/spec/template/spec/containers/0/env", "value": [{"name": "J", "value": "1"}]}),
            _ => json!({"op": "remove", "path": "/spec/template/spec/containers/1"}),
        },
        "Service" => json!({"op": "add", "path": "/spec/ports/-", "value": {"name": "more", "port": 81}}),
        "PodDisruptionBudget" => json!({"op": "replace", "path": "/spec/minAvailable", "value": 2}),
        "HTTPRoute" => {
            json!({"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": random.below(100)})
        }
        _ => json!({"op": "add", "path": "/spec/maxReplicaCount", "value": random.below(6)}),
    });
    if random.percent(20) {
        steps.push(json!({"op": "copy", "from": "/metadata/name", "path": "/metadata/labels/copied"}));
    }
    let query = options(random, &[]);
    Ask::new("PATCH", format!("{place}{query}")).body("application/json-patch+json", Value::from(steps).to_string())
}

fn strategic_patch(random: &mut Random, kind: Kind, place: &str, broken: bool) -> Ask {
    let mut body = part(random, kind, broken);
    if kind.name == "Deployment" && random.percent(60) {
        let container = match random.below(4) {
            0 => json!({"name": "sidecar", "$patch": "delete"}),
            1 => json!({"name": "engine", "env": [{"name": "A", "$patch": "delete"}]}),
            2 => {
                json!({"name": "engine", "env": [{"name": "S", "value": "1"}], "$setElementOrder/env": [{"name": "S"}, {"name": "A"}]})
            }
            _ => json!({"name": "engine", "ports": [{"containerPort": 8081}]}),
        };
        body = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    }
    let query = options(random, &[]);
    Ask::new("PATCH", format!("{place}{query}")).body("application/strategic-merge-patch+json", body.to_string())
}

fn update(random: &mut Random, kind: Kind, place: &str, name: &str, broken: bool) -> Ask {
    let mut body = whole(random, kind, name, broken);
    if random.percent(65) {
        body["metadata"]["resourceVersion"] = reference(random, place).into();
    }
    if random.percent(8) {
        body["metadata"]["uid"] = json!(format!("{{{{uid:{place}}}}}"));
    }
    if random.percent(5) {
        body["metadata"]["name"] = "another".into();
    }
    let query = options(random, &[]);
    Ask::new("PUT", format!("{place}{query}")).body("application/json", body.to_string())
}

fn delete(random: &mut Random, place: &str) -> Ask {
    let mut body = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    match random.below(10) {
        0 | 1 => body["preconditions"] = json!({"uid": format!("{{{{uid:{place}}}}}")}),
        2 => body["preconditions"] = json!({"uid": "00000000-0000-4000-8000-000000000000"}),
        3 | 4 => body["preconditions"] = json!({"resourceVersion": reference(random, place)}),
        5 => body["propagationPolicy"] = "Foreground".into(),
        6 => body["propagationPolicy"] = "Orphan".into(),
        7 => body["propagationPolicy"] = "Background".into(),
        8 => body["dryRun"] = json!(["All"]),
        _ => return Ask::new("DELETE", place),
    }
    Ask::new("DELETE", place).body("application/json", body.to_string())
}
