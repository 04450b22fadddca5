//! The bucket adapters for Google and Azure against any server that the environment names: an emulator, or the cloud
//! itself. `testbed/e2e` runs the same suite on the testbed's emulators.
//!
//! | variable | what |
//! |---|---|
//! | `CHALK_TEST_S3` | address of a bucket of S3; its key in `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` |
//! | `CHALK_TEST_KEEPS` | which of `S3`, `GCS` and `AZURE` can keep objects (Object Lock and its likes), between commas |
//! | `CHALK_TEST_GCS` | address of a bucket, `gs://bucket?endpoint=…` |
//! | `CHALK_TEST_GCS_TOKEN` | bearer token; without it requests are anonymous |
//! | `CHALK_TEST_AZURE` | address of a container, `azure://account/container?endpoint=…` |
//! | `CHALK_TEST_AZURE_KEY` | key of the account; without it requests are anonymous |

use std::env;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::bucket::{
    AzureCredentials, AzureSharedKey, BearerToken, Bucket, BucketCredentials, S3Credentials,
};
use chalk_deploy_core::cloud::{ObjectStore as _, Payload, PutMode};
use chalk_deploy_core::model::{Digest, ObjectKey};
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, RequestBody, Transport};
use chalk_deploy_testkit::conformance::object_retention::{self, KeepingBucket};
use chalk_deploy_testkit::conformance::object_store;
use futures::TryStreamExt as _;

#[tokio::test]
async fn a_bucket_of_google_passes_the_suite_whole_and_in_parts() {
    let Some(bucket) = named("CHALK_TEST_GCS") else { return };
    passes(&bucket).await;
}

#[tokio::test]
async fn a_container_of_azure_passes_the_suite_whole_and_in_parts() {
    let Some(bucket) = named("CHALK_TEST_AZURE") else { return };
    passes(&bucket).await;
    let Some(presigned) = bucket.presigned_download() else { return };
    let odd = key("presigned/a b/ä+c");
    bucket.put(&odd, &Payload::from_bytes("text"), PutMode::WriteOnce).await.expect("stored");
    let url = presigned.presign(&odd, Duration::from_mins(5)).await.expect("signed");
    let status = async |url: &str| {
        let request = http::Request::get(url).body(RequestBody::Empty).expect("a request");
        transport().send(request).await.expect("an answer").status().as_u16()
    };
    assert_eq!(status(url.expose()).await, 200);
    assert_eq!(status(&url.expose().replace("/a%20b/", "/other/")).await, 403, "it is for one blob");
    assert_ne!(status(url.expose().split('?').next().expect("an address")).await, 200, "without it nobody reads");
}

