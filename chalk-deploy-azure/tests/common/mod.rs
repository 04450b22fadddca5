//! What the tests share: recorded cases, and a cloud that is answered from them.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;
use std::sync::Arc;

use chalk_deploy_azure::{Cloud, CloudBuilder, CredentialChoice};
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::kubernetes::Connection;
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_testkit::recorded::{Case, Player};

pub(crate) const TENANT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
pub(crate) const CLIENT: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";
pub(crate) const SUBSCRIPTION: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
pub(crate) const MANAGEMENT: &str = "https://management.azure.com/.default";

/// The cases of these names, each `api/name`.
pub(crate) fn player(names: &[&str]) -> Player {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    Player::new(names.iter().map(|name| Case::read(&folder.join(format!("{name}.json"))).expect("a case")))
}

/// A cloud with everything, whose requests these cases answer, and whose tokens are all `token-1`.
pub(crate) fn builder(player: &Player) -> CloudBuilder {
    Cloud::builder()
        .with_tenant(TENANT)
        .with_subscription(SUBSCRIPTION)
        .with_resource_group("chalk-acme")
        .with_storage_account("chalkacme")
        .with_bucket("chalk-acme-source")
        .with_registry("chalkacme.azurecr.io")
        .with_cluster("chalk")
        .with_credentials(CredentialChoice::Issuer(Arc::new(BearerToken::new("token-1"))))
        .with_transport(player.transport())
        .with_cluster_transports(player.transport())
        .with_runtime(SystemRuntime::new())
}

pub(crate) fn cloud(player: &Player) -> Cloud {
    builder(player).build().expect("valid settings")
}

/// All that was recorded was asked for, and nothing else.
pub(crate) fn assert_complete(player: &Player) {
    assert_eq!(player.complaints(), Vec::<String>::new());
}

/// Asks the API server for something, so that it is looked up.
pub(crate) async fn ask(connection: &Connection) -> Result<(), chalk_deploy_core::Error> {
    use chalk_deploy_core::cloud::{ClusterApi as _, Selector};
    use chalk_deploy_core::kubernetes::KubernetesCluster;
    use chalk_deploy_core::model::{EnvironmentId, Namespace};
    let selector = Selector { environment: EnvironmentId::new("default").expect("a name"), deployment: None };
    let namespace = Namespace::new("ns-default").expect("a name");
    KubernetesCluster::new(connection.clone()).list(&namespace, &selector).await.map(drop)
}
