//! Registries that want our credentials to go elsewhere. Each case says what the registry answers, and the one claim is
//! that no header with a credential, and no request at all to a realm, reaches anyone but the registry.

use std::sync::Arc;

use chalk_deploy_core::cloud::{Payload, Registry as _};
use chalk_deploy_core::oci::{Credential, OciSettings, Secret, StaticCredentials, UploadMode};
use chalk_deploy_core::{Error, ErrorCode};

use super::small_registry::{Canned, Options, Seen, SmallRegistry, basic};
use super::{HOST, SECRET, adapter, blob, credentials, repository};

/// Refuses to let the secret, in any form, or a token appear.
fn assert_not_told(error: &Error) {
    let told = format!("{} {error:?} {:?}", error.sentence(), error.record());
    let encoded = basic("user", SECRET);
    for secret in [SECRET, encoded.trim_start_matches("Basic "), "token-1"] {
        assert!(!told.contains(secret), "{told}");
    }
}

/// What was sent to anyone but the registry.
fn elsewhere(server: &SmallRegistry) -> Vec<Seen> {
    server.state().seen.iter().filter(|seen| seen.host != HOST).cloned().collect()
}

fn challenge(value: &str) -> Canned {
    Canned { status: 401, headers: vec![("www-authenticate", value.to_owned())], always: true, ..Canned::default() }
}

