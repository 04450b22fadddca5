//! The storage account: where it is, who is let in, and many who set it up at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chalk_deploy_azure::Cloud;
use chalk_deploy_azure::credentials::scope;
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::bucket::AzureSharedKey;
use chalk_deploy_core::cloud::{ObjectStore as _, Payload, PutMode};
use chalk_deploy_core::model::ObjectKey;
use chalk_deploy_core::provision::{BucketKeeper as _, BucketPlan};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::Transport;
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply, Seen};
use chalk_deploy_testkit::simulated::http::in_process;
use serde_json::{Value, json};

use crate::MANAGER;
use crate::common::{Bank, account, builder};

const BLOBS: &str = "chalkacme.blob.core.windows.net";

fn key() -> ObjectKey {
    ObjectKey::new("a").expect("a key")
}

#[tokio::test(start_paused = true)]
async fn building_asks_for_nothing_and_fifty_who_ask_at_once_cost_one_token() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let blobs = account(&runtime, "chalk-acme-source");
    let answering = Answering::by(|_| Reply::new(500, ""));
    let bank = Bank::new(runtime.clone(), Some(Duration::from_hours(1)));
    let hosts = Hosts::new().with(BLOBS, in_process(blobs)).with(MANAGER, answering.transport());
    let cloud = builder(&Player::default())
        .with_transport(hosts.transport())
        .with_runtime(runtime.clone())
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    let bucket = cloud.bucket().expect("set");
    let _ = (cloud.registry(), cloud.images(), cloud.cluster(), cloud.buckets());
    assert_eq!((bank.scopes().len(), answering.seen().len()), (0, 0));
    let all = futures::future::join_all((0..50).map(|number| {
        let key = ObjectKey::new(format!("k{number}")).expect("a key");
        let bucket = bucket.clone();
        async move { bucket.put(&key, &Payload::from_bytes("x"), PutMode::WriteOnce).await }
    }))
    .await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(bank.scopes(), [scope::STORAGE]);
    // Shortly before it ends there is another one.
    runtime.sleep(Duration::from_mins(56)).await;
    bucket.head(&key()).await.expect("readable");
    assert_eq!(bank.scopes().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_there_or_lies_elsewhere_is_an_error_with_its_address() {
    let cloud = builder(&Player::default())
        .with_transport(Hosts::new().transport())
        .with_runtime(VirtualRuntime::new(1))
        .build()
        .expect("valid settings");
    let error = cloud.bucket().expect("set").head(&key()).await.expect_err("no such host");
    assert_eq!(error.code(), ErrorCode::CloudUnavailable);
    assert!(error.sentence().contains(BLOBS), "{}", error.sentence());
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let blobs = account(&runtime, "another-container");
    let cloud = builder(&Player::default())
        .with_transport(Hosts::new().with(BLOBS, in_process(blobs)).transport())
        .with_runtime(runtime)
        .build()
        .expect("valid settings");
    let error = cloud.bucket().expect("set").list("", None, 1).await.expect_err("no such container");
    assert!(error.hint().contains("create the bucket"), "{}", error.sentence());
}

fn plan() -> BucketPlan {
    let origins = BucketPlan::HOSTED_ORIGINS.map(|origin| origin.parse().expect("an origin"));
    let [first, ..] = BucketPlan::five("acme", &origins).expect("a prefix");
    first
}

#[tokio::test(start_paused = true)]
async fn an_account_that_takes_no_keys_asks_for_tokens() {
    let blobs = Answering::by(|seen| {
        assert!(seen.header("authorization").starts_with("SharedKey chalkacme:"), "{seen:?}");
        let code = "KeyBasedAuthenticationNotPermitted";
        Reply::new(403, format!("<Error><Code>{code}</Code><Message>not permitted</Message></Error>"))
            .with("x-ms-error-code", code)
    });
    let cloud = Cloud::builder()
        .with_storage_account("chalkacme")
        .with_bucket("chalk-acme-source")
        .with_account_key(AzureSharedKey::new("aGlkZGVu").expect("base64"))
        .with_transport(Hosts::new().with(BLOBS, blobs.transport()).transport())
        .with_runtime(VirtualRuntime::new(1))
        .build()
        .expect("valid settings");
    let error = cloud.buckets().expect("set").keep(&plan()).await.expect_err("no keys");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.hint().contains("tokens of Entra ID"), "{}", error.sentence());
    let error = cloud.bucket().expect("set").head(&key()).await.expect_err("no keys");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.hint().contains("tokens of Entra ID"), "{}", error.sentence());
    assert_eq!(blobs.seen().len(), 2, "a refusal is not repeated");
}

