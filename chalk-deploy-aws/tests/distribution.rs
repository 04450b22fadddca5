//! The distribution project's registry with ECR's authentication: the user `AWS`, and a password that
//! `GetAuthorizationToken` hands out.
//!
//! The program is the one that `CHALK_FOREIGN_REGISTRY` names; where it names none, one line on stderr says that this was
//! skipped.

mod common;

use std::sync::Arc;

use chalk_deploy_aws::{AccessKeys, Cloud};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::model::Repository;
use chalk_deploy_core::oci::OciRegistry;
use chalk_deploy_testkit::distribution::{Authentication, Distribution, Image, program};
use common::ecr::{Ecr, FIRST, SECOND};
use http::StatusCode;

async fn start(ecr: &Arc<Ecr>) -> Option<Distribution> {
    let program = program("chalk-deploy-aws/tests/distribution")?;
    Some(Distribution::start(&program, &Authentication::Passwords(FIRST.1.to_owned()), ecr.clone()).await)
}

fn registry(distribution: &Distribution) -> OciRegistry {
    let cloud = Cloud::builder()
        .with_region("us-east-1")
        .with_credentials(AccessKeys::new("AKIAEXAMPLE", "secret-of-ours"))
        .with_registry(distribution.host())
        .with_registry_endpoint(distribution.endpoint())
        .build();
    cloud.expect("valid settings").registry().expect("named")
}

fn repository(distribution: &Distribution, path: &str) -> Repository {
    Repository::new(format!("{}/{path}", distribution.host())).expect("a repository")
}

#[tokio::test]
async fn an_image_is_pushed_with_one_password_pulled_back_and_mounted_for_nothing() {
    let ecr = Ecr::handing_out(&[FIRST.0]);
    let Some(distribution) = start(&ecr).await else { return };
    let [engine, other] = ["chalk/engine", "chalk/other"].map(|path| repository(&distribution, path));
    let [registry_of_one, forgetful] = [registry(&distribution), registry(&distribution)];
    let image = Image::new("aws");
    image.assert_is_kept_and_moved_once(&distribution, &registry_of_one, &forgetful, [&engine, &other]).await;
    // One for each of the two.
    assert_eq!(ecr.handed_out(), 2);
}

#[tokio::test]
async fn a_password_that_is_replaced_in_the_middle_of_a_push_is_asked_for_once_more() {
    let ecr = Ecr::handing_out(&[FIRST.0, SECOND.0, "third-password"]);
    let Some(distribution) = start(&ecr).await else { return };
    let (registry, engine) = (registry(&distribution), repository(&distribution, "chalk/engine"));
    let file = distribution.password_file();
    distribution.before_upload(2, async move { std::fs::write(file, SECOND.1).expect("written") });
    let image = Image::new("aws");
    image.push(&registry, &engine).await.expect("pushed");
    let passed = distribution.passed();
    let refused = passed.iter().filter(|it| it.ends_an_upload() && it.status == StatusCode::UNAUTHORIZED).count();
    assert!(refused > 0, "{passed:?}");
    assert_eq!(ecr.handed_out(), 2);
    image.assert_there(&registry, &engine).await;
}

#[tokio::test]
async fn a_password_that_the_registry_does_not_take_ends_the_push_and_is_not_shown() {
    let ecr = Ecr::handing_out(&[SECOND.0]);
    let Some(distribution) = start(&ecr).await else { return };
    let (registry, engine) = (registry(&distribution), repository(&distribution, "chalk/engine"));
    let error = Image::new("aws").push(&registry, &engine).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{}", error.sentence());
    assert!(error.sentence().contains(&distribution.host()), "{}", error.sentence());
    assert!(!format!("{error:?}").contains(SECOND.0));
}
