//! What every deployment of one `Deployer` shares.

use std::sync::Arc;
use std::time::Duration;

use super::lane::Lanes;
use crate::checkpoint::Checkpoints;
use crate::evidence::EvidencePolicy;
use crate::graph::Validation;
use crate::model::Environments;
use crate::observe::Metrics;
use crate::runtime::Runtime;
use crate::source::ArchiveRules;
use crate::store::{DeploymentStore, LeaseHolder};

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) environments: Arc<dyn Environments>,
    pub(crate) store: Arc<dyn DeploymentStore>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) metrics: Arc<dyn Metrics>,
    pub(crate) checkpoints: Arc<dyn Checkpoints>,
    pub(crate) holder: LeaseHolder,
    /// How long a lease lasts without renewal.
    pub(crate) lease_term: Duration,
    /// How long to wait for an environment that a living owner holds.
    pub(crate) lease_wait: Duration,
    /// What source archives must keep.
    pub(crate) archive_rules: Arc<ArchiveRules>,
    pub(crate) validation: Validation,
    /// What is done about evidence.
    pub(crate) evidence: Arc<EvidencePolicy>,
    pub(crate) lanes: Lanes,
}
