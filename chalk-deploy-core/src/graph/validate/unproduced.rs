//! What nothing produces.
//!
//! All of it is legal: a caller may give any feature to a query that has no name, or write it by hand. So these are
//! warnings, and what a named query is given is left out.

use std::collections::BTreeSet;

use super::super::catalog::{Catalog, FeatureId};
use super::super::entry::FeatureEntry;
use super::super::proto::feature_type::Kind;
use super::super::{Diagnostic, DiagnosticCode};
use super::places::{at_feature, at_resolver};
use super::production::{Production, has_default};
use super::queries::given_to_any;
use super::resolver_inputs::{inputs, needed_by};

pub(super) fn check(catalog: &Catalog<'_>, production: &Production, found: &mut Vec<Diagnostic>) {
    let mut is_there = vec![false; catalog.features.len()];
    let given = given_to_any(catalog);
    for there in production.always().iter().chain(production.defaults()).chain(production.keys()).chain(&given) {
        if let Some(is_there) = is_there.get_mut(*there as usize) {
            *is_there = true;
        }
    }
    let is_unproduced = |feature: FeatureId| {
        production.makers(feature).is_empty() && !is_there.get(feature as usize).copied().unwrap_or(true)
    };
    resolver_inputs(catalog, is_unproduced, found);
    for (id, feature) in (0..).zip(&catalog.features) {
        if is_unproduced(id) && is_written(*feature) && catalog.referenced_by_name(*feature) == Some(id) {
            let message =
                "nothing produces the feature: no resolver, no expression, no default and no named query's input";
            let finding = Diagnostic::warning(DiagnosticCode::FeatureUnreachable, &feature.full_name(), message);
            found.push(at_feature(finding, catalog, *feature));
        }
    }
}

/// Whether a person wrote it, as a feature that holds a value.
fn is_written(feature: FeatureEntry<'_>) -> bool {
    match feature.definition() {
        Kind::Scalar(scalar) => !scalar.no_display,
        Kind::GroupBy(_) => true,
        Kind::HasOne(_) | Kind::HasMany(_) | Kind::FeatureTime(_) | Kind::Windowed(_) => false,
    }
}

fn resolver_inputs(catalog: &Catalog<'_>, is_unproduced: impl Fn(FeatureId) -> bool, found: &mut Vec<Diagnostic>) {
    for resolver in &catalog.resolvers {
        let needed = inputs(*resolver).iter().filter(|input| !has_default(input)).flat_map(needed_by);
        let unproduced: BTreeSet<FeatureId> = needed
            .filter_map(|reference| catalog.referenced(reference))
            .filter(|feature| is_unproduced(*feature))
            .collect();
        for feature in unproduced {
            let name = catalog.full_name(feature);
            let message = format!("the resolver takes `{name}`, which nothing produces and no named query is given");
            let finding = Diagnostic::warning(DiagnosticCode::InputUnproduced, resolver.full_name(), &message);
            found.push(at_resolver(finding.through([resolver.full_name().to_owned(), name]), *resolver));
        }
    }
}
