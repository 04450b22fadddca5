//! Buckets on a server that keeps what it is told; and what Google forbids of them, beside permissions: policies of an
//! organization, and keys of others.

mod common;

use std::sync::Arc;

use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::provision::{BucketPlan, Encryption, KeptBucket, Origin};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::RequestBody;
use chalk_deploy_core::{Error, ErrorCode};
use chalk_deploy_gcp::{Cloud, CloudBuilder};
use chalk_deploy_testkit::simulated::bucket::{GoogleBucketServer, GoogleBucketSettings};
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply};
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::{VirtualRuntime, World};
use common::assert_error;
use http::Request;
use serde_json::json;

fn builder(server: &Answering) -> CloudBuilder {
    Cloud::builder()
        .with_transport(server.transport())
        .with_runtime(VirtualRuntime::new(1))
        .with_credentials(BearerToken::new("t"))
        .with_project("acme-prod")
        .with_location("us-central1")
}

/// What a bucket that is not there, or that is bare, is answered with when it is to be made or set up.
async fn kept(bucket: Option<serde_json::Value>, answer: Reply, plan: &BucketPlan) -> (Error, usize) {
    let server = Answering::by(move |seen| match (seen.method(), seen.path(), &bucket) {
        ("GET", "/storage/v1/b", _) => Reply::json(200, json!({"items": [{"name": "chalk-acme-source"}]})),
        ("GET", _, Some(bucket)) => Reply::json(200, bucket),
        ("GET", _, None) => Reply::json(404, "{}"),
        _ => answer.clone(),
    });
    let cloud = builder(&server).build().expect("valid settings");
    let error = cloud.buckets().expect("set").keep(plan).await.expect_err("refused");
    (error, server.seen().iter().filter(|seen| seen.method() != "GET").count())
}

fn source() -> BucketPlan {
    BucketPlan::five("acme", &[]).expect("a prefix")[1].clone()
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_a_policy_of_the_organization_forbids_is_asked_for_once_and_told_as_such() {
    let message = "'us-central1' violates constraint 'constraints/gcp.resourceLocations'";
    let forbidden = || {
        let detail = json!({"message": message, "reason": "conditionNotMet", "location": "If-Match"});
        Reply::json(412, json!({"error": {"code": 412, "message": message, "errors": [detail]}}))
    };
    let bare = json!({"name": "chalk-acme-source", "location": "US-CENTRAL1", "metageneration": "1"});
    for bucket in [None, Some(bare)] {
        let (error, writes) = kept(bucket, forbidden(), &source()).await;
        assert_error(&error, ErrorCode::PermissionDenied, &["gcp.resourceLocations", "policy of the organization"]);
        assert_eq!((writes, error.retry()), (1, Retry::Permanent));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_agent_of_cloud_storage_may_not_use_is_told_as_such() {
    let message = "Permission denied on Cloud KMS key. Please ensure that your Cloud Storage service account has been \
                   authorized to use this key.";
    let key = "projects/acme-prod/locations/us-central1/keyRings/chalk/cryptoKeys/buckets";
    let plan = source().with_encryption(Encryption::CustomerKey(key.to_owned()));
    let answer = json!({"error": {"code": 403, "message": message, "errors": [{"reason": "forbidden"}]}});
    let (error, _) = kept(None, Reply::json(403, answer), &plan).await;
    assert_error(&error, ErrorCode::PermissionDenied, &["cryptoKeyEncrypterDecrypter", "service agent"]);
}

#[tokio::test(start_paused = true)]
async fn five_buckets_are_made_once_left_alone_and_set_up_again_where_somebody_has_changed_them() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let settings = GoogleBucketSettings::new("of-somebody").with_token("t");
    let server = GoogleBucketServer::new(&World::memory(), runtime.clone(), settings).expect("a server");
    let network = Hosts::new().with("storage.googleapis.com", in_process(Arc::new(server))).transport();
    let cloud = Cloud::builder()
        .with_transport(network.clone())
        .with_runtime(runtime)
        .with_credentials(BearerToken::new("t"))
        .with_project("acme-prod")
        .with_location("us-central1")
        .build()
        .expect("valid settings");
    let keeper = cloud.buckets().expect("set");
    let origins = BucketPlan::HOSTED_ORIGINS.map(|origin| origin.parse::<Origin>().expect("an origin"));
    for plan in BucketPlan::five("acme", &origins).expect("a prefix") {
        assert!(keeper.keep(&plan).await.expect("made").created, "{}", plan.name);
        assert_eq!(keeper.keep(&plan).await.expect("left"), KeptBucket::new(&plan.name));
        // Somebody opens it to everyone, and takes our rules away.
        let change = json!({
            "iamConfiguration": {"publicAccessPrevention": "inherited"}, "lifecycle": null, "labels": {"team": "a"},
        });
        let request = Request::patch(format!("https://storage.googleapis.com/storage/v1/b/{}", plan.name))
            .header("authorization", "Bearer t")
            .body(RequestBody::Bytes(change.to_string().into()))
            .expect("a request");
        assert!(network.send(request).await.expect("answered").status().is_success());
        let set_up = keeper.keep(&plan).await.expect("set up");
        assert_eq!((set_up.created, set_up.changed), (false, vec!["access", "lifecycle"]), "{}", plan.name);
        assert_eq!(keeper.keep(&plan).await.expect("left"), KeptBucket::new(&plan.name));
    }
}
