//! The whole pipeline over the adapters of Azure: a container of Blob Storage, a registry with ACR's manners, and a cluster
//! that Resource Manager describes as recorded and that leads to the simulated Kubernetes API. In the process and in
//! virtual time; nothing that is not asked of Azure's hosts is answered.

mod common;

use std::sync::Arc;

use chalk_deploy_azure::credentials::scope;
use chalk_deploy_core::credentials::BearerTokenSource as _;
use chalk_deploy_core::model::{Component, Repository};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_testkit::conformance::object_store;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::Hosts;
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::simulated::kubernetes::api::{Anonymous, Token};
use chalk_deploy_testkit::simulated::plane::{Plane, PlaneSettings};
use chalk_deploy_testkit::simulated::registry::{Account, RegistrySettings, RequestKind};
use chalk_deploy_testkit::simulated::stage::{Names, Stage, make_namespace};
use chalk_deploy_testkit::{VirtualRuntime, World};
use common::{Bank, MANAGEMENT, account, builder, player};

const CONTAINER: &str = "chalk-acme-source";
const BLOBS: &str = "chalkacme.blob.core.windows.net";
const REGISTRY: &str = "chalkacme.azurecr.io";
const API_SERVER: &str = "chalk-acme-1a2b3c4d.hcp.eastus.azmk8s.io";

fn plane(runtime: &Arc<dyn Runtime>) -> Plane {
    let mut registry = RegistrySettings::acr("token-1");
    // Whichever of the first tokens it is that was issued for the registry.
    registry.accounts =
        (1..=9).map(|number| Account::administrator(format!("entra{number}"), format!("token-{number}"))).collect();
    let mut settings = PlaneSettings { registry, ..PlaneSettings::default() };
    settings.api.tokens = (1..=9).map(|number| Token::administrator(format!("token-{number}"))).collect();
    settings.api.tokens.push(Token::administrator("person"));
    settings.api.anonymous = Anonymous::Refused;
    Plane::start(&World::memory(), runtime, settings).expect("the servers")
}

#[tokio::test(start_paused = true)]
async fn deployments_into_azure_end_in_success_and_serve_by_one_token_a_scope_and_one_look_at_the_cluster() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let plane = plane(&runtime);
    let ways = plane.ways();
    let blobs = account(&runtime, CONTAINER);
    let aks: Player = player(&["aks/cluster_public", "aks/user_credentials"]);
    let transport = Hosts::new()
        .with(BLOBS, in_process(blobs.clone()))
        .with(REGISTRY, ways.registry.clone())
        .with("management.azure.com", aks.transport())
        .transport();
    let bank = Bank::new(runtime.clone(), None);
    // The cases were recorded with the first token, so that it is asked for before the others.
    let cloud = builder(&aks)
        .with_transport(transport)
        .with_cluster_transports(Hosts::new().with(API_SERVER, ways.kubernetes.clone()).transport())
        .with_runtime(runtime.clone())
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    assert_eq!((bank.scopes().len(), aks.served().len()), (0, 0), "building asks for nothing");
    cloud.credentials().of(MANAGEMENT).token().await.expect("a token");

    let names = Names {
        bucket: CONTAINER.to_owned(),
        repositories: Repository::new(format!("{REGISTRY}/chalk")).expect("a repository"),
        gateway: ways.gateway.clone(),
    };
    let stage = Stage::open(&cloud, names, &runtime).await;
    let stage = stage.expect("a deployer");
    make_namespace(&ways.kubernetes, "person", &stage.environment).await;
    for id in stage.assert_deploys_and_replaces().await {
        let repository = format!("chalk/{}-{}", Component::Engine, stage.environment);
        assert!(plane.registry().tags(&repository).expect("readable").contains(&id.to_string()));
    }
    let keys = blobs.names(CONTAINER).expect("readable");
    assert_eq!(keys.iter().filter(|key| key.starts_with("archives/")).count(), 2, "{keys:?}");
    assert!(keys.iter().all(|key| !key.starts_with("incoming/")), "{keys:?}");
    let mut scopes = bank.scopes();
    scopes.sort();
    assert_eq!(scopes, [scope::AKS, scope::REGISTRY, MANAGEMENT, scope::STORAGE], "one token for each");
    assert_eq!(aks.complaints(), Vec::<String>::new());
    let exchanges = plane.registry().request_log().requests.iter().filter(|it| it.path == "/oauth2/exchange").count();
    assert_eq!(exchanges, 1, "one refresh token for all pushes and pulls");
    assert!(plane.registry().request_log().count(RequestKind::Token) > 1);
}

#[tokio::test(start_paused = true)]
async fn the_container_passes_the_suite_of_buckets_by_tokens() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let blobs = account(&runtime, CONTAINER);
    let bank = Bank::new(runtime.clone(), None);
    let cloud = builder(&Player::default())
        .with_transport(Hosts::new().with(BLOBS, in_process(blobs)).transport())
        .with_runtime(runtime)
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    let bucket = cloud.bucket().expect("set");
    object_store::suite(&bucket, "whole").await.assert_passed();
    object_store::suite(&bucket.with_limits(64 << 10, 64 << 10, 3), "parts").await.assert_passed();
    assert_eq!(bank.scopes(), [scope::STORAGE]);
}
