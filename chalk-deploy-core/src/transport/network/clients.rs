//! The clients of reqwest behind one transport: one for plain HTTP and one for TLS, because reading the operating
//! system's authorities takes longer than a request to this machine.

use std::sync::OnceLock;
use std::time::Duration;

use http::uri::Scheme;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity};

use super::failure;
use crate::{Error, ErrorCode, Result};

/// How connections are made.
#[derive(Clone)]
pub(super) struct Settings {
    /// PEM bundles of authorities.
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) trust_system: bool,
    /// A certificate chain and its key, in PEM.
    pub(super) identity: Option<Vec<u8>>,
    pub(super) connect_timeout: Duration,
    pub(super) max_connections: usize,
    pub(super) environment_proxies: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            trust_system: true,
            identity: None,
            connect_timeout: Duration::from_secs(10),
            max_connections: 128,
            environment_proxies: false,
        }
    }
}

/// The two clients.
pub(super) struct Clients {
    plain: Client,
    encrypted: OnceLock<Client>,
    settings: Settings,
}

impl Clients {
    pub(super) fn new(settings: Settings) -> Result<Self> {
        // What someone gave is checked now; what the operating system has is read when it is needed.
        let encrypted = if settings.is_the_systems() { OnceLock::new() } else { settings.encrypted()?.into() };
        let plain = settings.plain()?;
        Ok(Self { plain, encrypted, settings })
    }

    /// The client for addresses of this scheme.
    pub(super) fn of(&self, scheme: &Scheme) -> Result<&Client> {
        // The environment may name a proxy that is itself reached by TLS.
        if *scheme != Scheme::HTTPS && !self.settings.environment_proxies {
            return Ok(&self.plain);
        }
        if let Some(client) = self.encrypted.get() {
            return Ok(client);
        }
        let made = self.settings.encrypted()?;
        Ok(self.encrypted.get_or_init(|| made))
    }
}

impl Settings {
    fn is_the_systems(&self) -> bool {
        self.trust_system && self.roots.is_empty() && self.identity.is_none()
    }

    fn plain(&self) -> Result<Client> {
        self.base().tls_certs_only([]).build().map_err(|error| {
            Error::new(ErrorCode::Internal, "the client for plain http cannot be made")
                .caused_by(failure::innermost(&error))
        })
    }

    fn encrypted(&self) -> Result<Client> {
        let mut settings = self.base();
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
            if self.is_the_systems() {
                Error::new(ErrorCode::RequestInvalid, "this machine has no certificate authorities to trust")
                    .with_hint("install the package `ca-certificates`, or name the authorities to trust")
                    .caused_by(cause)
            } else {
                Error::new(ErrorCode::ValueInvalid, "the certificates for TLS are not usable").caused_by(cause)
            }
        })
    }

    /// What holds whatever is set: another crate of the program may switch on features of reqwest that would follow,
    /// decompress or repeat.
    fn base(&self) -> ClientBuilder {
        // reqwest hands rustls its provider of cryptography with every configuration: the one that the program has
        // installed, else aws-lc-rs. It never asks rustls to guess, which panics in a program that links ring as well.
        let settings = Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .user_agent(concat!("chalk-deploy/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(self.max_connections)
            .tls_backend_rustls();
        if self.environment_proxies { settings } else { settings.no_proxy() }
    }
}

fn authorities(pem: &[u8]) -> Result<Vec<Certificate>> {
    let invalid = || Error::new(ErrorCode::ValueInvalid, "the certificate authorities are not certificates in PEM");
    let found = Certificate::from_pem_bundle(pem).map_err(|error| invalid().caused_by(failure::innermost(&error)))?;
    if found.is_empty() { Err(invalid()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_authorities_are_read_for_the_first_encrypted_request_and_not_before() {
        let clients = Clients::new(Settings::default()).expect("valid settings");
        clients.of(&Scheme::HTTP).expect("a client");
        assert!(clients.encrypted.get().is_none());
        clients.of(&Scheme::HTTPS).expect("a client");
        assert!(clients.encrypted.get().is_some());
        // What someone gave is checked at once, and a proxy may want TLS whatever the address.
        for settings in [
            Settings { trust_system: false, ..Settings::default() },
            Settings { environment_proxies: true, ..Settings::default() },
        ] {
            let clients = Clients::new(settings).expect("valid settings");
            clients.of(&Scheme::HTTP).expect("a client");
            assert!(clients.encrypted.get().is_some());
        }
    }
}
