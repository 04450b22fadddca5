//! The distribution project's registry with ACR's authentication: a token of Entra ID is changed at `/oauth2/exchange` for a
//! refresh token, and that at the realm `/oauth2/token` for tokens, each of which the program verifies.
//!
//! The program is the one that `CHALK_FOREIGN_REGISTRY` names; where it names none, one line on stderr says that this was
//! skipped.

use std::sync::Arc;

use chalk_deploy_azure::{Cloud, CredentialChoice};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::model::Repository;
use chalk_deploy_core::oci::OciRegistry;
use chalk_deploy_testkit::distribution::{
    Distribution, Flow, Image, TokenServer, assert_a_token_that_ends_is_renewed_once, assert_few_tokens_are_asked_for,
};

const TOKEN: &str = "entra-token";

fn realm() -> Arc<TokenServer> {
    TokenServer::new(Flow::RefreshToken(TOKEN.to_owned()))
}

async fn start(realm: &Arc<TokenServer>) -> Option<Distribution> {
    Distribution::behind(realm, "chalk-deploy-azure/tests/distribution").await
}

fn registry(distribution: &Distribution, token: &str) -> OciRegistry {
    let cloud = Cloud::builder()
        .with_registry_endpoint(distribution.endpoint())
        .with_credentials(CredentialChoice::Issuer(Arc::new(BearerToken::new(token))))
        .build();
    cloud.expect("valid settings").registry().expect("named")
}

fn repository(distribution: &Distribution, image: &str) -> Repository {
    Repository::new(format!("{}/chalk/{image}", distribution.host())).expect("a repository")
}

#[tokio::test]
async fn an_image_is_pushed_with_one_token_pulled_back_and_mounted_for_nothing() {
    let realm = realm();
    let Some(distribution) = start(&realm).await else { return };
    let [engine, other] = ["engine", "other"].map(|image| repository(&distribution, image));
    let [remembering, forgetful] = [registry(&distribution, TOKEN), registry(&distribution, TOKEN)];
    assert_few_tokens_are_asked_for(&distribution, &realm, [&remembering, &forgetful], [&engine, &other]).await;
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_push_is_renewed_once() {
    let realm = realm();
    let Some(distribution) = start(&realm).await else { return };
    let (registry, engine) = (registry(&distribution, TOKEN), repository(&distribution, "engine"));
    assert_a_token_that_ends_is_renewed_once(&distribution, &realm, &registry, &engine).await;
    // What the refresh token is for.
    assert_eq!(realm.exchanges(), 1);
}

#[tokio::test]
async fn a_token_of_entra_that_the_registry_does_not_take_ends_the_push_and_is_not_shown() {
    let realm = realm();
    let Some(distribution) = start(&realm).await else { return };
    let (registry, engine) = (registry(&distribution, "another-token"), repository(&distribution, "engine"));
    let error = Image::new("azure").push(&registry, &engine).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{}", error.sentence());
    assert!(error.sentence().contains(&distribution.host()), "{}", error.sentence());
    assert!(!format!("{error:?}").contains("another-token") && realm.given().is_empty());
}
