//! Joins between feature sets.

use super::super::catalog::{Catalog, FeatureId, NamespaceId, arrow_type};
use super::super::expression::{Expression, Form, NodeId};
use super::super::proto::feature_type::Kind;
use super::super::values::{ValueType, same_type};
use super::super::{Diagnostic, DiagnosticCode};
use super::places::at_feature;

/// As chalkpy checks `Feature.join` (its codes 35, 40, 42 and 43): a join of a feature compares features of its own set
/// with features of the set that it leads to, and both have one type.
pub(super) fn check(catalog: &Catalog<'_>, found: &mut Vec<Diagnostic>) {
    for (id, feature) in (0..).zip(&catalog.features) {
        let (foreign, join, word) = match feature.definition() {
            Kind::HasOne(join) => (&join.foreign_namespace, join.join.as_deref(), "has-one"),
            Kind::HasMany(join) => (&join.foreign_namespace, join.join.as_deref(), "has-many"),
            _ => continue,
        };
        let mut add = |code, message: &str| {
            found.push(at_feature(Diagnostic::error(code, &feature.full_name(), message), catalog, *feature));
        };
        if !catalog.namespace(foreign).is_some_and(|foreign| catalog.has_set(foreign)) {
            add(DiagnosticCode::JoinUnknown, &format!("the {word} leads to `{foreign}`, which is no feature class"));
            continue;
        }
        let Some(join) = join.filter(|join| !join.is_empty()) else {
            add(DiagnosticCode::JoinMissing, &format!("the {word} has no join; say which features are equal"));
            continue;
        };
        let Ok(join) = Expression::parse(join) else { continue };
        let Some(own) = catalog.namespace_of(id) else { continue };
        let Some(foreign) = catalog.foreign_namespace(id) else { continue };
        for node in 0..NodeId::try_from(join.len()).unwrap_or(NodeId::MAX) {
            let problem = match join.form(node) {
                Form::Column(set, name) => unknown(catalog, set, name),
                Form::Binary("==" | "!=") => sides(catalog, &join, node, own, foreign),
                _ => None,
            };
            if let Some((code, message)) = problem {
                add(code, &message);
            }
        }
    }
}

fn unknown(catalog: &Catalog<'_>, set: &str, name: &str) -> Option<(DiagnosticCode, String)> {
    let known = catalog.namespace(set).and_then(|set| catalog.named(set, name));
    if known.is_some() || set == super::super::catalog::PLATFORM_NAMESPACE {
        return None;
    }
    Some((DiagnosticCode::JoinUnknown, format!("the join names `{set}.{name}`, which is no feature")))
}

fn sides(
    catalog: &Catalog<'_>,
    join: &Expression<'_>,
    node: NodeId,
    own: NamespaceId,
    foreign: NamespaceId,
) -> Option<(DiagnosticCode, String)> {
    let mut sides = join.children(node).map(|side| column(catalog, join, side));
    // A side that is no feature, such as a literal, is a filter.
    let (Some(Some(left)), Some(Some(right))) = (sides.next(), sides.next()) else { return None };
    let namespaces = [catalog.namespace_of(left)?, catalog.namespace_of(right)?];
    let (left_name, right_name) = (catalog.full_name(left), catalog.full_name(right));
    if namespaces != [own, foreign] && namespaces != [foreign, own] {
        let message = format!(
            "the join compares `{left_name}` and `{right_name}`; it needs one feature of its own class and one of the \
             class that it leads to"
        );
        return Some((DiagnosticCode::JoinNamespaces, message));
    }
    let (left_type, right_type) = (arrow_type(catalog.kind(left)?)?, arrow_type(catalog.kind(right)?)?);
    if same_type(left_type, right_type) {
        return None;
    }
    let shown = |arrow: &[u8]| ValueType::of_type(arrow).map_or_else(|| "another type".to_owned(), |of| of.to_string());
    let (left_type, right_type) = (shown(left_type), shown(right_type));
    let how = if left_type == right_type { " with other parameters" } else { "" };
    let message = format!(
        "the join compares `{left_name}`, which is {left_type}, and `{right_name}`, which is {right_type}{how}"
    );
    Some((DiagnosticCode::JoinTypes, message))
}

fn column(catalog: &Catalog<'_>, join: &Expression<'_>, node: NodeId) -> Option<FeatureId> {
    match join.form(node) {
        Form::Column(set, name) => catalog.named(catalog.namespace(set)?, name),
        _ => None,
    }
}
