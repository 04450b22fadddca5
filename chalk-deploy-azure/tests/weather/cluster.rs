//! The cluster: where it is, how it is reached, and who is let in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_azure::credentials::scope;
use chalk_deploy_azure::{Cloud, CloudBuilder};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::kubernetes::Connection;
use chalk_deploy_core::provision::Endpoint;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::{Delivery, Transport, TransportError};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply};
use serde_json::{Value, json};

use crate::MANAGER;
use crate::common::{Bank, ask, builder};

/// The kubeconfig of a user, which wants kubelogin run.
fn kubeconfig(server: &str) -> Reply {
    let file = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nclusters: [{{name: k, cluster: \
         {{server: 'https://{server}:443', certificate-authority-data: QQ==}}}}]\nusers: [{{name: u, user: {{exec: \
         {{apiVersion: client.authentication.k8s.io/v1beta1, command: kubelogin, args: [get-token]}}}}}}]\n"
    );
    Reply::json(200, json!({"kubeconfigs": [{"name": "clusterUser", "value": STANDARD.encode(file)}]}))
}

/// A Resource Manager that knows one cluster, with these properties, whose kubeconfig leads to this host.
fn manager(properties: Value, server: &'static str) -> Answering {
    Answering::by(move |seen| match seen.method() {
        "GET" => Reply::json(200, json!({"properties": properties})),
        _ => kubeconfig(server),
    })
}

/// An API server with nothing in it.
fn api_server() -> Answering {
    let list = r#"{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
    Answering::by(move |_| Reply::json(200, list))
}

fn with(manager: &Answering, ways: Transport) -> CloudBuilder {
    builder(&Player::default())
        .with_transport(Hosts::new().with(MANAGER, manager.transport()).transport())
        .with_cluster_transports(ways)
        .with_runtime(VirtualRuntime::new(1))
}

fn connection(cloud: CloudBuilder) -> Connection {
    cloud.build().and_then(|cloud: Cloud| cloud.connection()).expect("a cluster is named")
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_has_moved_is_found_again_by_the_request_that_missed_it() {
    let moved = Arc::new(AtomicUsize::new(0));
    let says = moved.clone();
    let management = Answering::by(move |seen| {
        let host = ["a0.example", "a1.example"][says.load(Ordering::Relaxed)];
        match seen.method() {
            "GET" => Reply::json(200, json!({"properties": {"fqdn": host, "aadProfile": {}}})),
            _ => kubeconfig(host),
        }
    });
    let server = api_server();
    let ways = Arc::new(Mutex::new("a0.example"));
    let (lives_at, inner) = (ways.clone(), server.transport());
    let network = Transport::from_fn(move |request| {
        let is_there = request.uri().host() == Some(*lives_at.lock().expect("not poisoned"));
        let inner = inner.clone();
        async move {
            if !is_there {
                return Err(TransportError::new(Delivery::NotSent, "connection refused"));
            }
            inner.send(request).await
        }
    });
    let connection = connection(with(&management, network));
    let reached = async || {
        // What the list holds is not what matters: that it was asked for is.
        let _ = ask(&connection).await;
        server.seen().len()
    };
    let first = reached().await;
    assert!(first > 0);
    moved.store(1, Ordering::Relaxed);
    *ways.lock().expect("not poisoned") = "a1.example";
    assert!(reached().await > first);
    assert!(connection.server().contains("a1.example"), "{}", connection.server());
    let looks = management.seen().iter().filter(|seen| seen.method() == "GET").count();
    assert_eq!(looks, 2);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_local_accounts_is_shown_a_token_for_kubelogins_server_and_no_program_is_run() {
    let properties = json!({"fqdn": "a.example", "disableLocalAccounts": true, "aadProfile": {"managed": true}});
    let (manager, server) = (manager(properties, "a.example"), api_server());
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let bank = Bank::new(runtime, None);
    let ways = Hosts::new().with("a.example", server.transport()).transport();
    let connection = connection(with(&manager, ways).with_credentials(bank.choice()));
    let _ = ask(&connection).await;
    let shown: Vec<String> = server.seen().iter().map(|seen| seen.token().to_owned()).collect();
    let issued = bank.scopes().iter().position(|asked| asked == scope::AKS).expect("it was asked for") + 1;
    assert!(!shown.is_empty() && shown.iter().all(|token| *token == format!("token-{issued}")), "{shown:?}");
    assert_eq!(scope::AKS, "6dae42f8-4368-4678-94ff-3960e28e3630/.default", "kubelogin's --server-id");
    // Local accounts are another call's, which nobody makes.
    let asked = manager.lines();
    assert!(asked.iter().any(|line| line.ends_with("/listClusterUserCredential")), "{asked:?}");
    assert!(!asked.iter().any(|line| line.contains("Admin")), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_private_cluster_is_reached_by_its_private_name_or_by_the_public_name_of_its_private_address() {
    let properties = json!({
        "fqdn": "public.example", "privateFQDN": "a.privatelink.example", "aadProfile": {},
        "apiServerAccessProfile": {"enablePrivateCluster": true, "enablePrivateClusterPublicFQDN": true},
    });
    for named in ["a.privatelink.example", "public.example"] {
        let (manager, server) = (manager(properties.clone(), named), api_server());
        let cloud = with(&manager, Hosts::new().with(named, server.transport()).transport());
        let described = cloud.build().expect("valid settings").describe_cluster().await.expect("described");
        assert_eq!(
            (described.server.as_str(), described.endpoint),
            ("https://a.privatelink.example:443", Endpoint::Private)
        );
        let cloud = with(&manager, Hosts::new().with(named, server.transport()).transport());
        let _ = ask(&connection(cloud)).await;
        assert!(!server.seen().is_empty(), "{named}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_private_cluster_that_this_network_does_not_reach_is_an_error_with_its_address() {
    let properties = json!({
        "privateFQDN": "a.privatelink.example", "aadProfile": {},
        "apiServerAccessProfile": {"enablePrivateCluster": true},
    });
    let manager = manager(properties, "a.privatelink.example");
    let error = ask(&connection(with(&manager, Hosts::new().transport()))).await.expect_err("no such name here");
    assert_eq!(error.code(), ErrorCode::CloudUnavailable);
    assert!(error.sentence().contains("a.privatelink.example"), "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_cluster_says_so_however_its_other_calls_are_refused() {
    let manager = Answering::by(|seen| match seen.method() {
        "GET" => {
            let properties = json!({"fqdn": "a.example", "aadProfile": {}, "powerState": {"code": "Stopped"}});
            Reply::json(200, json!({"properties": properties}))
        }
        _ => Reply::json(409, json!({"error": {"code": "OperationNotAllowed", "message": "not while it is stopped"}})),
    });
    let error = ask(&connection(with(&manager, Hosts::new().transport()))).await.expect_err("stopped");
    assert!(error.hint().contains("az aks start --name chalk"), "{}", error.sentence());
}
