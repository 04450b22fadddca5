//! The transport over sockets: HTTP/1.1, and TLS by rustls with the cryptography of aws-lc-rs.
//!
//! It is strict, because credentials pass through it: no redirect is followed, no cookie is kept, no proxy is taken from
//! the environment unless that is asked for, nothing is decompressed, and plain HTTP goes to this machine only, unless a
//! host is named. It never retries by itself.
//!
//! ```
//! # use chalk_deploy_core::transport::NetworkTransport;
//! # fn main() -> chalk_deploy_core::Result<()> {
//! let transport = NetworkTransport::builder().max_connections(32).build()?;
//! # Ok(())
//! # }
//! ```

mod body;
mod clients;
mod failure;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Transport;
use crate::Result;
use crate::runtime::{Runtime, SystemRuntime};

use clients::{Clients, Settings};

/// The tower service that opens sockets. Made by its [`builder`](Self::builder), and used as a [`Transport`].
#[derive(Clone)]
pub struct NetworkTransport {
    clients: Arc<Clients>,
    connections: Arc<Semaphore>,
    plain_http: Arc<BTreeSet<String>>,
    idle_timeout: Duration,
    runtime: Arc<dyn Runtime>,
}

impl NetworkTransport {
    /// The settings, with their defaults.
    pub fn builder() -> NetworkTransportBuilder {
        NetworkTransportBuilder {
            clients: Settings::default(),
            idle_timeout: Duration::from_mins(1),
            plain_http: BTreeSet::new(),
            runtime: None,
        }
    }
}

impl fmt::Debug for NetworkTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NetworkTransport").field("idle_timeout", &self.idle_timeout).finish_non_exhaustive()
    }
}

/// How long one request may stand still, instead of what the transport is set to. Put it into the request's extensions:
/// a watch is silent for as long as nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleTimeout(pub Duration);

/// The settings of a [`NetworkTransport`].
#[must_use = "settings open no socket before they are built"]
pub struct NetworkTransportBuilder {
    clients: Settings,
    idle_timeout: Duration,
    plain_http: BTreeSet<String>,
    runtime: Option<Arc<dyn Runtime>>,
}

impl NetworkTransportBuilder {
    /// Trusts the certificate authorities of this PEM bundle, beside those of the operating system.
    pub fn trust_also(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.clients.roots.push(pem.into());
        self
    }

    /// Trusts the certificate authorities of this PEM bundle, and not those of the operating system.
    pub fn trust_only(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.clients.trust_system = false;
        self.trust_also(pem)
    }

    /// The certificate chain and the private key, in one PEM text, with which this side identifies itself.
    pub fn identity(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.clients.identity = Some(pem.into());
        self
    }

    /// How long a connection, its TLS session included, may take to be made. Ten seconds unless set.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.clients.connect_timeout = limit;
        self
    }

    /// How long a request may stand still: no byte of its body taken, no byte of its answer given. A minute unless set;
    /// a large body may take as long as it moves. [`IdleTimeout`] sets it for one request.
    pub const fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// How many requests may be under way at once, answers whose bodies are still open included; further ones wait for
    /// as long as a request may stand still. 128 unless set.
    pub const fn max_connections(mut self, most: usize) -> Self {
        self.clients.max_connections = most;
        self
    }

    /// Allows plain HTTP to this host. To the loopback addresses and `localhost` it is always allowed.
    pub fn allow_plain_http(mut self, host: impl AsRef<str>) -> Self {
        self.plain_http.insert(host.as_ref().to_ascii_lowercase());
        self
    }

    /// Goes through the proxies that the environment (`HTTPS_PROXY` and its siblings) names.
    pub const fn use_environment_proxies(mut self) -> Self {
        self.clients.environment_proxies = true;
        self
    }

    /// The clock by which standing still is measured; the system's unless set.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Checks the settings. No socket is opened yet, and the authorities of the operating system are read when the first
    /// request goes to an `https` address: who speaks to this machine only does not wait for them, and needs none.
    ///
    /// # Errors
    /// [`VALUE_INVALID`](crate::ErrorCode::ValueInvalid) for certificates or an identity that do not parse. That the
    /// operating system has no authorities is the first `https` request's error,
    /// [`REQUEST_INVALID`](crate::ErrorCode::RequestInvalid).
    pub fn build(self) -> Result<Transport> {
        Ok(Transport::new(NetworkTransport {
            connections: Arc::new(Semaphore::new(self.clients.max_connections.clamp(1, Semaphore::MAX_PERMITS))),
            clients: Arc::new(Clients::new(self.clients)?),
            plain_http: Arc::new(self.plain_http),
            idle_timeout: self.idle_timeout,
            runtime: self.runtime.unwrap_or_else(|| SystemRuntime::new()),
        }))
    }
}

impl fmt::Debug for NetworkTransportBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The identity holds a private key.
        formatter
            .debug_struct("NetworkTransportBuilder")
            .field("trust_system", &self.clients.trust_system)
            .field("identity", &self.clients.identity.is_some())
            .field("connect_timeout", &self.clients.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_connections", &self.clients.max_connections)
            .field("plain_http", &self.plain_http)
            .field("environment_proxies", &self.clients.environment_proxies)
            .finish_non_exhaustive()
    }
}
