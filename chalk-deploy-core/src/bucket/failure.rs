//! Errors of object_store as errors of this library.

use std::error::Error as StdError;
use std::io;

use object_store::Error as StoreError;

use super::refusal::Refusal;
use crate::text;
use crate::transport::TransportError;
use crate::{Error, ErrorCode};

/// The error for a person and for the driver. What our own transport or the parsed refusal of the server says comes
/// first; object_store's own words hold URLs and whole answers.
pub(super) fn mapped(error: &StoreError, subject: &str) -> Error {
    if let Some(refusal) = found::<Refusal>(error) {
        return refusal.error(subject);
    }
    if let Some(failure) = found::<TransportError>(error) {
        // The sources of a borrowed error cannot be taken; what they say is in the record.
        return match failure.source.as_ref().and_then(|source| source.downcast_ref::<Error>()) {
            Some(exact) => Error::from(exact.record()).on(subject),
            None => Error::new(ErrorCode::CloudUnavailable, text::line(&failure.message, 300)).on(subject),
        };
    }
    if let Some(own) = found::<Error>(error) {
        return if own.subject().is_empty() {
            Error::from(own.record()).on(subject)
        } else {
            Error::from(own.record())
        };
    }
    // The file system says as an I/O error what object_store has understood already.
    let understood = matches!(error, StoreError::NotFound { .. } | StoreError::AlreadyExists { .. });
    if let Some(failure) = found::<io::Error>(error).filter(|_| !understood) {
        let error = match failure.kind() {
            io::ErrorKind::PermissionDenied => Error::new(ErrorCode::PermissionDenied, "the file system refuses it")
                .with_hint("give this process the right to read and write the directory of the bucket"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::new(ErrorCode::CloudUnavailable, "the disk is full").with_hint("make room, then resume")
            }
            _ => Error::new(ErrorCode::CloudUnavailable, "the bucket could not be read or written"),
        };
        return error.on(subject).caused_by(io::Error::other(text::line(&failure.to_string(), 300)));
    }
    let cause = text::line(&last(error).to_string(), 300);
    let (code, message) = match error {
        StoreError::NotFound { .. } => (ErrorCode::ObjectMissing, "there is no such object"),
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => {
            (ErrorCode::ObjectExists, "the key holds something already")
        }
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            (ErrorCode::PermissionDenied, "the store refuses it")
        }
        StoreError::InvalidPath { .. } => (ErrorCode::CloudAnswerInvalid, "the store holds a key that is none"),
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => {
            (ErrorCode::RequestInvalid, "the store cannot do that")
        }
        StoreError::JoinError { .. } => (ErrorCode::Internal, "the work on the bucket was stopped"),
        _ => (ErrorCode::CloudAnswerInvalid, "the answer of the store makes no sense"),
    };
    Error::new(code, message).on(subject).caused_by(cause)
}

/// The first cause of a type.
fn found<E: StdError + 'static>(error: &StoreError) -> Option<&E> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        // An I/O error does not call what it wraps its source.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn last(error: &StoreError) -> &(dyn StdError + 'static) {
    let mut last: &(dyn StdError + 'static) = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last
}
