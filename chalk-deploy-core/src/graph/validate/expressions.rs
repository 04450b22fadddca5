//! Expressions of features: the names in them, and their types.

use super::super::catalog::{Catalog, FeatureId, NamespaceId};
use super::super::expression::{Expression, Reader, Reading, Scope};
use super::super::proto::feature_type::Kind;
use super::super::values::{Conversion, ValueType};
use super::super::{Diagnostic, DiagnosticCode, Severity};
use super::places;

/// The expressions of all features, read once.
#[derive(Debug)]
pub(super) struct Expressions {
    /// For the features that have one.
    pub(super) of_features: Vec<Read>,
    /// The joins of has-one and has-many features.
    pub(super) joins: Vec<Read>,
}

/// What an expression of a feature says.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) feature: FeatureId,
    /// Nothing where the bytes are no expression.
    pub(super) reads: Option<Vec<FeatureId>>,
    pub(super) unknown: Vec<(NamespaceId, String)>,
    pub(super) value_type: Option<ValueType>,
}

impl Expressions {
    pub(super) fn of(catalog: &Catalog<'_>) -> Self {
        let mut expressions = Self { of_features: Vec::new(), joins: Vec::new() };
        let reader = Reader::new(catalog);
        for (id, feature) in (0..).zip(&catalog.features) {
            let Some(namespace) = catalog.namespace_of(id) else { continue };
            let read = |bytes: &[u8]| {
                let reading = Expression::parse(bytes).map(|parsed| reader.read(&parsed, Scope::of(namespace)));
                Read::of(id, reading.ok())
            };
            match feature.definition() {
                Kind::Scalar(scalar) => {
                    // The offline expression stands in for the other one in bulk; both are the feature's.
                    let both = [&scalar.expression, &scalar.offline_expression];
                    expressions.of_features.extend(both.into_iter().flatten().map(|bytes| read(bytes)));
                }
                Kind::GroupBy(group) => {
                    expressions.of_features.extend(group.expression.iter().map(|bytes| read(bytes)));
                }
                Kind::HasOne(join) => expressions.joins.extend(join.join.iter().map(|bytes| read(bytes))),
                Kind::HasMany(join) => expressions.joins.extend(join.join.iter().map(|bytes| read(bytes))),
                Kind::FeatureTime(_) | Kind::Windowed(_) => {}
            }
        }
        expressions
    }
}

impl Read {
    fn of(feature: FeatureId, reading: Option<Reading<'_>>) -> Self {
        let Some(reading) = reading else {
            return Self { feature, reads: None, unknown: Vec::new(), value_type: None };
        };
        let unknown = reading.unknown.iter().map(|named| (named.namespace, named.name.to_owned())).collect();
        Self { feature, reads: Some(reading.reads), unknown, value_type: reading.value_type }
    }
}

pub(super) fn check(catalog: &Catalog<'_>, expressions: &Expressions, found: &mut Vec<Diagnostic>) {
    for read in expressions.of_features.iter().chain(&expressions.joins) {
        if read.reads.is_none() {
            let message = "the expression is no whole message, so that what it needs is not known";
            found.push(finding(catalog, DiagnosticCode::ExpressionUnreadable, read.feature, message));
        }
    }
    for read in &expressions.of_features {
        for (namespace, name) in &read.unknown {
            let set = catalog.at(*namespace).map_or("", |namespace| namespace.name);
            let message = format!("the expression names `{name}`, which `{set}` does not have");
            found.push(finding(catalog, DiagnosticCode::ExpressionUnknown, read.feature, &message));
        }
        let (Some(made), Some(of_feature)) = (read.value_type, catalog.value_type(read.feature)) else { continue };
        // What has no conversion cannot run; what loses something may be meant.
        let severity = match made.conversion_to(of_feature) {
            Conversion::Whole => continue,
            Conversion::Lossy => Severity::Warning,
            Conversion::Impossible => Severity::Error,
        };
        let message = format!("the expression is of type {made}, and the feature of type {of_feature}");
        let finding = finding(catalog, DiagnosticCode::ExpressionType, read.feature, &message);
        found.push(finding.with_severity(severity));
    }
}

fn finding(catalog: &Catalog<'_>, code: DiagnosticCode, feature: FeatureId, message: &str) -> Diagnostic {
    places::at(Diagnostic::error(code, &catalog.full_name(feature), message), catalog, feature)
}
