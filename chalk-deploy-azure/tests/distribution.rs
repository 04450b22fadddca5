//! The distribution project's registry with ACR's authentication: a token of Entra ID is changed at `/oauth2/exchange` for a
//! refresh token, and that at the realm `/oauth2/token` for tokens, each of which the program verifies.
//!
//! The program is the one that `CHALK_FOREIGN_REGISTRY` names; where it names none, one line on stderr says that this was
//! skipped.

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_azure::{Cloud, CredentialChoice};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::model::Repository;
use chalk_deploy_core::oci::OciRegistry;
use chalk_deploy_testkit::distribution::{Distribution, Flow, Image, TokenKey, TokenServer, program};
use http::StatusCode;

const TOKEN: &str = "entra-token";

fn realm() -> Arc<TokenServer> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = TokenKey { certificate: made.cert.der().to_vec(), private_key: made.signing_key.serialize_der() };
    Arc::new(TokenServer::new(key, Flow::RefreshToken(TOKEN.to_owned())))
}

async fn start(realm: &Arc<TokenServer>) -> Option<Distribution> {
    let program = program("chalk-deploy-azure/tests/distribution")?;
    Some(Distribution::start(&program, &realm.authentication(), realm.clone()).await)
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
    let [registry_of_one, forgetful] = [registry(&distribution, TOKEN), registry(&distribution, TOKEN)];
    let image = Image::new("azure");
    image.assert_is_kept_and_moved_once(&distribution, &registry_of_one, &forgetful, [&engine, &other]).await;
    let push = "repository:chalk/engine:pull,push".to_owned();
    let mounts = vec!["repository:chalk/other:pull,push".to_owned(), push.replace(",push", "")];
    // One to push and to pull, the same for who remembers nothing, and one that reaches both repositories.
    let expected = vec![vec![push.clone()], vec![push], mounts];
    let sorted = |mut given: Vec<Vec<String>>| {
        for scopes in &mut given {
            scopes.sort();
        }
        given
    };
    assert_eq!(sorted(realm.given()), sorted(expected));
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_push_is_renewed_once() {
    let realm = realm();
    let Some(distribution) = start(&realm).await else { return };
    let (registry, engine) = (registry(&distribution, TOKEN), repository(&distribution, "engine"));
    realm.shorten_the_next(Duration::from_secs(3));
    let until = realm.clone();
    distribution.before_upload(2, async move { until.end_of_the_short_one().await });
    let image = Image::new("azure");
    image.push(&registry, &engine).await.expect("pushed");
    // What the refresh token is for.
    assert_eq!(realm.exchanges(), 1);
    let passed = distribution.passed();
    let stored = passed.iter().filter(|it| it.ends_an_upload() && it.status == StatusCode::CREATED).count();
    assert_eq!(stored, image.blobs.len(), "{passed:?}");
    // Both were said to last for minutes: only a refusal makes the second one be asked for.
    assert_eq!(realm.given(), vec![vec!["repository:chalk/engine:pull,push".to_owned()]; 2]);
    image.assert_there(&registry, &engine).await;
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
