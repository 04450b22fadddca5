//! A simulated data plane with our adapters in front of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::cloud::{ApplyOptions, ClusterApi, FencingToken, RouteReference, TrafficShifter};
use chalk_deploy_core::kubernetes::{ClusterAccess, Connection, KubernetesCluster};
use chalk_deploy_core::model::{DeploymentId, Digest, EnvironmentId, Manifest, Namespace, ObjectReference};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::traffic::{GatewayProbe, GatewayReference, GatewayTraffic, RouteSettings};
use chalk_deploy_core::transport::{RequestBody, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::conformance::Fresh;
use chalk_deploy_testkit::conformance::cluster::{ClusterHarness, ImageBehaviour};
use chalk_deploy_testkit::conformance::traffic::TrafficHarness;
use chalk_deploy_testkit::fake::PodScope;
use chalk_deploy_testkit::simulated::fault::{ProtocolFaults, faulty};
use chalk_deploy_testkit::simulated::gateway::{GatewaySettings, SimulatedGateway, ensure_gateway};
use chalk_deploy_testkit::simulated::http::{Server, in_process};
use chalk_deploy_testkit::simulated::kubernetes::api::{ApiServer, ApiSettings};
use chalk_deploy_testkit::simulated::kubernetes::objects::{Key, Objects};
use chalk_deploy_testkit::simulated::kubernetes::resource::{HTTP_ROUTE, NAMESPACE, Resource};
use chalk_deploy_testkit::simulated::kubernetes::{Cluster, ClusterSettings, PodBehaviour};
use chalk_deploy_testkit::simulated::seam::{ImageSource, PulledImage, SIMULATED_ENGINE};
use chalk_deploy_testkit::{VirtualRuntime, World};
use serde_json::{Value, json};

use super::patient::Patient;

/// The namespace and the name of the gateway.
const GATEWAY: (&str, &str) = ("gateways", "chalk-gw");

/// Everything behind the adapters.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) objects: Objects,
    pub(crate) server: ApiServer,
    pub(crate) cluster: Cluster,
    pub(crate) gateway: SimulatedGateway,
    pub(crate) faults: Arc<ProtocolFaults>,
}

impl Plane {
    /// In virtual time, with these faults on the way to the API server.
    pub(crate) fn new(faults: ProtocolFaults) -> Self {
        Self::on(VirtualRuntime::new(11), faults)
    }

    /// In real time.
    pub(crate) fn real() -> Self {
        Self::on(SystemRuntime::new(), ProtocolFaults::new())
    }

    fn on(runtime: Arc<dyn Runtime>, faults: ProtocolFaults) -> Self {
        let objects = Objects::open(&World::memory(), runtime.clone()).expect("a world in memory");
        let cluster = Cluster::start(objects.clone(), Arc::new(Shelf), ClusterSettings::default());
        let server = ApiServer::new(objects.clone(), ApiSettings::default()).with_logs(Arc::new(cluster.clone()));
        ensure_namespace(&objects, GATEWAY.0);
        ensure_gateway(&objects, GATEWAY.0, GATEWAY.1).expect("a gateway");
        // The data plane follows the status at once: whoever asks after the status has settled gets the new answer.
        let settings = GatewaySettings {
            route_delay: Duration::ZERO,
            endpoint_delay: Duration::ZERO,
            ..GatewaySettings::default()
        };
        let gateway = SimulatedGateway::start(objects.clone(), Arc::new(cluster.clone()), settings);
        Self { runtime, objects, server, cluster, gateway, faults: Arc::new(faults) }
    }

    /// The API server as clients see it.
    pub(crate) fn api(&self) -> Arc<dyn Server> {
        faulty(Arc::new(self.server.clone()), self.faults.clone(), self.runtime.clone())
    }

    /// A connection in the process.
    pub(crate) fn connection(&self) -> Connection {
        let access = ClusterAccess::anonymous("https://kubernetes.embedded").expect("an address");
        self.connection_as(access)
    }

    pub(crate) fn connection_as(&self, access: ClusterAccess) -> Connection {
        Connection::new(in_process(self.api()), access, self.runtime.clone())
    }

