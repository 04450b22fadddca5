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
mod failure;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use tokio::sync::Semaphore;

use super::Transport;
use crate::runtime::{Runtime, SystemRuntime};
use crate::{Error, ErrorCode, Result};

/// The tower service that opens sockets. Made by its [`builder`](Self::builder), and used as a [`Transport`].
#[derive(Clone)]
pub struct NetworkTransport {
    client: Client,
    connections: Arc<Semaphore>,
    plain_http: Arc<BTreeSet<String>>,
    idle_timeout: Duration,
    runtime: Arc<dyn Runtime>,
}

impl NetworkTransport {
    /// The settings, with their defaults.
    pub fn builder() -> NetworkTransportBuilder {
        NetworkTransportBuilder {
            roots: Vec::new(),
            trust_system: true,
            identity: None,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            max_connections: 128,
            plain_http: BTreeSet::new(),
            environment_proxies: false,
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
    roots: Vec<Vec<u8>>,
    trust_system: bool,
    identity: Option<Vec<u8>>,
    connect_timeout: Duration,
    idle_timeout: Duration,
    max_connections: usize,
    plain_http: BTreeSet<String>,
    environment_proxies: bool,
    runtime: Option<Arc<dyn Runtime>>,
}

impl NetworkTransportBuilder {
    /// Trusts the certificate authorities of this PEM bundle, beside those of the operating system.
    pub fn trust_also(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Trusts the certificate authorities of this PEM bundle, and not those of the operating system.
    pub fn trust_only(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trust_system = false;
        self.trust_also(pem)
    }

    /// The certificate chain and the private key, in one PEM text, with which this side identifies itself.
    pub fn identity(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(pem.into());
        self
    }

    /// How long a connection, its TLS session included, may take to be made. Ten seconds unless set.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
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
        self.max_connections = most;
        self
    }

    /// Allows plain HTTP to this host. To the loopback addresses and `localhost` it is always allowed.
    pub fn allow_plain_http(mut self, host: impl AsRef<str>) -> Self {
        self.plain_http.insert(host.as_ref().to_ascii_lowercase());
        self
    }

    /// Goes through the proxies that the environment (`HTTPS_PROXY` and its siblings) names.
    pub const fn use_environment_proxies(mut self) -> Self {
        self.environment_proxies = true;
        self
    }

    /// The clock by which standing still is measured; the system's unless set.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Checks the settings. No socket is opened yet.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for certificates or an identity that do not parse; [`ErrorCode::RequestInvalid`] when
    /// no authority is trusted because the operating system has none.
    pub fn build(self) -> Result<Transport> {
        let client = self.client()?;
        Ok(Transport::new(NetworkTransport {
            client,
            connections: Arc::new(Semaphore::new(self.max_connections.clamp(1, Semaphore::MAX_PERMITS))),
            plain_http: Arc::new(self.plain_http),
            idle_timeout: self.idle_timeout,
            runtime: self.runtime.unwrap_or_else(|| SystemRuntime::new()),
        }))
    }

    fn client(&self) -> Result<Client> {
        // reqwest hands rustls its provider of cryptography with every configuration: the one that the program has
        // installed, else aws-lc-rs. It never asks rustls to guess, which panics in a program that links ring as well.
        let mut settings = base_settings()
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(self.max_connections)
            .tls_backend_rustls();
        if !self.environment_proxies {
            settings = settings.no_proxy();
        }
        let mut roots = Vec::new();
        for pem in &self.roots {
            roots.extend(authorities(pem)?);
        }
        if let Some(pem) = &self.identity {
            settings = settings.identity(Identity::from_pem(pem).map_err(|error| {
                Error::new(ErrorCode::ValueInvalid, "the client's identity is not a certificate and a key in PEM")
                    .caused_by(failure::innermost(&error))
            })?);
        }
        settings = if self.trust_system { settings.tls_certs_merge(roots) } else { settings.tls_certs_only(roots) };
        settings.build().map_err(|error| {
            let cause = failure::innermost(&error);
            if self.trust_system && self.roots.is_empty() && self.identity.is_none() {
                Error::new(ErrorCode::RequestInvalid, "this machine has no certificate authorities to trust")
                    .with_hint("install the package `ca-certificates`, or name the authorities to trust")
                    .caused_by(cause)
            } else {
                Error::new(ErrorCode::ValueInvalid, "the certificates for TLS are not usable").caused_by(cause)
            }
        })
    }
}

impl fmt::Debug for NetworkTransportBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The identity holds a private key.
        formatter
            .debug_struct("NetworkTransportBuilder")
            .field("trust_system", &self.trust_system)
            .field("identity", &self.identity.is_some())
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_connections", &self.max_connections)
            .field("plain_http", &self.plain_http)
            .field("environment_proxies", &self.environment_proxies)
            .finish_non_exhaustive()
    }
}

/// What holds whatever is set: another crate of the program may switch on features of reqwest that would follow,
/// decompress or repeat.
fn base_settings() -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .user_agent(concat!("chalk-deploy/", env!("CARGO_PKG_VERSION")))
}

fn authorities(pem: &[u8]) -> Result<Vec<Certificate>> {
    let invalid = || Error::new(ErrorCode::ValueInvalid, "the certificate authorities are not certificates in PEM");
    let found = Certificate::from_pem_bundle(pem).map_err(|error| invalid().caused_by(failure::innermost(&error)))?;
    if found.is_empty() { Err(invalid()) } else { Ok(found) }
}
