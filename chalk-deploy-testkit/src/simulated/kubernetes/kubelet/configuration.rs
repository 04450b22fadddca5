//! The environment of a container, from its image, its manifest, and the config maps and secrets that it names.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;

use crate::simulated::kubernetes::controllers::view;
use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::resource::{CONFIG_MAP, Resource, SECRET};

/// What a container names that is not there, as a kubelet says it. `None` when everything is there.
pub(super) fn missing(objects: &Objects, pod: &Value, container: &Value) -> Option<String> {
    let namespace = view::namespace(pod);
    let whole = view::items(container, "/envFrom").iter().flat_map(|source| {
        [(CONFIG_MAP, "configMapRef"), (SECRET, "secretRef")].map(|(resource, field)| (resource, &source[field], false))
    });
    let single = view::items(container, "/env").iter().flat_map(|variable| {
        [(CONFIG_MAP, "configMapKeyRef"), (SECRET, "secretKeyRef")]
            .map(|(resource, field)| (resource, &variable["valueFrom"][field], true))
    });
    whole.chain(single).find_map(|(resource, reference, with_key)| {
        let name = reference["name"].as_str()?;
        if view::flag(reference, "/optional") {
            return None;
        }
        let Some(object) = objects.get(&Key::new(resource, namespace, name)) else {
            return Some(format!("{} \"{name}\" not found", resource.singular));
        };
        let key = view::text(reference, "/key");
        let lacks = with_key && object.pointer("/data").is_none_or(|data| data.get(key).is_none());
        let kind = if resource == SECRET { "Secret" } else { "ConfigMap" };
        lacks.then(|| format!("couldn't find key {key} in {kind} {namespace}/{name}"))
    })
}

/// The variables that a process sees. `of_image` are those of its image, as `NAME=value`.
pub(super) fn environment(
    objects: &Objects,
    pod: &Value,
    container: &Value,
    of_image: &[String],
) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = of_image
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for source in view::items(container, "/envFrom") {
        let prefix = view::text(source, "/prefix");
        for (resource, field) in [(CONFIG_MAP, "configMapRef"), (SECRET, "secretRef")] {
            let Some(name) = source[field]["name"].as_str() else { continue };
            let values = values(objects, resource, view::namespace(pod), name);
            all.extend(values.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
        }
    }
    for variable in view::items(container, "/env") {
        let value = match variable["value"].as_str() {
            Some(value) => Some(expanded(value, &all)),
            None => from_source(objects, pod, &variable["valueFrom"]),
        };
        if let Some(value) = value {
            all.insert(view::text(variable, "/name").to_owned(), value);
        }
    }
    all
}

fn from_source(objects: &Objects, pod: &Value, source: &Value) -> Option<String> {
    if let Some(path) = source["fieldRef"]["fieldPath"].as_str() {
        let pointer = format!("/{}", path.replace('.', "/"));
        return pod.pointer(&pointer).and_then(Value::as_str).map(str::to_owned);
    }
    [(CONFIG_MAP, "configMapKeyRef"), (SECRET, "secretKeyRef")].into_iter().find_map(|(resource, field)| {
        let reference = &source[field];
        let mut values = values(objects, resource, view::namespace(pod), reference["name"].as_str()?);
        values.remove(view::text(reference, "/key"))
    })
}

fn values(objects: &Objects, resource: Resource, namespace: &str, name: &str) -> BTreeMap<String, String> {
    let Some(object) = objects.get(&Key::new(resource, namespace, name)) else { return BTreeMap::new() };
    let mut values = view::texts(&object, "/data");
    if resource == SECRET {
        for value in values.values_mut() {
            let bytes = base64::engine::general_purpose::STANDARD.decode(&*value).unwrap_or_default();
            *value = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    values
}

/// Replaces `$(NAME)` by variables that come before.
fn expanded(value: &str, known: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(start) = rest.find("$(") {
        let (before, from) = rest.split_at(start);
        expanded.push_str(before);
        let name = from[2..].split_once(')').map(|(name, _)| name);
        if let Some((name, value)) = name.and_then(|name| Some((name, known.get(name)?))) {
            expanded.push_str(value);
            rest = &from[name.len() + 3..];
        } else {
            expanded.push_str("$(");
            rest = &from[2..];
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_those_before_them() {
        let known = BTreeMap::from([("ID".to_owned(), "c1".to_owned())]);
        assert_eq!(expanded("x-$(ID)-$(OTHER)-$(", &known), "x-c1-$(OTHER)-$(");
    }
}
