//! The schemas, as clients ask for them: kubectl before it validates and for `explain`.

use std::sync::OnceLock;

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Digest;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderValue, Response};
use serde_json::Value;

use super::accept;
use super::call::Call;
use crate::simulated::http::full;
use crate::simulated::kubernetes::schema::{openapi_v2, openapi_v3, openapi_v3_index};
use crate::simulated::kubernetes::status::Status;

/// Every document never changes while the program runs.
static SECOND: OnceLock<Bytes> = OnceLock::new();
static INDEX: OnceLock<Bytes> = OnceLock::new();

/// `None` where there is nothing.
///
/// A client that only takes protobuf is refused with 406; kubectl then asks for JSON.
pub(super) fn answer_of(rest: &[&str], call: &Call) -> Option<Result<Response<ByteStream>, Status>> {
    let bytes = match rest {
        ["v2"] => SECOND.get_or_init(|| written(&openapi_v2())).clone(),
        ["v3"] => INDEX.get_or_init(index).clone(),
        ["v3", "api", version] => written(&openapi_v3("", version)?),
        ["v3", "apis", group, version] => written(&openapi_v3(group, version)?),
        _ => return None,
    };
    if let Err(status) = accept::form(&call.headers) {
        return Some(Err(status));
    }
    let etag = HeaderValue::from_str(&format!("\"{}\"", Digest::of(&bytes).hex()));
    let mut response = Response::new(full(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(etag) = etag {
        response.headers_mut().insert(ETAG, etag);
    }
    Some(Ok(response))
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
