//! The same adapters on moto, which emulates STS, IAM, S3, SQS, ECR's own API and EKS's.
//!
//! Runs where `CHALK_TESTBED_MOTO` names moto's address (`tests/moto` starts one and runs this); prints one line
//! elsewhere. moto verifies no signatures, and speaks no registry protocol: ECR's images are put by its own API.

mod common;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chalk_deploy_aws::{AccessKeys, Cloud, CloudBuilder, ExternalId, QueuePlan, QueueRole, StoredRoles, TenantRole};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{ClusterApi as _, ObjectStore as _, Payload, PutMode, Selector};
use chalk_deploy_core::model::{Digest, EnvironmentId, Namespace, ObjectKey, Repository};
use chalk_deploy_core::provision::{BucketPlan, ImageRetention, sweep};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, RequestBody, Transport};
use chalk_deploy_testkit::distribution::{self, Authentication, Distribution};
use chalk_deploy_testkit::foreign::skip;
use chalk_deploy_testkit::sample;
use chalk_deploy_testkit::simulated::closure::{Answering, Reply};
use chalk_deploy_testkit::simulated::http::full;
use chalk_deploy_testkit::simulated::stage::{Names, Pulling, SimulatedCluster, Stage};
use common::ecr::{Ecr, FIRST};
use futures::TryStreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{Method, Request, Response};
use serde_json::{Value, json};

/// The token of the simulated cluster.
const TOKEN: &str = "token-of-the-simulated-cluster";
const HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

/// Where moto is.
fn moto() -> Option<String> {
    let url = std::env::var("CHALK_TESTBED_MOTO").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        skip("no moto; run chalk-deploy-aws/tests/moto, or name its address in CHALK_TESTBED_MOTO");
    }
    url
}

fn builder(url: &str) -> CloudBuilder {
    Cloud::builder()
        .with_region("us-east-1")
        .with_endpoint(url)
        .with_credentials(AccessKeys::new("AKIAEXAMPLE", "secret"))
        .with_registry(HOST)
        .with_cluster("chalk-emulated")
}

/// A name of this run's own: moto keeps what earlier runs have made.
fn fresh(what: &str) -> String {
    format!("{what}{}", SystemRuntime::new().now().as_millis())
}

/// Asks moto for what our adapters never ask for. It finds the service by the scope of a signature, and looks at no more.
async fn ask(url: &str, service: &str, method: Method, path: &str, target: &str, body: &Value) -> (u16, String) {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20250101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let mut request = Request::builder().method(method).uri(format!("{url}{path}")).header(AUTHORIZATION, scope);
    if !target.is_empty() {
        request = request.header("content-type", "application/x-amz-json-1.1").header("x-amz-target", target);
    }
    let body = if body.is_null() { RequestBody::Empty } else { RequestBody::Bytes(body.to_string().into()) };
    let request = request.body(body).expect("a request");
    let transport = NetworkTransport::builder().build().expect("sockets");
    let response = transport.send(request).await.expect("moto answers");
    let status = response.status().as_u16();
    let pieces: Vec<bytes::Bytes> = response.into_body().try_collect().await.expect("a body");
    (status, String::from_utf8(pieces.concat()).expect("text"))
}

#[tokio::test]
async fn five_buckets_are_made_and_set_up_and_a_second_time_nothing_changes() {
    let Some(url) = moto() else { return };
    let cloud = builder(&url).build().expect("a cloud");
    let origins = BucketPlan::HOSTED_ORIGINS.map(|origin| origin.parse().expect("an origin"));
    for plan in BucketPlan::five(&fresh("run"), &origins).expect("a prefix") {
        let plan = if plan.versioned { plan.with_retention(Duration::from_hours(24 * 30)) } else { plan };
        let first = cloud.buckets().expect("given").keep(&plan).await.expect("kept");
        assert!(first.created && first.cannot.is_empty(), "{first:?}");
        for word in ["public access", "policy", "tags", "lifecycle", "cors"] {
            assert!(first.changed.contains(&word), "{word}: {first:?}");
        }
        assert_eq!(first.changed.contains(&"versioning") || plan.retention.is_some(), plan.versioned, "{first:?}");
        let second = cloud.buckets().expect("given").keep(&plan).await.expect("kept");
        assert!(!second.created && second.changed.is_empty() && second.cannot.is_empty(), "{second:?}");
    }
}

