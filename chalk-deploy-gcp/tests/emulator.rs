//! Buckets and objects on fake-gcs-server, over sockets of this machine: another reading of the JSON API than our own.
//!
//! The server is the one that the testbed has built; where it is not, one line on stderr says that this was skipped. Of
//! a bucket it keeps the name, the location and the versioning, so the other settings are the recorded cases'.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{ObjectStore as _, Payload, PutMode};
use chalk_deploy_core::model::{Digest, ObjectKey};
use chalk_deploy_core::provision::BucketPlan;
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use chalk_deploy_gcp::{Cloud, CloudBuilder};
use chalk_deploy_testkit::foreign::{product, skip};

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
        return skip("the testbed has built no fake-gcs-server (testbed/build)");
    };
    let keeper = emulator.cloud().build().expect("valid settings").buckets().expect("set");
    let plans = BucketPlan::five("acme", &[]).expect("a prefix");
    let runtime = SystemRuntime::new();
    let mut first = keeper.keep(&plans[0]).await;
    for _ in 0..100 {
        if !first.as_ref().is_err_and(|error| error.code() == ErrorCode::CloudUnavailable) {
            break;
        }
        // It takes a moment to start.
        runtime.sleep(Duration::from_millis(50)).await;
        first = keeper.keep(&plans[0]).await;
    }
    assert!(first.expect("made").created);
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