    pub(crate) fn traffic(&self, connection: Connection, transport: Transport, address: &str) -> GatewayTraffic {
        let probe = GatewayProbe::new(transport, address, self.runtime.clone()).expect("an address");
        GatewayTraffic::new(connection, route_settings())
            .with_controller("gateway.envoyproxy.io/gatewayclass-controller")
            .with_probe(probe)
    }

    /// The traffic in the process.
    pub(crate) fn embedded_traffic(&self) -> GatewayTraffic {
        self.traffic(self.connection(), in_process(Arc::new(self.gateway.clone())), "http://gateway.embedded")
    }

    /// A harness for the suites, in the process.
    pub(crate) fn harness(self) -> Harness {
        let cluster = KubernetesCluster::new(self.connection());
        let traffic = self.embedded_traffic();
        Harness::new(self, cluster, traffic)
    }
}

pub(crate) fn route_settings() -> RouteSettings {
    RouteSettings::engine_behind(GatewayReference {
        namespace: GATEWAY.0.to_owned(),
        name: GATEWAY.1.to_owned(),
        section: None,
    })
}

pub(crate) fn ensure_namespace(objects: &Objects, name: &str) {
    let key = Key::new(NAMESPACE, "", name);
    if objects.get(&key).is_none() {
        objects.create(&key, json!({})).expect("it is not there");
    }
}

pub(crate) const TOKEN: ApplyOptions = ApplyOptions { token: FencingToken(3) };

pub(crate) fn namespace() -> Namespace {
    Namespace::new("prod").expect("a namespace")
}

pub(crate) fn environment() -> EnvironmentId {
    EnvironmentId::new("prod").expect("an environment")
}

pub(crate) fn deployment(letter: char) -> DeploymentId {
    DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("an id")
}

pub(crate) fn route() -> RouteReference {
    RouteReference { environment: environment(), namespace: namespace() }
}

pub(crate) fn config_map(value: &str) -> Manifest {
    Manifest::new(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "labels": labels(&deployment('a'))}, "data": {"value": value},
    }))
    .expect("a manifest")
}

pub(crate) fn labels(deployment: &DeploymentId) -> Value {
    super::engine::labels(&environment(), deployment)
}

/// The workload and the service of a deployment that answers through the gateway.
pub(crate) fn engine(deployment: &DeploymentId, replicas: u32) -> [Manifest; 2] {
    let image = format!("registry.embedded/engine@{}", Digest::of(deployment.as_str()));
    super::engine::engine(&environment(), deployment, &image, replicas)
}

/// Brings up a deployment, and waits until it is ready if it ever will be.
pub(crate) async fn bring_up(
    plane: &Plane,
    cluster: &dyn ClusterApi,
    namespace: &Namespace,
    deployment: &DeploymentId,
    ready: bool,
) -> Result<()> {
    ensure_namespace(&plane.objects, namespace.as_str());
    let behaviour = if ready { PodBehaviour::ByImage } else { PodBehaviour::NeverReady };
    plane.cluster.set_behaviour(PodScope::Deployment(deployment.clone()), behaviour);
    for manifest in engine(deployment, 1) {
        cluster.apply(namespace, &manifest, &ApplyOptions { token: FencingToken(1) }).await?;
    }
    for _ in 0..200 {
        let seen = cluster.observe(namespace, deployment).await?;
        if !ready || seen.ready_endpoints == Some(1) {
            return Ok(());
        }
        cluster.changed(namespace, deployment, &seen).await?;
    }
    Err(Error::new(ErrorCode::NeverReady, "the deployment of a test does not become ready").on(deployment))
}

/// A registry that holds every image but those that are said not to be there.
#[derive(Debug)]
struct Shelf;

#[async_trait]
impl ImageSource for Shelf {
    async fn pull(&self, reference: &str) -> Result<PulledImage, String> {
        if reference.contains("missing") {
            return Err("manifest unknown".to_owned());
        }
        Ok(PulledImage {
            digest: Digest::of(reference),
            command: vec![SIMULATED_ENGINE.to_owned()],
            environment: Vec::new(),
        })
    }
}

