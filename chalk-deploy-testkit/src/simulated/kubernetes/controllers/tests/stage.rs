//! A cluster to test on, in virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::model::Digest;
use chalk_deploy_core::runtime::Runtime;
use serde_json::{Value, json};

use crate::simulated::kubernetes::controllers::{Cluster, ClusterSettings, view};
use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::ownership::{self, Manager};
use crate::simulated::kubernetes::resource::{
    DEPLOYMENT, ENDPOINT_SLICE, EVENT, NAMESPACE, POD, REPLICA_SET, Resource, SERVICE,
};
use crate::simulated::kubernetes::schema::schema_of;
use crate::simulated::seam::{ImageSource, PulledImage, SIMULATED_ENGINE};
use crate::{VirtualRuntime, World};

/// A registry that holds what a test puts there.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<BTreeMap<String, PulledImage>>);

impl Shelf {
    pub(super) fn put(&self, reference: &str, command: &str) -> Digest {
        let digest = Digest::of(reference);
        let repository = reference.split([':', '@']).next().unwrap_or(reference);
        let image =
            PulledImage { digest, command: vec![command.to_owned()], environment: vec!["FROM=image".to_owned()] };
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        images.insert(format!("{repository}@{digest}"), image.clone());
        images.insert(reference.to_owned(), image);
        digest
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[async_trait]
impl ImageSource for Shelf {
    async fn pull(&self, reference: &str) -> Result<PulledImage, String> {
        let images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        images.get(reference).cloned().ok_or_else(|| "manifest unknown".to_owned())
    }
}

/// A world with a cluster at work on it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) runtime: Arc<VirtualRuntime>,
    pub(super) objects: Objects,
    pub(super) images: Arc<Shelf>,
    pub(super) settings: ClusterSettings,
    pub(super) cluster: Cluster,
}

pub(super) const SPACE: &str = "space";
pub(super) const IMAGE: &str = "registry.embedded/chalk/engine:v1";

impl Stage {
    pub(super) fn new(settings: ClusterSettings) -> Self {
        let world = World::memory();
        let runtime = VirtualRuntime::new(7);
        let images = Arc::new(Shelf::default());
        images.put(IMAGE, SIMULATED_ENGINE);
        let objects = Objects::open(&world, runtime.clone()).expect("an empty world opens");
        let cluster = Cluster::start(objects.clone(), images.clone(), settings.clone());
        Self { world, runtime, objects, images, settings, cluster }
    }

    /// The process dies, and another one starts on the same world.
    pub(super) fn restart(&mut self) {
        self.objects = Objects::open(&self.world, self.runtime.clone()).expect("the world opens again");
        self.cluster = Cluster::start(self.objects.clone(), self.images.clone(), self.settings.clone());
    }

    pub(super) async fn pass(&self, time: Duration) {
        self.runtime.sleep(time).await;
    }

    pub(super) async fn millis(&self, millis: u64) {
        self.pass(Duration::from_millis(millis)).await;
    }

    pub(super) async fn seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds)).await;
    }

    pub(super) fn create(&self, resource: Resource, name: &str, object: Value) -> Arc<Value> {
        let namespace = if resource.namespaced { SPACE } else { "" };
        // As the API server keeps it; whose owners are not tracked from the beginning gets none later.
        let manager = Manager { name: "test".to_owned(), api_version: resource.api_version(), subresource: None };
        let object = ownership::update(schema_of(&resource), None, object, &manager, "2026-01-01T00:00:00Z");
        self.objects.create(&Key::new(resource, namespace, name), object).expect("the name is free")
    }

    pub(super) fn change(&self, resource: Resource, name: &str, change: impl FnOnce(&mut Value)) {
        let namespace = if resource.namespaced { SPACE } else { "" };
        let changed = self.objects.update(&Key::new(resource, namespace, name), None, |object| {
            change(object);
            Ok(())
        });
        changed.expect("it is there");
    }

    pub(super) fn get(&self, resource: Resource, name: &str) -> Arc<Value> {
        let namespace = if resource.namespaced { SPACE } else { "" };
        self.objects.get(&Key::new(resource, namespace, name)).expect("it is there")
    }

    pub(super) fn list(&self, resource: Resource) -> Vec<Arc<Value>> {
        self.objects.list(resource, Some(SPACE).filter(|_| resource.namespaced)).0
    }

    pub(super) fn delete(&self, resource: Resource, name: &str) {
        let namespace = if resource.namespaced { SPACE } else { "" };
        self.objects.remove(&Key::new(resource, namespace, name), None, None).expect("it can be removed");
    }

    pub(super) fn deployment(&self) -> Arc<Value> {
        self.get(DEPLOYMENT, "engine")
    }

    pub(super) fn pods(&self) -> Vec<Arc<Value>> {
        self.list(POD)
    }

    pub(super) fn ready_pods(&self) -> usize {
        self.pods().iter().filter(|pod| view::holds(pod, "Ready")).count()
    }

    pub(super) fn replica_sets(&self) -> Vec<Arc<Value>> {
        self.list(REPLICA_SET)
    }

    /// The addresses that the slices list as ready.
    pub(super) fn ready_addresses(&self) -> Vec<String> {
        let slices = self.list(ENDPOINT_SLICE);
        let endpoints = slices.iter().flat_map(|slice| view::items(slice, "/endpoints"));
        endpoints
            .filter(|endpoint| endpoint["conditions"]["ready"] == true)
            .map(|endpoint| view::text(endpoint, "/addresses/0").to_owned())
            .collect()
    }

    /// The reasons of all events, each with its count.
    pub(super) fn told(&self) -> BTreeMap<String, u32> {
        let mut told = BTreeMap::new();
        for event in self.objects.list(EVENT, None).0 {
            *told.entry(view::text(&event, "/reason").to_owned()).or_default() += view::count(&event, "/count");
        }
        told
    }

    pub(super) fn deploy(&self, replicas: u32) {
        self.create(NAMESPACE, SPACE, json!({}));
        self.create(DEPLOYMENT, "engine", deployment(replicas, IMAGE));
        self.create(SERVICE, "engine", service());
    }
}

pub(super) fn pod_template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "engine"}},
        "spec": {"containers": [{
            "name": "engine",
            "image": image,
            "ports": [{"name": "http", "containerPort": 8080}],
            "env": [
                {"name": "CHALK_DEPLOYMENT_ID", "value": "c123"},
                {"name": "CHALK_ENVIRONMENT", "value": "prod"},
            ],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5},
        }]},
    })
}

pub(super) fn deployment(replicas: u32, image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "engine"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "engine"}},
            "template": pod_template(image),
        },
    })
}

pub(super) fn service() -> Value {
    json!({"spec": {
        "selector": {"app": "engine"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    }})
}
