//! What S3 answers when it refuses: a status, and XML with a code and a message.

use http::StatusCode;

use crate::error::Retry;
use crate::text;
use crate::{Error, ErrorCode};

/// A refusal, as an error that object_store hands through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server refused with {status} {code}: {message}")]
pub(in crate::bucket) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    /// Reads an answer. An answer to HEAD has no body.
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        // The message may hold names that are of use, but neither of the strings is ours.
        let part = |name, most| element(&body, name).map_or_else(String::new, |text| text::line(&text, most));
        Self { status, code: part("Code", 60), message: part("Message", 200) }
    }

    /// The error in a successful answer: S3 sends the head of a long answer before it knows how it ends.
    pub(super) fn within(body: &[u8]) -> Option<Self> {
        let begin = String::from_utf8_lossy(&body[..body.len().min(400)]);
        let is_error = begin.contains("<Error>") || begin.contains("<Error ");
        is_error.then(|| Self::read(StatusCode::INTERNAL_SERVER_ERROR, body))
    }

    /// The error for a person and for the driver.
    pub(in crate::bucket) fn error(&self, subject: &str) -> Error {
        let said = match (self.code.as_str(), self.message.as_str()) {
            ("", "") => format!("the server answered with {}", self.status),
            ("", message) => format!("the server answered with {}: {message}", self.status),
            (code, "") => format!("the server answered with {code}"),
            (code, message) => format!("the server answered with {code}: {message}"),
        };
        let error = |code| Error::new(code, said.clone()).on(subject);
        match self.code.as_str() {
            "ExpiredToken" | "TokenRefreshRequired" => error(ErrorCode::PermissionDenied)
                .with_hint("renew the credentials of the bucket, then resume")
                .with_retry(Retry::Temporary),
            "RequestTimeTooSkewed" => {
                error(ErrorCode::PermissionDenied).with_hint("correct this machine's clock, then resume")
            }
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" => {
                error(ErrorCode::PermissionDenied).with_hint("correct the credentials of the bucket")
            }
            "NoSuchBucket" => error(ErrorCode::RequestInvalid).with_hint("create the bucket, or correct its name"),
            "AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect" => {
                error(ErrorCode::RequestInvalid).with_hint("correct the region and the endpoint of the bucket")
            }
            "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" => {
                error(ErrorCode::DigestMismatch).with_retry(Retry::Temporary)
            }
            "SlowDown"
            | "InternalError"
            | "ServiceUnavailable"
            | "RequestTimeout"
            | "OperationAborted"
            | "ConditionalRequestConflict" => error(ErrorCode::CloudUnavailable),
            _ if matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                error(ErrorCode::PermissionDenied)
                    .with_hint("allow these credentials to read, write, list and delete in the bucket")
            }
            _ if self.is_temporary() => error(ErrorCode::CloudUnavailable),
            _ => error(ErrorCode::CloudAnswerInvalid),
        }
    }

    fn is_temporary(&self) -> bool {
        self.status.is_server_error()
            || matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT)
    }
}

/// The text of the first element of this name.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Some(plain.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).expect("a status");
        Refusal::read(status, body.as_bytes()).error("object `a`")
    }

    #[test]
    fn a_refusal_names_what_to_do() {
        for (status, code, expected, retry, hint) in [
            (403, "AccessDenied", ErrorCode::PermissionDenied, Retry::Permanent, "allow these credentials"),
            (400, "ExpiredToken", ErrorCode::PermissionDenied, Retry::Temporary, "renew the credentials"),
            (403, "SignatureDoesNotMatch", ErrorCode::PermissionDenied, Retry::Permanent, "correct the credentials"),
            (403, "RequestTimeTooSkewed", ErrorCode::PermissionDenied, Retry::Permanent, "clock"),
            (404, "NoSuchBucket", ErrorCode::RequestInvalid, Retry::Permanent, "create the bucket"),
            (503, "SlowDown", ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
            (409, "ConditionalRequestConflict", ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
            (400, "BadDigest", ErrorCode::DigestMismatch, Retry::Temporary, "upload again"),
            (400, "MalformedXML", ErrorCode::CloudAnswerInvalid, Retry::Permanent, "check the address"),
        ] {
            let error = refused(status, &format!("<Error><Code>{code}</Code><Message>why</Message></Error>"));
            assert_eq!((error.code(), error.retry()), (expected, retry), "{code}");
            assert!(error.sentence().contains(&format!("{code}: why")), "{}", error.sentence());
            assert!(error.hint().contains(hint), "{code}: {}", error.hint());
        }
    }

    #[test]
    fn a_refusal_without_words_speaks_by_its_status() {
        assert_eq!(refused(503, "").code(), ErrorCode::CloudUnavailable);
        assert_eq!(refused(429, "busy").code(), ErrorCode::CloudUnavailable);
        assert_eq!(refused(403, "").code(), ErrorCode::PermissionDenied);
        assert_eq!(refused(418, "<html>").code(), ErrorCode::CloudAnswerInvalid);
    }

    #[test]
    fn the_words_of_a_server_cannot_drive_a_terminal_or_fill_it() {
        let message = format!("\u{1b}[31m{}", "x".repeat(100_000));
        let sentence = refused(400, &format!("<Code>a\nb</Code><Message>{message}</Message>")).sentence();
        assert!(sentence.len() < 600 && !sentence.contains(['\u{1b}', '\n']), "{sentence}");
    }
}
