//! The connections to the database file, and the only place where transactions begin and end.
//!
//! **What is forced to the disk, and when.** The database is in WAL mode with `synchronous=FULL`. A transaction that
//! changes something costs one flush of the `-wal` file, when it commits; that is all that an append costs. A
//! transaction that changes nothing flushes nothing. Besides:
//! - The first commit after the log was begun anew (after opening, or after it was moved) flushes its header too.
//! - When a deployment is created or a lease acquired, a log longer than [`LONG_LOG`] is moved into the database before
//!   that: one more flush of the log and one of the database. Appends leave the log alone up to [`LONGEST_LOG`].
//! - The last connection that closes moves the log too, and removes it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::failure::{self, Failure};
use super::folder::{self, STATE_FORMAT};
use crate::{Error, ErrorCode, Result};

const SCHEMA: &str = include_str!("schema.sql");

/// The length of the log in bytes from which on it is moved into the database at the next good moment.
const LONG_LOG: u64 = 16 << 20;

/// The length of the log, in pages of 4 KiB, at which the commit that reaches it moves it: 256 MiB.
const LONGEST_LOG: u32 = 65_536;

/// How long a transaction waits for the one of another process. Ours take milliseconds.
const BUSY: Duration = Duration::from_secs(10);

/// One connection that writes and one that reads, so that a reader does not wait for a writer's flush.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    // Closed before the writer, which then moves the log into the database.
    reader: Mutex<Connection>,
    writer: Mutex<Connection>,
    commits: AtomicU64,
}

impl Database {
    /// Opens the database in a prepared state folder, and makes its tables if it is new.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(folder::DATABASE);
        refuse_newer(&path)?;
        let writer = open_writer(directory, &path).map_err(|failure| failure.at(&path))?;
        let reader = open_reader(&path).map_err(|error| failure::database(&path, error))?;
        Ok(Self { path, reader: Mutex::new(reader), writer: Mutex::new(writer), commits: AtomicU64::new(0) })
    }

    /// Reads from one snapshot.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>) -> Result<T> {
        let mut reader = locked(&self.reader);
        let read = || -> Result<T, Failure> {
            // Dropped without a commit: there is nothing to keep.
            work(&reader.transaction()?)
        };
        read().map_err(|failure| failure.at(&self.path))
    }

    /// Runs one transaction that writes: all of it is durable when this returns, or none of it is there.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>) -> Result<T> {
        let mut writer = locked(&self.writer);
        let write = || -> Result<T, Failure> {
            let before = writer.total_changes();
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            if writer.total_changes() != before {
                self.commits.fetch_add(1, Ordering::Relaxed);
            }
            Ok(value)
        };
        write().map_err(|failure| failure.at(&self.path))
    }

    /// Moves a long log into the database, so that the appends that follow need not.
    pub(super) fn shorten_log(&self) {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        if std::fs::metadata(log).is_ok_and(|found| found.len() > LONG_LOG) {
            // Nothing is lost when it fails: the log stays as it is and is moved later. A failing disk is told by the
            // transaction that follows.
            let _ = locked(&self.writer).query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }

    /// How many transactions changed something since this value was made.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The writing connection, for tests that make it fail.
    #[cfg(test)]
    pub(super) fn writer(&self) -> MutexGuard<'_, Connection> {
        locked(&self.writer)
    }
}

/// A thread that panicked rolled its transaction back while it unwound; the connection behind the mutex is whole.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at the format in the database's header without locks, log or any file being made, so that a newer one is
/// refused with the folder untouched. Whatever else is wrong with the file, opening it finds out.
///
/// The header is read through SQLite and not as a plain file: closing a second descriptor of the file would drop the
/// POSIX locks of every connection in this process (sqlite.org, *How To Corrupt An SQLite Database File*, 2.2).
fn refuse_newer(path: &Path) -> Result<()> {
    if std::fs::metadata(path).map_or(0, |found| found.len()) == 0 {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    match Connection::open_with_flags(immutable(path), flags).and_then(|connection| format_of(&connection)) {
        Ok(found) if found > i64::from(STATE_FORMAT) => Err(folder::unknown_format(path, &found.to_string())),
        _ => Ok(()),
    }
}

/// The URI of a file that nobody is taken to change (sqlite.org, *Uniform Resource Identifiers*).
fn immutable(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut uri = "file:///".to_owned();
    let bytes = path.as_os_str().as_encoded_bytes();
    for byte in bytes.strip_prefix(b"/").unwrap_or(bytes) {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            b'/' | b'.' | b'-' | b'_' | b':' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            // Writing into a String cannot fail.
            byte => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

fn open_writer(directory: &Path, path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // macOS: a flush that reaches the disk and not only its cache. Nothing elsewhere.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Until it is known to be ours, the log of the database stays where it is.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if format_of(&connection)? == 0 {
        create_tables(&mut connection, directory)?;
    }
    let found = format_of(&connection)?;
    if found != i64::from(STATE_FORMAT) {
        return Err(folder::unknown_format(path, &found.to_string()).into());
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    log_ahead(&connection, path)?;
    connection.pragma_update(None, "wal_autocheckpoint", LONGEST_LOG)?;
    // The file is as long as what it holds, so that its length tells when to move it.
    connection.pragma_update_and_check(None, "journal_size_limit", 0, |_| Ok(()))?;
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn format_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Puts the database into WAL mode, if it is not.
fn log_ahead(connection: &Connection, path: &Path) -> Result<(), Failure> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    let message = format!("the file system does not allow the database's write-ahead log (its mode stays `{mode}`)");
    let error = Error::new(ErrorCode::StoreUnavailable, message).on(path.display());
    Err(error.with_hint("put the state folder on a local disk").into())
}

/// Makes the tables in an empty database. One process at a time: two that change the mode of a file at once would block
/// each other. The format is written last, in the same transaction as the tables.
fn create_tables(connection: &mut Connection, directory: &Path) -> Result<(), Failure> {
    let _creation = creation_lock(directory)?;
    if format_of(connection)? != 0 {
        return Ok(());
    }
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables != 0 {
        return Err(folder::unknown_format(&directory.join(folder::DATABASE), "0").into());
    }
    log_ahead(connection, &directory.join(folder::DATABASE))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    let meta = [
        ("format", STATE_FORMAT.to_string()),
        ("created_by", concat!("chalk-deploy-core ", env!("CARGO_PKG_VERSION")).to_owned()),
    ];
    for (name, value) in meta {
        transaction.execute("INSERT INTO meta (name, value) VALUES (?1, ?2)", (name, value))?;
    }
    transaction.pragma_update(None, "user_version", STATE_FORMAT)?;
    transaction.commit()?;
    // From here on the header itself tells the format; without this it would stand in the log alone.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

fn creation_lock(directory: &Path) -> Result<File> {
    let path = directory.join(folder::CREATION_LOCK);
    let lock = || {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        file.lock().map(|()| file)
    };
    lock().map_err(|error| failure::file(&path, "locked", error))
}
