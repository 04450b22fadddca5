//! What the server serves: groups, versions and resources, in the old form and in the aggregated one; its version and
//! its health.

use std::collections::BTreeSet;

use chalk_deploy_core::cloud::ByteStream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

use super::accept::Form;
use super::call::Call;
use super::path::REVIEWS;
use super::{not_allowed, not_found, text};
use crate::simulated::http::json as answer;
use crate::simulated::kubernetes::resource::{RESOURCES, Resource};
use crate::simulated::kubernetes::status::Status;

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Answers what names no objects.
///
/// # Errors
/// 404, 405.
pub(super) fn answer_other(call: &Call) -> Result<Response<ByteStream>, Status> {
    let segments: Vec<_> = call.text.split('/').filter(|segment| !segment.is_empty()).collect();
    let known = answer_of(&segments, call.form, call);
    let Some(response) = known else { return Err(not_found()) };
    if [Method::GET, Method::HEAD].contains(&call.method) { response } else { Err(not_allowed()) }
}

fn answer_of(segments: &[&str], form: Form, call: &Call) -> Option<Result<Response<ByteStream>, Status>> {
    let document = match segments {
        [] => json!({"paths": paths()}),
        ["version"] => version(),
        ["healthz" | "livez" | "readyz"] => return Some(Ok(health(call))),
        ["healthz" | "livez" | "readyz", "ping" | "etcd"] => return Some(Ok(text("ok"))),
        ["api" | "apis"] if let Form::Discovery(version) = form => {
            return Some(Ok(aggregated(segments == ["api"], version)));
        }
        ["openapi", rest @ ..] => return super::openapi::answer_of(rest, call),
        ["api"] => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        ["apis"] => json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": groups().into_iter().filter(|(group, _)| !group.is_empty()).map(group_of).collect::<Vec<_>>(),
        }),
        ["apis", name] => {
            let found = groups().into_iter().find(|(group, _)| group == name && !group.is_empty())?;
            let mut document = group_of(found);
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            document
        }
        ["api", version] => resources("", version)?,
        ["apis", group, version] if !group.is_empty() => resources(group, version)?,
        _ => return None,
    };
    Some(Ok(answer(StatusCode::OK, &document)))
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "35",
        "emulationMajor": "1",
        "emulationMinor": "35",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "34",
        "gitVersion": "v1.35.0-chalk-simulated",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "simulated",
    })
}

fn health(call: &Call) -> Response<ByteStream> {
    if call.query.all("verbose").next().is_none() {
        return text("ok");
    }
    text(&format!("[+]ping ok\n[+]etcd ok\n{} check passed\n", call.text.trim_matches('/')))
}

fn paths() -> Vec<String> {
    let mut paths: BTreeSet<String> = groups()
        .into_iter()
        .flat_map(|(group, versions)| {
            let base = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
            let of_versions: Vec<_> = versions.iter().map(|version| format!("{base}/{version}")).collect();
            of_versions.into_iter().chain([base])
        })
        .collect();
    for path in ["/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"] {
        paths.insert(path.to_owned());
    }
    paths.into_iter().collect()
}

/// Every group with its versions, in the order in which it is first served.
fn groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    let served = RESOURCES.iter().map(|resource| (resource.group, resource.version));
    for (group, version) in served.chain(REVIEWS.iter().map(|(group, ..)| (*group, "v1"))) {
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, versions)) if versions.contains(&version) => {}
            Some((_, versions)) => versions.push(version),
            None => groups.push((group, vec![version])),
        }
    }
    groups
}

fn group_of((group, versions): (&str, Vec<&str>)) -> Value {
    let versions: Vec<_> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "preferredVersion": versions[0], "versions": versions})
}

fn served(group: &str, version: &str) -> impl Iterator<Item = &'static Resource> {
    RESOURCES.iter().filter(move |resource| resource.group == group && resource.version == version)
}

fn reviews(
    group: &str,
    version: &str,
) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str, bool)> {
    REVIEWS.iter().filter(move |(of, ..)| *of == group && version == "v1")
}

/// The group, version and kind of what a subresource takes and gives, and its verbs.
fn subresource(resource: &Resource, name: &str) -> (&'static str, &'static str, &'static str, &'static [&'static str]) {
    match name {
        "scale" => ("autoscaling", "v1", "Scale", &["get", "patch", "update"]),
        "eviction" => ("policy", "v1", "Eviction", &["create"]),
        "log" => ("", "v1", "Pod", &["get"]),
        "finalize" => (resource.group, resource.version, resource.kind, &["update"]),
        _ => (resource.group, resource.version, resource.kind, &["get", "patch", "update"]),
    }
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for resource in served(group, version) {
        let mut entry = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": VERBS,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = resource.short_names.into();
        }
        if !resource.categories.is_empty() {
            entry["categories"] = resource.categories.into();
        }
        list.push(entry);
        for name in resource.subresources {
            let (of_group, of_version, kind, verbs) = subresource(resource, name);
            let mut entry = json!({
                "name": format!("{}/{name}", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": verbs,
            });
            if of_group != group {
                entry["group"] = of_group.into();
                entry["version"] = of_version.into();
            }
            list.push(entry);
        }
    }
    for (_, plural, kind, namespaced) in reviews(group, version) {
        list.push(json!({
            "name": plural,
            "singularName": kind.to_ascii_lowercase(),
            "namespaced": namespaced,
            "kind": kind,
            "verbs": ["create"],
        }));
    }
    if list.is_empty() {
        return None;
    }
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": list}))
}

/// The aggregated form: `api` holds the core group, `apis` all others.
fn aggregated(of_core: bool, version: &'static str) -> Response<ByteStream> {
    let items: Vec<_> = groups()
        .into_iter()
        .filter(|(group, _)| group.is_empty() == of_core)
        .map(|(group, versions)| {
            let versions: Vec<_> = versions.iter().map(|version| aggregated_version(group, version)).collect();
            let metadata = if group.is_empty() {
                json!({"creationTimestamp": null})
            } else {
                json!({"name": group, "creationTimestamp": null})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let document = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    });
    let mut response = answer(StatusCode::OK, &document);
    let media = match version {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

fn aggregated_version(group: &str, version: &str) -> Value {
    let scope = |namespaced: bool| if namespaced { "Namespaced" } else { "Cluster" };
    let mut list = Vec::new();
    for resource in served(group, version) {
        let subresources: Vec<_> = resource
            .subresources
            .iter()
            .map(|name| {
                let (of_group, of_version, kind, verbs) = subresource(resource, name);
                json!({
                    "subresource": name,
                    "responseKind": {"group": of_group, "version": of_version, "kind": kind},
                    "verbs": verbs,
                })
            })
            .collect();
        let mut entry = json!({
            "resource": resource.plural,
            "responseKind": {"group": group, "version": version, "kind": resource.kind},
            "scope": scope(resource.namespaced),
            "singularResource": resource.singular,
            "verbs": VERBS,
        });
        for (field, values) in [("shortNames", resource.short_names), ("categories", resource.categories)] {
            if !values.is_empty() {
                entry[field] = values.into();
            }
        }
        if !subresources.is_empty() {
            entry["subresources"] = subresources.into();
        }
        list.push(entry);
    }
    for (_, plural, kind, namespaced) in reviews(group, version) {
        list.push(json!({
            "resource": plural,
            "responseKind": {"group": group, "version": version, "kind": kind},
            "scope": scope(*namespaced),
            "singularResource": kind.to_ascii_lowercase(),
            "verbs": ["create"],
        }));
    }
    json!({"version": version, "resources": list, "freshness": "Current"})
}
