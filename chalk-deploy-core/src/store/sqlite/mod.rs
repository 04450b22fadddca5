//! The embedded store: one SQLite database in a state folder.
//!
//! ```text
//! .chalk-deploy/
//!   .chalk-deploy-state     marks the folder and names its format
//!   .gitignore              `*`
//!   deployments.sqlite      the tables of schema.sql; beside it the log (-wal) and its index (-shm)
//!   creation.lock           held while the tables are made
//!   leases/ENVIRONMENT.lock held by the living owner of the environment
//! ```
//!
//! Any number of processes on one machine may use one folder. It must lie on a local disk: neither SQLite's log nor the
//! locks can be trusted on a network's file system.

mod database;
mod failure;
mod folder;
mod journal;
mod lease;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use self::database::Database;
use self::lease::Leases;
use super::{Append, Creation, DeploymentRecord, DeploymentStore, HistoryQuery, Lease, LeaseHolder, rules};
use crate::machine::RecordedEvent;
use crate::model::{DeploymentId, DeploymentPlan, Digest, EnvironmentId, Timestamp};
use crate::{Error, ErrorCode, Result};

pub use self::folder::STATE_FORMAT;

/// The deployment store in a state folder.
///
/// Its leases last as long as their owner: `term` is not counted, because a lock of the operating system tells at once
/// whether the owner lives. Dropping the store gives its leases up and closes the database.
///
/// Every call runs on tokio's threads for blocking work. A call whose future is dropped may still take effect, like one
/// whose answer was lost.
pub struct SqliteStore {
    opened: Arc<Opened>,
}

#[derive(Debug)]
struct Opened {
    directory: PathBuf,
    // Dropped before the database is closed.
    leases: Leases,
    database: Database,
}

impl SqliteStore {
    /// Opens the store in a folder, and makes both if they are not there.
    ///
    /// # Errors
    /// `JOURNAL_INCOMPATIBLE` for a folder of a format that this version does not know, which is left as it is;
    /// `REQUEST_INVALID` for a folder that holds other things; `JOURNAL_CORRUPT` for a damaged database;
    /// `STORE_UNAVAILABLE` when the folder cannot be made, read or written.
    pub async fn open(state_directory: &Path) -> Result<Arc<Self>> {
        let directory = state_directory.to_path_buf();
        let opened = on_blocking_thread(move || {
            // A later change of the working directory must not lead the lock files elsewhere.
            let directory = std::path::absolute(&directory)
                .map_err(|error| failure::file(&directory, "made an absolute path", error))?;
            folder::prepare(&directory)?;
            let database = Database::open(&directory)?;
            Ok(Opened { leases: Leases::new(&directory), database, directory })
        })
        .await?;
        Ok(Arc::new(Self { opened: Arc::new(opened) }))
    }

    /// The state folder.
    pub fn directory(&self) -> &Path {
        &self.opened.directory
    }

    /// How many transactions of this value changed something: each is one flush of the journal to the disk.
    pub fn commits(&self) -> u64 {
        self.opened.database.commits()
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Opened) -> Result<T> + Send + 'static) -> Result<T> {
        let opened = Arc::clone(&self.opened);
        on_blocking_thread(move || work(&opened)).await
    }
}

async fn on_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        let code = if error.is_panic() { ErrorCode::Internal } else { ErrorCode::StoreUnavailable };
        Err(Error::new(code, "the work of the store was broken off").caused_by(error))
    })
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SqliteStore")
            .field("database", &self.opened.database.path())
            .field("commits", &self.commits())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl DeploymentStore for SqliteStore {
    async fn create(&self, plan: &DeploymentPlan, graph: &Bytes) -> Result<Creation> {
        let (plan, graph) = (plan.clone(), graph.clone());
        self.run(move |opened| {
            rules::check_creation(&plan, &graph)?;
            opened.database.shorten_log();
            opened.database.write(|transaction| journal::create(transaction, &plan, &graph))
        })
        .await
    }

    async fn append(&self, append: &Append) -> Result<()> {
        rules::check_append(append)?;
        let append = append.clone();
        self.run(move |opened| opened.database.write(|transaction| journal::append(transaction, &append))).await
    }

    async fn events(&self, deployment: &DeploymentId, after: u64) -> Result<Vec<RecordedEvent>> {
        let deployment = deployment.clone();
        self.run(move |opened| opened.database.read(|transaction| journal::events(transaction, &deployment, after)))
            .await
    }

    async fn deployment(&self, deployment: &DeploymentId) -> Result<DeploymentRecord> {
        let deployment = deployment.clone();
        self.run(move |opened| opened.database.read(|transaction| journal::deployment(transaction, &deployment))).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<DeploymentRecord>> {
        let query = query.clone();
        self.run(move |opened| opened.database.read(|transaction| journal::history(transaction, &query))).await
    }

    async fn graph(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let digest = *digest;
        self.run(move |opened| opened.database.read(|transaction| journal::graph(transaction, &digest))).await
    }

    async fn request_cancel(&self, deployment: &DeploymentId) -> Result<()> {
        let deployment = deployment.clone();
        self.run(move |opened| opened.database.write(|transaction| journal::request_cancel(transaction, &deployment)))
            .await
    }

    async fn acquire_lease(
        &self,
        environment: &EnvironmentId,
        holder: &LeaseHolder,
        term: Duration,
        now: Timestamp,
    ) -> Result<Lease> {
        let (environment, holder) = (environment.clone(), holder.clone());
        self.run(move |opened| {
            opened.database.shorten_log();
            let token = opened.leases.acquire(&opened.database, &environment, &holder, now)?;
            Ok(Lease { environment, token, holder, term })
        })
        .await
    }

    async fn renew_lease(&self, lease: &Lease, _now: Timestamp) -> Result<()> {
        let lease = lease.clone();
        self.run(move |opened| opened.leases.check(&opened.database, &lease)).await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        self.run(move |opened| opened.leases.release(&opened.database, &lease)).await
    }
}
