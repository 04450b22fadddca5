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
        (900_023, ErrorCode::PermissionDenied, Retry::Permanent, "AZURE_TENANT_ID"),
        (7_000_229, ErrorCode::PermissionDenied, Retry::Permanent, "AZURE_TENANT_ID"),
        (700_082, ErrorCode::PermissionDenied, Retry::Permanent, "az login"),
        (50_173, ErrorCode::PermissionDenied, Retry::Permanent, "az login"),
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
    assert!(refused(403, &[], arm).hint().contains("`Microsoft.Storage/storageAccounts/read` at `/subscriptions/s`"));
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
    let firewall =
        denied("client with IP '192.0.2.7' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.");
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
        (401, r#"{"error":{"code":"ExpiredAuthenticationToken","message":"m"}}"#, ErrorCode::PermissionDenied, "renew"),
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
        (403, r#"{"errors":[{"code":"DENIED","message":"m"}]}"#, ErrorCode::PermissionDenied, "Microsoft.Thing/read"),
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
