//! Tokens that expire, passwords that are renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::cloud::{Payload, Registry as _};
use chalk_deploy_core::oci::{Asked, Credential, OciRegistry, OciSettings, RegistryCredentials, Secret, UploadMode};
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_core::{ErrorCode, Result};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::simulated::http::in_process;

use super::small_registry::{Canned, Options, SmallRegistry, basic};
use super::{HOST, SECRET, adapter, blob, credentials, repository};

fn with_tokens() -> Options {
    Options {
        realm: Some(format!("https://auth.{HOST}/token")),
        password: Some(("user".to_owned(), SECRET.to_owned())),
        ..Options::default()
    }
}

fn tokens(requests: &[String]) -> usize {
    requests.iter().filter(|line| line.contains("/token")).count()
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_between_two_pieces_is_renewed_and_the_upload_goes_on() {
    let server = SmallRegistry::new(Options { token_uses: Some(3), ..with_tokens() });
    let settings = OciSettings::default().with_credentials(credentials());
    let registry = adapter(&server, settings.with_upload(UploadMode::Chunked { chunk: 65_536 }));
    let payload = blob(500_000);
    registry.push_blob(&repository("a"), &payload).await.expect("pushed");
    let requests = server.requests();
    assert!(tokens(&requests) >= 3, "{requests:?}");
    assert_eq!(requests.iter().filter(|line| line.starts_with("POST")).count(), 1, "one session");
    assert!(registry.has_blob(&repository("a"), &payload.sha256()).await.expect("answered"));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_before_the_whole_blob_is_renewed_and_the_blob_is_sent_again() {
    let server = SmallRegistry::new(Options { token_uses: Some(2), ..with_tokens() });
    let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
    registry.push_blob(&repository("a"), &blob(300_000)).await.expect("pushed");
    assert_eq!(tokens(&server.requests()), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_by_the_clock_before_it_expires() {
    let server = SmallRegistry::new(Options { expires_in: Some(100), ..with_tokens() });
    let runtime = VirtualRuntime::new(1);
    let settings = OciSettings::default().with_credentials(credentials());
    let registry = OciRegistry::new(in_process(Arc::new(server.clone())), runtime.clone(), settings);
    let digest = Payload::from_bytes("x").sha256();
    let mut fetched = Vec::new();
    for wait in [0, 80, 11, 80] {
        runtime.sleep(Duration::from_secs(wait)).await;
        registry.has_blob(&repository("a"), &digest).await.expect("answered");
        fetched.push(tokens(&server.requests()));
    }
    assert_eq!(fetched, [1, 0, 1, 0]);
    assert_eq!(server.requests().len(), 0, "no request was refused for an old token");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_refuses_a_fresh_token_too_is_asked_twice_and_no_more() {
    let server = SmallRegistry::new(Options { token_uses: Some(0), ..with_tokens() });
    let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
    let error = registry.has_blob(&repository("a"), &Payload::from_bytes("x").sha256()).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.sentence().contains("check the credentials for registry.example"), "{}", error.sentence());
    assert_eq!(server.requests().len(), 3);
}

/// Gives another password each time it is asked anew, as a cloud's own client does.
#[derive(Debug, Default)]
struct Renewing(AtomicUsize);

#[async_trait]
impl RegistryCredentials for Renewing {
    async fn credential(&self, host: &str, asked: Asked) -> Result<Credential> {
        assert_eq!(host, HOST);
        // A network lets others run.
        tokio::task::yield_now().await;
        if asked == Asked::Refused {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        let secret = if self.0.load(Ordering::SeqCst) == 0 { "expired" } else { SECRET };
        Ok(Credential::Basic { username: "user".to_owned(), secret: Secret::new(secret) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_password_that_has_expired_is_asked_for_anew() {
    let password = Some(("user".to_owned(), SECRET.to_owned()));
    for options in [Options { password, ..Options::default() }, with_tokens()] {
        let server = SmallRegistry::new(options.clone());
        let renewing = Arc::new(Renewing::default());
        let registry = adapter(&server, OciSettings::default().with_credentials(renewing.clone()));
        let digest = Payload::from_bytes("x").sha256();
        let first = registry.has_blob(&repository("a"), &digest).await;
        if options.realm.is_none() {
            // A registry that takes passwords refuses this one once it knows it; the call after that has the new one.
            let error = first.expect_err("the first password has expired");
            assert_eq!(error.code(), ErrorCode::PermissionDenied);
        }
        registry.has_blob(&repository("a"), &digest).await.expect("with the new one");
        assert_eq!(renewing.0.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_403_with_which_ecr_says_that_a_token_has_expired_is_understood() {
    let server =
        SmallRegistry::new(Options { password: Some(("user".to_owned(), SECRET.to_owned())), ..Options::default() });
    let renewing = Arc::new(Renewing(AtomicUsize::new(1)));
    let registry = adapter(&server, OciSettings::default().with_credentials(renewing.clone()));
    let digest = Payload::from_bytes("x").sha256();
    registry.has_blob(&repository("a"), &digest).await.expect("answered");
    let expired = r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#;
    server.instead("GET", Canned { status: 403, body: expired.to_owned(), ..Canned::default() });
    let error = registry.pull_blob(&repository("a"), &digest).await.err().expect("the provider has no other one");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert_eq!(renewing.0.load(Ordering::SeqCst), 2, "it was asked");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_goes_to_the_realm_by_post_and_never_into_an_address() {
    let server = SmallRegistry::new(Options { password: None, ..with_tokens() });
    let identity =
        chalk_deploy_core::oci::StaticCredentials::new().with(HOST, Credential::Identity(Secret::new(SECRET)));
    let registry = adapter(&server, OciSettings::default().with_credentials(Arc::new(identity)));
    registry.push_blob(&repository("a"), &Payload::from_bytes("x")).await.expect("pushed");
    let state = server.state();
    let asked = state.seen.iter().find(|seen| seen.target.starts_with("/token")).expect("a token was fetched");
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/token"));
    let form = String::from_utf8(asked.body.clone()).expect("a form");
    assert!(form.contains("grant_type=refresh_token") && form.contains(SECRET), "{form}");
    assert!(state.seen.iter().all(|seen| !seen.target.contains(SECRET)));
    assert!(
        state
            .seen
            .iter()
            .filter(|seen| seen.host == HOST)
            .all(|seen| { seen.authorization.as_ref().is_none_or(|value| !value.contains(SECRET)) })
    );
}

#[tokio::test(start_paused = true)]
async fn a_realm_is_asked_for_our_own_scopes_whatever_the_registry_names() {
    let server = SmallRegistry::new(with_tokens());
    let greedy = format!("Bearer realm=\"https://auth.{HOST}/token\",service=\"s\",scope=\"repository:other:*\"");
    server.instead(
        format!("HEAD {HOST}"),
        Canned { status: 401, headers: vec![("www-authenticate", greedy)], ..Canned::default() },
    );
    let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
    registry.has_blob(&repository("a"), &Payload::from_bytes("x").sha256()).await.expect("answered");
    let state = server.state();
    let asked = state.seen.iter().find(|seen| seen.target.contains("/token")).expect("a token was fetched");
    assert_eq!(asked.target, "/token?service=s&scope=repository%3Aa%3Apull");
    assert_eq!(asked.authorization, Some(basic("user", SECRET)));
}

#[tokio::test(start_paused = true)]
async fn many_calls_at_once_fetch_one_token() {
    let server = SmallRegistry::new(with_tokens());
    let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
    let digest = Payload::from_bytes("x").sha256();
    registry.has_blob(&repository("other"), &digest).await.expect("the realm is known");
    server.requests();
    let repository = repository("a");
    let calls = (0..20).map(|_| registry.has_blob(&repository, &digest));
    for result in futures::future::join_all(calls).await {
        result.expect("answered");
    }
    assert_eq!(tokens(&server.requests()), 1);
}

#[tokio::test(start_paused = true)]
async fn many_calls_at_once_whose_password_has_expired_ask_for_one_new_one() {
    let password = Some(("user".to_owned(), SECRET.to_owned()));
    let server = SmallRegistry::new(Options { password, ..Options::default() });
    let renewing = Arc::new(Renewing::default());
    let registry = adapter(&server, OciSettings::default().with_credentials(renewing.clone()));
    let (repository, digest) = (repository("a"), Payload::from_bytes("x").sha256());
    registry.has_blob(&repository, &digest).await.expect_err("the first password has expired, and is known now");
    let calls = (0..20).map(|_| registry.has_blob(&repository, &digest));
    for result in futures::future::join_all(calls).await {
        result.expect("answered");
    }
    assert_eq!(renewing.0.load(Ordering::SeqCst), 1);
    // All of them were refused once, as the first call was without a password and with the expired one.
    assert_eq!(server.requests().len(), 2 + 20 + 20);
}

#[tokio::test(start_paused = true)]
async fn a_token_for_one_registry_is_not_sent_to_another_that_names_the_same_realm_and_service() {
    let options = Options { realm: Some("https://login.example/token".to_owned()), ..Options::default() };
    let server = SmallRegistry::new(options);
    let settings = OciSettings::default().with_credentials(credentials()).with_trusted_realm("login.example");
    let registry = adapter(&server, settings);
    let digest = Payload::from_bytes("x").sha256();
    registry.has_blob(&repository("a"), &digest).await.expect("answered");
    // The same path, realm and service: only the host tells the two apart.
    let other = chalk_deploy_core::model::Repository::new("evil.example/a").expect("a valid repository");
    registry.has_blob(&other, &digest).await.expect("answered");
    let sent = |host: &str| -> Vec<String> {
        let state = server.state();
        state.seen.iter().filter(|seen| seen.host == host).filter_map(|seen| seen.authorization.clone()).collect()
    };
    assert_eq!(sent(HOST), ["Bearer token-1"]);
    assert_eq!(sent("evil.example"), ["Bearer token-2"]);
}
