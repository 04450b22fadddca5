//! What the services answer when they refuse, as our codes with the next step.
//!
//! The five services speak four protocols, and each says its code elsewhere: ECR and SQS in `__type`, EKS in a header, STS
//! and S3 in XML. No code means something else at another service.

use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::{Error, ErrorCode, text};
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::permissions::{PERMISSIONS, Reach};
use crate::xml;

/// No refusal that makes sense is longer.
pub(crate) const REFUSAL_MOST: usize = 64 << 10;

/// A refusal, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    message: String,
    /// The seconds after which the service wants to be asked again.
    retry_after: Option<u32>,
    /// The service's clock, as it says it.
    their_time: Option<String>,
    our_time: Timestamp,
    /// The region that a bucket is in.
    region: Option<String>,
}

impl Refusal {
    /// Reads an answer. An answer to HEAD has no body.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Self {
        let body = String::from_utf8_lossy(body.get(..REFUSAL_MOST).unwrap_or(body));
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        let word = |name: &str| json.get(name).and_then(Value::as_str);
        let code = header("x-amzn-errortype").or_else(|| word("__type")).or_else(|| word("code")).map(str::to_owned);
        let code = code.or_else(|| xml::text(&body, "Code")).unwrap_or_default();
        // `com.amazonaws.ecr#Name` and `Name:http://…` are both Name.
        let code = code.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default();
        let message = word("message").or_else(|| word("Message")).map(str::to_owned);
        let message = message.or_else(|| xml::text(&body, "Message")).unwrap_or_default();
        let region = header("x-amz-bucket-region").map(str::to_owned).or_else(|| xml::text(&body, "Region"));
        Self {
            status,
            // None of these strings is ours.
            code: text::line(code, 60),
            message: text::line(&message, 300),
            retry_after: header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok()),
            their_time: header(DATE.as_str()).map(|time| text::line(time, 40)),
            our_time: now,
            region: region.map(|region| text::line(&region, 40)),
        }
    }

    /// Whether other keys of the same source could help.
    pub(crate) fn is_expired(&self) -> bool {
        matches!(self.code.as_str(), "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired")
            || (self.status == StatusCode::UNAUTHORIZED && self.code.is_empty())
    }

    /// Whether the service has too much to do. The protocols of JSON say so with 400.
    pub(crate) fn is_throttled(&self) -> bool {
        matches!(
            self.code.as_str(),
            "Throttling"
                | "ThrottlingException"
                | "ThrottledException"
                | "RequestThrottled"
                | "RequestThrottledException"
                | "TooManyRequestsException"
                | "RequestLimitExceeded"
                | "PriorRequestNotComplete"
                | "KmsThrottled"
                | "SlowDown"
        )
    }

    fn is_clock_skew(&self) -> bool {
        let says = |words: &str| self.message.to_ascii_lowercase().contains(words);
        match self.code.as_str() {
            // The last one is said of the date of a request ("Common errors" of the API references).
            "RequestTimeTooSkewed" | "RequestInTheFuture" | "RequestExpired" => true,
            "InvalidSignatureException" | "SignatureDoesNotMatch" => {
                says("signature expired") || says("signature not yet current")
            }
            _ => false,
        }
    }

    fn is_denied(&self) -> bool {
        matches!(
            self.code.as_str(),
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "AuthorizationError" | "Forbidden"
        ) || (self.status == StatusCode::FORBIDDEN && self.code.is_empty())
    }

    fn is_temporary(&self) -> bool {
        self.is_throttled()
            || matches!(
                self.code.as_str(),
                "ServerException"
                    | "InternalError"
                    | "InternalFailure"
                    | "InternalServerError"
                    | "ServiceUnavailable"
                    | "ServiceUnavailableException"
                    | "RequestTimeout"
                    | "RequestTimeoutException"
                    | "OperationAborted"
                    | "IDPCommunicationError"
                    | "QueueDeletedRecently"
            )
            || (self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED)
            || matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
    }

    /// Whether the server does not know how: one that only speaks like AWS.
    pub(crate) fn is_unknown_here(&self) -> bool {
        self.status == StatusCode::NOT_IMPLEMENTED
            || self.status == StatusCode::METHOD_NOT_ALLOWED
            || matches!(self.code.as_str(), "NotImplemented" | "MethodNotAllowed")
    }

    /// Whether a bucket is in another region.
    pub(crate) fn names_another_region(&self) -> bool {
        matches!(
            self.code.as_str(),
            "PermanentRedirect"
                | "TemporaryRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException"
                | "InvalidLocationConstraint"
        ) || matches!(self.status, StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT)
    }

    /// The error of an action (`ecr:CreateRepository`), for a person and for the driver.
    pub(crate) fn error(&self, action: &str, subject: &str) -> Error {
        let said = match (self.code.as_str(), self.message.as_str()) {
            ("", "") => format!("{action} was answered with {}", self.status.as_u16()),
            ("", message) => format!("{action} was answered with {}: {message}", self.status.as_u16()),
            (code, "") => format!("{action} was answered with {code}"),
            (code, message) => format!("{action} was answered with {code}: {message}"),
        };
        let error = |code| Error::new(code, said.clone()).on(subject);
        let denied = || error(ErrorCode::PermissionDenied);
        if self.is_clock_skew() {
            return denied().with_hint(self.clocks()).with_retry(Retry::Permanent);
        }
        if self.is_expired() {
            return denied()
                .with_hint("the session of the credentials has ended; renew them, then resume")
                .with_retry(Retry::Temporary);
        }
        if self.is_temporary() {
            return match self.retry_after {
                _ if self.code == "QueueDeletedRecently" => error(ErrorCode::CloudUnavailable)
                    .with_hint("a queue of this name was removed less than a minute ago; resume in 60 s"),
                Some(seconds) => error(ErrorCode::CloudUnavailable).with_hint(format!("resume in {seconds} s")),
                None => error(ErrorCode::CloudUnavailable),
            };
        }
        if self.is_denied() {
            return denied().with_hint(may(action));
        }
        if self.names_another_region() {
            let hint = match &self.region {
                Some(region) => format!("it is in the region {region}; set that one, or use another name"),
                None => "set the region that it is in, or use another name".to_owned(),
            };
            return error(ErrorCode::ValueInvalid).with_hint(hint);
        }
        match self.code.as_str() {
            "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" | "InvalidToken"
            | "AuthFailure" => denied().with_hint(
                "the access key was revoked, or is of another partition, or the region is not enabled; renew the credentials",
            ),
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature"
            | "IncompleteSignatureException" => denied().with_hint("correct the secret of the access key"),
            "OptInRequired" | "RegionDisabledException" => denied().with_hint("enable the region in the account"),
            "InvalidIdentityToken" | "InvalidIdentityTokenException" | "IDPRejectedClaim" => denied().with_hint(
                "check that the account has the cluster's identity provider with the audience `sts.amazonaws.com`",
            ),
            "MethodNotAllowed" => denied().with_hint("use credentials of the account that owns it"),
            "BucketAlreadyExists" => {
                denied().with_hint("another account has a bucket of this name; names are one for all accounts: use another")
            }
            "KmsException" | "KMS.NotFoundException" | "KMS.DisabledException" | "KMSInvalidStateException"
            | "KmsAccessDenied" | "KmsDisabled" | "KmsNotFound" | "KmsInvalidState" | "KmsInvalidKeyUsage"
            | "KmsOptInRequired" => {
                denied().with_hint("check the key of KMS, and that its policy lets this identity use it")
            }
            "RepositoryNotFoundException" | "RegistryNotFoundException" => error(ErrorCode::ObjectMissing)
                .with_hint("create the repository, or correct its name; one of another account needs its account's registry"),
            "ResourceNotFoundException" | "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue" => {
                error(ErrorCode::ObjectMissing).with_hint("correct the name, the region or the account")
            }
            "NoSuchBucket" => error(ErrorCode::ObjectMissing).with_hint("create the bucket, or correct its name"),
            "QueueNameExists" | "QueueAlreadyExists" => error(ErrorCode::ObjectConflict)
                .with_hint("somebody makes and removes a queue of this name at the same time; resume when they have ended"),
            "InvalidSecurity" => error(ErrorCode::ValueInvalid).with_hint("name an endpoint that begins with `https://`"),
            "LimitExceededException" | "TooManyBuckets" | "ResourceLimitExceededException" | "OverLimit"
            | "TooManyTagsException" => {
                error(ErrorCode::ObjectRefused).with_hint("raise the quota of the account, or remove what is not needed")
            }
            "InvalidParameterException" | "ValidationException" | "ValidationError" | "InvalidBucketName"
            | "MalformedPolicy" | "MalformedPolicyDocument" | "MalformedXML" | "InvalidArgument" | "InvalidRequest"
            | "InvalidRequestException" | "InvalidTag" | "InvalidTagParameterException" | "InvalidAttributeName"
            | "InvalidAttributeValue" | "InvalidAddress" => error(ErrorCode::ValueInvalid),
            _ if matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => denied().with_hint(may(action)),
            _ if self.status == StatusCode::NOT_FOUND => error(ErrorCode::ObjectMissing)
                .with_hint("correct the name, the region or the account"),
            _ => error(ErrorCode::CloudAnswerInvalid),
        }
    }

    fn clocks(&self) -> String {
        let ours = self.our_time;
        match &self.their_time {
            Some(theirs) => format!("correct the clock of this machine, which says {ours}; that of AWS said {theirs}"),
            None => format!("correct the clock of this machine, which says {ours}"),
        }
    }
}

