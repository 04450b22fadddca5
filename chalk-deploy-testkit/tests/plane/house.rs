//! A deployer on the adapters and the simulated servers, and what tests ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::build::BuildFolder;
use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::cloud::{Payload, RouteReference, Selector};
use chalk_deploy_core::machine::{Outcome, RecordedEvent};
use chalk_deploy_core::model::{
    Component, DeploymentId, DeploymentPolicy, DeploymentStatus, EnvironmentId, Namespace, ProjectName, TrafficSplit,
};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::store::{DeploymentStore, MemoryStore};
use chalk_deploy_core::{ApplyRequest, Deployer};
use chalk_deploy_testkit::simulated::fault::ProtocolFaults;
use chalk_deploy_testkit::simulated::gateway::RequestOutcome;
use chalk_deploy_testkit::simulated::kubernetes::ClusterSettings;
use chalk_deploy_testkit::simulated::plane::{Adapters, Plane, PlaneSettings, SimulatedEnvironments};
use chalk_deploy_testkit::{VirtualRuntime, World, sample};

/// What outlives a process: the servers' world, the journal, the builder's folder.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) world: World,
    pub(crate) store: Arc<dyn DeploymentStore>,
    pub(crate) builds: BuildFolder,
}

impl Outside {
    pub(crate) fn new() -> Self {
        let builds = BuildFolder::temporary().expect("a temporary folder");
        Self { world: World::memory(), store: MemoryStore::new(), builds }
    }
}

/// The parts of a [`House`] that a test may choose.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) outside: Outside,
    pub(crate) checkpoints: Arc<dyn Checkpoints>,
    pub(crate) policy: DeploymentPolicy,
    pub(crate) settings: PlaneSettings,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            outside: Outside::new(),
            checkpoints: Arc::new(NoCheckpoints),
            policy: DeploymentPolicy {
                stable_for: Duration::from_secs(2),
                drain: Duration::from_secs(5),
                ..DeploymentPolicy::default()
            },
            settings: PlaneSettings { cluster: ClusterSettings::realistic(), ..PlaneSettings::default() },
        }
    }
}

/// One process: servers, adapters and a deployer.
pub(crate) struct House {
    pub(crate) runtime: Arc<VirtualRuntime>,
    pub(crate) plane: Plane,
    pub(crate) adapters: Adapters,
    pub(crate) store: Arc<dyn DeploymentStore>,
    pub(crate) deployer: Deployer,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::of(Plan::default())
    }

    pub(crate) fn of(plan: Plan) -> Self {
        let Plan { seed, outside, checkpoints, policy, settings } = plan;
        let runtime = VirtualRuntime::new(seed);
        let clock: Arc<dyn Runtime> = runtime.clone();
        let plane = Plane::start(&outside.world, &clock, settings).expect("the servers");
        let adapters = Adapters::new(&plane.ways(), None, outside.builds, &clock).expect("the adapters");
        let environments = SimulatedEnvironments::any(adapters.clone()).with_policy(policy);
        let deployer = Deployer::builder(Arc::new(environments), Arc::clone(&outside.store))
            .with_runtime(clock)
            .with_checkpoints(checkpoints)
            .build()
            .expect("a deployer");
        Self { runtime, plane, adapters, store: outside.store, deployer }
    }

    pub(crate) fn faults(&self) -> &ProtocolFaults {
        self.plane.faults()
    }

    /// Applies a source and waits for the end.
    pub(crate) async fn apply(&self, source: &str) -> (DeploymentId, Outcome) {
        let handle = self.deployer.apply(request(source)).await.expect("the request is admitted");
        let outcome = handle.wait().await.expect("the deployment ends");
        (handle.id().clone(), outcome)
    }

    pub(crate) async fn journal(&self, deployment: &DeploymentId) -> Vec<RecordedEvent> {
        self.store.events(deployment, 0).await.expect("the journal can be read")
    }

    pub(crate) async fn split(&self) -> TrafficSplit {
        self.adapters.cloud().traffic.observe(&route()).await.expect("the route can be read").split
    }

    /// What production consists of, without what changes by itself.
    pub(crate) async fn production(&self) -> Production {
        let selector = Selector { environment: environment(), deployment: None };
        let cluster = &self.adapters.cloud().cluster;
        let live = cluster.list(&route().namespace, &selector).await.expect("the cluster can be read");
        let objects = live
            .into_iter()
            .map(|object| {
                let generation = object.document["metadata"]["generation"].as_u64().unwrap_or_default();
                (object.identity.to_string(), generation)
            })
            .filter(|(identity, _)| !identity.starts_with("HTTPRoute"))
            .collect();
        Production { split: self.split().await, objects }
    }

    /// What production consists of, without the uids, which depend on how many changes there were before.
    pub(crate) async fn composition(&self) -> Production {
        let Production { split, objects } = self.production().await;
        let without_uid = |identity: String| identity.split(" (uid").next().map(str::to_owned).unwrap_or(identity);
        let objects = objects.into_iter().map(|(identity, generation)| (without_uid(identity), generation)).collect();
        Production { split, objects }
    }

    /// The requests through the gateway that met no ready backend, or were answered with an error.
    pub(crate) fn lost_requests(&self) -> usize {
        let lost = |outcome: &RequestOutcome| outcome.went_to_no_ready_backend() || outcome.status >= 500;
        self.plane.gateway().outcomes().iter().filter(|outcome| lost(outcome)).count()
    }

    /// The keys in the source bucket.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = self.adapters.cloud().object_store.list("", None, 1000).await.expect("the bucket can be read");
        listed.into_iter().map(|object| object.key.to_string()).collect()
    }

    /// The tags of the engine's images.
    pub(crate) fn tags(&self) -> BTreeSet<String> {
        let repository = format!("chalk/{}-{}", Component::Engine, environment());
        self.plane.registry().tags(&repository).expect("the registry can be read").into_iter().collect()
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Production {
    pub(crate) split: TrafficSplit,
    pub(crate) objects: BTreeMap<String, u64>,
}

pub(crate) fn environment() -> EnvironmentId {
    sample::environment().expect("a valid environment")
}

pub(crate) fn route() -> RouteReference {
    let namespace = Namespace::new(format!("ns-{}", environment())).expect("a valid namespace");
    RouteReference { environment: environment(), namespace }
}

/// A source archive with one file of this content: the builder unpacks it, so it must be a real one.
pub(crate) fn archive(content: &str) -> Vec<u8> {
    let mut packed = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, content) in [("chalk.yaml", "project: fraud\n"), ("features.py", content)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        packed.append_data(&mut header, path, content.as_bytes()).expect("memory takes all");
    }
    let mut packed = packed.into_inner().expect("memory takes all");
    packed.flush().expect("memory takes all");
    packed.finish().expect("memory takes all")
}

pub(crate) fn request(source: &str) -> ApplyRequest {
    let packed = archive(source);
    let fingerprint = sample::fingerprint(&packed).expect("an archive");
    let payload = Payload::from_bytes(packed);
    let project = ProjectName::new("fraud").expect("a valid name");
    ApplyRequest::new(environment(), project, fingerprint, payload, sample::graph().expect("the sample graph"))
}

pub(crate) fn assert_success(outcome: &Outcome) {
    assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
    assert!(outcome.residue.is_empty(), "{:?}", outcome.residue);
}
