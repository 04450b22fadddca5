//! Containers and blobs on Azurite, over sockets of this machine: another reading of Blob Storage than our own. By the
//! account's key, and, over TLS, by tokens of which it checks what they say and not who has signed them.
//!
//! The server is the one that the testbed has built; where it is not, this is skipped. It has no Resource Manager, so
//! versions, retention and lifecycle are the recorded cases'.

mod common;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chalk_deploy_azure::{Cloud, CloudBuilder, CredentialChoice, TokenIssuer};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::bucket::{AzureCredentials, AzureSharedKey, AzureSigner};
use chalk_deploy_core::cloud::{ObjectStore as _, Payload, PutMode};
use chalk_deploy_core::credentials::{BearerToken, Lent};
use chalk_deploy_core::model::{ObjectKey, Repository};
use chalk_deploy_core::provision::{BucketKeeper as _, BucketPlan, KeptBucket};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, RequestBody, Transport};
use chalk_deploy_testkit::conformance::object_store;
use chalk_deploy_testkit::distribution::{Distribution, Flow, TokenServer};
use chalk_deploy_testkit::foreign::{product, skip};
use chalk_deploy_testkit::sample;
use chalk_deploy_testkit::simulated::closure::Hosts;
use chalk_deploy_testkit::simulated::stage::{Names, Pulling, SimulatedCluster, Stage};
use futures::TryStreamExt as _;
use serde_json::json;

const ACCOUNT: &str = "chalkacme";
const KEY: &str = "Y2hhbGstYWNtZS1lbXVsYXRvci1rZXk=";
const TENANT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";

/// Who takes a token for blobs.
const STORAGE: &str = "https://storage.azure.com";
/// The token that the realm, Resource Manager and the cluster take.
const TOKEN: &str = "token-1";

/// The server, which ends with the test.
struct Emulator {
    child: Child,
    endpoint: String,
    transport: Transport,
    _folder: tempfile::TempDir,
}

