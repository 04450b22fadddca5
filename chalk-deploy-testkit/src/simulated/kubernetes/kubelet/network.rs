//! The processes in the containers, as the network sees them. They are ours: the simulated engine answers, everything
//! else refuses connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::{HeaderValue, Response, StatusCode};
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::traffic::DEPLOYMENT_HEADER;
use serde_json::{Value, json};

use super::configuration::environment;
use super::image::{ContainerKey, parts};
use crate::simulated::http;
use crate::simulated::kubernetes::controllers::view;
use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::resource::POD;
use crate::simulated::seam::{ConnectionRefused, ImageSource, PulledImage, SIMULATED_ENGINE};

/// The port of a container that names none.
const DEFAULT_PORT: u32 = 8080;

/// What runs in the containers. Shared by the kubelet and those who send requests.
#[derive(Debug)]
pub(crate) struct Processes {
    source: Arc<dyn ImageSource>,
    running: Mutex<BTreeMap<ContainerKey, PulledImage>>,
    requests: Mutex<BTreeMap<(String, String), u64>>,
    /// Where a pod was found last. Checked before it is believed.
    addresses: Mutex<BTreeMap<String, Key>>,
}

impl Processes {
    pub(crate) fn new(source: Arc<dyn ImageSource>) -> Self {
        Self { source, running: Mutex::default(), requests: Mutex::default(), addresses: Mutex::default() }
    }

    /// A container was started from this image.
    pub(super) fn runs(&self, container: ContainerKey, image: &PulledImage) {
        lock(&self.running).entry(container).or_insert_with(|| image.clone());
    }

    /// Forgets the pods that are no more.
    pub(super) fn keep(&self, uids: &BTreeSet<&str>) {
        lock(&self.running).retain(|(uid, _), _| uids.contains(uid.as_str()));
    }

    /// How many requests each pod has answered, by namespace and name.
    pub(crate) fn requests(&self) -> BTreeMap<(String, String), u64> {
        lock(&self.requests).clone()
    }

    /// Answers for the process that listens at an address and port.
    pub(crate) async fn answer(
        &self,
        objects: &Objects,
        (address, port): (&str, u16),
        path: &str,
    ) -> Result<Response<ByteStream>, ConnectionRefused> {
        let pod = self.pod_at(objects, address).ok_or(ConnectionRefused)?;
        let (container, status) = listener(&pod, port).ok_or(ConnectionRefused)?;
        let image = self.image(&pod, container, status).await.ok_or(ConnectionRefused)?;
        let own = container["command"].as_array().filter(|command| !command.is_empty());
        let command = match own {
            Some(command) => command.first().and_then(Value::as_str),
            None => image.command.first().map(String::as_str),
        };
        if command != Some(SIMULATED_ENGINE) {
            return Err(ConnectionRefused);
        }
        *lock(&self.requests).entry((view::namespace(&pod).to_owned(), view::name(&pod).to_owned())).or_default() += 1;
        if matches!(path, "/ready" | "/healthz") {
            let ready = status["ready"] == true;
            let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            return Ok(http::json(code, &json!({"ready": ready})));
        }
        let mut variables = environment(objects, &pod, container, &image.environment);
        let mut variable = |name: &str| variables.remove(name).unwrap_or_default();
        let deployment = variable("CHALK_DEPLOYMENT_ID");
        let mut response = if path == "/" {
            http::text(StatusCode::OK, deployment.clone())
        } else {
            let answer = json!({
                "deployment_id": deployment,
                "environment": variable("CHALK_ENVIRONMENT"),
                "pod": view::name(&pod),
            });
            http::json(StatusCode::OK, &answer)
        };
        if let Ok(value) = HeaderValue::from_str(&deployment) {
            response.headers_mut().insert(DEPLOYMENT_HEADER, value);
        }
        Ok(response)
    }

    fn pod_at(&self, objects: &Objects, address: &str) -> Option<Arc<Value>> {
        let is_there = |pod: &Arc<Value>| view::text(pod, "/status/podIP") == address;
        let known = lock(&self.addresses).get(address).cloned();
        if let Some(pod) = known.and_then(|key| objects.get(&key)).filter(is_there) {
            return Some(pod);
        }
        let pod = objects.list(POD, None).0.into_iter().find(is_there)?;
        let mut addresses = lock(&self.addresses);
        // Stale ones would gather; what is needed is found again.
        if addresses.len() > 10_000 {
            addresses.clear();
        }
        addresses.insert(address.to_owned(), view::key(POD, &pod));
        Some(pod)
    }

    /// The image that a container runs. A process that has started again does not know those of containers that run
    /// since before, and asks the registry for exactly what their status names.
    async fn image(&self, pod: &Value, container: &Value, status: &Value) -> Option<PulledImage> {
        let key = (view::uid(pod).to_owned(), view::text(container, "/name").to_owned());
        let known = lock(&self.running).get(&key).cloned();
        if known.is_some() {
            return known;
        }
        let reference = view::text(status, "/imageID");
        parts(reference)?;
        let image = self.source.pull(reference).await.ok()?;
        self.runs(key, &image);
        Some(image)
    }
}

/// The running container of a pod that listens on a port, with its status.
fn listener(pod: &Value, port: u16) -> Option<(&Value, &Value)> {
    view::items(pod, "/spec/containers").iter().find_map(|container| {
        let ports = view::items(container, "/ports");
        let listens = if ports.is_empty() {
            u32::from(port) == DEFAULT_PORT
        } else {
            ports.iter().any(|one| view::number(one, "/containerPort") == Some(port.into()))
        };
        let status = super::stored(pod, "/status/containerStatuses", container);
        (listens && status.pointer("/state/running").is_some()).then_some((container, status))
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
