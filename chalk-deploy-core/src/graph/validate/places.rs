//! Where definitions stand.

use super::super::Diagnostic;
use super::super::catalog::{Catalog, FeatureId};
use super::super::entry::{FeatureEntry, ResolverEntry};
use super::super::proto::feature_type::Kind;
use super::super::proto::{FeatureSet, NamedQuery, Position, Range, SourceFileReference};

/// Where a feature set stands.
pub(super) fn in_set(finding: Diagnostic, set: &FeatureSet) -> Diagnostic {
    match &set.source_file_reference {
        Some(place) => finding.at(&place.file_name, first_line(place)),
        None => finding.at(set.class_path.as_deref().unwrap_or_default(), None),
    }
}

/// Where a feature stands: its line in the source of its class, which the graph holds; else where its expression
/// stands; else where the class does.
pub(super) fn at_feature(finding: Diagnostic, feature: FeatureEntry<'_>) -> Diagnostic {
    let set = feature.set();
    if let Some(line) = line_in_class(set, feature.attribute_name()) {
        let file = set.source_file_reference.as_ref().map_or("", |place| place.file_name.as_str());
        return finding.at(file, Some(line));
    }
    if let Kind::Scalar(scalar) = feature.definition()
        && let Some(location) = &scalar.expression_definition_location
    {
        return finding.at(&location.uri, location.range.and_then(|range| one_based(range.start)));
    }
    in_set(finding, set)
}

/// Where a feature of the catalog stands.
pub(super) fn at(finding: Diagnostic, catalog: &Catalog<'_>, feature: FeatureId) -> Diagnostic {
    match catalog.feature(feature) {
        Some(feature) => at_feature(finding, feature),
        None => finding,
    }
}

/// Where the function of a resolver stands.
pub(super) fn at_resolver(finding: Diagnostic, resolver: ResolverEntry<'_>) -> Diagnostic {
    let Some(function) = resolver.function() else { return finding };
    finding.at(&function.file_name, function.source_line.and_then(|line| u32::try_from(line).ok()))
}

/// Where a named query stands.
pub(super) fn at_query(finding: Diagnostic, query: &NamedQuery) -> Diagnostic {
    match &query.source_file_reference {
        Some(place) => finding.at(&place.file_name, first_line(place)),
        None => finding.at(&query.file_name, None),
    }
}

fn first_line(place: &SourceFileReference) -> Option<u32> {
    place.range.and_then(|range: Range| one_based(range.start))
}

/// The Language Server Protocol counts from 0, and people from 1.
pub(super) fn one_based(position: Option<Position>) -> Option<u32> {
    position?.line.and_then(|line| u32::try_from(line).ok()?.checked_add(1))
}

/// The line of an attribute in the source of a class. The reference points to the line with `class`, and the source
/// begins with the decorators above it.
fn line_in_class(set: &FeatureSet, attribute: &str) -> Option<u32> {
    let place = set.source_file_reference.as_ref()?;
    let of_class = first_line(place)?;
    let mut lines = (0_u32..).zip(place.code.as_deref()?.lines());
    let (class, _) = lines.find(|(_, line)| line.starts_with("class "))?;
    let (found, _) = lines.find(|(_, line)| {
        let rest = line.trim_start().strip_prefix(attribute);
        rest.is_some_and(|rest| rest.trim_start().starts_with([':', '=']))
    })?;
    of_class.checked_add(found.checked_sub(class)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_found_on_its_own_line_of_the_class() {
        let line = Position { line: Some(9), character: None };
        let set = FeatureSet {
            source_file_reference: Some(SourceFileReference {
                range: Some(Range { start: Some(line), end: None }),
                code: Some(
                    "@features(\n    tags=[])\nclass User:\n    identity: int\n    id : int\n    id2=3\n".to_owned(),
                ),
                file_name: "a.py".to_owned(),
            }),
            ..FeatureSet::default()
        };
        // The class stands on line 10.
        assert_eq!(line_in_class(&set, "identity"), Some(11));
        assert_eq!(line_in_class(&set, "id"), Some(12));
        assert_eq!(line_in_class(&set, "id2"), Some(13));
        assert_eq!(line_in_class(&set, "tags"), None);
    }
}
