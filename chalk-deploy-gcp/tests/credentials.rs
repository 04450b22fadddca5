//! Who we are: each kind of credentials, what is asked for it, and what a refusal of it means.

mod common;

use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_gcp::{Cloud, CloudBuilder, SCOPE};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::{Answering, Reply, Seen};
use common::{Bank, assert_error, case};
use serde_json::{Value, json};

fn player(api: &str, cases: &[&str]) -> Player {
    Player::new(cases.iter().map(|name| case(api, name)))
}

#[track_caller]
fn assert_played(player: &Player) {
    assert!(player.complaints().is_empty(), "{:?}", player.complaints());
}

fn builder(server: &Answering) -> CloudBuilder {
    Cloud::builder().with_transport(server.transport()).with_runtime(VirtualRuntime::new(1))
}

// --- recorded cases -------------------------------------------------------------------------------------------------

const ACCOUNT: &str = "deployer@acme-prod.iam.gserviceaccount.com";

fn written(folder: &tempfile::TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("written");
    path.display().to_string()
}

fn user() -> Value {
    json!({
        "type": "authorized_user",
        "client_id": "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com",
        "client_secret": "not-so-secret",
        "refresh_token": "1//refresh",
        "universe_domain": "googleapis.com",
    })
}

fn external(folder: &tempfile::TempDir) -> Value {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/aws/providers/eks",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": written(folder, "token", "eyJ.pod.token\n")},
    })
}

fn credentials(player: &Player, folder: &tempfile::TempDir, file: &Value) -> CloudBuilder {
    let file = written(folder, "credentials.json", &file.to_string());
    Cloud::builder()
        .with_transport(player.transport())
        .with_runtime(VirtualRuntime::new(1))
        .from_variables(move |name| (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| file.clone()))
}

