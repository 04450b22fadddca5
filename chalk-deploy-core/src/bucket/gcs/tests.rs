//! The requests to Google, one by one, and what its answers mean.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::*;
use crate::bucket::BearerToken;
use crate::bucket::recorded::{Answer, Recorded};
use crate::cloud::{ObjectStore as _, Payload, PutMode};
use crate::error::Retry;
use crate::model::{Digest, ObjectKey};
use crate::runtime::SystemRuntime;

/// A source whose tokens are numbered.
#[derive(Debug, Default)]
struct Counted(AtomicU32);

#[async_trait]
impl BearerTokenSource for Counted {
    async fn token(&self) -> Result<BearerToken> {
        Ok(BearerToken::new(format!("token-{}", self.0.fetch_add(1, Ordering::Relaxed))))
    }
}

fn bucket(answers: Vec<Answer>) -> (Bucket, Recorded) {
    let (transport, recorded) = Recorded::answering(answers);
    let settings = GcsSettings::new("archives").with_credentials(Counted::default());
    (Bucket::gcs(transport, settings, SystemRuntime::new()).expect("valid settings"), recorded)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).expect("a valid key")
}

fn json(body: &str) -> Answer {
    (200, Vec::new(), body.to_owned())
}

fn status(status: u16) -> Answer {
    (status, Vec::new(), String::new())
}

fn kept(range: Option<&str>) -> Answer {
    (308, range.map(|range| ("range", range.to_owned())).into_iter().collect(), String::new())
}

fn started(location: &str) -> Answer {
    (200, vec![("location", location.to_owned())], "{}".to_owned())
}

/// 600,000 bytes, which go in parts: two quanta, and the rest.
fn large() -> Payload {
    Payload::from_bytes(vec![7; 600_000])
}

fn in_parts(answers: Vec<Answer>) -> (Bucket, Recorded) {
    let (bucket, recorded) = bucket(answers);
    (bucket.with_limits(1, 600_000, 2), recorded)
}

const SESSION: &str = "https://storage.googleapis.com/upload/storage/v1/b/archives/o?uploadType=resumable&upload_id=x";
const UPLOAD: &str = "PUT /upload/storage/v1/b/archives/o?uploadType=resumable&upload_id=x";