/// The adapters as the suites want them.
#[derive(Debug)]
pub(crate) struct Harness {
    pub(crate) plane: Plane,
    cluster: Arc<KubernetesCluster>,
    traffic: Arc<Patient>,
}

impl Harness {
    pub(crate) fn new(plane: Plane, cluster: KubernetesCluster, traffic: GatewayTraffic) -> Self {
        let runtime = plane.runtime.clone();
        Self { plane, cluster: Arc::new(cluster), traffic: Arc::new(Patient { traffic, runtime }) }
    }
}

#[async_trait]
impl ClusterHarness for Harness {
    fn cluster(&self) -> Arc<dyn ClusterApi> {
        self.cluster.clone()
    }

    async fn namespace(&self, fresh: &Fresh) -> Result<Namespace> {
        ensure_namespace(&self.plane.objects, fresh.prefix());
        Namespace::new(fresh.prefix())
    }

    async fn image(&self, behaviour: ImageBehaviour) -> Result<String> {
        let (name, pods) = match behaviour {
            ImageBehaviour::Runs => ("runs", PodBehaviour::ByImage),
            ImageBehaviour::CannotBePulled => ("missing", PodBehaviour::ByImage),
            ImageBehaviour::Crashes => ("crashes", PodBehaviour::Crash { after: Duration::ZERO, restarts: None }),
            ImageBehaviour::NeverReady => ("never-ready", PodBehaviour::NeverReady),
        };
        let image = format!("registry.embedded/{name}@{}", Digest::of(name));
        self.plane.cluster.set_behaviour(PodScope::Image(image.clone()), pods);
        Ok(image)
    }

    async fn edit_as(&self, manager: &str, object: &ObjectReference, pointer: &str, value: Value) -> Result<()> {
        let mut document =
            json!({"apiVersion": object.api_version, "kind": object.kind, "metadata": {"name": object.name}});
        let mut place = &mut document;
        for name in pointer.split('/').skip(1) {
            place = &mut place[name];
        }
        *place = value;
        let resource = Resource::of_kind(&object.api_version, &object.kind).expect("a kind that is served");
        let prefix = if resource.group.is_empty() { "api" } else { "apis" };
        let uri = format!(
            "/{prefix}/{}/namespaces/{}/{}/{}?fieldManager={manager}&force=true",
            object.api_version, object.namespace, resource.plural, object.name
        );
        let request = http::Request::patch(uri)
            .header("content-type", "application/apply-patch+yaml")
            .body(RequestBody::Bytes(document.to_string().into()))
            .expect("a request");
        let answered = in_process(Arc::new(self.plane.server.clone())).send(request).await.expect("an answer");
        assert!(answered.status().is_success(), "the edit was answered with {}", answered.status());
        Ok(())
    }
}

#[async_trait]
impl TrafficHarness for Harness {
    fn traffic(&self) -> Arc<dyn TrafficShifter> {
        self.traffic.clone()
    }

    async fn route(&self, fresh: &Fresh) -> Result<RouteReference> {
        let namespace = Namespace::new(format!("{}-t", fresh.prefix()))?;
        ensure_namespace(&self.plane.objects, namespace.as_str());
        Ok(RouteReference { environment: fresh.environment("t")?, namespace })
    }

    async fn bring_up(&self, route: &RouteReference, deployment: &DeploymentId, ready: bool) -> Result<()> {
        bring_up(&self.plane, &*self.cluster, &route.namespace, deployment, ready).await
    }

    async fn add_foreign_backend(&self, route: &RouteReference) -> Result<()> {
        let key = Key::new(HTTP_ROUTE, route.namespace.as_str(), format!("chalk-{}", route.environment));
        let edited = self.plane.objects.update(&key, None, |object| {
            let backends = object["spec"]["rules"][0]["backendRefs"].as_array_mut().expect("our rule");
            backends.push(json!({"name": "someone-elses-service", "port": 80, "weight": 1}));
            Ok(())
        });
        edited.map(drop).map_err(|status| Error::new(ErrorCode::Internal, status.message))
    }
}
