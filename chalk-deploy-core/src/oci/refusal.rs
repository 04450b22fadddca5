//! What a registry says when it refuses, and which of our codes that is.

use std::fmt::Display;

use http::StatusCode;
use serde::Deserialize;

use crate::{Error, ErrorCode, text};

/// An answer that is not the one asked for (*Error Codes* of the distribution specification).
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The first error's code, in upper case.
    pub(super) code: String,
    /// What a person is shown: codes, messages and details, made printable.
    pub(super) words: String,
    /// The origin, for the subject of the error.
    pub(super) host: String,
}

#[derive(Deserialize)]
struct Body {
    errors: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: serde_json::Value,
}

impl Refusal {
    const WORDS_MOST: usize = 300;

    /// Reads the body. `secrets` are taken out of what is shown, because servers have been seen to echo them.
    pub(super) fn read(status: StatusCode, body: &[u8], secrets: &[String], host: String) -> Self {
        let (mut code, mut words) = (String::new(), String::new());
        if let Ok(body) = serde_json::from_slice::<Body>(body) {
            for entry in body.errors.into_iter().take(5) {
                if code.is_empty() {
                    code = text::line(&entry.code, 60).to_ascii_uppercase();
                }
                for part in [entry.code, entry.message, detail(&entry.detail)] {
                    if !part.is_empty() && words.len() < 4 * Self::WORDS_MOST {
                        words.push_str(if words.is_empty() { "" } else { ", " });
                        words.push_str(&part);
                    }
                }
            }
        }
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            words = words.replace(secret.as_str(), "…");
            code = code.replace(&secret.to_ascii_uppercase(), "…");
        }
        Self { status, code, words: text::line(&words, Self::WORDS_MOST), host }
    }

    /// Whether its words hold one of these, in lower case.
    pub(super) fn says(&self, any: &[&str]) -> bool {
        let words = self.words.to_lowercase();
        any.iter().any(|one| words.contains(one))
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED
            || matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            || self.code == "TOOMANYREQUESTS"
    }

    /// A blob that a manifest names is not there: by its code, or in the words of registries that use another one.
    pub(super) fn names_missing_content(&self) -> bool {
        matches!(self.code.as_str(), "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN")
            || (self.status.is_client_error()
                && self.says(&[
                    "blob unknown",
                    "blob_unknown",
                    "layer does not exist",
                    "layers do not exist",
                    "manifest unknown",
                ]))
    }

    /// A tag that may not be moved, in the words of ECR, Artifact Registry, ACR, Harbor and GitLab.
    pub(super) fn names_immutable_tag(&self) -> bool {
        self.status.is_client_error()
            && (self.says(&["immutab", "cannot be overwritten", "has been locked", "already exists", "is protected"])
                || matches!(self.status, StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED))
    }

    /// The error of an operation, `doing` something such as "push a blob".
    pub(super) fn into_error(self, doing: &str, subject: impl Display) -> Error {
        let Self { status, words, host, .. } = &self;
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        let refused = |code: ErrorCode| {
            Error::new(code, format!("the registry refused to {doing} with {}{said}", status.as_u16())).on(&subject)
        };
        if self.is_temporary() {
            return Error::new(
                ErrorCode::CloudUnavailable,
                format!("the registry could not {doing} now and answered with {}{said}", status.as_u16()),
            )
            .on(&subject);
        }
        match *status {
            StatusCode::UNAUTHORIZED => refused(ErrorCode::PermissionDenied)
                .with_hint(format!("check the credentials for {host}; it takes none, or not the ones given")),
            StatusCode::FORBIDDEN => refused(ErrorCode::PermissionDenied)
                .with_hint(format!("give the identity that we have at {host} the permission to {doing}")),
            _ if self.code == "DIGEST_INVALID" => refused(ErrorCode::DigestMismatch),
            StatusCode::NOT_FOUND if self.code == "NAME_UNKNOWN" => {
                refused(ErrorCode::ObjectMissing).with_hint("create the repository first")
            }
            StatusCode::NOT_FOUND => refused(ErrorCode::ObjectMissing)
                .with_hint("check that the repository exists and still holds what was pushed"),
            status if status.is_client_error() => {
                refused(ErrorCode::ObjectRefused).with_hint("read what the registry says, and its limits and quotas")
            }
            status => Error::new(
                ErrorCode::CloudAnswerInvalid,
                format!("the registry was to {doing} and answered with {}, which makes no sense", status.as_u16()),
            )
            .on(subject),
        }
    }
}

