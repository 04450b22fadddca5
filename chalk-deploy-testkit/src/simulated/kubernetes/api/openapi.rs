//! The schemas, as clients ask for them: kubectl before it validates and for `explain`.

use std::sync::OnceLock;

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Digest;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG};
use http::{HeaderValue, Response};
use serde_json::Value;

use super::accept;
use super::call::Call;
use crate::simulated::http::full;
use crate::simulated::kubernetes::schema::{openapi_v2, openapi_v2_protobuf, openapi_v3, openapi_v3_index};
use crate::simulated::kubernetes::status::Status;

/// Every document never changes while the program runs.
static SECOND: OnceLock<Bytes> = OnceLock::new();
static SECOND_AS_PROTOBUF: OnceLock<Bytes> = OnceLock::new();
static INDEX: OnceLock<Bytes> = OnceLock::new();

/// The form in which client-go asks for version 2, under its first name and under that of today.
const PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];

/// `None` where there is nothing.
///
/// Version 3 is there in JSON only; a client that does not take it is refused with 406.
pub(super) fn answer_of(rest: &[&str], call: &Call) -> Option<Result<Response<ByteStream>, Status>> {
    let protobuf = rest == ["v2"] && accepts_protobuf(call);
    let bytes = match rest {
        ["v2"] if protobuf => SECOND_AS_PROTOBUF.get_or_init(|| openapi_v2_protobuf().into()).clone(),
        ["v2"] => SECOND.get_or_init(|| written(&openapi_v2())).clone(),
        ["v3"] => INDEX.get_or_init(index).clone(),
        ["v3", "api", version] => written(&openapi_v3("", version)?),
        ["v3", "apis", group, version] => written(&openapi_v3(group, version)?),
        _ => return None,
    };
    if let Err(status) = accept::form(&call.headers)
        && !protobuf
    {
        return Some(Err(status));
    }
    let etag = HeaderValue::from_str(&format!("\"{}\"", Digest::of(&bytes).hex()));
    let mut response = Response::new(full(bytes));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(if protobuf { PROTOBUF[1] } else { "application/json" }));
    if let Ok(etag) = etag {
        response.headers_mut().insert(ETAG, etag);
    }
    Some(Ok(response))
}

/// Whether a client names protobuf, and before JSON.
fn accepts_protobuf(call: &Call) -> bool {
    let named = call.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut media = named.flat_map(|value| value.split(',')).filter_map(|range| range.split(';').next()).map(str::trim);
    media
        .find(|media| PROTOBUF.contains(media) || *media == "application/json")
        .is_some_and(|media| PROTOBUF.contains(&media))
}

/// The index, where every document stands with its digest: clients keep documents by it.
fn index() -> Bytes {
    let mut index = openapi_v3_index();
    for (path, entry) in index["paths"].as_object_mut().into_iter().flatten() {
        let document = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["api", version] => openapi_v3("", version),
            ["apis", group, version] => openapi_v3(group, version),
            _ => None,
        };
        let digest = Digest::of(document.map(|document| written(&document)).unwrap_or_default()).hex().to_uppercase();
        entry["serverRelativeURL"] = format!("/openapi/v3/{path}?hash={digest}").into();
    }
    written(&index)
}

fn written(document: &Value) -> Bytes {
    document.to_string().into()
}
