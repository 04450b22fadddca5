//! The simulated data plane: all simulated servers wired together, and the real adapters on them.
//!
//! ```text
//!            Registry        ClusterApi     TrafficShifter    ObjectStore         the adapters of the core
//!               │                │            │       │            │
//!            registry        kubernetes ──────┘    gateway       bucket           the servers, over one transport each
//!               ▲                │                    │
//!               └─ pulls ─ kubelet, controllers ◄─ requests
//! ```
//!
//! [`Plane`] is the servers in this process, as a test drives them in virtual time. [`SharedPlane`] is the servers of a
//! state directory, whichever process hosts them: what `apply` runs on by default. [`SimulatedEnvironments`] finds data
//! planes in either.

mod adapters;
mod environments;
mod front;
mod shared;

use std::collections::BTreeMap;
use std::sync::Arc;

use chalk_deploy_core::Result;
use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::model::{EnvironmentId, Namespace};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::Transport;

pub use self::adapters::{Adapters, Ways, base_repository};
pub use self::environments::SimulatedEnvironments;
pub use self::front::EnvironmentFront;
pub use self::shared::SharedPlane;
use super::bucket::{AccessKey, BucketServer, BucketSettings};
use super::checkpointed::checkpointed;
use super::fault::{ProtocolFaults, faulty};
use super::gateway::{GatewaySettings, SimulatedGateway, ensure_gateway};
use super::http::{Server, in_process};
use super::kubernetes::api::{Anonymous, ApiServer, ApiSettings, Token};
use super::kubernetes::objects::Objects;
use super::kubernetes::{Cluster, ClusterSettings};
use super::registry::{RegistryServer, RegistrySettings};
use super::share::Secrets;
use crate::world::World;

/// The hosts by which the adapters name the servers. Nothing resolves them: the transport leads to the servers.
pub mod host {
    /// The registry.
    pub const REGISTRY: &str = "registry.embedded";
    /// The Kubernetes API.
    pub const KUBERNETES: &str = "kubernetes.embedded";
    /// The bucket server.
    pub const BUCKET: &str = "bucket.embedded";
    /// The gateway.
    pub const GATEWAY: &str = "gateway.embedded";
}

/// The source bucket.
pub const BUCKET: &str = "embedded-source";

/// The Gateway that carries the routes of all environments: its namespace and its name.
pub const GATEWAY: (&str, &str) = ("chalk-system", "chalk");

/// The user of the registry, and the access key of the bucket.
pub const USER: &str = "chalk";

/// How the servers of a plane behave.
#[derive(Debug, Clone)]
pub struct PlaneSettings {
    /// Controllers and kubelet.
    pub cluster: ClusterSettings,
    /// The API server.
    pub api: ApiSettings,
    /// The registry.
    pub registry: RegistrySettings,
    /// The gateway.
    pub gateway: GatewaySettings,
    /// The bucket server.
    pub bucket: BucketSettings,
    /// What goes wrong with requests.
    pub faults: Arc<ProtocolFaults>,
    /// Who is told of the moments before and after each request that changes something.
    pub checkpoints: Arc<dyn Checkpoints>,
}

impl PlaneSettings {
    /// Lets everyone in, the adapters included, which present these secrets: an API server refuses a token that it
    /// does not know even where it asks for none.
    #[must_use]
    pub fn knowing(mut self, secrets: &Secrets) -> Self {
        self.api.tokens = vec![Token::administrator(secrets.kubernetes.clone())];
        self
    }

    /// Lets nobody in who does not know these secrets.
    #[must_use]
    pub fn guarded_by(mut self, secrets: &Secrets) -> Self {
        self = self.knowing(secrets);
        self.api.anonymous = Anonymous::Refused;
        self.registry = self.registry.with_basic_user(USER, secrets.registry.clone());
        self.bucket = self.bucket.with_key(AccessKey::new(USER, secrets.bucket.clone()));
        self
    }
}

impl Default for PlaneSettings {
    /// Servers that let everyone in, each at its default pace.
    fn default() -> Self {
        Self {
            cluster: ClusterSettings::default(),
            api: ApiSettings::default(),
            registry: RegistrySettings::plain(),
            gateway: GatewaySettings::default(),
            bucket: BucketSettings::new(BUCKET),
            faults: Arc::new(ProtocolFaults::new()),
            checkpoints: Arc::new(NoCheckpoints),
        }
    }
}

/// The servers in this process. Clones are the same servers; the last one stops them.
#[derive(Debug, Clone)]
pub struct Plane {
    objects: Objects,
    registry: Arc<RegistryServer>,
    cluster: Cluster,
    api: ApiServer,
    gateway: SimulatedGateway,
    bucket: Arc<BucketServer>,
    faults: Arc<ProtocolFaults>,
    servers: BTreeMap<&'static str, Arc<dyn Server>>,
}

impl Plane {
    /// Starts the servers on what a world holds. Needs a tokio runtime to be running.
    ///
    /// # Errors
    /// [`chalk_deploy_core::ErrorCode::CloudUnavailable`] when the world cannot be read.
    pub fn start(world: &World, runtime: &Arc<dyn Runtime>, settings: PlaneSettings) -> Result<Self> {
        let PlaneSettings { cluster, api, registry, gateway, bucket, faults, checkpoints } = settings;
        let objects = Objects::open(world, runtime.clone())?;
        let registry = Arc::new(RegistryServer::new(world, runtime.clone(), registry));
        let cluster = Cluster::start(objects.clone(), registry.clone(), cluster);
        let api = ApiServer::new(objects.clone(), api).with_logs(Arc::new(cluster.clone()));
        ensure_gateway(&objects, GATEWAY.0, GATEWAY.1)?;
        let gateway = SimulatedGateway::start(objects.clone(), Arc::new(cluster.clone()), gateway);
        let bucket = Arc::new(BucketServer::new(world, runtime.clone(), bucket)?);
        let bare: [Arc<dyn Server>; 4] =
            [registry.clone(), Arc::new(api.clone()), Arc::new(gateway.clone()), bucket.clone()];
        let layered = bare.map(|server| {
            let name = server.name();
            let server = checkpointed(server, checkpoints.clone());
            (name, faulty(server, faults.clone(), runtime.clone()))
        });
        Ok(Self { objects, registry, cluster, api, gateway, bucket, faults, servers: BTreeMap::from(layered) })
    }

    /// The servers by name, behind their faults and moments.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<dyn Server>> {
        self.servers.values()
    }

    /// The ways to the servers, without a socket.
    pub fn ways(&self) -> Ways {
        Ways::each(|name| self.transport(name))
    }

    /// The objects of the cluster.
    pub const fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The controllers and the kubelet.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The API server.
    pub const fn api(&self) -> &ApiServer {
        &self.api
    }

    /// The registry.
    pub const fn registry(&self) -> &Arc<RegistryServer> {
        &self.registry
    }

    /// The gateway.
    pub const fn gateway(&self) -> &SimulatedGateway {
        &self.gateway
    }

    /// The bucket server.
    pub const fn bucket(&self) -> &Arc<BucketServer> {
        &self.bucket
    }

    /// What goes wrong with requests, and which there were.
    pub const fn faults(&self) -> &Arc<ProtocolFaults> {
        &self.faults
    }

    fn transport(&self, name: &str) -> Transport {
        // Every name that a way has is that of a server above.
        in_process(self.servers[name].clone())
    }
}

/// The namespace of an environment.
pub(crate) fn namespace_of(environment: &EnvironmentId) -> Result<Namespace> {
    Namespace::new(format!("ns-{environment}"))
}
