//! The whole pipeline over the adapters of Google Cloud: a bucket of the JSON API, a registry with Artifact Registry's
//! manners, and a cluster that is found by name and leads to the simulated Kubernetes API. In the process and in
//! virtual time; nothing that is not asked of `*.googleapis.com`, `*-docker.pkg.dev` or the cluster's address is
//! answered, and nothing that the custom role for deployments does not permit.

mod common;

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::bucket::Bucket;
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::model::{BaseImage, Component, DeploymentStatus, Repository};
use chalk_deploy_core::runtime::Runtime;
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
use chalk_deploy_testkit::simulated::plane::{Plane, PlaneSettings};
use chalk_deploy_testkit::simulated::registry::RegistrySettings;
use chalk_deploy_testkit::simulated::stage::{Names, Stage, make_namespace};
use chalk_deploy_testkit::{VirtualRuntime, World, sample};
use common::policy::Policy;
use common::{BUCKET, Bank, case, storage};

const HOST: &str = "us-central1-docker.pkg.dev";
const REGISTRY: &str = "us-central1-docker.pkg.dev/acme-prod/chalk";

/// Everything behind the adapters, with credentials that may do just this.
struct Google {
    runtime: Arc<dyn Runtime>,
    plane: Plane,
    storage: Arc<GoogleBucketServer>,
    gke: Player,
    bank: Bank,
    policy: Policy,
    cloud: Cloud,
    stage: Stage,
}

impl Google {
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
        let hosts = Hosts::new()
            .with("storage.googleapis.com", in_process(storage.clone()))
            .with(HOST, ways.registry.clone())
            .with("container.googleapis.com", gke.transport())
            .with("34.118.7.9", ways.kubernetes.clone());
        // What was there before: by somebody who may do everything.
        make_namespace(&ways.kubernetes, "token-1", &sample::environment().expect("an environment")).await;
        let owner = Cloud::builder().with_transport(hosts.clone().transport()).with_registry(REGISTRY);
        let owner = owner.with_runtime(runtime.clone()).with_credentials(BearerToken::new("token-1")).build();
        let owner = owner.expect("valid settings").registry().expect("set");
        let repository = Repository::new(format!("{REGISTRY}/engine-base")).expect("a repository");
        let digest = SimulatedBaseImage::new().install(&owner, &repository).await.expect("installed");

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
        let names = Names {
            bucket: BUCKET.to_owned(),
            repositories: Repository::new(REGISTRY).expect("a repository"),
            gateway: ways.gateway.clone(),
        };
        let base = BaseImage { component: Component::Engine, repository, digest };
        let stage = Stage::on_base(&cloud, names, base, &runtime);
        Self { runtime, plane, storage, gke, bank, policy, cloud, stage: stage.expect("all is set") }
    }

    fn tags(&self) -> Vec<String> {
        let repository = format!("acme-prod/chalk/{}-{}", Component::Engine, self.stage.environment);
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
    let google = Google::with(deployer_role()).await;
    assert_eq!((google.bank.count(), google.gke.served().len()), (0, 0), "building asks for nothing");
    let deployed = google.stage.assert_deploys_and_replaces().await;
    assert!(deployed.iter().all(|id| google.tags().contains(&id.to_string())), "{:?}", google.tags());
    let keys = google.storage.names(BUCKET).expect("readable");
    assert_eq!(keys.iter().filter(|key| key.starts_with("archives/")).count(), 2, "{keys:?}");
    assert!(keys.iter().all(|key| !key.starts_with("incoming/")), "{keys:?}");
    assert_eq!(google.bank.count(), 1, "one token for bucket, registry, GKE and cluster");
    assert!(google.gke.complaints().is_empty(), "{:?}", google.gke.complaints());
    assert_eq!(google.policy.refused(), [""; 0], "the role permits all that was asked");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_needs_each_permission_of_the_role_but_those_that_it_needs_now_and_then() {
    let whole = Google::with(deployer_role()).await;
    let (_, outcome) = whole.stage.deploy("one = 1\n").await;
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
        let google = Google::with(permissions).await;
        let (_, outcome) = google.stage.deploy("one = 1\n").await;
        let error = outcome.error.unwrap_or_else(|| panic!("a deployment ends well without {name}"));
        assert_ne!(outcome.status, DeploymentStatus::Success, "{name}");
        assert!(error.message.contains(&name) || error.hint.contains(&name), "{name} is not told: {error:?}");
        assert!(google.policy.refused().contains(&name), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_adapters_pass_the_suites_of_their_traits() {
    let google = Google::with(deployer_role()).await;
    let bucket = google.cloud.bucket().expect("set");
    object_store::suite(&bucket, "whole").await.assert_passed();
    object_store::suite(&bucket.with_limits(2, 300_000, 2), "parts").await.assert_passed();
    let registry = Arc::new(google.cloud.registry().expect("set"));
    let base = Repository::new(format!("{REGISTRY}/conformance")).expect("a repository");
    registry::suite(&RegistryHarness { registry, base }, "run").await.assert_passed();
    let store = Arc::new(retaining(&google.runtime));
    let keeping = object_retention::KeepingBucket { store, now: google.runtime.now() };
    object_retention::suite(&keeping, "kept").await.assert_passed();
    assert_eq!(google.policy.refused(), [""; 0], "the role permits all that was asked");
    // Virtual time only passes where something waits for it.
    assert!(google.runtime.monotonic() < Duration::from_mins(10));
}
