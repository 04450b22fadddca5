//! Refusals in the form of the specification: `{"errors": [{"code", "message", "detail"}]}`.

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::text;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use crate::simulated::http::json as json_answer;

/// What the registry answers with, unless it refuses.
pub(super) type Answer = Result<Response<ByteStream>, Refusal>;

/// A request that is not done, and why. The codes are those of the specification ("Error Codes").
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    detail: Option<Value>,
    headers: HeaderMap,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        // The message may quote what a stranger sent.
        let message = text::line(&message.into(), 500);
        Self { status, code, message, detail: None, headers: HeaderMap::new() }
    }

    #[must_use]
    pub(super) fn detail(mut self, detail: Value) -> Self {
        self.detail = Some(detail);
        self
    }

    /// With a header, unless its value cannot stand in one.
    #[must_use]
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    /// The refusal as a sentence.
    pub(super) fn into_message(self) -> String {
        self.message
    }

    pub(super) fn into_response(self) -> Response<ByteStream> {
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some(detail), Some(error)) = (self.detail, error.as_object_mut()) {
            error.insert("detail".to_owned(), detail);
        }
        let mut response = json_answer(self.status, &json!({"errors": [error]}));
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<chalk_deploy_core::Error> for Refusal {
    fn from(error: chalk_deploy_core::Error) -> Self {
        tracing::warn!(%error, "the storage of the simulated registry failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", error.to_string())
    }
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident => $status:ident $code:literal;)*) => {
        $($(#[$doc])* pub(super) fn $name(message: impl Into<String>) -> Refusal {
            Refusal::new(StatusCode::$status, $code, message)
        })*
    };
}

refusals! {
    blob_unknown => NOT_FOUND "BLOB_UNKNOWN";
    upload_invalid => BAD_REQUEST "BLOB_UPLOAD_INVALID";
    upload_unknown => NOT_FOUND "BLOB_UPLOAD_UNKNOWN";
    digest_invalid => BAD_REQUEST "DIGEST_INVALID";
    manifest_invalid => BAD_REQUEST "MANIFEST_INVALID";
    manifest_unknown => NOT_FOUND "MANIFEST_UNKNOWN";
    manifest_too_large => PAYLOAD_TOO_LARGE "SIZE_INVALID";
    name_invalid => BAD_REQUEST "NAME_INVALID";
    name_unknown => NOT_FOUND "NAME_UNKNOWN";
    size_invalid => BAD_REQUEST "SIZE_INVALID";
    tag_invalid => BAD_REQUEST "TAG_INVALID";
    denied => FORBIDDEN "DENIED";
    unsupported => METHOD_NOT_ALLOWED "UNSUPPORTED";
    /// The code is of the distribution project, not of the specification.
    page_invalid => BAD_REQUEST "PAGINATION_NUMBER_INVALID";
    range_invalid => RANGE_NOT_SATISFIABLE "RANGE_INVALID";
    /// A place that the specification does not name.
    not_found => NOT_FOUND "UNSUPPORTED";
}
