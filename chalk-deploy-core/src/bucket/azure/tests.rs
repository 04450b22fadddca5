//! The requests to Azure, one by one, and what its answers mean.

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
    let settings = AzureSettings::new("chalk", "archives").with_token(Counted::default());
    (Bucket::azure(transport, settings, SystemRuntime::new()).expect("valid settings"), recorded)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).expect("a valid key")
}

/// An answer with what object_store asks of each.
fn answer(status: u16, more: &[(&'static str, &str)], body: &str) -> Answer {
    let mut headers = vec![
        ("etag", "\"0x1\"".to_owned()),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        ("content-length", "4".to_owned()),
    ];
    headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    (status, headers, body.to_owned())
}

fn refusal(status: u16, code: &str) -> Answer {
    answer(
        status,
        &[],
        &format!("\u{feff}<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>why</Message></Error>"),
    )
}

fn page(names: &[&str], marker: &str) -> Answer {
    let blob = |name: &&str| {
        format!(
            "<Blob><Name>{name}</Name><Properties><Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT</Last-Modified>\
             <Etag>0x1</Etag><Content-Length>1</Content-Length><Content-Type>x</Content-Type></Properties></Blob>"
        )
    };
    let blobs: String = names.iter().map(blob).collect();
    let body = format!(
        "<?xml version=\"1.0\"?><EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker>\
         </EnumerationResults>"
    );
    answer(200, &[], &body)
}

#[tokio::test]
async fn every_call_is_the_request_of_the_reference_with_a_token_of_its_own() {
    let digest = Digest::of("text").hex();
    let stored = [("x-ms-meta-chalk_sha256", digest.as_str())];
    let (bucket, recorded) = bucket(vec![
        answer(201, &[], ""),
        answer(201, &[], ""),
        answer(200, &stored, ""),
        answer(200, &stored, "text"),
        answer(200, &stored, ""),
        answer(202, &[("x-ms-copy-status", "success")], ""),
        page(&["dir/", "dir/b"], ""),
        answer(202, &[], ""),
        refusal(404, "BlobNotFound"),
    ]);
    let odd = key("dir/a b+ä");
    let payload = Payload::from_bytes("text");
    bucket.put(&odd, &payload, PutMode::WriteOnce).await.expect("stored");
    bucket.put(&odd, &payload, PutMode::Replace).await.expect("stored");
    let head = bucket.head(&odd).await.expect("readable").expect("there");
    assert_eq!((head.size, head.sha256), (4, Some(Digest::of("text"))));
    assert_eq!(bucket.get(&odd).await.expect("there").metadata.sha256, Some(Digest::of("text")));
    bucket.copy(&odd, &key("b"), PutMode::WriteOnce).await.expect("copied");
    bucket.list("dir/ä", None, 9).await.expect("listed");
    bucket.delete(&odd).await.expect("deleted");
    bucket.delete(&odd).await.expect("deleted, or was not there");

    let blob = "/archives/dir/a%20b%2B%C3%A4";
    let lines = recorded.lines();
    // Both writings of the plus sign in a path mean it.
    let lines: Vec<_> = lines.iter().map(|line| line.replace("b+%C3", "b%2B%C3")).collect();
    assert_eq!(
        lines,
        [
            format!("PUT {blob}"),
            format!("PUT {blob}"),
            format!("HEAD {blob}"),
            format!("GET {blob}"),
            format!("HEAD {blob}"),
            "PUT /archives/b".to_owned(),
            "GET /archives?restype=container&comp=list&maxresults=9&prefix=dir%2F%C3%A4".to_owned(),
            format!("DELETE {blob}"),
            format!("DELETE {blob}"),
        ]
    );
    let sent = recorded.sent();
    for (number, sent) in sent.iter().enumerate() {
        assert!(sent.uri.starts_with("https://chalk.blob.core.windows.net/"), "{}", sent.uri);
        assert_eq!(sent.header("authorization"), format!("Bearer token-{number}"), "asked for each time");
        assert!(!format!("{:?}", sent.headers).contains("token-"), "a token is not printed");
        assert_eq!(sent.header("x-ms-version"), signature::VERSION);
        assert!(sent.header("x-ms-date").ends_with(" GMT") && sent.header("date").is_empty());
    }
    let conditions: Vec<_> = sent.iter().map(|sent| sent.header("if-none-match")).collect();
    assert_eq!(conditions, ["*", "", "", "", "", "*", "", "", ""]);
    assert_eq!(
        (sent[0].header("x-ms-blob-type"), sent[0].header("x-ms-meta-chalk_sha256")),
        ("BlockBlob", digest.as_str())
    );
    assert_eq!(&sent[0].body[..], b"text");
    assert!(sent[5].header("x-ms-copy-source").starts_with("https://chalk.blob.core.windows.net/archives/dir/"));
}

#[tokio::test]
async fn a_large_object_is_committed_under_the_condition() {
    let (bucket, recorded) =
        bucket(vec![refusal(404, "BlobNotFound"), answer(201, &[], ""), answer(201, &[], ""), answer(201, &[], "")]);
    let payload = Payload::from_bytes(vec![7; 500]);
    bucket.with_limits(1, 300, 2).put(&key("a"), &payload, PutMode::WriteOnce).await.expect("stored");
    let sent = recorded.sent();
    assert!(sent[1].uri.contains("comp=block&blockid=") && sent[2].uri.contains("comp=block&blockid="));
    assert!(sent[3].uri.ends_with("?comp=blocklist"));
    let conditions: Vec<_> = sent.iter().map(|sent| sent.header("if-none-match")).collect();
    assert_eq!(conditions, ["", "", "", "*"]);
    assert_eq!(sent[3].header("x-ms-meta-chalk_sha256"), payload.sha256().hex());
}

#[tokio::test]
async fn a_writer_whose_blocks_went_with_another_ones_commit_has_lost() {
    let held = |text: &str| answer(200, &[("x-ms-meta-chalk_sha256", &Digest::of(text).hex())], "");
    for code in [(400, "InvalidBlockList"), (409, "BlobAlreadyExists")] {
        let lost = |held| vec![refusal(404, "BlobNotFound"), answer(201, &[], ""), refusal(code.0, code.1), held];
        let payload = Payload::from_bytes("text");
        let (same, _) = bucket(lost(held("text")));
        same.with_limits(1, 300, 2).put(&key("a"), &payload, PutMode::WriteOnce).await.expect("the same bytes");
        let mut answers = lost(held("else"));
        answers.push(held("else"));
        let (other, _) = bucket(answers);
        let error = other.with_limits(1, 300, 2).put(&key("a"), &payload, PutMode::WriteOnce).await.expect_err("other");
        assert_eq!(error.code(), ErrorCode::ObjectExists, "{}", error.sentence());
    }
}

#[tokio::test]
async fn every_refusal_says_what_to_do_and_whether_a_retry_helps() {
    for (status, code, expected, retry, hint) in [
        (403, "AuthenticationFailed", ErrorCode::PermissionDenied, Retry::Permanent, "clock"),
        (401, "InvalidAuthenticationInfo", ErrorCode::PermissionDenied, Retry::Permanent, "renew or correct"),
        (403, "AuthorizationPermissionMismatch", ErrorCode::PermissionDenied, Retry::Permanent, "allow these"),
        (403, "AccountIsDisabled", ErrorCode::PermissionDenied, Retry::Permanent, "provider"),
        (404, "ContainerNotFound", ErrorCode::RequestInvalid, Retry::Permanent, "create the bucket"),
        (409, "ContainerBeingDeleted", ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
        (409, "BlobImmutableDueToPolicy", ErrorCode::RequestInvalid, Retry::Permanent, "retention"),
        (500, "InternalError", ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
        (400, "Md5Mismatch", ErrorCode::DigestMismatch, Retry::Temporary, "upload again"),
        (400, "InvalidHeaderValue", ErrorCode::CloudAnswerInvalid, Retry::Permanent, "check the address"),
    ] {
        let mut answers = vec![refusal(status, code)];
        let unnamed = || answer(status, &[("x-ms-error-code", code)], "");
        if status == 401 {
            // With another token it is tried again.
            answers.extend([refusal(status, code), unnamed()]);
        }
        answers.push(unnamed());
        let (bucket, _) = bucket(answers);
        let payload = Payload::from_bytes("x");
        let put = bucket.put(&key("a"), &payload, PutMode::WriteOnce).await.expect_err("refused");
        assert_eq!((put.code(), put.retry()), (expected, retry), "{code}");
        assert!(put.sentence().contains(&format!("{code}: why")) && put.hint().contains(hint), "{}", put.sentence());
        // The answer to HEAD has no body.
        let head = bucket.head(&key("a")).await.expect_err("refused");
        assert_eq!((head.code(), head.retry()), (expected, retry), "{code}");
        assert!(!format!("{} {head:?}", head.sentence()).contains("token-"));
    }
    for body in ["no XML\u{1b}[31m", "<html></html>", "{}", ""] {
        let (bucket, _) = bucket(vec![answer(200, &[], body)]);
        let error = bucket.list("", None, 10).await.expect_err("no list");
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{body}");
        assert!(!error.sentence().contains('\u{1b}'));
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_pending_is_waited_for_and_one_that_failed_is_no_success() {
    let pending = || answer(202, &[("x-ms-copy-status", "pending")], "");
    for (last, code) in [("success", None), ("failed", Some(ErrorCode::CloudUnavailable))] {
        let (bucket, recorded) =
            bucket(vec![answer(200, &[], ""), pending(), pending(), answer(200, &[("x-ms-copy-status", last)], "")]);
        let copied = bucket.copy(&key("a"), &key("b"), PutMode::Replace).await;
        assert_eq!(copied.err().map(|error| error.code()), code, "{last}");
        assert_eq!(recorded.lines(), ["HEAD /archives/a", "PUT /archives/b", "HEAD /archives/b", "HEAD /archives/b"]);
    }
    let mut endless = vec![answer(200, &[], "")];
    endless.extend(std::iter::repeat_with(pending).take(601));
    let (bucket, _) = bucket(endless);
    let error = bucket.copy(&key("a"), &key("b"), PutMode::Replace).await.expect_err("endless");
    assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
}

#[tokio::test]
async fn a_list_goes_through_the_pages_by_their_markers_and_ends() {
    let names = async |bucket: &Bucket, after: Option<&str>, most| {
        let listed = bucket.list("a", after.map(key), most).await.expect("listed");
        listed.into_iter().map(|object| object.key.to_string()).collect::<Vec<_>>()
    };
    let pages = || vec![page(&["a", "a/1"], "m1"), page(&[], "m2"), page(&["a/2", "a/3"], "m3"), page(&["a/4"], "")];
    let (all, recorded) = bucket(pages());
    // The object whose name is the prefix is one too.
    assert_eq!(names(&all, None, 9).await, ["a", "a/1", "a/2", "a/3", "a/4"]);
    assert!(recorded.lines()[2].contains("marker=m2"), "{:?}", recorded.lines());
    let (later, _) = bucket(pages());
    assert_eq!(names(&later, Some("a/2"), 9).await, ["a/3", "a/4"]);
    let (few, recorded) = bucket(pages());
    assert_eq!(names(&few, None, 2).await, ["a", "a/1"]);
    assert_eq!(recorded.sent().len(), 1);
    let (again, _) = bucket(vec![page(&["a"], "m"), page(&["a"], "m"), page(&["a"], "m")]);
    assert_eq!(names(&again, None, 9).await.len(), 2, "the same page again ends the list");
    let (endless, _) = bucket(vec![page(&[], "m"), page(&[], "m")]);
    assert_eq!(endless.list("a", None, 9).await.expect_err("endless").code(), ErrorCode::CloudAnswerInvalid);
}

#[tokio::test]
async fn presigned_addresses_are_for_those_who_have_the_key() {
    let (transport, _) = Recorded::answering(Vec::new());
    let anonymous = Bucket::azure(transport, AzureSettings::new("chalk", "archives"), SystemRuntime::new());
    assert!(anonymous.expect("valid settings").presigned_download().is_none(), "who is nobody signs nothing");
    let (transport, _) = Recorded::answering(Vec::new());
    let secret = AzureSharedKey::new("aGlkZGVu").expect("base64");
    let settings = AzureSettings::new("chalk", "archives").with_shared_key(secret);
    let shown = format!("{settings:?}");
    let bucket = Bucket::azure(transport, settings, SystemRuntime::new()).expect("valid settings");
    assert!(!format!("{shown} {bucket:?}").contains("hidden") && !shown.contains("aGlkZGVu"), "{shown}");
    let presigned = bucket.presigned_download().expect("with the key");
    let day = std::time::Duration::from_hours(24);
    let url = presigned.presign(&key("a b/ä"), day).await.expect("signed");
    let url = url.expose();
    assert!(url.starts_with("https://chalk.blob.core.windows.net/archives/a%20b/%C3%A4?sp=r&se=2"), "{url}");
    assert!(url.contains("&spr=https&") && url.contains("&sr=b&") && !url.contains("hidden"), "{url}");
    for wrong in [std::time::Duration::ZERO, std::time::Duration::from_millis(1500), 8 * day] {
        assert_eq!(presigned.presign(&key("a"), wrong).await.expect_err("refused").code(), ErrorCode::ValueInvalid);
    }
}

/// A key for addresses that lives for so long from now on.
fn delegated(lives: std::time::Duration) -> Answer {
    use crate::runtime::Runtime as _;
    let now = SystemRuntime::new().now();
    let (start, end) = (now, now.plus(lives));
    let body = format!(
        "<UserDelegationKey><SignedOid>object</SignedOid><SignedTid>tenant</SignedTid><SignedStart>{start}</SignedStart>\
         <SignedExpiry>{end}</SignedExpiry><SignedService>b</SignedService><SignedVersion>2023-11-03</SignedVersion>\
         <Value>aGlkZGVu</Value></UserDelegationKey>"
    );
    answer(200, &[], &body)
}

#[tokio::test]
async fn the_holder_of_a_token_signs_addresses_with_a_key_that_is_asked_for_once() {
    let hour = std::time::Duration::from_hours(1);
    let (bucket, recorded) = bucket(vec![delegated(3 * hour), delegated(100 * hour), delegated(hour)]);
    let presigned = bucket.presigned_download().expect("by a delegated key");
    let signed = async |hours: u32| presigned.presign(&key("a b/ä"), hours * hour).await.expect("signed");
    let all = futures::future::join_all((0..20).map(|_| signed(1))).await;
    assert_eq!(recorded.sent().len(), 1, "one key for all who want one");
    let url = all[0].expose();
    assert!(url.starts_with("https://chalk.blob.core.windows.net/archives/a%20b/%C3%A4?sp=r&se=2"), "{url}");
    assert!(url.contains("&skoid=object&sktid=tenant&skt=2") && url.contains("&sig="), "{url}");
    assert!(!url.contains("hidden") && !format!("{bucket:?}").contains("hidden"));
    signed(50).await;
    let sent = recorded.sent();
    assert_eq!(sent.len(), 2, "an address that would outlive the key wants another one");
    assert_eq!(recorded.lines()[0], "POST /?restype=service&comp=userdelegationkey");
    assert_eq!(sent[0].header("authorization"), "Bearer token-0");
    let body = String::from_utf8_lossy(&sent[0].body).into_owned();
    assert!(body.contains("<KeyInfo><Start>2") && body.contains("Z</Start><Expiry>2"), "{body}");
    let error = presigned.presign(&key("a"), 150 * hour).await.expect_err("the key that was given ends too early");
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
    for wrong in [std::time::Duration::ZERO, std::time::Duration::from_millis(1500), 168 * hour] {
        assert_eq!(presigned.presign(&key("a"), wrong).await.expect_err("refused").code(), ErrorCode::ValueInvalid);
    }
}

#[tokio::test]
async fn who_may_not_have_a_key_for_addresses_is_told_which_permission_it_takes() {
    let (bucket, _) = bucket(vec![refusal(403, "AuthorizationPermissionMismatch"), answer(200, &[], "<html/>")]);
    let presigned = bucket.presigned_download().expect("by a delegated key");
    let error = presigned.presign(&key("a"), std::time::Duration::from_mins(1)).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.hint().contains("generateUserDelegationKey/action"), "{}", error.sentence());
    let error = presigned.presign(&key("a"), std::time::Duration::from_mins(1)).await.expect_err("no key");
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{}", error.sentence());
}

#[tokio::test]
async fn a_token_that_expired_on_its_way_is_renewed_once() {
    let expired = || refusal(401, "InvalidAuthenticationInfo");
    let (renewed, recorded) = bucket(vec![expired(), answer(201, &[], "")]);
    renewed.put(&key("a"), &Payload::from_bytes("x"), PutMode::Replace).await.expect("stored the second time");
    let shown: Vec<_> = recorded.sent().iter().map(|sent| sent.header("authorization").to_owned()).collect();
    // Between them, one was asked for to see whether it is another.
    assert_eq!(shown, ["Bearer token-0", "Bearer token-2"]);
    let (refused, recorded) = bucket(vec![expired(), expired()]);
    let error = refused.put(&key("a"), &Payload::from_bytes("x"), PutMode::Replace).await.expect_err("twice");
    assert_eq!((error.code(), recorded.sent().len()), (ErrorCode::PermissionDenied, 2));
}

#[test]
fn what_would_lead_requests_elsewhere_is_refused_without_being_shown() {
    for (account, container, endpoint) in [
        ("a.evil.example/", "c", None),
        ("a.b", "c", None),
        ("", "c", None),
        ("a", "c/d", None),
        ("a", "$root", None),
        ("a", "..", None),
        ("a", "c", Some("https://user:hidden@host")),
        ("a", "c", Some("https://host/a/hidden")),
        ("a", "c", Some("https://host/a?hidden")),
        ("a", "c", Some("ftp://host")),
    ] {
        let mut settings = AzureSettings::new(account, container);
        settings.endpoint = endpoint.map(str::to_owned);
        let (transport, _) = Recorded::answering(Vec::new());
        let error = open(transport, settings, SystemRuntime::new()).expect_err("not valid");
        assert_eq!(error.code(), ErrorCode::ValueInvalid);
        assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
    }
}
