//! Answers: what a blob is described by, and refusals ("Blob Storage error codes").

use chalk_deploy_core::Error;
use chalk_deploy_core::cloud::ByteStream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::super::moment::http_date;
use super::super::store::Object;
use super::super::xml::{text, wrap};
use crate::simulated::http::{empty, full};

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

impl Refused {
    pub(super) const fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message }
    }

    pub(super) const fn no_blob() -> Self {
        Self::new(StatusCode::NOT_FOUND, "BlobNotFound", "the blob does not exist")
    }

    pub(super) const fn exists() -> Self {
        Self::new(StatusCode::CONFLICT, "BlobAlreadyExists", "the blob exists already")
    }

    pub(super) const fn condition() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "ConditionNotMet", "a condition of the request is not met")
    }

    pub(super) const fn header() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidHeaderValue", "the value of a header is not valid")
    }

    pub(super) const fn query() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidQueryParameterValue", "the value of a parameter is not valid")
    }

    /// Something that Azure knows and this server does not.
    pub(super) const fn unknown() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "UnsupportedQueryParameter",
            "the simulated account does not know this request",
        )
    }

    pub(super) fn response(&self) -> Response<ByteStream> {
        let content = wrap("Error", &(text("Code", self.code) + &text("Message", self.message)));
        let mut response = xml(self.status, &content);
        response.headers_mut().insert("x-ms-error-code", HeaderValue::from_static(self.code));
        response
    }
}

/// The world failed: Azure would call that an internal error.
impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        tracing::warn!(%error, "the world of the storage account failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "the server encountered an internal error")
    }
}

/// An answer in XML, which Azure begins with a byte order mark.
pub(super) fn xml(status: StatusCode, content: &str) -> Response<ByteStream> {
    let document = format!("\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>{content}");
    let length = document.len();
    let mut response = Response::new(full(document));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// An answer without a body to a write of this object, or to a deletion.
pub(super) fn done(status: StatusCode, object: Option<&Object>) -> Response<ByteStream> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
    if let Some(object) = object {
        tagged(&mut response, object);
    }
    response
}

/// What is said of a blob with its bytes, and without.
pub(super) fn described(object: &Object) -> Response<ByteStream> {
    let mut response = Response::new(empty());
    for (name, value) in &object.about.0 {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            insert(&mut response, name, value);
        }
    }
    response.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(object.size));
    response.headers_mut().insert("x-ms-blob-type", HeaderValue::from_static("BlockBlob"));
    response.headers_mut().insert("accept-ranges", HeaderValue::from_static("bytes"));
    tagged(&mut response, object);
    response
}

fn tagged(response: &mut Response<ByteStream>, object: &Object) {
    insert(response, ETAG, &format!("\"{}\"", object.tag));
    insert(response, LAST_MODIFIED, &http_date(object.modified));
}

pub(super) fn insert(response: &mut Response<ByteStream>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        response.headers_mut().insert(name, value);
    }
}
