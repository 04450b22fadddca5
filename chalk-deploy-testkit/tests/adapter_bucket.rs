//! The bucket adapter, over each of its stores, under the suite of its trait; and over S3 with everything that networks
//! and servers do.
#![cfg(feature = "simulated")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::bucket::{Bucket, S3CredentialSource, S3Credentials, S3Settings};
use chalk_deploy_core::cloud::{ByteStream, ObjectStore as _, Payload, PayloadSource, PutMode, RetentionMode};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{Digest, ObjectKey};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, RequestBody, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::conformance::object_retention::{self, KeepingBucket};
use chalk_deploy_testkit::conformance::object_store;
use chalk_deploy_testkit::simulated::bucket::{AccessKey, BucketServer, BucketSettings};
use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests, faulty};
use chalk_deploy_testkit::simulated::http::{in_process, serve};
use chalk_deploy_testkit::{VirtualRuntime, World};
use futures::{StreamExt as _, TryStreamExt as _};
use http::Request;

const ENDPOINT: &str = "http://127.0.0.1:9000";

fn settings() -> BucketSettings {
    BucketSettings::new("archives").with_key(AccessKey::new("AKIA", "secret"))
}

fn s3() -> S3Settings {
    S3Settings::new("archives", "us-east-1")
        .with_endpoint(ENDPOINT)
        .with_conditional_copies(true)
        .with_credentials(S3Credentials::new("AKIA", "secret"))
}

/// The adapter over a server in the process, with a plan of faults that is also the log of requests.
struct House {
    bucket: Bucket,
    faults: Arc<ProtocolFaults>,
    world: World,
    runtime: Arc<VirtualRuntime>,
    transport: Transport,
}

impl House {
    fn new(settings: BucketSettings, s3: S3Settings) -> Self {
        Self::under(ProtocolFaults::new(), settings, s3)
    }

    fn under(faults: ProtocolFaults, settings: BucketSettings, s3: S3Settings) -> Self {
        let (world, runtime) = (World::memory(), VirtualRuntime::new(1));
        let server = BucketServer::new(&world, runtime.clone(), settings).expect("a server");
        let faults = Arc::new(faults);
        let transport = in_process(faulty(Arc::new(server), faults.clone(), runtime.clone()));
        let bucket = Bucket::s3(transport.clone(), s3, runtime.clone()).expect("valid settings");
        Self { bucket, faults, world, runtime, transport }
    }

    fn plain() -> Self {
        Self::new(settings(), s3())
    }

    /// The methods of the requests since the last call.
    fn methods(&self, from: usize) -> Vec<String> {
        self.faults.log()[from..].iter().map(|request| request.method.clone()).collect()
    }

    /// What the world holds that is no object: parts and uploads that were left.
    fn leftovers(&self) -> Vec<String> {
        let snapshot = self.world.snapshot().expect("readable");
        let is_left = |path: &&String| ["s3/upload", "s3/part", "s3/chunk"].iter().any(|begin| path.starts_with(begin));
        snapshot.keys().filter(is_left).cloned().collect()
    }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).expect("a valid key")
}

fn any() -> Requests {
    Requests::to("bucket")
}

/// Bytes that arrive in pieces.
fn large(length: usize) -> Payload {
    struct Pieces(Bytes);
    #[async_trait]
    impl PayloadSource for Pieces {
        async fn open(&self) -> Result<ByteStream> {
            let pieces: Vec<_> = self.0.chunks(700_001).map(Bytes::copy_from_slice).map(Ok).collect();
            // Other writers come in between.
            let pieces = futures::stream::iter(pieces).then(|piece| async {
                tokio::task::yield_now().await;
                piece
            });
            Ok(pieces.boxed())
        }
    }
    let mut bytes = (0..=250).collect::<Vec<u8>>().repeat(length / 251 + 1);
    bytes.truncate(length);
    let bytes = Bytes::from(bytes);
    Payload::new(Digest::of(&bytes), length as u64, Arc::new(Pieces(bytes)))
}

