//! What Azure answers when it refuses, and what a person can do about it.
//!
//! Its services speak four dialects: Entra ID (`error`, `error_description`, `error_codes`), Resource Manager and IMDS
//! (`error` as an object, or as a word), Blob Storage (XML) and registries (`errors`).

use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::{Error, ErrorCode, text};
use http::StatusCode;
use http::header::{DATE, RETRY_AFTER};
use serde_json::Value;

use crate::api::Answer;

/// No refusal that makes sense is longer.
const REFUSAL_MOST: usize = 64 << 10;

/// The number of an error of Entra ID: `AADSTS700016` ("Microsoft Entra authentication and authorization error codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AadCode(u32);

impl AadCode {
    /// The first one in a text.
    pub(crate) fn within(words: &str) -> Option<Self> {
        let (_, rest) = words.split_once("AADSTS")?;
        let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        rest.get(..digits.min(9))?.parse().ok().map(Self)
    }

    /// What it means and what to do. `None` for one that is not known.
    const fn meaning(self) -> Option<Meaning> {
        use Meaning as M;
        Some(match self.0 {
            50_020 | 50_034 | 50_128 | 50_194 | 90_002 | 90_072 | 500_011 | 700_016 | 900_023 | 7_000_229 => {
                M::WrongTenant
            }
            7_000_215 | 7_000_218 | 700_027 => M::WrongSecret,
            7_000_222 | 700_082 | 50_173 | 70_043 | 70_044 | 70_008 | 50_078 | 50_132 | 50_133 => M::Expired,
            700_024 | 50_013 => M::Clock,
            70_021 | 700_211 | 700_212 | 700_213 | 700_223 => M::NoFederation,
            7_000_112 | 7_000_114 | 50_057 | 50_105 => M::SwitchedOff,
            50_076 | 50_079 | 50_158 | 53_000 | 53_001 | 53_003 | 65_001 | 50_058 => M::NeedsPerson,
            90_033 | 50_196 | 90_006 | 90_024 | 90_055 | 50_087 => M::Later,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    WrongTenant,
    WrongSecret,
    Expired,
    Clock,
    NoFederation,
    SwitchedOff,
    NeedsPerson,
    Later,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
    entra: Option<AadCode>,
    retry_after: Option<u32>,
    /// The server's clock.
    date: Option<String>,
}

impl Refusal {
    pub(crate) fn read(answer: &Answer) -> Self {
        let body = String::from_utf8_lossy(answer.body.get(..REFUSAL_MOST).unwrap_or(&answer.body));
        let (code, message, entra) = match serde_json::from_str::<Value>(body.trim_start_matches('\u{feff}')) {
            Ok(json) => in_json(&json),
            Err(_) => (element(&body, "Code"), in_xml(&body), None),
        };
        let code = code.or_else(|| answer.header("x-ms-error-code").map(str::to_owned)).unwrap_or_default();
        let message = message.unwrap_or_default();
        Self {
            status: answer.status,
            entra: entra.or_else(|| AadCode::within(&message)),
            // Neither of the strings is ours.
            code: text::line(&code, 80),
            message: text::line(first_line(&message), 400),
            retry_after: retry_after(answer),
            date: answer.header(DATE.as_str()).map(|date| text::line(date, 40)),
        }
    }

    /// What a program said of a refusal of Entra ID.
    pub(crate) fn of_entra(entra: Option<AadCode>, words: &str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: String::new(),
            message: text::line(first_line(words), 400),
            entra,
            retry_after: None,
            date: None,
        }
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// What it says, for a person.
    pub(crate) fn words(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => self.status.to_string(),
            ("", message) => message.to_owned(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }

    /// The error for a person and for the driver. `needs` is the permission that the call takes.
    pub(crate) fn into_error(self, subject: &str, needs: Option<&str>, now: Timestamp) -> Error {
        let error = |code| Error::new(code, format!("Azure refused it: {}", self.words())).on(subject);
        let denied = |hint: &str| error(ErrorCode::PermissionDenied).with_hint(hint);
        if let Some(meaning) = self.entra.and_then(AadCode::meaning) {
            return match meaning {
                Meaning::WrongTenant => denied(
                    "check the tenant (AZURE_TENANT_ID) and the client id (AZURE_CLIENT_ID); what was named is not in it",
                ),
                Meaning::WrongSecret => denied("correct the credential of the application, then resume"),
                Meaning::Expired => denied("renew the credential, or log in again (`az login`), then resume"),
                Meaning::Clock => self.clocks(denied(""), now),
                Meaning::NoFederation => denied(
                    "add a federated credential to the identity for this cluster's issuer and this service account",
                ),
                Meaning::SwitchedOff => {
                    denied("the identity is switched off or not assigned; ask who administers the tenant")
                }
                Meaning::NeedsPerson => {
                    denied("log in again where a person can answer (`az login`), or use another identity")
                }
                Meaning::Later => self.unavailable(error(ErrorCode::CloudUnavailable)),
            };
        }
        let says = |words: &str| self.message.contains(words);
        match self.code.as_str() {
            "ExpiredAuthenticationToken" | "ExpiredToken" | "invalid_grant" => {
                denied("renew the credentials, then resume").with_retry(Retry::Temporary)
            }
            "InvalidAuthenticationTokenTenant" | "invalid_tenant" => {
                denied("the token is of another tenant than the subscription; correct AZURE_TENANT_ID, or log in to it")
            }
            "InvalidAuthenticationInfo" if says("Issuer") => {
                denied("the token is of another tenant than the storage account; correct AZURE_TENANT_ID")
            }
            "AuthenticationFailed" | "InvalidAuthenticationInfo" | "RequestTimeTooSkewed" => {
                self.clocks(denied(""), now)
            }
            "AuthorizationFailed"
            | "LinkedAuthorizationFailed"
            | "AuthorizationPermissionMismatch"
            | "InsufficientAccountPermissions" => {
                denied(&self.missing(needs).unwrap_or_else(|| "grant what the message names".to_owned()))
            }
            // A registry says the same word of a permission and of its firewall.
            "DENIED" if says("aka.ms/acr/firewall") || says("is not allowed access") => {
                denied("let this network through the firewall of the registry (`az acr network-rule add`)")
            }
            "DENIED" => denied(&self.missing(needs).unwrap_or_else(|| "grant what the message names".to_owned())),
            "AuthorizationFailure" | "PublicNetworkAccessDisabled" | "IpAuthorizationSourceIPMismatch" => {
                denied(&self.missing(needs).map_or_else(
                    || "let this network through the firewall of the resource".to_owned(),
                    |hint| format!("let this network through the firewall of the resource, or {hint}"),
                ))
            }
            "KeyBasedAuthenticationNotPermitted" => denied("the account takes no keys; use tokens of Entra ID"),
            "RequestDisallowedByPolicy" | "PublicAccessNotPermitted" => {
                denied("an Azure Policy or a setting of the account forbids it; ask who administers the subscription")
            }
            "ScopeLocked"
            | "ReadOnlyDisabledSubscription"
            | "SubscriptionNotRegistered"
            | "AccountIsDisabled"
            | "MissingSubscriptionRegistration" => {
                denied("the subscription, or a lock on the resource, needs attention at Azure")
            }
            "FeatureNotSupportedForAccount" => error(ErrorCode::RequestInvalid)
                .with_hint("use a general-purpose storage account without a hierarchical namespace"),
            "SubscriptionNotFound" | "InvalidSubscriptionId" => error(ErrorCode::ObjectMissing)
                .with_hint("correct AZURE_SUBSCRIPTION_ID; a subscription of another tenant is not found either"),
            "ResourceGroupNotFound" => error(ErrorCode::ObjectMissing).with_hint("correct AZURE_RESOURCE_GROUP"),
            "ResourceNotFound" | "NotFound" | "ParentResourceNotFound" | "NAME_UNKNOWN" | "MANIFEST_UNKNOWN" => {
                error(ErrorCode::ObjectMissing).with_hint("correct the name, the resource group or the subscription")
            }
            "InvalidResourceName" | "OutOfRangeInput" | "InvalidMetadata" | "InvalidHeaderValue" => {
                error(ErrorCode::ValueInvalid)
            }
            "UNAUTHORIZED" => {
                denied("the registry takes no token of this identity; assign it AcrPull and AcrPush there")
            }
            "ContainerBeingDeleted"
            | "ServerBusy"
            | "OperationTimedOut"
            | "InternalError"
            | "InternalServerError"
            | "AnotherOperationInProgress"
            | "StorageAccountOperationInProgress"
            | "TooManyRequests"
            | "Conflict" => self.unavailable(error(ErrorCode::CloudUnavailable)),
            _ => self.by_status(error, needs),
        }
    }

    fn by_status(&self, error: impl Fn(ErrorCode) -> Error, needs: Option<&str>) -> Error {
        match self.status {
            StatusCode::UNAUTHORIZED => error(ErrorCode::PermissionDenied)
                .with_hint("renew or correct the credentials, then resume")
                .with_retry(Retry::Temporary),
            StatusCode::FORBIDDEN => {
                let error = error(ErrorCode::PermissionDenied);
                match self.missing(needs) {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                }
            }
            StatusCode::NOT_FOUND => {
                error(ErrorCode::ObjectMissing).with_hint("correct the name, the resource group or the subscription")
            }
            StatusCode::METHOD_NOT_ALLOWED => error(ErrorCode::PermissionDenied)
                .with_hint("it is locked (`writeEnabled` or `deleteEnabled` is false); unlock it first"),
            // 412: somebody else has changed it since it was read.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::GONE
            | StatusCode::CONFLICT
            | StatusCode::PRECONDITION_FAILED => self.unavailable(error(ErrorCode::CloudUnavailable)),
            status if status.is_server_error() => self.unavailable(error(ErrorCode::CloudUnavailable)),
            StatusCode::BAD_REQUEST => error(ErrorCode::RequestInvalid),
            _ => error(ErrorCode::CloudAnswerInvalid),
        }
    }

    fn unavailable(&self, error: Error) -> Error {
        match self.retry_after {
            Some(seconds) => error.with_hint(format!("resume in {seconds} s")),
            None => error,
        }
    }

    /// The hint for a missing permission: the one that the message names, else the one that the call takes.
    fn missing(&self, needs: Option<&str>) -> Option<String> {
        // "… does not have authorization to perform action 'Microsoft.…/read' over scope '/subscriptions/…' or …"
        let named = |word: &str| self.message.split_once(word)?.1.split_once('\'').map(|(name, _)| name);
        let (action, scope) = (named("perform action '"), named("over scope '"));
        let action = action.or(needs)?;
        Some(match scope {
            Some(scope) => format!("grant `{action}` at `{scope}`"),
            None => format!("grant `{action}`"),
        })
    }

    /// A refusal that a wrong clock explains names both clocks.
    fn clocks(&self, error: Error, now: Timestamp) -> Error {
        let theirs = self.date.as_deref().unwrap_or("what it did not say");
        error.with_hint(format!(
            "renew or correct the credentials, and compare the clocks: this machine says {now}, Azure {theirs}"
        ))
    }
}

/// In how many seconds it may be tried again: as every server says it, or as some of Azure's do, in milliseconds.
fn retry_after(answer: &Answer) -> Option<u32> {
    let number = |name: &str| answer.header(name).and_then(|text| text.trim().parse::<u32>().ok());
    let milliseconds = || number("retry-after-ms").or_else(|| number("x-ms-retry-after-ms"));
    number(RETRY_AFTER.as_str()).or_else(|| milliseconds().map(|milliseconds| milliseconds.div_ceil(1000)))
}

type Parsed = (Option<String>, Option<String>, Option<AadCode>);

fn in_json(json: &Value) -> Parsed {
    let word = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    // A registry's list.
    if let Some(first) = json.pointer("/errors/0") {
        return (word(first.get("code")), word(first.get("message")), None);
    }
    let error = json.get("error");
    // Resource Manager's object.
    if let Some(error) = error.filter(|error| error.is_object()) {
        return (word(error.get("code")), word(error.get("message")), None);
    }
    let number = json.pointer("/error_codes/0").and_then(Value::as_u64).and_then(|number| number.try_into().ok());
    let message = word(json.get("error_description")).or_else(|| word(json.get("message")));
    (word(error).or_else(|| word(json.get("code"))), message, number.map(AadCode))
}

/// Blob Storage says what was wrong with a signature or a token in an element of its own.
fn in_xml(body: &str) -> Option<String> {
    let message = element(body, "Message")?;
    let detail = element(body, "AuthenticationErrorDetail");
    Some(detail.map_or_else(|| first_line(&message).to_owned(), |detail| format!("{} {detail}", first_line(&message))))
}

/// Behind it stand ids of the request and the time.
fn first_line(text: &str) -> &str {
    let text = text.trim_start();
    let line = text.lines().next().unwrap_or_default();
    line.split(" Trace ID:").next().unwrap_or_default().trim_end()
}

/// The text of the first element of this name.
pub(crate) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Some(plain.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &str)], body: &str) -> Error {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = Answer { status, headers: map, body: Bytes::copy_from_slice(body.as_bytes()) };
        Refusal::read(&answer).into_error("thing `a`", Some("Microsoft.Thing/read"), Timestamp::from_millis(0))
    }

    #[test]
    fn every_number_of_entra_that_has_a_remedy_names_it() {
        for (number, code, retry, word) in [
            (50_020, ErrorCode::PermissionDenied, Retry::Permanent, "AZURE_TENANT_ID"),
            (700_016, ErrorCode::PermissionDenied, Retry::Permanent, "AZURE_CLIENT_ID"),
            (90_002, ErrorCode::PermissionDenied, Retry::Permanent, "AZURE_TENANT_ID"),
            (50_034, ErrorCode::PermissionDenied, Retry::Permanent, "AZURE_TENANT_ID"),
            (7_000_215, ErrorCode::PermissionDenied, Retry::Permanent, "correct the credential"),
            (7_000_222, ErrorCode::PermissionDenied, Retry::Permanent, "renew the credential"),
            (700_024, ErrorCode::PermissionDenied, Retry::Permanent, "this machine says 1970-01-01"),
            (700_213, ErrorCode::PermissionDenied, Retry::Permanent, "federated credential"),
            (53_003, ErrorCode::PermissionDenied, Retry::Permanent, "az login"),
            (90_033, ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
        ] {
            let body = format!(
                r#"{{"error":"x","error_description":"AADSTS{number}: why. Trace ID: t","error_codes":[{number}]}}"#
            );
            let error = refused(400, &[("date", "Sun, 06 Nov 1994 08:49:37 GMT")], &body);
            assert_eq!((error.code(), error.retry()), (code, retry), "{number}");
            assert!(error.hint().contains(word), "{number}: {}", error.sentence());
            assert!(error.message().contains(&format!("AADSTS{number}: why.")), "{}", error.message());
            assert!(!error.message().contains("Trace ID"), "{}", error.message());
        }
    }

    #[test]
    fn a_missing_permission_is_named_as_azure_names_it_or_as_the_call_does() {
        let arm = r#"{"error":{"code":"AuthorizationFailed","message":"The client 'c' does not have authorization to perform action 'Microsoft.Storage/storageAccounts/read' over scope '/subscriptions/s' or the scope is invalid."}}"#;
        assert!(
            refused(403, &[], arm).hint().contains("`Microsoft.Storage/storageAccounts/read` at `/subscriptions/s`")
        );
        let xml = "\u{feff}<?xml version=\"1.0\"?><Error><Code>AuthorizationPermissionMismatch</Code><Message>This request is not authorized.\nRequestId:r</Message></Error>";
        let error = refused(403, &[], xml);
        assert!(error.hint().contains("`Microsoft.Thing/read`"), "{}", error.sentence());
        assert!(!error.message().contains("RequestId"), "{}", error.message());
        assert!(refused(403, &[], "").hint().contains("`Microsoft.Thing/read`"));
    }

    #[test]
    fn a_registry_behind_a_firewall_asks_for_its_network_and_not_for_a_permission() {
        let denied =
            |message: &str| refused(403, &[], &format!(r#"{{"errors":[{{"code":"DENIED","message":"{message}"}}]}}"#));
        let firewall = denied(
            "client with IP '192.0.2.7' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.",
        );
        assert!(firewall.hint().contains("firewall of the registry"), "{}", firewall.sentence());
        assert!(firewall.message().contains("192.0.2.7"), "{}", firewall.sentence());
        let permission = denied("requested access to the resource is denied");
        assert!(permission.hint().contains("`Microsoft.Thing/read`"), "{}", permission.sentence());
    }

    #[test]
    fn what_somebody_else_has_changed_meanwhile_may_be_tried_again() {
        let error = refused(412, &[], r#"{"error":{"code":"ConditionNotMet","message":"the etag has changed"}}"#);
        assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
    }

    #[test]
    fn every_dialect_is_understood() {
        for (status, body, code, word) in [
            (
                401,
                r#"{"error":{"code":"InvalidAuthenticationTokenTenant","message":"m"}}"#,
                ErrorCode::PermissionDenied,
                "another tenant",
            ),
            (
                401,
                r#"{"error":{"code":"ExpiredAuthenticationToken","message":"m"}}"#,
                ErrorCode::PermissionDenied,
                "renew",
            ),
            (
                404,
                r#"{"error":{"code":"SubscriptionNotFound","message":"m"}}"#,
                ErrorCode::ObjectMissing,
                "AZURE_SUBSCRIPTION_ID",
            ),
            (
                404,
                r#"{"error":{"code":"ResourceGroupNotFound","message":"m"}}"#,
                ErrorCode::ObjectMissing,
                "AZURE_RESOURCE_GROUP",
            ),
            (404, r#"{"code":"NotFound","message":"m"}"#, ErrorCode::ObjectMissing, "correct the name"),
            (401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"m"}]}"#, ErrorCode::PermissionDenied, "AcrPush"),
            (
                403,
                r#"{"errors":[{"code":"DENIED","message":"m"}]}"#,
                ErrorCode::PermissionDenied,
                "Microsoft.Thing/read",
            ),
            (
                403,
                "<Error><Code>AuthenticationFailed</Code><Message>m</Message><AuthenticationErrorDetail>Request date header too old</AuthenticationErrorDetail></Error>",
                ErrorCode::PermissionDenied,
                "compare the clocks",
            ),
            (
                403,
                "<Error><Code>KeyBasedAuthenticationNotPermitted</Code><Message>m</Message></Error>",
                ErrorCode::PermissionDenied,
                "tokens",
            ),
            (
                409,
                "<Error><Code>ContainerBeingDeleted</Code><Message>m</Message></Error>",
                ErrorCode::CloudUnavailable,
                "resume",
            ),
            (
                403,
                "<Error><Code>AuthorizationFailure</Code><Message>This request is not authorized.</Message></Error>",
                ErrorCode::PermissionDenied,
                "firewall",
            ),
            (
                403,
                r#"{"error":{"code":"RequestDisallowedByPolicy","message":"m"}}"#,
                ErrorCode::PermissionDenied,
                "Azure Policy",
            ),
            (
                409,
                r#"{"error":{"code":"FeatureNotSupportedForAccount","message":"m"}}"#,
                ErrorCode::RequestInvalid,
                "hierarchical namespace",
            ),
            (503, "", ErrorCode::CloudUnavailable, "resume"),
            (418, "<html>", ErrorCode::CloudAnswerInvalid, "check the address"),
        ] {
            let error = refused(status, &[], body);
            assert_eq!(error.code(), code, "{body}");
            assert!(error.hint().contains(word), "{body}: {}", error.hint());
        }
        for (name, value, seconds) in
            [("retry-after", "17", 17), ("retry-after-ms", "1500", 2), ("x-ms-retry-after-ms", "16001", 17)]
        {
            let later = refused(429, &[(name, value)], r#"{"error":{"code":"TooManyRequests","message":"m"}}"#);
            assert_eq!(
                (later.code(), later.hint()),
                (ErrorCode::CloudUnavailable, format!("resume in {seconds} s").as_str())
            );
        }
        for value in ["-1", "soon", "99999999999", "Fri, 21 Nov 2025 18:00:00 GMT"] {
            let later = refused(429, &[("retry-after", value)], "");
            assert_eq!(later.hint(), ErrorCode::CloudUnavailable.hint(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_and_no_word_of_it_drives_a_terminal(status in 100_u16..600, body in "(?s).{0,300}") {
            let sentence = refused(status, &[], &body).sentence();
            prop_assert!(!sentence.contains(['\u{1b}', '\n', '\r']), "{}", sentence);
            prop_assert!(sentence.chars().count() < 1200);
        }
    }
}
