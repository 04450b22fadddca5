//! Leases: a row with the newest token, and a lock of the operating system that says whether its owner lives.
//!
//! The lock is taken and given back only inside a write transaction, so that whoever finds it taken also finds the
//! owner's row. A process that dies gives its locks back at once, and the next owner counts the token on. The lock
//! belongs to the open file: two stores in one process exclude each other too.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::{OptionalExtension as _, Transaction, named_params};

use super::database::{Database, locked};
use super::failure::{self, Failure};
use super::folder;
use super::journal::{from_column, to_column};
use crate::cloud::FencingToken;
use crate::model::{EnvironmentId, Timestamp};
use crate::store::rules;
use crate::store::{Lease, LeaseHolder};
use crate::{Error, ErrorCode, Result};

/// The locks that this store holds.
#[derive(Debug)]
pub(super) struct Leases {
    directory: PathBuf,
    held: Mutex<BTreeMap<EnvironmentId, Held>>,
}

#[derive(Debug)]
struct Held {
    token: FencingToken,
    lock: Lock,
}

/// A lock file that is held. Unlocked by name and not only closed: a child that is just being started may have a copy of
/// the descriptor, and would keep the lock until it has begun.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file frees the lock in any case.
        let _ = self.0.unlock();
    }
}

impl Leases {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.join(folder::LEASES), held: Mutex::default() }
    }

    /// Takes the lock and counts the token on, in one transaction.
    pub(super) fn acquire(
        &self,
        database: &Database,
        environment: &EnvironmentId,
        holder: &LeaseHolder,
        now: Timestamp,
    ) -> Result<FencingToken> {
        let acquired = database.write(|transaction| {
            let Some(lock) = self.try_lock(environment)? else {
                let newest = newest(transaction, environment)?;
                return Err(rules::lease_held(environment, newest.as_ref().map(|row| &row.holder), "").into());
            };
            let token = count_on(transaction, environment, holder, now)?;
            Ok(Held { token, lock })
        })?;
        let token = acquired.token;
        // Nothing else can be there: the lock was free.
        locked(&self.held).insert(environment.clone(), acquired);
        Ok(token)
    }

    /// Checks that the lease is in force. The lock needs no renewal, so nothing is written.
    pub(super) fn check(&self, database: &Database, lease: &Lease) -> Result<()> {
        let newest = database.read(|transaction| newest(transaction, &lease.environment))?;
        let newest = newest.filter(|row| !row.given_up).map(|row| row.token);
        let held = locked(&self.held).get(&lease.environment).map(|held| held.token);
        if newest == Some(lease.token) && held == Some(lease.token) {
            return Ok(());
        }
        Err(rules::lease_lost(lease.token, newest).on(format!("environment `{}`", lease.environment)))
    }

    /// Notes that the lease is given up, so that its token is refused from here on, and gives the lock back.
    pub(super) fn release(&self, database: &Database, lease: &Lease) -> Result<()> {
        let mut held = locked(&self.held);
        let Some(ours) = held.remove(&lease.environment) else { return Ok(()) };
        if ours.token != lease.token {
            held.insert(lease.environment.clone(), ours);
            return Ok(());
        }
        drop(held);
        database.write(move |transaction| {
            transaction
                .prepare_cached(
                    "UPDATE leases SET given_up = 1 WHERE environment = ?1 AND token = ?2 AND given_up = 0",
                )?
                .execute((lease.environment.as_str(), to_column(lease.token.0, "a token")?))?;
            // Before the commit: whoever waits for this transaction finds the lock free. If the commit fails, the lock
            // is free all the same, as after a crash.
            drop(ours.lock);
            Ok(())
        })
    }

    fn try_lock(&self, environment: &EnvironmentId) -> Result<Option<Lock>> {
        let path = self.directory.join(format!("{environment}.lock"));
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|error| failure::file(&path, "opened", error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failure::file(&path, "locked", error)),
        }
    }
}

/// The newest lease of an environment, as its row says.
struct Newest {
    token: FencingToken,
    given_up: bool,
    holder: LeaseHolder,
}

fn newest(transaction: &Transaction<'_>, environment: &EnvironmentId) -> Result<Option<Newest>, Failure> {
    let mut statement = transaction
        .prepare_cached("SELECT token, given_up, holder, process, started_at FROM leases WHERE environment = ?1")?;
    let row = statement
        .query_row([environment.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .optional()?;
    let Some((token, given_up, name, process, started_at)) = row else { return Ok(None) };
    let (token, started_at): (i64, i64) = (token, started_at);
    let process: i64 = process;
    let process = u32::try_from(process).map_err(|_| {
        Error::new(ErrorCode::JournalCorrupt, "the process of the lease is no process number")
            .on(format!("environment `{environment}`"))
    })?;
    let started_at = Timestamp::from_millis(from_column(started_at, "the start of a lease's owner")?);
    let token = FencingToken(from_column(token, "a token")?);
    Ok(Some(Newest { token, given_up, holder: LeaseHolder { name, process, started_at } }))
}

/// Writes the next token with its owner.
fn count_on(
    transaction: &Transaction<'_>,
    environment: &EnvironmentId,
    holder: &LeaseHolder,
    now: Timestamp,
) -> Result<FencingToken, Failure> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO leases AS lease (environment, token, given_up, holder, process, started_at, acquired_at)
         VALUES (:environment, 1, 0, :holder, :process, :started_at, :acquired_at)
         ON CONFLICT (environment) DO UPDATE SET
             token = lease.token + 1,
             given_up = 0,
             holder = excluded.holder,
             process = excluded.process,
             started_at = excluded.started_at,
             acquired_at = excluded.acquired_at
         RETURNING token",
    )?;
    let token: i64 = statement.query_row(
        named_params! {
            ":environment": environment.as_str(),
            ":holder": holder.name,
            ":process": i64::from(holder.process),
            ":started_at": to_column(holder.started_at.as_millis(), "the start of a lease's owner")?,
            ":acquired_at": to_column(now.as_millis(), "the time")?,
        },
        |row| row.get(0),
    )?;
    Ok(FencingToken(from_column(token, "a token")?))
}
