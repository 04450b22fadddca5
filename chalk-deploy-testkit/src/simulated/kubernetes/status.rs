//! The `Status` object with which an API server refuses.

use http::StatusCode;
use serde_json::{Value, json};

/// A refusal, in the terms of `meta/v1` `Status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The HTTP status.
    pub code: StatusCode,
    /// The machine-readable reason, such as `NotFound`, `Conflict`, `Invalid`, `Forbidden`, `Expired`.
    pub reason: &'static str,
    /// For a person.
    pub message: String,
    /// `details.causes`: (reason, message, field).
    pub causes: Vec<(String, String, String)>,
    /// `details.retryAfterSeconds`, sent as `Retry-After` too.
    pub retry_after_seconds: Option<u32>,
}

impl Status {
    /// A refusal.
    pub fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), causes: Vec::new(), retry_after_seconds: None }
    }

    /// 404: there is no such object.
    pub fn not_found(plural: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("{plural} \"{name}\" not found"))
    }

    /// 409: it was changed, or carries another uid than the one named.
    pub fn conflict(plural: &str, name: &str, why: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "Conflict",
            format!("Operation cannot be fulfilled on {plural} \"{name}\": {why}"),
        )
    }

    /// 409: there is one of that name.
    pub fn already_exists(plural: &str, name: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "AlreadyExists", format!("{plural} \"{name}\" already exists"))
    }

    /// 410: a watch or a list asked for a version that is no longer remembered.
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(StatusCode::GONE, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// 500, for what should never be.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// The object as it is sent.
    pub fn document(&self) -> Value {
        let mut document = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        });
        let mut details = serde_json::Map::new();
        if !self.causes.is_empty() {
            let causes = self
                .causes
                .iter()
                .map(|(reason, message, field)| json!({"reason": reason, "message": message, "field": field}));
            details.insert("causes".to_owned(), causes.collect());
        }
        if let Some(seconds) = self.retry_after_seconds {
            details.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        if !details.is_empty() {
            document["details"] = details.into();
        }
        document
    }
}
