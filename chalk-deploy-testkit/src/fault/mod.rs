//! Faults at (trait, method, n-th call), and a log of every call.
//!
//! ```
//! # use std::sync::Arc;
//! # use chalk_deploy_core::{Error, ErrorCode};
//! # use chalk_deploy_core::cloud::{Payload, PutMode};
//! # use chalk_deploy_core::model::ObjectKey;
//! # use chalk_deploy_testkit::{EmbeddedWorld, Fault, FaultPlan, faulty_cloud};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // The bucket does as it is told the first time, and its answer is lost.
//! let lost = Error::new(ErrorCode::CloudUnavailable, "the connection was cut");
//! let plan = Arc::new(FaultPlan::new().at("object_store", "put", 1, Fault::after(&lost)));
//! let cloud = faulty_cloud(EmbeddedWorld::memory().cloud(), plan.clone());
//!
//! let (key, payload) = (ObjectKey::new("a")?, Payload::from_bytes("x"));
//! cloud.object_store.put(&key, &payload, PutMode::WriteOnce).await.unwrap_err();
//! assert!(cloud.object_store.head(&key).await?.is_some());
//! assert_eq!(plan.count("object_store", "put"), 1);
//! # Ok(())
//! # }
//! ```

mod builder;
mod cluster;
mod object_store;
mod registry;
mod traffic;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chalk_deploy_core::cloud::Cloud;
use chalk_deploy_core::error::RecordedError;
use chalk_deploy_core::{Error, ErrorCode, Result};

pub use self::builder::{FaultyBuilder, FaultyImageContents};
pub use self::cluster::FaultyCluster;
pub use self::object_store::FaultyObjectStore;
pub use self::registry::{FaultyReferrers, FaultyRegistry};
pub use self::traffic::{FaultyProbe, FaultyTraffic};

/// The names by which a plan calls the traits, with their methods. Calls that cannot fail (`capabilities`, `place`,
/// `contents`, `probe`) are passed through.
pub const METHODS: &[(&str, &[&str])] = &[
    ("object_store", &["put", "head", "get", "copy", "delete", "list"]),
    ("registry", &["has_blob", "push_blob", "pull_blob", "put_manifest", "manifest", "remove_tag"]),
    ("referrers", &["list_referrers", "attach"]),
    ("cluster", &["apply", "get", "list", "delete", "observe", "changed"]),
    ("builder", &["submit", "state", "stop"]),
    ("image_contents", &["blob", "manifest"]),
    ("traffic", &["observe", "shift", "settlement"]),
    ("probe", &["ask"]),
];

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It fails before anything is done.
    BeforeEffect(RecordedError),
    /// It is done, and its answer is lost.
    AfterEffect(RecordedError),
    /// It is done twice; the second answer counts.
    Twice,
}

impl Fault {
    /// Fails with this error before anything is done.
    pub fn before(error: &Error) -> Self {
        Self::BeforeEffect(error.record())
    }

    /// Does it and then fails with this error.
    pub fn after(error: &Error) -> Self {
        Self::AfterEffect(error.record())
    }
}

/// Which faults happen, and what was called. Shared by all wrappers of a cloud.
#[derive(Debug, Default)]
pub struct FaultPlan(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    faults: BTreeMap<(String, String), Vec<(Calls, Fault)>>,
    counts: BTreeMap<(&'static str, &'static str), u64>,
    log: Vec<Call>,
}

#[derive(Debug, Clone, Copy)]
enum Calls {
    Nth(u64),
    From(u64),
}

/// A call as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The trait, `object_store`.
    pub trait_name: &'static str,
    /// The method, `put`.
    pub method: &'static str,
    /// What it was about: a key, a digest, an object.
    pub subject: String,
    /// How it ended: `None` while it runs, and for ever if its caller gave up waiting.
    pub outcome: Option<Result<(), ErrorCode>>,
}

impl FaultPlan {
    /// A plan without faults, which only logs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a fault at the n-th call of a method, counted from 1.
    ///
    /// # Panics
    /// When there is no such method: the test would otherwise pass without the fault.
    #[must_use]
    #[track_caller]
    pub fn at(self, trait_name: &str, method: &str, call: u64, fault: Fault) -> Self {
        self.add(trait_name, method, Calls::Nth(call), fault);
        self
    }