/// Which permission is missing, and whose it is to give.
fn may(action: &str) -> String {
    let requested = |actions: &str, what: &str| {
        format!(
            "allow {actions} where `aws:RequestTag/chalk.ai/managed-by` is `chalk`, which the published scoped role does not; \
             or create the {what} with that tag"
        )
    };
    match action {
        "sts:AssumeRole" => {
            return "let the customer's trust policy name our role and the external id that was stored for \
                                    them, and allow our role `sts:AssumeRole`"
                .to_owned();
        }
        "sts:AssumeRoleWithWebIdentity" => {
            return "let the role's trust policy name the cluster's identity provider, with this service account as its \
                    subject and `sts.amazonaws.com` as its audience"
                .to_owned();
        }
        // What is made with a tag needs both.
        "ecr:CreateRepository" => return requested("`ecr:CreateRepository` and `ecr:TagResource`", "repository"),
        "sqs:CreateQueue" | "sqs:TagQueue" => return requested("`sqs:CreateQueue` and `sqs:TagQueue`", "queue"),
        // Of a queue that is not there nobody has set a tag.
        "sqs:GetQueueUrl" => {
            return "allow `sqs:GetQueueUrl` on it whatever its tags; the published scoped role does where the queue is \
                    there and has the tag `chalk.ai/managed-by: chalk`"
                .to_owned();
        }
        _ => {}
    }
    match PERMISSIONS.iter().find(|permission| permission.action == action).map(|permission| permission.reach) {
        Some(Reach::PublishedWithTag) => format!(
            "allow `{action}` on it; the published scoped role does where it has the tag `chalk.ai/managed-by: chalk`"
        ),
        Some(Reach::PublishedByName) => {
            format!("allow `{action}` on `arn:aws:s3:::chalk-*`, and check that the bucket is of this account")
        }
        Some(Reach::Published) => format!("allow `{action}` on `*`, as the published scoped role does"),
        Some(Reach::Beyond) => format!("allow `{action}` on `*`, which the published scoped role does not"),
        None => "check what the identity may do".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &str)], body: &str, action: &str) -> Error {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        Refusal::read(status, &map, body.as_bytes(), Timestamp::from_millis(0)).error(action, "repository `a`")
    }

    #[test]
    fn each_protocol_says_its_code_elsewhere_and_every_refusal_has_a_next_step() {
        let json = |code: &str| format!(r#"{{"__type":"com.amazonaws.ecr#{code}","message":"why"}}"#);
        let xml = |code: &str| {
            format!("<ErrorResponse><Error><Code>{code}</Code><Message>why</Message></Error></ErrorResponse>")
        };
        for (status, body, action, code, retry, hint) in [
            (400, json("ExpiredTokenException"), "ecr:X", ErrorCode::PermissionDenied, Retry::Temporary, "renew"),
            (403, xml("ExpiredToken"), "sts:X", ErrorCode::PermissionDenied, Retry::Temporary, "renew"),
            (403, xml("AccessDenied"), "sts:AssumeRole", ErrorCode::PermissionDenied, Retry::Permanent, "external id"),
            (
                400,
                json("AccessDeniedException"),
                "ecr:CreateRepository",
                ErrorCode::PermissionDenied,
                Retry::Permanent,
                "RequestTag",
            ),
            (403, xml("AccessDenied"), "s3:PutBucketCORS", ErrorCode::PermissionDenied, Retry::Permanent, "chalk-*"),
            (403, xml("InvalidClientTokenId"), "sts:X", ErrorCode::PermissionDenied, Retry::Permanent, "revoked"),
            (403, xml("SignatureDoesNotMatch"), "s3:X", ErrorCode::PermissionDenied, Retry::Permanent, "secret"),
            (400, json("ThrottlingException"), "ecr:X", ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
            (503, xml("SlowDown"), "s3:X", ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
            (500, json("ServerException"), "ecr:X", ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
            (400, json("RepositoryNotFoundException"), "ecr:X", ErrorCode::ObjectMissing, Retry::Permanent, "account"),
            (405, xml("MethodNotAllowed"), "s3:X", ErrorCode::PermissionDenied, Retry::Permanent, "account that owns"),
            (409, xml("BucketAlreadyExists"), "s3:X", ErrorCode::PermissionDenied, Retry::Permanent, "another account"),
            (400, json("LimitExceededException"), "ecr:X", ErrorCode::ObjectRefused, Retry::Permanent, "quota"),
            (400, xml("MalformedXML"), "s3:X", ErrorCode::ValueInvalid, Retry::Permanent, "correct"),
            (418, String::new(), "s3:X", ErrorCode::CloudAnswerInvalid, Retry::Permanent, "address"),
            (403, String::new(), "s3:GetObject", ErrorCode::PermissionDenied, Retry::Permanent, "allow"),
            (
                400,
                json("AccessDeniedException"),
                "ecr:GetAuthorizationToken",
                ErrorCode::PermissionDenied,
                Retry::Permanent,
                "`ecr:GetAuthorizationToken` on `*`",
            ),
            (
                403,
                json("AccessDeniedException"),
                "ecr:PutImage",
                ErrorCode::PermissionDenied,
                Retry::Permanent,
                "it has the tag",
            ),
            (
                403,
                xml("AccessDenied"),
                "sts:AssumeRoleWithWebIdentity",
                ErrorCode::PermissionDenied,
                Retry::Permanent,
                "service account",
            ),
            (400, json("InvalidTagParameterException"), "ecr:X", ErrorCode::ValueInvalid, Retry::Permanent, "correct"),
            (400, xml("InvalidRequest"), "s3:X", ErrorCode::ValueInvalid, Retry::Permanent, "correct"),
            (400, json("QueueDeletedRecently"), "sqs:X", ErrorCode::CloudUnavailable, Retry::Temporary, "60 s"),
            (400, json("QueueNameExists"), "sqs:X", ErrorCode::ObjectConflict, Retry::Permanent, "same time"),
            (400, json("QueueDoesNotExist"), "sqs:X", ErrorCode::ObjectMissing, Retry::Permanent, "region"),
            (400, json("RequestThrottled"), "sqs:X", ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
            (400, json("KmsThrottled"), "sqs:X", ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
            (400, json("KmsAccessDenied"), "sqs:X", ErrorCode::PermissionDenied, Retry::Permanent, "KMS"),
            (400, json("InvalidSecurity"), "sqs:X", ErrorCode::ValueInvalid, Retry::Permanent, "https"),
            (403, json("OverLimit"), "sqs:X", ErrorCode::ObjectRefused, Retry::Permanent, "quota"),
        ] {
            let error = refused(status, &[], &body, action);
            assert_eq!((error.code(), error.retry()), (code, retry), "{body}");
            assert!(error.hint().contains(hint), "{body}: {}", error.hint());
            assert!(error.sentence().starts_with(&format!("repository `a`: {action} was answered with ")), "{error}");
        }
        let header = [("x-amzn-errortype", "ResourceNotFoundException:http://internal.amazon.com/x")];
        let error = refused(404, &header, r#"{"message":"No cluster found"}"#, "eks:DescribeCluster");
        assert_eq!(error.code(), ErrorCode::ObjectMissing);
        assert!(error.message().contains("ResourceNotFoundException: No cluster found"), "{error}");
    }

    #[test]
    fn a_clock_that_is_off_is_named_beside_that_of_aws() {
        let date = [("date", "Sat, 21 Nov 2026 18:00:00 GMT")];
        for (status, body) in [
            (403, "<Error><Code>RequestTimeTooSkewed</Code><Message>off</Message></Error>"),
            (
                400,
                r#"{"__type":"InvalidSignatureException","message":"Signature expired: 20260101T000000Z is now earlier"}"#,
            ),
            (403, "<Error><Code>SignatureDoesNotMatch</Code><Message>Signature not yet current: x</Message></Error>"),
            (400, r#"{"__type":"RequestExpired","message":"the date stamp is more than 15 minutes old"}"#),
        ] {
            let error = refused(status, &date, body, "s3:X");
            assert_eq!(error.code(), ErrorCode::PermissionDenied);
            for clock in ["1970-01-01T00:00:00.000Z", "Sat, 21 Nov 2026 18:00:00 GMT"] {
                assert!(error.hint().contains(clock), "{}", error.hint());
            }
        }
    }

    #[test]
    fn the_region_of_a_bucket_and_the_wait_of_a_throttled_call_are_told() {
        let region = [("x-amz-bucket-region", "eu-west-1")];
        for (status, body) in [(301, ""), (400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>")] {
            let error = refused(status, &region, body, "s3:X");
            assert_eq!(error.code(), ErrorCode::ValueInvalid);
            assert!(error.hint().contains("eu-west-1"), "{}", error.hint());
        }
        let error = refused(429, &[("retry-after", "17")], "", "eks:X");
        assert!(error.hint().contains("17 s"), "{}", error.hint());
    }

    proptest! {
        #[test]
        fn the_words_of_a_service_cannot_drive_a_terminal_or_fill_it(body in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let xml = format!("<Error><Code>{body}</Code><Message>\u{1b}[31m{body}{}</Message></Error>", "x".repeat(5000));
            for body in [xml.as_bytes(), &bytes] {
                let refusal = Refusal::read(StatusCode::BAD_REQUEST, &HeaderMap::new(), body, Timestamp::from_millis(0));
                let sentence = refusal.error("s3:X", "bucket `a`").sentence();
                prop_assert!(sentence.len() < 1500 && !sentence.contains(['\u{1b}', '\n']), "{}", sentence);
            }
        }
    }
}
