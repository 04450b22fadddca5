//! The whole pipeline over the adapters of Azure: a container of Blob Storage, a registry with ACR's manners, and a cluster
//! that Resource Manager describes as recorded and that leads to the simulated Kubernetes API. In the process and in
//! virtual time; nothing that is not asked of Azure's hosts is answered.

mod common;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_azure::credentials::scope;
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder};
use chalk_deploy_core::cloud::{Payload, RouteReference};
use chalk_deploy_core::model::{
    BaseImage, Boundary, Buckets, ClusterName, Component, DataPlane, DeploymentPolicy, DeploymentStatus, Digest,
    EnvironmentId, Environments, Identities, Namespace, Platform, ProjectName, Repository, TrafficSplit,
};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::store::MemoryStore;
use chalk_deploy_core::traffic::{GatewayProbe, GatewayReference, GatewayTraffic, RouteSettings};
use chalk_deploy_core::transport::{RequestBody, Transport};
use chalk_deploy_core::{ApplyRequest, Deployer, Result, cloud};
use chalk_deploy_testkit::conformance::object_store;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::base_image::SimulatedBaseImage;
use chalk_deploy_testkit::simulated::closure::Hosts;
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::simulated::kubernetes::api::{Anonymous, Token};
use chalk_deploy_testkit::simulated::plane::{GATEWAY, Plane, PlaneSettings, host};
use chalk_deploy_testkit::simulated::registry::{Account, RegistrySettings, RequestKind};
use chalk_deploy_testkit::{VirtualRuntime, World, sample};
use common::{Bank, MANAGEMENT, account, builder, player};
use http::Request;
use serde_json::json;

const CONTAINER: &str = "chalk-acme-source";
const BLOBS: &str = "chalkacme.blob.core.windows.net";
const REGISTRY: &str = "chalkacme.azurecr.io";
const API_SERVER: &str = "chalk-acme-1a2b3c4d.hcp.eastus.azmk8s.io";

/// The data plane in Azure.
#[derive(Debug)]
struct OneDataPlane {
    cloud: cloud::Cloud,
    base: Digest,
}

#[async_trait]
impl Environments for OneDataPlane {
    async fn resolve(&self, environment: &EnvironmentId) -> Result<Arc<DataPlane>> {
        Ok(Arc::new(DataPlane {
            environment: environment.clone(),
            cluster: ClusterName::new("chalk")?,
            namespace: namespace(environment),
            registry: Repository::new(format!("{REGISTRY}/chalk"))?,
            buckets: Buckets { source: CONTAINER.to_owned() },
            identities: Identities { workload: "default".to_owned(), ..Identities::default() },
            boundary: Boundary::default().allowing_this_process(),
            base_images: vec![BaseImage {
                component: Component::Engine,
                repository: base_repository(),
                digest: self.base,
            }],
            platforms: vec![Platform::linux_amd64()],
            policy: DeploymentPolicy {
                drain: Duration::ZERO,
                stable_for: Duration::ZERO,
                ..DeploymentPolicy::default()
            },
            cloud: self.cloud.clone(),
        }))
    }
}

fn namespace(environment: &EnvironmentId) -> Namespace {
    Namespace::new(format!("ns-{environment}")).expect("a namespace")
}

fn base_repository() -> Repository {
    Repository::new(format!("{REGISTRY}/chalk/engine-base")).expect("a repository")
}

async fn make_namespace(kubernetes: &Transport, environment: &EnvironmentId) {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(environment)}});
    let request = Request::post(format!("https://{API_SERVER}/api/v1/namespaces"))
        .header("content-type", "application/json")
        .header("authorization", "Bearer person")
        .body(RequestBody::Bytes(body.to_string().into()))
        .expect("a request");
    assert!(kubernetes.send(request).await.expect("answered").status().is_success());
}

fn request(environment: &EnvironmentId, source: &str) -> ApplyRequest {
    let packed = sample::archive(&[("chalk.yaml", b"project: fraud\n"), ("features.py", source.as_bytes())]);
    let fingerprint = sample::fingerprint(&packed).expect("an archive");
    let project = ProjectName::new("fraud").expect("a name");
    let payload = Payload::from_bytes(packed);
    ApplyRequest::new(environment.clone(), project, fingerprint, payload, sample::graph().expect("the sample graph"))
}

fn plane(runtime: &Arc<dyn Runtime>) -> Plane {
    let mut registry = RegistrySettings::acr("token-1");
    // Whichever of the first tokens it is that was issued for the registry.
    registry.accounts =
        (1..=9).map(|number| Account::administrator(format!("entra{number}"), format!("token-{number}"))).collect();
    let mut settings = PlaneSettings { registry, ..PlaneSettings::default() };
    settings.api.tokens = (1..=9).map(|number| Token::administrator(format!("token-{number}"))).collect();
    settings.api.tokens.push(Token::administrator("person"));
    settings.api.anonymous = Anonymous::Refused;
    Plane::start(&World::memory(), runtime, settings).expect("the servers")
}