/// Those that were set up for it keep objects; where the others refuse, they say so by their code.
#[tokio::test]
async fn what_a_server_can_keep_passes_the_suite_of_retention_and_a_refusal_has_its_code() {
    let keeps = env::var("CHALK_TEST_KEEPS").unwrap_or_default();
    for name in ["S3", "GCS", "AZURE"] {
        let Some(bucket) = named(&format!("CHALK_TEST_{name}")) else { continue };
        let subject = KeepingBucket { store: Arc::new(bucket.clone()), now: SystemRuntime::new().now() };
        let run = format!("keep{}", std::process::id());
        if keeps.split(',').any(|keeping| keeping == name) {
            object_retention::suite(&subject, &run).await.assert_passed();
            continue;
        }
        let key = key(&format!("{run}/a"));
        bucket.put(&key, &Payload::from_bytes("text"), PutMode::WriteOnce).await.expect("stored");
        let keeper = bucket.retention().expect("handed out");
        // An emulator may take a hold that it does not keep, so that only a refusal tells something.
        if let Err(error) = keeper.set_legal_hold(&key, true).await {
            assert_eq!(error.code(), ErrorCode::RequestInvalid, "{name}: {}", error.sentence());
        }
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_and_a_wrong_key_are_refused_with_the_next_step() {
    for variable in ["CHALK_TEST_GCS", "CHALK_TEST_AZURE"] {
        let Some(url) = address(variable) else { continue };
        let (place, query) = url.split_once('?').unwrap_or((&url, ""));
        let elsewhere = opened(&format!("{place}-which-is-not-there?{query}"), credentials());
        let error = elsewhere.list("", None, 1).await.expect_err("no bucket");
        assert_eq!(error.code(), ErrorCode::RequestInvalid, "{}", error.sentence());
        assert!(error.hint().contains("create the bucket"), "{}", error.hint());
    }
    let Some(url) = address("CHALK_TEST_AZURE") else { return };
    let mut wrong = BucketCredentials::default();
    let key = AzureSharedKey::new("d3Jvbmc=").expect("base64");
    wrong.azure = AzureCredentials::SharedKey(Arc::new(key));
    let error = opened(&url, wrong).list("", None, 1).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{}", error.sentence());
    assert!(error.hint().contains("credentials"), "{}", error.hint());
}

/// The bucket that a variable names.
fn named(variable: &str) -> Option<Bucket> {
    address(variable).map(|url| opened(&url, credentials()))
}

fn address(variable: &str) -> Option<String> {
    use std::io::Write as _;
    let Ok(url) = env::var(variable) else {
        let _ = writeln!(std::io::stderr(), "skipped: {variable} names no bucket");
        return None;
    };
    Some(url)
}

fn opened(url: &str, credentials: BucketCredentials) -> Bucket {
    Bucket::from_url_with(url, transport(), credentials, SystemRuntime::new()).expect("a bucket")
}

fn credentials() -> BucketCredentials {
    let mut credentials = BucketCredentials::default();
    if let (Ok(id), Ok(secret)) = (env::var("AWS_ACCESS_KEY_ID"), env::var("AWS_SECRET_ACCESS_KEY")) {
        credentials.s3 = Some(Arc::new(S3Credentials::new(id, secret)));
    }
    if let Ok(token) = env::var("CHALK_TEST_GCS_TOKEN") {
        credentials.gcs = Some(Arc::new(BearerToken::new(token)));
    }
    if let Ok(text) = env::var("CHALK_TEST_AZURE_KEY") {
        credentials.azure = AzureCredentials::SharedKey(Arc::new(AzureSharedKey::new(&text).expect("a key")));
    }
    credentials
}

fn transport() -> Transport {
    NetworkTransport::builder().build().expect("a transport")
}

async fn passes(bucket: &Bucket) {
    let run = format!("run{}", std::process::id());
    object_store::suite(bucket, &run).await.assert_passed();
    object_store::suite(&bucket.clone().with_limits(2, 300_000, 2), &format!("{run}parts")).await.assert_passed();
    large_objects_keep_the_first_writer(bucket, &run).await;
}

/// Two writers of many parts at once: one wins, and what lies there is whole.
async fn large_objects_keep_the_first_writer(bucket: &Bucket, run: &str) {
    let key = key(&format!("{run}/large"));
    let bytes = |first: u8| Bytes::from((0..20_000_003_u32).map(|at| at.to_le_bytes()[1] ^ first).collect::<Vec<_>>());
    let payloads = [1, 2].map(|first| Payload::from_bytes(bytes(first)));
    let [one, two] = payloads.each_ref().map(|payload| bucket.put(&key, payload, PutMode::WriteOnce));
    let (one, two) = futures::join!(one, two);
    let (winner, lost) = match (one, two) {
        (Ok(_), Err(error)) => (&payloads[0], error),
        (Err(error), Ok(_)) => (&payloads[1], error),
        (one, two) => panic!("not exactly one has won: {one:?}, {two:?}"),
    };
    assert_eq!(lost.code(), ErrorCode::ObjectExists, "{}", lost.sentence());
    let head = bucket.head(&key).await.expect("readable").expect("stored");
    assert_eq!((head.size, head.sha256), (20_000_003, Some(winner.sha256())));
    let download = bucket.get(&key).await.expect("readable");
    assert_eq!(download.metadata.sha256, Some(winner.sha256()), "a download brings the digest along");
    let pieces: Vec<Bytes> = download.body.try_collect().await.expect("whole");
    assert_eq!(Digest::of(pieces.concat()), winner.sha256());
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).expect("a valid key")
}
