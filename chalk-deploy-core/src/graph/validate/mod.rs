//! What is wrong with a graph.
//!
//! chalkpy leaves it to the server to act on errors in regular deployments (the docstring of its `validate_artifacts`),
//! and does not look for cycles, types, or what a query can get. So all checks are made here, on the graph alone, and
//! what chalkpy itself wrote into the export is added where no check says the same. The table of all codes, with what
//! chalkpy says and which test project shows it, is docs/graph-checks.md.
//!
//! A check is a function from a [`Catalog`] to findings, one idea a file:
//!
//! - [`reported`]: failed imports, conversion errors, logs and diagnostics that the export carries;
//! - [`names`]: names twice, protected names, namespaces that collide;
//! - [`keys`]: primary features; [`staleness`]; [`metadata`] that chalk.yaml asks for;
//! - [`joins`], [`expressions`], [`defaults`]: names and types;
//! - [`resolver_inputs`], [`resolver_outputs`];
//! - [`schedules`]: crontab lines and durations;
//! - [`cycles`], [`queries`], [`unproduced`]: what can be produced from what ([`production`], [`closure`]).

mod closure;
mod cycles;
mod defaults;
mod expressions;
mod joins;
mod keys;
mod metadata;
mod names;
mod places;
mod production;
mod queries;
mod reported;
mod resolver_inputs;
mod resolver_outputs;
mod schedules;
mod staleness;
mod unproduced;

use super::catalog::Catalog;
use super::{Diagnostic, FeatureGraph, Severity};
use crate::{Error, ErrorCode, Result};
use expressions::Expressions;
pub(super) use places::Lines;
use production::Production;

/// So many errors are named in the sentence of [`check`].
const MOST_NAMED: usize = 3;

/// How a graph is validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Validation {
    /// What a cycle among resolvers costs, when no feature of it can be produced from outside.
    pub resolver_cycles: Severity,
}

impl Default for Validation {
    fn default() -> Self {
        Self { resolver_cycles: Severity::Error }
    }
}

impl Validation {
    /// Changes what a cycle among resolvers costs. A cycle among expressions is an error whatever this says.
    #[must_use]
    pub fn resolver_cycles(mut self, severity: Severity) -> Self {
        self.resolver_cycles = severity;
        self
    }

    /// Everything that is found in a graph, the order being that of the checks.
    pub fn validate(self, graph: &FeatureGraph) -> Vec<Diagnostic> {
        let catalog = Catalog::of(graph);
        let mut found = Vec::new();
        names::check(&catalog, &mut found);
        keys::check(&catalog, &mut found);
        staleness::check(&catalog, &mut found);
        metadata::check(&catalog, &mut found);
        defaults::check(&catalog, &mut found);
        schedules::check(&catalog, &mut found);
        resolver_inputs::check(&catalog, &mut found);
        resolver_outputs::check(&catalog, &mut found);
        let expressions = Expressions::of(&catalog);
        joins::check(&catalog, &mut found);
        expressions::check(&catalog, &expressions, &mut found);
        let production = Production::of(&catalog, &expressions);
        cycles::check(&catalog, &production, self.resolver_cycles, &mut found);
        queries::check(&catalog, &production, &mut found);
        unproduced::check(&catalog, &production, &mut found);
        let mut all = reported::found(&catalog, &found);
        all.append(&mut found);
        all
    }

    /// Refuses a graph with errors; otherwise returns what else was found.
    ///
    /// # Errors
    /// [`ErrorCode::GraphInvalid`] with the first errors in one sentence and the number of further ones.
    pub fn check(self, graph: &FeatureGraph) -> Result<Vec<Diagnostic>> {
        let found = self.validate(graph);
        let errors: Vec<&Diagnostic> = found.iter().filter(|finding| finding.severity == Severity::Error).collect();
        if errors.is_empty() {
            return Ok(found);
        }
        let named: Vec<String> = errors.iter().take(MOST_NAMED).map(ToString::to_string).collect();
        let mut message =
            format!("{} error{}: {}", errors.len(), if errors.len() == 1 { "" } else { "s" }, named.join("; "));
        if errors.len() > MOST_NAMED {
            use std::fmt::Write as _;
            // Writing into a String cannot fail.
            let _ = write!(message, "; and {} more", errors.len() - MOST_NAMED);
        }
        Err(Error::new(ErrorCode::GraphInvalid, message).on("feature graph"))
    }
}

/// Everything that is found in a graph, with the settings that [`Validation`] has by itself.
pub fn validate(graph: &FeatureGraph) -> Vec<Diagnostic> {
    Validation::default().validate(graph)
}

/// Refuses a graph with errors; otherwise returns what else was found.
///
/// # Errors
/// [`ErrorCode::GraphInvalid`] with the first errors in one sentence and the number of further ones.
pub fn check(graph: &FeatureGraph) -> Result<Vec<Diagnostic>> {
    Validation::default().check(graph)
}

#[cfg(test)]
mod tests;
