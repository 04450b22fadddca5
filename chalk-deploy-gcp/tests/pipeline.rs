//! The whole pipeline over the adapters of Google Cloud: a bucket of the JSON API, a registry with Artifact Registry's
//! manners, and a cluster that is found by name and leads to the simulated Kubernetes API. In the process and in virtual
//! time; nothing that is not asked of `*.googleapis.com`, `*-docker.pkg.dev` or the cluster's address is answered.

mod common;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder};
use chalk_deploy_core::cloud::RouteReference;
use chalk_deploy_core::model::{
    BaseImage, Boundary, Buckets, ClusterName, Component, DataPlane, DeploymentPolicy, DeploymentStatus, Digest,
    EnvironmentId, Environments, Identities, Namespace, Platform, ProjectName, Repository, TrafficSplit,
};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::store::MemoryStore;
use chalk_deploy_core::traffic::{GatewayProbe, GatewayReference, GatewayTraffic, RouteSettings};
use chalk_deploy_core::transport::{RequestBody, Transport};
use chalk_deploy_core::{ApplyRequest, Deployer, Result, cloud};
use chalk_deploy_gcp::Cloud;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::base_image::SimulatedBaseImage;
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::simulated::kubernetes::api::{Anonymous, Token};
use chalk_deploy_testkit::simulated::plane::{GATEWAY, Plane, PlaneSettings, host};
use chalk_deploy_testkit::simulated::registry::RegistrySettings;
use chalk_deploy_testkit::{VirtualRuntime, World, sample};
use common::storage::Storage;
use common::{Bank, Hosts, case};
use http::Request;
use serde_json::json;

const BUCKET: &str = "chalk-acme-source";
const REGISTRY: &str = "us-central1-docker.pkg.dev/acme-prod/chalk";

/// The data plane in Google Cloud.
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
            registry: Repository::new(REGISTRY)?,
            buckets: Buckets { source: BUCKET.to_owned() },
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
    Repository::new(format!("{REGISTRY}/engine-base")).expect("a repository")
}

async fn make_namespace(kubernetes: &Transport, environment: &EnvironmentId) {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(environment)}});
    let request = Request::post("https://34.118.7.9/api/v1/namespaces")
        .header("content-type", "application/json")
        .header("authorization", "Bearer token-1")
        .body(RequestBody::Bytes(body.to_string().into()))
        .expect("a request");
    assert!(kubernetes.send(request).await.expect("answered").status().is_success());
}

fn request(environment: &EnvironmentId, source: &str) -> ApplyRequest {
    let packed = sample::archive(&[("chalk.yaml", b"project: fraud\n"), ("features.py", source.as_bytes())]);
    let fingerprint = sample::fingerprint(&packed).expect("an archive");
    let project = ProjectName::new("fraud").expect("a name");
    let payload = chalk_deploy_core::cloud::Payload::from_bytes(packed);
    ApplyRequest::new(environment.clone(), project, fingerprint, payload, sample::graph().expect("the sample graph"))
}

#[tokio::test(start_paused = true)]
async fn deployments_into_google_cloud_end_in_success_and_serve_by_one_token_and_one_look_at_the_cluster() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    // All that Google and the cluster take is the one access token.
    let mut settings =
        PlaneSettings { registry: RegistrySettings::artifact_registry("token-1"), ..PlaneSettings::default() };
    settings.api.tokens = vec![Token::administrator("token-1")];
    settings.api.anonymous = Anonymous::Refused;
    let plane = Plane::start(&World::memory(), &runtime, settings).expect("the servers");
    let ways = plane.ways();
    let storage = Arc::new(Storage::new(BUCKET));
    let gke = Player::new([case("container", "public")]);
    let transport = Hosts::default()
        .with("storage.googleapis.com", in_process(storage.clone()))
        .with("us-central1-docker.pkg.dev", ways.registry.clone())
        .with("container.googleapis.com", gke.transport())
        .with("34.118.7.9", ways.kubernetes.clone())
        .transport();
    let bank = Bank::new(runtime.clone(), None);
    let cloud = Cloud::builder()
        .with_transport(transport)
        .with_runtime(runtime.clone())
        .with_lender(bank.clone())
        .with_project("acme-prod")
        .with_cluster("us-central1/chalk")
        .with_bucket(BUCKET)
        .with_registry(REGISTRY)
        .build()
        .expect("valid settings");
    assert_eq!((bank.count(), gke.served().len()), (0, 0), "building asks for nothing");

    let environment = sample::environment().expect("an environment");
    make_namespace(&ways.kubernetes, &environment).await;
    let registry = Arc::new(cloud.registry());
    let base = SimulatedBaseImage::new();
    base.install(&*registry, &base_repository()).await.expect("installed");

    let bucket = Arc::new(cloud.bucket().expect("set"));
    let builds = BuildFolder::temporary().expect("a folder");
    let builder = InProcessBuilder::new(bucket, registry, builds, runtime.clone());
    let gateway = GatewayReference { namespace: GATEWAY.0.to_owned(), name: GATEWAY.1.to_owned(), section: None };
    let probe = GatewayProbe::new(ways.gateway.clone(), &format!("http://{}", host::GATEWAY), runtime.clone());
    let bundle_of = |cloud: &Cloud| {
        let connection = cloud.cluster().expect("set").connection().clone();
        let traffic = GatewayTraffic::new(connection, RouteSettings::engine_behind(gateway.clone()))
            .with_probe(probe.as_ref().expect("an address").clone());
        cloud.bundle(Arc::new(builder.clone()), Arc::new(traffic)).expect("all is set")
    };
    let bundle = bundle_of(&cloud);
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
        let repository = format!("acme-prod/chalk/{}-{environment}", Component::Engine);
        assert!(plane.registry().tags(&repository).expect("readable").contains(&handle.id().to_string()));
    }
    let keys = storage.keys();
    assert_eq!(keys.iter().filter(|key| key.starts_with("archives/")).count(), 2, "{keys:?}");
    assert!(keys.iter().all(|key| !key.starts_with("incoming/")), "{keys:?}");
    assert_eq!(bank.count(), 1, "one token for bucket, registry, GKE and cluster");
    assert!(gke.complaints().is_empty(), "{:?}", gke.complaints());
}