fn detail(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;

    fn refusal(status: u16, body: &str) -> Refusal {
        let status = StatusCode::from_u16(status).expect("a status");
        Refusal::read(status, body.as_bytes(), &["hunter2".to_owned()], "r.example".to_owned())
    }

    #[test]
    fn each_refusal_has_the_code_and_the_retry_class_that_its_kind_deserves() {
        let body = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"words"}}]}}"#);
        for (status, code, expected, retry) in [
            (401, "UNAUTHORIZED", ErrorCode::PermissionDenied, Retry::Permanent),
            (403, "DENIED", ErrorCode::PermissionDenied, Retry::Permanent),
            (404, "NAME_UNKNOWN", ErrorCode::ObjectMissing, Retry::Permanent),
            (404, "BLOB_UPLOAD_UNKNOWN", ErrorCode::ObjectMissing, Retry::Permanent),
            (400, "DIGEST_INVALID", ErrorCode::DigestMismatch, Retry::Permanent),
            (413, "SIZE_INVALID", ErrorCode::ObjectRefused, Retry::Permanent),
            (405, "UNSUPPORTED", ErrorCode::ObjectRefused, Retry::Permanent),
            (429, "TOOMANYREQUESTS", ErrorCode::CloudUnavailable, Retry::Temporary),
            (400, "TOOMANYREQUESTS", ErrorCode::CloudUnavailable, Retry::Temporary),
            (408, "", ErrorCode::CloudUnavailable, Retry::Temporary),
            (500, "UNKNOWN", ErrorCode::CloudUnavailable, Retry::Temporary),
            (503, "UNAVAILABLE", ErrorCode::CloudUnavailable, Retry::Temporary),
            (302, "", ErrorCode::CloudAnswerInvalid, Retry::Permanent),
            (200, "", ErrorCode::CloudAnswerInvalid, Retry::Permanent),
        ] {
            let error = refusal(status, &body(code)).into_error("push a blob", "r.example/a");
            assert_eq!((error.code(), error.retry()), (expected, retry), "{status} {code}: {error}");
            assert!(error.sentence().starts_with("r.example/a: the registry "), "{}", error.sentence());
        }
    }

    #[test]
    fn what_a_server_echoes_is_shown_without_our_credentials_and_without_control_characters() {
        let body = "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no \\u001b[31m hunter2\",\"detail\":{\"a\":\"hunter2\"}}]}";
        let error = refusal(403, body).into_error("push a blob", "a");
        assert!(!error.sentence().contains("hunter2") && !error.sentence().contains('\u{1b}'), "{}", error.sentence());
        let long = format!(r#"{{"errors":[{{"code":"A","message":"{}"}}]}}"#, "x".repeat(100_000));
        assert!(refusal(400, &long).into_error("push a blob", "a").sentence().len() < 600);
        for garbage in ["", "<html>hunter2</html>", "[1]", "{\"errors\":{}}"] {
            assert!(!refusal(400, garbage).into_error("push", "a").sentence().contains("hunter2"));
        }
    }

    #[test]
    fn immutable_tags_are_recognised_in_the_words_of_each_cloud() {
        for (status, words) in [
            (
                400,
                "The image tag 'a' already exists in the 'b' repository and cannot be overwritten because the repository is immutable.",
            ),
            (400, "cannot update tag a. The repository has enabled tag immutability"),
            (405, "The operation is not allowed on this repository, tag or manifest as it has been locked"),
            (412, "configured as immutable, cannot be updated"),
            (409, "tag exists"),
        ] {
            let body = format!(r#"{{"errors":[{{"code":"TAG_INVALID","message":"{words}"}}]}}"#);
            assert!(refusal(status, &body).names_immutable_tag(), "{words}");
        }
        assert!(!refusal(400, r#"{"errors":[{"code":"MANIFEST_INVALID","message":"bad"}]}"#).names_immutable_tag());
    }
}
