//! Bad weather: passwords and sessions that end in the middle of the work, a cluster that moves, a bucket that is elsewhere.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chalk_deploy_aws::{AccessKeySource, AccessKeys, Cloud, ExternalId, StoredRoles, TenantRole};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{
    ByteStream, ClusterApi as _, ImageManifest, ObjectStore as _, Payload, PutMode, Registry as _, Selector,
};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{EnvironmentId, Namespace, ObjectKey, Repository};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::meter::Meter;
use chalk_deploy_core::transport::{Delivery, Transport, TransportError};
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply};
use chalk_deploy_testkit::simulated::http::{Server, Severed, full, in_process};
use chalk_deploy_testkit::simulated::registry::{Account, RegistryServer, RegistrySettings};
use chalk_deploy_testkit::{VirtualRuntime, World};
use common::{HOST, REPOSITORY, assert_played, builder, player};
use futures::StreamExt as _;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use serde_json::json;

/// What ECR, the service, and the registry are in one account: passwords end, and a repository is made when it is asked
/// for.
#[derive(Debug)]
struct Account1 {
    registry: Arc<RegistryServer>,
    runtime: Arc<VirtualRuntime>,
    life: Duration,
    began: Duration,
    passwords: AtomicU32,
    repositories: AtomicU32,
}

impl Account1 {
    fn new(runtime: &Arc<VirtualRuntime>, life: Duration) -> Arc<Self> {
        let settings = RegistrySettings::ecr("password");
        let registry = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), settings));
        Arc::new(Self {
            registry,
            runtime: runtime.clone(),
            life,
            began: runtime.monotonic(),
            passwords: AtomicU32::new(0),
            repositories: AtomicU32::new(0),
        })
    }

    /// The number of the password that is good now.
    fn good(&self) -> u128 {
        self.runtime.monotonic().saturating_sub(self.began).as_millis() / self.life.as_millis()
    }

    async fn service(&self, request: Request<ByteStream>) -> Response<ByteStream> {
        let target = request.headers()["x-amz-target"].to_str().expect("text").to_owned();
        let operation = target.split('.').nth(1).expect("an operation").to_owned();
        let body: Vec<_> = request.into_body().collect().await;
        let body: Vec<u8> = body.into_iter().flat_map(|piece| piece.expect("bytes").to_vec()).collect();
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let answer = match operation.as_str() {
            "GetAuthorizationToken" => {
                self.passwords.fetch_add(1, Ordering::Relaxed);
                let token = STANDARD.encode(format!("AWS:password-{}", self.good()));
                // It says twelve hours and ends sooner: it was revoked.
                let end = self.runtime.now().as_millis() / 1000 + 12 * 3600;
                json!({"authorizationData": [{"authorizationToken": token, "expiresAt": end}]})
            }
            "CreateRepository" => {
                self.repositories.fetch_add(1, Ordering::Relaxed);
                let name = body["repositoryName"].as_str().expect("a name");
                self.registry.create_repository(name).expect("made");
                json!({"repository": {"repositoryName": name}})
            }
            other => panic!("{other}"),
        };
        Response::new(full(answer.to_string()))
    }
}

#[async_trait]
impl Server for Account1 {
    fn name(&self) -> &'static str {
        "account"
    }

    async fn answer(&self, mut request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        self.runtime.sleep(Duration::from_secs(1)).await;
        if request.uri().host().is_some_and(|host| host.starts_with("api.ecr.")) {
            return Ok(self.service(request).await);
        }
        if let Some(shown) = request.headers().get(AUTHORIZATION) {
            let good = format!("Basic {}", STANDARD.encode(format!("AWS:password-{}", self.good())));
            if shown.to_str().expect("text") != good {
                let words = json!({"errors": [{"code": "DENIED",
                    "message": "Your authorization token has expired. Reauthenticate and try again."}]});
                let mut response = Response::new(full(words.to_string()));
                *response.status_mut() = StatusCode::FORBIDDEN;
                return Ok(response);
            }
            let plain = format!("Basic {}", STANDARD.encode("AWS:password"));
            request.headers_mut().insert(AUTHORIZATION, plain.parse().expect("a header"));
        }
        self.registry.answer(request).await
    }
}

