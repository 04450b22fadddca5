//! A small trait behind which any metrics library fits.

use std::fmt;
use std::time::Duration;

/// Receives counts and durations. Called on the driver's own task: an implementation must not block.
pub trait Metrics: fmt::Debug + Send + Sync + 'static {
    /// Something happened once.
    fn count(&self, name: &'static str, labels: &[(&'static str, &str)]);

    /// Something took that long.
    fn duration(&self, name: &'static str, elapsed: Duration, labels: &[(&'static str, &str)]);
}

/// The names of all metrics, with their labels.
pub mod metric {
    /// Count, with `environment` and `status`: deployments that ended.
    pub const DEPLOYMENTS_FINISHED: &str = "chalk_deploy_deployments_finished";
    /// Duration, with `environment` and `status`: from creation to the end.
    pub const DEPLOYMENT_DURATION: &str = "chalk_deploy_deployment_duration";
    /// Duration, with `step` and `result` (`ok` or the error's code): one attempt of a step.
    pub const STEP_DURATION: &str = "chalk_deploy_step_duration";
    /// Count, with `step` and `code`: attempts that will be repeated.
    pub const STEP_RETRIES: &str = "chalk_deploy_step_retries";
    /// Duration, without labels: one append to a journal, until it is durable.
    pub const JOURNAL_APPEND: &str = "chalk_deploy_journal_append";
}

/// Drops everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMetrics;

impl Metrics for NoMetrics {
    fn count(&self, _name: &'static str, _labels: &[(&'static str, &str)]) {}

    fn duration(&self, _name: &'static str, _elapsed: Duration, _labels: &[(&'static str, &str)]) {}
}
