//! What a server answers when it refuses: a status, with a code and a message as XML (S3, Azure, and Google's XML API)
//! or as JSON (Google's JSON API). No code means something else at another provider.

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use crate::error::Retry;
use crate::text;
use crate::{Error, ErrorCode};

/// A refusal, as an error that object_store hands through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server refused with {status} {code}: {message}")]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) message: String,
    /// The seconds after which the server wants to be asked again.
    retry_after: Option<u32>,
    /// The region that an S3 bucket is in.
    region: Option<String>,
    /// What the clocks said, ours as the request had it and the server's.
    clocks: Option<(String, String)>,
    /// Whether there was no body, as in an answer to HEAD.
    is_empty: bool,
}

/// No refusal that makes sense is longer.
const REFUSAL_MOST: usize = 64 << 10;

impl Refusal {
    /// Reads an answer. An answer to HEAD has no body; Azure says its code in a header then.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let is_empty = body.is_empty();
        let body = String::from_utf8_lossy(body.get(..REFUSAL_MOST).unwrap_or(body));
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let found = in_json(&body);
        let found = found.unwrap_or_else(|| (element(&body, "Code"), element(&body, "Message")));
        let (code, message) = found;
        let code = code.or_else(|| header("x-ms-error-code").map(str::to_owned)).unwrap_or_default();
        let region = header("x-amz-bucket-region").map(str::to_owned).or_else(|| element(&body, "Region"));
        let theirs = element(&body, "ServerTime").or_else(|| header(DATE.as_str()).map(str::to_owned));
        Self {
            status,
            // The message may hold names that are of use, but neither of the strings is ours.
            code: text::line(&code, 60),
            message: text::line(&message.unwrap_or_default(), 200),
            retry_after: header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok()),
            region: region.map(|region| text::line(&region, 40)),
            clocks: element(&body, "RequestTime")
                .zip(theirs)
                .map(|(ours, theirs)| (text::line(&ours, 40), text::line(&theirs, 40))),
            is_empty,
        }
    }

    /// Adds what the clocks said, where neither stands in the words: ours as the request had it, and the server's.
    pub(super) fn with_clocks(mut self, ours: Option<&HeaderValue>, theirs: Option<&HeaderValue>) -> Self {
        let line = |value: &HeaderValue| value.to_str().ok().map(|text| text::line(text, 40));
        self.clocks = self.clocks.or_else(|| ours.and_then(line).zip(theirs.and_then(line)));
        self
    }

    /// Whether other credentials of the same source could help. An answer to HEAD has no words, and S3 refuses an ended
    /// session with 400.
    pub(super) fn may_be_ended_session(&self) -> bool {
        matches!(self.code.as_str(), "ExpiredToken" | "TokenRefreshRequired") || self.is_wordless_bad_request()
    }

    fn is_wordless_bad_request(&self) -> bool {
        self.status == StatusCode::BAD_REQUEST && self.is_empty && self.code.is_empty()
    }

    /// The error in a successful answer: S3 sends the head of a long answer before it knows how it ends.
    pub(super) fn within(body: &[u8]) -> Option<Self> {
        let begin = String::from_utf8_lossy(&body[..body.len().min(400)]);
        let is_error = begin.contains("<Error>") || begin.contains("<Error ");
        is_error.then(|| Self::read(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), body))
    }

    /// Whether the server refuses a retention or a hold: mostly because the bucket is not set up for them.
    fn concerns_retention(&self) -> bool {
        let says = |text: &str| {
            let text = text.to_ascii_lowercase();
            ["object lock", "objectlock", "retention", "immutab", "legal hold"].iter().any(|word| text.contains(word))
        };
        matches!(self.status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT)
            && (says(&self.code) || says(&self.message))
    }

    /// The error for a person and for the driver.
    pub(super) fn error(&self, subject: &str) -> Error {
        let said = match (self.code.as_str(), self.message.as_str()) {
            ("", "") => format!("the server answered with {}", self.status),
            ("", message) => format!("the server answered with {}: {message}", self.status),
            (code, "") => format!("the server answered with {code}"),
            (code, message) => format!("the server answered with {code}: {message}"),
        };
        let error = |code| Error::new(code, said.clone()).on(subject);
        let unavailable = || match self.retry_after {
            Some(seconds) => error(ErrorCode::CloudUnavailable).with_hint(format!("resume in {seconds} s")),
            None => error(ErrorCode::CloudUnavailable),
        };
        match self.code.as_str() {
            "ExpiredToken" | "TokenRefreshRequired" => error(ErrorCode::PermissionDenied)
                .with_hint("renew the credentials of the bucket, then resume")
                .with_retry(Retry::Temporary),
            "RequestTimeTooSkewed" => error(ErrorCode::PermissionDenied).with_hint(match &self.clocks {
                Some((ours, theirs)) => {
                    format!(
                        "correct this machine's clock, which said {ours} when the server's said {theirs}, then resume"
                    )
                }
                None => "correct this machine's clock, then resume".to_owned(),
            }),
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" => {
                error(ErrorCode::PermissionDenied).with_hint("correct the credentials of the bucket")
            }
            // Azure says this of a wrong key, of an expired token and of a clock that is off.
            "AuthenticationFailed" | "InvalidAuthenticationInfo" => {
                let clocks = self.clocks.as_ref().map_or_else(String::new, |(ours, theirs)| {
                    format!(", which said {ours} when the server's said {theirs}")
                });
                error(ErrorCode::PermissionDenied).with_hint(format!(
                    "renew or correct the credentials of the bucket, and check this machine's clock{clocks}"
                ))
            }
            "AccountIsDisabled" | "accountDisabled" | "UserProjectAccountProblem" => {
                error(ErrorCode::PermissionDenied).with_hint("the account needs attention at its provider")
            }
            "NoSuchBucket" | "ContainerNotFound" => {
                error(ErrorCode::RequestInvalid).with_hint("create the bucket, or correct its name")
            }
            "AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect" => self.elsewhere(&error),
            // An answer to HEAD has no words.
            "" if matches!(self.status, StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT) => {
                self.elsewhere(&error)
            }
            "" if self.is_wordless_bad_request() => error(ErrorCode::PermissionDenied)
                .with_hint("renew the credentials of the bucket, or correct its region, then resume")
                .with_retry(Retry::Temporary),
            // Azurite, of what it does not emulate: asking again changes nothing.
            "APINotImplemented" => error(ErrorCode::RequestInvalid).with_hint("use a server that can do that"),
            "retentionPolicyNotMet" | "BlobImmutableDueToPolicy" | "objectUnderActiveHold" => {
                error(ErrorCode::RequestInvalid).with_hint("the bucket's retention forbids it until it ends")
            }
            "KeyBasedAuthenticationNotPermitted" => error(ErrorCode::PermissionDenied)
                .with_hint("the storage account takes no keys; use tokens of Entra ID"),
            "AuthorizationFailure" | "PublicNetworkAccessDisabled" | "IpAuthorizationSourceIPMismatch" => {
                error(ErrorCode::PermissionDenied)
                    .with_hint("let this network through the firewall of the storage account")
            }
            _ if self.concerns_retention() => error(ErrorCode::RequestInvalid).with_hint(
                "set the bucket up for retention, or deploy without; it cannot be shortened where it is firm",
            ),
            "BadDigest"
            | "InvalidDigest"
            | "XAmzContentSHA256Mismatch"
            | "XAmzContentChecksumMismatch"
            | "Md5Mismatch"
            | "Crc64Mismatch" => error(ErrorCode::DigestMismatch).with_retry(Retry::Temporary),
            // The blocks of an upload go when another one to the same blob is committed.
            "InvalidBlockList" => error(ErrorCode::CloudUnavailable)
                .with_hint("resume; someone else has written the same key at the same time"),
            "SlowDown"
            | "InternalError"
            | "ServiceUnavailable"
            | "RequestTimeout"
            | "OperationAborted"
            | "ConditionalRequestConflict"
            | "ServerBusy"
            | "OperationTimedOut"
            | "ContainerBeingDeleted"
            | "rateLimitExceeded"
            | "userRateLimitExceeded"
            | "backendError"
            | "internalError" => unavailable(),
            // A token that was good a moment ago has expired, or was withdrawn.
            _ if self.status == StatusCode::UNAUTHORIZED => error(ErrorCode::PermissionDenied)
                .with_hint("renew or correct the credentials of the bucket, then resume")
                .with_retry(Retry::Temporary),
            _ if self.status == StatusCode::FORBIDDEN => error(ErrorCode::PermissionDenied)
                .with_hint("allow these credentials to read, write, list and delete in the bucket"),
            _ if self.is_temporary() => unavailable(),
            _ => error(ErrorCode::CloudAnswerInvalid),
        }
    }

    fn elsewhere(&self, error: &impl Fn(ErrorCode) -> Error) -> Error {
        error(ErrorCode::RequestInvalid).with_hint(match &self.region {
            Some(region) => format!("correct the region of the bucket: it is in {region}"),
            None => "correct the region and the endpoint of the bucket".to_owned(),
        })
    }

    fn is_temporary(&self) -> bool {
        self.status.is_server_error()
            || matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT)
    }
}

