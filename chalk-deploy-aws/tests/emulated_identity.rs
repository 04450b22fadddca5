//! The same adapters on moto while it verifies signatures and asks policies: by botocore's own signer, which signs each
//! request once more and compares.
//!
//! EKS is left out: moto 5.2.5 refuses what botocore itself has signed for it. A target of its own, because moto is told to verify for everyone at once. Runs as `emulated` does.

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_aws::{AccessKeys, Cloud, CloudBuilder, ExternalId, QueuePlan, StoredRoles, TenantRole};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::provision::{BucketPlan, Origin};
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, RequestBody};
use chalk_deploy_testkit::foreign::skip;
use futures::TryStreamExt as _;
use http::Request;
use http::header::AUTHORIZATION;

const HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

async fn post(url: &str, path: &str, service: &str, kind: &str, body: String) -> (u16, String) {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=AKIA/20250101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let request = Request::post(format!("{url}{path}")).header(AUTHORIZATION, scope).header("content-type", kind);
    let request = request.body(RequestBody::Bytes(body.into())).expect("a request");
    let response = NetworkTransport::builder().build().expect("sockets").send(request).await.expect("moto answers");
    let status = response.status().as_u16();
    let pieces: Vec<bytes::Bytes> = response.into_body().try_collect().await.expect("a body");
    (status, String::from_utf8(pieces.concat()).expect("text"))
}

async fn iam(url: &str, action: &str, parameters: &[(&str, &str)]) -> String {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", action)
        .append_pair("Version", "2010-05-08")
        .extend_pairs(parameters)
        .finish();
    let (status, said) = post(url, "/", "iam", "application/x-www-form-urlencoded", form).await;
    assert_eq!(status, 200, "{said}");
    said
}

fn element(document: &str, name: &str) -> String {
    let (_, rest) = document.split_once(&format!("<{name}>")).expect("there");
    rest.split_once("</").expect("ended").0.to_owned()
}

/// A user with a key, who may do what the policy says.
async fn user(url: &str, name: &str, policy: &str) -> (String, String) {
    iam(url, "CreateUser", &[("UserName", name)]).await;
    iam(url, "PutUserPolicy", &[("UserName", name), ("PolicyName", "p"), ("PolicyDocument", policy)]).await;
    let key = iam(url, "CreateAccessKey", &[("UserName", name)]).await;
    (element(&key, "AccessKeyId"), element(&key, "SecretAccessKey"))
}

fn builder(url: &str, id: &str, secret: &str) -> CloudBuilder {
    Cloud::builder()
        .with_region("us-east-1")
        .with_endpoint(url)
        .with_credentials(AccessKeys::new(id, secret))
        .with_registry(HOST)
}

async fn verifies(url: &str, from: &str) {
    let (status, said) = post(url, "/moto-api/reset-auth", "iam", "text/plain", from.to_owned()).await;
    assert_eq!(status, 200, "{said}");
}

#[tokio::test]
async fn signatures_are_those_of_botocore_and_wrong_ones_are_told_apart() {
    let Some(url) = std::env::var("CHALK_TESTBED_MOTO").ok().filter(|url| !url.is_empty()) else {
        return skip("no moto; run chalk-deploy-aws/tests/moto, or name its address in CHALK_TESTBED_MOTO");
    };
    let run = SystemRuntime::new().now().as_millis();
    let all = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let none = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}"#;
    let (id, secret) = user(&url, &format!("deployer-{run}"), all).await;
    let (poor_id, poor_secret) = user(&url, &format!("poor-{run}"), none).await;
    verifies(&url, "0").await;
    let checked = tokio::spawn({
        let url = url.clone();
        async move { check(&url, run, (&id, &secret), (&poor_id, &poor_secret)).await }
    });
    let checked = checked.await;
    // Whatever came of it, moto is left as it was.
    verifies(&url, "Infinity").await;
    checked.expect("the checks hold");
}

async fn check(url: &str, run: u64, (id, secret): (&str, &str), (poor_id, poor_secret): (&str, &str)) {
    let path = format!("chalk/verified-{run}");
    let cloud = builder(url, id, secret).build().expect("a cloud");
    let repositories = cloud.repositories().expect("named");
    repositories.create(HOST, &path).await.expect("ECR takes the signature");
    let id_of_tenant = ExternalId::stored("chalk-0123456789abcdef").expect("an id");
    let role = TenantRole::new("arn:aws:iam::123456789012:role/chalk-scoped", id_of_tenant).expect("a role");
    let roles = Arc::new(StoredRoles::new().with("acme", role));
    let tenant = builder(url, id, secret).with_tenant(roles, "acme").build().expect("a cloud");
    tenant.credentials().keys().await.expect("STS takes the signature");
    let origins: [Origin; 2] = BucketPlan::HOSTED_ORIGINS.map(|origin| origin.parse().expect("an origin"));
    let [_, plan, ..] = BucketPlan::five(&format!("verified{run}"), &origins).expect("a prefix");
    let plan = plan.with_retention(Duration::from_hours(48));
    let kept = cloud.buckets().expect("given").keep(&plan).await.expect("S3 takes the signature of every setting");
    assert!(kept.created && kept.cannot.is_empty(), "{kept:?}");

    let [queue, ..] = QueuePlan::seven(&format!("verified{run}")).expect("a prefix");
    let kept = cloud.queues().keep(&queue).await.expect("SQS takes the signature");
    assert!(kept.created && cloud.queues().keep(&queue).await.expect("kept").changed.is_empty(), "{kept:?}");

    let wrong = builder(url, id, "another-secret").build().expect("a cloud");
    let error = wrong.repositories().expect("named").create(HOST, &path).await.expect_err("a wrong secret");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
    assert!(error.hint().contains("secret of the access key"), "{}", error.sentence());

    let unknown = builder(url, "AKIAUNKNOWNUNKNOWN00", secret).build().expect("a cloud");
    let error = unknown.repositories().expect("named").create(HOST, &path).await.expect_err("an unknown key");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
    assert!(error.hint().contains("revoked"), "{}", error.sentence());

    let poor = builder(url, poor_id, poor_secret).build().expect("a cloud");
    let kept = poor.queues().keep(&queue).await.expect("queues alone are permitted");
    assert!(!kept.created && kept.changed.is_empty(), "{kept:?}");
    let error = poor.repositories().expect("named").create(HOST, &path).await.expect_err("not permitted");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
    assert!(error.hint().contains("ecr:CreateRepository"), "{}", error.sentence());
}
