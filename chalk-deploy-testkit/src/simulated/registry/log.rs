//! Which requests came in, so that a test can count round trips.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use http::{Method, StatusCode};

pub use super::route::RequestKind;

/// The log forgets the oldest beyond this.
const MOST: usize = 100_000;

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// What it was.
    pub kind: RequestKind,
    /// Its method.
    pub method: Method,
    /// Its path, without the query, which may hold secrets.
    pub path: String,
    /// What it was answered with.
    pub status: StatusCode,
}

/// The requests so far, in the order of their answers.
#[derive(Debug, Clone, Default)]
pub struct RequestLog {
    /// All of them.
    pub requests: Vec<LoggedRequest>,
}

impl RequestLog {
    /// How many there were of one kind.
    pub fn count(&self, kind: RequestKind) -> usize {
        self.requests.iter().filter(|request| request.kind == kind).count()
    }

    /// How many there were.
    pub const fn total(&self) -> usize {
        self.requests.len()
    }
}

/// The log that is being written.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<VecDeque<LoggedRequest>>);

impl Log {
    pub(super) fn add(&self, request: LoggedRequest) {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == MOST {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(super) fn read(&self) -> RequestLog {
        let requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        RequestLog { requests: requests.iter().cloned().collect() }
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
