//! The data plane of a state directory, whichever process hosts its servers.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use chalk_deploy_core::Result;
use chalk_deploy_core::build::BuildFolder;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::{NetworkTransport, Transport};

use super::{Adapters, Plane, PlaneSettings, Ways};
use crate::simulated::share::{Addresses, SharedServers, Start};
use crate::world::World;

/// The data plane of a state directory. Clones are the same.
///
/// It lies in three folders below it: `world` is what the servers hold, `servers` is how processes find each other, and
/// `builds` belongs to the in-process builder.
#[derive(Clone)]
pub struct SharedPlane {
    servers: SharedServers,
    hosted: Arc<Mutex<Option<Plane>>>,
    adapters: Adapters,
}

impl SharedPlane {
    /// The data plane of a state directory. Nothing is started before the first request.
    ///
    /// `settings` are those of the servers if this process comes to host them; they are given the secrets of the
    /// directory, which the adapters show.
    ///
    /// # Errors
    /// [`chalk_deploy_core::ErrorCode::CloudUnavailable`] when the directory cannot be used.
    pub fn open(
        state: &Path,
        runtime: &Arc<dyn Runtime>,
        settings: impl Fn(&crate::simulated::share::Secrets) -> PlaneSettings + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::open_at(state, runtime, 0, settings)
    }

    /// The same, listening on fixed ports from this one on.
    ///
    /// # Errors
    /// [`chalk_deploy_core::ErrorCode::CloudUnavailable`] when the directory cannot be used.
    pub fn open_at(
        state: &Path,
        runtime: &Arc<dyn Runtime>,
        first_port: u16,
        settings: impl Fn(&crate::simulated::share::Secrets) -> PlaneSettings + Send + Sync + 'static,
    ) -> Result<Self> {
        let network: Transport = NetworkTransport::builder().runtime(runtime.clone()).build()?;
        let directory = state.join("servers");
        let secrets = crate::simulated::share::Secrets::of(&directory, &**runtime)?;
        let hosted: Arc<Mutex<Option<Plane>>> = Arc::default();
        let start: Start = {
            let (world, runtime, secrets, hosted) =
                (state.join("world"), runtime.clone(), secrets.clone(), hosted.clone());
            Box::new(move || {
                let plane = Plane::start(&World::directory(&world)?, &runtime, settings(&secrets))?;
                let servers = plane.servers().cloned().collect();
                *hosted.lock().unwrap_or_else(PoisonError::into_inner) = Some(plane);
                Ok(servers)
            })
        };
        let servers = SharedServers::new(directory, runtime.clone(), network, start).with_ports(first_port);
        let builds = BuildFolder::open(state.join("builds"))?;
        let ways = Ways::each(|name| servers.transport(name));
        let adapters = Adapters::new(&ways, Some(secrets), builds, runtime)?;
        Ok(Self { servers, hosted, adapters })
    }

    /// The adapters of this process.
    pub const fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    /// Where the servers listen, after making sure that someone hosts them.
    ///
    /// # Errors
    /// When they cannot be started.
    pub async fn addresses(&self) -> Result<Addresses> {
        self.servers.addresses().await
    }

    /// Whether this process hosts them, after making sure that someone does.
    ///
    /// # Errors
    /// When they cannot be started.
    pub async fn is_host(&self) -> Result<bool> {
        self.servers.is_host().await
    }

    /// The servers, if this process hosts them.
    pub fn hosted(&self) -> Option<Plane> {
        self.hosted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for SharedPlane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedPlane").field("servers", &self.servers).finish_non_exhaustive()
    }
}
