//! Objects in the form that a client accepts.

mod age;
mod columns;

use std::sync::Arc;

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Timestamp;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::accept::Form;
use super::call::Call;
use super::read::Page;
use crate::simulated::http::json as answer;
use crate::simulated::kubernetes::resource::Resource;

/// One object.
pub(super) fn one(
    call: &Call,
    resource: &Resource,
    status: StatusCode,
    object: &Arc<Value>,
    now: Timestamp,
) -> Response<ByteStream> {
    let shown = match call.form {
        Form::Table => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            let include = call.query.get("includeObject").unwrap_or("Metadata");
            table(resource, std::slice::from_ref(object), &metadata, include, true, now)
        }
        Form::Metadata => metadata(object),
        _ => return answer(status, &**object),
    };
    typed(call.form, answer(status, &shown))
}

/// A list.
pub(super) fn list(call: &Call, resource: &Resource, page: &Page, now: Timestamp) -> Response<ByteStream> {
    let list_metadata = page.metadata();
    let shown = match call.form {
        Form::Table => {
            let include = call.query.get("includeObject").unwrap_or("Metadata");
            table(resource, &page.items, &list_metadata, include, true, now)
        }
        Form::Metadata => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": list_metadata,
            "items": page.items.iter().map(|object| metadata(object)).collect::<Vec<_>>(),
        }),
        _ => json!({
            "kind": format!("{}List", resource.kind),
            "apiVersion": resource.api_version(),
            "metadata": list_metadata,
            "items": page.items.iter().map(|object| item(resource, object)).collect::<Vec<_>>(),
        }),
    };
    typed(call.form, answer(StatusCode::OK, &shown))
}

/// The items of a list of a built-in kind do not repeat their kind.
fn item(resource: &Resource, object: &Value) -> Value {
    let mut item = object.clone();
    if !resource.is_custom()
        && let Some(fields) = item.as_object_mut()
    {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    item
}

fn typed(form: Form, mut response: Response<ByteStream>) -> Response<ByteStream> {
    let media = match form {
        Form::Table => "application/json;as=Table;v=v1;g=meta.k8s.io",
        Form::Metadata => "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        Form::Whole | Form::Discovery(_) => "application/json",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// Only the metadata of an object.
pub(super) fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// Rows for people.
pub(super) fn table(
    resource: &Resource,
    objects: &[Arc<Value>],
    list_metadata: &Value,
    include: &str,
    with_columns: bool,
    now: Timestamp,
) -> Value {
    let columns = columns::of(resource);
    let rows: Vec<_> = objects
        .iter()
        .map(|object| {
            let cells: Vec<_> = columns.iter().map(|column| (column.cell)(object, now)).collect();
            let shown = match include {
                "None" => return json!({"cells": cells}),
                "Object" => (**object).clone(),
                _ => metadata(object),
            };
            json!({"cells": cells, "object": shown})
        })
        .collect();
    let definitions: Vec<_> = columns
        .iter()
        .filter(|_| with_columns)
        .map(|column| {
            json!({
                "name": column.name,
                "type": column.kind,
                "format": if column.name == "Name" { "name" } else { "" },
                "description": "",
                "priority": column.priority,
            })
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}
