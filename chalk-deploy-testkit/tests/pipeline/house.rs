//! A deployer on the fakes, and what tests ask of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::cloud::{LiveObject, ObjectStore as _, TrafficShifter as _};
use chalk_deploy_core::evidence::EvidencePolicy;
use chalk_deploy_core::machine::{Outcome, RecordedEvent};
use chalk_deploy_core::model::{DeploymentId, DeploymentPolicy, DeploymentStatus, Digest, EnvironmentId, TrafficSplit};
use chalk_deploy_core::observe::{Metrics, NoMetrics};
use chalk_deploy_core::store::{DeploymentStore, MemoryStore};
use chalk_deploy_core::{ApplyRequest, Deployer, Error, ErrorCode};
use chalk_deploy_testkit::fake::Pace;
use chalk_deploy_testkit::{
    EmbeddedEnvironments, EmbeddedWorld, FaultPlan, VirtualRuntime, World, faulty_cloud, sample,
};

pub(crate) struct House {
    pub(crate) runtime: Arc<VirtualRuntime>,
    pub(crate) world: EmbeddedWorld,
    pub(crate) store: Arc<dyn DeploymentStore>,
    pub(crate) faults: Arc<FaultPlan>,
    pub(crate) deployer: Deployer,
}

/// The parts of a [`House`] that a test may choose.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) world: World,
    pub(crate) store: Arc<dyn DeploymentStore>,
    pub(crate) checkpoints: Arc<dyn Checkpoints>,
    pub(crate) policy: DeploymentPolicy,
    pub(crate) faults: FaultPlan,
    pub(crate) lease_wait: Duration,
    pub(crate) metrics: Arc<dyn Metrics>,
    pub(crate) evidence: EvidencePolicy,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            world: World::memory(),
            store: MemoryStore::new(),
            checkpoints: Arc::new(NoCheckpoints),
            policy: DeploymentPolicy { stable_for: Duration::from_secs(2), ..DeploymentPolicy::default() },
            faults: FaultPlan::new(),
            lease_wait: Duration::ZERO,
            metrics: Arc::new(NoMetrics),
            evidence: EvidencePolicy::none(),
        }
    }
}

impl House {
    pub(crate) fn new() -> Self {
        Self::of(Plan::default())
    }

    pub(crate) fn of(plan: Plan) -> Self {
        let runtime = VirtualRuntime::new(plan.seed);
        let world = EmbeddedWorld::on(plan.world, Arc::clone(&plan.checkpoints))
            .with_pace(Pace::new(runtime.clone(), Duration::from_millis(300)));
        let faults = Arc::new(plan.faults);
        let environments = EmbeddedEnvironments::any(world.clone())
            .with_cloud(faulty_cloud(world.cloud(), Arc::clone(&faults)))
            .with_policy(plan.policy);
        let deployer = Deployer::builder(Arc::new(environments), Arc::clone(&plan.store))
            .with_runtime(runtime.clone())
            .with_checkpoints(plan.checkpoints)
            .with_lease_wait(plan.lease_wait)
            .with_metrics(plan.metrics)
            .with_evidence(plan.evidence)
            .build()
            .expect("a deployer");
        Self { runtime, world, store: plan.store, faults, deployer }
    }

    /// Applies a source and waits for the end.
    pub(crate) async fn apply(&self, source: &'static str) -> (DeploymentId, Outcome) {
        self.finish(request(source)).await
    }

    pub(crate) async fn finish(&self, request: ApplyRequest) -> (DeploymentId, Outcome) {
        let handle = self.deployer.apply(request).await.expect("the request is admitted");
        let outcome = handle.wait().await.expect("the deployment ends");
        (handle.id().clone(), outcome)
    }

    pub(crate) async fn journal(&self, deployment: &DeploymentId) -> Vec<RecordedEvent> {
        self.store.events(deployment, 0).await.expect("the journal can be read")
    }

    pub(crate) async fn split(&self) -> TrafficSplit {
        let route = self.world.route(&environment()).expect("a valid route");
        self.world.traffic().observe(&route).await.expect("the route can be read").split
    }

    /// What production consists of: who gets the traffic, and the objects that serve it.
    pub(crate) async fn production(&self) -> Production {
        let namespace = self.world.data_plane(&environment()).expect("a data plane").namespace;
        let objects = self.world.cluster().objects(&namespace).expect("the cluster can be read");
        Production { split: self.split().await, objects }
    }

    /// The keys in the source bucket.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = self.world.object_store().list("", None, 1000).await.expect("the bucket can be read");
        listed.into_iter().map(|object| object.key.to_string()).collect()
    }

    /// How many manifests there are in the repository of the engine's images: the images, and what points at them.
    pub(crate) fn manifests(&self) -> usize {
        let plane = self.world.data_plane(&environment()).expect("a data plane");
        let repository = plane.repository(chalk_deploy_core::model::Component::Engine).expect("a repository");
        self.world.registry().manifests(&repository).expect("the registry can be read").len()
    }

    /// The tags of the engine's images.
    pub(crate) fn tags(&self) -> BTreeMap<String, Digest> {
        let plane = self.world.data_plane(&environment()).expect("a data plane");
        let repository = plane.repository(chalk_deploy_core::model::Component::Engine).expect("a repository");
        self.world.registry().tags(&repository).expect("the registry can be read")
    }
}

/// The objects of one version: its settings, the Service, the Deployment and the budget for disruptions.
pub(crate) const OBJECTS: usize = 4;

#[derive(Debug, PartialEq)]
pub(crate) struct Production {
    pub(crate) split: TrafficSplit,
    pub(crate) objects: Vec<LiveObject>,
}

pub(crate) fn environment() -> EnvironmentId {
    sample::environment().expect("a valid environment")
}

pub(crate) fn request(source: &'static str) -> ApplyRequest {
    sample::request(source).expect("a valid request")
}

pub(crate) fn no_answer() -> Error {
    Error::new(ErrorCode::CloudUnavailable, "the connection was cut")
}

pub(crate) fn denied() -> Error {
    Error::new(ErrorCode::PermissionDenied, "the role lacks the permission")
}

pub(crate) fn assert_success(outcome: &Outcome) {
    assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
    assert!(outcome.residue.is_empty(), "{:?}", outcome.residue);
}
