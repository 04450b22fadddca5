//! One set of simulated servers for every process that works on the same state directory.
//!
//! The servers stand on files that one process at a time may change. So the first process *hosts* them: it answers its
//! own requests without a socket, and listens on loopback for the others, its *guests*. When the host goes, whoever
//! sends the next request takes its place: what the servers had acknowledged is on the disk. All that the adapters see
//! of such a change is a connection that broke off, or nothing.
//!
//! The lock is the operating system's, so it goes with a process that is killed.

mod address;
mod host;
mod secrets;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::{Delivery, RequestBody, Transport, TransportError};
use chalk_deploy_core::{Error, Result};
use http::{Request, Response};
use tokio::sync::Mutex;

pub use self::address::Addresses;
use self::host::{Election, Host};
pub use self::secrets::Secrets;
use super::http::Server;

/// How long a guest looks for a host that is just starting, or takes its place.
const PATIENCE: Duration = Duration::from_secs(10);

/// The wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts the servers, each with a name of its own.
pub type Start = Box<dyn Fn() -> Result<Vec<Arc<dyn Server>>> + Send + Sync>;

/// The servers of a state directory, hosted here or by another process. Clones are the same servers.
#[derive(Clone)]
pub struct SharedServers(Arc<Shared>);

struct Shared {
    directory: PathBuf,
    runtime: Arc<dyn Runtime>,
    network: Transport,
    start: Start,
    ports: u16,
    place: Mutex<Option<Place>>,
}

/// Where the servers are.
#[derive(Clone)]
enum Place {
    Here(Arc<Host>),
    There(Arc<Addresses>),
}

impl SharedServers {
    /// The servers of a state directory, which is made if it is not there. Nothing is started before the first request.
    ///
    /// `network` is how a guest reaches its host; `start` is called when this process becomes the host.
    pub fn new(directory: impl Into<PathBuf>, runtime: Arc<dyn Runtime>, network: Transport, start: Start) -> Self {
        let place = Mutex::new(None);
        Self(Arc::new(Shared { directory: directory.into(), runtime, network, start, ports: 0, place }))
    }

    /// Listens on fixed ports, one after another from this one, when this process is the host. 0 chooses free ones.
    ///
    /// # Panics
    /// When the servers are in use already.
    #[must_use]
    pub fn with_ports(self, first: u16) -> Self {
        let mut shared = Arc::into_inner(self.0).expect("the servers are not in use yet");
        shared.ports = first;
        Self(Arc::new(shared))
    }

    /// The state directory.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// Where the servers listen, after making sure that someone hosts them, this process or another.
    ///
    /// # Errors
    /// When they cannot be started.
    pub async fn addresses(&self) -> Result<Addresses> {
        Ok(match self.place(None).await? {
            Place::Here(host) => host.addresses().clone(),
            Place::There(addresses) => (*addresses).clone(),
        })
    }

    /// Whether this process hosts them, after making sure that someone does.
    ///
    /// # Errors
    /// When they cannot be started.
    pub async fn is_host(&self) -> Result<bool> {
        Ok(matches!(self.place(None).await?, Place::Here(_)))
    }

    /// The way to the server of this name, wherever it is.
    pub fn transport(&self, server: &'static str) -> Transport {
        let servers = self.clone();
        Transport::from_fn(move |request| {
            let servers = servers.clone();
            async move { servers.send(server, request).await }
        })
    }

    /// Where the servers are. `lost` is where they were and no longer are.
    async fn place(&self, lost: Option<&Addresses>) -> Result<Place> {
        let shared = &*self.0;
        let mut place = shared.place.lock().await;
        if let Some(known) = &*place {
            match (known, lost) {
                (Place::There(addresses), Some(lost)) if **addresses == *lost => *place = None,
                _ => return Ok(known.clone()),
            }
        }
        let begun = shared.runtime.monotonic();
        loop {
            let found = match host::elect(&shared.directory, &shared.start, shared.ports).await? {
                Election::Won(host) => Some(Place::Here(Arc::new(host))),
                Election::Lost(addresses) => addresses
                    .filter(|addresses| lost != Some(addresses))
                    .map(|addresses| Place::There(Arc::new(addresses))),
            };
            if let Some(found) = found {
                *place = Some(found.clone());
                return Ok(found);
            }
            if shared.runtime.monotonic().saturating_sub(begun) > PATIENCE {
                return Err(host::nobody_answers(&shared.directory));
            }
            shared.runtime.sleep(PAUSE).await;
        }
    }

    async fn send(
        &self,
        server: &'static str,
        request: Request<RequestBody>,
    ) -> Result<Response<ByteStream>, TransportError> {
        let mut lost = None;
        loop {
            match self.place(lost.as_ref()).await.map_err(not_sent)? {
                Place::Here(host) => return host.transport(server).map_err(not_sent)?.send(request).await,
                Place::There(addresses) => {
                    let there = addresses.rewrite(server, &request).map_err(not_sent)?;
                    match self.0.network.send(there).await {
                        // Nobody listens there any more: the host has gone, and another one, perhaps this process,
                        // takes its place. Each round either changes the place or ends in an error.
                        Err(TransportError { delivery: Delivery::NotSent, .. }) => lost = Some((*addresses).clone()),
                        result => return result,
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for SharedServers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SharedServers").field("directory", &self.0.directory).finish_non_exhaustive()
    }
}

fn not_sent(error: Error) -> TransportError {
    TransportError { delivery: Delivery::NotSent, message: error.sentence(), source: Some(Box::new(error)) }
}

#[cfg(test)]
mod tests;