fn image(layers: usize) -> (ImageManifest, Vec<Payload>) {
    const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
    let blobs: Vec<_> = (0..layers).map(|number| Payload::from_bytes(format!("layer {number}"))).collect();
    let descriptors: Vec<_> = blobs
        .iter()
        .map(|blob| json!({"mediaType": "application/x", "digest": blob.sha256(), "size": blob.size()}))
        .collect();
    let document = json!({"schemaVersion": 2, "mediaType": TYPE, "config": descriptors[0], "layers": descriptors[1..]});
    (ImageManifest { media_type: TYPE.to_owned(), bytes: document.to_string().into() }, blobs)
}

#[tokio::test(start_paused = true)]
async fn a_password_that_ends_in_the_middle_of_a_long_push_is_renewed_and_the_repository_made_once() {
    let runtime = VirtualRuntime::new(1);
    let account = Account1::new(&runtime, Duration::from_secs(20));
    let cloud = builder(in_process(account.clone()), runtime.clone()).build().expect("a cloud");
    let target = Repository::new(REPOSITORY).expect("a repository");
    let (manifest, blobs) = image(300);
    let registry = cloud.registry().expect("named");
    let began = runtime.monotonic();
    registry.push_image(&target, &manifest, &blobs, None).await.expect("pushed");
    let took = runtime.monotonic().saturating_sub(began);
    assert!(took > Duration::from_mins(1), "{took:?}");
    // One for each life of a password that the push saw, however many requests were under way when it ended.
    let lives = u32::try_from(took.as_secs().div_ceil(20)).expect("small");
    let passwords = account.passwords.load(Ordering::Relaxed);
    assert!((3..=2 * lives + 1).contains(&passwords), "{passwords} passwords in {lives} lives");
    assert_eq!(account.repositories.load(Ordering::Relaxed), 1);
    for blob in &blobs {
        let there = registry.has_blob(&target, &blob.sha256()).await;
        assert!(there.expect("answered"));
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_pushes_at_once_cost_one_password_and_one_repository() {
    let runtime = VirtualRuntime::new(1);
    let account = Account1::new(&runtime, Duration::from_hours(12));
    let cloud = builder(in_process(account.clone()), runtime).build().expect("a cloud");
    let target = Repository::new(REPOSITORY).expect("a repository");
    let registry = cloud.registry().expect("named");
    let blobs: Vec<_> = (0..50).map(|number| Payload::from_bytes(format!("blob {number}"))).collect();
    let pushes = blobs.iter().map(|blob| registry.push_blob(&target, blob));
    for pushed in futures::future::join_all(pushes).await {
        pushed.expect("pushed");
    }
    assert_eq!(account.passwords.load(Ordering::Relaxed), 1);
    assert_eq!(account.repositories.load(Ordering::Relaxed), 1);
}

/// A cluster that answers at one address, and writes down the tokens that it is shown.
#[derive(Debug, Clone, Default)]
struct Moving(Arc<std::sync::Mutex<(String, Vec<String>)>>);

impl Moving {
    fn lives_at(&self, host: &str) {
        host.clone_into(&mut self.0.lock().expect("not poisoned").0);
    }

    fn tokens(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").1.clone()
    }
}

impl Moving {
    fn transport(&self) -> Transport {
        let this = self.clone();
        Transport::from_fn(move |request| {
            let this = this.clone();
            async move {
                let mut state = this.0.lock().expect("not poisoned");
                if request.uri().host() != Some(&state.0) {
                    return Err(TransportError::new(Delivery::NotSent, "connection refused"));
                }
                let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
                state.1.push(shown.unwrap_or_default().to_owned());
                Ok(Response::new(full(LIST)))
            }
        })
    }
}

const LIST: &str = r#"{"kind":"List","apiVersion":"v1","metadata":{},"items":[]}"#;

async fn list(cloud: &Cloud) -> chalk_deploy_core::Result<()> {
    let environment = EnvironmentId::new("prod").expect("an environment");
    let namespace = Namespace::new("ns-prod").expect("a namespace");
    let cluster = cloud.cluster().expect("named");
    cluster.list(&namespace, &Selector { environment, deployment: None }).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_has_moved_is_found_again_by_the_request_that_missed_it() {
    let player = player(&["eks/describe_cluster_public", "eks/describe_cluster_moved"]);
    let (runtime, cluster) = (VirtualRuntime::new(1), Moving::default());
    let cloud =
        builder(player.transport(), runtime).with_cluster_transports(cluster.transport()).build().expect("a cloud");
    cluster.lives_at("A1B2C3.gr7.us-east-1.eks.amazonaws.com");
    list(&cloud).await.expect("reached");
    cluster.lives_at("D4E5F6.sk1.us-east-1.eks.amazonaws.com");
    list(&cloud).await.expect("found again");
    assert_eq!(
        cloud.connection().expect("named").server(),
        "EKS cluster `chalk` in us-east-1 (https://D4E5F6.sk1.us-east-1.eks.amazonaws.com)"
    );
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_the_cluster_is_one_address_of_sts_for_all_and_is_made_anew_in_time() {
    let player = player(&["eks/describe_cluster_public"]);
    let (runtime, cluster, meter) = (VirtualRuntime::new(1), Moving::default(), Meter::new());
    let cloud = builder(meter.around(player.transport()), runtime.clone())
        .with_cluster_transports(cluster.transport())
        .build()
        .expect("a cloud");
    assert_eq!(meter.reading().requests, 0, "building sends nothing");
    cluster.lives_at("A1B2C3.gr7.us-east-1.eks.amazonaws.com");
    for listed in futures::future::join_all((0..50).map(|_| list(&cloud))).await {
        listed.expect("listed");
    }
    let distinct = |tokens: &[String]| tokens.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(distinct(&cluster.tokens()), 1);
    runtime.sleep(Duration::from_mins(15)).await;
    list(&cloud).await.expect("listed");
    let tokens = cluster.tokens();
    assert_eq!(distinct(&tokens), 2);
    assert_eq!(meter.reading().requests, 1, "a token costs no request");

    let last = tokens.last().expect("one").strip_prefix("Bearer k8s-aws-v1.").expect("the form of EKS");
    let address = String::from_utf8(URL_SAFE_NO_PAD.decode(last).expect("base64")).expect("text");
    let address = url::Url::parse(&address).expect("an address");
    assert_eq!(address.host_str(), Some("sts.us-east-1.amazonaws.com"));
    let query: std::collections::BTreeMap<_, _> = address.query_pairs().into_owned().collect();
    for (name, value) in [
        ("Action", "GetCallerIdentity"),
        ("Version", "2011-06-15"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Expires", "60"),
        ("X-Amz-SignedHeaders", "host;x-k8s-aws-id"),
        ("X-Amz-Date", "20250101T001500Z"),
        ("X-Amz-Credential", "AKIAEXAMPLE/20250101/us-east-1/sts/aws4_request"),
    ] {
        assert_eq!(query.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(query["X-Amz-Signature"].len(), 64);
    assert!(!address.as_str().contains("secret-of-ours"));
}

/// Lends keys for four minutes, others each time.
#[derive(Debug)]
struct ShortKeys(Arc<VirtualRuntime>, AtomicU32);

#[async_trait]
impl AccessKeySource for ShortKeys {
    async fn keys(&self) -> chalk_deploy_core::Result<AccessKeys> {
        let number = self.1.fetch_add(1, Ordering::Relaxed);
        let end = self.0.now().plus(Duration::from_mins(4));
        Ok(AccessKeys::new(format!("ASIA{number}"), "secret").with_session_token("token").with_expiry(end))
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_of_the_cluster_ends_with_the_session_that_has_signed_it() {
    let player = player(&["eks/describe_cluster_public"]);
    let (runtime, cluster) = (VirtualRuntime::new(1), Moving::default());
    let cloud = builder(player.transport(), runtime.clone())
        .with_credentials(ShortKeys(runtime.clone(), AtomicU32::new(0)))
        .with_cluster_transports(cluster.transport())
        .build()
        .expect("a cloud");
    cluster.lives_at("A1B2C3.gr7.us-east-1.eks.amazonaws.com");
    list(&cloud).await.expect("listed");
    runtime.sleep(Duration::from_mins(5)).await;
    list(&cloud).await.expect("listed");
    let tokens = cluster.tokens();
    assert_ne!(tokens.first(), tokens.last(), "the session of the first one has ended");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_ours_is_shown_no_password() {
    let runtime = VirtualRuntime::new(1);
    let settings =
        RegistrySettings { accounts: vec![Account::administrator("AWS", "x")], ..RegistrySettings::ecr("x") };
    let other = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), settings));
    let cloud = Cloud::builder()
        .with_region("us-east-1")
        .with_transport(in_process(other))
        .with_runtime(runtime)
        .with_credentials(AccessKeys::new("AKIAEXAMPLE", "secret-of-ours"))
        .with_registry(HOST)
        .build()
        .expect("a cloud");
    let foreign = Repository::new("210987654321.dkr.ecr.us-east-1.amazonaws.com/chalk/a").expect("a repository");
    let (registry, blob) = (cloud.registry().expect("named"), Payload::from_bytes("x"));
    let error = registry.push_blob(&foreign, &blob).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.sentence().contains("210987654321"), "{}", error.sentence());
}

/// STS, which lends keys numbered from one, and a server that refuses those below a number as those of an ended session.
#[derive(Clone, Default)]
struct Sessions {
    lent: Arc<AtomicU32>,
    ended: Arc<AtomicU32>,
}

impl Sessions {
    /// Ends all that were lent by now, before their time.
    fn end(&self) {
        self.ended.store(self.lent.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    fn lend(&self) -> Reply {
        let number = self.lent.fetch_add(1, Ordering::SeqCst) + 1;
        let credentials = format!(
            "<AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
             <Expiration>2025-01-01T01:00:00Z</Expiration>"
        );
        Reply::new(200, format!("<Credentials>{credentials}</Credentials>"))
    }

    /// Whether the key in this text, which stands before a slash, has ended.
    fn has_ended(&self, text: &str) -> bool {
        let number =
            text.split("ASIA").nth(1).and_then(|rest| rest.split('/').next()).and_then(|text| text.parse().ok());
        number.is_none_or(|number: u32| number <= self.ended.load(Ordering::SeqCst))
    }
}

fn tenant() -> Arc<StoredRoles> {
    let id = ExternalId::stored("chalk-0123456789abcdef").expect("an id");
    let role = TenantRole::new("arn:aws:iam::210987654321:role/chalk-scoped", id).expect("a role");
    Arc::new(StoredRoles::new().with("acme", role))
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_early_is_renewed_in_the_middle_of_the_work_with_a_bucket() {
    let sessions = Sessions::default();
    let answers = sessions.clone();
    let server = Answering::by(move |seen| {
        if seen.parts.uri.host().is_some_and(|host| host.starts_with("sts.")) {
            return answers.lend();
        }
        match (seen.method(), answers.has_ended(seen.header("authorization"))) {
            // S3 says nothing more to HEAD.
            ("HEAD", true) => Reply::new(400, ""),
            (_, true) => Reply::new(400, "<Error><Code>ExpiredToken</Code><Message>ended</Message></Error>"),
            ("HEAD", false) => Reply::new(200, "")
                .with("content-length", "5")
                .with("last-modified", "Wed, 01 Jan 2025 00:00:00 GMT")
                .with("etag", "\"e\""),
            _ => Reply::new(200, "").with("etag", "\"e\""),
        }
    });
    let cloud = builder(server.transport(), VirtualRuntime::new(1))
        .with_tenant(tenant(), "acme")
        .with_bucket("chalk-acme-source")
        .build()
        .expect("a cloud");
    let bucket = cloud.bucket().expect("named");
    let payload = Payload::from_bytes("bytes");
    let key = |number: usize| ObjectKey::new(format!("incoming/{number}")).expect("a key");
    bucket.put(&key(0), &payload, PutMode::WriteOnce).await.expect("written");
    assert_eq!(sessions.lent.load(Ordering::SeqCst), 1);
    sessions.end();
    let keys: Vec<_> = (0..20).map(key).collect();
    let puts = keys.iter().map(|key| bucket.put(key, &payload, PutMode::WriteOnce));
    for put in futures::future::join_all(puts).await {
        put.expect("sent once more");
    }
    assert_eq!(sessions.lent.load(Ordering::SeqCst), 2, "one renewal for all");
    sessions.end();
    bucket.head(&key(0)).await.expect("asked once more").expect("there");
    assert_eq!(sessions.lent.load(Ordering::SeqCst), 3);
    // A renewal that does not help is not tried for ever.
    sessions.ended.store(u32::MAX, Ordering::SeqCst);
    let before = server.seen().len();
    let error = bucket.put(&key(1), &payload, PutMode::WriteOnce).await.expect_err("ended all the same");
    assert_eq!((error.code(), error.retry()), (ErrorCode::PermissionDenied, Retry::Temporary), "{error}");
    assert!(error.hint().contains("renew"), "{}", error.hint());
    assert_eq!(server.seen().len() - before, 3, "the request, STS, and the request again");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_in_another_region_is_told_with_its_region_when_it_is_used() {
    for reply in [
        Reply::new(301, "<Error><Code>PermanentRedirect</Code></Error>").with("x-amz-bucket-region", "eu-west-1"),
        Reply::new(400, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"),
    ] {
        let server = Answering::by(move |_| reply.clone());
        let cloud = builder(server.transport(), VirtualRuntime::new(1)).with_bucket("chalk-acme-source").build();
        let bucket = cloud.expect("a cloud").bucket().expect("named");
        let key = ObjectKey::new("incoming/1").expect("a key");
        let error = bucket.put(&key, &Payload::from_bytes("x"), PutMode::WriteOnce).await.expect_err("elsewhere");
        assert_eq!(error.code(), ErrorCode::RequestInvalid, "{error}");
        assert!(error.hint().contains("eu-west-1"), "{}", error.sentence());
        assert_eq!(server.seen().len(), 1, "it is not followed there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_is_named_beside_that_of_the_bucket() {
    let skewed = "<Error><Code>RequestTimeTooSkewed</Code><Message>off</Message></Error>";
    let server = Answering::by(move |_| Reply::new(403, skewed).with("date", "Wed, 01 Jan 2025 01:00:00 GMT"));
    let cloud = builder(server.transport(), VirtualRuntime::new(1)).with_bucket("chalk-acme-source").build();
    let bucket = cloud.expect("a cloud").bucket().expect("named");
    let key = ObjectKey::new("incoming/1").expect("a key");
    let error = bucket.put(&key, &Payload::from_bytes("x"), PutMode::WriteOnce).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
    for clock in ["20250101T000000Z", "Wed, 01 Jan 2025 01:00:00 GMT"] {
        assert!(error.hint().contains(clock), "{}", error.hint());
    }
}

/// A name that was given up may be somebody else's by now, and would get the source.
#[tokio::test(start_paused = true)]
async fn a_bucket_is_only_spoken_to_as_that_of_the_account_that_was_named() {
    let server = Answering::by(|seen| {
        let owner = seen.header("x-amz-expected-bucket-owner");
        let is_signed = seen.header("authorization").contains("x-amz-expected-bucket-owner");
        if owner == "210987654321" && is_signed {
            let modified = "Wed, 01 Jan 2025 00:00:00 GMT";
            return Reply::new(200, "")
                .with("etag", "\"e\"")
                .with("content-length", "1")
                .with("last-modified", modified);
        }
        Reply::new(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
    });
    let key = ObjectKey::new("incoming/1").expect("a key");
    let (payload, runtime) = (Payload::from_bytes("x"), VirtualRuntime::new(1));
    for (account, is_ours) in [("210987654321", true), ("123456789012", false)] {
        let builder = builder(server.transport(), runtime.clone()).with_bucket("chalk-acme-source");
        let bucket = builder.with_account(account).build().expect("a cloud").bucket().expect("named");
        let put = bucket.put(&key, &payload, PutMode::WriteOnce).await;
        assert_eq!(put.is_ok(), is_ours, "{account}");
        let head = bucket.head(&key).await;
        assert_eq!(head.map_err(|error| error.code()).err(), (!is_ours).then_some(ErrorCode::PermissionDenied));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_cluster_refuses_is_signed_anew_by_another_session() {
    let sessions = Sessions::default();
    let answers = sessions.clone();
    let sts = Answering::by(move |_| answers.lend());
    let eks = player(&["eks/describe_cluster_public"]);
    let aws = Hosts::new()
        .with("sts.us-east-1.amazonaws.com", sts.transport())
        .with("eks.us-east-1.amazonaws.com", eks.transport())
        .transport();
    let judge = sessions.clone();
    let cluster = Answering::by(move |seen| {
        let token = seen.token().strip_prefix("k8s-aws-v1.").expect("the form of EKS");
        let address = String::from_utf8(URL_SAFE_NO_PAD.decode(token).expect("base64")).expect("text");
        let address = address.replace("%2F", "/");
        if judge.has_ended(&address) { Reply::json(401, json!({"kind": "Status"})) } else { Reply::json(200, LIST) }
    });
    let cloud = builder(aws, VirtualRuntime::new(1))
        .with_tenant(tenant(), "acme")
        .with_cluster_transports(cluster.transport())
        .build()
        .expect("a cloud");
    list(&cloud).await.expect("listed");
    sessions.end();
    list(&cloud).await.expect("listed with a token of the next session");
    assert_eq!(sessions.lent.load(Ordering::SeqCst), 2);
    assert_played(&eks);
}
