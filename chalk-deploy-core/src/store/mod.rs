//! Where journals, leases and graphs live: the metadata side's memory. It holds deployment metadata, build log lines
//! and the feature graph's schema, and nothing else of the customer's (seed 000, "What never leaves the customer's
//! cloud").
//!
//! [`MemoryStore`] is for tests and for services that need no durability; [`SqliteStore`] (feature `sqlite`) is the
//! embedded default. Both keep the same contract, and `testkit::conformance::deployment_store` holds them to it.

mod memory;
mod rules;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::cloud::FencingToken;
use crate::machine::RecordedEvent;
use crate::model::{DeploymentId, DeploymentPlan, DeploymentStatus, Digest, EnvironmentId, Timestamp};

pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// The name of the file that marks a folder as one that holds state. A source archive leaves such folders out, wherever
/// they lie.
pub const STATE_MARKER: &str = ".chalk-deploy-state";

/// Journals with compare-and-set, leases with fencing tokens, and the deployment history.
///
/// Everything is acknowledged only when it is durable. Any number of processes may use one store; what keeps them apart
/// is the version that an append expects and the token that it carries.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DeploymentStore: fmt::Debug + Send + Sync + 'static {
    /// Creates a deployment's record: its journal with the first event, and its graph, in one transaction.
    ///
    /// **Idempotency.** By the plan's idempotency key within the environment: the same key with the same
    /// [content](DeploymentPlan::content_digest) gives the deployment that exists. Without a key, every call creates
    /// one.
    ///
    /// **After a crash.** The deployment exists whole or not at all.
    ///
    /// **Errors.** `IDEMPOTENCY_KEY_REUSED` for the same key with other content; `DIGEST_MISMATCH` when the graph is not
    /// the one that the plan names; `REQUEST_INVALID` for an id that is taken; `STORE_UNAVAILABLE`.
    async fn create(&self, plan: &DeploymentPlan, graph: &Bytes) -> Result<Creation>;

    /// Appends events, if the journal's last event has the number `append.expected_version` and the token is the newest
    /// of the environment's lease, and was not given up. Both are compared in the statement that writes.
    ///
    /// **Idempotency.** None: the second of two equal appends fails with `VERSION_CONFLICT`. A writer whose answer was
    /// lost reads the journal again.
    ///
    /// **After a crash.** All of the events are there or none.
    ///
    /// **Errors.** `VERSION_CONFLICT`, `LEASE_LOST`, `DEPLOYMENT_UNKNOWN`, `STORE_UNAVAILABLE`. Two that only a defect of
    /// the writer can cause: `REQUEST_INVALID` for events that are not numbered from `expected_version + 1` on, and
    /// `JOURNAL_CORRUPT` for a status that goes back or follows a terminal one.
    async fn append(&self, append: &Append) -> Result<()>;

    /// The events of a journal after number `after`, in order.
    ///
    /// **Errors.** `DEPLOYMENT_UNKNOWN`; `JOURNAL_INCOMPATIBLE` for a format that this version does not know;
    /// `JOURNAL_CORRUPT`; `STORE_UNAVAILABLE`.
    async fn events(&self, deployment: &DeploymentId, after: u64) -> Result<Vec<RecordedEvent>>;

    /// One deployment's record.
    ///
    /// **Errors.** `DEPLOYMENT_UNKNOWN`, `STORE_UNAVAILABLE`.
    async fn deployment(&self, deployment: &DeploymentId) -> Result<DeploymentRecord>;

    /// The deployments that match, newest first: in the order of their creation, whatever the clock said.
    ///
    /// **Errors.** `DEPLOYMENT_UNKNOWN` when `query.before` names none; `STORE_UNAVAILABLE`.
    async fn history(&self, query: &HistoryQuery) -> Result<Vec<DeploymentRecord>>;

    /// The serialised export of a feature graph.
    ///
    /// **Errors.** `JOURNAL_CORRUPT` when the bytes no longer have that digest; `STORE_UNAVAILABLE`. A digest that is not
    /// there is `None`.
    async fn graph(&self, digest: &Digest) -> Result<Option<Bytes>>;

    /// Notes that the cancellation of a deployment is wanted. Needs no lease: any process may ask, and the owner of the
    /// environment acts on it.
    ///
    /// **Idempotency.** Asking again changes nothing.
    ///
    /// **After a crash.** It is noted or it is not.
    ///
    /// **Errors.** `DEPLOYMENT_UNKNOWN`; `DEPLOYMENT_FINAL` for a finished deployment; `STORE_UNAVAILABLE`.
    async fn request_cancel(&self, deployment: &DeploymentId) -> Result<()>;

    /// Makes `holder` the owner of an environment, with a token greater than any before.
    ///
    /// **Idempotency.** None: each call is a new lease.
    ///
    /// **After a crash.** A holder that died is no owner: at once where the operating system tells (SQLite), when
    /// `term` has passed otherwise.
    ///
    /// **Errors.** `LEASE_HELD` names the living owner, its start and how to take over; `STORE_UNAVAILABLE`.
    async fn acquire_lease(
        &self,
        environment: &EnvironmentId,
        holder: &LeaseHolder,
        term: Duration,
        now: Timestamp,
    ) -> Result<Lease>;

    /// Extends a lease by its term from `now`.
    ///
    /// **Idempotency.** Extending again only moves the end.
    ///
    /// **After a crash.** The end is the old or the new one.
    ///
    /// **Errors.** `LEASE_LOST` when someone took over, or when it was given up; `STORE_UNAVAILABLE`.
    async fn renew_lease(&self, lease: &Lease, now: Timestamp) -> Result<()>;

    /// Gives a lease up. The token is never given out again.
    ///
    /// **Idempotency.** Giving up what is lost or given up succeeds.
    ///
    /// **After a crash.** As after `acquire_lease`.
    ///
    /// **Errors.** `STORE_UNAVAILABLE`.
    async fn release_lease(&self, lease: &Lease) -> Result<()>;
}