async fn token(builder: CloudBuilder) -> Result<String> {
    let cloud = builder.build().expect("valid settings");
    Ok(cloud.credentials().token().await?.expose().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_login_an_identity_of_another_provider_and_an_account_acted_as_are_changed_for_tokens() {
    let folder = tempfile::tempdir().expect("a folder");
    let refresh = case("oauth2", "refresh");
    let generate = case("iamcredentials", "generate");
    let sts = case("sts", "token");
    let acting = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url":
            format!("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"),
        "source_credentials": user(),
    });
    let mut federated = external(&folder);
    federated["service_account_impersonation_url"] = acting["service_account_impersonation_url"].clone();
    for (file, cases, expected) in [
        (user(), vec![refresh.clone()], "token-1"),
        (external(&folder), vec![sts.clone()], "token-1"),
        (acting, vec![refresh.clone(), generate.clone()], "token-acting"),
        (federated, vec![sts.clone(), generate.clone()], "token-acting"),
    ] {
        let player = Player::new(cases);
        assert_eq!(token(credentials(&player, &folder, &file)).await.expect("a token"), expected, "{file}");
        assert_played(&player);
    }
    // The same account, as a setting of the tenant.
    let player = Player::new([refresh, generate]);
    let builder = credentials(&player, &folder, &user()).with_impersonation(ACCOUNT);
    assert_eq!(token(builder).await.expect("a token"), "token-acting");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_say_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, api, recorded, words) in [
        (user(), "oauth2", "refresh-revoked", ["expired or was revoked", "gcloud auth application-default login"]),
        (external(&folder), "sts", "invalid-target", ["workloadIdentityPools/aws/providers/eks", "pool or provider"]),
        (external(&folder), "sts", "rejected", ["attribute condition", "does not let these credentials in"]),
    ] {
        let player = player(api, &[recorded]);
        let error = token(credentials(&player, &folder, &file)).await.expect_err(recorded);
        assert_error(&error, ErrorCode::PermissionDenied, &words);
        assert!(!error.sentence().contains("refresh"), "no secret is shown: {}", error.sentence());
        assert_played(&player);
    }
    let player = Player::new([case("oauth2", "refresh"), case("iamcredentials", "generate-forbidden")]);
    let error = token(credentials(&player, &folder, &user()).with_impersonation(ACCOUNT)).await.expect_err("forbidden");
    assert_error(&error, ErrorCode::PermissionDenied, &[ACCOUNT, "grant iam.serviceAccounts.getAccessToken"]);
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
        (federated(json!({"url": "http://169.254.169.253/token"})), "neither https nor on this machine"),
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
    let by_azure = json!({
        "url": "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=api%3A%2F%2Fchalk",
        "headers": {"Metadata": "True"}, "format": {"type": "json", "subject_token_field_name": "access_token"},
    });
    for (source, expected) in [
        (by_file, ["first", "second"]),
        (by_address, ["from-there", "from-there"]),
        (by_azure, ["of-azure", "of-azure"]),
    ] {
        std::fs::write(&token, r#"{"id": "first"}"#).expect("written");
        let file = json!({
            "type": "external_account", "audience": "//iam/p", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token", "credential_source": source,
        });
        let server = Answering::by(|seen| match seen.parts.uri.host() {
            Some("provider.example") if seen.parts.headers["x-a"] == "b" => Reply::json(200, "from-there\n"),
            Some("169.254.169.254") if seen.header("metadata") == "True" => {
                Reply::json(200, json!({"access_token": "of-azure", "token_type": "Bearer"}))
            }
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
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    body["subjectToken"].as_str().expect("a token").to_owned()
}

#[tokio::test(start_paused = true)]
async fn an_identity_of_another_tenant_or_for_somebody_else_is_told_apart_from_a_login() {
    let folder = tempfile::tempdir().expect("a folder");
    for (description, word) in [
        (
            "The issuer in ID Token https://login.example/other does not match the expected ones: https://login.example/own",
            "another tenant's",
        ),
        ("The audience in ID Token [https://other.example] does not match the expected audience.", "somebody else"),
        ("The ID Token has expired.", "renew it where it comes from"),
    ] {
        let answer = json!({"error": "invalid_grant", "error_description": description});
        let server = Answering::by(move |_| Reply::json(400, &answer));
        let error = refused(&server, &folder, &external(&folder)).await;
        assert_error(&error, ErrorCode::PermissionDenied, &[word, "workloadIdentityPools/aws/providers/eks"]);
        assert!(!error.hint().contains("gcloud auth") && !error.sentence().contains("eyJ"), "{}", error.sentence());
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_of_identities_that_is_away_is_an_outage_and_one_that_refuses_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = external(&folder);
    file["credential_source"] = json!({"url": "https://provider.example/token"});
    for (status, code) in
        [(503, ErrorCode::CloudUnavailable), (429, ErrorCode::CloudUnavailable), (403, ErrorCode::PermissionDenied)]
    {
        let server = Answering::by(move |_| Reply::json(status, "{}"));
        let error = refused(&server, &folder, &file).await;
        assert_error(&error, code, &["the provider of identities", &status.to_string()]);
    }
    file["credential_source"] = json!({"url": "https://provider.example/token", "headers": {"a b": "c"}});
    let server = Answering::by(|_| Reply::json(200, "token"));
    assert_error(&refused(&server, &folder, &file).await, ErrorCode::ValueInvalid, &["the headers"]);
    assert!(server.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn people_of_a_workforce_pool_have_their_exchange_counted_for_the_project_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = external(&folder);
    for (project, expected) in
        [(json!("123456789012"), json!("{\"userProject\":\"123456789012\"}")), (Value::Null, Value::Null)]
    {
        file["workforce_pool_user_project"] = project;
        let server = Answering::by(|_| Reply::json(200, json!({"access_token": "t", "expires_in": 3599})));
        let cloud = with_file(&server, &folder, &file).build().expect("valid settings");
        cloud.credentials().token().await.expect("a token");
        let body: Value = serde_json::from_slice(&server.seen()[0].body).expect("JSON");
        assert_eq!(body["options"], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_without_an_id_signs_a_head_without_one() {
    let (_, mut file) = key();
    file["private_key_id"] = Value::Null;
    let server = Answering::by(|_| Reply::json(200, json!({"access_token": "t", "expires_in": 3599})));
    let folder = tempfile::tempdir().expect("a folder");
    let cloud = with_file(&server, &folder, &file).build().expect("valid settings");
    cloud.credentials().token().await.expect("a token");
    let form = server.seen()[0].form();
    let head = form["assertion"].split('.').next().expect("three parts");
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).expect("encoded")).expect("JSON");
    assert_eq!(head, json!({"alg": "RS256", "typ": "JWT"}));
}

#[tokio::test(start_paused = true)]
async fn a_token_service_that_is_throttled_says_when_and_one_that_is_away_is_asked_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let throttled = Answering::by(|_| Reply::json(429, "{}").with("retry-after", "17"));
    let error = refused(&throttled, &folder, &user()).await;
    assert_error(&error, ErrorCode::CloudUnavailable, &["resume in 17 s"]);
    let away = std::sync::atomic::AtomicU32::new(0);
    let server = Answering::by(move |_| match away.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Reply::json(503, "{}"),
        _ => Reply::json(200, json!({"access_token": "t", "expires_in": 3599})),
    });
    let cloud = with_file(&server, &folder, &user()).build().expect("valid settings");
    assert_eq!(cloud.credentials().token().await.expect("the second time").expose(), "t");
}

#[tokio::test(start_paused = true)]
async fn who_acts_as_an_account_with_a_token_that_was_revoked_renews_it_once() {
    let runtime = VirtualRuntime::new(1);
    let revoked = Answering::by(|seen| match seen.token() {
        "token-1" => {
            Reply::json(401, json!({"error": {"code": 401, "message": "invalid", "status": "UNAUTHENTICATED"}}))
        }
        _ => Reply::json(200, json!({"accessToken": "acting", "expireTime": "2025-01-01T01:00:00Z"})),
    });
    let bank = Bank::new(runtime.clone(), None);
    // The tenant's own source keeps its token, as ours do.
    let source = chalk_deploy_gcp::Tokens::new(bank.clone(), runtime);
    let cloud = builder(&revoked).with_credentials(source).with_impersonation(ACCOUNT).build().expect("valid settings");
    assert_eq!(cloud.credentials().token().await.expect("with the second one").expose(), "acting");
    assert_eq!((bank.count(), revoked.seen().len()), (2, 2));

    let never = Answering::by(|_| Reply::json(401, "{}"));
    let only = chalk_deploy_core::credentials::BearerToken::new("the-only-one");
    let cloud = builder(&never).with_credentials(only).with_impersonation(ACCOUNT).build().expect("valid settings");
    let error = cloud.credentials().token().await.expect_err("refused");
    assert_error(&error, ErrorCode::PermissionDenied, &[ACCOUNT]);
    assert_eq!(never.seen().len(), 1, "the same one is not sent again");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_there_cannot_be_acted_as() {
    let server = Answering::by(|_| {
        let message = format!("Not found; Gaia id not found for email {ACCOUNT}");
        Reply::json(404, json!({"error": {"code": 404, "message": message, "status": "NOT_FOUND"}}))
    });
    let credentials = chalk_deploy_core::credentials::BearerToken::new("t");
    let cloud = builder(&server).with_credentials(credentials).with_impersonation(ACCOUNT).build().expect("valid");
    let error = cloud.credentials().token().await.expect_err("gone");
    assert_error(&error, ErrorCode::ObjectMissing, &[ACCOUNT, "correct the address of the service account"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_pod_that_is_missing_or_empty_is_told_with_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = external(&folder);
    let path = folder.path().join("token");
    let server = Answering::by(|_| Reply::json(200, json!({"access_token": "t", "expires_in": 3599})));
    std::fs::write(&path, "\n").expect("written");
    assert_error(
        &refused(&server, &folder, &file).await,
        ErrorCode::PermissionDenied,
        &["given no token", "credential_source"],
    );
    std::fs::remove_file(&path).expect("removed");
    let error = refused(&server, &folder, &file).await;
    assert_error(&error, ErrorCode::PermissionDenied, &["cannot be read", &path.display().to_string(), "projected"]);
    file["credential_source"] = json!({"file": folder.path()});
    assert_error(&refused(&server, &folder, &file).await, ErrorCode::PermissionDenied, &["cannot be read"]);
    assert!(server.lines().is_empty());
}