#[tokio::test(start_paused = true)]
async fn deployments_into_azure_end_in_success_and_serve_by_one_token_a_scope_and_one_look_at_the_cluster() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let plane = plane(&runtime);
    let ways = plane.ways();
    let blobs = account(&runtime, CONTAINER);
    let aks: Player = player(&["aks/cluster_public", "aks/user_credentials"]);
    let transport = Hosts::new()
        .with(BLOBS, in_process(blobs.clone()))
        .with(REGISTRY, ways.registry.clone())
        .with("management.azure.com", aks.transport())
        .transport();
    let bank = Bank::new(runtime.clone(), None);
    // The cases were recorded with the first token, so that it is asked for before the others.
    let cloud = builder(&aks)
        .with_transport(transport)
        .with_cluster_transports(Hosts::new().with(API_SERVER, ways.kubernetes.clone()).transport())
        .with_runtime(runtime.clone())
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    assert_eq!((bank.scopes().len(), aks.served().len()), (0, 0), "building asks for nothing");
    chalk_deploy_core::credentials::BearerTokenSource::token(&cloud.credentials().of(MANAGEMENT))
        .await
        .expect("a token");

    let environment = sample::environment().expect("an environment");
    make_namespace(&ways.kubernetes, &environment).await;
    let registry = Arc::new(cloud.registry().expect("set"));
    let base = SimulatedBaseImage::new();
    base.install(&*registry, &base_repository()).await.expect("installed");

    let bucket = Arc::new(cloud.bucket().expect("set"));
    let builds = BuildFolder::temporary().expect("a folder");
    let builder = InProcessBuilder::new(bucket, registry, builds, runtime.clone());
    let gateway = GatewayReference { namespace: GATEWAY.0.to_owned(), name: GATEWAY.1.to_owned(), section: None };
    let probe = GatewayProbe::new(ways.gateway.clone(), &format!("http://{}", host::GATEWAY), runtime.clone());
    let traffic = GatewayTraffic::new(cloud.connection().expect("set"), RouteSettings::engine_behind(gateway))
        .with_probe(probe.expect("an address"));
    let bundle = cloud.bundle(Arc::new(builder), Arc::new(traffic)).expect("all is set");
    let traffic = bundle.traffic.clone();
    let environments = OneDataPlane { cloud: bundle, base: base.digest() };
    let deployer = Deployer::builder(Arc::new(environments), MemoryStore::new())
        .with_runtime(runtime)
        .build()
        .expect("a deployer");

    let route = RouteReference { environment: environment.clone(), namespace: namespace(&environment) };
    for source in ["one = 1\n", "two = 2\n"] {
        let handle = deployer.apply(request(&environment, source)).await.expect("admitted");
        let outcome = handle.wait().await.expect("it ends");
        assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
        assert!(outcome.residue.is_empty(), "{:?}", outcome.residue);
        let split = traffic.observe(&route).await.expect("the route can be read").split;
        assert_eq!(split, TrafficSplit::all_to(handle.id().clone()));
        let answered = traffic.probe().expect("the gateway can be asked").ask(&route).await.expect("an answer");
        assert_eq!(&answered, handle.id());
        let repository = format!("chalk/{}-{environment}", Component::Engine);
        assert!(plane.registry().tags(&repository).expect("readable").contains(&handle.id().to_string()));
    }
    let keys = blobs.names(CONTAINER).expect("readable");
    assert_eq!(keys.iter().filter(|key| key.starts_with("archives/")).count(), 2, "{keys:?}");
    assert!(keys.iter().all(|key| !key.starts_with("incoming/")), "{keys:?}");
    let mut scopes = bank.scopes();
    scopes.sort();
    assert_eq!(scopes, [scope::AKS, scope::REGISTRY, MANAGEMENT, scope::STORAGE], "one token for each");
    assert_eq!(aks.complaints(), Vec::<String>::new());
    let exchanges = plane.registry().request_log().requests.iter().filter(|it| it.path == "/oauth2/exchange").count();
    assert_eq!(exchanges, 1, "one refresh token for all pushes and pulls");
    assert!(plane.registry().request_log().count(RequestKind::Token) > 1);
}

#[tokio::test(start_paused = true)]
async fn the_container_passes_the_suite_of_buckets_by_tokens() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let blobs = account(&runtime, CONTAINER);
    let bank = Bank::new(runtime.clone(), None);
    let cloud = builder(&Player::default())
        .with_transport(Hosts::new().with(BLOBS, in_process(blobs)).transport())
        .with_runtime(runtime)
        .with_credentials(bank.choice())
        .build()
        .expect("valid settings");
    let bucket = cloud.bucket().expect("set");
    object_store::suite(&bucket, "whole").await.assert_passed();
    object_store::suite(&bucket.with_limits(64 << 10, 64 << 10, 3), "parts").await.assert_passed();
    assert_eq!(bank.scopes(), [scope::STORAGE]);
}
