//! Who we are to a registry.

use std::fmt;

use async_trait::async_trait;

use crate::Result;
use crate::credentials::Secret;

/// Gives the credentials for a registry. A cloud crate implements this with its own tokens: ECR's last twelve hours,
/// Artifact Registry's one.
#[async_trait]
pub trait RegistryCredentials: fmt::Debug + Send + Sync + 'static {
    /// The credential for a registry, asked for once per registry and again when what it gave was refused. Whoever
    /// answers with the same one again has no better one.
    ///
    /// `host` is the registry's host with its port, if that is not the usual one; never that of a realm.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn credential(&self, host: &str, asked: Asked) -> Result<Credential>;
}

/// Why a credential is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The registry wants one, and none was given yet.
    First,
    /// The last one was refused; it may have expired.
    Refused,
}

/// What proves who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// Nothing. Registries that want a token give one to anybody for public repositories.
    Anonymous,
    /// A user and a password or token: `AWS` for ECR, `oauth2accesstoken` for Artifact Registry.
    Basic {
        /// The user.
        username: String,
        /// The password.
        secret: Secret,
    },
    /// A token that the registry itself takes.
    Bearer(Secret),
    /// A refresh token, which the registry's realm changes for tokens (the flow of the distribution project's own
    /// token servers, and of ACR).
    Identity(Secret),
}

/// No credentials for anyone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

#[async_trait]
impl RegistryCredentials for Anonymous {
    async fn credential(&self, _host: &str, _asked: Asked) -> Result<Credential> {
        Ok(Credential::Anonymous)
    }
}

/// Credentials that do not change, each for one host.
#[derive(Debug, Clone, Default)]
pub struct StaticCredentials(Vec<(String, Credential)>);

impl StaticCredentials {
    /// Knows no host.
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows this one, written as in a repository: `host[:port]`.
    #[must_use]
    pub fn with(mut self, host: impl Into<String>, credential: Credential) -> Self {
        self.0.push((host.into().to_ascii_lowercase(), credential));
        self
    }
}

#[async_trait]
impl RegistryCredentials for StaticCredentials {
    async fn credential(&self, host: &str, _asked: Asked) -> Result<Credential> {
        let known = self.0.iter().find(|(known, _)| known == host);
        Ok(known.map_or(Credential::Anonymous, |(_, credential)| credential.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_credential_is_given_to_its_own_host_and_port_only_and_never_printed() {
        let secret = Credential::Basic { username: "AWS".to_owned(), secret: Secret::new("hunter2") };
        let credentials = StaticCredentials::new().with("Registry.Example:5000", secret.clone());
        assert_eq!(credentials.credential("registry.example:5000", Asked::First).await.expect("known"), secret);
        for host in ["registry.example", "registry.example:5001", "evil.registry.example:5000"] {
            let given = credentials.credential(host, Asked::First).await.expect("answered");
            assert_eq!(given, Credential::Anonymous, "{host}");
        }
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
