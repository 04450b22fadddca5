//! Clusters that move, that are shut, that are unusable, and answers that place one where Google has none.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::ClusterApi as _;
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::model::{Namespace, ObjectReference};
use chalk_deploy_core::provision::Endpoint;
use chalk_deploy_gcp::{Cloud, CloudBuilder, ControlPlane};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply};
use common::assert_error;
use serde_json::json;

fn builder(server: &Answering) -> CloudBuilder {
    Cloud::builder()
        .with_transport(server.transport())
        .with_runtime(VirtualRuntime::new(1))
        .with_credentials(BearerToken::new("t"))
        .with_cluster("projects/acme-prod/locations/us-central1/clusters/chalk")
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_google_places_somewhere_else_is_not_shown_the_token() {
    for (answer, control_plane) in [
        (json!({"endpoint": "evil.example"}), ControlPlane::PublicAddress),
        (json!({"endpoint": "1.2.3.4/../@evil.example"}), ControlPlane::PublicAddress),
        (
            json!({"controlPlaneEndpointsConfig": {"dnsEndpointConfig": {"endpoint": "gke.evil.example"}}}),
            ControlPlane::Name,
        ),
        (
            json!({"controlPlaneEndpointsConfig": {"dnsEndpointConfig": {"endpoint": "evil.example/.gke.goog"}}}),
            ControlPlane::Name,
        ),
    ] {
        let server = Answering::by(move |_| Reply::json(200, &answer));
        let cloud = builder(&server).with_control_plane(control_plane).build();
        let error = cloud.expect("valid settings").describe_cluster().await.expect_err("elsewhere");
        assert_error(&error, ErrorCode::CloudAnswerInvalid, &["Google's answer names"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_whose_address_changes_is_found_again_by_the_request_that_missed_it() {
    let looks = Arc::new(AtomicU32::new(0));
    let counted = looks.clone();
    let ca = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==";
    let gke = Answering::by(move |_| {
        let address = if counted.fetch_add(1, Ordering::Relaxed) == 0 { "34.0.0.1" } else { "34.0.0.2" };
        Reply::json(200, json!({"endpoint": address, "status": "RUNNING", "masterAuth": {"clusterCaCertificate": ca}}))
    });
    let moved = Answering::by(|_| Reply::json(404, json!({"kind": "Status", "reason": "NotFound", "code": 404})));
    let hosts = Hosts::default().with("container.googleapis.com", gke.transport()).with("34.0.0.2", moved.transport());
    let cloud = Cloud::builder()
        .with_transport(hosts.transport())
        .with_runtime(VirtualRuntime::new(1))
        .with_credentials(BearerToken::new("token"))
        .with_cluster("projects/acme-prod/locations/us-central1/clusters/chalk")
        .build()
        .expect("valid settings");
    let service = |name: &str| ObjectReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: Namespace::new("ns").expect("a namespace"),
        name: name.to_owned(),
    };
    let cluster = cloud.cluster().expect("set");
    assert_eq!(cluster.get(&service("a")).await.expect("answered at the second address"), None);
    assert_eq!(cluster.get(&service("b")).await.expect("answered"), None);
    assert_eq!((looks.load(Ordering::Relaxed), moved.seen().len()), (2, 2));
    assert!(cloud.connection().expect("set").server().contains("34.0.0.2"), "all share the one connection");
}

#[tokio::test(start_paused = true)]
async fn every_public_address_of_google_is_told_as_such() {
    let networks =
        json!({"enabled": true, "gcpPublicCidrsAccessEnabled": true, "cidrBlocks": [{"cidrBlock": "192.0.2.0/24"}]});
    let cluster = json!({"endpoint": "34.0.0.1", "status": "RUNNING", "masterAuthorizedNetworksConfig": networks});
    let server = Answering::by(move |_| Reply::json(200, &cluster));
    let cloud = builder(&server).build().expect("valid settings");
    let Endpoint::Public { allowed } = cloud.describe_cluster().await.expect("described").endpoint else {
        panic!("it is public")
    };
    assert_eq!(allowed, ["192.0.2.0/24", "all public addresses of Google Cloud"]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_shut_to_all_networks_is_not_called_open_to_every_address() {
    for (networks, remarks) in [
        (json!({"enabled": true}), 0),
        (json!({"enabled": false, "cidrBlocks": [{"cidrBlock": "192.0.2.0/24"}]}), 1),
        (json!(null), 1),
    ] {
        let cluster = json!({"endpoint": "34.0.0.1", "status": "RUNNING", "masterAuthorizedNetworksConfig": networks});
        let server = Answering::by(move |_| Reply::json(200, &cluster));
        let cloud = builder(&server).build().expect("valid settings");
        let told = cloud.remarks().await.expect("described");
        assert_eq!(told.len(), remarks, "{networks}: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_unusable_says_what_google_says_of_it() {
    for (status, message, code, expected) in [
        ("ERROR", "quota", ErrorCode::RequestInvalid, "the cluster is unusable, and Google will remove it: quota"),
        ("ERROR", "", ErrorCode::RequestInvalid, "the cluster is unusable, and Google will remove it"),
        ("STOPPING", "", ErrorCode::ObjectMissing, "the cluster is being removed"),
    ] {
        let server = Answering::by(move |_| Reply::json(200, json!({"status": status, "statusMessage": message})));
        let cloud = builder(&server).build().expect("valid settings");
        let error = cloud.describe_cluster().await.expect_err(status);
        assert_eq!((error.code(), error.message()), (code, expected));
    }
}
