//! An API server's refusal as an error of ours.

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::asked::{Asked, Verb};
use crate::error::Retry;
use crate::{Error, ErrorCode, text};

/// So much of a stranger's message is shown.
const MESSAGE_MOST: usize = 400;
/// So many conflicting or invalid fields are named.
const CAUSES_MOST: usize = 3;

/// A `Status` of `meta/v1`, or what stands for one: something between us and the API server may have answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
    message: String,
    causes: Vec<Cause>,
    retry_after: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
    field: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    kind: String,
    code: u16,
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    causes: Vec<Cause>,
    retry_after_seconds: Option<u64>,
}

impl Refusal {
    /// What an answer without success says.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut refusal = match serde_json::from_slice::<Document>(body) {
            Ok(document) if document.kind == "Status" => Self::of(status, document),
            _ => Self { status, message: String::from_utf8_lossy(body).into_owned(), ..Self::default() },
        };
        refusal.retry_after = header.or(refusal.retry_after);
        refusal
    }

    /// The status that a watch tells of as an event. Its code stands inside.
    pub(crate) fn of_event(document: serde_json::Value) -> Option<Self> {
        let document: Document = serde_json::from_value(document).ok()?;
        let status = StatusCode::from_u16(document.code).ok()?;
        Some(Self::of(status, document))
    }

    fn of(status: StatusCode, document: Document) -> Self {
        let Document { reason, message, details, .. } = document;
        let Details { causes, retry_after_seconds } = details.unwrap_or_default();
        Self { status, reason, message, causes, retry_after: retry_after_seconds }
    }

    /// The permission is missing, rather than a quota or an admission in the way. Reads know no admission. The words
    /// are those of the API server's own refusal.
    pub(crate) fn lacks_permission(&self, verb: Verb) -> bool {
        let said = self.message.contains(" cannot ") && self.message.contains(" resource ");
        self.status == StatusCode::FORBIDDEN && (verb.reads() || said)
    }

    /// There is no such object, or the whole kind is not served.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// The version asked for is no longer remembered.
    pub(crate) fn is_gone(&self) -> bool {
        self.status == StatusCode::GONE
    }

    /// Something else was stored in between.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT
    }

    /// The error for whoever asked.
    pub(crate) fn error(&self, asked: &Asked) -> Error {
        let Asked { verb, resource, namespace, subject } = asked;
        let error = |code, message: String| Error::new(code, message).on(subject);
        match self.status {
            StatusCode::UNAUTHORIZED => error(
                ErrorCode::PermissionDenied,
                "the API server does not accept the credentials (401): they are expired, revoked or of another cluster"
                    .to_owned(),
            )
            .with_hint("renew the credentials and resume"),
            StatusCode::FORBIDDEN if self.lacks_permission(*verb) => error(
                ErrorCode::PermissionDenied,
                format!(
                    "the verb `{}` on `{resource}` in namespace `{namespace}` is not permitted{}",
                    verb.as_str(),
                    self.said()
                ),
            )
            .with_hint(format!("grant `{}` on `{resource}` in namespace `{namespace}`", verb.as_str())),
            StatusCode::CONFLICT => self.conflict(asked),
            StatusCode::GONE => error(
                ErrorCode::CloudUnavailable,
                format!("the version asked for is no longer remembered{}", self.said()),
            ),
            StatusCode::TOO_MANY_REQUESTS => {
                let wait =
                    self.retry_after.map(|seconds| format!(", and asks to wait {seconds} s")).unwrap_or_default();
                error(ErrorCode::CloudUnavailable, format!("the API server is overloaded (429){wait}{}", self.said()))
            }
            StatusCode::REQUEST_TIMEOUT => {
                error(ErrorCode::CloudUnavailable, format!("the API server gave up (408){}", self.said()))
            }
            StatusCode::NOT_FOUND if verb.reads() => {
                error(ErrorCode::ObjectMissing, format!("it is not there{}", self.said())).with_hint("")
            }
            StatusCode::NOT_FOUND => error(
                ErrorCode::ObjectRefused,
                format!("the cluster has no such namespace, or does not know the kind{}", self.said()),
            )
            .with_hint("create the namespace, or install what defines the kind"),
            // Server-side apply of a document whose types are wrong ends so, although nothing is wrong with the server.
            StatusCode::INTERNAL_SERVER_ERROR
                if !verb.reads() && self.message.starts_with("failed to create typed patch object") =>
            {
                error(ErrorCode::ObjectRefused, format!("a field has another type{}", self.said()))
            }
            status if status.is_server_error() => error(
                ErrorCode::CloudUnavailable,
                format!("the API server failed ({}){}", status.as_u16(), self.said()),
            ),
            status if status.is_client_error() && !verb.reads() => error(
                ErrorCode::ObjectRefused,
                format!("the API server refuses it ({}){}", status.as_u16(), self.said()),
            ),
            status if status.is_redirection() => error(
                ErrorCode::CloudAnswerInvalid,
                format!("the address leads elsewhere ({}); nothing was sent there", status.as_u16()),
            ),
            status => error(
                ErrorCode::CloudAnswerInvalid,
                format!("the API server answered {}{}", status.as_u16(), self.said()),
            ),
        }
    }

    fn conflict(&self, asked: &Asked) -> Error {
        let fields: Vec<_> = self.causes.iter().filter(|cause| cause.reason == "FieldManagerConflict").collect();
        if fields.is_empty() {
            let what = if self.reason == "AlreadyExists" {
                "someone else has just made it"
            } else {
                "it was changed meanwhile"
            };
            return Error::new(ErrorCode::VersionConflict, format!("{what}{}", self.said())).on(&asked.subject);
        }
        let more = fields.len().saturating_sub(CAUSES_MOST);
        let mut words: Vec<_> = fields
            .iter()
            .take(CAUSES_MOST)
            .map(|cause| {
                // `conflict with "kubectl" using apps/v1` is how the API server names the other one.
                let manager = cause.message.split('"').nth(1).unwrap_or(&cause.message);
                format!("`{}` is owned by `{}`", text::line(&cause.field, 200), text::line(manager, 100))
            })
            .collect();
        if more > 0 {
            words.push(format!("and {more} more"));
        }
        Error::new(
            ErrorCode::ObjectConflict,
            format!("another field manager owns what would be changed: {}", words.join(", ")),
        )
        .on(&asked.subject)
        .with_retry(Retry::Permanent)
    }

    fn said(&self) -> String {
        let mut words = text::line(self.message.trim(), MESSAGE_MOST);
        for cause in self.causes.iter().take(CAUSES_MOST) {
            if !cause.message.is_empty() && !self.message.contains(&cause.message) {
                words.push_str("; ");
                words.push_str(&text::line(&format!("{} {}", cause.field, cause.message), MESSAGE_MOST));
            }
        }
        if words.is_empty() { words } else { format!(": {words}") }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::asked::{Asked, Verb};
    use super::super::kinds::CONFIG_MAP;
    use super::*;
    use crate::model::Namespace;

    #[test]
    fn a_document_of_wrong_types_is_refused_for_good_although_the_server_says_500() {
        let namespace = Namespace::new("prod").expect("a name");
        // What an API server 1.35 says of a number in a label.
        let message = "failed to create typed patch object (prod/a; /v1, Kind=ConfigMap): .metadata.labels.number: \
                       expected string, got &value.valueUnstructured{Value:1}";
        for (message, code) in [(message, ErrorCode::ObjectRefused), ("etcd is away", ErrorCode::CloudUnavailable)] {
            let status = json!({"kind": "Status", "status": "Failure", "message": message, "code": 500});
            let refusal = Refusal::of_event(status).expect("a status");
            assert_eq!(refusal.error(&Asked::about(Verb::Patch, CONFIG_MAP, &namespace)).code(), code);
        }
    }
}