/// What became of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// The deployment is new.
    New,
    /// The idempotency key was used before, with the same content, for this deployment.
    Existing(DeploymentId),
}

/// Events to append.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// Whose journal.
    pub deployment: DeploymentId,
    /// The number of the journal's last event as the writer knows it.
    pub expected_version: u64,
    /// The writer's token. `None` is allowed only while the source is awaited: the upload belongs to the client, not to
    /// the owner of the environment, and cannot touch anything that others see.
    pub token: Option<FencingToken>,
    /// The events, numbered from `expected_version + 1` on. Never empty.
    pub events: Vec<RecordedEvent>,
    /// The deployment's status after them.
    pub status: DeploymentStatus,
}

/// A deployment as the history shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// What it is made from.
    pub plan: DeploymentPlan,
    /// Where it is.
    pub status: DeploymentStatus,
    /// The number of its last event.
    pub version: u64,
    /// When its last event was recorded.
    pub updated_at: Timestamp,
    /// Whether its cancellation was asked for.
    pub cancel_requested: bool,
}

/// Which deployments are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryQuery {
    /// Those of this environment; of all, if none is named.
    pub environment: Option<EnvironmentId>,
    /// Those in one of these statuses; in any, if none is named.
    pub statuses: Vec<DeploymentStatus>,
    /// Those created before this one, for the next page.
    pub before: Option<DeploymentId>,
    /// At most this many; all, if none is named.
    pub most: Option<usize>,
}

impl HistoryQuery {
    /// The deployments of an environment that have not ended.
    pub fn unfinished(environment: Option<EnvironmentId>) -> Self {
        let statuses = DeploymentStatus::ALL.into_iter().filter(|status| !status.is_terminal()).collect();
        Self { environment, statuses, before: None, most: None }
    }
}

/// Who owns, or wants to own, an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHolder {
    /// A name that tells one owner from another: a fresh id for each `Deployer`.
    pub name: String,
    /// Its process, for a person who must stop it.
    pub process: u32,
    /// When it started.
    pub started_at: Timestamp,
}

impl fmt::Display for LeaseHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = crate::text::line(&self.name, 80);
        write!(formatter, "process {} (owner {name}, started {})", self.process, self.started_at)
    }
}

/// The ownership of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The environment.
    pub environment: EnvironmentId,
    /// Greater than every token of this environment before.
    pub token: FencingToken,
    /// Who owns it.
    pub holder: LeaseHolder,
    /// For how long, from the last renewal.
    pub term: Duration,
}
