//! The feature graph of a project: what chalkpy exports, what is wrong with it, and what a deployment changes.
//!
//! [`obtain()`] gets an export (from a file, from chalkpy, or from the one committed with the project), [`FeatureGraph`]
//! holds it, [`validate()`] and [`check`] say what is wrong with it, [`diff()`] compares two, and
//! [`review()`] does both. All but `obtain` are plain functions over exports, so that a service can offer them too.

mod catalog;
pub mod dependencies;
mod diagnostic;
mod diff;
mod entry;
mod expression;
mod feature_graph;
mod obtain;
mod portable;
pub mod proto;
mod review;
mod validate;
mod values;
mod wire;

#[cfg(test)]
mod projects;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use diagnostic::{Diagnostic, DiagnosticCode, Severity};
pub use diff::{Change, ChangeKind, Entity, FieldChange, GraphDiff, Risk, diff};
pub use entry::{FeatureEntry, FeatureKind, GraphSummary, NamedQueryEntry, ResolverEntry, ResolverForm};
pub use feature_graph::FeatureGraph;
pub use obtain::{COMMITTED_EXPORT, ExportRequest, GraphOrigin, ObtainedGraph, SearchPath, obtain};
pub use review::{Review, ReviewEntry, review};
pub use validate::{Validation, check, validate};
