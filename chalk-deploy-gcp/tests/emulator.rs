//! Buckets and objects on fake-gcs-server, over sockets of this machine: another reading of the JSON API than our own.
//!
//! The server is the one that the testbed has built; where it is not, one line on stderr says that this was skipped. Of
//! a bucket it keeps the name, the location and the versioning, so the other settings are the recorded cases'.

mod common;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{ObjectStore as _, Payload, PutMode};
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::model::{Digest, ObjectKey, Repository};
use chalk_deploy_core::provision::{BucketPlan, KeptBucket};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::NetworkTransport;
use chalk_deploy_gcp::{Cloud, CloudBuilder};
use chalk_deploy_testkit::distribution::{Distribution, Flow, TokenServer};
use chalk_deploy_testkit::foreign::{product, skip};
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::sample;
use chalk_deploy_testkit::simulated::closure::Hosts;
use chalk_deploy_testkit::simulated::stage::{Names, Pulling, SimulatedCluster, Stage};
use common::case;

const ABSENT: &str = "the testbed has built no fake-gcs-server (testbed/build)";
/// The access token that the realm, GKE and the cluster take. fake-gcs-server asks for none.
const TOKEN: &str = "token-1";

/// The server, which ends with the test.
struct Emulator {
    child: Child,
    endpoint: String,
}

impl Emulator {
    fn start() -> Option<Self> {
        let program = product("fake-gcs-server", "bin/fake-gcs-server")?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let child = Command::new(program)
            .args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string(), "-backend", "memory"])
            .args(["-external-url", &endpoint, "-public-host", &format!("127.0.0.1:{port}"), "-log-level", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        Some(Self { child, endpoint })
    }

    /// Makes a bucket, which takes as many tries as the server takes to start.
    async fn begin(&self, plan: &BucketPlan) -> KeptBucket {
        let keeper = self.cloud().build().expect("valid settings").buckets().expect("set");
        let runtime = SystemRuntime::new();
        let mut kept = keeper.keep(plan).await;
        for _ in 0..100 {
            if !kept.as_ref().is_err_and(|error| error.code() == ErrorCode::CloudUnavailable) {
                break;
            }
            runtime.sleep(Duration::from_millis(50)).await;
            kept = keeper.keep(plan).await;
        }
        kept.expect("made")
    }

    fn cloud(&self) -> CloudBuilder {
        let endpoint = self.endpoint.clone();
        Cloud::builder()
            .from_variables(move |name| (name == "STORAGE_EMULATOR_HOST").then(|| endpoint.clone()))
            .with_project("acme-prod")
            .with_location("us-central1")
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).expect("a key")
}

#[tokio::test]
async fn five_buckets_are_made_and_hold_objects_that_are_written_once() {
    let Some(emulator) = Emulator::start() else {
        return skip(ABSENT);
    };
    let keeper = emulator.cloud().build().expect("valid settings").buckets().expect("set");
    let plans = BucketPlan::five("acme", &[]).expect("a prefix");
    assert!(emulator.begin(&plans[0]).await.created);
    for plan in &plans[1..] {
        assert!(keeper.keep(plan).await.expect("made").created, "{}", plan.name);
    }
    let again = keeper.keep(&plans[1]).await.expect("set up");
    assert!(!again.created && !again.changed.contains(&"versioning"), "{again:?}");
    let elsewhere = emulator.cloud().with_location("europe-west1").build().expect("valid settings");
    let error = elsewhere.buckets().expect("set").keep(&plans[1]).await.expect_err("elsewhere");
    assert_eq!(error.code(), ErrorCode::ValueInvalid, "{}", error.sentence());

    let cloud = emulator.cloud().with_bucket(&plans[1].name).build().expect("valid settings");
    let bucket = cloud.bucket().expect("set");
    // One that goes in one request, and one that goes in parts.
    for (name, length) in [("archives/small", 1000), ("archives/large", 9 << 20)] {
        let bytes = vec![7; length];
        let payload = Payload::from_bytes(bytes.clone());
        bucket.put(&key(name), &payload, PutMode::WriteOnce).await.expect("stored");
        bucket.put(&key(name), &payload, PutMode::WriteOnce).await.expect("the same again");
        let other = Payload::from_bytes("other");
        let error = bucket.put(&key(name), &other, PutMode::WriteOnce).await.expect_err("taken");
        assert_eq!(error.code(), ErrorCode::ObjectExists);
        let head = bucket.head(&key(name)).await.expect("readable").expect("there");
        assert_eq!((head.size, head.sha256), (length as u64, Some(Digest::of(&bytes))));
    }
    assert_eq!(bucket.list("archives/", None, 9).await.expect("listed").len(), 2);
}

#[tokio::test]
async fn the_whole_pipeline_ends_in_success_on_emulators_and_replaces_a_version() {
    let Some(emulator) = Emulator::start() else { return skip(ABSENT) };
    let realm = TokenServer::new(Flow::AccessToken(TOKEN.to_owned()));
    let Some(distribution) = Distribution::behind(&realm, "chalk-deploy-gcp/tests/emulator").await else { return };
    let runtime: Arc<dyn Runtime> = SystemRuntime::new();
    let [_, source, ..] = BucketPlan::five("acme", &[]).expect("a prefix");
    emulator.begin(&source).await;

    // GKE has no emulator: it answers as recorded, and the cluster is the simulated one.
    let gke = Player::new([case("container", "public")]);
    let network = NetworkTransport::builder().build().expect("sockets");
    let transport = Hosts::new().with("container.googleapis.com", gke.transport()).otherwise(network).transport();
    let repositories = Repository::new(format!("{}/acme-prod/chalk", distribution.host())).expect("a repository");
    let builder = || {
        let builder = emulator.cloud().with_transport(transport.clone()).with_credentials(BearerToken::new(TOKEN));
        builder.with_registry_endpoint(distribution.endpoint()).with_registry(repositories.as_str())
    };
    let of_the_nodes = builder().build().expect("valid settings").registry().expect("set");
    let cluster = SimulatedCluster::start(Arc::new(Pulling(Arc::new(of_the_nodes))), TOKEN, &runtime);
    cluster.make_namespace(&sample::environment().expect("an environment")).await;
    let cloud = builder().with_cluster("us-central1/chalk").with_cluster_transports(cluster.kubernetes());
    let cloud = cloud.with_bucket(&source.name).build().expect("valid settings");
    let names = Names { bucket: source.name, repositories, gateway: cluster.gateway() };
    let stage = Stage::open(&cloud, names, &runtime).await.expect("all is set");
    let deployed = stage.assert_deploys_and_replaces().await;
    stage.assert_keeps(&deployed).await;
    assert_eq!(gke.complaints(), [""; 0]);
    assert!(!realm.given().is_empty());
}
