//! Default values.

use super::super::catalog::{Catalog, arrow_type};
use super::super::proto::feature_type::Kind;
use super::super::values::{Conversion, ValueType};
use super::super::{Diagnostic, DiagnosticCode};
use super::places::at_feature;

pub(super) fn check(catalog: &Catalog<'_>, found: &mut Vec<Diagnostic>) {
    for feature in &catalog.features {
        let default = match feature.definition() {
            Kind::Scalar(scalar) => scalar.default_value.as_deref(),
            Kind::GroupBy(feature) => feature.default_value.as_deref(),
            _ => None,
        };
        let value = default.and_then(ValueType::of_value);
        let of_feature = arrow_type(feature.definition()).and_then(ValueType::of_type);
        let (Some(value), Some(of_feature)) = (value, of_feature) else { continue };
        if value.conversion_to(of_feature) != Conversion::Whole {
            let message = format!("the default value is of type {value}, and the feature of type {of_feature}");
            let finding = Diagnostic::error(DiagnosticCode::DefaultType, &feature.full_name(), &message);
            found.push(at_feature(finding, catalog, *feature));
        }
    }
}
