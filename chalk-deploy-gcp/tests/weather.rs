//! Bad input and weather: credentials that end, are refused or are wrong, clocks that are off, throttling, and the counts
//! of what is fetched.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chalk_deploy_core::cloud::{
    ByteStream, ImageManifest, ManifestLocator, ObjectStore as _, Payload, PutMode, Registry as _,
};
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{Digest, ObjectKey, Repository};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::{Error, ErrorCode};
use chalk_deploy_gcp::{Cloud, CloudBuilder, ControlPlane, SCOPE};
use chalk_deploy_testkit::simulated::http::{Server, Severed, in_process};
use chalk_deploy_testkit::simulated::registry::{RegistryServer, RegistrySettings};
use chalk_deploy_testkit::{VirtualRuntime, World};
use common::storage::Storage;
use common::{Answering, Bank, Hosts, Reply, Seen};
use http::{Request, Response};
use serde_json::{Value, json};

const HOST: &str = "us-central1-docker.pkg.dev";

#[track_caller]
fn assert_error(error: &Error, code: ErrorCode, words: &[&str]) {
    assert_eq!(error.code(), code, "{}", error.sentence());
    for word in words {
        assert!(error.sentence().contains(word), "`{word}` is not in: {}", error.sentence());
    }
}

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
    let _ = (cloud.bucket().expect("set"), cloud.registry(), cloud.connection().expect("set"));
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
    let storage = in_process(Arc::new(Storage::new("chalk-acme-source")));
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

/// The registry as it was before, and as it is after a number of requests: with another password, and with tokens of its
/// own no longer good.
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
    let descriptor = |payload: &Payload, kind: &str| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": payload.sha256(), "size": payload.size()});
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
        let registry = cloud.registry();
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
        let error = cloud.registry().has_blob(&repository, &Digest::of("x")).await.expect_err(host);
        assert!(!error.sentence().contains("hidden"));
    }
    assert_eq!(tokens.load(Ordering::Relaxed), 0);
    let own = Repository::new(format!("{HOST}/acme-prod/chalk/engine")).expect("a repository");
    cloud.registry().has_blob(&own, &Digest::of("x")).await.expect_err("it never lets us in");
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

// --- keys of service accounts ---------------------------------------------------------------------------------------

