//! A gateway over hand-made objects and pods, in virtual time.

mod cluster;
mod cutover;
mod filters;
mod loopback;
mod propagation;
mod routing;
mod shares;
mod statuses;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::simulated::http::{full, read_body};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{ENDPOINT_SLICE, SERVICE};
use crate::simulated::seam::ConnectionRefused;
use crate::{VirtualRuntime, World};

/// How a pod behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pod {
    /// Answers with what it got, as JSON.
    Echo,
    /// Answers with this status.
    Fails(u16),
    /// Answers after so long.
    Slow(Duration),
    /// Sends the beginning of an answer and no more.
    Stalls,
}

/// Pods by address; all listen on 8080.
#[derive(Debug, Default)]
struct Pods(Mutex<BTreeMap<String, Pod>>);

impl Pods {
    fn set(&self, address: &str, pod: Pod) {
        self.0.lock().expect("no panic before").insert(address.to_owned(), pod);
    }

    fn stop(&self, address: &str) {
        self.0.lock().expect("no panic before").remove(address);
    }
}

/// The pods of a test, and where it finds what they got.
#[derive(Debug)]
struct Network {
    pods: Arc<Pods>,
    runtime: Arc<dyn Runtime>,
    seen: Arc<Mutex<Vec<Value>>>,
}

#[async_trait]
impl PodNetwork for Network {
    async fn request(
        &self,
        address: &str,
        port: u16,
        request: Request<ByteStream>,
    ) -> Result<Response<ByteStream>, ConnectionRefused> {
        let pod = *self.pods.0.lock().expect("no panic before").get(address).ok_or(ConnectionRefused)?;
        if port != 8080 {
            return Err(ConnectionRefused);
        }
        let (parts, body) = request.into_parts();
        let body = read_body(body, 1 << 20).await.expect("a small body");
        let headers: BTreeMap<_, _> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let got = json!({
            "pod": address,
            "target": parts.uri.to_string(),
            "headers": headers,
            "body": String::from_utf8_lossy(&body),
        });
        self.seen.lock().expect("no panic before").push(got.clone());
        let mut response = Response::new(full(got.to_string()));
        match pod {
            Pod::Echo => {}
            Pod::Fails(status) => *response.status_mut() = StatusCode::from_u16(status).expect("a status"),
            Pod::Slow(time) => self.runtime.sleep(time).await,
            Pod::Stalls => {
                let beginning = futures::stream::iter([Ok(bytes::Bytes::from_static(b"begin"))]);
                *response.body_mut() = beginning.chain(futures::stream::pending()).boxed();
            }
        }
        Ok(response)
    }
}

struct Fixture {
    world: World,
    objects: Objects,
    gateway: SimulatedGateway,
    pods: Arc<Pods>,
    seen: Arc<Mutex<Vec<Value>>>,
    runtime: Arc<VirtualRuntime>,
}

impl Fixture {
    fn new(seed: u64) -> Self {
        Self::with(seed, GatewaySettings::default())
    }

    fn with(seed: u64, settings: GatewaySettings) -> Self {
        let world = World::memory();
        let runtime = VirtualRuntime::new(seed);
        let objects = Objects::open(&world, runtime.clone()).expect("a new world");
        ensure_gateway(&objects, "chalk-envoy", "chalk-gw").expect("a new world");
        let pods = Arc::new(Pods::default());
        let got = Arc::default();
        let network = Network { pods: pods.clone(), runtime: runtime.clone(), seen: Arc::clone(&got) };
        let gateway = SimulatedGateway::start(objects.clone(), Arc::new(network), settings);
        Self { world, objects, gateway, pods, seen: got, runtime }
    }

    /// A service with a pod behind each of these addresses.
    fn service(&self, name: &str, addresses: &[&str]) {
        let document = json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": "http"}]}});
        self.objects.create(&Key::new(SERVICE, "prod", name), document).expect("a new service");
        self.endpoints(name, &addresses.iter().map(|address| (*address, true)).collect::<Vec<_>>());
        for address in addresses {
            self.pods.set(address, Pod::Echo);
        }
    }

    /// Sets the endpoints of a service, with their readiness.
    fn endpoints(&self, service: &str, addresses: &[(&str, bool)]) {
        let key = Key::new(ENDPOINT_SLICE, "prod", format!("{service}-1"));
        let endpoints: Vec<_> = addresses
            .iter()
            .map(|(address, ready)| json!({"addresses": [address], "conditions": {"ready": ready}}))
            .collect();
        let document = json!({
            "metadata": {"labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        });
        if self.objects.create(&key, document.clone()).is_err() {
            let set = |object: &mut Value| {
                object["endpoints"] = document["endpoints"].clone();
                Ok(())
            };
            self.objects.update(&key, None, set).expect("there");
        }
    }

    /// Stores a route of this name with these rules and fields beside them.
    fn route(&self, name: &str, mut specification: Value) {
        specification["parentRefs"] = json!([{"name": "chalk-gw", "namespace": "chalk-envoy"}]);
        let key = Key::new(HTTP_ROUTE, "prod", name);
        if self.objects.get(&key).is_none() {
            self.objects.create(&key, json!({"spec": specification})).expect("a new route");
        } else {
            let set = |object: &mut Value| {
                object["spec"] = specification;
                Ok(())
            };
            self.objects.update(&key, None, set).expect("there");
        }
    }

    /// Until everything has arrived everywhere.
    async fn settled(&self) {
        self.runtime.sleep(Duration::from_secs(1)).await;
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[], "").await
    }

    async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &'static str) -> Answer {
        let mut request = Request::builder().method(method).uri(target).header("host", "chalk.example");
        if let Some((_, host)) = headers.iter().find(|(name, _)| *name == "host") {
            request.headers_mut().expect("valid so far").insert("host", host.parse().expect("a value"));
        }
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        let response = self.gateway.answer(request.body(full(body)).expect("a valid request")).await;
        let (parts, body) = response.expect("the gateway severs nothing").into_parts();
        let bytes = read_body(body, 1 << 20).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let got = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text, got }
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
    /// What the pod got.
    got: Value,
}

impl Answer {
    fn pod(&self) -> &str {
        self.got["pod"].as_str().unwrap_or_default()
    }
}

/// A reference to a service, with its weight.
fn backend(service: &str, weight: u32) -> Value {
    json!({"name": service, "port": 80, "weight": weight})
}

/// A route's specification with one rule for everything.
fn to(backends: &[Value]) -> Value {
    json!({"rules": [{"backendRefs": backends}]})
}
