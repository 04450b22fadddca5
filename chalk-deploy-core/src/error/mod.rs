//! One error type for the whole library.
//!
//! An [`Error`] says what failed (its message), on what (its [`subject`](Error::subject)), why (its
//! [`source`](std::error::Error::source)) and what to do (its [`hint`](Error::hint)). It carries a stable
//! [`ErrorCode`], from which follow the terminal status that it leads to and whether a retry can help. Every code
//! stands in one file, `error/code.rs`.
//!
//! A journal keeps the [`RecordedError`] of an error: the same data without the live source.

mod code;

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use code::{ErrorCode, Retry};

/// The result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, on what, why, and what to do about it.
///
/// `Display` is one sentence without the hint; [`Error::sentence`] adds the hint, for a person at a terminal.
pub struct Error(Box<Inner>);

struct Inner {
    recorded: RecordedError,
    source: Option<Source>,
}

impl Error {
    /// An error with a message: lower case, no full stop, naming what failed.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let recorded = RecordedError {
            code,
            subject: String::new(),
            message: message.into(),
            hint: code.hint().to_owned(),
            retry: code.retry(),
        };
        Self(Box::new(Inner { recorded, source: None }))
    }

    /// Names the thing that it failed on: a file, a field, a digest, an object of the cluster.
    #[must_use]
    pub fn on(mut self, subject: impl fmt::Display) -> Self {
        self.0.recorded.subject = subject.to_string();
        self
    }

    /// Replaces the code's own hint with a more exact one.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.recorded.hint = hint.into();
        self
    }

    /// Overrides the retry class of the code, where the place that parsed the answer knows better.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.recorded.retry = retry;
        self
    }

    /// Attaches the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The stable code, the same in every version of the library.
    pub fn code(&self) -> ErrorCode {
        self.0.recorded.code
    }

    /// What it failed on; empty when the message says it all.
    pub fn subject(&self) -> &str {
        &self.0.recorded.subject
    }

    /// The message alone, without the subject.
    pub fn message(&self) -> &str {
        &self.0.recorded.message
    }

    /// What to do about it; empty when there is nothing to advise.
    pub fn hint(&self) -> &str {
        &self.0.recorded.hint
    }

    /// Whether the same call can succeed later.
    pub fn retry(&self) -> Retry {
        self.0.recorded.retry
    }

    /// Subject, message, causes and hint as one sentence for a person.
    pub fn sentence(&self) -> String {
        let mut sentence = self.0.recorded.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !sentence.contains(&text) {
                sentence.push_str(": ");
                sentence.push_str(&text);
            }
            source = cause.source();
        }
        if !self.hint().is_empty() {
            sentence.push_str("; ");
            sentence.push_str(self.hint());
        }
        sentence
    }

    /// The part of the error that a journal keeps. The causes are folded into the message, because the live source
    /// does not survive the process.
    pub fn record(&self) -> RecordedError {
        let mut recorded = self.0.recorded.clone();
        let mut source = self.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !recorded.message.contains(&text) {
                recorded.message.push_str(": ");
                recorded.message.push_str(&text);
            }
            source = cause.source();
        }
        recorded
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.recorded, formatter)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Error")
            .field("code", &self.code())
            .field("subject", &self.subject())
            .field("message", &self.message())
            .field("retry", &self.retry())
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl From<RecordedError> for Error {
    fn from(recorded: RecordedError) -> Self {
        Self(Box::new(Inner { recorded, source: None }))
    }
}

/// An [`Error`] as a journal keeps it and as `--json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedError {
    /// The stable code.
    pub code: ErrorCode,
    /// What it failed on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What failed, with its causes.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// Whether a retry can help.
    pub retry: Retry,
}

impl fmt::Display for RecordedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subject.is_empty() {
            formatter.write_str(&self.message)
        } else {
            write!(formatter, "{}: {}", self.subject, self.message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_subject_message_cause_and_remedy_once() {
        let cause = std::io::Error::other("disk on fire");
        let error = Error::new(ErrorCode::StoreUnavailable, "the journal could not be written")
            .on("deployments.sqlite")
            .caused_by(cause)
            .with_hint("call the fire brigade");
        assert_eq!(
            error.sentence(),
            "deployments.sqlite: the journal could not be written: disk on fire; call the fire brigade"
        );
    }

    #[test]
    fn a_recorded_error_keeps_everything_but_the_live_source() {
        let error = Error::new(ErrorCode::StoreUnavailable, "no answer").caused_by(std::io::Error::other("timed out"));
        let recorded = error.record();
        let text = serde_json::to_string(&recorded).expect("a recorded error is plain data");
        let back: RecordedError = serde_json::from_str(&text).expect("what was written can be read");
        assert_eq!(back, recorded);
        assert_eq!(Error::from(back).message(), "no answer: timed out");
    }

    #[test]
    fn an_error_can_cross_threads() {
        fn crosses<T: Send + Sync + 'static>() {}
        crosses::<Error>();
    }
}
