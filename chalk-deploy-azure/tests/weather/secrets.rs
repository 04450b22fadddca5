//! What is printed, and a real account.

use std::sync::Arc;

use chalk_deploy_azure::{Cloud, CredentialChoice};
use chalk_deploy_core::bucket::AzureSharedKey;
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_testkit::recorded::Player;

use crate::common::{MANAGEMENT, builder};

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let key = AzureSharedKey::new("aGlkZGVu").expect("base64");
    let hidden = CredentialChoice::Issuer(Arc::new(BearerToken::new("hidden-token")));
    let builder = builder(&Player::default()).with_credentials(hidden).with_account_key(key);
    let shown = format!("{builder:?}");
    let cloud = builder.build().expect("valid settings");
    let tokens = cloud.credentials();
    let shown = format!("{shown} {cloud:?} {tokens:?} {:?} {:?}", cloud.bucket(), tokens.of(MANAGEMENT));
    let shown = format!("{shown} {:?} {:?} {:?}", cloud.images(), cloud.buckets(), cloud.connection());
    assert!(!shown.contains("hidden") && !shown.contains("aGlk"), "{shown}");
}

/// A real account, where one is named: with whoever is logged in, of `AZURE_…` as [`Cloud::builder`] reads them.
#[tokio::test]
async fn a_real_cluster_is_described() {
    use std::io::Write as _;
    let cluster = std::env::var("CHALK_DEPLOY_LIVE_CLUSTER").ok();
    let (Ok("azure"), Some(cluster)) = (std::env::var("CHALK_DEPLOY_LIVE").as_deref(), cluster) else {
        let why = "skipped: CHALK_DEPLOY_LIVE is not `azure`, or CHALK_DEPLOY_LIVE_CLUSTER names no cluster";
        let _ = writeln!(std::io::stderr(), "{why}");
        return;
    };
    let cloud = Cloud::builder().from_env().with_cluster(cluster).with_runtime(SystemRuntime::new()).build();
    let cloud = cloud.expect("AZURE_SUBSCRIPTION_ID and AZURE_RESOURCE_GROUP are set");
    let described = cloud.describe_cluster().await.expect("described");
    assert!(described.server.starts_with("https://"), "{described:?}");
}
