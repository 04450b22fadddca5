//! What Google answers when it refuses, and what to do about it.
//!
//! An API answers with `{"error": {"code", "message", "status", "errors", "details"}}` ("Errors" of the API design
//! guide); the reason is in `details[].reason` of the type `ErrorInfo`, or in `errors[].reason` of the older APIs. A
//! token service answers with `{"error", "error_description"}` (RFC 6749, section 5.2).

use std::time::Duration;

use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::{Error, ErrorCode, text};
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::moment;
use crate::permissions::Permission;

/// No refusal that makes sense is longer.
const LONGEST: usize = 64 << 10;
/// Google takes assertions whose times are off by less ("reasonable timeframe").
const SKEW_MOST: Duration = Duration::from_mins(5);

/// What a token service was shown, which says what to renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// What the key of a service account has signed.
    Key,
    /// The login of a user.
    Login,
    /// The token of another provider of identities.
    Identity,
}

/// A refusal.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The word for what is wrong.
    reason: String,
    message: String,
    /// The permission that is missing, where Google names it.
    permission: Option<String>,
    /// The API that is switched off, where that is the reason.
    service: Option<String>,
    retry_after: Option<u32>,
    /// What Google's clock said, and ours.
    clocks: Option<(Timestamp, Timestamp)>,
}