async fn read(bucket: &Bucket, key: &ObjectKey) -> Vec<u8> {
    let body = bucket.get(key).await.expect("an object").body;
    let pieces: Vec<Bytes> = body.try_collect().await.expect("a whole body");
    pieces.concat()
}

#[tokio::test]
async fn a_bucket_in_memory_passes_the_suite_whole_and_in_parts() {
    object_store::suite(&Bucket::memory(), "run").await.assert_passed();
    object_store::suite(&Bucket::memory().with_limits(2, 3, 2), "run").await.assert_passed();
}

#[tokio::test]
async fn a_bucket_in_a_directory_passes_the_suite_whole_and_in_parts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = Bucket::local(folder.path()).expect("a bucket");
    object_store::suite(&whole, "run").await.assert_passed();
    let parts = Bucket::local(folder.path()).expect("a bucket").with_limits(2, 300_000, 2);
    object_store::suite(&parts, "another run").await.assert_passed();
    let mut left = files_in(folder.path());
    left.retain(|name| !name.ends_with(".object") || name.contains("staging"));
    assert_eq!(left, Vec::<String>::new(), "nothing is left but objects");
}

fn files_in(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_in(&path));
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_s3_passes_the_suite_in_the_process_whole_and_in_parts() {
    let house = House::plain();
    object_store::suite(&house.bucket, "run").await.assert_passed();
    let house = House::new(settings().with_part_least(1), s3());
    object_store::suite(&house.bucket.clone().with_limits(2, 300_000, 3), "run").await.assert_passed();
    assert_eq!(house.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_s3_that_locks_objects_passes_the_suite_of_retention() {
    let house = House::new(settings().with_object_lock(true), s3());
    let subject = KeepingBucket { store: Arc::new(house.bucket.clone()), now: house.runtime.now() };
    object_retention::suite(&subject, "run").await.assert_passed();
}

#[tokio::test(start_paused = true)]
async fn what_a_bucket_of_s3_keeps_is_not_removed_until_it_may_go() {
    let house = House::new(settings().with_object_lock(true), s3());
    let (held, kept) = (key("held"), key("kept"));
    for key in [&held, &kept] {
        house.bucket.put(key, &Payload::from_bytes("text"), PutMode::WriteOnce).await.expect("stored");
    }
    let keeper = house.bucket.retention().expect("S3 has it");
    keeper.set_legal_hold(&held, true).await.expect("held");
    let until = house.runtime.now().plus(Duration::from_hours(1));
    keeper.retain(&kept, until, RetentionMode::Compliance).await.expect("kept");
    for key in [&held, &kept] {
        house.bucket.delete(key).await.expect_err("it is kept");
        assert_eq!(read(&house.bucket, key).await, b"text");
    }
    keeper.set_legal_hold(&held, false).await.expect("let go");
    house.bucket.delete(&held).await.expect("free");
    house.runtime.sleep(Duration::from_hours(2)).await;
    house.bucket.delete(&kept).await.expect("its time is over");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_s3_that_locks_nothing_says_so() {
    let house = House::plain();
    house.bucket.put(&key("a"), &Payload::from_bytes("text"), PutMode::WriteOnce).await.expect("stored");
    let keeper = house.bucket.retention().expect("S3 has it");
    let error = keeper.set_legal_hold(&key("a"), true).await.expect_err("not set up");
    assert_eq!(error.code(), ErrorCode::RequestInvalid, "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_s3_without_conditions_signatures_and_checksums_passes_the_suite_too() {
    let open = BucketSettings::new("archives").with_conditional_writes(false).with_part_least(1).with_list_most(2);
    let poor = S3Settings::new("archives", "us-east-1")
        .with_endpoint(ENDPOINT)
        .with_conditional_copies(true)
        .with_conditional_writes(false)
        .with_checksums(false);
    let house = House::new(open, poor);
    assert!(!house.bucket.capabilities().conditional_put);
    object_store::suite(&house.bucket, "run").await.assert_passed();
    object_store::suite(&house.bucket.clone().with_limits(2, 3_000_000, 2), "parts").await.assert_passed();
}

#[tokio::test(start_paused = true)]
async fn a_bucket_in_the_host_of_aws_passes_the_suite_too() {
    let mut s3 = s3();
    (s3.endpoint, s3.path_style) = (None, false);
    object_store::suite(&House::new(settings(), s3).bucket, "run").await.assert_passed();
}

/// Bytes that are counted for as long as anyone holds them.
struct Living(Vec<u8>, Arc<(AtomicUsize, AtomicUsize)>);

impl Living {
    fn bytes(content: Vec<u8>, counts: &Arc<(AtomicUsize, AtomicUsize)>) -> Bytes {
        let living = counts.0.fetch_add(content.len(), Ordering::SeqCst) + content.len();
        counts.1.fetch_max(living, Ordering::SeqCst);
        Bytes::from_owner(Self(content, Arc::clone(counts)))
    }
}

impl AsRef<[u8]> for Living {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.1.0.fetch_sub(self.0.len(), Ordering::SeqCst);
    }
}

/// Pieces that are made when they are asked for.
struct Fountain(usize, usize, Arc<(AtomicUsize, AtomicUsize)>);

#[async_trait]
impl PayloadSource for Fountain {
    async fn open(&self) -> Result<ByteStream> {
        let (length, counts) = (self.1, Arc::clone(&self.2));
        Ok(futures::stream::iter(0..self.0).map(move |_| Ok(Living::bytes(vec![b'x'; length], &counts))).boxed())
    }
}

#[tokio::test]
async fn an_object_that_goes_in_one_request_streams_and_is_never_in_memory_as_a_whole() {
    const PIECES: usize = 120;
    const LENGTH: usize = 64 << 10;
    let runtime = SystemRuntime::new();
    let server = BucketServer::new(&World::memory(), runtime.clone(), settings()).expect("a server");
    let listening = serve(Arc::new(server), 0).await.expect("a free port");
    let transport = NetworkTransport::builder().build().expect("a transport");
    let credentials: Arc<dyn S3CredentialSource> = Arc::new(S3Credentials::new("AKIA", "secret"));
    let url = format!("http://{}/archives", listening.address());
    let bucket = Bucket::from_url(&url, transport, Some(credentials), runtime).expect("a bucket");
    let counts = Arc::default();
    let size = (PIECES * LENGTH) as u64;
    let payload = |sha256| Payload::new(sha256, size, Arc::new(Fountain(PIECES, LENGTH, Arc::clone(&counts))));
    let sha256 = Digest::of(vec![b'x'; PIECES * LENGTH]);
    bucket.put(&key("a"), &payload(sha256), PutMode::WriteOnce).await.expect("stored");
    assert_eq!(bucket.head(&key("a")).await.expect("there").and_then(|there| there.sha256), Some(sha256));
    let most = counts.1.load(Ordering::SeqCst);
    assert!(most <= 32 * LENGTH, "{most} bytes of {size} were in memory at once");
    let wrong = bucket.put(&key("b"), &payload(Digest::of("other")), PutMode::WriteOnce).await;
    assert_eq!(wrong.expect_err("other bytes").code(), ErrorCode::DigestMismatch);
    assert_eq!(bucket.head(&key("b")).await.expect("answered"), None);
    assert_eq!(counts.0.load(Ordering::SeqCst), 0, "nobody holds any of it");
}

#[tokio::test]
async fn a_bucket_of_s3_passes_the_suite_over_loopback() {
    let runtime = SystemRuntime::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = World::directory(folder.path()).expect("a world");
    let server = BucketServer::new(&world, runtime.clone(), settings()).expect("a server");
    let listening = serve(Arc::new(server), 0).await.expect("a free port");
    let transport = NetworkTransport::builder().build().expect("a transport");
    let credentials: Arc<dyn S3CredentialSource> = Arc::new(S3Credentials::new("AKIA", "secret"));
    let url = format!("http://{}/archives", listening.address());
    let bucket = Bucket::from_url(&url, transport.clone(), Some(credentials), runtime).expect("a bucket");
    object_store::suite(&bucket, "run").await.assert_passed();

    let (large, key) = (large(20_000_000), key("large"));
    let parts = bucket.clone().with_limits(1, 5 << 20, 3);
    let put = parts.put(&key, &large, PutMode::WriteOnce).await.expect("stored");
    assert_eq!(put.sha256, Some(large.sha256()));
    assert_eq!(Digest::of(read(&bucket, &key).await), large.sha256());

    let presigned = bucket.presigned_download().expect("S3 has them");
    let url = presigned.presign(&key, Duration::from_mins(1)).await.expect("signed");
    let request = Request::get(url.expose()).body(RequestBody::Empty).expect("a request");
    assert_eq!(transport.send(request).await.expect("an answer").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_a_call_costs_is_counted() {
    let house = House::plain();
    let bucket = &house.bucket;
    let small = Payload::from_bytes("small");
    let mut from = 0;
    for (what, expected) in [
        ("a write-once put", vec!["PUT"]),
        ("the same again", vec!["PUT", "HEAD"]),
        ("a head", vec!["HEAD"]),
        ("a get", vec!["GET"]),
        ("a write-once copy", vec!["HEAD", "PUT"]),
        ("a list", vec!["GET"]),
        ("a delete", vec!["DELETE"]),
    ] {
        match what {
            "a write-once put" | "the same again" => {
                drop(bucket.put(&key("a"), &small, PutMode::WriteOnce).await.expect("stored"));
            }
            "a head" => drop(bucket.head(&key("a")).await.expect("found")),
            "a get" => drop(bucket.get(&key("a")).await.expect("found")),
            "a write-once copy" => drop(bucket.copy(&key("a"), &key("b"), PutMode::WriteOnce).await.expect("copied")),
            "a list" => drop(bucket.list("", None, 10).await.expect("listed")),
            _ => bucket.delete(&key("a")).await.expect("deleted"),
        }
        assert_eq!(house.methods(from), expected, "{what}");
        from += expected.len();
    }
    let five = large(12 << 20);
    bucket.put(&key("large"), &five, PutMode::WriteOnce).await.expect("stored");
    // A look, the beginning, two parts, the completion under the condition.
    assert_eq!(house.methods(from), ["HEAD", "POST", "PUT", "PUT", "POST"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_after_the_effect_is_found_to_be_one_success() {
    let house = House::plain();
    let small = Payload::from_bytes("small");
    house.faults.next(any().method("PUT"), ProtocolFault::SeverAfter);
    house.bucket.put(&key("a"), &small, PutMode::WriteOnce).await.expect("stored once");
    // The put, its repetition that finds the key taken, and the look at what took it.
    assert_eq!(house.methods(0), ["PUT", "PUT", "HEAD"]);

    house.faults.next(any().method("PUT"), ProtocolFault::SeverAfter);
    house.bucket.copy(&key("a"), &key("b"), PutMode::WriteOnce).await.expect("copied once");
    house.faults.next(any().method("DELETE"), ProtocolFault::SeverAfter);
    house.bucket.delete(&key("b")).await.expect("deleted once");

    // A completion is not idempotent, and not repeated: what lies there says that it was done.
    let large = large(12 << 20);
    house.faults.next(any().method("POST").containing("uploadId"), ProtocolFault::SeverAfter);
    house.bucket.put(&key("large"), &large, PutMode::WriteOnce).await.expect("stored once");
    assert_eq!(Digest::of(read(&house.bucket, &key("large")).await), large.sha256());
    assert_eq!(house.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_completion_that_was_not_done_is_an_error_and_leaves_nothing() {
    let house = House::plain();
    house.faults.next(any().method("POST").containing("uploadId"), ProtocolFault::SeverBefore);
    let refused = house.bucket.put(&key("large"), &large(12 << 20), PutMode::WriteOnce).await;
    assert_eq!(refused.expect_err("not stored").code(), ErrorCode::CloudUnavailable);
    assert_eq!(house.bucket.head(&key("large")).await.expect("readable"), None);
    assert_eq!(house.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn two_uploads_in_parts_of_other_bytes_to_one_write_once_key_leave_the_first() {
    let house = House::plain();
    let (one, two) = (large(12 << 20), large((12 << 20) + 1));
    let key = key("a");
    let [first, second] = [&one, &two].map(|payload| house.bucket.put(&key, payload, PutMode::WriteOnce));
    let (first, second) = futures::join!(first, second);
    let (winner, lost) = match (first, second) {
        (Ok(_), Err(error)) => (&one, error),
        (Err(error), Ok(_)) => (&two, error),
        (first, second) => panic!("not exactly one has won: {first:?}, {second:?}"),
    };
    assert_eq!(lost.code(), ErrorCode::ObjectExists);
    assert_eq!(Digest::of(read(&house.bucket, &key).await), winner.sha256());
    assert_eq!(house.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_hiccup_is_bridged_and_an_outage_is_the_drivers() {
    let house = House::plain();
    let small = Payload::from_bytes("small");
    for fault in [ProtocolFault::busy(503, 2), ProtocolFault::busy(429, 1), ProtocolFault::SeverBefore] {
        house.faults.next(any().method("PUT"), fault);
        house.bucket.put(&key("a"), &small, PutMode::Replace).await.expect("stored");
    }
    let outage = ProtocolFaults::new().from(any(), 1, ProtocolFault::busy(503, 2));
    let house = House::under(outage, settings(), s3());
    let error = house.bucket.head(&key("a")).await.expect_err("overloaded");
    assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
    assert_eq!(house.runtime.monotonic(), Duration::from_secs(4), "two waits of the server's own length");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_limits_its_rate_slows_the_adapter_down() {
    let house = House::new(settings().with_requests_per_second(2), s3());
    for number in 0..6 {
        let payload = Payload::from_bytes(format!("{number}"));
        house.bucket.put(&key(&format!("{number}")), &payload, PutMode::WriteOnce).await.expect("stored");
    }
    assert!(house.runtime.monotonic() >= Duration::from_secs(2), "{:?}", house.runtime.monotonic());
}

#[tokio::test(start_paused = true)]
async fn every_refusal_says_what_to_do() {
    let xml = |code: &str| format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>why</Message></Error>");
    for (status, body, code, hint) in [
        (403, xml("AccessDenied"), ErrorCode::PermissionDenied, "allow these credentials"),
        (400, xml("ExpiredToken"), ErrorCode::PermissionDenied, "renew the credentials"),
        (404, xml("NoSuchBucket"), ErrorCode::RequestInvalid, "create the bucket"),
        (301, xml("PermanentRedirect"), ErrorCode::RequestInvalid, "correct the region"),
        (500, xml("InternalError"), ErrorCode::CloudUnavailable, "resume"),
        (409, xml("ConditionalRequestConflict"), ErrorCode::CloudUnavailable, "resume"),
        (200, "no XML\u{1b}[31m".to_owned(), ErrorCode::CloudAnswerInvalid, "check the address"),
        (200, xml("InternalError"), ErrorCode::CloudUnavailable, "resume"),
        (200, "<html><body>Welcome</body></html>".to_owned(), ErrorCode::CloudAnswerInvalid, "check the address"),
        (418, "<html>".repeat(100_000), ErrorCode::CloudAnswerInvalid, "check the address"),
    ] {
        let house = House::plain();
        house.faults.next(any(), ProtocolFault::Answer { status, headers: vec![], body: body.clone() });
        let error = house.bucket.list("", None, 10).await.expect_err("refused");
        assert_eq!(error.code(), code, "{status} {error:?}");
        let sentence = error.sentence();
        assert!(error.hint().contains(hint) && sentence.len() < 800, "{sentence}");
        assert!(!sentence.contains('\u{1b}') && !sentence.contains("secret"), "{sentence}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_after_its_head_was_sent_is_no_success() {
    let house = House::plain();
    house.bucket.put(&key("a"), &Payload::from_bytes("x"), PutMode::WriteOnce).await.expect("stored");
    let body = "<Error><Code>SlowDown</Code><Message>later</Message></Error>".to_owned();
    house.faults.next(any().method("PUT"), ProtocolFault::Answer { status: 200, headers: vec![], body });
    let error = house.bucket.copy(&key("a"), &key("b"), PutMode::WriteOnce).await.expect_err("not copied");
    assert_eq!(error.code(), ErrorCode::CloudUnavailable);
    assert_eq!(house.bucket.head(&key("b")).await.expect("readable"), None);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_no_whole_object_in_either_direction() {
    let cut = |faults: ProtocolFaults, nth| faults.at(any().method("PUT"), nth, ProtocolFault::CutRequest { after: 4 });
    let house = House::under((1..=3).fold(ProtocolFaults::new(), cut), settings(), s3());
    let payload = Payload::from_bytes("a whole object");
    let error = house.bucket.put(&key("a"), &payload, PutMode::WriteOnce).await.expect_err("cut");
    assert_eq!(error.code(), ErrorCode::CloudUnavailable);
    assert_eq!(house.bucket.head(&key("a")).await.expect("readable"), None);

    house.bucket.put(&key("a"), &payload, PutMode::WriteOnce).await.expect("stored");
    house.faults.next(any().method("GET"), ProtocolFault::CutAnswer { after: 4 });
    let body = house.bucket.get(&key("a")).await.expect("a head").body;
    assert!(body.try_collect::<Vec<_>>().await.is_err(), "a cut body was taken for a whole one");
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_arrives_whole_in_virtual_time() {
    let house = House::plain();
    let payload = Payload::from_bytes("x".repeat(1_000_000));
    house.bucket.put(&key("a"), &payload, PutMode::WriteOnce).await.expect("stored");
    house.faults.next(any().method("GET"), ProtocolFault::SlowAnswer { pause: Duration::from_secs(30) });
    assert_eq!(read(&house.bucket, &key("a")).await.len(), 1_000_000);
    assert!(house.runtime.monotonic() >= Duration::from_secs(30));
}

/// Credentials of a session that are renewed when they are told to be.
#[derive(Debug)]
struct Session(Arc<VirtualRuntime>);

#[async_trait]
impl S3CredentialSource for Session {
    async fn credentials(&self) -> Result<S3Credentials> {
        let renewed = self.0.monotonic() > Duration::from_hours(2);
        let (id, token) = if renewed { ("NEW", "second") } else { ("OLD", "first") };
        Ok(S3Credentials::new(id, "secret").with_session_token(token))
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_are_a_temporary_refusal_until_they_are_renewed() {
    let runtime = VirtualRuntime::new(1);
    let in_hours = |hours| runtime.now().plus(Duration::from_hours(hours));
    let settings = BucketSettings::new("archives")
        .with_key(AccessKey::new("OLD", "secret").in_session("first", in_hours(1)))
        .with_key(AccessKey::new("NEW", "secret").in_session("second", in_hours(9)));
    let server = BucketServer::new(&World::memory(), runtime.clone(), settings).expect("a server");
    let s3 =
        S3Settings::new("archives", "us-east-1").with_endpoint(ENDPOINT).with_credentials(Session(runtime.clone()));
    let bucket = Bucket::s3(in_process(Arc::new(server)), s3, runtime.clone()).expect("valid settings");
    let put = |name: &'static str| {
        let bucket = bucket.clone();
        async move { bucket.put(&key(name), &Payload::from_bytes(name), PutMode::WriteOnce).await }
    };
    put("before").await.expect("stored");
    runtime.sleep(Duration::from_mins(90)).await;
    let error = put("late").await.expect_err("expired");
    assert_eq!((error.code(), error.retry()), (ErrorCode::PermissionDenied, Retry::Temporary));
    runtime.sleep(Duration::from_hours(1)).await;
    put("late").await.expect("stored");
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_refused_and_never_shown() {
    for (id, secret, code) in
        [("AKIA", "wrong-secret", "SignatureDoesNotMatch"), ("NOBODY", "secret", "InvalidAccessKeyId")]
    {
        let mut s3 = s3();
        s3.credentials = Some(Arc::new(S3Credentials::new(id, secret)));
        let house = House::new(settings(), s3);
        let error = house.bucket.list("", None, 1).await.expect_err("refused");
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
        let sentence = format!("{} {error:?}", error.sentence());
        assert!(sentence.contains(code) && !sentence.contains("wrong-secret"), "{sentence}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_presigned_address_reads_one_object_until_it_expires() {
    let house = House::plain();
    let odd = key("a b/ä+c");
    house.bucket.put(&odd, &Payload::from_bytes("text"), PutMode::WriteOnce).await.expect("stored");
    let presigned = house.bucket.presigned_download().expect("S3 has them");
    let url = presigned.presign(&odd, Duration::from_mins(10)).await.expect("signed");
    assert_eq!(url.expires_at(), house.runtime.now().plus(Duration::from_mins(10)));
    let status = async |url: &str| {
        let request = Request::get(url).body(RequestBody::Empty).expect("a request");
        house.transport.send(request).await.expect("an answer").status().as_u16()
    };
    assert_eq!(status(url.expose()).await, 200);
    assert_eq!(status(&url.expose().replace("/a%20b/", "/other/")).await, 403, "it is for one object");
    assert_eq!(status(&url.expose().replace("Expires=600", "Expires=900")).await, 403, "its end is signed");
    assert_eq!(status(url.expose().split('?').next().expect("an address")).await, 403, "without it nobody reads");
    house.runtime.sleep(Duration::from_secs(601)).await;
    assert_eq!(status(url.expose()).await, 403);
    for wrong in [Duration::ZERO, Duration::from_millis(1500), Duration::from_hours(169)] {
        assert_eq!(presigned.presign(&odd, wrong).await.expect_err("refused").code(), ErrorCode::ValueInvalid);
    }
    assert!(Bucket::memory().presigned_download().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_payload_in_parts_keeps_its_own_error_and_leaves_nothing() {
    struct Changed;
    #[async_trait]
    impl PayloadSource for Changed {
        async fn open(&self) -> Result<ByteStream> {
            let changed = std::io::Error::other(Error::new(ErrorCode::SourceChanged, "a file was changed"));
            let pieces = [Ok(Bytes::from(vec![0; 9 << 20])), Err(changed)];
            Ok(futures::stream::iter(pieces).boxed())
        }
    }
    let house = House::plain();
    let payload = Payload::new(Digest::of("x"), 12 << 20, Arc::new(Changed));
    let error = house.bucket.put(&key("a"), &payload, PutMode::WriteOnce).await.expect_err("changed");
    assert_eq!(error.code(), ErrorCode::SourceChanged);
    assert_eq!(house.leftovers(), Vec::<String>::new());
    assert_eq!(house.methods(0), ["HEAD", "POST", "PUT", "DELETE", "HEAD"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_many_pages_is_one_list() {
    let house = House::new(settings().with_list_most(3), s3());
    for number in 0..8 {
        let payload = Payload::from_bytes("x");
        house.bucket.put(&key(&format!("dir/{number}")), &payload, PutMode::WriteOnce).await.expect("stored");
    }
    let listed = house.bucket.list("dir/", Some(key("dir/1")), 5).await.expect("listed");
    let names: Vec<_> = listed.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(names, ["dir/2", "dir/3", "dir/4", "dir/5", "dir/6"]);
    assert_eq!(house.bucket.list("", None, 100).await.expect("listed").len(), 8);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_requests_and_the_same_world() {
    let run = async || {
        let house = House::plain();
        house.faults.next(any().method("PUT"), ProtocolFault::SeverAfter);
        let small = Payload::from_bytes("small");
        house.bucket.put(&key("a"), &small, PutMode::WriteOnce).await.expect("stored");
        house.bucket.put(&key("b"), &large(12 << 20), PutMode::WriteOnce).await.expect("stored");
        (format!("{:?}", house.faults.log()), house.world.snapshot().expect("readable"))
    };
    let (one, other) = (run().await, run().await);
    assert!(one == other, "{}\n{}", one.0, other.0);
}

/// Runs the AWS command line on the server, if it is installed.
#[tokio::test]
async fn the_aws_command_line_is_served() {
    let runtime = SystemRuntime::new();
    let server = BucketServer::new(&World::memory(), runtime.clone(), settings()).expect("a server");
    let listening = serve(Arc::new(server), 0).await.expect("a free port");
    let endpoint = format!("http://{}", listening.address());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    std::fs::write(file("large"), &bytes).expect("a file");
    std::fs::write(file("small"), "small").expect("a file");
    // Without this it presigns with version 2, which newer regions of S3 refuse as well.
    std::fs::write(file("config"), "[default]\ns3 =\n    signature_version = s3v4\n").expect("a file");
    let aws = async |arguments: &[&str]| {
        let run = tokio::process::Command::new("aws")
            .args(["--endpoint-url", &endpoint])
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", "AKIA")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", file("config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", file("none"))
            .env("AWS_PAGER", "")
            .output();
        let output = run.await.ok()?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Some((output.status.success(), said))
    };
    if aws(&["--version"]).await.is_none_or(|(works, _)| !works) {
        chalk_deploy_testkit::foreign::skip("the AWS command line is not installed");
        return;
    }
    let does = async |arguments: &[&str]| {
        let (succeeds, said) = aws(arguments).await.expect("it was there a moment ago");
        assert!(succeeds, "{arguments:?}: {said}");
        said
    };
    does(&["s3", "mb", "s3://other"]).await;
    does(&["s3", "cp", &file("large"), "s3://archives/dir/a large+one"]).await;
    does(&["s3", "cp", &file("small"), "s3://archives/small"]).await;
    let listed = does(&["s3", "ls", "--recursive", "s3://archives/"]).await;
    assert!(listed.contains("20000000 dir/a large+one") && listed.contains("5 small"), "{listed}");
    assert!(does(&["s3", "ls", "s3://archives/"]).await.contains("PRE dir/"));
    does(&["s3", "cp", "s3://archives/dir/a large+one", &file("back")]).await;
    assert!(std::fs::read(file("back")).expect("a file") == bytes, "what came back is not what was sent");
    does(&["s3", "cp", "s3://archives/small", "s3://other/copied"]).await;
    let put =
        ["s3api", "put-object", "--bucket", "archives", "--if-none-match", "*", "--body", &file("small"), "--key"];
    does(&[&put[..], &["once", "--checksum-algorithm", "SHA256"]].concat()).await;
    let (again, said) = aws(&[&put[..], &["once"]].concat()).await.expect("installed");
    assert!(!again && said.contains("PreconditionFailed"), "{said}");
    let url = does(&["s3", "presign", "s3://archives/small", "--expires-in", "60"]).await;
    let request = Request::get(url.trim()).body(RequestBody::Empty).expect("a request");
    let transport = NetworkTransport::builder().build().expect("a transport");
    assert_eq!(transport.send(request).await.expect("an answer").status(), 200);
    does(&["s3", "rm", "--recursive", "s3://archives/"]).await;
    assert_eq!(does(&["s3", "ls", "s3://archives/"]).await, "");
    let bucket = Bucket::s3(transport, s3().with_endpoint(endpoint.clone()), runtime).expect("valid settings");
    assert_eq!(bucket.list("", None, 10).await.expect("listed"), []);
}
