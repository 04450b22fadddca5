//! The gateway over a cluster whose controllers and kubelets are at work, with the manifests that the core generates.

use chalk_deploy_core::manifests::{WorkloadSettings, generate, object_name, removal_order};
use chalk_deploy_core::model::{
    Component, DeploymentId, DeploymentPlan, Digest, GitMetadata, ImageReference, Namespace, ObjectIdentity,
    ProjectName, ProjectSettings, Promotion, Repository, Sizing, SourceFingerprint, Strategy, Timestamp,
};

use super::*;
use crate::simulated::kubernetes::resource::{NAMESPACE, POD, Resource};
use crate::simulated::kubernetes::{Cluster, ClusterSettings};
use crate::simulated::seam::{ImageSource, PulledImage, SIMULATED_ENGINE};

/// A registry that has every image.
#[derive(Debug)]
struct Everything;

#[async_trait]
impl ImageSource for Everything {
    async fn pull(&self, reference: &str) -> Result<PulledImage, String> {
        Ok(PulledImage {
            digest: Digest::of(reference),
            command: vec![SIMULATED_ENGINE.to_owned()],
            environment: Vec::new(),
        })
    }
}

struct World {
    objects: Objects,
    gateway: SimulatedGateway,
    runtime: Arc<VirtualRuntime>,
    _cluster: Cluster,
}

impl World {
    fn new(seed: u64) -> Self {
        let runtime = VirtualRuntime::new(seed);
        let objects = Objects::open(&crate::World::memory(), runtime.clone()).expect("a new world");
        objects.create(&Key::new(NAMESPACE, "", "prod"), json!({})).expect("a new namespace");
        ensure_gateway(&objects, "chalk-envoy", "chalk-gw").expect("a new world");
        let cluster = Cluster::start(objects.clone(), Arc::new(Everything), ClusterSettings::default());
        let gateway = SimulatedGateway::start(objects.clone(), Arc::new(cluster.clone()), GatewaySettings::default());
        Self { objects, gateway, runtime, _cluster: cluster }
    }

    /// Stores what the core generates for a deployment.
    fn deploy(&self, plan: &DeploymentPlan) -> Vec<ObjectIdentity> {
        let image = ImageReference {
            repository: Repository::new("registry.embedded/chalk/engine-prod").expect("a valid name"),
            digest: Digest::of(plan.id.as_str()),
        };
        let images = BTreeMap::from([(Component::Engine, image)]);
        let manifests = generate(plan, &images, &WorkloadSettings::default()).expect("plain data");
        let namespace = Namespace::new("prod").expect("a valid name");
        let stored = manifests.iter().map(|manifest| {
            let resource = Resource::of_kind(manifest.api_version(), manifest.kind()).expect("served");
            let key = Key::new(*resource, "prod", manifest.name());
            let object = self.objects.create(&key, manifest.document().clone()).expect("a new object");
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            ObjectIdentity { reference: manifest.reference(&namespace), uid }
        });
        stored.collect()
    }

    async fn remove(&self, mut objects: Vec<ObjectIdentity>) {
        removal_order(&mut objects);
        for object in objects {
            let resource = Resource::of_kind(&object.reference.api_version, &object.reference.kind).expect("served");
            let key = Key::new(*resource, "prod", object.reference.name);
            self.objects.remove(&key, Some(&object.uid), None).expect("its own uid");
            self.pause(100).await;
        }
    }

    fn ready_pods(&self, plan: &DeploymentPlan) -> usize {
        let (pods, _) = self.objects.list(POD, Some("prod"));
        let is_ready = |pod: &&Arc<Value>| {
            pod["metadata"]["labels"]["chalk.ai/deployment"] == plan.id.as_str()
                && pod["status"]["conditions"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
        };
        pods.iter().filter(is_ready).count()
    }

    fn route(&self, weights: &[(&DeploymentPlan, u32)]) {
        let backends: Vec<_> =
            weights.iter().map(|(plan, weight)| backend(&object_name(plan, Component::Engine), *weight)).collect();
        let mut specification = to(&backends);
        specification["parentRefs"] = json!([{"name": "chalk-gw", "namespace": "chalk-envoy"}]);
        let key = Key::new(HTTP_ROUTE, "prod", "main");
        if self.objects.get(&key).is_none() {
            self.objects.create(&key, json!({"spec": specification})).expect("a new route");
            return;
        }
        let set = |object: &mut Value| {
            object["spec"] = specification;
            Ok(())
        };
        self.objects.update(&key, None, set).expect("there");
    }

    async fn ask(&self) -> (u16, String) {
        let request = Request::builder().uri("http://chalk.example/v1/query").body(full("")).expect("a valid request");
        let response = self.gateway.answer(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = read_body(response.into_body(), 1 << 20).await.expect("a small body");
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        (status, answer["deployment_id"].as_str().unwrap_or_default().to_owned())
    }

    async fn pause(&self, millis: u64) {
        self.runtime.sleep(Duration::from_millis(millis)).await;
    }

    async fn until_ready(&self, plan: &DeploymentPlan, pods: usize) {
        let ready = async {
            while self.ready_pods(plan) < pods {
                self.pause(100).await;
            }
        };
        chalk_deploy_core::runtime::RuntimeExt::within(&*self.runtime, Duration::from_mins(10), ready)
            .await
            .expect("the pods become ready");
        // The data plane learns of them.
        self.pause(1000).await;
    }
}

fn plan(letter: char, sizing: Sizing) -> DeploymentPlan {
    let digest = Digest::of("sample");
    DeploymentPlan {
        id: DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("a valid id"),
        environment: chalk_deploy_core::model::EnvironmentId::new("prod").expect("a valid name"),
        project: ProjectName::new("fraud").expect("a valid name"),
        created_at: Timestamp::from_millis(0),
        deadline: Timestamp::from_millis(1),
        source: SourceFingerprint { sha256: digest, size: 1, unpacked_size: 1, entries: 1, source_code_hash: digest },
        graph: digest,
        git: GitMetadata::default(),
        requirements: Vec::new(),
        settings: ProjectSettings::default(),
        tags: Vec::new(),
        sizing,
        strategy: Strategy::default(),
        promotion: Promotion::default(),
        idempotency_key: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_cutover_between_generated_deployments_loses_no_request_and_the_autoscaler_brings_the_pods() {
    let world = World::new(5);
    let old = plan('a', Sizing::default());
    let new = plan('b', Sizing::new(2, 4).expect("a valid range"));
    let old_objects = world.deploy(&old);
    world.until_ready(&old, 1).await;
    world.route(&[(&old, 100)]);
    world.pause(1000).await;
    assert_eq!(world.ask().await, (200, old.id.to_string()));
    let done = std::cell::Cell::new(false);
    let load = async {
        while !done.get() {
            assert_eq!(world.ask().await.0, 200);
            world.pause(13).await;
        }
    };
    let rollout = async {
        world.deploy(&new);
        world.until_ready(&new, 2).await;
        world.route(&[(&old, 0), (&new, 100)]);
        world.pause(1000).await;
        world.route(&[(&new, 100)]);
        world.pause(1000).await;
        world.remove(old_objects).await;
        world.pause(60_000).await;
        done.set(true);
    };
    tokio::join!(load, rollout);
    let outcomes = world.gateway.outcomes();
    assert!(outcomes.len() > 1000, "{}", outcomes.len());
    assert!(!outcomes.iter().any(RequestOutcome::went_to_no_ready_backend));
    assert_eq!(world.ask().await, (200, new.id.to_string()));
    assert_eq!((world.ready_pods(&old), world.ready_pods(&new)), (0, 2));
}
