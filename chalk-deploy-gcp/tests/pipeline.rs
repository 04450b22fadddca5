//! The whole pipeline over the adapters of Google Cloud: a bucket of the JSON API, a registry with Artifact Registry's
//! manners, and a cluster that is found by name and leads to the simulated Kubernetes API. In the process and in
//! virtual time; nothing that is not asked of `*.googleapis.com`, `*-docker.pkg.dev` or the cluster's address is
//! answered, and nothing that the custom role for deployments does not permit.

mod common;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::bucket::Bucket;
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder};
use chalk_deploy_core::cloud::RouteReference;
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::machine::Outcome;
use chalk_deploy_core::model::{
    BaseImage, Boundary, Buckets, ClusterName, Component, DataPlane, DeploymentId, DeploymentPolicy, DeploymentStatus,
    Digest, EnvironmentId, Environments, Identities, Namespace, Platform, ProjectName, Repository, TrafficSplit,
};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::store::MemoryStore;
use chalk_deploy_core::traffic::{GatewayProbe, GatewayReference, GatewayTraffic, RouteSettings};
use chalk_deploy_core::transport::{RequestBody, Transport};
use chalk_deploy_core::{ApplyRequest, Deployer, Result, cloud};
use chalk_deploy_gcp::Cloud;
use chalk_deploy_gcp::permissions::{Purpose, needed};
use chalk_deploy_testkit::conformance::registry::RegistryHarness;
use chalk_deploy_testkit::conformance::{object_retention, object_store, registry};
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::base_image::SimulatedBaseImage;
use chalk_deploy_testkit::simulated::bucket::{GoogleBucketServer, GoogleBucketSettings};
use chalk_deploy_testkit::simulated::closure::Hosts;
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::simulated::kubernetes::api::{Anonymous, Token};
use chalk_deploy_testkit::simulated::plane::{GATEWAY, Plane, PlaneSettings, host};
use chalk_deploy_testkit::simulated::registry::RegistrySettings;
use chalk_deploy_testkit::{VirtualRuntime, World, sample};
use common::policy::Policy;
use common::{BUCKET, Bank, case, storage};
use http::Request;
use serde_json::json;

const HOST: &str = "us-central1-docker.pkg.dev";
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

/// Everything behind the adapters, with credentials that may do just this.
struct Stage {
    runtime: Arc<dyn Runtime>,
    plane: Plane,
    storage: Arc<GoogleBucketServer>,
    gke: Player,
    bank: Bank,
    policy: Policy,
    cloud: Cloud,
    deployer: Deployer,
    traffic: Arc<dyn cloud::TrafficShifter>,
    environment: EnvironmentId,
}

impl Stage {
    async fn with(permissions: Vec<&'static str>) -> Self {
        let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
        // All that Google and the cluster take is the one access token.
        let mut settings =
            PlaneSettings { registry: RegistrySettings::artifact_registry("token-1"), ..PlaneSettings::default() };
        settings.api.tokens = vec![Token::administrator("token-1")];
        settings.api.anonymous = Anonymous::Refused;
        let plane = Plane::start(&World::memory(), &runtime, settings).expect("the servers");
        let ways = plane.ways();
        let storage = storage(&runtime);
        let gke = Player::new([case("container", "public")]);
        let hosts = Hosts::default()
            .with("storage.googleapis.com", in_process(storage.clone()))
            .with(HOST, ways.registry.clone())
            .with("container.googleapis.com", gke.transport())
            .with("34.118.7.9", ways.kubernetes.clone());
        // What was there before: by somebody who may do everything.
        let environment = sample::environment().expect("an environment");
        make_namespace(&ways.kubernetes, &environment).await;
        let base = SimulatedBaseImage::new();
        let owner = Cloud::builder().with_transport(hosts.clone().transport()).with_registry(REGISTRY);
        let owner = owner.with_runtime(runtime.clone()).with_credentials(BearerToken::new("token-1")).build();
        let owner = owner.expect("valid settings").registry().expect("set");
        base.install(&owner, &base_repository()).await.expect("installed");

        let policy = Policy::new(permissions);
        let bank = Bank::new(runtime.clone(), None);
        let cloud = Cloud::builder()
            .with_transport(policy.around(hosts.transport()))
            .with_runtime(runtime.clone())
            .with_lender(bank.clone())
            .with_project("acme-prod")
            .with_cluster("us-central1/chalk")
            .with_bucket(BUCKET)
            .with_registry(REGISTRY)
            .build()
            .expect("valid settings");
        let (bucket, registry) = (cloud.bucket().expect("set"), cloud.registry().expect("set"));
        let builds = BuildFolder::temporary().expect("a folder");
        let builder = InProcessBuilder::new(Arc::new(bucket), Arc::new(registry), builds, runtime.clone());
        let gateway = GatewayReference { namespace: GATEWAY.0.to_owned(), name: GATEWAY.1.to_owned(), section: None };
        let probe = GatewayProbe::new(ways.gateway.clone(), &format!("http://{}", host::GATEWAY), runtime.clone());
        let connection = cloud.connection().expect("set");
        let traffic: Arc<dyn cloud::TrafficShifter> = Arc::new(
            GatewayTraffic::new(connection, RouteSettings::engine_behind(gateway))
                .with_probe(probe.expect("an address")),
        );
        let bundle = cloud.bundle(Arc::new(builder), traffic.clone()).expect("all is set");
        let environments = OneDataPlane { cloud: bundle, base: base.digest() };
        let deployer = Deployer::builder(Arc::new(environments), MemoryStore::new())
            .with_runtime(runtime.clone())
            .build()
            .expect("a deployer");
        Self { runtime, plane, storage, gke, bank, policy, cloud, deployer, traffic, environment }
    }

