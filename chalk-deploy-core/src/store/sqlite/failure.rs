//! What SQLite and the file system report, in our codes, with the path and the remedy.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode as Sqlite;

use crate::error::Retry;
use crate::{Error, ErrorCode};

/// Why work on the database failed: the database itself, or a rule of ours that needs no path.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database failed.
    Database(rusqlite::Error),
    /// A rule of the store refused the request, or stored data broke one.
    Refused(Error),
}

impl Failure {
    /// The error for the caller, on the database file at `path`.
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Database(error) => database(path, error),
            Self::Refused(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// A failed call of SQLite on the database at `path`.
pub(super) fn database(path: &Path, error: rusqlite::Error) -> Error {
    use rusqlite::Error as Rusqlite;
    let kind = match &error {
        Rusqlite::SqliteFailure(failure, _) | Rusqlite::SqlInputError { error: failure, .. } => Some(failure.code),
        // A column holds another type than the table declares.
        Rusqlite::InvalidColumnType(..)
        | Rusqlite::FromSqlConversionFailure(..)
        | Rusqlite::IntegralValueOutOfRange(..)
        | Rusqlite::Utf8Error(..) => Some(Sqlite::DatabaseCorrupt),
        _ => None,
    };
    let unavailable = |message: &str| Error::new(ErrorCode::StoreUnavailable, message);
    let described = match kind {
        Some(Sqlite::DatabaseCorrupt | Sqlite::NotADatabase) => {
            Error::new(ErrorCode::JournalCorrupt, "the database of the state folder is damaged")
        }
        // Our statements are constants: one that does not fit the tables means that the tables were changed.
        Some(Sqlite::Unknown | Sqlite::TypeMismatch | Sqlite::SchemaChanged) => {
            Error::new(ErrorCode::JournalCorrupt, "the tables are not those that chalk-deploy made")
        }
        // What a request can violate is looked at before; what is left are rows that contradict the tables' own checks.
        Some(Sqlite::ConstraintViolation) => {
            Error::new(ErrorCode::JournalCorrupt, "the rows of the database contradict each other")
        }
        Some(Sqlite::DiskFull) => unavailable("the disk is full; nothing was written")
            .with_hint("free some space on the disk of the state folder, then resume"),
        Some(Sqlite::ReadOnly | Sqlite::PermissionDenied) => unavailable("the database cannot be written")
            .with_retry(Retry::Permanent)
            .with_hint("make the state folder and its files writable for this user"),
        Some(Sqlite::CannotOpen) => unavailable("the database cannot be opened")
            .with_retry(Retry::Permanent)
            .with_hint("check that the state folder exists and that this user may read and write it"),
        Some(Sqlite::DatabaseBusy | Sqlite::DatabaseLocked | Sqlite::FileLockingProtocolFailed) => {
            unavailable("another process keeps the database locked")
                .with_hint("wait for the other process, or stop it, then resume")
        }
        Some(Sqlite::TooBig) => Error::new(ErrorCode::RequestInvalid, "a value is larger than the database can hold"),
        Some(Sqlite::SystemIoFailure | Sqlite::OutOfMemory | Sqlite::NoLargeFileSupport) => {
            unavailable("the database could not be read or written")
        }
        _ => Error::new(ErrorCode::Internal, "the store used the database wrongly"),
    };
    described.on(path.display()).caused_by(error)
}

/// A failed call of the file system on `path`. `doing` completes "it could not be ...".
pub(super) fn file(path: &Path, doing: &str, error: io::Error) -> Error {
    let described = Error::new(ErrorCode::StoreUnavailable, format!("it could not be {doing}")).on(path.display());
    let described = match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => described
            .with_retry(Retry::Permanent)
            .with_hint("name a folder for the state, or remove the file that stands in its place"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => described
            .with_retry(Retry::Permanent)
            .with_hint("make the state folder writable for this user, or name another folder"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            described.with_hint("free some space on the disk of the state folder, then resume")
        }
        _ => described,
    };
    described.caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_the_database_names_the_file_and_a_remedy() {
        use rusqlite::ffi;
        let cases = [
            (ffi::SQLITE_CORRUPT, ErrorCode::JournalCorrupt, Retry::Permanent),
            (ffi::SQLITE_NOTADB, ErrorCode::JournalCorrupt, Retry::Permanent),
            (ffi::SQLITE_ERROR, ErrorCode::JournalCorrupt, Retry::Permanent),
            (ffi::SQLITE_CONSTRAINT, ErrorCode::JournalCorrupt, Retry::Permanent),
            (ffi::SQLITE_FULL, ErrorCode::StoreUnavailable, Retry::Temporary),
            (ffi::SQLITE_READONLY, ErrorCode::StoreUnavailable, Retry::Permanent),
            (ffi::SQLITE_CANTOPEN, ErrorCode::StoreUnavailable, Retry::Permanent),
            (ffi::SQLITE_BUSY, ErrorCode::StoreUnavailable, Retry::Temporary),
            (ffi::SQLITE_IOERR_FSYNC, ErrorCode::StoreUnavailable, Retry::Temporary),
            (ffi::SQLITE_TOOBIG, ErrorCode::RequestInvalid, Retry::Permanent),
            (ffi::SQLITE_MISUSE, ErrorCode::Internal, Retry::Permanent),
        ];
        for (number, code, retry) in cases {
            let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(number), None);
            let error = database(Path::new("state/deployments.sqlite"), failure);
            assert_eq!((error.code(), error.retry()), (code, retry), "{number}");
            assert!(error.sentence().starts_with("state/deployments.sqlite: "), "{}", error.sentence());
            assert!(!error.hint().is_empty(), "{number}");
        }
    }

    #[test]
    fn a_full_or_read_only_disk_is_said_with_its_remedy() {
        let full = file(Path::new("state"), "created", io::ErrorKind::StorageFull.into());
        assert!(full.hint().starts_with("free some space"), "{}", full.sentence());
        let read_only = file(Path::new("state"), "created", io::ErrorKind::ReadOnlyFilesystem.into());
        assert_eq!(read_only.retry(), Retry::Permanent);
        assert!(read_only.sentence().starts_with("state: it could not be created: "), "{}", read_only.sentence());
    }
}
