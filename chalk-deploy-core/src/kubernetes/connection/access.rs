//! An API server's address, whom to trust there, and who we are.

use http::Uri;

use super::{Credentials, Secret};
use crate::model::Namespace;
use crate::{Error, ErrorCode, Result, text};

/// Everything that reaching an API server takes.
#[derive(Debug, Clone)]
pub struct ClusterAccess {
    pub(super) server: Uri,
    pub(super) credentials: Credentials,
    pub(super) trust: Trust,
    pub(super) namespace: Option<Namespace>,
}

/// Whom to trust on the way, and the certificate that we show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// The cluster's certificate authority, in PEM. Without one the system's authorities are trusted.
    pub authority: Option<String>,
    /// Our certificate and its key, in PEM.
    pub identity: Option<Secret>,
    /// Whether any certificate is taken. Only ever set where the policy allows it.
    pub insecure: bool,
}

impl ClusterAccess {
    /// Access without credentials.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when this is no address of an API server.
    pub fn anonymous(server: &str) -> Result<Self> {
        let server = address(server)?;
        Ok(Self { server, credentials: Credentials::None, trust: Trust::default(), namespace: None })
    }

    /// The same access with these credentials.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// The same access with this trust.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Whom to trust on the way.
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The namespace that the kubeconfig's context names, if it names one.
    pub const fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_ref()
    }

    /// The address, for people.
    pub fn server(&self) -> String {
        self.server.to_string().trim_end_matches('/').to_owned()
    }
}

/// `https://host[:port][/path]`, and `http` to this machine.
pub(super) fn address(server: &str) -> Result<Uri> {
    let refused = |why: &str| {
        Error::new(ErrorCode::ValueInvalid, why)
            .on(format!("address `{}`", text::line(server, 200)))
            .with_hint("name the API server as `https://host[:port]`")
    };
    let uri: Uri = server.parse().map_err(|_| refused("this is no address of an API server"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(refused("the address of an API server begins with `https://`"));
    }
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@') || authority.host().is_empty()) {
        return Err(refused("the address of an API server names a host, and holds no password"));
    }
    if uri.query().is_some() || server.contains('#') {
        return Err(refused("the address of an API server has no query"));
    }
    Ok(uri)
}

/// Whether a request to this address never leaves the machine.
pub(super) fn is_loopback(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
