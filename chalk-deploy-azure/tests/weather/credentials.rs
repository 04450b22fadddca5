//! Credentials: what expires, changes, is not there, or is given by somebody hostile.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_azure::{Cloud, CredentialChoice};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource as _};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::Transport;
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply};
use serde_json::json;

use crate::MANAGER;
use crate::common::{Bank, CLIENT, MANAGEMENT, TENANT, builder};

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_on_its_way_is_fetched_anew_once_and_then_it_is_an_error() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let answering = Answering::by(|seen| {
        if seen.token() == "token-1" {
            return Reply::json(401, json!({"error": {"code": "ExpiredAuthenticationToken", "message": "expired"}}));
        }
        let properties = json!({"fqdn": "a.example", "aadProfile": {"managed": true}, "kubernetesVersion": "1.33"});
        Reply::json(200, json!({"properties": properties}))
    });
    let bank = Bank::new(runtime.clone(), Some(Duration::from_hours(1)));
    let with = |choice| {
        builder(&Player::default())
            .with_transport(Hosts::new().with(MANAGER, answering.transport()).transport())
            .with_runtime(runtime.clone())
            .with_credentials(choice)
            .build()
            .expect("valid settings")
    };
    let renewing = with(bank.choice());
    assert_eq!(renewing.describe_cluster().await.expect("with another token").version, "1.33");
    assert_eq!(bank.scopes(), [MANAGEMENT, MANAGEMENT]);
    let revoked = with(CredentialChoice::Issuer(Arc::new(BearerToken::new("token-1"))));
    let error = revoked.describe_cluster().await.expect_err("revoked");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.hint().contains("renew") && !error.sentence().contains("token-1"), "{}", error.sentence());
    assert_eq!(answering.seen().len(), 3, "two for the first, one for the second");
}

/// A pod whose service account's token lies in this file, and which asks this for tokens of Entra ID.
fn pod(file: &Path, entra: &Answering, runtime: &Arc<dyn Runtime>) -> Cloud {
    let file = file.to_string_lossy().into_owned();
    Cloud::builder()
        .from_variables(move |name| match name {
            "AZURE_TENANT_ID" => Some(TENANT.to_owned()),
            "AZURE_CLIENT_ID" => Some(CLIENT.to_owned()),
            "AZURE_FEDERATED_TOKEN_FILE" => Some(file.clone()),
            // As a person may write it.
            "AZURE_AUTHORITY_HOST" => Some("login.acme.example".to_owned()),
            _ => None,
        })
        .with_transport(Hosts::new().with("login.acme.example", entra.transport()).transport())
        .with_runtime(runtime.clone())
        .build()
        .expect("valid settings")
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_service_account_that_was_rotated_is_read_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let entra = Answering::by(|seen| {
        let form = seen.form();
        assert_eq!(
            (seen.path(), form["client_id"].as_str()),
            (format!("/{TENANT}/oauth2/v2.0/token").as_str(), CLIENT)
        );
        assert_eq!(form["scope"], MANAGEMENT);
        let given = format!("for-{}", form["client_assertion"]);
        Reply::json(200, json!({"token_type": "Bearer", "expires_in": 3600, "access_token": given}))
    });
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let tokens = pod(&file, &entra, &runtime).credentials().of(MANAGEMENT);
    let rotate = |text: &str| std::fs::write(&file, text).expect("written");
    rotate("first\n");
    assert_eq!(tokens.token().await.expect("a token").expose(), "for-first");
    rotate("second");
    assert_eq!(tokens.token().await.expect("it still holds").expose(), "for-first");
    // In the last minutes of its life, and when it is refused.
    runtime.sleep(Duration::from_mins(56)).await;
    assert_eq!(tokens.token().await.expect("renewed").expose(), "for-second");
    rotate("third");
    tokens.refused(&BearerToken::new("for-second")).await;
    assert_eq!(tokens.token().await.expect("renewed").expose(), "for-third");
    assert_eq!(entra.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_entra_id_answers_is_checked_before_it_is_believed_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "assertion").expect("written");
    for body in [
        String::new(),
        "hidden".to_owned(),
        "[\"hidden\"]".to_owned(),
        json!({"expires_in": 3600}).to_string(),
        json!({"access_token": "", "expires_in": 3600}).to_string(),
        json!({"access_token": ["hidden"], "expires_in": 3600}).to_string(),
        json!({"access_token": "hidden", "expires_in": i64::MAX}).to_string(),
        json!({"access_token": "hidden", "expires_in": -1}).to_string(),
        json!({"access_token": "hidden", "expires_in": 1e300}).to_string(),
        json!({"access_token": "hidden", "expires_in": "soon"}).to_string(),
        "x".repeat(300 << 10),
    ] {
        let shown = body.get(..60).unwrap_or(&body).to_owned();
        let entra = Answering::by(move |_| Reply::json(200, &body));
        let cloud = pod(&file, &entra, &(VirtualRuntime::new(1) as Arc<dyn Runtime>));
        let error = cloud.credentials().of(MANAGEMENT).token().await.expect_err(&shown);
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{shown}: {}", error.sentence());
        assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_file_without_a_token_or_without_an_end_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let entra = Answering::by(|_| Reply::new(500, ""));
    for content in [b"".to_vec(), b" \n".to_vec(), vec![b'x'; 70 << 10], vec![0xff, 0xfe]] {
        std::fs::write(&file, content).expect("written");
        let cloud = pod(&file, &entra, &(VirtualRuntime::new(1) as Arc<dyn Runtime>));
        let error = cloud.credentials().of(MANAGEMENT).token().await.expect_err("no token");
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
        assert!(error.subject().contains("AZURE_FEDERATED_TOKEN_FILE"), "{}", error.sentence());
    }
    assert!(entra.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_metadata_service_does_not_answer_says_so_in_time() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let cloud = Cloud::builder()
        .with_credentials(CredentialChoice::ManagedIdentity)
        .with_transport(Transport::from_fn(|_| std::future::pending()))
        .with_runtime(runtime.clone())
        .build()
        .expect("valid settings");
    let tokens = cloud.credentials().of(MANAGEMENT);
    let error = tokens.token().await.expect_err("nobody");
    assert_eq!(error.code(), ErrorCode::CloudUnavailable, "it may come back");
    assert!(error.sentence().contains("does not answer") && error.hint().contains("identity"), "{}", error.sentence());
    assert_eq!(runtime.monotonic(), Duration::from_secs(30));
}
