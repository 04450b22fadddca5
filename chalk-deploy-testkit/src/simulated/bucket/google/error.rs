//! Refusals in the words of Cloud Storage: JSON of its JSON API ("HTTP status and error codes for JSON"), and XML of the
//! other.

use chalk_deploy_core::Error;
use chalk_deploy_core::cloud::ByteStream;
use http::{Response, StatusCode};
use serde_json::json;

use crate::simulated::bucket::error::S3Error;
use crate::simulated::bucket::xml;
use crate::simulated::http::json as document;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GoogleError {
    status: u16,
    /// What the JSON API calls it, and the XML API.
    reason: &'static str,
    code: &'static str,
    message: String,
}

impl GoogleError {
    fn new(status: u16, (reason, code): (&'static str, &'static str), message: impl Into<String>) -> Self {
        Self { status, reason, code, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, ("invalid", "InvalidArgument"), message)
    }

    pub(super) fn parse() -> Self {
        Self::new(400, ("parseError", "MalformedRequest"), "Parse Error")
    }

    pub(super) fn unauthorized(reason: &'static str, message: &str) -> Self {
        Self::new(401, (reason, "AuthenticationRequired"), message)
    }

    pub(super) fn kept(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(403, (reason, "AccessDenied"), message)
    }

    pub(super) fn no_bucket() -> Self {
        Self::new(404, ("notFound", "NoSuchBucket"), "The specified bucket does not exist.")
    }

    pub(super) fn no_object(bucket: &str, name: &str) -> Self {
        Self::new(404, ("notFound", "NoSuchKey"), format!("No such object: {bucket}/{name}"))
    }

    pub(super) fn no_upload() -> Self {
        Self::new(404, ("notFound", "NoSuchUpload"), "Not Found")
    }

    pub(super) fn taken() -> Self {
        let message = "Your previous request to create the named bucket succeeded and you already own it.";
        Self::new(409, ("conflict", "BucketAlreadyOwnedByYou"), message)
    }

    pub(super) fn condition() -> Self {
        let message = "At least one of the pre-conditions you specified did not hold.";
        Self::new(412, ("conditionNotMet", "PreconditionFailed"), message)
    }

    pub(super) fn range() -> Self {
        let message = "The requested range cannot be satisfied.";
        Self::new(416, ("requestedRangeNotSatisfiable", "InvalidRange"), message)
    }

    /// "Client closed request": how Google confirms that an upload was given up.
    pub(super) fn given_up() -> Self {
        Self::new(499, ("clientClosedRequest", "ClientClosedRequest"), "Client Closed Request")
    }

    pub(super) fn not_implemented() -> Self {
        Self::new(501, ("notImplemented", "NotImplemented"), "the simulated server does not do that")
    }

    pub(super) fn body(status: StatusCode) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(413, ("uploadTooLarge", "EntityTooLarge"), "Payload too large"),
            _ => Self::invalid("the body broke off"),
        }
    }

    pub(super) fn response(&self, is_xml: bool) -> Response<ByteStream> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if is_xml {
            return xml::error(&S3Error::new(status, self.code, &self.message), "");
        }
        let Self { status: code, reason, message, .. } = self;
        let detail = json!({"message": message, "domain": "global", "reason": reason});
        document(status, &json!({"error": {"code": code, "message": message, "errors": [detail]}}))
    }
}

/// The world failed: Google would call that an internal error.
impl From<Error> for GoogleError {
    fn from(error: Error) -> Self {
        tracing::warn!(%error, "the world of the bucket server failed");
        Self::new(500, ("backendError", "InternalError"), "Backend Error")
    }
}
