//! `apply --cloud gcp`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_testkit::World;
use chalk_deploy_testkit::simulated::bucket::{GoogleBucketServer, GoogleBucketSettings};
use chalk_deploy_testkit::simulated::closure::{Answering, Reply, Seen};
use serde_json::{Value, json};

use super::{ControlPlane, Front, Loopback, servers};
use crate::http::get;
use crate::program::{Finished, Program, Sandbox};
use crate::servers::Servers;

const TOKEN: &str = "ya29.secret-of-the-tests";
const BUCKET: &str = "chalk-acme-source";
const CLUSTERS: &str = "/v1/projects/acme-prod/locations/us-central1/clusters";

/// GKE, which knows one cluster, `chalk`, behind this front; and the metadata server of the machine that asks.
fn control_plane(front: &Front) -> ControlPlane {
    let cluster = json!({
        "name": "chalk", "status": "RUNNING", "endpoint": front.address.to_string(),
        "currentMasterVersion": "1.33.5-gke.1080000",
        "masterAuth": {"clusterCaCertificate": STANDARD.encode(&front.authority)},
    });
    ControlPlane::start(Answering::by(move |seen| answer(seen, &cluster)))
}

fn answer(seen: &Seen, cluster: &Value) -> Reply {
    if seen.path().starts_with("/computeMetadata/v1/") && seen.header("metadata-flavor") == "Google" {
        let token = json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"});
        return Reply::json(200, token).with("metadata-flavor", "Google");
    }
    if seen.token() != TOKEN {
        let message = "Request is missing required authentication credential.";
        return Reply::json(401, json!({"error": {"code": 401, "message": message, "status": "UNAUTHENTICATED"}}));
    }
    if seen.path().strip_prefix(CLUSTERS) == Some("/chalk") {
        return Reply::json(200, cluster);
    }
    let message = format!("Not found: {}.", seen.path());
    Reply::json(404, json!({"error": {"code": 404, "message": message, "status": "NOT_FOUND"}}))
}

/// A bucket of Google on loopback. The program shows it no token, as Google's own tools show an emulator none.
fn bucket(name: &str) -> Loopback {
    let settings = GoogleBucketSettings::new(name);
    Loopback::start(GoogleBucketServer::new(&World::memory(), SystemRuntime::new(), settings).expect("a server"))
}

fn apply(sandbox: &Sandbox, servers: &Servers, plane: &ControlPlane, cluster: &str) -> Finished {
    program(sandbox, servers, plane, cluster, &bucket(BUCKET)).run()
}

fn program(sandbox: &Sandbox, servers: &Servers, plane: &ControlPlane, cluster: &str, bucket: &Loopback) -> Program {
    let registry = format!("{}/acme-prod/chalk", servers.lines["REGISTRY"]);
    let program = sandbox.apply().with(&["--json", "--cloud", "gcp", "--region", "us-central1", "--cluster", cluster]);
    let program = program.with(&["--cloud-project", "acme-prod", "--registry", &registry, "--bucket", BUCKET]).with(&[
        "--base-image",
        &servers.lines["BASE_IMAGE"],
        "--gateway-address",
        &servers.lines["GATEWAY"],
    ]);
    // Nothing of whoever runs the tests.
    let unset = ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT"];
    let program = unset.iter().fold(program, |program, name| program.variable(name, ""));
    program
        .variable("CLOUDSDK_CONFIG", sandbox.path("no-gcloud"))
        .variable("GCE_METADATA_HOST", plane.at.address.to_string())
        .variable("STORAGE_EMULATOR_HOST", bucket.url())
        .variable("CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER", plane.at.url())
        .variable("CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY", plane.at.url())
}

#[test]
fn apply_finds_a_cluster_by_its_name_in_google_cloud_deploys_there_and_remarks_on_its_endpoint() {
    let sandbox = Sandbox::new();
    let (servers, front) = servers(&sandbox, TOKEN);
    let plane = control_plane(&front);
    let finished = apply(&sandbox, &servers, &plane, "chalk").expect(0);
    assert_eq!(finished.last()["status"], "SUCCESS");
    let id = finished.last()["deployment_id"].as_str().expect("an id").to_owned();
    let answer = get(&servers.lines["GATEWAY"]);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&id), "{answer}");
    assert!(
        finished.stderr.contains("the endpoint of cluster `chalk` is open to every address"),
        "{}",
        finished.stderr
    );
    assert!(!finished.stderr.contains(TOKEN) && !finished.stdout.contains(TOKEN));
    let asked: Vec<_> = plane.answering.seen().iter().map(|seen| seen.path().to_owned()).collect();
    let times = |path: &str| asked.iter().filter(|asked| *asked == path).count();
    // Once to get there, and once for the remark; one token for all.
    assert_eq!(times(&format!("{CLUSTERS}/chalk")), 2, "{asked:?}");
    assert_eq!(times("/computeMetadata/v1/instance/service-accounts/default/token"), 1, "{asked:?}");
    servers.stop().expect(0);
}

#[test]
fn a_cluster_that_google_does_not_know_is_told_before_a_deployment_begins() {
    let sandbox = Sandbox::new();
    let (servers, front) = servers(&sandbox, TOKEN);
    let finished = apply(&sandbox, &servers, &control_plane(&front), "other").expect(1);
    assert!(finished.stderr.contains("OBJECT_MISSING") && finished.stderr.contains("other"), "{}", finished.stderr);
    assert!(finished.stderr.contains("a zonal cluster lies in its zone"), "{}", finished.stderr);
    assert!(sandbox.history(".chalk-deploy").is_empty());
    servers.stop().expect(0);
}

#[test]
fn a_cluster_without_the_address_that_a_flag_chooses_is_told_before_a_deployment_begins() {
    let sandbox = Sandbox::new();
    let (servers, front) = servers(&sandbox, TOKEN);
    let finished = program(&sandbox, &servers, &control_plane(&front), "chalk", &bucket(BUCKET))
        .with(&["--control-plane", "name"])
        .run()
        .expect(2);
    assert!(finished.stderr.contains("the cluster has no name"), "{}", finished.stderr);
    assert!(sandbox.history(".chalk-deploy").is_empty());
    servers.stop().expect(0);
}

#[test]
fn the_five_buckets_are_made_in_google_cloud_and_then_left_alone() {
    let sandbox = Sandbox::new();
    let bucket = bucket("of-somebody");
    let provision = || {
        sandbox
            .example("provision", &["acme", "--cloud", "gcp", "--cloud-project", "acme-prod", "--json"])
            .with(&["--region", "us-central1"])
            .variable("STORAGE_EMULATOR_HOST", bucket.url())
            .run()
            .expect(0)
            .events()
    };
    let made = provision();
    assert!(made.len() == 5 && made.iter().all(|bucket| bucket["created"] == true), "{made:?}");
    let again = provision();
    assert!(again.iter().all(|bucket| bucket["created"] == false && bucket["changed"] == json!([])), "{again:?}");
    let elsewhere = sandbox
        .example("provision", &["acme", "--cloud", "gcp", "--cloud-project", "acme-prod", "--region", "europe-west1"])
        .variable("STORAGE_EMULATOR_HOST", bucket.url())
        .run()
        .expect(2);
    assert!(elsewhere.stderr.contains("the bucket lies in us-central1"), "{}", elsewhere.stderr);
}
