//! The distribution project's registry with Artifact Registry's authentication: tokens of the realm `/v2/token`, for an access
//! token of Google as the password of `oauth2accesstoken`. The program verifies each.
//!
//! The program is the one that `CHALK_FOREIGN_REGISTRY` names; where it names none, one line on stderr says that this was
//! skipped.

use std::sync::Arc;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::model::Repository;
use chalk_deploy_core::oci::OciRegistry;
use chalk_deploy_gcp::Cloud;
use chalk_deploy_testkit::distribution::{
    Distribution, Flow, Image, TokenServer, assert_a_token_that_ends_is_renewed_once, assert_few_tokens_are_asked_for,
    program,
};

const TOKEN: &str = "ya29.access-token";

fn realm() -> Arc<TokenServer> {
    TokenServer::new(Flow::AccessToken(TOKEN.to_owned()))
}

async fn start(realm: &Arc<TokenServer>) -> Option<Distribution> {
    Distribution::behind(realm, "chalk-deploy-gcp/tests/distribution").await
}

fn registry(distribution: &Distribution, token: &str) -> OciRegistry {
    let cloud = Cloud::builder()
        .with_project("acme-prod")
        .with_registry_endpoint(distribution.endpoint())
        .with_registry(format!("{}/acme-prod/chalk", distribution.host()))
        .with_credentials(BearerToken::new(token))
        .build();
    cloud.expect("valid settings").registry().expect("named")
}

fn repository(distribution: &Distribution, image: &str) -> Repository {
    Repository::new(format!("{}/acme-prod/chalk/{image}", distribution.host())).expect("a repository")
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
}

#[tokio::test]
async fn an_access_token_that_the_realm_does_not_take_ends_the_push_and_is_not_shown() {
    let realm = realm();
    let Some(distribution) = start(&realm).await else { return };
    let (registry, engine) = (registry(&distribution, "ya29.another"), repository(&distribution, "engine"));
    let error = Image::new("gcp").push(&registry, &engine).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{}", error.sentence());
    assert!(error.sentence().contains("/v2/token"), "{}", error.sentence());
    assert!(!format!("{error:?}").contains("ya29.another") && realm.given().is_empty());
}

#[tokio::test]
async fn a_token_that_another_key_has_signed_is_not_taken() {
    let (realm, stranger) = (realm(), realm());
    let Some(program) = program("chalk-deploy-gcp/tests/distribution") else { return };
    let distribution = Distribution::start(&program, &realm.authentication(), stranger.clone()).await;
    let (registry, engine) = (registry(&distribution, TOKEN), repository(&distribution, "engine"));
    let error = Image::new("gcp").push(&registry, &engine).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{}", error.sentence());
    assert!(!stranger.given().is_empty());
}