impl Refusal {
    /// Reads an answer that was received now.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Self {
        let body = body.get(..LONGEST).unwrap_or(body);
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let word = |value: Option<&Value>| text::line(value.and_then(Value::as_str).unwrap_or_default(), 80);
        let error = &document["error"];
        let details = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
        let info = details.iter().find(|detail| detail["@type"].as_str().is_some_and(|it| it.ends_with(".ErrorInfo")));
        let is_oauth = error.is_string();
        let reason = if is_oauth {
            word(Some(error))
        } else {
            let found = info.and_then(|info| info.get("reason")).or_else(|| error.pointer("/errors/0/reason"));
            word(found.or_else(|| error.get("status")))
        };
        let message = if is_oauth { document.get("error_description") } else { error.get("message") };
        let message = text::line(message.and_then(Value::as_str).unwrap_or_default(), 300);
        let metadata = |name: &str| {
            let found = word(info.and_then(|info| info.pointer(&format!("/metadata/{name}"))));
            (!found.is_empty()).then_some(found)
        };
        let server = header(DATE.as_str()).and_then(moment::read_http);
        Self {
            status,
            permission: metadata("permission").or_else(|| permission_in(&message)),
            service: metadata("service"),
            retry_after: header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok()),
            clocks: server.map(|server| (server, now)),
            reason,
            message,
        }
    }

    /// What Google said, in words.
    fn said(&self) -> String {
        match (self.reason.as_str(), self.message.as_str()) {
            ("", "") => format!("Google answered with {}", self.status),
            ("", message) => format!("Google answered with {}: {message}", self.status),
            (reason, "") => format!("Google answered with {reason}"),
            (reason, message) => format!("Google answered with {reason}: {message}"),
        }
    }

    fn is(&self, reasons: &[&str]) -> bool {
        reasons.contains(&self.reason.as_str())
    }

    /// Whether a message holds one of these words.
    fn says(&self, words: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        words.iter().any(|word| message.contains(word))
    }

    /// What to do about a clock that is off, if one is.
    fn skew(&self) -> Option<String> {
        let (server, own) = self.clocks?;
        let is_off = server.since(own) > SKEW_MOST || own.since(server) > SKEW_MOST;
        is_off.then(|| format!("correct the clock: this machine says {own}, and Google says {server}"))
    }

    /// The error of a call of an API, which needs this permission.
    pub(crate) fn error(&self, subject: &str, permission: Option<Permission>) -> Error {
        let error = |code| Error::new(code, self.said()).on(subject);
        if self.is_throttled() || self.is_temporary() {
            let error = error(ErrorCode::CloudUnavailable);
            return match self.retry_after {
                Some(seconds) => error.with_hint(format!("resume in {seconds} s")),
                None => error,
            };
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let hint = self.skew().unwrap_or_else(|| {
                    "the token was refused even when it was new; renew the credentials, then resume".to_owned()
                });
                error(ErrorCode::PermissionDenied).with_hint(hint).with_retry(Retry::Temporary)
            }
            StatusCode::FORBIDDEN => error(ErrorCode::PermissionDenied).with_hint(self.remedy(permission)),
            StatusCode::NOT_FOUND => {
                error(ErrorCode::ObjectMissing).with_hint("check the name, the location and the project")
            }
            _ if self.is_forbidden_by_policy() => error(ErrorCode::PermissionDenied).with_hint(
                "a policy of the organization forbids it; choose what it allows, or have it changed for the project",
            ),
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => error(ErrorCode::ObjectConflict)
                .with_hint("somebody else is changing it; resume when they are done")
                .with_retry(Retry::Temporary),
            StatusCode::BAD_REQUEST => error(ErrorCode::ValueInvalid).with_hint("correct the setting named"),
            _ => error(ErrorCode::CloudAnswerInvalid),
        }
    }

    /// What to do about a 403.
    fn remedy(&self, permission: Option<Permission>) -> String {
        if self.says(&["quota project"]) {
            return "a user's login needs a project to count its calls for: set GOOGLE_CLOUD_QUOTA_PROJECT or \
                    `with_quota_project`"
                .to_owned();
        }
        if self.is(&["USER_PROJECT_DENIED"]) || self.says(&["serviceusage.services.use"]) {
            return "grant serviceusage.services.use to these credentials in the project that calls are counted for \
                    (roles/serviceusage.serviceUsageConsumer), or name another one (GOOGLE_CLOUD_QUOTA_PROJECT)"
                .to_owned();
        }
        if self.is(&["SERVICE_DISABLED", "accessNotConfigured"]) {
            let service = self.service.as_deref().unwrap_or("the API that is named");
            return format!("enable {service} in the project (`gcloud services enable`), then resume");
        }
        if self.is(&["BILLING_DISABLED", "accountDisabled", "CONSUMER_SUSPENDED"]) {
            return "the project or its billing account needs attention at Google".to_owned();
        }
        if self.is(&["ACCESS_TOKEN_SCOPE_INSUFFICIENT", "insufficientPermissions"]) {
            return "the token lacks the scope `cloud-platform`; set the scopes of the machine or of the builder"
                .to_owned();
        }
        if self.is(&["SECURITY_POLICY_VIOLATED", "vpcServiceControls"]) {
            return "a VPC Service Controls perimeter forbids it; call from inside, or add an ingress rule".to_owned();
        }
        match self.permission.as_deref().or(permission.map(|permission| permission.name)) {
            Some(name) => format!("grant {name} to these credentials, then resume"),
            None => "grant the permission to these credentials, then resume".to_owned(),
        }
    }

    /// Cloud Storage says so with 412, as if the request had had a condition, and the newer APIs with 400.
    pub(crate) fn is_forbidden_by_policy(&self) -> bool {
        let statuses = [StatusCode::PRECONDITION_FAILED, StatusCode::BAD_REQUEST];
        statuses.contains(&self.status) && self.says(&["constraints/"])
    }

    fn is_throttled(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || self.is(&["rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"])
    }

    fn is_temporary(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::REQUEST_TIMEOUT
    }

    /// The error of a token service that was shown this.
    pub(crate) fn of_token(&self, subject: &str, shown: Shown) -> Error {
        let denied = |hint: &str| Error::new(ErrorCode::PermissionDenied, self.said()).on(subject).with_hint(hint);
        if self.is_throttled() || self.is_temporary() {
            return self.error(subject, None);
        }
        match self.reason.as_str() {
            "invalid_grant" if self.says(&["iat and exp", "timeframe", "stale", "issued at"]) => {
                let hint = self.skew().unwrap_or_else(|| match self.clocks {
                    Some((_, own)) => format!("correct the clock, which says {own}, or renew what was shown"),
                    None => "correct this machine's clock, or renew what was shown".to_owned(),
                });
                denied(&hint)
            }
            "invalid_grant" if shown == Shown::Identity => denied(self.identity_remedy()),
            "invalid_grant" if self.says(&["signature"]) => {
                denied("the key was revoked, or is another account's; make a new one, and name its file")
            }
            "invalid_grant" if self.says(&["not found", "deleted", "disabled"]) => {
                denied("the account is gone or disabled; restore it, or use another one")
            }
            "invalid_grant" if shown == Shown::Key => denied("make a new key of the account, and name its file"),
            "invalid_grant" | "invalid_rapt" | "rapt_required" => {
                denied("the login has expired or was revoked; log in again (`gcloud auth application-default login`)")
            }
            "invalid_client" | "deleted_client" | "unauthorized_client" => {
                denied("the client or the attribute condition does not let these credentials in; correct them")
            }
            "invalid_target" => denied(
                "the pool or provider in the audience is not there, is disabled, or is of another project; correct it",
            ),
            "invalid_scope" => denied("correct the scopes of the builder"),
            "invalid_request" if shown == Shown::Identity => denied("correct the configuration of the federation"),
            _ => self.error(subject, None),
        }
    }

    /// What to do about the token of another provider, which Google does not take.
    fn identity_remedy(&self) -> &'static str {
        if self.says(&["audience"]) {
            "the token is meant for somebody else; have it made for the provider of the pool, or list its audience there"
        } else if self.says(&["issuer"]) {
            "the token is another tenant's; name the provider of the pool that trusts its issuer"
        } else if self.says(&["signature", "verify", "key"]) {
            "the keys of its issuer do not bear the token out; check the issuer, or the keys at the provider of the pool"
        } else if self.says(&["expired"]) {
            "the token has expired; renew it where it comes from, then resume"
        } else {
            "renew the token of the other provider, and check its issuer and its audience"
        }
    }
}