#[tokio::test]
async fn a_bucket_in_another_region_is_told_as_that_and_one_in_this_holds_objects_written_once() {
    let Some(url) = moto() else { return };
    let name = fresh("chalk-objects-");
    let [mut plan, ..] = BucketPlan::five("a", &[]).expect("a prefix");
    plan.name.clone_from(&name);
    let cloud = builder(&url).with_bucket(&name).build().expect("a cloud");
    cloud.buckets().expect("given").keep(&plan).await.expect("kept");
    let elsewhere = builder(&url).with_region("eu-west-1").with_registry("localhost").build().expect("a cloud");
    let error = elsewhere.buckets().expect("given").keep(&plan).await.expect_err("in another region");
    assert_eq!(error.code(), ErrorCode::ValueInvalid, "{error}");
    assert!(error.message().contains("us-east-1"), "{error}");

    // That one refuses requests without TLS by now, and moto keeps to it.
    let key = ObjectKey::new("archives/one").expect("a key");
    let shut = cloud.bucket().expect("named");
    let error = shut.put(&key, &Payload::from_bytes("first"), PutMode::WriteOnce).await.expect_err("no TLS");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
    let open = fresh("chalk-open-");
    assert_eq!(ask(&url, "s3", Method::PUT, &format!("/{open}"), "", &Value::Null).await.0, 200);
    let cloud = builder(&url).with_bucket(&open).build().expect("a cloud");
    let bucket = cloud.bucket().expect("named");
    bucket.put(&key, &Payload::from_bytes("first"), PutMode::WriteOnce).await.expect("written");
    let error = bucket.put(&key, &Payload::from_bytes("second"), PutMode::WriteOnce).await.expect_err("written once");
    assert_eq!(error.code(), ErrorCode::ObjectExists, "{error}");
}

#[tokio::test]
async fn a_repository_is_made_once_with_its_tag_and_its_images_are_listed_and_swept() {
    let Some(url) = moto() else { return };
    let cloud = builder(&url).build().expect("a cloud");
    let path = fresh("chalk/engine-");
    let repositories = cloud.repositories().expect("named");
    repositories.create(HOST, &path).await.expect("made");
    repositories.create(HOST, &path).await.expect("there");
    let arn = format!("arn:aws:ecr:us-east-1:123456789012:repository/{path}");
    let target = |operation: &str| format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
    let list = json!({"resourceArn": arn});
    let (status, tags) = ask(&url, "ecr", Method::POST, "/", &target("ListTagsForResource"), &list).await;
    assert_eq!(status, 200, "{tags}");
    let tags: Value = serde_json::from_str(&tags).expect("JSON");
    assert_eq!(tags["tags"], json!([{"Key": "chalk.ai/managed-by", "Value": "chalk"}]));

    let mut digests = Vec::new();
    for tag in ["live", "old"] {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
                       "digest": Digest::of(tag).to_string()},
            "layers": [],
        });
        let manifest = manifest.to_string();
        let digest = Digest::of(&manifest);
        let image = json!({"repositoryName": path, "imageManifest": manifest, "imageTag": tag, "imageDigest": digest});
        let (status, put) = ask(&url, "ecr", Method::POST, "/", &target("PutImage"), &image).await;
        assert_eq!(status, 200, "{put}");
        digests.push(digest);
    }
    let repository = Repository::new(format!("{HOST}/{path}")).expect("a repository");
    let images = cloud.images().expect("named");
    assert_eq!(images.images(&repository).await.expect("listed").len(), 2);
    let needed = std::collections::BTreeSet::from([digests[0]]);
    let none = ImageRetention::new(0, Duration::ZERO);
    let swept = sweep(&*images, &repository, &needed, none, cloud.now()).await.expect("swept");
    assert_eq!((swept.removed, swept.kept), (vec![digests[1]], 1));
    images.remove(&repository, &[digests[1]]).await.expect("gone already");
    let error = images.images(&Repository::new(format!("{HOST}/absent")).expect("a repository")).await;
    assert_eq!(error.expect_err("missing").code(), ErrorCode::ObjectMissing);
}

/// Makes the cluster `chalk-emulated`, unless it is there.
async fn make_cluster(url: &str) {
    let cluster = json!({"name": "chalk-emulated", "roleArn": "arn:aws:iam::123456789012:role/eks",
                         "resourcesVpcConfig": {"subnetIds": ["subnet-1"]}});
    let (status, said) = ask(url, "eks", Method::POST, "/clusters", "", &cluster).await;
    assert!(status == 200 || said.contains("already exists"), "{status} {said}");
}

