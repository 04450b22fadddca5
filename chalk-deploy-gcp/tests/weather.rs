//! Bad weather: tokens that end or are refused, throttling, answers that make no sense, and the counts of what is fetched.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{
    ByteStream, ImageManifest, ManifestLocator, ObjectStore as _, Payload, PutMode, Registry as _,
};
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{Digest, ObjectKey, Repository};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_gcp::{Cloud, CloudBuilder};
use chalk_deploy_testkit::simulated::bucket::{GoogleBucketServer, GoogleBucketSettings};
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply};
use chalk_deploy_testkit::simulated::http::{Server, Severed, in_process};
use chalk_deploy_testkit::simulated::registry::{RegistryServer, RegistrySettings};
use chalk_deploy_testkit::{VirtualRuntime, World};
use common::{BUCKET, Bank, assert_error, storage};
use http::{Request, Response};
use serde_json::json;

const HOST: &str = "us-central1-docker.pkg.dev";

fn builder(server: &Answering) -> CloudBuilder {
    Cloud::builder()
        .with_transport(server.transport())
        .with_runtime(VirtualRuntime::new(1))
        .with_project("acme-prod")
        .with_location("us-central1")
        .with_cluster("chalk")
        .with_registry("us-central1-docker.pkg.dev/acme-prod/chalk")
}

// --- what is fetched, and how often ---------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn building_asks_for_nothing_and_reads_no_file() {
    let server = Answering::by(|_| Reply::json(500, "{}"));
    let variables = |name: &str| match name {
        "GOOGLE_APPLICATION_CREDENTIALS" => Some("/nowhere/credentials.json".to_owned()),
        "HOME" => Some("/nowhere".to_owned()),
        "GOOGLE_CLOUD_PROJECT" => Some("acme-prod".to_owned()),
        "CLOUDSDK_COMPUTE_REGION" => Some("us-central1".to_owned()),
        _ => None,
    };
    let cloud = Cloud::builder()
        .from_variables(variables)
        .with_transport(server.transport())
        .with_runtime(VirtualRuntime::new(1))
        .with_cluster("chalk")
        .with_bucket("chalk-acme-source")
        .with_registry("us-central1-docker.pkg.dev/acme-prod/chalk")
        .build()
        .expect("valid settings");
    let _ = (cloud.bucket().expect("set"), cloud.registry().expect("set"), cloud.connection().expect("set"));
    let _ = (cloud.images().expect("set"), cloud.buckets().expect("set"));
    assert!(server.lines().is_empty());
    let error = cloud.describe_cluster().await.expect_err("now it is needed");
    assert_error(&error, ErrorCode::PermissionDenied, &["/nowhere/credentials.json", "cannot be read"]);
    assert!(server.lines().is_empty(), "another identity is not taken instead");
}

#[tokio::test(start_paused = true)]
async fn fifty_who_ask_at_once_cost_one_token() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let bank = Bank::new(runtime.clone(), Some(Duration::from_hours(1)));
    let storage = in_process(storage(&runtime));
    let cloud = Cloud::builder()
        .with_transport(Hosts::default().with("storage.googleapis.com", storage).transport())
        .with_runtime(runtime.clone())
        .with_lender(bank.clone())
        .with_bucket("chalk-acme-source")
        .build()
        .expect("valid settings");
    let bucket = cloud.bucket().expect("set");
    let puts = (0..50).map(|number| {
        let (bucket, key) = (bucket.clone(), ObjectKey::new(format!("data/{number}")).expect("a key"));
        async move { bucket.put(&key, &Payload::from_bytes("text"), PutMode::WriteOnce).await }
    });
    assert!(futures::future::join_all(puts).await.iter().all(Result::is_ok));
    assert_eq!(bank.count(), 1);
    runtime.sleep(Duration::from_mins(56)).await;
    bucket.head(&ObjectKey::new("data/1").expect("a key")).await.expect("readable").expect("there");
    assert_eq!(bank.count(), 2, "fetched anew before it ends");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_is_fetched_anew_once_and_then_it_is_an_error() {
    let cluster = json!({"status": "RUNNING", "endpoint": "34.1.2.3", "currentMasterVersion": "1.33"});
    let server = Answering::by(move |seen| match seen.token() {
        "token-2" => Reply::json(200, &cluster),
        _ => Reply::json(
            401,
            json!({"error": {"code": 401, "message": "Request had invalid authentication credentials."}}),
        ),
    });
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let bank = Bank::new(runtime, None);
    let cloud = builder(&server).with_lender(bank.clone()).build().expect("valid settings");
    cloud.describe_cluster().await.expect("with the second token");
    cloud.describe_cluster().await.expect("the second token is kept");
    assert_eq!((bank.count(), server.lines().len()), (2, 3));

    let never = Answering::by(|_| Reply::json(401, "{}").with("date", "Wed, 01 Jan 2025 02:00:00 GMT"));
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let bank = Bank::new(runtime, None);
    let error = builder(&never).with_lender(bank.clone()).build().expect("valid").describe_cluster().await;
    let error = error.expect_err("refused twice");
    assert_error(
        &error,
        ErrorCode::PermissionDenied,
        &["this machine says 2025-01-01T00:00", "Google says 2025-01-01T02:00"],
    );
    assert_eq!((error.retry(), bank.count(), never.lines().len()), (Retry::Temporary, 2, 2));
}

