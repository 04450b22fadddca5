//! The kinds as `OpenAPI` describes them: version 2 for all at once, version 3 for one group at a time.
//!
//! As exact as kubectl needs it: it looks for `fieldValidation` among the parameters of a patch, explains fields, and
//! finds the strategies of patches.

mod definitions;
mod paths;
mod protobuf;

use serde_json::{Map, Value, json};

use super::table;
use crate::simulated::kubernetes::resource::Resource;

/// What differs between the two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Two,
    Three,
}

impl Dialect {
    fn reference(self, name: &str) -> Value {
        match self {
            Self::Two => json!({"$ref": format!("#/definitions/{name}")}),
            Self::Three => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }
}

/// `GET /openapi/v2`.
pub fn openapi_v2() -> Value {
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.35.0"},
        "paths": paths::of(Dialect::Two, resources()),
        "definitions": definitions::of(Dialect::Two, resources()),
    })
}

/// `GET /openapi/v2` for who accepts protobuf, as client-go does.
pub fn openapi_v2_protobuf() -> Vec<u8> {
    protobuf::document(&openapi_v2())
}

/// `GET /openapi/v3/api/v1` and `GET /openapi/v3/apis/{group}/{version}`; none if nothing is served there.
pub fn openapi_v3(group: &str, version: &str) -> Option<Value> {
    let served: Vec<_> =
        resources().filter(|resource| resource.group == group && resource.version == version).collect();
    if served.is_empty() {
        return None;
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.35.0"},
        "paths": paths::of(Dialect::Three, served.iter().copied()),
        "components": {"schemas": definitions::of(Dialect::Three, served.iter().copied())},
    }))
}

/// `GET /openapi/v3`: where the documents of the groups are.
pub fn openapi_v3_index() -> Value {
    let mut groups = Map::new();
    for resource in resources() {
        let path = prefix(resource);
        let path = path.trim_start_matches('/');
        groups.insert(path.to_owned(), json!({"serverRelativeURL": format!("/openapi/v3/{path}")}));
    }
    json!({"paths": groups})
}

fn resources() -> impl Iterator<Item = &'static Resource> {
    table::KINDS.iter().map(|(resource, _)| resource)
}

/// `/api/v1` or `/apis/apps/v1`.
fn prefix(resource: &Resource) -> String {
    let root = if resource.group.is_empty() { "api" } else { "apis" };
    format!("/{root}/{}", resource.api_version())
}

/// `x-kubernetes-group-version-kind` of one.
fn kind(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}