    async fn apply(&self, source: &str) -> (DeploymentId, Outcome) {
        let handle = self.deployer.apply(request(&self.environment, source)).await.expect("admitted");
        let outcome = handle.wait().await.expect("it ends");
        (handle.id().clone(), outcome)
    }

    fn tags(&self) -> Vec<String> {
        let repository = format!("acme-prod/chalk/{}-{}", Component::Engine, self.environment);
        self.plane.registry().tags(&repository).expect("readable")
    }
}

/// The source bucket of who may retain single objects too, which the role for deployments may not.
fn retaining(runtime: &Arc<dyn Runtime>) -> Bucket {
    let settings = GoogleBucketSettings::new(BUCKET).with_object_retention(true);
    let server = GoogleBucketServer::new(&World::memory(), runtime.clone(), settings).expect("a server");
    let cloud = Cloud::builder()
        .with_transport(Hosts::new().with("storage.googleapis.com", in_process(Arc::new(server))).transport())
        .with_runtime(runtime.clone())
        .with_credentials(BearerToken::new("token"))
        .with_bucket(BUCKET)
        .build();
    cloud.expect("valid settings").bucket().expect("set")
}

/// What the role for deployments may do.
fn deployer_role() -> Vec<&'static str> {
    needed(&[Purpose::Deploy])
}

#[tokio::test(start_paused = true)]
async fn deployments_into_google_cloud_end_in_success_and_serve_by_one_token_and_one_look_at_the_cluster() {
    let stage = Stage::with(deployer_role()).await;
    assert_eq!((stage.bank.count(), stage.gke.served().len()), (0, 0), "building asks for nothing");
    let route = RouteReference { environment: stage.environment.clone(), namespace: namespace(&stage.environment) };
    for source in ["one = 1\n", "two = 2\n"] {
        let (id, outcome) = stage.apply(source).await;
        assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
        assert!(outcome.residue.is_empty(), "{:?}", outcome.residue);
        let split = stage.traffic.observe(&route).await.expect("the route can be read").split;
        assert_eq!(split, TrafficSplit::all_to(id.clone()));
        let answered = stage.traffic.probe().expect("the gateway can be asked").ask(&route).await.expect("an answer");
        assert_eq!(answered, id);
        assert!(stage.tags().contains(&id.to_string()));
    }
    let keys = stage.storage.names(BUCKET).expect("readable");
    assert_eq!(keys.iter().filter(|key| key.starts_with("archives/")).count(), 2, "{keys:?}");
    assert!(keys.iter().all(|key| !key.starts_with("incoming/")), "{keys:?}");
    assert_eq!(stage.bank.count(), 1, "one token for bucket, registry, GKE and cluster");
    assert!(stage.gke.complaints().is_empty(), "{:?}", stage.gke.complaints());
    assert_eq!(stage.policy.refused(), [""; 0], "the role permits all that was asked");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_needs_each_permission_of_the_role_but_those_that_it_needs_now_and_then() {
    let whole = Stage::with(deployer_role()).await;
    let (_, outcome) = whole.apply("one = 1\n").await;
    assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
    let used = whole.policy.used();
    let seldom: Vec<_> = deployer_role().into_iter().filter(|name| !used.contains(*name)).collect();
    // After a failure, when a tag moves, by name, for a user's login, and to look at what is there.
    let expected = [
        "artifactregistry.tags.delete",
        "artifactregistry.tags.update",
        "container.clusters.connect",
        "serviceusage.services.use",
        "storage.objects.list",
    ];
    assert_eq!(seldom, expected, "used: {used:?}");
    for name in used {
        let permissions = deployer_role().into_iter().filter(|other| *other != name).collect();
        let stage = Stage::with(permissions).await;
        let (_, outcome) = stage.apply("one = 1\n").await;
        let error = outcome.error.unwrap_or_else(|| panic!("a deployment ends well without {name}"));
        assert_ne!(outcome.status, DeploymentStatus::Success, "{name}");
        assert!(error.message.contains(&name) || error.hint.contains(&name), "{name} is not told: {error:?}");
        assert!(stage.policy.refused().contains(&name), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_adapters_pass_the_suites_of_their_traits() {
    let stage = Stage::with(deployer_role()).await;
    let bucket = stage.cloud.bucket().expect("set");
    object_store::suite(&bucket, "whole").await.assert_passed();
    object_store::suite(&bucket.with_limits(2, 300_000, 2), "parts").await.assert_passed();
    let registry = Arc::new(stage.cloud.registry().expect("set"));
    let base = Repository::new(format!("{REGISTRY}/conformance")).expect("a repository");
    registry::suite(&RegistryHarness { registry, base }, "run").await.assert_passed();
    let keeping =
        object_retention::KeepingBucket { store: Arc::new(retaining(&stage.runtime)), now: stage.runtime.now() };
    object_retention::suite(&keeping, "kept").await.assert_passed();
    assert_eq!(stage.policy.refused(), [""; 0], "the role permits all that was asked");
    // Virtual time only passes where something waits for it.
    assert!(stage.runtime.monotonic() < Duration::from_mins(10));
}
