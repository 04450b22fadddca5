//! What resolvers take.

use std::collections::BTreeSet;

use super::super::catalog::{Catalog, PLATFORM_NAMESPACE};
use super::super::entry::{ResolverEntry, ResolverForm};
use super::super::proto::feature_type::Kind;
use super::super::proto::resolver_input::Annotation;
use super::super::proto::{FeatureReference, ResolverInput};
use super::super::{Diagnostic, DiagnosticCode};
use super::places::at_resolver;

pub(super) fn check(catalog: &Catalog<'_>, found: &mut Vec<Diagnostic>) {
    for resolver in &catalog.resolvers {
        unknown(catalog, *resolver, found);
        if matches!(resolver, ResolverEntry::Batch(_)) {
            namespaces(catalog, *resolver, found);
            times(catalog, *resolver, found);
        }
    }
}

/// The inputs of a resolver. That of a stream takes messages, and no features.
pub(super) fn inputs(resolver: ResolverEntry<'_>) -> &[ResolverInput] {
    match resolver {
        ResolverEntry::Batch(resolver) => &resolver.inputs,
        ResolverEntry::Sink(resolver) => &resolver.inputs,
        ResolverEntry::Stream(_) => &[],
    }
}

/// Every feature that a reference needs: the joins on the way, the feature, and the columns of its rows. A reference may
/// be nested as deep as a decode allows, so they are taken from a stack.
pub(super) fn needed(reference: &FeatureReference) -> Vec<&FeatureReference> {
    let (mut all, mut stack) = (Vec::new(), vec![reference]);
    while let Some(reference) = stack.pop() {
        if let Some(rows) = &reference.df {
            stack.extend(rows.optional_columns.iter().rev());
            stack.extend(rows.required_columns.iter().rev());
        }
        stack.extend(reference.path.iter().rev());
        all.push(reference);
    }
    all
}

/// Every feature that an input needs.
pub(super) fn needed_by(input: &ResolverInput) -> Vec<&FeatureReference> {
    match &input.annotation {
        Some(Annotation::Feature(input)) => input.feature.iter().flat_map(needed).collect(),
        Some(Annotation::DataFrame(rows)) => {
            rows.required_columns.iter().chain(&rows.optional_columns).flat_map(needed).collect()
        }
        Some(Annotation::State(_)) | None => Vec::new(),
    }
}

fn unknown(catalog: &Catalog<'_>, resolver: ResolverEntry<'_>, found: &mut Vec<Diagnostic>) {
    let mut names = BTreeSet::new();
    for reference in inputs(resolver).iter().flat_map(needed_by) {
        if reference.namespace != PLATFORM_NAMESPACE && catalog.referenced(reference).is_none() {
            names.insert(format!("{}.{}", reference.namespace, reference.name));
        }
    }
    for name in names {
        let message = format!("the resolver takes `{name}`, which is no feature");
        let finding = Diagnostic::error(DiagnosticCode::InputUnknown, resolver.full_name(), &message);
        found.push(at_resolver(finding, resolver));
    }
}

/// All inputs are of one feature set, apart from singletons. An input through joins is of the set that the way begins in.
fn namespaces(catalog: &Catalog<'_>, resolver: ResolverEntry<'_>, found: &mut Vec<Diagnostic>) {
    let mut roots = Vec::new();
    for input in inputs(resolver) {
        let Some(Annotation::Feature(input)) = &input.annotation else { continue };
        let Some(feature) = &input.feature else { continue };
        let root = feature.path.first().map_or(feature.namespace.as_str(), |first| first.namespace.as_str());
        let is_singleton =
            catalog.namespace(root).and_then(|root| catalog.at(root)).is_some_and(|root| root.is_singleton);
        if root != PLATFORM_NAMESPACE && !is_singleton && !roots.contains(&root) {
            roots.push(root);
        }
    }
    if roots.len() > 1 {
        let message = format!(
            "the resolver takes features of {}; take those of other feature classes through a join",
            roots.join(" and ")
        );
        let finding = Diagnostic::error(DiagnosticCode::InputNamespaces, resolver.full_name(), &message);
        found.push(at_resolver(finding, resolver));
    }
}

/// Only offline resolvers can take the time of an observation.
fn times(catalog: &Catalog<'_>, resolver: ResolverEntry<'_>, found: &mut Vec<Diagnostic>) {
    if resolver.form() == ResolverForm::Offline {
        return;
    }
    for input in inputs(resolver) {
        let Some(Annotation::Feature(input)) = &input.annotation else { continue };
        let Some(feature) = input.feature.as_ref().and_then(|feature| catalog.referenced(feature)) else { continue };
        if let Some(Kind::FeatureTime(_)) = catalog.kind(feature) {
            let message = format!(
                "the resolver takes the feature time `{}`; only an offline resolver can",
                catalog.full_name(feature)
            );
            let finding = Diagnostic::error(DiagnosticCode::InputFeatureTime, resolver.full_name(), &message);
            found.push(at_resolver(finding, resolver));
        }
    }
}
