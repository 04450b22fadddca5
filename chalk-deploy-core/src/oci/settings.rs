//! How a registry is spoken to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::credentials::{Anonymous, RegistryCredentials};
use crate::provision::RepositoryCreator;
use crate::transport::RetryPolicy;

/// What differs between registries, and how patient we are. The default suits every registry that keeps the
/// specification.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OciSettings {
    /// Who we are.
    pub credentials: Arc<dyn RegistryCredentials>,
    /// How blobs are uploaded.
    pub upload: UploadMode,
    /// Hosts (`host` or `host:port`) that are reached by plain HTTP, and are given credentials that way. Loopback hosts
    /// and those under `.embedded` need not be listed.
    pub plain_http: BTreeSet<String>,
    /// Hosts of realms that may be given credentials of any registry, beside those that keep the rule of
    /// [`trust`](super::trust).
    pub trusted_realms: BTreeSet<String>,
    /// Hosts on which a registry may let us upload. No credentials are sent there.
    pub upload_hosts: BTreeSet<String>,
    /// The one bounded retry of idempotent requests.
    pub retry: RetryPolicy,
    /// The longest wait for an answer, and for the next piece of a body in either direction.
    pub patience: Duration,
    /// How often one upload or download goes on after an interruption.
    pub resumptions: u32,
    /// Who makes a repository when a write finds none (404 with the code `NAME_UNKNOWN`). Without one such a write fails
    /// with `OBJECT_MISSING`.
    pub repository_creator: Option<Arc<dyn RepositoryCreator>>,
}

/// How a blob gets into a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UploadMode {
    /// One POST with the whole blob. Registries that do not take it answer with a session, and go on as with
    /// [`TwoRequests`](Self::TwoRequests).
    OneRequest,
    /// A POST that opens a session, and one PUT that streams the whole blob. What every registry takes.
    TwoRequests,
    /// One request where the registry is known to take that, else two. It becomes known by the first small blob, which
    /// goes with one and is none the slower where that only opens a session.
    Learned,
    /// A session to which the blob goes in pieces of this many bytes (each kept in memory), so that an interrupted
    /// upload goes on where it was. Artifact Registry does not take it, and ECR is reported to lose pieces.
    Chunked {
        /// The length of a piece, at least 64 KiB and at most 64 MiB.
        chunk: u64,
    },
}

impl Default for OciSettings {
    /// Anonymous, two requests a blob, a minute of patience, five resumptions.
    fn default() -> Self {
        Self {
            credentials: Arc::new(Anonymous),
            upload: UploadMode::TwoRequests,
            plain_http: BTreeSet::new(),
            trusted_realms: BTreeSet::new(),
            upload_hosts: BTreeSet::new(),
            retry: RetryPolicy::default(),
            patience: Duration::from_mins(1),
            resumptions: 5,
            repository_creator: None,
        }
    }
}

impl OciSettings {
    /// Sets [`credentials`](Self::credentials).
    #[must_use]
    pub fn with_credentials(mut self, credentials: Arc<dyn RegistryCredentials>) -> Self {
        self.credentials = credentials;
        self
    }

    /// Sets [`upload`](Self::upload).
    #[must_use]
    pub const fn with_upload(mut self, upload: UploadMode) -> Self {
        self.upload = upload;
        self
    }

    /// Adds one to [`plain_http`](Self::plain_http).
    #[must_use]
    pub fn with_plain_http(mut self, host: impl Into<String>) -> Self {
        self.plain_http.insert(host.into().to_ascii_lowercase());
        self
    }

    /// Adds one to [`trusted_realms`](Self::trusted_realms).
    #[must_use]
    pub fn with_trusted_realm(mut self, host: impl Into<String>) -> Self {
        self.trusted_realms.insert(host.into().to_ascii_lowercase());
        self
    }

    /// Adds one to [`upload_hosts`](Self::upload_hosts).
    #[must_use]
    pub fn with_upload_host(mut self, host: impl Into<String>) -> Self {
        self.upload_hosts.insert(host.into().to_ascii_lowercase());
        self
    }

    /// Sets [`retry`](Self::retry).
    #[must_use]
    pub const fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets [`patience`](Self::patience).
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets [`resumptions`](Self::resumptions).
    #[must_use]
    pub const fn with_resumptions(mut self, resumptions: u32) -> Self {
        self.resumptions = resumptions;
        self
    }

    /// Sets [`repository_creator`](Self::repository_creator): it is asked once for each repository that a write finds
    /// missing, however many writes do, and each of them is sent once more.
    #[must_use]
    pub fn with_repository_creator(mut self, creator: Arc<dyn RepositoryCreator>) -> Self {
        self.repository_creator = Some(creator);
        self
    }
}
