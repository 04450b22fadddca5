//! The `Status` object with which an API server refuses.

use http::StatusCode;
use serde_json::{Value, json};

use super::resource::Resource;

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
    /// `details.group`, `kind` and `name`: what it is about.
    pub about: Option<Box<About>>,
    /// `metadata.continue`: where a list that has expired may go on, inconsistently.
    pub continuation: Option<Box<str>>,
}

/// What a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The API group.
    pub group: String,
    /// The kind, or the resource: servers write the one in some refusals and the other in others.
    pub kind: String,
    /// The object's name, or nothing.
    pub name: String,
}

impl Status {
    /// A refusal.
    pub fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            causes: Vec::new(),
            retry_after_seconds: None,
            about: None,
            continuation: None,
        }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 422: the object breaks the rules of its kind.
    pub fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        let kind = if resource.group.is_empty() {
            resource.kind.to_owned()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        let sentences: Vec<_> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let why = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut status =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", format!("{kind} \"{name}\" is invalid: {why}"));
        status.causes = causes.into_iter().map(|cause| (cause.reason.to_owned(), cause.message, cause.field)).collect();
        status.about = Some(Box::new(About {
            group: resource.group.to_owned(),
            kind: resource.kind.to_owned(),
            name: name.to_owned(),
        }));
        status
    }

    /// 403: admission or authorization says no.
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let what = if name.is_empty() { resource.qualified() } else { format!("{} \"{name}\"", resource.qualified()) };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", format!("{what} is forbidden: {why}")).about(resource, name)
    }

    /// Says what it is about.
    #[must_use]
    pub fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.about = Some(Box::new(About {
            group: resource.group.to_owned(),
            kind: resource.plural.to_owned(),
            name: name.to_owned(),
        }));
        self
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

    /// 504: a version that this server has not seen yet.
    pub fn too_new(asked: u64, newest: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {newest}");
        let mut status = Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message);
        status.causes.push((
            "ResourceVersionTooLarge".to_owned(),
            "Too large resource version".to_owned(),
            String::new(),
        ));
        status.retry_after_seconds = Some(1);
        status
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
            "code": self.code.as_u16(),
        });
        if !self.reason.is_empty() {
            document["reason"] = self.reason.into();
        }
        if let Some(continuation) = &self.continuation {
            document["metadata"]["continue"] = (**continuation).into();
        }
        let mut details = serde_json::Map::new();
        if let Some(About { group, kind, name }) = self.about.as_deref() {
            for (field, value) in [("name", name), ("group", group), ("kind", kind)] {
                if !value.is_empty() {
                    details.insert(field.to_owned(), value.clone().into());
                }
            }
        }
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

/// Why one field breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, `FieldValueForbidden`, ...
    pub reason: &'static str,
    /// The field's path.
    pub field: String,
    /// For a person.
    pub message: String,
}

impl Cause {
    /// A value that the rules do not allow.
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        let mut shown = value.to_string();
        if shown.len() > 512 {
            let end = (0..=512).rev().find(|end| shown.is_char_boundary(*end)).unwrap_or(0);
            shown.truncate(end);
            shown.push_str("...");
        }
        Self { reason: "FieldValueInvalid", field: field.into(), message: format!("Invalid value: {shown}: {why}") }
    }

    /// A value that is missing.
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    /// A value that may not stand there.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {why}") }
    }

    /// A value that is none of the allowed ones.
    pub fn unsupported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Self {
        let allowed: Vec<_> = allowed.iter().map(|one| format!("\"{one}\"")).collect();
        Self {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!("Unsupported value: {value}: supported values: {}", allowed.join(", ")),
        }
    }
}
