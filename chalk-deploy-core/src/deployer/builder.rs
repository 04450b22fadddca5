//! How a [`Deployer`] is made.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Deployer, Inner};
use crate::Result;
use crate::checkpoint::{Checkpoints, NoCheckpoints};
use crate::driver::{Engine, Lanes};
use crate::evidence::EvidencePolicy;
use crate::graph::Validation;
use crate::model::{DataPlane, Environments, SingleEnvironment};
use crate::observe::{Metrics, NoMetrics};
use crate::runtime::{Runtime, RuntimeExt as _, SystemRuntime};
use crate::source::ArchiveRules;
use crate::store::{DeploymentStore, LeaseHolder};

/// Collects what a [`Deployer`] needs.
#[derive(Debug)]
pub struct DeployerBuilder {
    environments: Arc<dyn Environments>,
    store: Arc<dyn DeploymentStore>,
    runtime: Arc<dyn Runtime>,
    metrics: Arc<dyn Metrics>,
    checkpoints: Arc<dyn Checkpoints>,
    lease_term: Duration,
    lease_wait: Duration,
    archive_rules: ArchiveRules,
    validation: Validation,
    evidence: EvidencePolicy,
}

impl Deployer {
    /// A deployer for the environments and the store given; everything else has a default.
    pub fn builder(environments: Arc<dyn Environments>, store: Arc<dyn DeploymentStore>) -> DeployerBuilder {
        DeployerBuilder {
            environments,
            store,
            runtime: SystemRuntime::new(),
            metrics: Arc::new(NoMetrics),
            checkpoints: Arc::new(NoCheckpoints),
            lease_term: Duration::from_secs(15),
            lease_wait: Duration::ZERO,
            archive_rules: ArchiveRules::new(),
            validation: Validation::default(),
            evidence: EvidencePolicy::none(),
        }
    }

    /// Sugar for a service with one environment.
    ///
    /// # Errors
    /// Those of [`DeployerBuilder::build`].
    pub fn single(data_plane: DataPlane, store: Arc<dyn DeploymentStore>) -> Result<Self> {
        Self::builder(Arc::new(SingleEnvironment::new(data_plane)), store).build()
    }
}

impl DeployerBuilder {
    /// Another clock, timer and source of randomness.
    #[must_use]
    pub fn with_runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = runtime;
        self
    }

    /// Where counts and durations go.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<dyn Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// For crash tests.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: Arc<dyn Checkpoints>) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// How long the ownership of an environment outlives its holder, where only time can tell (not SQLite). Renewed
    /// after a third of it. By default 15 s.
    #[must_use]
    pub fn with_lease_term(mut self, term: Duration) -> Self {
        self.lease_term = term;
        self
    }

    /// How long to wait for an environment that another living process owns. By default not at all.
    #[must_use]
    pub fn with_lease_wait(mut self, wait: Duration) -> Self {
        self.lease_wait = wait;
        self
    }

    /// What source archives must keep: they are examined while they are uploaded and when they are read back. By default
    /// the default limits, with a `chalk.yaml`.
    #[must_use]
    pub fn with_archive_rules(mut self, rules: ArchiveRules) -> Self {
        self.archive_rules = rules;
        self
    }

    /// How feature graphs are validated, before anything is created and again in the upload. A deployment that another
    /// process takes over is validated as that one is set.
    #[must_use]
    pub fn with_validation(mut self, validation: Validation) -> Self {
        self.validation = validation;
        self
    }

    /// Which evidence images get and must have before they are rolled out. By default none. A deployment that another
    /// process takes over is held to what that one is set to.
    #[must_use]
    pub fn with_evidence(mut self, policy: EvidencePolicy) -> Self {
        self.evidence = policy;
        self
    }

    /// Makes the deployer. Does nothing outside this process.
    ///
    /// # Errors
    /// None in practice: the deployer's own name is an id, which is checked.
    pub fn build(self) -> Result<Deployer> {
        let holder = LeaseHolder {
            name: self.runtime.deployment_id()?.to_string(),
            process: std::process::id(),
            started_at: self.runtime.now(),
        };
        let engine = Engine {
            environments: self.environments,
            store: self.store,
            runtime: self.runtime,
            metrics: self.metrics,
            checkpoints: self.checkpoints,
            holder,
            lease_term: self.lease_term,
            lease_wait: self.lease_wait,
            archive_rules: Arc::new(self.archive_rules),
            validation: self.validation,
            evidence: Arc::new(self.evidence),
            lanes: Lanes::default(),
        };
        Ok(Deployer(Arc::new(Inner { engine: Arc::new(engine), active: Mutex::default() })))
    }
}