/// Code and message of an error of Google's JSON API, whose code is the reason of its first detail.
fn in_json(body: &str) -> Option<(Option<String>, Option<String>)> {
    let answer: Value = serde_json::from_str(body).ok()?;
    let error = answer.get("error")?;
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let reason = error.pointer("/errors/0/reason").or_else(|| error.get("status")).unwrap_or(error);
    let message = error.get("message").or_else(|| answer.get("error_description"));
    Some((word(reason), message.and_then(word)))
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
        Refusal::read(status, &HeaderMap::new(), body.as_bytes()).error("object `a`")
    }

    #[test]
    fn a_refusal_names_what_to_do() {
        for (status, code, expected, retry, hint) in [
            (403, "AccessDenied", ErrorCode::PermissionDenied, Retry::Permanent, "allow these credentials"),
            (400, "ExpiredToken", ErrorCode::PermissionDenied, Retry::Temporary, "renew the credentials"),
            (403, "SignatureDoesNotMatch", ErrorCode::PermissionDenied, Retry::Permanent, "correct the credentials"),
            (403, "RequestTimeTooSkewed", ErrorCode::PermissionDenied, Retry::Permanent, "clock"),
            (403, "AuthorizationFailure", ErrorCode::PermissionDenied, Retry::Permanent, "firewall"),
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
    fn the_region_of_a_bucket_and_both_clocks_are_named_where_the_server_says_them() {
        let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        let error = refused(400, malformed);
        assert_eq!(
            (error.code(), error.hint()),
            (ErrorCode::RequestInvalid, "correct the region of the bucket: it is in eu-west-1")
        );
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-bucket-region", "us-west-2".parse().expect("a value"));
        let error = Refusal::read(StatusCode::MOVED_PERMANENTLY, &headers, b"").error("object `a`");
        assert_eq!(error.code(), ErrorCode::RequestInvalid, "HEAD has no words");
        assert!(error.hint().contains("us-west-2"), "{}", error.hint());
        let skewed = "<Error><Code>RequestTimeTooSkewed</Code><Message>off</Message><RequestTime>20260101T000000Z\
                      </RequestTime><ServerTime>2026-11-21T18:00:00Z</ServerTime></Error>";
        let error = refused(403, skewed);
        assert!(error.hint().contains("said 20260101T000000Z when the server's said 2026-11-21T18:00:00Z"), "{error}");
    }

    #[test]
    fn a_refusal_without_words_speaks_by_its_status() {
        assert_eq!(refused(503, "").code(), ErrorCode::CloudUnavailable);
        assert_eq!(refused(429, "busy").code(), ErrorCode::CloudUnavailable);
        assert_eq!(refused(403, "").code(), ErrorCode::PermissionDenied);
        assert_eq!(refused(418, "<html>").code(), ErrorCode::CloudAnswerInvalid);
        let ended = refused(400, "");
        assert_eq!((ended.code(), ended.retry()), (ErrorCode::PermissionDenied, Retry::Temporary));
    }

    #[test]
    fn the_words_of_a_server_cannot_drive_a_terminal_or_fill_it() {
        let message = format!("\u{1b}[31m{}", "x".repeat(100_000));
        let sentence = refused(400, &format!("<Code>a\nb</Code><Message>{message}</Message>")).sentence();
        assert!(sentence.len() < 600 && !sentence.contains(['\u{1b}', '\n']), "{sentence}");
    }
}