    /// Puts a fault at the n-th call of a method and at every later one.
    ///
    /// # Panics
    /// When there is no such method.
    #[must_use]
    #[track_caller]
    pub fn from(self, trait_name: &str, method: &str, call: u64, fault: Fault) -> Self {
        self.add(trait_name, method, Calls::From(call), fault);
        self
    }

    /// Puts a fault at the next call of a method, while the wrappers are in use.
    ///
    /// # Panics
    /// When there is no such method.
    #[track_caller]
    pub fn at_next(&self, trait_name: &str, method: &str, fault: Fault) {
        let next = self.count(trait_name, method) + 1;
        self.add(trait_name, method, Calls::Nth(next), fault);
    }

    /// Takes all faults away, such as when a cloud that was down comes back. The log stays.
    pub fn clear(&self) {
        self.state().faults.clear();
    }

    /// How often a method was called.
    pub fn count(&self, trait_name: &str, method: &str) -> u64 {
        let state = self.state();
        state.counts.iter().find(|((of, name), _)| *of == trait_name && *name == method).map_or(0, |(_, count)| *count)
    }

    /// Every call so far, in the order in which they began.
    pub fn calls(&self) -> Vec<Call> {
        self.state().log.clone()
    }

    #[track_caller]
    fn add(&self, trait_name: &str, method: &str, calls: Calls, fault: Fault) {
        let known = METHODS.iter().any(|(name, methods)| *name == trait_name && methods.contains(&method));
        assert!(known, "there is no method `{method}` of `{trait_name}` to put a fault at");
        self.state().faults.entry((trait_name.to_owned(), method.to_owned())).or_default().push((calls, fault));
    }

    /// Makes a call under the plan.
    async fn run<T, F>(
        &self,
        trait_name: &'static str,
        method: &'static str,
        subject: impl fmt::Display + Send,
        call: impl Fn() -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let (number, fault) = self.begin(trait_name, method, subject.to_string());
        let result = match fault {
            Some(Fault::BeforeEffect(error)) => Err(error.into()),
            Some(Fault::AfterEffect(error)) => call().await.and(Err(error.into())),
            Some(Fault::Twice) => match call().await {
                Ok(_) => call().await,
                Err(error) => Err(error),
            },
            None => call().await,
        };
        let outcome = result.as_ref().map(drop).map_err(Error::code);
        if let Some(call) = self.state().log.get_mut(number) {
            call.outcome = Some(outcome);
        }
        result
    }

    fn begin(&self, trait_name: &'static str, method: &'static str, subject: String) -> (usize, Option<Fault>) {
        let mut state = self.state();
        let count = state.counts.entry((trait_name, method)).or_default();
        *count += 1;
        let count = *count;
        state.log.push(Call { trait_name, method, subject, outcome: None });
        let planned = state.faults.get(&(trait_name.to_owned(), method.to_owned()));
        let applies = |calls: Calls| match calls {
            Calls::Nth(call) => call == count,
            Calls::From(first) => first <= count,
        };
        let fault = planned.and_then(|faults| faults.iter().find(|(calls, _)| applies(*calls)));
        (state.log.len() - 1, fault.map(|(_, fault)| fault.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a cloud under a plan.
pub fn faulty_cloud(cloud: Cloud, plan: Arc<FaultPlan>) -> Cloud {
    let Cloud { object_store, registry, cluster, builder, traffic } = cloud;
    Cloud {
        object_store: Arc::new(FaultyObjectStore::new(object_store, plan.clone())),
        registry: Arc::new(FaultyRegistry::new(registry, plan.clone())),
        cluster: Arc::new(FaultyCluster::new(cluster, plan.clone())),
        builder: Arc::new(FaultyBuilder::new(builder, plan.clone())),
        traffic: Arc::new(FaultyTraffic::new(traffic, plan)),
    }
}

macro_rules! faulty {
    ($(#[$doc:meta])* $name:ident of $inner:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            inner: std::sync::Arc<dyn $inner>,
            plan: std::sync::Arc<super::FaultPlan>,
        }

        impl $name {
            /// Puts an implementation under a plan.
            pub fn new(inner: std::sync::Arc<dyn $inner>, plan: std::sync::Arc<super::FaultPlan>) -> Self {
                Self { inner, plan }
            }
        }
    };
}
use faulty;

#[cfg(test)]
mod tests;