#[tokio::test(start_paused = true)]
async fn an_account_behind_a_firewall_asks_for_the_network_and_not_for_a_permission() {
    let blobs = Answering::by(|_| {
        let code = "AuthorizationFailure";
        Reply::new(403, format!("<Error><Code>{code}</Code><Message>not authorized</Message></Error>"))
            .with("x-ms-error-code", code)
    });
    let cloud = builder(&Player::default())
        .with_transport(Hosts::new().with(BLOBS, blobs.transport()).transport())
        .with_runtime(VirtualRuntime::new(1))
        .build()
        .expect("valid settings");
    let error = cloud.bucket().expect("set").head(&key()).await.expect_err("shut out");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.hint().contains("firewall of the storage account"), "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_is_named_beside_azures() {
    let blobs = Answering::by(|_| {
        Reply::new(403, "")
            .with("x-ms-error-code", "AuthenticationFailed")
            .with("date", "Sat, 21 Nov 2026 19:00:00 GMT")
    });
    let cloud = builder(&Player::default())
        .with_account_key(AzureSharedKey::new("aGlkZGVu").expect("base64"))
        .with_transport(Hosts::new().with(BLOBS, blobs.transport()).transport())
        .with_runtime(VirtualRuntime::new(1))
        .build()
        .expect("valid settings");
    let error = cloud.bucket().expect("set").head(&key()).await.expect_err("too late");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    let ours = blobs.seen()[0].header("x-ms-date").to_owned();
    assert!(ours.ends_with(" GMT") && error.hint().contains(&ours), "{}", error.sentence());
    assert!(error.hint().contains("server's said Sat, 21 Nov 2026 19:00:00 GMT"), "{}", error.sentence());
}

/// A Resource Manager and a Blob service that keep what is written to them.
fn keeping() -> (Answering, Answering, Arc<Mutex<Value>>) {
    let lifecycle = Arc::new(Mutex::new(json!({"properties": {"policy": {"rules": []}}})));
    let kept = lifecycle.clone();
    let manager = Answering::by(move |seen| {
        let is_lifecycle = seen.path().ends_with("/managementPolicies/default");
        match (seen.method(), is_lifecycle) {
            ("PUT", true) => *kept.lock().expect("not poisoned") = serde_json::from_slice(&seen.body).expect("JSON"),
            ("GET", true) => return Reply::json(200, kept.lock().expect("not poisoned").clone()),
            _ => {}
        }
        Reply::json(200, json!({"properties": {"isVersioningEnabled": true}}))
    });
    let cors = Mutex::new(String::new());
    let blobs = Answering::by(move |seen: &Seen| {
        let mut cors = cors.lock().expect("not poisoned");
        match (seen.method(), seen.query().get("restype").map(String::as_str)) {
            ("GET", Some("service")) => {
                Reply::new(200, format!("<StorageServiceProperties>{cors}</StorageServiceProperties>"))
            }
            ("PUT", Some("service")) => {
                *cors = seen.text();
                Reply::new(202, "")
            }
            _ => Reply::new(201, ""),
        }
    });
    (manager, blobs, lifecycle)
}

#[tokio::test(start_paused = true)]
async fn buckets_that_are_set_up_at_once_do_not_write_over_each_others_settings() {
    let (manager, blobs, lifecycle) = keeping();
    let inner = manager.transport();
    // The lifecycle is on its way for so long that all could have read it before one writes.
    let slow = Transport::from_fn(move |request| {
        let inner = inner.clone();
        async move {
            let is_lifecycle = request.uri().path().ends_with("/managementPolicies/default");
            let answer = inner.send(request).await;
            for _ in 0..if is_lifecycle { 100 } else { 0 } {
                tokio::task::yield_now().await;
            }
            answer
        }
    });
    let hosts = Hosts::new().with(MANAGER, slow).with(BLOBS, blobs.transport());
    let cloud = builder(&Player::default())
        .with_transport(hosts.transport())
        .with_runtime(VirtualRuntime::new(1))
        .build()
        .expect("valid settings");
    let plans: Vec<BucketPlan> = BucketPlan::five("acme", &[])
        .expect("a prefix")
        .into_iter()
        .map(|mut plan| {
            plan.versioned = true;
            plan
        })
        .collect();
    // Each asks for the buckets anew, as two parts of a service would.
    let all = plans.iter().map(|plan| {
        let keeper = cloud.buckets().expect("set");
        async move { keeper.keep(plan).await }
    });
    let all = futures::future::join_all(all).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    let kept = lifecycle.lock().expect("not poisoned").clone();
    let rules = kept.pointer("/properties/policy/rules").and_then(Value::as_array).map_or(0, Vec::len);
    assert_eq!(rules, 5, "{kept}");
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_be_read_are_not_written_over() {
    for (service, lifecycle, word) in [
        (json!({}), json!({}), "properties of the service"),
        (json!({"properties": 7}), json!({}), "properties of the service"),
        (json!({"properties": {"isVersioningEnabled": true}}), json!({}), "no rules"),
        (
            json!({"properties": {"isVersioningEnabled": true}}),
            json!({"properties": {"policy": {"rules": {}}}}),
            "no rules",
        ),
    ] {
        let manager = Answering::by(move |seen| {
            let path = seen.path();
            let answer = if path.ends_with("/managementPolicies/default") { &lifecycle } else { &service };
            Reply::json(200, if path.ends_with("/default") { answer.clone() } else { json!({"properties": {}}) })
        });
        let blobs = Answering::by(|_| Reply::new(201, ""));
        let hosts = Hosts::new().with(MANAGER, manager.transport()).with(BLOBS, blobs.transport());
        let cloud = builder(&Player::default())
            .with_transport(hosts.transport())
            .with_runtime(VirtualRuntime::new(1))
            .build()
            .expect("valid settings");
        let mut plan = plan();
        (plan.versioned, plan.origins) = (true, Vec::new());
        let error = cloud.buckets().expect("set").keep(&plan).await.expect_err(word);
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
        assert!(error.message().contains(word), "{}", error.sentence());
        assert!(manager.seen().iter().all(|seen| seen.method() == "GET"), "{:?}", manager.lines());
    }
}
