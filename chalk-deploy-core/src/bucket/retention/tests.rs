//! The requests that keep objects, one by one, and what the answers mean.

use std::time::Duration;

use crate::bucket::recorded::{Answer, Recorded};
use crate::bucket::{Bucket, S3Credentials, S3Settings};
use crate::cloud::{ObjectStore as _, Retention, RetentionMode};
use crate::model::{Digest, ObjectKey, Timestamp};
use crate::runtime::SystemRuntime;
use crate::{ErrorCode, Result};

/// 2030-01-01T00:00:00Z
const MOMENT: Timestamp = Timestamp::from_millis(1_893_456_000_000);

fn key() -> ObjectKey {
    ObjectKey::new("archives/a").expect("a valid key")
}

fn answer(status: u16, body: &str) -> Answer {
    (status, Vec::new(), body.to_owned())
}

fn s3(answers: Vec<Answer>) -> (Bucket, Recorded) {
    let (transport, recorded) = Recorded::answering(answers);
    let settings = S3Settings::new("source", "eu-west-1").with_credentials(S3Credentials::new("id", "secret"));
    (Bucket::s3(transport, settings, SystemRuntime::new()).expect("valid settings"), recorded)
}

async fn retain(bucket: &Bucket, until: Timestamp, mode: RetentionMode) -> Result<()> {
    bucket.retention().expect("it has it").retain(&key(), until, mode).await
}

async fn found(bucket: &Bucket) -> Result<Retention> {
    bucket.retention().expect("it has it").retention(&key()).await
}

const NONE: &str = "<Error><Code>NoSuchObjectLockConfiguration</Code><Message>none</Message></Error>";

fn kept(mode: &str) -> String {
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>")
}

#[tokio::test]
async fn s3_is_asked_as_its_reference_says() {
    let (bucket, recorded) = s3(vec![answer(404, NONE), answer(404, NONE), answer(200, "")]);
    retain(&bucket, Timestamp::from_millis(MOMENT.as_millis() - 1), RetentionMode::Governance).await.expect("kept");
    let asked = ["GET /archives/a?retention", "GET /archives/a?legal-hold", "PUT /archives/a?retention"];
    assert_eq!(recorded.lines(), asked);
    let sent = &recorded.sent()[2];
    let body = String::from_utf8_lossy(&sent.body);
    assert!(body.contains("<Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>"), "{body}");
    assert_eq!(sent.header("x-amz-content-sha256"), Digest::of(&sent.body).hex());
    assert!(sent.header("authorization").contains("x-amz-checksum-sha256"), "the checksum is signed");

    let (bucket, recorded) = s3(vec![answer(200, ""), answer(200, "")]);
    let retention = bucket.retention().expect("it has it");
    retention.set_legal_hold(&key(), true).await.expect("held");
    retention.set_legal_hold(&key(), false).await.expect("let go");
    let bodies: Vec<_> = recorded.sent().into_iter().map(|sent| sent.body).collect();
    assert!(String::from_utf8_lossy(&bodies[0]).contains("<Status>ON</Status>"));
    assert!(String::from_utf8_lossy(&bodies[1]).contains("<Status>OFF</Status>"));
    assert_eq!(recorded.lines(), ["PUT /archives/a?legal-hold"; 2]);
}

#[tokio::test]
async fn what_is_kept_long_and_firmly_enough_stays_as_it_is_and_nothing_is_shortened() {
    let hold = "<LegalHold><Status>ON</Status></LegalHold>";
    let (bucket, recorded) = s3(vec![answer(200, &kept("COMPLIANCE")), answer(200, hold)]);
    retain(&bucket, MOMENT, RetentionMode::Governance).await.expect("it is kept already");
    assert_eq!(recorded.lines().len(), 2, "nothing is written");

    let later = MOMENT.plus(Duration::from_hours(24));
    let (bucket, recorded) = s3(vec![answer(200, &kept("COMPLIANCE")), answer(404, NONE), answer(200, "")]);
    retain(&bucket, later, RetentionMode::Governance).await.expect("kept");
    let body = recorded.sent()[2].body.clone();
    assert!(String::from_utf8_lossy(&body).contains("<Mode>COMPLIANCE</Mode><RetainUntilDate>2030-01-02T"));

    let (bucket, recorded) = s3(vec![answer(200, &kept("GOVERNANCE")), answer(404, NONE), answer(200, "")]);
    retain(&bucket, Timestamp::from_millis(0), RetentionMode::Compliance).await.expect("kept");
    let body = recorded.sent()[2].body.clone();
    assert!(String::from_utf8_lossy(&body).contains("<Mode>COMPLIANCE</Mode><RetainUntilDate>2030-01-01T"));

    let (bucket, _) = s3(vec![answer(200, &kept("GOVERNANCE")), answer(200, hold)]);
    let expected = Retention { until: Some((MOMENT, RetentionMode::Governance)), held: true };
    assert_eq!(found(&bucket).await.expect("readable"), expected);
}

