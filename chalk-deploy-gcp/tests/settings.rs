//! Bad input: settings that are wrong, and what is never printed. And the one look at a real project, where one is named.

mod common;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_gcp::Cloud;
use common::assert_error;

#[test]
fn what_is_wrong_is_told_by_build_with_the_variable_or_the_method() {
    let variable = |name: &'static str, value: &'static str| {
        Cloud::builder().from_variables(move |asked| (asked == name).then(|| value.to_owned()))
    };
    for (builder, name) in [
        (variable("GOOGLE_CLOUD_PROJECT", "Acme Prod"), "GOOGLE_CLOUD_PROJECT"),
        (variable("CLOUDSDK_COMPUTE_REGION", "us/central1"), "CLOUDSDK_COMPUTE_REGION"),
        (variable("STORAGE_EMULATOR_HOST", "http://storage.example"), "STORAGE_EMULATOR_HOST"),
        (Cloud::builder().with_project("a/b"), "with_project"),
        (Cloud::builder().with_cluster("chalk"), "with_cluster"),
        (Cloud::builder().with_registry("evil.example/a/b"), "with_registry"),
        (Cloud::builder().with_registry_host("evil.example"), "with_registry_host"),
        (Cloud::builder().with_container_endpoint("http://evil.example"), "with_container_endpoint"),
        (Cloud::builder().with_artifact_registry_endpoint("ftp://a"), "with_artifact_registry_endpoint"),
        (Cloud::builder().with_registry_endpoint("http://evil.example"), "with_registry_endpoint"),
        (Cloud::builder().with_bucket("a/b"), "a/b"),
        (Cloud::builder().with_impersonation("nobody"), "nobody"),
        (Cloud::builder().with_bucket("abc").with_signing_account("nobody"), "nobody"),
    ] {
        let error = builder.build().map(drop).expect_err(name);
        assert_error(&error, ErrorCode::ValueInvalid, &[name]);
    }
    // What is given by a method counts more, in any order.
    let before = variable("GOOGLE_CLOUD_PROJECT", "from-env").with_project("by-method").build().expect("valid");
    let after = Cloud::builder()
        .with_project("by-method")
        .from_variables(|name| (name == "GOOGLE_CLOUD_PROJECT").then(|| "from-env".to_owned()))
        .build()
        .expect("valid");
    for cloud in [before, after] {
        assert!(format!("{cloud:?}").contains("by-method"), "{cloud:?}");
    }
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let cloud = Cloud::builder()
        .with_credentials(BearerToken::new("ya29.hidden"))
        .with_registry("us-docker.pkg.dev/acme/chalk")
        .build()
        .expect("valid settings");
    let token = cloud.credentials().token().await.expect("given");
    let shown = format!("{cloud:?} {token:?} {:?} {:?}", cloud.credentials(), cloud.registry().expect("set"));
    assert!(!shown.contains("hidden"), "{shown}");
}

/// A run against a real project, where one is named: `CHALK_DEPLOY_LIVE=gcp` with the variables of `from_env`, and
/// `CHALK_DEPLOY_LIVE_CLUSTER` as `with_cluster` takes it. It reads, and changes nothing.
#[tokio::test]
async fn a_real_cluster_is_described() {
    use std::io::Write as _;
    if std::env::var("CHALK_DEPLOY_LIVE").as_deref() != Ok("gcp") {
        let _ = writeln!(std::io::stderr(), "skipped: CHALK_DEPLOY_LIVE=gcp runs this against a real project");
        return;
    }
    let cluster = std::env::var("CHALK_DEPLOY_LIVE_CLUSTER").expect("CHALK_DEPLOY_LIVE_CLUSTER names a cluster");
    let cloud = Cloud::builder().from_env().with_cluster(cluster).with_runtime(SystemRuntime::new()).build();
    let description = cloud.expect("valid variables").describe_cluster().await.expect("described");
    assert!(description.server.starts_with("https://"));
}
