//! What the tests share: recorded cases, and a cloud that is answered from them.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_azure::{Cloud, CloudBuilder, CredentialChoice, TokenIssuer};
use chalk_deploy_core::credentials::{BearerToken, Lent};
use chalk_deploy_core::kubernetes::Connection;
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_testkit::World;
use chalk_deploy_testkit::recorded::{Case, Player};
use chalk_deploy_testkit::simulated::bucket::{AzureBucketServer, AzureBucketSettings};
use chalk_deploy_testkit::simulated::closure::{Answering, Reply};

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

/// Issues tokens `token-1`, `token-2`, … that live for a while, and counts them, with the scopes that they are for.
#[derive(Debug, Clone)]
pub(crate) struct Bank {
    issued: Arc<Mutex<Vec<String>>>,
    life: Option<Duration>,
    runtime: Arc<dyn Runtime>,
}

impl Bank {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, life: Option<Duration>) -> Self {
        Self { issued: Arc::default(), life, runtime }
    }

    pub(crate) fn scopes(&self) -> Vec<String> {
        self.issued.lock().expect("not poisoned").clone()
    }

    pub(crate) fn choice(&self) -> CredentialChoice {
        CredentialChoice::Issuer(Arc::new(self.clone()))
    }
}

#[async_trait]
impl TokenIssuer for Bank {
    async fn issue(&self, scope: &str) -> chalk_deploy_core::Result<Lent<BearerToken>> {
        tokio::task::yield_now().await;
        let mut issued = self.issued.lock().expect("not poisoned");
        issued.push(scope.to_owned());
        let expires = self.life.map(|life| self.runtime.now().plus(life));
        Ok(Lent { value: BearerToken::new(format!("token-{}", issued.len())), expires })
    }
}

/// A storage account with one container, which takes the tokens that a [`Bank`] gives.
pub(crate) fn account(runtime: &Arc<dyn Runtime>, container: &str) -> Arc<AzureBucketServer> {
    let settings =
        (1..=9).fold(AzureBucketSettings::new(container), |it, number| it.with_token(format!("token-{number}")));
    Arc::new(AzureBucketServer::new(&World::memory(), runtime.clone(), settings).expect("a world in memory"))
}

/// The answers of recorded cases, as often as they are asked for.
pub(crate) fn repeated(names: &[&str]) -> Answering {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let cases: Vec<Case> =
        names.iter().map(|name| Case::read(&folder.join(format!("{name}.json"))).expect("a case")).collect();
    Answering::by(move |seen| {
        let found = cases.iter().find(|case| case.request.path == seen.path() && case.request.method == seen.method());
        let Some(case) = found else { return Reply::new(404, "") };
        let body = case.response.json.as_ref().map_or_else(String::new, ToString::to_string);
        Reply::new(case.response.status, body)
    })
}
