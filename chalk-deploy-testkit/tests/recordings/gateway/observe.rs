//! What is looked at after a step: the conditions of the routes, and what requests are answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::scene::{Names, routes};
use super::{Probe, Way};
use crate::exchange::{Ask, Raw};

/// An answer, and how often it was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) times: u32,
    pub(super) answer: Value,
}

/// What is there after a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Found {
    /// Of each route the parents, by what they refer to.
    pub(super) routes: Value,
    /// Of each probe the different answers.
    pub(super) answers: Vec<Vec<Answer>>,
}

/// The parents of all routes of the sequence, and whether each condition is about the newest generation.
pub(super) async fn look_at_routes(way: &Way, names: &Names) -> (Value, bool) {
    let mut found = Map::new();
    let mut current = true;
    for namespace in [names.namespace(), names.other_namespace()] {
        let raw = way.cluster.ask(&routes(&namespace)).await;
        let list: Value = serde_json::from_slice(&raw.body).expect("a list of routes");
        for route in list["items"].as_array().into_iter().flatten() {
            let generation = &route["metadata"]["generation"];
            let mut parents = Map::new();
            for parent in route["status"]["parents"].as_array().into_iter().flatten() {
                // The real gateway leaves what it said about parents that the route no longer names.
                let wanted =
                    route["spec"]["parentRefs"].as_array().is_some_and(|all| all.contains(&parent["parentRef"]));
                let mut conditions = Map::new();
                for condition in parent["conditions"].as_array().into_iter().flatten() {
                    let newest = condition["observedGeneration"] == *generation;
                    current &= newest || !wanted;
                    let kind = condition["type"].as_str().unwrap_or_default().to_owned();
                    let about = if newest { "newest" } else { "older" };
                    let said = json!([condition["status"], condition["reason"], condition["message"], about]);
                    conditions.insert(kind, said);
                }
                parents.insert(parent["parentRef"].to_string(), conditions.into());
            }
            let name = route["metadata"]["name"].as_str().unwrap_or_default();
            found.insert(format!("{namespace}/{name}"), parents.into());
        }
    }
    (found.into(), current)
}

/// The different answers to a probe.
pub(super) async fn ask(way: &Way, probe: &Probe, times: u32) -> Vec<Answer> {
    let mut raws: Vec<(Raw, u32)> = Vec::new();
    for _ in 0..times {
        let raw = way.gateway.ask(&probe.ask).await;
        match raws.iter_mut().find(|(known, _)| *known == raw) {
            Some((_, times)) => *times += 1,
            None => raws.push((raw, 1)),
        }
    }
    let mut counted: BTreeMap<String, u32> = BTreeMap::new();
    for (raw, times) in raws {
        *counted.entry(normalise(&probe.ask, &raw).to_string()).or_default() += times;
    }
    let answers = counted.into_iter().map(|(answer, times)| {
        let answer = serde_json::from_str(&answer).expect("it was written as JSON");
        Answer { times, answer }
    });
    answers.collect()
}

/// Without what differs from one request to the next: addresses, ids, dates.
fn normalise(ask: &Ask, raw: &Raw) -> Value {
    let mut answer = json!({"status": raw.status});
    for (name, value) in &raw.headers {
        if name == "location" || name == "content-type" || name.starts_with("x-") {
            answer[name.as_str()] = value.as_str().into();
        }
    }
    let text = String::from_utf8_lossy(&raw.body).into_owned();
    match serde_json::from_str::<Value>(&text) {
        Ok(echo) if echo["port"].is_number() => {
            let told = |name: &str| {
                let foreign = ["x-request-id", "x-forwarded-for", "x-envoy-external-address", "x-envoy-internal"];
                (name == "host" || name.starts_with("x-")) && !foreign.contains(&name)
            };
            let headers = echo["headers"].as_object().into_iter().flatten().filter(|(name, _)| told(name));
            let headers: Map<String, Value> = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
            answer["backend"] = json!({"port": echo["port"], "target": echo["target"], "headers": headers});
        }
        _ if text.is_empty() || ask.method == "HEAD" => {}
        _ => answer["text"] = text.into(),
    }
    answer
}