#[tokio::test]
async fn what_s3_refuses_is_said_as_what_to_do() {
    let refusal = |code: &str, message: &str| format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let cases = [
        (400, refusal("InvalidRequest", "Bucket is missing Object Lock Configuration"), ErrorCode::RequestInvalid),
        (403, refusal("AccessDenied", "no"), ErrorCode::PermissionDenied),
        (404, refusal("NoSuchKey", "no"), ErrorCode::ObjectMissing),
        (200, "<Retention><Mode>FOREVER</Mode></Retention>".to_owned(), ErrorCode::CloudAnswerInvalid),
    ];
    for (status, body, code) in cases {
        let (bucket, _) = s3(vec![answer(status, &body)]);
        let error = found(&bucket).await.expect_err(&body);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.sentence().contains("archives/a"), "{error}");
    }
}

#[cfg(feature = "gcs")]
#[tokio::test]
async fn google_is_asked_as_its_reference_says() {
    use crate::bucket::GcsSettings;

    let (transport, recorded) = Recorded::answering(vec![
        answer(200, "{}"),
        answer(200, "{}"),
        answer(
            200,
            r#"{"retention": {"mode": "Locked", "retainUntilTime": "2030-01-01T00:00:00Z"}, "temporaryHold": true}"#,
        ),
        answer(200, "{}"),
    ]);
    let bucket = Bucket::gcs(transport, GcsSettings::new("source"), SystemRuntime::new()).expect("valid settings");
    retain(&bucket, MOMENT, RetentionMode::Governance).await.expect("kept");
    let expected = Retention { until: Some((MOMENT, RetentionMode::Compliance)), held: true };
    assert_eq!(found(&bucket).await.expect("readable"), expected);
    bucket.retention().expect("it has it").set_legal_hold(&key(), false).await.expect("let go");
    let object = "/storage/v1/b/source/o/archives%2Fa";
    let lines = recorded.lines();
    assert_eq!(lines[0], format!("GET {object}?fields=retention,temporaryHold"));
    assert_eq!(lines[1], format!("PATCH {object}?fields=name"));
    let bodies: Vec<_> =
        recorded.sent().into_iter().map(|sent| String::from_utf8_lossy(&sent.body).into_owned()).collect();
    assert_eq!(bodies[1], r#"{"retention":{"mode":"Unlocked","retainUntilTime":"2030-01-01T00:00:00Z"}}"#);
    assert_eq!(bodies[3], r#"{"temporaryHold":false}"#);
}

#[cfg(feature = "azure")]
#[tokio::test]
async fn azure_is_asked_as_its_reference_says() {
    use crate::bucket::AzureSettings;

    let head = vec![
        ("x-ms-immutability-policy-until-date", "Tue, 01 Jan 2030 00:00:00 GMT".to_owned()),
        ("x-ms-immutability-policy-mode", "locked".to_owned()),
        ("x-ms-legal-hold", "true".to_owned()),
    ];
    let (transport, recorded) = Recorded::answering(vec![
        answer(200, ""),
        answer(200, ""),
        (200, head, String::new()),
        answer(200, ""),
        answer(404, "<Error><Code>BlobNotFound</Code><Message>no</Message></Error>"),
        answer(409, "<Error><Code>ImmutabilityPolicyNotAllowed</Code><Message>no versions</Message></Error>"),
    ]);
    let settings = AzureSettings::new("chalk", "source");
    let bucket = Bucket::azure(transport, settings, SystemRuntime::new()).expect("valid settings");
    retain(&bucket, MOMENT, RetentionMode::Governance).await.expect("kept");
    let expected = Retention { until: Some((MOMENT, RetentionMode::Compliance)), held: true };
    assert_eq!(found(&bucket).await.expect("readable"), expected);
    let retention = bucket.retention().expect("it has it");
    retention.set_legal_hold(&key(), true).await.expect("held");
    let blob = "/source/archives/a";
    assert_eq!(
        recorded.lines(),
        [
            format!("HEAD {blob}"),
            format!("PUT {blob}?comp=immutabilityPolicies"),
            format!("HEAD {blob}"),
            format!("PUT {blob}?comp=legalhold"),
        ]
    );
    let sent = recorded.sent();
    assert_eq!(sent[1].header("x-ms-immutability-policy-until-date"), "Tue, 01 Jan 2030 00:00:00 GMT");
    assert_eq!(sent[1].header("x-ms-immutability-policy-mode"), "unlocked");
    assert_eq!(sent[3].header("x-ms-legal-hold"), "true");
    for code in [ErrorCode::ObjectMissing, ErrorCode::RequestInvalid] {
        let error = retention.set_legal_hold(&key(), true).await.expect_err("refused");
        assert_eq!(error.code(), code, "{error}");
    }
}
