//! `ResourceQuota`: what the objects of a namespace may come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::resource::{POD, RESOURCE_QUOTA, RESOURCES, Resource};
use crate::simulated::kubernetes::schema::quantity;
use crate::simulated::kubernetes::status::Status;

/// Amounts in billionths, by the name of what is counted.
type Amounts = BTreeMap<String, i128>;

const ONE: i128 = 1_000_000_000;

/// Whether an object, or a change of one, stays within the quotas of its namespace. For the controllers, whose pods
/// are held to them too.
///
/// # Errors
/// 403.
pub fn within(objects: &Objects, key: &Key, next: &Value, live: Option<&Value>) -> Result<(), Status> {
    if !key.resource.namespaced {
        return Ok(());
    }
    let (quotas, _) = objects.list(RESOURCE_QUOTA, Some(&key.namespace));
    if quotas.is_empty() {
        return Ok(());
    }
    let wanted = amounts(&key.resource, next);
    let before = live.map(|live| amounts(&key.resource, live)).unwrap_or_default();
    // Only what grows is asked for: nobody is kept from making something smaller.
    let asked: Amounts = wanted
        .iter()
        .map(|(name, amount)| (name.clone(), amount - before.get(name).copied().unwrap_or_default()))
        .filter(|(_, more)| *more > 0)
        .collect();
    for quota in quotas {
        let hard = limits(&quota);
        let unsaid = unsaid(&key.resource, next, &hard);
        let name = quota["metadata"]["name"].as_str().unwrap_or_default();
        if live.is_none() && !unsaid.is_empty() {
            let why = format!("failed quota: {name}: must specify {}", unsaid.join(","));
            return Err(Status::forbidden(&key.resource, &key.name, &why));
        }
        let used = used(objects, &key.namespace, &hard);
        let exceeded: Vec<_> = asked
            .iter()
            .filter(|(what, more)| {
                hard.get(*what).is_some_and(|most| used.get(*what).copied().unwrap_or_default() + **more > *most)
            })
            .collect();
        if exceeded.is_empty() {
            continue;
        }
        let list = |of: &dyn Fn(&str) -> Value| {
            let parts: Vec<_> = exceeded.iter().map(|(what, _)| format!("{what}={}", words(&of(what)))).collect();
            parts.join(",")
        };
        let why = format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            list(&|what| shown(what, asked.get(what).copied().unwrap_or_default())),
            list(&|what| shown(what, used.get(what).copied().unwrap_or_default())),
            list(&|what| quota["spec"]["hard"][what].clone()),
        );
        return Err(Status::forbidden(&key.resource, &key.name, &why));
    }
    Ok(())
}

/// Writes into the status of every quota of a namespace what is used.
pub fn count(objects: &Objects, namespace: &str) {
    if namespace.is_empty() {
        return;
    }
    let (quotas, _) = objects.list(RESOURCE_QUOTA, Some(namespace));
    for quota in quotas {
        let hard = limits(&quota);
        let used = used(objects, namespace, &hard);
        let used: Map<String, Value> =
            hard.keys().map(|name| (name.clone(), shown(name, used.get(name).copied().unwrap_or_default()))).collect();
        let Some(name) = quota["metadata"]["name"].as_str() else { continue };
        // A quota that has just been removed needs no count.
        let _ = objects.update(&Key::new(RESOURCE_QUOTA, namespace, name), None, |quota| {
            if !quota["status"].is_object() {
                quota["status"] = Map::new().into();
            }
            quota["status"]["hard"] = quota["spec"]["hard"].clone();
            quota["status"]["used"] = used.into();
            Ok(())
        });
    }
}

fn limits(quota: &Value) -> Amounts {
    let hard = quota["spec"]["hard"].as_object();
    hard.into_iter().flatten().filter_map(|(name, most)| Some((name.clone(), quantity::parse(most)?))).collect()
}

fn used(objects: &Objects, namespace: &str, hard: &Amounts) -> Amounts {
    let mut sum = Amounts::new();
    let counted = |resource: &&Resource| {
        resource.namespaced
            && (**resource == POD || hard.contains_key(&counter(resource)) || hard.contains_key(resource.plural))
    };
    for resource in RESOURCES.iter().filter(counted) {
        let (objects, _) = objects.list(*resource, Some(namespace));
        for object in objects.iter().map(Arc::as_ref) {
            for (name, amount) in amounts(resource, object) {
                *sum.entry(name).or_default() += amount;
            }
        }
    }
    sum
}

fn counter(resource: &Resource) -> String {
    format!("count/{}", resource.qualified())
}

/// What an object counts for.
fn amounts(resource: &Resource, object: &Value) -> Amounts {
    let mut amounts = Amounts::from([(counter(resource), ONE)]);
    // Pods that have ended still lie in the store, and use nothing any more.
    let ended = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if *resource == POD && !ended {
        amounts.insert("pods".to_owned(), ONE);
        for kind in ["requests", "limits"] {
            for name in ["cpu", "memory", "ephemeral-storage"] {
                let amount = of_pod(&object["spec"], kind, name);
                if amount > 0 {
                    amounts.insert(format!("{kind}.{name}"), amount);
                    if kind == "requests" {
                        amounts.insert(name.to_owned(), amount);
                    }
                }
            }
        }
    } else if *resource != POD && resource.group.is_empty() {
        // The old names of counts.
        amounts.insert(resource.plural.to_owned(), ONE);
    }
    amounts
}

/// The sum of the containers, or the greatest of those that run before them: they do not run at the same time.
fn of_pod(spec: &Value, kind: &str, name: &str) -> i128 {
    let of = |container: &Value| quantity::parse(&container["resources"][kind][name]).unwrap_or_default();
    let together: i128 = spec["containers"].as_array().into_iter().flatten().map(of).sum();
    let before = spec["initContainers"].as_array().into_iter().flatten().map(of).max().unwrap_or_default();
    together.max(before)
}

/// What a pod must say where a quota limits it.
fn unsaid(resource: &Resource, object: &Value, hard: &Amounts) -> Vec<String> {
    if *resource != POD {
        return Vec::new();
    }
    let containers: Vec<_> = object["spec"]["containers"].as_array().into_iter().flatten().collect();
    let mut unsaid = Vec::new();
    for name in hard.keys() {
        let (kind, what) = match name.split_once('.') {
            Some((kind @ ("requests" | "limits"), what @ ("cpu" | "memory"))) => (kind, what),
            None if name == "cpu" || name == "memory" => ("requests", name.as_str()),
            _ => continue,
        };
        let silent: Vec<_> = containers
            .iter()
            .filter(|container| container["resources"][kind][what].is_null())
            .filter_map(|container| container["name"].as_str())
            .collect();
        if !silent.is_empty() {
            unsaid.push(format!("{name} for: {}", silent.join(",")));
        }
    }
    unsaid
}

/// An amount as Kubernetes writes it: thousandths of a processor, bytes in powers of two, or a number.
fn shown(name: &str, billionths: i128) -> Value {
    let whole = billionths.div_euclid(ONE);
    if billionths.rem_euclid(ONE) != 0 {
        return format!("{}m", billionths.div_euclid(ONE / 1000)).into();
    }
    if name.ends_with("memory") || name.ends_with("storage") {
        for (unit, size) in [("Gi", 1_i128 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)] {
            if whole != 0 && whole % size == 0 {
                return format!("{}{unit}", whole / size).into();
            }
        }
    }
    whole.to_string().into()
}

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
