//! Refusals in the words of S3 ("Error responses" of its API reference).

use http::StatusCode;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct S3Error {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl S3Error {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
    }

    pub(super) fn malformed_xml() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MalformedXML", "the XML of the request is not what was expected")
    }

    pub(super) fn denied(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    pub(super) fn no_such_bucket(bucket: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchBucket", format!("there is no bucket {bucket}"))
    }

    pub(super) fn bucket_exists(bucket: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "BucketAlreadyOwnedByYou", format!("the bucket {bucket} is yours already"))
    }

    pub(super) fn bucket_not_empty(bucket: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "BucketNotEmpty", format!("the bucket {bucket} holds objects"))
    }

    pub(super) fn no_such_key() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchKey", "there is no object with this key")
    }

    pub(super) fn no_such_upload() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchUpload", "there is no such upload; it was completed or aborted")
    }

    pub(super) fn precondition() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", "a condition of the request does not hold")
    }

    pub(super) fn not_implemented() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "this server does not know how to do that")
    }

    pub(super) fn slow_down() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "please reduce your request rate")
    }

    pub(super) fn bad_digest(what: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadDigest", format!("the {what} is not that of the bytes received"))
    }
}
