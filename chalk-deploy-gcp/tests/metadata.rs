//! The metadata server: where it is asked, what proves that it is one, and what its refusals mean.

mod common;

use std::time::Duration;

use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::transport::NetworkTransport;
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_gcp::{Cloud, CloudBuilder};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply};
use common::assert_error;
use serde_json::json;

const USUAL: &str = "metadata.google.internal";

/// On a machine where only this answers.
fn on_a_machine(host: &str, server: &Answering) -> CloudBuilder {
    let hosts = Hosts::new().with(host, server.transport());
    Cloud::builder().with_transport(hosts.transport()).with_runtime(VirtualRuntime::new(1))
}

fn named(host: &'static str) -> impl Fn(&str) -> Option<String> {
    // The folder of gcloud has no file, and no program is on the path of a test.
    move |name| match name {
        "GCE_METADATA_HOST" => Some(host.to_owned()),
        "CLOUDSDK_CONFIG" => Some("/nowhere".to_owned()),
        _ => None,
    }
}

fn proven(reply: Reply) -> Reply {
    reply.with("metadata-flavor", "Google")
}

fn giving() -> Answering {
    Answering::by(|seen| {
        if seen.header("metadata-flavor") != "Google" {
            return proven(Reply::new(403, "Missing Metadata-Flavor:Google header."));
        }
        proven(Reply::json(200, json!({"access_token": "ya29.machine", "expires_in": 3599, "token_type": "Bearer"})))
    })
}

async fn token(builder: CloudBuilder) -> Result<BearerToken> {
    builder.build().expect("valid settings").credentials().token().await
}

async fn refused(builder: CloudBuilder) -> Error {
    token(builder).await.expect_err("refused")
}

#[tokio::test(start_paused = true)]
async fn the_account_of_the_machine_is_asked_for_at_the_usual_host_or_at_the_one_that_is_named() {
    for (host, builder) in [
        (USUAL, on_a_machine(USUAL, &giving())),
        ("127.0.0.1:8080", on_a_machine("127.0.0.1:8080", &giving()).from_variables(named("127.0.0.1:8080"))),
    ] {
        assert_eq!(token(builder).await.expect(host).expose(), "ya29.machine");
    }
    let server = giving();
    token(on_a_machine(USUAL, &server)).await.expect("a token");
    let path = "/computeMetadata/v1/instance/service-accounts/default/token";
    assert_eq!(server.lines(), [format!("GET {USUAL}{path}")]);
    assert!(server.seen()[0].query().is_empty(), "the scopes are the machine's");
    let server = giving();
    token(on_a_machine(USUAL, &server).with_scopes(["https://a", "https://b"])).await.expect("a token");
    assert_eq!(server.seen()[0].query()["scopes"], "https://a,https://b");
}

#[tokio::test(start_paused = true)]
async fn its_token_is_kept_until_shortly_before_it_ends() {
    let (server, runtime) = (giving(), VirtualRuntime::new(1));
    let cloud = on_a_machine(USUAL, &server).with_runtime(runtime.clone()).build().expect("valid settings");
    for _ in 0..3 {
        cloud.credentials().token().await.expect("a token");
    }
    assert_eq!(server.seen().len(), 1);
    chalk_deploy_core::runtime::Runtime::sleep(&*runtime, Duration::from_mins(56)).await;
    cloud.credentials().token().await.expect("another one");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_has_credentials_the_places_that_were_looked_at_are_told() {
    let none = Answering::by(|_| Reply::new(404, ""));
    let elsewhere = on_a_machine("other.example", &none);
    let captive = Answering::by(|_| Reply::new(200, "<html>Welcome to this network</html>"));
    let bare = Answering::by(|_| proven(Reply::new(404, "Not Found")));
    for builder in [elsewhere, on_a_machine(USUAL, &captive), on_a_machine(USUAL, &bare)] {
        let error = refused(builder).await;
        let words = ["no credentials", "the metadata server", "GOOGLE_APPLICATION_CREDENTIALS"];
        assert_error(&error, ErrorCode::PermissionDenied, &words);
    }
    assert_eq!(none.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_named_has_to_be_there_and_nobody_else_is_taken_instead() {
    let host = "127.0.0.1:8080";
    let away = on_a_machine("other.example", &giving()).from_variables(named(host));
    assert_error(&refused(away).await, ErrorCode::CloudUnavailable, &[host, "GCE_METADATA_HOST"]);
    let other = Answering::by(|_| Reply::json(200, json!({"access_token": "of-whom", "expires_in": 60})));
    let other = on_a_machine(host, &other).from_variables(named(host));
    assert_error(&refused(other).await, ErrorCode::CloudAnswerInvalid, &[host, "no metadata server"]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_may_not_act_as_its_account_is_told_what_to_grant() {
    let gke = "Unable to generate access token; IAM returned 403 Forbidden: The caller does not have permission\n";
    for (status, body, code, words) in [
        (403, gke, ErrorCode::PermissionDenied, ["IAM returned 403", "roles/iam.workloadIdentityUser"]),
        (500, "internal\u{1b}[31m", ErrorCode::CloudUnavailable, ["it answers with 500", "internal"]),
        (200, "{\"access_token\": 7}", ErrorCode::CloudAnswerInvalid, ["something else than a token", "metadata"]),
    ] {
        let server = Answering::by(move |_| proven(Reply::new(status, body)));
        let error = refused(on_a_machine(USUAL, &server)).await;
        assert_error(&error, code, &words);
        assert!(!error.sentence().contains(char::is_control), "{:?}", error.sentence());
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_may_not_ask_it_is_an_error_and_not_taken_for_a_machine_without_one() {
    let runtime = VirtualRuntime::new(1);
    let strict = NetworkTransport::builder().runtime(runtime.clone()).build().expect("valid settings");
    let cloud = Cloud::builder().with_transport(strict).with_runtime(runtime).build().expect("valid settings");
    let error = cloud.credentials().token().await.expect_err("refused before it is sent");
    assert_error(&error, ErrorCode::RequestInvalid, &[USUAL, "allow plain http to metadata.google.internal"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_waited_for_no_longer_than_a_start_bears() {
    let runtime = VirtualRuntime::new(1);
    let hanging = chalk_deploy_core::transport::Transport::from_fn(|_| std::future::pending());
    let cloud = Cloud::builder().with_transport(hanging).with_runtime(runtime.clone()).build().expect("valid");
    let error = cloud.credentials().token().await.expect_err("nobody answers");
    assert_error(&error, ErrorCode::PermissionDenied, &["no credentials"]);
    let waited = chalk_deploy_core::runtime::Runtime::monotonic(&*runtime);
    assert_eq!(waited, Duration::from_secs(10));
}

#[test]
fn a_host_to_which_others_could_listen_is_refused_by_build() {
    for host in ["metadata.example", "10.0.0.8", "http://127.0.0.1:1"] {
        let error = Cloud::builder().from_variables(named(host)).build().map(drop).expect_err(host);
        assert_error(&error, ErrorCode::ValueInvalid, &["GCE_METADATA_HOST", host]);
    }
}