#[tokio::test]
async fn every_call_is_the_request_of_the_reference_with_a_token_of_its_own() {
    let media = vec![("content-length", "4".to_owned()), ("x-goog-meta-chalk-sha256", Digest::of("text").hex())];
    let (bucket, recorded) = bucket(vec![
        json(r#"{"size": "4"}"#),
        json(r#"{"size": "4"}"#),
        json(&format!(r#"{{"size": "4", "metadata": {{"chalk-sha256": "{}"}}}}"#, Digest::of("text").hex())),
        (200, media, "text".to_owned()),
        json(r#"{"size": "4"}"#),
        json(r#"{"done": false, "rewriteToken": "a/b"}"#),
        json(r#"{"done": true}"#),
        json(
            r#"{"items": [{"name": "dir/b", "size": "1"}, {"name": "dir/", "size": "0"}, {"name": "dir/c", "size": "2"}]}"#,
        ),
        status(204),
        status(404),
    ]);
    let odd = key("dir/a b+ä");
    let payload = Payload::from_bytes("text");
    bucket.put(&odd, &payload, PutMode::WriteOnce).await.expect("stored");
    bucket.put(&odd, &payload, PutMode::Replace).await.expect("stored");
    let head = bucket.head(&odd).await.expect("readable").expect("there");
    assert_eq!((head.size, head.sha256), (4, Some(Digest::of("text"))));
    assert_eq!(bucket.get(&odd).await.expect("there").metadata.sha256, Some(Digest::of("text")));
    bucket.copy(&odd, &key("b"), PutMode::WriteOnce).await.expect("copied");
    let listed = bucket.list("dir/", Some(key("dir/b")), 9).await.expect("listed");
    assert_eq!(listed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["dir/c"]);
    bucket.delete(&odd).await.expect("deleted");
    bucket.delete(&odd).await.expect("deleted, or was not there");

    let object = "/storage/v1/b/archives/o/dir%2Fa%20b%2B%C3%A4";
    let rewrite = format!("POST {object}/rewriteTo/b/archives/o/b?fields=done,rewriteToken&ifGenerationMatch=0");
    assert_eq!(
        recorded.lines(),
        [
            "POST /upload/storage/v1/b/archives/o?uploadType=multipart&ifGenerationMatch=0".to_owned(),
            "POST /upload/storage/v1/b/archives/o?uploadType=multipart".to_owned(),
            format!("GET {object}?fields=size,metadata"),
            "GET /archives/dir%2Fa%20b%2B%C3%A4".to_owned(),
            format!("GET {object}?fields=size,metadata"),
            rewrite.clone(),
            format!("{rewrite}&rewriteToken=a%2Fb"),
            "GET /storage/v1/b/archives/o?fields=items(name,size),nextPageToken&maxResults=10&prefix=dir%2F\
             &startOffset=dir%2Fb"
                .to_owned(),
            format!("DELETE {object}"),
            format!("DELETE {object}"),
        ]
    );
    for (number, sent) in recorded.sent().iter().enumerate() {
        assert!(sent.uri.starts_with("https://storage.googleapis.com/"), "{}", sent.uri);
        assert_eq!(sent.header("authorization"), format!("Bearer token-{number}"), "asked for each time");
        assert!(!format!("{:?}", sent.headers).contains("token-"), "a token is not printed");
    }
    let put = &recorded.sent()[0];
    let (_, boundary) = put.header("content-type").split_once("boundary=").expect("a boundary");
    let body = String::from_utf8(put.body.to_vec()).expect("text");
    let parts: Vec<_> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4, "{body}");
    let resource: serde_json::Value = parts[1].split_once("\r\n\r\n").expect("a body").1.parse().expect("JSON");
    assert_eq!(resource["name"], "dir/a b+ä");
    assert_eq!(resource["metadata"]["chalk-sha256"], Digest::of("text").hex());
    assert!(parts[2].ends_with("\r\n\r\ntext\r\n") && parts[3] == "--\r\n", "{body}");
}

#[tokio::test]
async fn a_key_that_is_taken_is_compared_by_its_stored_digest() {
    let held = |text: &str| {
        let digest = Digest::of(text).hex();
        json(&format!(r#"{{"size": "4", "metadata": {{"chalk-sha256": "{digest}"}}}}"#))
    };
    let (bucket, recorded) = bucket(vec![status(412), held("text"), status(412), held("else")]);
    let payload = Payload::from_bytes("text");
    bucket.put(&key("a"), &payload, PutMode::WriteOnce).await.expect("the same bytes");
    let error = bucket.put(&key("a"), &payload, PutMode::WriteOnce).await.expect_err("other bytes");
    assert_eq!(error.code(), ErrorCode::ObjectExists);
    assert_eq!(recorded.sent().len(), 4);
}

#[tokio::test]
async fn every_refusal_says_what_to_do_and_whether_a_retry_helps() {
    let reason = |reason: &str| {
        format!(r#"{{"error": {{"code": 0, "message": "why\u001b[31m", "errors": [{{"reason": "{reason}"}}]}}}}"#)
    };
    let long = |body: String| format!("{}{body}", " ".repeat(100_000));
    for (status, headers, body, code, retry, hint) in [
        (401, vec![], reason("authError"), ErrorCode::PermissionDenied, Retry::Temporary, "renew or correct"),
        (403, vec![], reason("forbidden"), ErrorCode::PermissionDenied, Retry::Permanent, "allow these credentials"),
        (403, vec![], reason("rateLimitExceeded"), ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
        (403, vec![], reason("retentionPolicyNotMet"), ErrorCode::RequestInvalid, Retry::Permanent, "retention"),
        (404, vec![], reason("notFound"), ErrorCode::RequestInvalid, Retry::Permanent, "create the bucket"),
        (409, vec![], reason("conflict"), ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
        (418, vec![], "<html>".repeat(90_000), ErrorCode::CloudAnswerInvalid, Retry::Permanent, "check the address"),
        (418, vec![], long(reason("x")), ErrorCode::CloudAnswerInvalid, Retry::Permanent, "check the address"),
        (400, vec![], "[".repeat(60_000), ErrorCode::CloudAnswerInvalid, Retry::Permanent, "check the address"),
        (200, vec![], "no JSON".to_owned(), ErrorCode::CloudAnswerInvalid, Retry::Permanent, "check the address"),
        (200, vec![], r#"{"items": 3}"#.to_owned(), ErrorCode::CloudAnswerInvalid, Retry::Permanent, "check"),
    ] {
        // A token that is refused is fetched anew once.
        let answers = vec![(status, headers, body); if status == 401 { 2 } else { 1 }];
        let (bucket, recorded) = bucket(answers.clone());
        let error = bucket.list("", None, 10).await.expect_err("refused");
        assert_eq!((error.code(), error.retry()), (code, retry), "{status} {error:?}");
        let sentence = error.sentence();
        assert!(error.hint().contains(hint) && sentence.len() < 800, "{sentence}");
        assert!(!sentence.contains('\u{1b}') && !sentence.contains("token-"), "{sentence}");
        assert_eq!(recorded.sent().len(), answers.len(), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_three_times_also_for_a_put_and_then_named_with_its_own_wait() {
    let busy = |status| (status, vec![("retry-after", "3".to_owned())], String::new());
    let (bucket, recorded) =
        bucket(vec![busy(429), busy(503), json(r#"{"size": "1"}"#), busy(429), busy(429), busy(429)]);
    bucket.put(&key("a"), &Payload::from_bytes("x"), PutMode::WriteOnce).await.expect("stored in the end");
    let error = bucket.head(&key("a")).await.expect_err("busy");
    assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
    assert!(error.hint().contains("resume in 3 s"), "{}", error.hint());
    assert_eq!(recorded.sent().len(), 6);
}

#[tokio::test]
async fn a_missing_object_is_told_from_a_missing_bucket() {
    let no_bucket =
        r#"{"error": {"message": "The specified bucket does not exist.", "errors": [{"reason": "notFound"}]}}"#;
    let xml = "<Error><Code>NoSuchBucket</Code><Message>why</Message></Error>".to_owned();
    let (bucket, _) = bucket(vec![
        (404, vec![], r#"{"error": {"message": "No such object: archives/a"}}"#.to_owned()),
        (404, vec![], no_bucket.to_owned()),
        status(404),
        (404, vec![], xml),
    ]);
    assert_eq!(bucket.head(&key("a")).await.expect("readable"), None);
    assert_eq!(bucket.head(&key("a")).await.expect_err("no bucket").code(), ErrorCode::RequestInvalid);
    assert_eq!(bucket.get(&key("a")).await.map(drop).expect_err("nothing").code(), ErrorCode::ObjectMissing);
    assert_eq!(bucket.get(&key("a")).await.map(drop).expect_err("no bucket").code(), ErrorCode::RequestInvalid);
}

#[tokio::test]
async fn a_large_object_goes_in_parts_under_the_condition() {
    let payload = large();
    let (bucket, recorded) = in_parts(vec![status(404), started(SESSION), kept(Some("bytes=0-524287")), json("{}")]);
    let stored = bucket.put(&key("a"), &payload, PutMode::WriteOnce).await.expect("stored");
    assert_eq!(stored.sha256, Some(payload.sha256()));
    let begin = "POST /upload/storage/v1/b/archives/o?uploadType=resumable&ifGenerationMatch=0";
    assert_eq!(recorded.lines()[1..], [begin, UPLOAD, UPLOAD]);
    let sent = recorded.sent();
    assert_eq!(sent[2].header("content-range"), "bytes 0-524287/*");
    assert_eq!(sent[3].header("content-range"), "bytes 524288-599999/600000");
    assert_eq!((sent[2].body.len(), sent[3].body.len()), (524_288, 75_712));
}

#[tokio::test(start_paused = true)]
async fn an_upload_goes_on_where_the_server_says() {
    let payload = large();
    let (bucket, recorded) = in_parts(vec![
        started(SESSION),
        kept(Some("bytes=0-262143")),
        status(503),
        kept(Some("bytes=0-524287")),
        status(503),
        kept(Some("bytes=0-524287")),
        json("{}"),
    ]);
    bucket.put(&key("a"), &payload, PutMode::Replace).await.expect("stored");
    let ranges: Vec<_> = recorded.sent()[1..].iter().map(|sent| sent.header("content-range").to_owned()).collect();
    assert_eq!(
        ranges,
        [
            "bytes 0-524287/*",
            "bytes 262144-524287/*",
            "bytes */*",
            "bytes 524288-599999/600000",
            "bytes */600000",
            "bytes 524288-599999/600000",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn neither_bytes_nor_a_token_follow_the_server_to_another_host() {
    let payload = large();
    let elsewhere = SESSION.replace("storage.googleapis.com", "evil.example");
    let (bucket, recorded) = in_parts(vec![started(&elsewhere), kept(Some("bytes=0-524287")), json("{}")]);
    bucket.put(&key("a"), &payload, PutMode::Replace).await.expect("stored");
    assert!(recorded.sent().iter().all(|sent| sent.uri.starts_with("https://storage.googleapis.com/upload/")));
    for location in ["", "https://storage.googleapis.com/other", "/", "http://["] {
        let answer = if location.is_empty() { json("{}") } else { started(location) };
        let (bucket, recorded) = in_parts(vec![answer, status(404)]);
        let error = bucket.put(&key("a"), &payload, PutMode::Replace).await.expect_err(location);
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{location}");
        assert!(recorded.sent()[1..].iter().all(|sent| sent.method == "GET"), "nothing was sent: {location}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lies_about_what_it_has_kept_is_left_and_the_upload_given_up() {
    let payload = large();
    for (answers, code) in [
        (vec![kept(Some("bytes=0-999999999"))], ErrorCode::CloudAnswerInvalid),
        (vec![kept(Some("bytes=0-18446744073709551615"))], ErrorCode::CloudAnswerInvalid),
        (vec![kept(Some("words"))], ErrorCode::CloudAnswerInvalid),
        (vec![json("{}")], ErrorCode::CloudAnswerInvalid),
        (vec![kept(None), kept(None), kept(None), kept(None)], ErrorCode::CloudUnavailable),
        (vec![status(503), status(410)], ErrorCode::CloudUnavailable),
        (vec![status(412)], ErrorCode::ObjectExists),
    ] {
        let mut all = vec![started(SESSION)];
        all.extend(answers);
        // The end of the upload, and the look at what lies there.
        all.extend([status(499), status(404)]);
        let (bucket, recorded) = in_parts(all);
        let error = bucket.put(&key("a"), &payload, PutMode::Replace).await.expect_err("not stored");
        assert_eq!(error.code(), code, "{}", error.sentence());
        let lines = recorded.lines();
        assert_eq!(lines[lines.len() - 2], UPLOAD.replace("PUT", "DELETE"));
    }
}

#[tokio::test]
async fn a_list_whose_pages_do_not_end_is_given_up() {
    let (endless, recorded) = bucket(vec![json(r#"{"nextPageToken": "again"}"#); 100]);
    let error = endless.list("", None, 10).await.expect_err("endless");
    assert_eq!((error.code(), recorded.sent().len()), (ErrorCode::CloudAnswerInvalid, 100));
}

#[test]
fn settings_and_buckets_print_no_token() {
    let settings = GcsSettings::new("archives").with_credentials(BearerToken::new("hidden"));
    let (transport, _) = Recorded::answering(Vec::new());
    let shown = format!("{settings:?}");
    let bucket = open(transport, settings, SystemRuntime::new()).expect("valid settings");
    assert!(!format!("{shown} {bucket:?} {:?}", Arc::new(bucket.clone())).contains("hidden"));
}

#[test]
fn what_would_lead_requests_elsewhere_is_refused_without_being_shown() {
    for (bucket, endpoint) in [
        ("a/b", None),
        ("evil.example#", None),
        ("..", None),
        ("", None),
        ("a", Some("https://user:hidden@host")),
        ("a", Some("https://host/hidden")),
        ("a", Some("ftp://host")),
        ("a", Some("host")),
    ] {
        let mut settings = GcsSettings::new(bucket);
        settings.endpoint = endpoint.map(str::to_owned);
        let (transport, _) = Recorded::answering(Vec::new());
        let error = open(transport, settings, SystemRuntime::new()).expect_err("not valid");
        assert_eq!(error.code(), ErrorCode::ValueInvalid);
        assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
    }
}

/// A source with one token after another, of which the next is given once the one before was refused.
#[derive(Debug, Default)]
struct Revocable(AtomicU32);

#[async_trait]
impl BearerTokenSource for Revocable {
    async fn token(&self) -> Result<BearerToken> {
        Ok(BearerToken::new(format!("token-{}", self.0.load(Ordering::Relaxed))))
    }

    async fn refused(&self, token: &BearerToken) {
        if token.expose() == format!("token-{}", self.0.load(Ordering::Relaxed)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_in_the_middle_of_an_upload_is_fetched_anew_once() {
    let session =
        started("https://storage.googleapis.com/upload/storage/v1/b/archives/o?uploadType=resumable&upload_id=u");
    // The second part finds the token revoked, and the last one finds the next revoked too.
    let answers = vec![session, status(401), kept(Some("bytes=0-524287")), status(401), json(r#"{"size": "600000"}"#)];
    let (transport, recorded) = Recorded::answering(answers);
    let settings = GcsSettings::new("archives").with_credentials(Revocable::default());
    let bucket = Bucket::gcs(transport, settings, SystemRuntime::new()).expect("valid settings");
    let bucket = bucket.with_limits(1, 600_000, 2);
    bucket.put(&key("a"), &large(), PutMode::Replace).await.expect("stored");
    let tokens: Vec<_> = recorded.sent().iter().map(|sent| sent.header("authorization").to_owned()).collect();
    assert_eq!(tokens, ["token-0", "token-0", "token-1", "token-1", "token-2"].map(|token| format!("Bearer {token}")));
}

#[tokio::test]
async fn a_token_that_is_refused_and_has_no_better_one_is_an_error_and_no_loop() {
    let (transport, recorded) = Recorded::answering(vec![status(401)]);
    let settings = GcsSettings::new("archives").with_credentials(BearerToken::new("the-only-one"));
    let bucket = Bucket::gcs(transport, settings, SystemRuntime::new()).expect("valid settings");
    let error = bucket.head(&key("a")).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{}", error.sentence());
    assert_eq!(recorded.sent().len(), 1);
}
