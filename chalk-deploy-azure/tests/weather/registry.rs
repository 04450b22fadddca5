//! The registry: its tokens, and whoever else asks for one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chalk_deploy_azure::RegistryAudience;
use chalk_deploy_azure::credentials::scope;
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{Payload, Registry as _};
use chalk_deploy_core::model::{Digest, Repository};
use chalk_deploy_core::provision::ImageCatalog as _;
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::Transport;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply};
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::simulated::registry::{Access, Account, RegistryServer, RegistrySettings};
use chalk_deploy_testkit::{VirtualRuntime, World};
use serde_json::json;

use crate::MANAGER;
use crate::common::{Bank, MANAGEMENT, TENANT, builder, repeated};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const REGISTRY: &str = "chalkacme.azurecr.io";

fn repository() -> Repository {
    Repository::new("chalkacme.azurecr.io/chalk/engine").expect("a repository")
}

#[tokio::test(start_paused = true)]
async fn tokens_that_end_in_the_middle_of_a_long_push_are_renewed_wherever_they_end() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let mut settings = RegistrySettings::acr("token-1");
    settings.accounts = (1..=99).map(|n| Account::administrator(format!("entra{n}"), format!("token-{n}"))).collect();
    if let Access::Token(tokens) = &mut settings.access {
        tokens.lifetime = Duration::from_mins(1);
    }
    let server = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), settings));
    let bank = Bank::new(runtime.clone(), Some(Duration::from_hours(1)));
    let cloud = builder(&Player::default())
        .with_transport(Hosts::new().with(REGISTRY, in_process(server.clone())).transport())
        .with_runtime(runtime.clone())
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    let registry = cloud.registry().expect("set");
    // Twelve hours of layers, one every ten minutes: access tokens, refresh tokens and those of Entra ID end on the way.
    for number in 0..72 {
        let layer = Payload::from_bytes(format!("layer {number}").repeat(1000));
        registry.push_blob(&repository(), &layer).await.expect("pushed");
        runtime.sleep(Duration::from_mins(10)).await;
    }
    assert_eq!(server.blobs().expect("readable").len(), 72);
    let log = server.request_log();
    let exchanges = log.requests.iter().filter(|request| request.path == "/oauth2/exchange").count();
    assert!(exchanges > 1, "refresh tokens end too");
    assert!(bank.scopes().len() > 1, "and those of Entra ID");
    assert!(bank.scopes().iter().all(|asked| asked == scope::REGISTRY), "{:?}", bank.scopes());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_was_revoked_is_exchanged_anew() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    // Both servers are one registry, and neither takes what the other has signed.
    let world = World::memory();
    let server = || Arc::new(RegistryServer::new(&world, runtime.clone(), RegistrySettings::acr("token-1")));
    let (before, after) = (server(), server());
    let way = Arc::new(Mutex::new(in_process(before.clone())));
    let leads = way.clone();
    let switch = Transport::from_fn(move |request| {
        let transport = leads.lock().expect("not poisoned").clone();
        async move { transport.send(request).await }
    });
    let cloud = builder(&Player::default())
        .with_transport(Hosts::new().with(REGISTRY, switch).transport())
        .with_runtime(runtime.clone())
        .build()
        .expect("valid settings");
    let registry = cloud.registry().expect("set");
    registry.push_blob(&repository(), &Payload::from_bytes("one")).await.expect("pushed");
    *way.lock().expect("not poisoned") = in_process(after.clone());
    registry.push_blob(&repository(), &Payload::from_bytes("two")).await.expect("pushed with another one");
    let exchanges = |server: &RegistryServer| {
        server.request_log().requests.iter().filter(|request| request.path == "/oauth2/exchange").count()
    };
    assert_eq!((exchanges(&before), exchanges(&after)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_not_the_configured_one_is_shown_no_token() {
    let evil = Answering::by(|seen| {
        assert!(!seen.text().contains("token-1") && !seen.path().contains("exchange"), "{seen:?}");
        let challenge = "Bearer realm=\"https://evil.azurecr.io/oauth2/token\",service=\"chalkacme.azurecr.io\"";
        Reply::new(401, "").with("www-authenticate", challenge)
    });
    let bank = Bank::new(VirtualRuntime::new(1), None);
    let cloud = builder(&Player::default())
        .with_transport(Hosts::new().with("evil.azurecr.io", evil.transport()).transport())
        .with_runtime(VirtualRuntime::new(1))
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    let repository = Repository::new("evil.azurecr.io/chalk/engine").expect("a repository");
    let payload = Payload::from_bytes("one");
    let error = cloud.registry().expect("set").push_blob(&repository, &payload).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{}", error.sentence());
    assert!(bank.scopes().is_empty(), "no token was even fetched");
    assert!(evil.seen().len() > 1, "it was asked, and its realm too");
}

#[tokio::test(start_paused = true)]
async fn a_registry_behind_a_firewall_names_the_network_and_the_next_step() {
    let firewall = Answering::by(|_| {
        let message =
            "client with IP '192.0.2.7' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.";
        Reply::json(403, json!({"errors": [{"code": "DENIED", "message": message}]}))
    });
    let cloud = builder(&Player::default())
        .with_transport(Hosts::new().with(REGISTRY, firewall.transport()).transport())
        .with_runtime(VirtualRuntime::new(1))
        .build()
        .expect("valid settings");
    let error = cloud.images().expect("set").images(&repository()).await.expect_err("shut out");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.message().contains("192.0.2.7") && error.hint().contains("firewall"), "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn a_registry_of_another_subscription_is_pushed_to_and_only_its_settings_stay_unknown() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let server = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), RegistrySettings::acr("token-1")));
    let cluster = repeated(&["aks/cluster_public"]);
    let hosts = Hosts::new().with(REGISTRY, in_process(server)).with(MANAGER, cluster.transport());
    let cloud = builder(&Player::default()).with_transport(hosts.transport()).with_runtime(runtime).build();
    let cloud = cloud.expect("valid settings");
    cloud.registry().expect("set").push_blob(&repository(), &Payload::from_bytes("one")).await.expect("pushed");
    assert_eq!(cloud.remarks().await.expect("the cluster's"), Vec::<String>::new());
    let error = cloud.inspect_registry().await.expect_err("not in this resource group");
    assert_eq!(error.code(), ErrorCode::ObjectMissing);
    assert!(error.hint().contains("subscription"), "{}", error.sentence());
}

#[tokio::test]
async fn a_list_whose_next_page_is_itself_or_elsewhere_ends() {
    for link in [
        "/acr/v1/chalk/engine/_manifests?n=100",
        "https://evil.example/acr/v1/chalk/engine/_manifests?x",
        "/acr/v1/chalk/other/_manifests?x",
        "/acr/v1/chalk/engine/_manifests",
    ] {
        let endless = Answering::by(move |seen| {
            if seen.path().starts_with("/oauth2/") {
                return Reply::json(200, json!({"refresh_token": "r", "access_token": "a"}));
            }
            Reply::json(200, json!({"manifests": []})).with("link", &format!("<{link}>; rel=\"next\""))
        });
        let cloud = builder(&Player::default())
            .with_transport(Hosts::new().with(REGISTRY, endless.transport()).transport())
            .build()
            .expect("valid settings");
        let error = cloud.images().expect("set").images(&repository()).await.expect_err("endless");
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{link}: {}", error.sentence());
        let lists = endless.seen().iter().filter(|seen| seen.path().ends_with("_manifests")).count();
        assert_eq!(lists, 1, "{link}");
    }
}

#[tokio::test]
async fn an_image_whose_parts_cannot_be_read_is_an_error_because_they_would_be_swept() {
    for part in [json!({"digest": format!("sha512:{}", "a".repeat(128))}), json!({"size": 7})] {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [part]}).to_string();
        let digest = Digest::of(index.as_bytes()).to_string();
        let registry = Answering::by(move |seen| match seen.path() {
            path if path.starts_with("/oauth2/") => {
                Reply::json(200, json!({"refresh_token": "r", "access_token": "a"}))
            }
            path if path.ends_with("/_manifests") => {
                let image = json!({"digest": digest, "createdTime": "2026-11-01T00:00:00Z", "mediaType": INDEX});
                Reply::json(200, json!({"manifests": [image]}))
            }
            _ => Reply::new(200, index.clone()).with("content-type", INDEX),
        });
        let cloud = builder(&Player::default())
            .with_transport(Hosts::new().with(REGISTRY, registry.transport()).transport())
            .build()
            .expect("valid settings");
        let error = cloud.images().expect("set").images(&repository()).await.expect_err("unreadable");
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{}", error.sentence());
        assert!(error.subject().contains("@sha256:"), "{}", error.sentence());
    }
}

#[tokio::test]
async fn the_registrys_token_may_be_that_for_resource_manager() {
    let bank = Bank::new(SystemRuntime::new(), None);
    let registry = Answering::by(|seen| {
        if seen.path() != "/oauth2/exchange" {
            return Reply::new(401, "");
        }
        let form = seen.form();
        assert_eq!((form["tenant"].as_str(), form["access_token"].as_str()), (TENANT, "token-1"));
        Reply::json(200, json!({"refresh_token": "r"}))
    });
    let cloud = builder(&Player::default())
        .with_registry_audience(RegistryAudience::Management)
        .with_transport(Hosts::new().with(REGISTRY, registry.transport()).transport())
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    cloud.images().expect("set").images(&repository()).await.expect_err("no access token");
    assert_eq!(bank.scopes(), [MANAGEMENT]);
    assert!(registry.seen().iter().any(|seen| seen.path() == "/oauth2/token"), "{:?}", registry.lines());
}