impl Emulator {
    fn start(over_tls: bool) -> Option<Self> {
        let Some(program) = program() else {
            skip("the testbed has built no Azurite (testbed/build), or there is no node");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port();
        let mut command = Command::new("node");
        command
            .arg(program)
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--inMemoryPersistence"])
            .args(["--skipApiVersionCheck", "--disableTelemetry", "--silent", "--disableProductStyleUrl"])
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"))
            .current_dir(folder.path());
        let mut network = NetworkTransport::builder();
        if over_tls {
            let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
            let certificate = made.cert.pem();
            let write = |name: &str, text: &str| {
                std::fs::write(folder.path().join(name), text).expect("written");
                folder.path().join(name)
            };
            command.args(["--oauth", "basic", "--cert"]).arg(write("cert.pem", &certificate));
            command.arg("--key").arg(write("key.pem", &made.signing_key.serialize_pem()));
            network = network.trust_only(certificate.as_bytes());
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let scheme = if over_tls { "https" } else { "http" };
        let endpoint = format!("{scheme}://127.0.0.1:{port}/{ACCOUNT}");
        Some(Self { child, endpoint, transport: network.build().expect("settings"), _folder: folder })
    }

    fn builder(&self) -> CloudBuilder {
        Cloud::builder()
            .with_storage_account(ACCOUNT)
            .with_blob_endpoint(&self.endpoint)
            .with_transport(self.transport.clone())
            .with_runtime(SystemRuntime::new())
    }

    /// Keeps a first container, which takes as many tries as the server takes to start.
    async fn begin(&self, cloud: &Cloud, plan: &BucketPlan) -> KeptBucket {
        let keeper = cloud.buckets().expect("set");
        let runtime = SystemRuntime::new();
        let mut kept = keeper.keep(plan).await;
        for _ in 0..200 {
            if !kept.as_ref().is_err_and(|error| error.code() == ErrorCode::CloudUnavailable) {
                break;
            }
            runtime.sleep(Duration::from_millis(50)).await;
            kept = keeper.keep(plan).await;
        }
        kept.expect("made")
    }

    /// The address of who may read a container.
    fn acl(&self, container: &str) -> String {
        format!("{}/{container}?restype=container&comp=acl", self.endpoint)
    }

    /// Sends a request of the account's owner. Gives the status and the text of the answer.
    async fn signed(&self, request: http::Request<&'static str>) -> (u16, String) {
        let key = AzureSharedKey::new(KEY).expect("base64");
        let signer = AzureSigner::new(ACCOUNT, AzureCredentials::SharedKey(Arc::new(key)), SystemRuntime::new());
        let (mut parts, body) = request.into_parts();
        let length = body.len() as u64;
        signer.authorize(&parts.method, &parts.uri, &mut parts.headers, length).await.expect("signed");
        let body = if body.is_empty() { RequestBody::Empty } else { RequestBody::Bytes(body.into()) };
        let response = self.transport.send(http::Request::from_parts(parts, body)).await.expect("an answer");
        let status = response.status().as_u16();
        let pieces: Vec<bytes::Bytes> = response.into_body().try_collect().await.expect("a whole body");
        (status, String::from_utf8_lossy(&pieces.concat()).into_owned())
    }

    async fn status(&self, url: &str) -> u16 {
        let request = http::Request::get(url).body(RequestBody::Empty).expect("a request");
        self.transport.send(request).await.expect("an answer").status().as_u16()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server, where there is something to run it with.
fn program() -> Option<PathBuf> {
    let has_node = Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok_and(|it| it.success());
    product("azurite", "share/azurite/node_modules/azurite/dist/src/blob/main.js").filter(|_| has_node)
}

fn plans() -> [BucketPlan; 5] {
    let origins = BucketPlan::HOSTED_ORIGINS.map(|origin| origin.parse().expect("an origin"));
    BucketPlan::five("acme", &origins).expect("a prefix")
}

#[tokio::test]
async fn five_containers_are_made_and_set_up_once_by_the_accounts_key() {
    let Some(emulator) = Emulator::start(false) else { return };
    let with_key = || emulator.builder().with_account_key(AzureSharedKey::new(KEY).expect("base64"));
    let cloud = with_key().build().expect("valid settings");
    let [first, rest @ ..] = plans();
    let kept = emulator.begin(&cloud, &first).await;
    assert_eq!((kept.created, kept.changed), (true, vec!["cors"]));
    let keeper = cloud.buckets().expect("set");
    for plan in &rest {
        let kept = keeper.keep(plan).await.expect("made");
        assert_eq!((kept.created, kept.changed.len()), (true, 0), "the rule is the account's: {kept:?}");
    }
    let again = keeper.keep(&first).await.expect("there");
    assert_eq!((again.created, again.changed.len(), again.cannot.len()), (false, 0, 0), "{again:?}");
    let bucket = with_key().with_bucket("chalk-acme-data").build().expect("valid").bucket().expect("set");
    object_store::suite(&bucket, "key").await.assert_passed();
    let wrong = emulator.builder().with_account_key(AzureSharedKey::new("d3Jvbmc=").expect("base64"));
    let error = wrong.build().expect("valid").buckets().expect("set").keep(&first).await.expect_err("a wrong key");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{}", error.sentence());
}

#[tokio::test]
async fn a_public_container_is_shut_and_the_signatures_of_others_stay_valid() {
    let Some(emulator) = Emulator::start(false) else { return };
    let key = || AzureSharedKey::new(KEY).expect("base64");
    let cloud = emulator.builder().with_account_key(key()).build().expect("valid settings");
    let [plan, other, ..] = plans();
    emulator.begin(&cloud, &plan).await;
    let keeper = cloud.buckets().expect("set");
    keeper.keep(&other).await.expect("made");
    let policy = "<SignedIdentifiers><SignedIdentifier><Id>reports</Id><AccessPolicy><Start>2026-11-01T00:00:00.0000000Z\
        </Start><Expiry>2036-11-01T00:00:00.0000000Z</Expiry><Permission>r</Permission></AccessPolicy></SignedIdentifier>\
        </SignedIdentifiers>";
    for (name, policies) in [(&plan.name, policy), (&other.name, "")] {
        let public = |body: &'static str| {
            http::Request::put(emulator.acl(name)).header("x-ms-blob-public-access", "container").body(body)
        };
        let (status, _) = emulator.signed(public(policies).expect("a request")).await;
        assert_eq!(status, 200, "{name} is made public");
        let kept = keeper.keep(if name == &plan.name { &plan } else { &other }).await.expect("kept");
        assert_eq!(kept.changed, ["access"], "{name}");
        let (status, answer) =
            emulator.signed(http::Request::get(emulator.acl(name)).body("").expect("a request")).await;
        assert_eq!(status, 200);
        assert_eq!(
            answer.contains("<Id>reports</Id>") && answer.contains("<Permission>r</Permission>"),
            !policies.is_empty()
        );
        let list = format!("{}/{name}?restype=container&comp=list", emulator.endpoint);
        assert_ne!(emulator.status(&list).await, 200, "nobody lists it without a key");
    }
}

/// A token that says this, which nobody has signed.
fn said(expires_in: i64, audience: &str) -> BearerToken {
    let now = i64::try_from(SystemRuntime::new().now().as_millis() / 1000).expect("fits");
    let claims = json!({
        "aud": audience, "iss": format!("https://sts.windows.net/{TENANT}/"), "iat": now - 7200, "nbf": now - 7200,
        "exp": now + expires_in, "oid": "11059fcc-5514-4800-b5f8-49808b9cfab6", "tid": TENANT, "ver": "1.0",
    });
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let text = format!(
        "{}.{}.{}",
        part(json!({"alg": "RS256", "typ": "JWT"}).to_string()),
        part(claims.to_string()),
        part("signed".to_owned())
    );
    BearerToken::new(text)
}

fn token(expires_in: i64, audience: &str) -> CredentialChoice {
    CredentialChoice::Issuer(Arc::new(said(expires_in, audience)))
}

#[tokio::test]
async fn a_token_makes_containers_holds_blobs_and_signs_addresses_with_a_delegated_key() {
    let Some(emulator) = Emulator::start(true) else { return };
    let builder = || emulator.builder().with_tenant(TENANT).with_bucket("chalk-acme-source");
    let cloud = builder().with_credentials(token(3600, STORAGE)).build().expect("valid settings");
    let [_, source, ..] = plans();
    assert!(emulator.begin(&cloud, &source).await.created);
    let bucket = cloud.bucket().expect("set");
    object_store::suite(&bucket, "token").await.assert_passed();

    let odd = ObjectKey::new("presigned/a b/ä+c").expect("a key");
    bucket.put(&odd, &Payload::from_bytes("text"), PutMode::WriteOnce).await.expect("stored");
    let presigned = bucket.presigned_download().expect("by a delegated key");
    let url = presigned.presign(&odd, Duration::from_mins(5)).await.expect("signed");
    assert_eq!(emulator.status(url.expose()).await, 200);
    assert_eq!(emulator.status(&url.expose().replace("/a%20b/", "/other/")).await, 403, "it is for one blob");
    assert_ne!(emulator.status(&url.expose().replace("sp=r", "sp=rw")).await, 200, "it is signed");
    assert_ne!(emulator.status(url.expose().split('?').next().expect("an address")).await, 200);

    for (choice, what) in
        [(token(-60, STORAGE), "expired"), (token(3600, "https://vault.azure.net"), "for another service")]
    {
        let cloud = builder().with_credentials(choice).build().expect("valid settings");
        let error = cloud.buckets().expect("set").keep(&source).await.expect_err(what);
        assert_eq!(error.code(), ErrorCode::PermissionDenied, "{what}: {}", error.sentence());
        assert!(error.hint().contains("renew"), "{what}: {}", error.sentence());
        let error = cloud.bucket().expect("set").head(&odd).await.expect_err(what);
        assert_eq!(error.code(), ErrorCode::PermissionDenied, "{what}: {}", error.sentence());
    }
}

/// Tokens of Entra ID, as each service takes them.
#[derive(Debug)]
struct Entra;

#[async_trait]
impl TokenIssuer for Entra {
    async fn issue(&self, scope: &str) -> chalk_deploy_core::Result<Lent<BearerToken>> {
        match scope.strip_suffix("/.default") {
            // Azurite reads what a token says; the others know one by heart.
            Some("https://storage.azure.com") => Ok(Lent { value: said(3600, STORAGE), expires: None }),
            _ => Ok(Lent { value: BearerToken::new(TOKEN), expires: None }),
        }
    }
}

#[tokio::test]
async fn the_whole_pipeline_ends_in_success_on_emulators_and_replaces_a_version() {
    let Some(emulator) = Emulator::start(true) else { return };
    let realm = TokenServer::new(Flow::RefreshToken(TOKEN.to_owned()));
    let Some(distribution) = Distribution::behind(&realm, "chalk-deploy-azure/tests/emulator").await else { return };
    let runtime: Arc<dyn Runtime> = SystemRuntime::new();
    let [_, source, ..] = plans();
    let owner = emulator.builder().with_tenant(TENANT).with_credentials(token(3600, STORAGE)).build();
    emulator.begin(&owner.expect("valid settings"), &source).await;

    // Resource Manager has no emulator: it answers as recorded, and the cluster is the simulated one.
    let aks = common::player(&["aks/cluster_public", "aks/user_credentials"]);
    let transport = Hosts::new().with("management.azure.com", aks.transport()).otherwise(emulator.transport.clone());
    let transport = transport.transport();
    let repositories = Repository::new(format!("{}/chalk", distribution.host())).expect("a repository");
    let builder = || {
        let builder = emulator.builder().with_tenant(TENANT).with_transport(transport.clone());
        builder
            .with_credentials(CredentialChoice::Issuer(Arc::new(Entra)))
            .with_registry_endpoint(distribution.endpoint())
    };
    let of_the_nodes = builder().build().expect("valid settings").registry().expect("set");
    let cluster = SimulatedCluster::start(Arc::new(Pulling(Arc::new(of_the_nodes))), TOKEN, &runtime);
    cluster.make_namespace(&sample::environment().expect("an environment")).await;
    let cloud =
        builder().with_subscription(common::SUBSCRIPTION).with_resource_group("chalk-acme").with_cluster("chalk");
    let cloud = cloud.with_cluster_transports(cluster.kubernetes()).with_bucket(&source.name);
    let cloud = cloud.build().expect("valid settings");
    let names = Names { bucket: source.name, repositories, gateway: cluster.gateway() };
    let stage = Stage::open(&cloud, names, &runtime).await.expect("all is set");
    let deployed = stage.assert_deploys_and_replaces().await;
    stage.assert_keeps(&deployed).await;
    common::assert_complete(&aks);
    assert!(realm.exchanges() > 0 && !realm.given().is_empty());
}