/// The permission that a message names: `… does not have storage.buckets.get access to …`, `Permission 'x.y.z' denied`.
fn permission_in(message: &str) -> Option<String> {
    let is_part = |part: &str| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    message
        .split(|symbol: char| symbol.is_whitespace() || matches!(symbol, '\'' | '"' | '`' | '(' | ')' | ','))
        .map(|word| word.trim_end_matches('.'))
        .find(|word| {
            let parts: Vec<_> = word.split('.').collect();
            let knows =
                ["storage", "artifactregistry", "container", "iam", "cloudkms", "resourcemanager", "serviceusage"];
            parts.len() == 3 && knows.contains(&parts[0]) && parts.iter().all(|part| is_part(part))
        })
        .map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::permissions::CLUSTER_GET;

    fn read(status: u16, headers: &[(&'static str, &str)], body: &str) -> Refusal {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        let now = moment::read("2026-11-21T10:00:00Z").expect("a moment");
        Refusal::read(status, &map, body.as_bytes(), now)
    }

    #[test]
    fn a_missing_permission_is_named_by_google_or_by_the_call() {
        let detailed = r#"{"error": {"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED",
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED",
            "metadata": {"permission": "artifactregistry.repositories.create"}}]}}"#;
        let worded = r#"{"error": {"code": 403, "errors": [{"reason": "forbidden"}],
            "message": "a@b.iam.gserviceaccount.com does not have storage.buckets.get access to the bucket."}}"#;
        for (body, name) in [
            (detailed, "artifactregistry.repositories.create"),
            (worded, "storage.buckets.get"),
            ("<html>", "container.clusters.get"),
        ] {
            let error = read(403, &[], body).error("cluster `a`", Some(CLUSTER_GET));
            assert_eq!(error.code(), ErrorCode::PermissionDenied);
            assert!(error.hint().contains(&format!("grant {name} to")), "{}", error.hint());
        }
    }

    #[test]
    fn what_is_not_a_missing_permission_is_not_called_one() {
        for (reason, word) in [
            ("SERVICE_DISABLED", "enable container.googleapis.com"),
            ("BILLING_DISABLED", "billing"),
            ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "scope"),
            ("SECURITY_POLICY_VIOLATED", "perimeter"),
        ] {
            let body = format!(
                r#"{{"error": {{"message": "no", "details": [{{"@type": "x.ErrorInfo", "reason": "{reason}",
                "metadata": {{"service": "container.googleapis.com"}}}}]}}}}"#
            );
            let error = read(403, &[], &body).error("s", Some(CLUSTER_GET));
            assert_eq!(error.code(), ErrorCode::PermissionDenied, "{reason}");
            assert!(error.hint().contains(word) && !error.hint().contains("grant"), "{reason}: {}", error.hint());
        }
    }

    #[test]
    fn a_login_without_a_project_to_count_for_is_told_to_name_one() {
        let body =
            r#"{"error": {"message": "The container.googleapis.com API requires a quota project, which is not set by
            default."}}"#
                .replace('\n', " ");
        let error = read(403, &[], &body).error("s", Some(CLUSTER_GET));
        assert!(error.hint().contains("GOOGLE_CLOUD_QUOTA_PROJECT"), "{}", error.hint());
    }

    #[test]
    fn a_quota_project_that_may_not_be_used_is_told_as_such_and_not_as_a_permission_of_the_call() {
        let message = "Caller does not have required permission to use project acme-billing. Grant the caller the \
                       roles/serviceusage.serviceUsageConsumer role, or a custom role with the \
                       serviceusage.services.use permission, and then retry.";
        let reason = r#"[{"@type": "x.ErrorInfo", "reason": "USER_PROJECT_DENIED"}]"#;
        for body in [
            format!(r#"{{"error": {{"message": "{message}"}}}}"#),
            format!(r#"{{"error": {{"message": "no", "details": {reason}}}}}"#),
        ] {
            let error = read(403, &[], &body).error("s", Some(CLUSTER_GET));
            assert_eq!(error.code(), ErrorCode::PermissionDenied);
            let words = ["grant serviceusage.services.use", "counted for", "GOOGLE_CLOUD_QUOTA_PROJECT"];
            assert!(words.iter().all(|word| error.hint().contains(word)), "{}", error.hint());
            assert!(!error.hint().contains("container.clusters.get"), "{}", error.hint());
        }
    }

    #[test]
    fn what_a_policy_of_the_organization_forbids_is_not_somebody_elses_change() {
        for (status, message) in [
            (412, "'us-central1' violates constraint 'constraints/gcp.resourceLocations'"),
            (
                400,
                "Failed precondition: Constraint `constraints/gcp.restrictNonCmekServices` violated for `projects/1`",
            ),
        ] {
            let body =
                format!(r#"{{"error": {{"message": "{message}", "errors": [{{"reason": "conditionNotMet"}}]}}}}"#);
            let error = read(status, &[], &body).error("bucket `a`", None);
            assert_eq!((error.code(), error.retry()), (ErrorCode::PermissionDenied, Retry::Permanent));
            assert!(error.hint().contains("policy of the organization"), "{}", error.hint());
        }
    }

    #[test]
    fn throttling_says_when_to_come_back_whatever_its_status() {
        let limited = r#"{"error": {"errors": [{"reason": "rateLimitExceeded"}], "message": "slow down"}}"#;
        for (status, body) in [(429, "{}"), (403, limited), (503, "")] {
            let error = read(status, &[("retry-after", "17")], body).error("s", None);
            assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
            assert_eq!(error.hint(), "resume in 17 s");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_told_with_both_times() {
        let body = r#"{"error": "invalid_grant", "error_description":
            "Invalid JWT: Token must be in a reasonable timeframe. Check your iat and exp values in the JWT claim."}"#;
        let refusal = read(400, &[("date", "Sat, 21 Nov 2026 11:30:00 GMT")], body);
        for error in [
            refusal.of_token("key", Shown::Key),
            read(401, &[("date", "Sat, 21 Nov 2026 11:30:00 GMT")], "").error("s", None),
        ] {
            assert_eq!(error.code(), ErrorCode::PermissionDenied);
            assert!(error.hint().contains("2026-11-21T10:00:00.000Z"), "{}", error.hint());
            assert!(error.hint().contains("2026-11-21T11:30:00.000Z"), "{}", error.hint());
        }
        let on_time = read(401, &[("date", "Sat, 21 Nov 2026 10:01:00 GMT")], "").error("s", None);
        assert!(!on_time.hint().contains("clock"), "{}", on_time.hint());
    }

    #[test]
    fn each_refusal_of_a_token_service_has_its_own_next_step() {
        use Shown::{Identity, Key, Login};
        let audience = "The audience in ID Token [https://a.example] does not match the expected audience.";
        let issuer = "The issuer in ID Token https://login.example/t2 does not match the expected ones: https://login.example/t1";
        for (shown, reason, description, word) in [
            (Key, "invalid_grant", "Invalid JWT Signature.", "make a new one"),
            (Key, "invalid_grant", "Invalid grant: account not found", "gone or disabled"),
            (Key, "invalid_grant", "Bad Request", "make a new key"),
            (Login, "invalid_grant", "Token has been expired or revoked.", "log in again"),
            (Login, "invalid_grant", "reauth related error (invalid_rapt)", "log in again"),
            (Identity, "invalid_grant", audience, "meant for somebody else"),
            (Identity, "invalid_grant", issuer, "another tenant's"),
            (Identity, "invalid_grant", "Unable to verify the ID Token signature.", "the keys of its issuer"),
            (Identity, "invalid_grant", "The ID Token has expired.", "renew it where it comes from"),
            (Identity, "invalid_grant", "", "renew the token of the other provider"),
            (Identity, "invalid_request", "Invalid value for \\\"audience\\\".", "the configuration of the federation"),
            (
                Identity,
                "unauthorized_client",
                "The given credential is rejected by the attribute condition.",
                "attribute condition",
            ),
            (
                Identity,
                "invalid_target",
                "The target service indicated by the \\\"audience\\\" parameters is invalid.",
                "audience",
            ),
            (Login, "invalid_scope", "", "scopes"),
        ] {
            let body = format!(r#"{{"error": "{reason}", "error_description": "{description}"}}"#);
            let error = read(400, &[], &body).of_token("credentials", shown);
            assert_eq!(error.code(), ErrorCode::PermissionDenied, "{reason}");
            assert!(error.hint().contains(word), "{reason}: {}", error.sentence());
        }
        assert_eq!(read(503, &[], "").of_token("c", Shown::Key).code(), ErrorCode::CloudUnavailable);
    }

    proptest! {
        #[test]
        fn whatever_is_answered_makes_one_short_line(status in 400_u16..600, body in ".{0,200}") {
            let message = serde_json::to_string(&body).expect("text");
            for body in [body.clone(), format!(r#"{{"error": {{"message": {message}, "status": {message}}}}}"#)] {
                let error = read(status, &[], &body).error("s", None);
                let sentence = error.sentence();
                prop_assert!(sentence.len() < 2000 && !sentence.contains(char::is_control), "{}", sentence);
                for shown in [Shown::Key, Shown::Login, Shown::Identity] {
                    let sentence = read(status, &[], &body).of_token("s", shown).sentence();
                    prop_assert!(sentence.len() < 2000 && !sentence.contains(char::is_control), "{}", sentence);
                }
            }
        }
    }
}
