//! Where definitions stand.

use std::cell::RefCell;
use std::collections::HashMap;

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
pub(super) fn at_feature(finding: Diagnostic, catalog: &Catalog<'_>, feature: FeatureEntry<'_>) -> Diagnostic {
    let set = feature.set();
    if let Some(line) = catalog.lines.of(feature) {
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
        Some(feature) => at_feature(finding, catalog, feature),
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

/// The lines of attributes in the sources of classes. A source is read once, and only when something is found in it: a
/// class may have as many findings as lines.
#[derive(Debug, Default)]
pub(in crate::graph) struct Lines(RefCell<HashMap<usize, HashMap<String, u32>>>);

impl Lines {
    fn of(&self, feature: FeatureEntry<'_>) -> Option<u32> {
        let set = feature.set();
        // Two sets may share a name, but no place in memory.
        let mut known = self.0.borrow_mut();
        let lines = known.entry(std::ptr::from_ref(set).addr()).or_insert_with(|| lines_of(set));
        lines.get(feature.attribute_name()).copied()
    }
}

/// The line of each attribute in the source of a class. The reference points to the line with `class`, and the source
/// begins with the decorators above it.
fn lines_of(set: &FeatureSet) -> HashMap<String, u32> {
    let mut found = HashMap::new();
    let Some(place) = &set.source_file_reference else { return found };
    let (Some(of_class), Some(code)) = (first_line(place), place.code.as_deref()) else { return found };
    let from_class = code.lines().skip_while(|line| !line.starts_with("class "));
    for (offset, line) in (0..).zip(from_class).skip(1) {
        let line = line.trim_start();
        let end = line.find(|symbol: char| !symbol.is_alphanumeric() && symbol != '_').unwrap_or(line.len());
        let (attribute, rest) = line.split_at(end);
        if !attribute.is_empty()
            && rest.trim_start().starts_with([':', '='])
            && let Some(line) = of_class.checked_add(offset)
        {
            found.entry(attribute.to_owned()).or_insert(line);
        }
    }
    found
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
        let lines = lines_of(&set);
        assert_eq!(lines.get("identity"), Some(&11));
        assert_eq!(lines.get("id"), Some(&12));
        assert_eq!(lines.get("id2"), Some(&13));
        assert_eq!(lines.get("tags"), None);
    }
}
