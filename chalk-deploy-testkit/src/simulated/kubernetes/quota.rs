//! Quotas: what a namespace may hold. The API server asks for the requests of clients, the controllers for the pods
//! that they make.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::controllers::pass::Pass;
use super::controllers::write::Writer;
use super::controllers::{pod, view};
use super::objects::{Key, Objects};
use super::quantity;
use super::resource::{POD, RESOURCE_QUOTA, RESOURCES, Resource};
use super::status::Status;

/// Whether a namespace's quotas allow a new object. What is used is counted when it is asked for.
///
/// # Errors
/// 403 in the API server's words, naming the quota, what was requested, what is used and what the limit is.
pub(crate) fn check(objects: &Objects, key: &Key, object: &Value) -> Result<(), Status> {
    if !key.resource.namespaced {
        return Ok(());
    }
    for quota in objects.list(RESOURCE_QUOTA, Some(&key.namespace)).0 {
        let hard = view::texts(&quota, "/spec/hard");
        if let Some(missing) = unsaid(&hard, key.resource, object) {
            return Err(forbidden(key, &format!("failed quota: {}: must specify {missing}", view::name(&quota))));
        }
        let mut exceeded = BTreeMap::new();
        for (name, limit) in &hard {
            let requested = usage(name, key.resource, object);
            if requested == 0 {
                continue;
            }
            let Some(limit_milli) = quantity::milli(limit) else { continue };
            let used = used(objects, &key.namespace, name);
            if used + requested > limit_milli {
                exceeded.insert(name.as_str(), (requested, used, limit.as_str()));
            }
        }
        if !exceeded.is_empty() {
            let list = |print: &dyn Fn(&(i128, i128, &str)) -> String| {
                let parts: Vec<_> =
                    exceeded.iter().map(|(name, numbers)| format!("{name}={}", print(numbers))).collect();
                parts.join(",")
            };
            let message = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                view::name(&quota),
                list(&|(requested, _, _)| quantity::print(*requested)),
                list(&|(_, used, _)| quantity::print(*used)),
                list(&|(_, _, limit)| (*limit).to_owned()),
            );
            return Err(forbidden(key, &message));
        }
    }
    Ok(())
}

/// Writes what is used into the status of every quota.
pub(super) fn reconcile(pass: &Pass<'_>) {
    for quota in pass.list(RESOURCE_QUOTA, None) {
        let hard = view::texts(&quota, "/spec/hard");
        let namespace = view::namespace(&quota);
        let used: BTreeMap<_, _> =
            hard.keys().map(|name| (name.clone(), quantity::print(used(pass.objects, namespace, name)))).collect();
        let status = json!({"hard": hard, "used": used});
        pass.set_status(Writer::ControllerManager, RESOURCE_QUOTA, &quota, status);
    }
}

fn forbidden(key: &Key, why: &str) -> Status {
    let message = format!("{} \"{}\" is forbidden: {why}", key.resource.qualified(), key.name);
    Status::new(StatusCode::FORBIDDEN, "Forbidden", message)
}

/// What the objects of a namespace use of something, in thousandths.
fn used(objects: &Objects, namespace: &str, name: &str) -> i128 {
    let Some(resource) = counted(name) else { return 0 };
    objects.list(resource, Some(namespace)).0.iter().map(|object| usage(name, resource, object)).sum()
}

/// What one object uses of something, in thousandths.
fn usage(name: &str, resource: Resource, object: &Value) -> i128 {
    if counted(name) != Some(resource) {
        return 0;
    }
    // What has ended uses nothing any more, but it is an object still.
    if resource == POD && !name.starts_with("count/") && pod::has_ended(object) {
        return 0;
    }
    match amount(name) {
        Some((section, unit)) => of_containers(object, section, unit),
        None => 1000,
    }
}

/// The kind whose objects use something.
fn counted(name: &str) -> Option<Resource> {
    if amount(name).is_some() {
        return Some(POD);
    }
    let (plain, qualified) = match name.strip_prefix("count/") {
        Some(qualified) => (qualified, true),
        None => (name, false),
    };
    let short = ["pods", "services", "configmaps", "secrets", "resourcequotas"];
    let resource = RESOURCES.iter().find(|resource| resource.qualified() == plain)?;
    (qualified || short.contains(&plain)).then_some(*resource)
}

/// The part of a container's resources that something is summed up from.
fn amount(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "cpu" | "requests.cpu" => Some(("requests", "cpu")),
        "memory" | "requests.memory" => Some(("requests", "memory")),
        "limits.cpu" => Some(("limits", "cpu")),
        "limits.memory" => Some(("limits", "memory")),
        _ => None,
    }
}

/// The sum over a pod's containers. A limit stands for a request that is not said.
pub(crate) fn of_containers(pod: &Value, section: &str, unit: &str) -> i128 {
    let of = |container: &Value| -> i128 {
        let said = ["requests", "limits"].into_iter().skip_while(|other| *other != section).find_map(|section| {
            let value = container.pointer(&format!("/resources/{section}/{unit}"))?;
            quantity::milli(value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str())
        });
        said.unwrap_or(0).max(0)
    };
    view::items(pod, "/spec/containers").iter().fold(0, |sum: i128, container| sum.saturating_add(of(container)))
}

/// What a quota limits and a pod does not say, as `requests.cpu for: engine`.
fn unsaid(hard: &BTreeMap<String, String>, resource: Resource, object: &Value) -> Option<String> {
    if resource != POD {
        return None;
    }
    let parts: Vec<_> = hard
        .keys()
        .filter_map(|name| {
            let (section, unit) = amount(name)?;
            let silent: Vec<_> = view::items(object, "/spec/containers")
                .iter()
                .filter(|container| {
                    let said = |section: &str| container.pointer(&format!("/resources/{section}/{unit}")).is_some();
                    !(said(section) || section == "requests" && said("limits"))
                })
                .map(|container| view::text(container, "/name"))
                .collect();
            (!silent.is_empty()).then(|| format!("{name} for: {}", silent.join(",")))
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
