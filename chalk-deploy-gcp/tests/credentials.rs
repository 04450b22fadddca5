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
use common::{Answering, Reply, Seen, assert_error, case};
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

// --- recorded cases
// ----------------------------------------------------------------------------------------------------

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
