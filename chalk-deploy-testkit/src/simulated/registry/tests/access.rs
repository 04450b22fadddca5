//! Who may do what, and for how long.

use std::time::Duration;

use chalk_deploy_core::runtime::Runtime as _;

use super::*;
use crate::simulated::registry::{Access, Account, Action, RateLimit, RequestKind, TokenSettings};

async fn token(registry: &RegistryServer, credential: Option<&str>, scope: &str) -> Reply {
    let headers: Vec<_> = credential.map(|value| ("authorization", value)).into_iter().collect();
    send(registry, "GET", &format!("/token?service=registry.simulated&scope={scope}"), &headers, empty()).await
}

async fn with(registry: &RegistryServer, credential: &str, method: &str, target: &str) -> Reply {
    send(registry, method, target, &[("authorization", credential)], empty()).await
}

fn bearer(reply: &Reply) -> String {
    format!("Bearer {}", reply.json()["token"].as_str().expect("a token"))
}

fn accounts() -> [Account; 2] {
    let both = [Action::Pull, Action::Push];
    [
        Account::administrator("root", "secret"),
        Account::new("ci", "word").may(both, "team/").may([Action::Pull], "base"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_challenge_names_the_realm_and_the_scope_and_a_token_for_them_is_let_in() {
    let registry = registry(RegistrySettings::plain().with_tokens(accounts()));
    let challenge = ask(&registry, "POST", "/v2/team/x/blobs/uploads/").await.is_refused(401, "UNAUTHORIZED");
    let expected = "Bearer realm=\"http://registry.test/token\",service=\"registry.simulated\",\
                    scope=\"repository:team/x:pull,push\"";
    assert_eq!(challenge.header("www-authenticate"), expected);
    assert!(!ask(&registry, "GET", "/v2/").await.is(401).header("www-authenticate").contains("scope"));

    let granted = token(&registry, Some(&basic("ci", "word")), "repository:team/x:pull,push").await.is(200);
    assert_eq!(granted.json()["expires_in"], 300);
    with(&registry, &bearer(&granted), "GET", "/v2/").await.is(200);
    with(&registry, &bearer(&granted), "POST", "/v2/team/x/blobs/uploads/").await.is(202);
    let elsewhere = with(&registry, &bearer(&granted), "POST", "/v2/team/y/blobs/uploads/").await.is(401);
    assert!(elsewhere.header("www-authenticate").ends_with("error=\"insufficient_scope\""), "{elsewhere:?}");
    // A password in place of a token is not taken.
    with(&registry, &basic("ci", "word"), "GET", "/v2/").await.is(401);
    assert_eq!(registry.request_log().count(RequestKind::Token), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_allows_no_more_than_its_account_may_do() {
    let registry = registry(RegistrySettings::plain().with_tokens(accounts()));
    let ci = basic("ci", "word");
    let scopes = "repository:base:pull,push,delete&scope=repository:team/x:*%20registry:catalog:*";
    let granted = token(&registry, Some(&ci), scopes).await.is(200);
    let bearer_token = bearer(&granted);
    with(&registry, &bearer_token, "GET", "/v2/base/tags/list").await.is_refused(404, "NAME_UNKNOWN");
    with(&registry, &bearer_token, "POST", "/v2/base/blobs/uploads/").await.is(401);
    with(&registry, &bearer_token, "POST", "/v2/team/x/blobs/uploads/").await.is(202);
    with(&registry, &bearer_token, "DELETE", "/v2/team/x/manifests/v1").await.is(401);
    with(&registry, &bearer_token, "GET", "/v2/_catalog").await.is(401);
    let root = token(&registry, Some(&basic("root", "secret")), "registry:catalog:*").await.is(200);
    with(&registry, &bearer(&root), "GET", "/v2/_catalog").await.is(200);
    for wrong in
        [basic("ci", "wrong"), basic("nobody", "word"), "Basic !!".to_owned(), "x".to_owned(), "Bearer x".to_owned()]
    {
        token(&registry, Some(&wrong), "repository:base:pull").await.is_refused(401, "UNAUTHORIZED");
    }
    for forged in ["Bearer a.b.c", "Bearer ", "Bearer", "Digest x"] {
        with(&registry, forged, "GET", "/v2/").await.is(401);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_expires_in_the_middle_of_a_push_and_a_new_one_goes_on() {
    let (runtime, registry) = shared(RegistrySettings::plain().with_tokens(accounts()));
    let scope = "repository:team/x:pull,push";
    let first = bearer(&token(&registry, Some(&basic("ci", "word")), scope).await);
    let begun = with(&registry, &first, "POST", "/v2/team/x/blobs/uploads/").await.is(202);
    runtime.sleep(Duration::from_secs(299)).await;
    send(&registry, "PATCH", begun.location(), &[("authorization", &first)], full("ab")).await.is(202);
    runtime.sleep(Duration::from_secs(1)).await;
    let target = with_digest(begun.location(), &digest(b"abc"));
    let late = send(&registry, "PUT", &target, &[("authorization", &first)], full("c")).await.is(401);
    assert!(late.header("www-authenticate").contains("error=\"invalid_token\""), "{late:?}");
    let second = bearer(&token(&registry, Some(&basic("ci", "word")), scope).await);
    send(&registry, "PUT", &target, &[("authorization", &second)], full("c")).await.is(201);
}

#[tokio::test(start_paused = true)]
async fn anyone_may_pull_where_the_settings_say_so_and_nobody_else() {
    for open in [false, true] {
        let settings = RegistrySettings { anonymous_pull: open, ..RegistrySettings::plain().with_tokens(accounts()) };
        let registry = registry(settings);
        let granted = token(&registry, None, "repository:base:pull,push").await.is(200);
        let status = if open { 404 } else { 401 };
        with(&registry, &bearer(&granted), "GET", "/v2/base/tags/list").await.is(status);
        with(&registry, &bearer(&granted), "POST", "/v2/base/blobs/uploads/").await.is(401);
        ask(&registry, "GET", "/v2/base/tags/list").await.is(status);
        ask(&registry, "POST", "/v2/base/blobs/uploads/").await.is(401);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_gives_tokens_but_is_none() {
    let registry = registry(RegistrySettings::plain().with_tokens(accounts()));
    let form = b"grant_type=password&username=ci&password=word&access_type=offline&service=registry.simulated\
                 &scope=repository:team/x:pull";
    let granted = give(&registry, "POST", "/token", form).await.is(200);
    let refresh = granted.json()["refresh_token"].as_str().expect("offline access").to_owned();
    with(&registry, &bearer(&granted), "GET", "/v2/team/x/tags/list").await.is(404);
    with(&registry, &format!("Bearer {refresh}"), "GET", "/v2/").await.is(401);
    let form = format!("grant_type=refresh_token&refresh_token={refresh}&scope=repository:team/x:push,pull");
    let again = give(&registry, "POST", "/token", form.as_bytes()).await.is(200);
    with(&registry, &bearer(&again), "POST", "/v2/team/x/blobs/uploads/").await.is(202);
    let form = form.replace("refresh_token&", "client_credentials&");
    give(&registry, "POST", "/token", form.as_bytes()).await.is(400);
    give(&registry, "POST", "/token", b"grant_type=refresh_token&refresh_token=x").await.is(401);
    give(&registry, "POST", "/token", &vec![b'x'; 70_000]).await.is(413);
}

#[tokio::test(start_paused = true)]
async fn basic_authentication_is_challenged_and_denies_what_the_account_may_not() {
    let settings =
        RegistrySettings { access: Access::Basic, accounts: accounts().to_vec(), ..RegistrySettings::plain() };
    let registry = registry(settings);
    assert!(ask(&registry, "GET", "/v2/").await.is(401).header("www-authenticate").starts_with("Basic realm="));
    with(&registry, &basic("ci", "word"), "GET", "/v2/").await.is(200);
    with(&registry, &basic("ci", "wrong"), "GET", "/v2/").await.is(401);
    with(&registry, &basic("ci", "word"), "POST", "/v2/base/blobs/uploads/").await.is_refused(403, "DENIED");
    with(&registry, &basic("ci", "word"), "GET", "/v2/_catalog").await.is_refused(403, "DENIED");
    with(&registry, &basic("root", "secret"), "GET", "/v2/_catalog").await.is(200);
}

#[tokio::test(start_paused = true)]
async fn a_realm_may_be_another_one_and_a_host_cannot_break_out_of_the_challenge() {
    let settings = RegistrySettings {
        access: Access::Token(TokenSettings {
            realm: Some("https://evil.test/t".to_owned()),
            ..TokenSettings::default()
        }),
        ..RegistrySettings::plain()
    };
    let challenge = ask(&registry(settings), "GET", "/v2/").await.is(401);
    assert!(challenge.header("www-authenticate").starts_with("Bearer realm=\"https://evil.test/t\","), "{challenge:?}");

    let registry = registry(RegistrySettings::plain().with_tokens([]));
    let request = Request::get("/v2/").header("host", "x\",realm=\"y").body(empty()).expect("a request");
    let reply = registry.answer(request).await.expect("an answer");
    let challenge = reply.headers()["www-authenticate"].to_str().expect("text");
    assert!(challenge.starts_with("Bearer realm=\"http://localhost/token\","), "{challenge}");
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_are_refused_until_the_window_ends() {
    let limit = RateLimit { requests: 2, window: Duration::from_millis(1500) };
    let (runtime, registry) = shared(RegistrySettings { rate_limit: Some(limit), ..RegistrySettings::plain() });
    for expected in [200, 200, 429, 429] {
        ask(&registry, "GET", "/v2/").await.is(expected);
    }
    let refused = ask(&registry, "GET", "/v2/").await.is_refused(429, "TOOMANYREQUESTS");
    assert_eq!(refused.header("retry-after"), "2");
    runtime.sleep(Duration::from_secs(2)).await;
    ask(&registry, "GET", "/v2/").await.is(200);
}