/// The registry as it was before, and as it is after a number of requests: with another password, and with tokens of
/// its own no longer good.
#[derive(Debug)]
struct Expiring {
    before: RegistryServer,
    after: RegistryServer,
    at: usize,
    requests: AtomicUsize,
}

#[async_trait]
impl Server for Expiring {
    fn name(&self) -> &'static str {
        "registry"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let is_before = self.requests.fetch_add(1, Ordering::Relaxed) < self.at;
        if is_before { self.before.answer(request).await } else { self.after.answer(request).await }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_in_the_middle_of_a_long_push_is_renewed_wherever_it_ends() {
    let blobs: Vec<_> = (0_u8..24).map(|number| Payload::from_bytes(vec![number; 300_000])).collect();
    let config = Payload::from_bytes("{}");
    let descriptor = |payload: &Payload, kind: &str| {
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({"mediaType": media_type, "digest": payload.sha256(), "size": payload.size()})
    };
    let layers: Vec<_> = blobs.iter().map(|blob| descriptor(blob, "layer.v1.tar")).collect();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let document = json!({
        "schemaVersion": 2, "mediaType": media_type, "config": descriptor(&config, "config.v1+json"), "layers": layers,
    });
    let manifest = ImageManifest { media_type: media_type.to_owned(), bytes: document.to_string().into() };
    let all: Vec<_> = blobs.iter().cloned().chain([config]).collect();
    for at in [1, 5, 30, 45, 52] {
        let (runtime, world): (Arc<dyn Runtime>, _) = (VirtualRuntime::new(1), World::memory());
        let registry = |password: &str| {
            RegistryServer::new(&world, runtime.clone(), RegistrySettings::artifact_registry(password))
        };
        let server = Arc::new(Expiring {
            before: registry("token-1"),
            after: registry("token-2"),
            at,
            requests: AtomicUsize::new(0),
        });
        let bank = Bank::new(runtime.clone(), None);
        let cloud = Cloud::builder()
            .with_transport(Hosts::default().with(HOST, in_process(server.clone())).transport())
            .with_runtime(runtime.clone())
            .with_lender(bank.clone())
            .with_registry(format!("{HOST}/acme-prod/chalk"))
            .build()
            .expect("valid settings");
        let repository = Repository::new(format!("{HOST}/acme-prod/chalk/engine-prod")).expect("a repository");
        let registry = cloud.registry().expect("set");
        registry.push_image(&repository, &manifest, &all, None).await.unwrap_or_else(|error| {
            panic!("the token ended at request {at}: {}", error.sentence());
        });
        let locator = ManifestLocator::Digest(manifest.digest());
        assert!(registry.manifest(&repository, &locator).await.expect("readable").is_some(), "{at}");
        let requests = server.requests.load(Ordering::Relaxed);
        assert!(requests > at, "the token ended in the middle: {requests} requests, at {at}");
        assert_eq!(bank.count(), 2, "at {at}: renewed once for all who were refused");
    }
}

/// The bucket as it was before, and as it is after a number of requests, when another token is good.
#[derive(Debug)]
struct Revoking {
    before: GoogleBucketServer,
    after: GoogleBucketServer,
    at: usize,
    requests: AtomicUsize,
}

#[async_trait]
impl Server for Revoking {
    fn name(&self) -> &'static str {
        "bucket"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let is_before = self.requests.fetch_add(1, Ordering::Relaxed) < self.at;
        if is_before { self.before.answer(request).await } else { self.after.answer(request).await }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_revoked_in_the_middle_of_a_long_upload_is_renewed_wherever_that_happens() {
    let bytes: Vec<u8> = (0_u32..3 << 20).map(|at| (at % 251) as u8).collect();
    let key = ObjectKey::new("archives/large").expect("a key");
    for at in 1..6 {
        let (runtime, world): (Arc<dyn Runtime>, _) = (VirtualRuntime::new(1), World::memory());
        let server = |token: &str| {
            let settings = GoogleBucketSettings::new(BUCKET).with_token(token);
            GoogleBucketServer::new(&world, runtime.clone(), settings).expect("a server")
        };
        let revoking = Arc::new(Revoking {
            before: server("token-1"),
            after: server("token-2"),
            at,
            requests: AtomicUsize::new(0),
        });
        let bank = Bank::new(runtime.clone(), None);
        let cloud = Cloud::builder()
            .with_transport(Hosts::new().with("storage.googleapis.com", in_process(revoking.clone())).transport())
            .with_runtime(runtime)
            .with_lender(bank.clone())
            .with_bucket(BUCKET)
            .build()
            .expect("valid settings");
        let bucket = cloud.bucket().expect("set").with_limits(1, 1 << 20, 2);
        let stored = bucket.put(&key, &Payload::from_bytes(bytes.clone()), PutMode::WriteOnce).await;
        stored.unwrap_or_else(|error| panic!("the token was revoked at request {at}: {}", error.sentence()));
        let head = bucket.head(&key).await.expect("readable").expect("there");
        assert_eq!((head.size, head.sha256), (bytes.len() as u64, Some(Digest::of(&bytes))), "at {at}");
        assert!(revoking.requests.load(Ordering::Relaxed) > at, "it was revoked in the middle, at {at}");
        assert_eq!(bank.count(), 2, "at {at}: renewed once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_goes_to_no_registry_but_googles() {
    let tokens = Arc::new(AtomicU32::new(0));
    let counted = tokens.clone();
    let server = Answering::by(move |seen| {
        if seen.parts.headers.contains_key("authorization") {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        Reply::json(401, "{}").with("www-authenticate", "Basic realm=\"give it to me\"")
    });
    let cloud = builder(&server).with_credentials(BearerToken::new("ya29.hidden")).build().expect("valid settings");
    for host in ["registry.example", "us-docker.pkg.dev.evil.example", "gcr.io", "evil-docker.pkg.dev.example"] {
        let repository = Repository::new(format!("{host}/acme-prod/chalk/engine")).expect("a repository");
        let error = cloud.registry().expect("set").has_blob(&repository, &Digest::of("x")).await.expect_err(host);
        assert!(!error.sentence().contains("hidden"));
    }
    assert_eq!(tokens.load(Ordering::Relaxed), 0);
    let own = Repository::new(format!("{HOST}/acme-prod/chalk/engine")).expect("a repository");
    cloud.registry().expect("set").has_blob(&own, &Digest::of("x")).await.expect_err("it never lets us in");
    assert!(tokens.load(Ordering::Relaxed) > 0);
}

#[tokio::test(start_paused = true)]
async fn an_emulator_is_shown_no_token_unless_one_was_given_for_it() {
    let seen_tokens = |builder: CloudBuilder, server: Answering| async move {
        let cloud = builder.with_bucket("chalk-acme-source").build().expect("valid settings");
        let _ = cloud.bucket().expect("set").head(&ObjectKey::new("a").expect("a key")).await;
        server.seen().iter().map(|seen| seen.token().to_owned()).collect::<Vec<_>>()
    };
    let server = Answering::by(|_| Reply::json(404, "{}"));
    let read = |name: &str| match name {
        "STORAGE_EMULATOR_HOST" => Some("127.0.0.1:4443".to_owned()),
        "GOOGLE_APPLICATION_CREDENTIALS" => Some("/nowhere/credentials.json".to_owned()),
        _ => None,
    };
    assert_eq!(seen_tokens(builder(&server).from_variables(read), server.clone()).await, [""]);
    let server = Answering::by(|_| Reply::json(404, "{}"));
    let given = builder(&server).from_variables(read).with_credentials(BearerToken::new("for-it"));
    assert_eq!(seen_tokens(given, server.clone()).await, ["for-it"]);
}

// --- the network ----------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out_as_long_as_google_says_and_then_it_is_an_error_that_says_when() {
    let times = Arc::new(AtomicU32::new(0));
    let counted = times.clone();
    let cluster = json!({"status": "RUNNING", "endpoint": "34.1.2.3", "currentMasterVersion": "1.33"});
    let server = Answering::by(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::json(429, "{}").with("retry-after", "3"),
        _ => Reply::json(200, &cluster),
    });
    let runtime = VirtualRuntime::new(1);
    let cloud = builder(&server).with_runtime(runtime.clone()).with_credentials(BearerToken::new("t")).build();
    cloud.expect("valid settings").describe_cluster().await.expect("the second time");
    assert_eq!((times.load(Ordering::Relaxed), runtime.monotonic()), (2, Duration::from_secs(3)));

    let server = Answering::by(|_| Reply::json(429, "{}").with("retry-after", "30"));
    let cloud = builder(&server).with_credentials(BearerToken::new("t")).build().expect("valid settings");
    let error = cloud.describe_cluster().await.expect_err("throttled");
    assert_error(&error, ErrorCode::CloudUnavailable, &["resume in 30 s"]);
    assert_eq!((error.retry(), server.lines().len()), (Retry::Temporary, 3));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_ends_or_that_is_another_one_is_an_error_and_no_loop() {
    let long = Answering::by(|_| Reply::json(200, "x".repeat(9 << 20)));
    let cloud = builder(&long).with_credentials(BearerToken::new("t")).build().expect("valid settings");
    let error = cloud.describe_cluster().await.expect_err("too long");
    assert_error(&error, ErrorCode::CloudAnswerInvalid, &["longer than 8.0 MiB"]);
    for body in ["", "[]", "<html>", "{\"status\": 7}"] {
        let server = Answering::by(move |_| Reply::json(200, body));
        let cloud = builder(&server).with_credentials(BearerToken::new("t")).build().expect("valid settings");
        assert_eq!(cloud.describe_cluster().await.expect_err(body).code(), ErrorCode::CloudAnswerInvalid, "{body}");
    }
    // A list whose pages never end.
    let pages = Answering::by(|_| Reply::json(200, json!({"nextPageToken": "again"})));
    let cloud = builder(&pages).with_credentials(BearerToken::new("t")).build().expect("valid settings");
    let repository = Repository::new(format!("{HOST}/acme-prod/chalk/engine")).expect("a repository");
    let listed = cloud.images().expect("set").images(&repository).await;
    assert_error(&listed.expect_err("endless"), ErrorCode::CloudAnswerInvalid, &["end of a list"]);
    // An operation that never ends, and one that leads elsewhere.
    let name = "projects/acme-prod/locations/us-central1/operations/1";
    for (name, code) in [(name, ErrorCode::CloudUnavailable), ("projects/../secrets", ErrorCode::CloudAnswerInvalid)] {
        let server = Answering::by(move |_| Reply::json(200, json!({"name": name})));
        let cloud = builder(&server).with_credentials(BearerToken::new("t")).build().expect("valid settings");
        let made = cloud.repositories().expect("set").create(HOST, "acme-prod/chalk/x").await;
        assert_eq!(made.expect_err(name).code(), code);
        assert!(server.lines().len() < 60);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_for_a_project_only_where_one_was_named() {
    for (variable, expected) in [(Some("acme-billing"), Some("acme-billing")), (None, None)] {
        let server = Answering::by(|_| Reply::json(404, "{}"));
        let read = move |name: &str| variable.filter(|_| name == "GOOGLE_CLOUD_QUOTA_PROJECT").map(str::to_owned);
        let cloud = builder(&server).from_variables(read).with_credentials(BearerToken::new("t")).build();
        cloud.expect("valid settings").describe_cluster().await.expect_err("not there");
        let seen = server.seen();
        let sent = seen[0].parts.headers.get("x-goog-user-project").map(|value| value.to_str().expect("text"));
        assert_eq!(sent, expected, "{variable:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_names_no_image_is_refused_and_nothing_is_asked() {
    let server = Answering::by(|_| Reply::json(404, "{}"));
    let cloud = builder(&server).with_credentials(BearerToken::new("t")).build().expect("valid settings");
    let whole = Repository::new(format!("{HOST}/acme-prod/chalk")).expect("a repository");
    let error = cloud.images().expect("set").remove(&whole, &[Digest::of("x")]).await.expect_err("no image");
    assert_error(&error, ErrorCode::ValueInvalid, &["no image", "HOST/PROJECT/REPOSITORY/IMAGE"]);
    assert!(server.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_image_that_may_not_go_says_what_holds_it() {
    let message = "cannot delete the version: it has immutable tags";
    let refused = json!({"error": {"code": 400, "message": message, "status": "FAILED_PRECONDITION"}});
    let name = "projects/acme-prod/locations/us-central1/operations/1";
    let failed = json!({"name": name, "done": true, "error": {"code": 9, "message": message}});
    for (status, body) in [(400, refused), (200, failed)] {
        let server = Answering::by(move |_| Reply::json(status, &body));
        let cloud = builder(&server).with_credentials(BearerToken::new("t")).build().expect("valid settings");
        let engine = Repository::new(format!("{HOST}/acme-prod/chalk/engine")).expect("a repository");
        let error = cloud.images().expect("set").remove(&engine, &[Digest::of("x")]).await.expect_err("held");
        assert_error(
            &error,
            ErrorCode::ValueInvalid,
            &[message, "while an index consists of it", "tags are immutable"],
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_into_a_repository_that_is_not_there_makes_it_and_nothing_in_another_project() {
    let (runtime, world): (Arc<dyn Runtime>, _) = (VirtualRuntime::new(1), World::memory());
    let mut settings = RegistrySettings::artifact_registry("token-1");
    settings.creates_repositories = false;
    let server = Arc::new(RegistryServer::new(&world, runtime.clone(), settings));
    let made = server.clone();
    let api = Answering::by(move |seen| {
        assert_eq!(
            seen.line(),
            "POST artifactregistry.googleapis.com/v1/projects/acme-prod/locations/us-central1/repositories"
        );
        assert_eq!(seen.parts.uri.query(), Some("repositoryId=chalk"));
        made.create_repository("acme-prod/chalk/engine").expect("made");
        Reply::json(200, json!({"name": "projects/acme-prod/locations/us-central1/operations/1", "done": true}))
    });
    let hosts =
        Hosts::default().with(HOST, in_process(server)).with("artifactregistry.googleapis.com", api.transport());
    let cloud = Cloud::builder()
        .with_transport(hosts.transport())
        .with_lender(Bank::new(runtime.clone(), None))
        .with_runtime(runtime)
        .with_registry(format!("{HOST}/acme-prod/chalk"))
        .build()
        .expect("valid settings");
    let registry = cloud.registry().expect("set");
    let payload = Payload::from_bytes("layer");
    let own = Repository::new(format!("{HOST}/acme-prod/chalk/engine")).expect("a repository");
    registry.push_blob(&own, &payload).await.expect("made and pushed");
    assert_eq!(api.seen().len(), 1);
    let other = Repository::new(format!("{HOST}/other-project/chalk/engine")).expect("a repository");
    let error = registry.push_blob(&other, &payload).await.expect_err("of another project");
    assert_error(&error, ErrorCode::PermissionDenied, &["of another project", "acme-prod"]);
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_stands_for_artifact_registry_is_one_by_plain_http_on_this_machine() {
    let (runtime, world): (Arc<dyn Runtime>, _) = (VirtualRuntime::new(1), World::memory());
    let settings = RegistrySettings::artifact_registry("token-1");
    let server = Arc::new(RegistryServer::new(&world, runtime.clone(), settings));
    let cloud = Cloud::builder()
        .with_transport(Hosts::default().with("127.0.0.1:5000", in_process(server)).transport())
        .with_lender(Bank::new(runtime.clone(), None))
        .with_runtime(runtime)
        .with_registry_endpoint("http://127.0.0.1:5000")
        .with_registry("127.0.0.1:5000/acme-prod/chalk")
        .build()
        .expect("valid settings");
    let repository = Repository::new("127.0.0.1:5000/acme-prod/chalk/engine").expect("a repository");
    let payload = Payload::from_bytes("layer");
    cloud.registry().expect("set").push_blob(&repository, &payload).await.expect("pushed");
    assert!(cloud.registry().expect("set").has_blob(&repository, &payload.sha256()).await.expect("asked"));
}

#[tokio::test(start_paused = true)]
async fn links_are_signed_as_the_account_that_was_named() {
    let server = Answering::by(|_| Reply::json(200, json!({"keyId": "k", "signedBlob": "c2lnbmVk"})));
    let builder = builder(&server).with_credentials(BearerToken::new("t")).with_bucket("chalk-acme-source");
    let cloud =
        builder.with_signing_account("signer@acme-prod.iam.gserviceaccount.com").build().expect("valid settings");
    let links = cloud.bucket().expect("set").presigned_download().expect("somebody signs");
    let key = ObjectKey::new("archives/a").expect("a key");
    let link = links.presign(&key, Duration::from_mins(5)).await.expect("signed");
    assert!(
        link.expose().starts_with("https://storage.googleapis.com/chalk-acme-source/archives/a?"),
        "the bucket's own"
    );
    assert!(link.expose().contains("signer%40acme-prod") && link.expose().contains("X-Goog-Signature="));
    let account = "signer@acme-prod.iam.gserviceaccount.com";
    let asked = format!("POST iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:signBlob");
    assert_eq!(server.lines(), [asked]);
}
