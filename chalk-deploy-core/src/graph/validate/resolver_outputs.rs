//! What resolvers make.
//!
//! The export holds no type of what a resolver returns for a single feature, only the feature's own, so that there is
//! nothing to compare; chalkpy compares the annotation when it imports the code.

use std::collections::BTreeSet;

use super::super::catalog::{Catalog, PLATFORM_NAMESPACE};
use super::super::entry::ResolverEntry;
use super::super::proto::resolver_output::Annotation;
use super::super::proto::{DataFrameType, FeatureReference, ResolverOutput};
use super::super::{Diagnostic, DiagnosticCode};
use super::places::at_resolver;
use super::resolver_inputs::needed;

pub(super) fn check(catalog: &Catalog<'_>, found: &mut Vec<Diagnostic>) {
    for resolver in &catalog.resolvers {
        if matches!(resolver, ResolverEntry::Batch(_)) {
            forms(*resolver, found);
        }
        unknown(catalog, *resolver, found);
        for output in outputs(*resolver) {
            match &output.annotation {
                Some(Annotation::DataFrame(rows)) => columns(*resolver, rows, found),
                Some(Annotation::Feature(feature)) => {
                    feature.df.iter().for_each(|rows| columns(*resolver, rows, found));
                }
                None => {}
            }
        }
    }
}

/// The outputs of a resolver. A sink has none.
pub(super) fn outputs(resolver: ResolverEntry<'_>) -> &[ResolverOutput] {
    match resolver {
        ResolverEntry::Batch(resolver) => &resolver.outputs,
        ResolverEntry::Stream(resolver) => &resolver.outputs,
        ResolverEntry::Sink(_) => &[],
    }
}

/// Every feature that an output makes: the feature and its columns, or the columns of the rows.
pub(super) fn made(output: &ResolverOutput) -> Vec<&FeatureReference> {
    match &output.annotation {
        Some(Annotation::Feature(feature)) => needed(feature),
        Some(Annotation::DataFrame(rows)) => {
            rows.required_columns.iter().chain(&rows.optional_columns).flat_map(needed).collect()
        }
        None => Vec::new(),
    }
}

/// As chalkpy's `_validate_resolver_output`: single features or one frame of rows.
fn forms(resolver: ResolverEntry<'_>, found: &mut Vec<Diagnostic>) {
    let (mut features, mut frames, mut newer) = (0, 0, 0);
    for output in outputs(resolver) {
        match output.annotation {
            Some(Annotation::Feature(_)) => features += 1,
            Some(Annotation::DataFrame(_)) => frames += 1,
            None => newer += 1,
        }
    }
    let mut add = |code, message: &str| {
        found.push(at_resolver(Diagnostic::error(code, resolver.full_name(), message), resolver));
    };
    if features + frames + newer == 0 {
        add(DiagnosticCode::OutputMissing, "the resolver has no output");
    }
    if frames > 1 {
        add(DiagnosticCode::OutputFrames, &format!("the resolver makes {frames} frames of rows; it can make one"));
    }
    if features > 0 && frames > 0 {
        add(DiagnosticCode::OutputMixed, "the resolver makes rows and single features; it can make either");
    }
}

fn unknown(catalog: &Catalog<'_>, resolver: ResolverEntry<'_>, found: &mut Vec<Diagnostic>) {
    let mut names = BTreeSet::new();
    for reference in outputs(resolver).iter().flat_map(made) {
        if reference.namespace != PLATFORM_NAMESPACE && catalog.referenced(reference).is_none() {
            names.insert(format!("{}.{}", reference.namespace, reference.name));
        }
    }
    for name in names {
        let message = format!("the resolver makes `{name}`, which is no feature");
        let finding = Diagnostic::error(DiagnosticCode::OutputUnknown, resolver.full_name(), &message);
        found.push(at_resolver(finding, resolver));
    }
}

/// The columns of rows are features of the rows' own set, be it through a join.
fn columns(resolver: ResolverEntry<'_>, rows: &DataFrameType, found: &mut Vec<Diagnostic>) {
    let mut foreign = BTreeSet::new();
    for column in rows.required_columns.iter().chain(&rows.optional_columns) {
        let root = column.path.first().map_or(column.namespace.as_str(), |first| first.namespace.as_str());
        if root != rows.root_namespace && root != PLATFORM_NAMESPACE {
            foreign.insert(format!("`{}.{}`", column.namespace, column.name));
        }
    }
    if !foreign.is_empty() {
        let foreign: Vec<String> = foreign.into_iter().collect();
        let message = format!(
            "the rows that the resolver makes are of `{}`, and {} {} not",
            rows.root_namespace,
            foreign.join(", "),
            if foreign.len() == 1 { "is" } else { "are" }
        );
        let finding = Diagnostic::error(DiagnosticCode::OutputRows, resolver.full_name(), &message);
        found.push(at_resolver(finding, resolver));
    }
}