/// moto's certificate authority is no certificate, with which no token would be made: another one stands in its place.
fn with_a_certificate(url: &str) -> Transport {
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUEXAMPLE\n-----END CERTIFICATE-----\n";
    assert!(url.starts_with("http://127.0.0.1:"), "moto is on this machine");
    let moto = NetworkTransport::builder().build().expect("sockets");
    Transport::from_fn(move |request| {
        let moto = moto.clone();
        async move {
            let is_cluster = request.method() == Method::GET && request.uri().path().starts_with("/clusters/");
            let response = moto.send(request).await?;
            if !is_cluster {
                return Ok(response);
            }
            let (mut parts, body) = response.into_parts();
            let pieces: Vec<bytes::Bytes> = body.try_collect().await.expect("a body");
            let mut described: Value = serde_json::from_slice(&pieces.concat()).expect("JSON");
            described["cluster"]["certificateAuthority"]["data"] = json!(STANDARD.encode(PEM));
            parts.headers.remove(CONTENT_LENGTH);
            Ok(Response::from_parts(parts, full(described.to_string())))
        }
    })
}

#[tokio::test]
async fn a_role_is_assumed_with_the_external_id_and_signs_for_the_cluster_that_eks_names() {
    let Some(url) = moto() else { return };
    make_cluster(&url).await;
    let id = ExternalId::stored("chalk-0123456789abcdef").expect("an id");
    let role = TenantRole::new("arn:aws:iam::123456789012:role/chalk-scoped", id).expect("a role");
    let server = Answering::by(|_| Reply::json(200, r#"{"kind":"List","apiVersion":"v1","metadata":{},"items":[]}"#));
    let cloud = builder(&url)
        .with_tenant(Arc::new(StoredRoles::new().with("acme", role)), "acme")
        .with_transport(with_a_certificate(&url))
        .with_cluster_transports(server.transport())
        .build()
        .expect("a cloud");
    let keys = cloud.credentials().keys().await.expect("assumed");
    assert!(keys.id().starts_with("ASIA") && keys.expires().is_some_and(|end| end > cloud.now()), "{keys:?}");
    let described = cloud.describe_cluster().await.expect("described");
    assert_eq!(described.name, "chalk-emulated");

    let namespace = Namespace::new("ns-prod").expect("a namespace");
    let environment = EnvironmentId::new("prod").expect("an environment");
    let selector = Selector { environment, deployment: None };
    cloud.cluster().expect("named").list(&namespace, &selector).await.expect("listed");
    // Whose token it is; that the signature is right is `foreign_model`'s to say.
    let seen = server.seen();
    let token = seen[0].token().strip_prefix("k8s-aws-v1.").expect("the form");
    let address = String::from_utf8(URL_SAFE_NO_PAD.decode(token).expect("base64")).expect("text");
    assert!(address.starts_with(&format!("{url}/?Action=GetCallerIdentity&")), "{address}");
    assert!(address.contains(&format!("X-Amz-Credential={}%2F", keys.id())), "{address}");
    assert!(address.contains("X-Amz-SignedHeaders=host%3Bx-k8s-aws-id"), "{address}");
}

/// Asks SQS for what our adapter never asks for.
async fn sqs(url: &str, operation: &str, body: Value) -> Value {
    let (status, said) = ask(url, "sqs", Method::POST, "/", &format!("AmazonSQS.{operation}"), &body).await;
    assert_eq!(status, 200, "{operation}: {said}");
    serde_json::from_str(&said).unwrap_or_default()
}

#[tokio::test]
async fn seven_queues_are_made_with_our_tag_and_a_second_time_nothing_changes() {
    let Some(url) = moto() else { return };
    let cloud = builder(&url).build().expect("a cloud");
    for plan in QueuePlan::seven(&fresh("run")).expect("a prefix") {
        let first = cloud.queues().keep(&plan).await.expect("kept");
        assert!(first.created, "{first:?}");
        let second = cloud.queues().keep(&plan).await.expect("kept");
        let letters = second.dead_letters.as_deref();
        assert_eq!(letters.is_some(), plan.role != QueueRole::Heartbeat);
        assert_eq!(second.changed, Vec::<&str>::new());
        for kept in std::iter::once(&second).chain(letters) {
            // moto keeps no RedriveAllowPolicy, and forgets the policy of a queue whose other attributes are set.
            assert!(
                !kept.created && kept.changed.iter().all(|word| ["dead letters", "policy"].contains(word)),
                "{kept:?}"
            );
            let found = sqs(&url, "GetQueueUrl", json!({"QueueName": kept.name})).await;
            let tags = sqs(&url, "ListQueueTags", json!({"QueueUrl": found["QueueUrl"]})).await;
            assert_eq!(tags["Tags"], json!({"chalk.ai/managed-by": "chalk"}));
        }
    }
}

#[tokio::test]
async fn a_queue_that_was_changed_by_hand_is_set_right_and_a_message_that_nobody_deletes_is_a_dead_letter() {
    let Some(url) = moto() else { return };
    let cloud = builder(&url).build().expect("a cloud");
    let plans = QueuePlan::seven(&fresh("letters")).expect("a prefix");
    let plan = plans.into_iter().find(|plan| plan.role == QueueRole::BatchStatus).expect("one of the seven");
    cloud.queues().keep(&plan).await.expect("made");
    let queue = sqs(&url, "GetQueueUrl", json!({"QueueName": plan.name})).await["QueueUrl"].clone();
    let letters = sqs(&url, "GetQueueUrl", json!({"QueueName": plan.dead_letter_name()})).await["QueueUrl"].clone();
    let attributes = sqs(&url, "GetQueueAttributes", json!({"QueueUrl": queue, "AttributeNames": ["All"]})).await;
    // With the policy, which moto would forget.
    let policy = &attributes["Attributes"]["Policy"];
    let loosened = json!({"VisibilityTimeout": "1", "RedrivePolicy": "", "Policy": policy});
    let loosened = json!({"QueueUrl": queue, "Attributes": loosened});
    sqs(&url, "SetQueueAttributes", loosened).await;
    let kept = cloud.queues().keep(&plan).await.expect("set right");
    assert_eq!(kept.changed, ["visibility", "dead letters"]);

    sqs(&url, "SendMessage", json!({"QueueUrl": queue, "MessageBody": "batch 7"})).await;
    let receive = |from: &Value| json!({"QueueUrl": from, "VisibilityTimeout": 0});
    let most = plan.dead_letters.expect("planned").receives;
    for _ in 0..most {
        assert_eq!(sqs(&url, "ReceiveMessage", receive(&queue)).await["Messages"][0]["Body"], "batch 7");
    }
    assert_eq!(sqs(&url, "ReceiveMessage", receive(&queue)).await["Messages"], Value::Null);
    assert_eq!(sqs(&url, "ReceiveMessage", receive(&letters)).await["Messages"][0]["Body"], "batch 7");
}

#[tokio::test]
async fn the_whole_pipeline_ends_in_success_on_emulators_and_replaces_a_version() {
    let Some(url) = moto() else { return };
    let Some(program) = distribution::program("chalk-deploy-aws/tests/emulated") else { return };
    // moto's passwords have ended in 2015, so that ours stand before the registry.
    let ecr = Ecr::handing_out(&[FIRST.0]);
    let passwords = Authentication::Passwords(FIRST.1.to_owned());
    let registry = Distribution::start(&program, &passwords, ecr.clone()).await;
    let runtime: Arc<dyn Runtime> = SystemRuntime::new();
    let name = fresh("chalk-pipeline-");
    assert_eq!(ask(&url, "s3", Method::PUT, &format!("/{name}"), "", &Value::Null).await.0, 200);
    make_cluster(&url).await;

    let id = ExternalId::stored("chalk-0123456789abcdef").expect("an id");
    let role = TenantRole::new("arn:aws:iam::123456789012:role/chalk-scoped", id).expect("a role");
    let roles = Arc::new(StoredRoles::new().with("acme", role));
    let builder = || {
        let builder = builder(&url).with_registry(registry.host()).with_registry_endpoint(registry.endpoint());
        builder.with_transport(with_a_certificate(&url)).with_tenant(roles.clone(), "acme")
    };
    let of_the_nodes = builder().build().expect("a cloud").registry().expect("named");
    let simulated = SimulatedCluster::start(Arc::new(Pulling(Arc::new(of_the_nodes))), TOKEN, &runtime);
    simulated.make_namespace(&sample::environment().expect("an environment")).await;
    let cloud = builder().with_bucket(&name).with_cluster_transports(authenticating(simulated.kubernetes()));
    let cloud = cloud.build().expect("a cloud");
    let repositories = Repository::new(format!("{}/chalk", registry.host())).expect("a repository");
    let names = Names { bucket: name, repositories, gateway: simulated.gateway() };
    let stage = Stage::open(&cloud, names, &runtime).await.expect("all is set");
    let deployed = stage.assert_deploys_and_replaces().await;
    stage.assert_keeps(&deployed).await;
    assert_eq!(ecr.handed_out(), 2, "one for the nodes, one for us");
}

/// What the cluster's authenticator does: a token of EKS for the one that the simulated cluster knows.
fn authenticating(kubernetes: Transport) -> Transport {
    Transport::from_fn(move |mut request| {
        let kubernetes = kubernetes.clone();
        let shown = request.headers().get(AUTHORIZATION).and_then(|shown| shown.to_str().ok()).unwrap_or_default();
        assert!(shown.starts_with("Bearer k8s-aws-v1."), "no token of EKS is shown");
        request.headers_mut().insert(AUTHORIZATION, format!("Bearer {TOKEN}").parse().expect("a header"));
        async move { kubernetes.send(request).await }
    })
}
