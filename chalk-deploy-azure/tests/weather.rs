//! Bad input and weather: what is slow, expired, full, moved or hostile ends in an error with a next step, or in a
//! repetition that succeeds.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use chalk_deploy_azure::credentials::scope;
use chalk_deploy_azure::{Cloud, CredentialChoice, NationalCloud, RegistryAudience};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::bucket::AzureSharedKey;
use chalk_deploy_core::cloud::{ByteStream, ObjectStore as _, Payload, PutMode, Registry as _};
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource as _};
use chalk_deploy_core::model::{ObjectKey, Repository};
use chalk_deploy_core::provision::ImageCatalog as _;
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{BoxedFuture, Delivery, NetworkTransport, RequestBody, Transport, TransportError};
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::simulated::registry::{Access, Account, RegistryServer, RegistrySettings};
use chalk_deploy_testkit::{VirtualRuntime, World};
use common::blob::BlobServer;
use common::{Answering, Bank, Hosts, MANAGEMENT, TENANT, ask, builder, player, repeated};

const BLOBS: &str = "chalkacme.blob.core.windows.net";

fn key() -> ObjectKey {
    ObjectKey::new("a").expect("a key")
}

#[tokio::test(start_paused = true)]
async fn building_asks_for_nothing_and_fifty_who_ask_at_once_cost_one_token() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let blobs = Arc::new(BlobServer::new("chalk-acme-source"));
    let answering = Answering::by(|_| (500, Vec::new(), String::new()));
    let bank = Bank::new(runtime.clone(), Some(Duration::from_hours(1)));
    let hosts = Hosts::default().with(BLOBS, in_process(blobs)).with("management.azure.com", answering.transport());
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
async fn throttling_is_waited_out_as_long_as_azure_says_and_then_it_is_an_error_that_says_when() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let once = player(&["aks/throttled", "aks/cluster_public"]);
    let cloud = builder(&once).with_runtime(runtime.clone()).build().expect("valid settings");
    let begun = runtime.monotonic();
    cloud.describe_cluster().await.expect("the second time");
    let waited = runtime.monotonic().saturating_sub(begun);
    assert_eq!(waited, Duration::from_secs(5), "as long as one call may wait");
    let always = player(&["aks/throttled"; 3]);
    let cloud = builder(&always).with_runtime(runtime).build().expect("valid settings");
    let error = cloud.describe_cluster().await.expect_err("throttled");
    assert_eq!((error.code(), error.hint()), (ErrorCode::CloudUnavailable, "resume in 17 s"));
    assert_eq!(always.complaints(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_on_its_way_is_fetched_anew_once_and_then_it_is_an_error() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let answering = Answering::by(|seen| {
        if seen.token == "token-1" {
            let body = r#"{"error":{"code":"ExpiredAuthenticationToken","message":"expired"}}"#;
            return (401, Vec::new(), body.to_owned());
        }
        let cluster = r#"{"properties":{"fqdn":"a.example","aadProfile":{"managed":true},"kubernetesVersion":"1.33"}}"#;
        (200, Vec::new(), cluster.to_owned())
    });
    let bank = Bank::new(runtime.clone(), Some(Duration::from_hours(1)));
    let hosts = || Hosts::default().with("management.azure.com", answering.transport()).transport();
    let renewing = builder(&Player::default())
        .with_transport(hosts())
        .with_runtime(runtime.clone())
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    assert_eq!(renewing.describe_cluster().await.expect("with another token").version, "1.33");
    assert_eq!(bank.scopes(), [MANAGEMENT, MANAGEMENT]);
    let fixed = CredentialChoice::Issuer(Arc::new(BearerToken::new("token-1")));
    let revoked = builder(&Player::default())
        .with_transport(hosts())
        .with_runtime(runtime)
        .with_credentials(fixed)
        .build()
        .expect("valid settings");
    let error = revoked.describe_cluster().await.expect_err("revoked");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.hint().contains("renew") && !error.sentence().contains("token-1"), "{}", error.sentence());
    assert_eq!(answering.seen().len(), 3, "two for the first, one for the second");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_end_in_the_middle_of_a_long_push_are_renewed_wherever_they_end() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let mut settings = RegistrySettings::acr("token-1");
    settings.accounts = (1..=99).map(|n| Account::administrator(format!("entra{n}"), format!("token-{n}"))).collect();
    if let Access::Token(tokens) = &mut settings.access {
        tokens.lifetime = Duration::from_mins(1);
    }
    let server = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), settings));
    let bank = Bank::new(runtime.clone(), Some(Duration::from_hours(1)));
    let cloud = builder(&Player::default())
        .with_transport(Hosts::default().with("chalkacme.azurecr.io", in_process(server.clone())).transport())
        .with_runtime(runtime.clone())
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    let registry = cloud.registry().expect("set");
    let repository = Repository::new("chalkacme.azurecr.io/chalk/engine").expect("a repository");
    // Twelve hours of layers, one every ten minutes: access tokens, refresh tokens and those of Entra ID end on the way.
    for number in 0..72 {
        let layer = Payload::from_bytes(format!("layer {number}").repeat(1000));
        registry.push_blob(&repository, &layer).await.expect("pushed");
        runtime.sleep(Duration::from_mins(10)).await;
    }
    assert_eq!(server.blobs().expect("readable").len(), 72);
    let log = server.request_log();
    let exchanges = log.requests.iter().filter(|request| request.path == "/oauth2/exchange").count();
    assert!(exchanges > 1, "refresh tokens end too");
    assert!(bank.scopes().iter().all(|asked| asked == scope::REGISTRY), "{:?}", bank.scopes());
}

