//! One suite per trait, which every implementation passes: the fakes first, then the adapters against simulated
//! servers, then the same adapters against real ones.
//!
//! A suite is a list of checks, each a function whose name is what it demands. It holds an implementation to the
//! **Idempotency** and **Errors** paragraphs of its trait. (**After a crash** needs a process to kill:
//! `tests/kill_between.rs` does that to the fakes.) Checks work on names of their own, so a suite may run against a
//! server that others use too; what it makes there, it leaves there.
//!
//! ```
//! # use chalk_deploy_testkit::{EmbeddedWorld, conformance};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let world = EmbeddedWorld::memory();
//! let report = conformance::object_store::suite(world.object_store(), "run-1").await;
//! report.assert_passed();
//! # }
//! ```

pub mod builder;
pub mod cluster;
pub mod deployment_store;
pub mod object_retention;
pub mod object_store;
pub mod registry;
pub mod traffic;

use std::fmt;

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::{DeploymentId, Digest, EnvironmentId, ObjectKey};
use chalk_deploy_core::{Error, ErrorCode, Result};
use futures::TryStreamExt as _;

/// What a check finds.
pub type Verdict = Result<(), Violation>;

/// How an implementation breaks its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(String);

impl Violation {
    /// A violation in words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Error> for Violation {
    fn from(error: Error) -> Self {
        Self(format!("an unexpected error, {}: {}", error.code(), error.sentence()))
    }
}

/// What a suite found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a report that nobody reads finds nothing"]
pub struct Report {
    /// The trait.
    pub suite: &'static str,
    /// The checks that were passed.
    pub passed: Vec<&'static str>,
    /// The checks that were not, and why.
    pub failed: Vec<(&'static str, Violation)>,
}

impl Report {
    const fn new(suite: &'static str) -> Self {
        Self { suite, passed: Vec::new(), failed: Vec::new() }
    }

    fn record(&mut self, check: &'static str, verdict: Verdict) {
        match verdict {
            Ok(()) => self.passed.push(check),
            Err(violation) => self.failed.push((check, violation)),
        }
    }

    /// Whether a check was not passed.
    pub fn has_failed(&self, check: &str) -> bool {
        self.failed.iter().any(|(name, _)| *name == check)
    }

    /// Fails the test that runs the suite, naming every check that was not passed.
    ///
    /// # Panics
    /// When there is one.
    #[track_caller]
    pub fn assert_passed(&self) {
        self.assert_passed_except(&[]);
    }

    /// The same for a server that is known to break some checks: each is named with words of how it does. One that it
    /// does not break any more fails the test too.
    ///
    /// # Panics
    /// When other checks than these were not passed, or were not passed for another reason.
    #[track_caller]
    pub fn assert_passed_except(&self, known: &[(&str, &str)]) {
        let is_known = |name: &str, violation: &str| {
            known.iter().any(|(check, words)| *check == name && violation.contains(words))
        };
        let others = self.failed.iter().any(|(name, violation)| !is_known(name, &violation.to_string()));
        assert!(!others && self.failed.len() == known.len(), "{self}\nknown: {known:?}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} checks passed, {} failed", self.suite, self.passed.len(), self.failed.len())?;
        for (check, violation) in &self.failed {
            write!(formatter, "\n- {check}: {violation}")?;
        }
        Ok(())
    }
}

/// Names that no other check and no other run uses.
#[derive(Debug, Clone)]
pub struct Fresh {
    prefix: String,
}

impl Fresh {
    /// The names of one check in one run. The run is named by the caller, differently each time on a shared server.
    pub fn new(run: &str, check: &str) -> Self {
        let digest = Digest::of(format!("{run}\n{check}")).hex();
        Self { prefix: format!("conformance-{}", &digest[..16]) }
    }

    /// The prefix of every name: 28 lower-case letters, digits and `-`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A key under the prefix.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for a name that is none.
    pub fn key(&self, name: &str) -> Result<ObjectKey> {
        ObjectKey::new(format!("{}/{name}", self.prefix))
    }

    /// A deployment of this check.
    ///
    /// # Errors
    /// None in practice; the id is made to fit.
    pub fn deployment(&self, name: &str) -> Result<DeploymentId> {
        DeploymentId::new(format!("c{}", &Digest::of(format!("{}\n{name}", self.prefix)).hex()[..24]))
    }

    /// An environment of this check.
    ///
    /// # Errors
    /// None in practice; the name is made to fit.
    pub fn environment(&self, name: &str) -> Result<EnvironmentId> {
        EnvironmentId::new(format!("{}-{name}", &self.prefix[12..]))
    }
}

/// Demands an error with this code.
fn refused<T>(result: Result<T>, code: ErrorCode, what: &str) -> Result<Error, Violation> {
    match result {
        Ok(_) => Err(Violation(format!("{what} succeeded, and should have failed with {code}"))),
        Err(error) if error.code() == code => Ok(error),
        Err(error) => {
            Err(Violation(format!("{what} failed with {} ({}), and should have with {code}", error.code(), error)))
        }
    }
}

/// All bytes of a stream.
async fn read(stream: ByteStream) -> Result<Vec<u8>, Violation> {
    let pieces: Vec<_> =
        stream.try_collect().await.map_err(|error| Violation(format!("the body broke off: {error}")))?;
    Ok(pieces.concat())
}

macro_rules! ensure {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err($crate::conformance::Violation::new(format!($($words)+)));
        }
    };
}

/// Lists the checks of a suite and makes the function that runs them.
macro_rules! suite {
    ($name:literal, $subject:ty; $($check:ident,)+) => {
        /// The names of the checks, in the order in which they run.
        pub const CHECKS: &[&str] = &[$(stringify!($check)),+];

        /// Runs every check. `run` names this run among all that share the server.
        pub async fn suite(subject: &$subject, run: &str) -> $crate::conformance::Report {
            let mut report = $crate::conformance::Report::new($name);
            $(
                let fresh = $crate::conformance::Fresh::new(run, stringify!($check));
                report.record(stringify!($check), Box::pin($check(subject, &fresh)).await);
            )+
            report
        }
    };
}

use {ensure, suite};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_check_is_left_out_of_its_suite() {
        for (source, checks) in [
            (include_str!("object_store.rs"), object_store::CHECKS),
            (include_str!("registry.rs"), registry::CHECKS),
            (include_str!("cluster.rs"), cluster::CHECKS),
            (include_str!("builder.rs"), builder::CHECKS),
            (include_str!("traffic.rs"), traffic::CHECKS),
        ] {
            let written: Vec<_> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('('))
                .map(|(name, _)| name)
                .collect();
            assert_eq!(written, checks);
        }
    }

    #[test]
    fn the_names_of_two_checks_and_of_two_runs_differ() {
        let names = [("1", "a"), ("1", "b"), ("2", "a")].map(|(run, check)| Fresh::new(run, check));
        assert_ne!(names[0].prefix(), names[1].prefix());
        assert_ne!(names[0].prefix(), names[2].prefix());
        for fresh in names {
            fresh.key("x").expect("a valid key");
            fresh.deployment("x").expect("a valid id");
            fresh.environment("x").expect("a valid environment");
        }
    }

    #[test]
    #[should_panic(expected = "- the_check: the reason")]
    fn a_report_names_the_check_that_was_not_passed() {
        let mut report = Report::new("object_store");
        report.record("another", Ok(()));
        report.record("the_check", Err(Violation::new("the reason")));
        report.assert_passed();
    }
}