fn key() -> (KeyPair, Value) {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der = key.as_der().expect("its form");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let file = json!({
        "type": "service_account",
        "project_id": "acme-prod",
        "private_key_id": "0123abcd",
        "private_key": pem,
        "client_email": "deployer@acme-prod.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    (key, file)
}

fn with_file(server: &Answering, folder: &tempfile::TempDir, file: &Value) -> CloudBuilder {
    let path = folder.path().join("key.json");
    std::fs::write(&path, file.to_string()).expect("written");
    builder(server).with_credentials_file(path)
}

async fn refused(server: &Answering, folder: &tempfile::TempDir, file: &Value) -> Error {
    let cloud = with_file(server, folder, file).build().expect("valid settings");
    cloud.credentials().token().await.expect_err("refused")
}

#[tokio::test(start_paused = true)]
async fn the_key_of_a_service_account_signs_what_is_changed_for_a_token() {
    let (key, file) = key();
    let server = Answering::by(|_| Reply::json(200, json!({"access_token": "ya29.a", "expires_in": 3599})));
    let folder = tempfile::tempdir().expect("a folder");
    let cloud = with_file(&server, &folder, &file).build().expect("valid settings");
    assert_eq!(cloud.credentials().token().await.expect("a token").expose(), "ya29.a");
    let seen = server.seen();
    assert_eq!(server.lines(), ["POST oauth2.googleapis.com/token"]);
    let form = seen[0].form();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (signed, signature) = form["assertion"].rsplit_once('.').expect("three parts");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("encoded");
    public.verify(signed.as_bytes(), &signature).expect("signed by the key");
    let (head, claims) = signed.split_once('.').expect("two parts");
    let decoded = |text: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("encoded")).expect("JSON")
    };
    assert_eq!(decoded(head), json!({"alg": "RS256", "typ": "JWT", "kid": "0123abcd"}));
    let begin = 1_735_689_600;
    let expected = json!({
        "iss": "deployer@acme-prod.iam.gserviceaccount.com", "scope": SCOPE, "aud": "https://oauth2.googleapis.com/token",
        "iat": begin, "exp": begin + 3600,
    });
    assert_eq!(decoded(claims), expected);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_revoked_of_nobody_or_used_by_a_wrong_clock_is_told_apart() {
    let (_, file) = key();
    let folder = tempfile::tempdir().expect("a folder");
    for (description, words) in [
        ("Invalid JWT Signature.", ["deployer@acme-prod", "make a new one"]),
        ("Invalid grant: account not found", ["deployer@acme-prod", "gone or disabled"]),
        (
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat \
             and exp values in the JWT claim.",
            ["this machine says 2025-01-01T00:00:00.000Z", "Google says 2025-01-01T09:00:00.000Z"],
        ),
    ] {
        let answer = json!({"error": "invalid_grant", "error_description": description});
        let server = Answering::by(move |_| Reply::json(400, &answer).with("date", "Wed, 01 Jan 2025 09:00:00 GMT"));
        let error = refused(&server, &folder, &file).await;
        assert_error(&error, ErrorCode::PermissionDenied, &words);
        assert!(!error.sentence().contains("PRIVATE KEY") && !format!("{error:?}").contains("PRIVATE KEY"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_no_file_of_google_sends_nothing_anywhere() {
    let (_, good) = key();
    let folder = tempfile::tempdir().expect("a folder");
    let with = |field: &str, value: Value| {
        let mut file = good.clone();
        file[field] = value;
        file
    };
    let federated = |source: Value| {
        json!({
            "type": "external_account", "audience": "a", "subject_token_type": "b",
            "token_url": "https://sts.googleapis.com/v1/token", "credential_source": source,
        })
    };
    for (file, word) in [
        (with("token_uri", json!("https://evil.example/token")), "is not one of Google's"),
        (with("token_uri", json!("http://oauth2.googleapis.com/token")), "is not one of Google's"),
        (with("token_uri", json!("not an address")), "is no address"),
        (with("private_key", json!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")), "no key"),
        (with("private_key", json!(7)), "no key of a service account"),
        (with("universe_domain", json!("other.example")), "another cloud"),
        (with("type", json!("something_new")), "something_new"),
        (json!({"type": "authorized_user"}), "no user's login"),
        (json!([1]), "no file of credentials"),
        (federated(json!({"executable": {"command": "/bin/true"}})), "have a program run"),
        (federated(json!({"environment_id": "aws1", "url": "http://169.254.169.254/latest"})), "AWS's credentials"),
        (federated(json!({"url": "http://169.254.169.254/token"})), "neither https nor on this machine"),
        (federated(json!({})), "names no source"),
        (federated(json!({"file": "/x", "format": {"type": "json"}})), "neither text nor JSON"),
    ] {
        let server = Answering::by(|_| Reply::json(200, json!({"access_token": "ya29.a", "expires_in": 3599})));
        let error = refused(&server, &folder, &file).await;
        assert_error(&error, ErrorCode::ValueInvalid, &[word, "key.json"]);
        assert!(server.lines().is_empty(), "{word}: {:?}", server.lines());
        assert!(!error.sentence().contains("PRIVATE"), "{}", error.sentence());
    }
    std::fs::write(folder.path().join("key.json"), vec![b' '; 70 << 10]).expect("written");
    let none = Answering::by(|_| Reply::json(200, "{}"));
    let long = builder(&none).with_credentials_file(folder.path().join("key.json")).build().expect("valid");
    let error = long.credentials().token().await.expect_err("too long");
    assert_error(&error, ErrorCode::PermissionDenied, &["longer than 64.0 KiB"]);
}

#[tokio::test(start_paused = true)]
async fn an_identity_of_another_provider_is_read_anew_each_time_from_a_file_or_an_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let (token, runtime) = (folder.path().join("token.json"), VirtualRuntime::new(1));
    std::fs::write(&token, r#"{"id": "first"}"#).expect("written");
    let by_file = json!({"file": token, "format": {"type": "json", "subject_token_field_name": "id"}});
    let by_address = json!({"url": "https://provider.example/token", "headers": {"x-a": "b"}});
    for (source, expected) in [(by_file, ["first", "second"]), (by_address, ["from-there", "from-there"])] {
        std::fs::write(&token, r#"{"id": "first"}"#).expect("written");
        let file = json!({
            "type": "external_account", "audience": "//iam/p", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token", "credential_source": source,
        });
        let server = Answering::by(|seen| match seen.parts.uri.host() {
            Some("provider.example") if seen.parts.headers["x-a"] == "b" => Reply::json(200, "from-there\n"),
            Some("sts.googleapis.com") => Reply::json(200, json!({"access_token": "t", "expires_in": 100})),
            _ => Reply::json(404, "{}"),
        });
        let cloud = with_file(&server, &folder, &file).with_runtime(runtime.clone()).build().expect("valid settings");
        cloud.credentials().token().await.expect("a token");
        std::fs::write(&token, r#"{"id": "second"}"#).expect("rotated");
        runtime.sleep(Duration::from_secs(90)).await;
        cloud.credentials().token().await.expect("another token");
        let shown: Vec<_> =
            server.seen().iter().filter(|seen| seen.parts.uri.path() == "/v1/token").map(shown).collect();
        assert_eq!(shown, expected);
    }
}

fn shown(seen: &Seen) -> String {
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    body["subjectToken"].as_str().expect("a token").to_owned()
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
    let catalog = cloud.images().expect("set");
    let listed = chalk_deploy_core::provision::ImageCatalog::images(&catalog, &repository).await;
    assert_error(&listed.expect_err("endless"), ErrorCode::CloudAnswerInvalid, &["end of a list"]);
    // An operation that never ends, and one that leads elsewhere.
    let name = "projects/acme-prod/locations/us-central1/operations/1";
    for (name, code) in [(name, ErrorCode::CloudUnavailable), ("projects/../secrets", ErrorCode::CloudAnswerInvalid)] {
        let server = Answering::by(move |_| Reply::json(200, json!({"name": name})));
        let cloud = builder(&server).with_credentials(BearerToken::new("t")).build().expect("valid settings");
        let creator = cloud.images().expect("set");
        let made = chalk_deploy_core::provision::RepositoryCreator::create(&creator, HOST, "acme-prod/chalk/x").await;
        assert_eq!(made.expect_err(name).code(), code);
        assert!(server.lines().len() < 60);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_google_places_somewhere_else_is_not_shown_the_token() {
    for (answer, control_plane) in [
        (json!({"endpoint": "evil.example"}), ControlPlane::PublicAddress),
        (json!({"endpoint": "1.2.3.4/../@evil.example"}), ControlPlane::PublicAddress),
        (
            json!({"controlPlaneEndpointsConfig": {"dnsEndpointConfig": {"endpoint": "gke.evil.example"}}}),
            ControlPlane::Name,
        ),
        (
            json!({"controlPlaneEndpointsConfig": {"dnsEndpointConfig": {"endpoint": "evil.example/.gke.goog"}}}),
            ControlPlane::Name,
        ),
    ] {
        let server = Answering::by(move |_| Reply::json(200, &answer));
        let cloud = builder(&server).with_credentials(BearerToken::new("t")).with_control_plane(control_plane).build();
        let error = cloud.expect("valid settings").describe_cluster().await.expect_err("elsewhere");
        assert_error(&error, ErrorCode::CloudAnswerInvalid, &["Google's answer names"]);
    }
}

// --- settings -------------------------------------------------------------------------------------------------------

#[test]
fn what_is_wrong_is_told_by_build_with_the_variable_or_the_method() {
    let variable = |name: &'static str, value: &'static str| {
        Cloud::builder().from_variables(move |asked| (asked == name).then(|| value.to_owned()))
    };
    for (builder, name) in [
        (variable("GOOGLE_CLOUD_PROJECT", "Acme Prod"), "GOOGLE_CLOUD_PROJECT"),
        (variable("CLOUDSDK_COMPUTE_REGION", "us/central1"), "CLOUDSDK_COMPUTE_REGION"),
        (variable("STORAGE_EMULATOR_HOST", "http://storage.example"), "STORAGE_EMULATOR_HOST"),
        (Cloud::builder().with_project("a/b"), "with_project"),
        (Cloud::builder().with_cluster("chalk"), "with_cluster"),
        (Cloud::builder().with_registry("evil.example/a/b"), "with_registry"),
        (Cloud::builder().with_registry_host("evil.example"), "with_registry_host"),
        (Cloud::builder().with_container_endpoint("http://evil.example"), "with_container_endpoint"),
        (Cloud::builder().with_artifact_registry_endpoint("ftp://a"), "with_artifact_registry_endpoint"),
        (Cloud::builder().with_registry_endpoint("http://evil.example"), "with_registry_endpoint"),
        (Cloud::builder().with_bucket("a/b"), "a/b"),
        (Cloud::builder().with_impersonation("nobody"), "nobody"),
        (Cloud::builder().with_bucket("abc").with_signing_account("nobody"), "nobody"),
    ] {
        let error = builder.build().map(drop).expect_err(name);
        assert_error(&error, ErrorCode::ValueInvalid, &[name]);
    }
    // What is given by a method counts more, in any order.
    let before = variable("GOOGLE_CLOUD_PROJECT", "from-env").with_project("by-method").build().expect("valid");
    let after = Cloud::builder()
        .with_project("by-method")
        .from_variables(|name| (name == "GOOGLE_CLOUD_PROJECT").then(|| "from-env".to_owned()))
        .build()
        .expect("valid");
    for cloud in [before, after] {
        assert!(format!("{cloud:?}").contains("by-method"), "{cloud:?}");
    }
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let cloud = Cloud::builder().with_credentials(BearerToken::new("ya29.hidden")).with_project("acme").build();
    let cloud = cloud.expect("valid settings");
    let token = cloud.credentials().token().await.expect("given");
    let shown = format!("{cloud:?} {token:?} {:?} {:?}", cloud.credentials(), cloud.registry());
    assert!(!shown.contains("hidden"), "{shown}");
}

/// A run against a real project, where one is named: `CHALK_DEPLOY_LIVE=gcp` with the variables of `from_env`, and
/// `CHALK_DEPLOY_LIVE_CLUSTER` as `with_cluster` takes it. It reads, and changes nothing.
#[tokio::test]
async fn a_real_cluster_is_described() {
    use std::io::Write as _;
    if std::env::var("CHALK_DEPLOY_LIVE").as_deref() != Ok("gcp") {
        let _ = writeln!(std::io::stderr(), "skipped: CHALK_DEPLOY_LIVE=gcp runs this against a real project");
        return;
    }
    let cluster = std::env::var("CHALK_DEPLOY_LIVE_CLUSTER").expect("CHALK_DEPLOY_LIVE_CLUSTER names a cluster");
    let cloud = Cloud::builder().from_env().with_cluster(cluster).with_runtime(SystemRuntime::new()).build();
    let description = cloud.expect("valid variables").describe_cluster().await.expect("described");
    assert!(description.server.starts_with("https://"));
}