/// Leads to one server after another.
#[derive(Clone)]
struct Switch(Arc<Mutex<Transport>>);

impl tower_service::Service<http::Request<RequestBody>> for Switch {
    type Response = http::Response<ByteStream>;
    type Error = TransportError;
    type Future = BoxedFuture<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        let transport = self.0.lock().expect("not poisoned").clone();
        Box::pin(async move { transport.send(request).await })
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_was_revoked_is_exchanged_anew() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    // Both servers are one registry, and neither takes what the other has signed.
    let world = World::memory();
    let server = || Arc::new(RegistryServer::new(&world, runtime.clone(), RegistrySettings::acr("token-1")));
    let (before, after) = (server(), server());
    let way = Arc::new(Mutex::new(in_process(before.clone())));
    let hosts = Hosts::default().with("chalkacme.azurecr.io", Transport::new(Switch(way.clone())));
    let cloud = builder(&Player::default())
        .with_transport(hosts.transport())
        .with_runtime(runtime.clone())
        .build()
        .expect("valid settings");
    let registry = cloud.registry().expect("set");
    let repository = Repository::new("chalkacme.azurecr.io/chalk/engine").expect("a repository");
    registry.push_blob(&repository, &Payload::from_bytes("one")).await.expect("pushed");
    *way.lock().expect("not poisoned") = in_process(after.clone());
    registry.push_blob(&repository, &Payload::from_bytes("two")).await.expect("pushed with another one");
    let exchanges = |server: &RegistryServer| {
        server.request_log().requests.iter().filter(|request| request.path == "/oauth2/exchange").count()
    };
    assert_eq!((exchanges(&before), exchanges(&after)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_not_the_configured_one_is_shown_no_token() {
    let evil = Answering::by(|seen| {
        assert!(!seen.body.contains("token-1") && !seen.uri.contains("exchange"), "{seen:?}");
        let challenge = "Bearer realm=\"https://evil.azurecr.io/oauth2/token\",service=\"chalkacme.azurecr.io\"";
        (401, vec![("www-authenticate", challenge.to_owned())], String::new())
    });
    let bank = Bank::new(VirtualRuntime::new(1), None);
    let cloud = builder(&Player::default())
        .with_transport(Hosts::default().with("evil.azurecr.io", evil.transport()).transport())
        .with_runtime(VirtualRuntime::new(1))
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    let repository = Repository::new("evil.azurecr.io/chalk/engine").expect("a repository");
    let payload = Payload::from_bytes("one");
    let error = cloud.registry().expect("set").push_blob(&repository, &payload).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{}", error.sentence());
    assert!(bank.scopes().is_empty(), "no token was even fetched");
    assert!(evil.seen().len() > 1, "it was asked, and its realm too");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_has_moved_is_found_again_by_the_request_that_missed_it() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let moved = Arc::new(AtomicUsize::new(0));
    let host = |moved: &AtomicUsize| format!("a{}.example", moved.load(Ordering::Relaxed));
    let says = moved.clone();
    let management = Answering::by(move |seen| {
        let host = host(&says);
        if seen.method == "GET" {
            return (200, Vec::new(), format!(r#"{{"properties":{{"fqdn":"{host}","aadProfile":{{}}}}}}"#));
        }
        let file = format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nclusters: [{{name: k, cluster: \
             {{server: 'https://{host}:443', certificate-authority-data: QQ==}}}}]\nusers: []\n"
        );
        let file = base64::engine::general_purpose::STANDARD.encode(file);
        (200, Vec::new(), format!(r#"{{"kubeconfigs":[{{"name":"clusterUser","value":"{file}"}}]}}"#))
    });
    let list = r#"{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
    let json = || vec![("content-type", "application/json".to_owned())];
    let api_server = Answering::by(move |_| (200, json(), list.to_owned()));
    let ways = Arc::new(Mutex::new("a0.example".to_owned()));
    let lives_at = ways.clone();
    let inner = api_server.transport();
    let network = OnlyAt { lives_at, inner };
    let cloud = builder(&Player::default())
        .with_transport(Hosts::default().with("management.azure.com", management.transport()).transport())
        .with_cluster_transports(Transport::new(network))
        .with_runtime(runtime)
        .build()
        .expect("valid settings");
    let connection = cloud.connection().expect("set");
    let reached = async || {
        // What the list holds is not what matters: that it was asked for is.
        let _ = ask(&connection).await;
        api_server.seen().len()
    };
    let first = reached().await;
    assert!(first > 0);
    moved.store(1, Ordering::Relaxed);
    "a1.example".clone_into(&mut ways.lock().expect("not poisoned"));
    assert!(reached().await > first);
    assert!(connection.server().contains("a1.example"), "{}", connection.server());
    let looks = management.seen().iter().filter(|seen| seen.method == "GET").count();
    assert_eq!(looks, 2);
}

/// A network on which one host answers.
#[derive(Clone)]
struct OnlyAt {
    lives_at: Arc<Mutex<String>>,
    inner: Transport,
}

impl tower_service::Service<http::Request<RequestBody>> for OnlyAt {
    type Response = http::Response<ByteStream>;
    type Error = TransportError;
    type Future = BoxedFuture<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        if request.uri().host() != Some(self.lives_at.lock().expect("not poisoned").as_str()) {
            return Box::pin(async { Err(TransportError::new(Delivery::NotSent, "connection refused")) });
        }
        let inner = self.inner.clone();
        Box::pin(async move { inner.send(request).await })
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_there_or_lies_elsewhere_is_an_error_with_its_address() {
    let cloud = builder(&Player::default())
        .with_transport(Hosts::default().transport())
        .with_runtime(VirtualRuntime::new(1))
        .build()
        .expect("valid settings");
    let error = cloud.bucket().expect("set").head(&key()).await.expect_err("no such host");
    assert_eq!(error.code(), ErrorCode::CloudUnavailable);
    assert!(error.sentence().contains(BLOBS), "{}", error.sentence());
    let blobs = Arc::new(BlobServer::new("another-container"));
    let cloud = builder(&Player::default())
        .with_transport(Hosts::default().with(BLOBS, in_process(blobs)).transport())
        .with_runtime(VirtualRuntime::new(1))
        .build()
        .expect("valid settings");
    let error = cloud.bucket().expect("set").list("", None, 1).await.expect_err("no such container");
    assert!(error.hint().contains("create the bucket"), "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn answers_that_never_end_or_make_no_sense_are_errors_and_no_loops() {
    for body in ["", "[]", "{", "{\"properties\":7}", "\u{1b}[31m", "null"] {
        let answering = Answering::by(move |_| (200, Vec::new(), body.to_owned()));
        let cloud = builder(&Player::default())
            .with_transport(Hosts::default().with("management.azure.com", answering.transport()).transport())
            .with_runtime(VirtualRuntime::new(1))
            .build()
            .expect("valid settings");
        let error = cloud.describe_cluster().await.expect_err(body);
        assert!(matches!(error.code(), ErrorCode::CloudAnswerInvalid | ErrorCode::RequestInvalid), "{body}: {error:?}");
        assert!(!error.sentence().contains('\u{1b}'));
    }
    let long = Answering::by(|_| (200, Vec::new(), "x".repeat(5 << 20)));
    let cloud = builder(&Player::default())
        .with_transport(Hosts::default().with("management.azure.com", long.transport()).transport())
        .build()
        .expect("valid settings");
    let error = cloud.describe_cluster().await.expect_err("too long");
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{}", error.sentence());
    // A list whose next page is itself, or elsewhere.
    for link in ["/acr/v1/chalk/engine/_manifests?n=100", "https://evil.example/acr/v1/chalk/engine/_manifests?x"] {
        let endless = Answering::by(move |seen| {
            if seen.uri.contains("/oauth2/") {
                return (200, Vec::new(), r#"{"refresh_token":"r","access_token":"a"}"#.to_owned());
            }
            (200, vec![("link", format!("<{link}>; rel=\"next\""))], r#"{"manifests":[]}"#.to_owned())
        });
        let cloud = builder(&Player::default())
            .with_transport(Hosts::default().with("chalkacme.azurecr.io", endless.transport()).transport())
            .build()
            .expect("valid settings");
        let repository = Repository::new("chalkacme.azurecr.io/chalk/engine").expect("a repository");
        let error = cloud.images().expect("set").images(&repository).await.expect_err("endless");
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{}", error.sentence());
    }
}

#[tokio::test]
async fn the_registrys_token_may_be_that_for_resource_manager() {
    let bank = Bank::new(SystemRuntime::new(), None);
    let registry = Answering::by(|seen| match seen.uri.as_str() {
        "https://chalkacme.azurecr.io/oauth2/exchange" => {
            assert!(seen.body.contains(&format!("tenant={TENANT}")) && seen.body.contains("access_token=token-1"));
            (200, Vec::new(), r#"{"refresh_token":"r"}"#.to_owned())
        }
        _ => (401, Vec::new(), String::new()),
    });
    let cloud = builder(&Player::default())
        .with_registry_audience(RegistryAudience::Management)
        .with_transport(Hosts::default().with("chalkacme.azurecr.io", registry.transport()).transport())
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    let repository = Repository::new("chalkacme.azurecr.io/chalk/engine").expect("a repository");
    cloud.images().expect("set").images(&repository).await.expect_err("no access token");
    assert_eq!(bank.scopes(), [MANAGEMENT]);
}

#[tokio::test]
async fn other_clouds_have_other_hosts() {
    let management = repeated(&["aks/cluster_public"]);
    let bank = Bank::new(SystemRuntime::new(), None);
    let cloud = Cloud::builder()
        .from_variables(|name| match name {
            "AZURE_AUTHORITY_HOST" => Some("https://login.microsoftonline.us/".to_owned()),
            "AZURE_SUBSCRIPTION_ID" => Some(common::SUBSCRIPTION.to_owned()),
            "AZURE_RESOURCE_GROUP" => Some("chalk-acme".to_owned()),
            _ => None,
        })
        .with_cluster("chalk")
        .with_registry("chalkacme.azurecr.us")
        .with_credentials(bank.choice())
        .with_transport(Hosts::default().with("management.usgovcloudapi.net", management.transport()).transport())
        .build()
        .expect("valid settings");
    cloud.describe_cluster().await.expect("described");
    assert_eq!(bank.scopes(), ["https://management.usgovcloudapi.net/.default"]);
    let error =
        builder(&Player::default()).with_national_cloud(NationalCloud::China).build().expect_err("another cloud's");
    assert!(
        error.sentence().contains(".azurecr.cn") && error.subject().contains("with_registry"),
        "{}",
        error.sentence()
    );
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_metadata_service_does_not_answer_says_so_in_time() {
    /// Takes everything, and answers nothing.
    #[derive(Clone)]
    struct Silent;

    impl tower_service::Service<http::Request<RequestBody>> for Silent {
        type Response = http::Response<ByteStream>;
        type Error = TransportError;
        type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<RequestBody>) -> Self::Future {
            std::future::pending()
        }
    }

    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let cloud = Cloud::builder()
        .with_credentials(CredentialChoice::ManagedIdentity)
        .with_transport(Transport::new(Silent))
        .with_runtime(runtime.clone())
        .build()
        .expect("valid settings");
    let tokens = cloud.credentials().of(MANAGEMENT);
    let error = tokens.token().await.expect_err("nobody");
    assert!(error.sentence().contains("does not answer") && error.hint().contains("identity"), "{}", error.sentence());
    assert_eq!(runtime.monotonic(), Duration::from_secs(30));
}

#[test]
fn what_is_set_before_the_variables_are_read_stays() {
    let variables = |name: &str| match name {
        "AZURE_AUTHORITY_HOST" => Some("https://login.microsoftonline.us".to_owned()),
        "AZURE_TOKEN_CREDENTIALS" => Some("WorkloadIdentityCredential".to_owned()),
        "AZURE_TENANT_ID" => Some("not/one".to_owned()),
        _ => None,
    };
    Cloud::builder()
        .with_tenant(TENANT)
        .with_national_cloud(NationalCloud::Public)
        .with_credentials(CredentialChoice::Chain)
        .with_registry("chalkacme.azurecr.io")
        .from_variables(variables)
        .build()
        .expect("nothing of the variables was taken");
}

#[test]
fn what_is_wrong_is_told_by_build_with_the_variable_or_the_method() {
    for (name, value, word) in [
        ("AZURE_TENANT_ID", "common", "AZURE_TENANT_ID"),
        ("AZURE_TENANT_ID", "a/b", "AZURE_TENANT_ID"),
        ("AZURE_CLIENT_ID", "me", "AZURE_CLIENT_ID"),
        ("AZURE_STORAGE_ACCOUNT", "Not_One", "AZURE_STORAGE_ACCOUNT"),
        ("AZURE_AUTHORITY_HOST", "https://user:hidden@h", "AZURE_AUTHORITY_HOST"),
        ("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential", "AZURE_TOKEN_CREDENTIALS"),
        ("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential", "AZURE_FEDERATED_TOKEN_FILE"),
    ] {
        let variables = move |wanted: &str| (wanted == name).then(|| value.to_owned());
        let error = Cloud::builder().from_variables(variables).build().expect_err(value);
        assert!(error.sentence().contains(word) && !error.sentence().contains("hidden"), "{}", error.sentence());
    }
    let cluster = Cloud::builder().with_cluster("chalk").build().expect_err("where?");
    assert!(cluster.hint().contains("AZURE_RESOURCE_GROUP"), "{}", cluster.sentence());
    let bucket = Cloud::builder().with_bucket("chalk-a").build().expect_err("where?");
    assert!(bucket.hint().contains("AZURE_STORAGE_ACCOUNT"), "{}", bucket.sentence());
    let bucket = Cloud::builder().with_storage_account("chalkacme").with_bucket("a--b").build().expect_err("no name");
    assert!(bucket.subject().contains("with_bucket"), "{}", bucket.sentence());
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let key = AzureSharedKey::new("aGlkZGVu").expect("base64");
    let hidden = CredentialChoice::Issuer(Arc::new(BearerToken::new("hidden-token")));
    let builder = builder(&Player::default()).with_credentials(hidden).with_account_key(key);
    let shown = format!("{builder:?}");
    let cloud = builder.build().expect("valid settings");
    let tokens = cloud.credentials();
    let shown = format!("{shown} {cloud:?} {tokens:?} {:?} {:?}", cloud.bucket(), tokens.of(MANAGEMENT));
    let shown = format!("{shown} {:?} {:?} {:?}", cloud.images(), cloud.buckets(), cloud.connection());
    assert!(!shown.contains("hidden") && !shown.contains("aGlk"), "{shown}");
}

/// A real account, where one is named: with whoever is logged in, of `AZURE_…` as [`Cloud::builder`] reads them.
#[tokio::test]
async fn a_real_cluster_is_described() {
    use std::io::Write as _;
    let cluster = std::env::var("CHALK_DEPLOY_LIVE_CLUSTER").ok();
    let (Ok("azure"), Some(cluster)) = (std::env::var("CHALK_DEPLOY_LIVE").as_deref(), cluster) else {
        let why = "skipped: CHALK_DEPLOY_LIVE is not `azure`, or CHALK_DEPLOY_LIVE_CLUSTER names no cluster";
        let _ = writeln!(std::io::stderr(), "{why}");
        return;
    };
    let runtime = SystemRuntime::new();
    let network = NetworkTransport::builder().runtime(runtime.clone()).allow_plain_http("169.254.169.254").build();
    let cloud = Cloud::builder()
        .from_env()
        .with_cluster(cluster)
        .with_transport(network.expect("settings"))
        .with_runtime(runtime)
        .build()
        .expect("AZURE_SUBSCRIPTION_ID and AZURE_RESOURCE_GROUP are set");
    let described = cloud.describe_cluster().await.expect("described");
    assert!(described.server.starts_with("https://"), "{described:?}");
}