#[tokio::test(start_paused = true)]
async fn no_hostile_realm_is_asked_for_a_token_or_sent_a_credential() {
    let realms = [
        // Other hosts, and hosts that only look like the registry's.
        "https://evil.example/token",
        "https://registry.example.evil.example/token",
        "https://registryxexample/token",
        "https://evilregistry.example/token",
        "https://example/token",
        "https://other.example/token",
        "https://registry.example@evil.example/token",
        "https://evil.example#@registry.example/token",
        "https://evil.example\\\\@registry.example/token",
        "https://evil.example/?registry.example",
        // The registry's own host, badly.
        "http://registry.example/token",
        "HTTP://registry.example/token",
        "https://user:password@registry.example/token",
        "https://registry.example/token#fragment",
        "//registry.example/token",
        "/token",
        "ftp://registry.example/token",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "",
        "https://",
        // Addresses that only we can reach.
        "http://169.254.169.254/latest/meta-data/iam",
        "https://169.254.169.254/latest/meta-data/iam",
        "https://2852039166/latest",
        "https://[fd00:ec2::254]/latest",
        "https://127.0.0.1/token",
        "https://localhost/token",
        "https://[::1]/token",
        "https://[::ffff:127.0.0.1]/token",
        "https://0.0.0.0/token",
        "https://10.0.0.1/token",
        "https://metadata.google.internal/computeMetadata/v1/",
    ];
    for realm in realms {
        let server = SmallRegistry::new(Options::default());
        server.instead(format!(" {HOST}"), challenge(&format!("Bearer realm=\"{realm}\",service=\"registry\"")));
        let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
        let error = registry.push_blob(&repository("a"), &Payload::from_bytes("x")).await.expect_err(realm);
        assert_eq!(error.code(), ErrorCode::RegistryUntrusted, "{realm}: {error}");
        assert!(error.sentence().contains("nothing was sent"), "{}", error.sentence());
        assert_not_told(&error);
        let sent = server.state().seen.clone();
        assert!(sent.iter().all(|seen| seen.host == HOST && seen.authorization.is_none()), "{realm}: {sent:?}");
        assert_eq!(sent.len(), 1, "{realm}: asked once, and then no more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_realm_that_redirects_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let server = SmallRegistry::new(Options { realm: Some(format!("https://{HOST}/token")), ..Options::default() });
        let away = vec![("location", "https://evil.example/token".to_owned())];
        server.instead("/token", Canned { status, headers: away, always: true, ..Canned::default() });
        let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
        let error =
            registry.has_blob(&repository("a"), &Payload::from_bytes("x").sha256()).await.expect_err("no token");
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
        assert_not_told(&error);
        assert!(elsewhere(&server).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_location_elsewhere_gets_neither_credential_nor_content() {
    for location in [
        "https://evil.example/upload",
        "//evil.example/upload",
        "http://registry.example/upload",
        "https://registry.example:8443/upload",
        "https://user:password@registry.example/upload",
        "https://registry.example.evil.example/upload",
        "https://169.254.169.254/upload",
        "\\\\evil.example\\upload",
        "ftp://registry.example/upload",
    ] {
        let server = SmallRegistry::new(Options {
            password: Some(("user".to_owned(), SECRET.to_owned())),
            ..Options::default()
        });
        let opened = Canned { status: 202, headers: vec![("location", location.to_owned())], ..Canned::default() };
        let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
        registry.has_blob(&repository("a"), &Payload::from_bytes("y").sha256()).await.expect("the password is right");
        server.instead("POST", opened);
        let error = registry.push_blob(&repository("a"), &Payload::from_bytes("x")).await.expect_err(location);
        assert_eq!(error.code(), ErrorCode::RegistryUntrusted, "{location}: {error}");
        assert_not_told(&error);
        assert!(server.state().seen.iter().all(|seen| seen.host == HOST && seen.body.is_empty()), "{location}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_piece_of_an_upload_is_not_lured_away_in_the_middle() {
    let server = SmallRegistry::new(Options::default());
    let away = vec![("location", "https://evil.example/upload".to_owned())];
    server.instead("PATCH", Canned { status: 202, headers: away, ..Canned::default() });
    let settings = OciSettings::default().with_upload(UploadMode::Chunked { chunk: 65_536 });
    let error = adapter(&server, settings).push_blob(&repository("a"), &blob(200_000)).await.expect_err("lured");
    assert_eq!(error.code(), ErrorCode::RegistryUntrusted);
    assert!(elsewhere(&server).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_upload_host_that_is_listed_gets_the_content_and_no_credential() {
    let server = SmallRegistry::new(Options::default());
    server.instead(
        "POST",
        Canned {
            status: 202,
            headers: vec![("location", "https://uploads.example/x".to_owned())],
            ..Canned::default()
        },
    );
    server.instead("PUT uploads.example", Canned { status: 201, ..Canned::default() });
    let settings = OciSettings::default().with_credentials(credentials()).with_upload_host("uploads.example");
    adapter(&server, settings).push_blob(&repository("a"), &Payload::from_bytes("x")).await.expect("taken there");
    let elsewhere = elsewhere(&server);
    assert_eq!(elsewhere.len(), 1);
    assert!(elsewhere[0].authorization.is_none() && elsewhere[0].body == b"x");
}

#[tokio::test(start_paused = true)]
async fn a_redirected_blob_is_fetched_without_credentials_and_a_hostile_redirect_not_at_all() {
    let options = Options {
        password: Some(("user".to_owned(), SECRET.to_owned())),
        blobs_at: Some("store.example".to_owned()),
        ..Options::default()
    };
    let server = SmallRegistry::new(options);
    let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
    let layer = Payload::from_bytes("layer");
    registry.push_blob(&repository("a"), &layer).await.expect("pushed");
    let stream = registry.pull_blob(&repository("a"), &layer.sha256()).await.expect("found");
    let bytes: Vec<_> = futures::TryStreamExt::try_collect(stream).await.expect("whole");
    assert_eq!(bytes.concat(), b"layer");
    let gone_to = elsewhere(&server);
    assert!(!gone_to.is_empty() && gone_to.iter().all(|seen| seen.authorization.is_none()), "{gone_to:?}");

    for location in [
        "http://store.example/x",
        "https://169.254.169.254/x",
        "https://127.0.0.1/x",
        "https://user:password@store.example/x",
        "file:///etc/passwd",
        "gopher://store.example/x",
    ] {
        server.state().seen.clear();
        let away = vec![("location", location.to_owned())];
        server.instead(format!("GET {HOST}/v2/a/blobs"), Canned { status: 307, headers: away, ..Canned::default() });
        let error = registry.pull_blob(&repository("a"), &layer.sha256()).await.err().expect(location);
        assert_eq!(error.code(), ErrorCode::RegistryUntrusted, "{location}");
        assert_not_told(&error);
        assert!(elsewhere(&server).is_empty(), "{location}");
    }
}

#[tokio::test(start_paused = true)]
async fn redirects_without_end_end_and_one_that_comes_back_is_a_strangers() {
    let server =
        SmallRegistry::new(Options { password: Some(("user".to_owned(), SECRET.to_owned())), ..Options::default() });
    let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
    registry.push_blob(&repository("a"), &Payload::from_bytes("x")).await.expect("pushed");
    server.state().seen.clear();
    let to = |to: &str| Canned {
        status: 302,
        headers: vec![("location", to.to_owned())],
        always: true,
        ..Canned::default()
    };
    server.instead(format!("GET {HOST}"), to("https://store.example/x"));
    server.instead("GET store.example", to(&format!("https://{HOST}/back")));
    let error = registry.pull_blob(&repository("a"), &Payload::from_bytes("x").sha256()).await.err().expect("no end");
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
    let seen = server.state().seen.clone();
    assert!(seen.len() <= 6, "{}", seen.len());
    assert_eq!(seen.iter().filter(|seen| seen.authorization.is_some()).count(), 1, "only before it left");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_redirects_lead_to_cannot_ask_for_credentials() {
    let server = SmallRegistry::new(Options {
        password: Some(("user".to_owned(), SECRET.to_owned())),
        blobs_at: Some("store.example".to_owned()),
        ..Options::default()
    });
    let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
    let layer = Payload::from_bytes("layer");
    registry.push_blob(&repository("a"), &layer).await.expect("pushed");
    for asked in ["Basic realm=\"store\"", "Bearer realm=\"https://registry.example/token\""] {
        server.instead("GET store.example", Canned { always: false, ..challenge(asked) });
        let error = registry.pull_blob(&repository("a"), &layer.sha256()).await.err().expect("refused");
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
    }
    assert!(elsewhere(&server).iter().all(|seen| seen.authorization.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_echoes_our_credential_does_not_get_it_into_an_error() {
    let server =
        SmallRegistry::new(Options { password: Some(("user".to_owned(), SECRET.to_owned())), ..Options::default() });
    let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
    registry.has_blob(&repository("a"), &Payload::from_bytes("y").sha256()).await.expect("the password is right");
    let echo =
        format!(r#"{{"errors":[{{"code":"DENIED","message":"{SECRET}","detail":"{}"}}]}}"#, basic("user", SECRET));
    for status in [400, 401, 403, 404, 500] {
        server.instead("POST", Canned { status, body: echo.clone(), always: true, ..Canned::default() });
        let error = registry.push_blob(&repository("a"), &Payload::from_bytes("x")).await.expect_err("refused");
        assert_not_told(&error);
    }
    assert_not_told(&Error::new(ErrorCode::Internal, format!("{registry:?}")));
}

#[tokio::test(start_paused = true)]
async fn the_password_of_one_registry_is_not_sent_to_another_nor_to_another_port() {
    let server =
        SmallRegistry::new(Options { password: Some(("user".to_owned(), SECRET.to_owned())), ..Options::default() });
    let credential = Credential::Basic { username: "user".to_owned(), secret: Secret::new(SECRET) };
    let only = Arc::new(StaticCredentials::new().with(HOST, credential));
    let registry = adapter(&server, OciSettings::default().with_credentials(only));
    let digest = Payload::from_bytes("x").sha256();
    registry.has_blob(&repository("a"), &digest).await.expect("the password is right");
    for other in ["other.example/a", "registry.example:444/a", "sub.registry.example/a"] {
        let other = chalk_deploy_core::model::Repository::new(other).expect("a valid repository");
        let error = registry.has_blob(&other, &digest).await.expect_err("no password");
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
    }
    assert!(elsewhere(&server).iter().all(|seen| seen.authorization.is_none()));
}
