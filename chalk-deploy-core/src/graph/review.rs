//! Validation and diff in one: what a person, a terminal or a service is told of an export.

use serde::Serialize;

use super::{Change, Diagnostic, FeatureGraph, GraphDiff, Severity, Validation, diff};

/// What is wrong with a graph, and what it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Review {
    /// Everything that was found in the graph, the order being that of the checks.
    pub diagnostics: Vec<Diagnostic>,
    /// What changes against the deployed graph; nothing when there was none to compare with.
    #[serde(flatten)]
    pub changes: GraphDiff,
}

/// One finding of a review. As JSON it is an object whose `type` is `diagnostic` or `change`, with the fields of
/// [`Diagnostic`] or [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReviewEntry<'r> {
    /// Something found in the graph.
    Diagnostic(&'r Diagnostic),
    /// Something that changes.
    Change(&'r Change),
}

impl Review {
    /// Whether the graph must not be deployed.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|found| found.severity == Severity::Error)
    }

    /// Every finding: what is wrong, and then what changes.
    pub fn entries(&self) -> impl Iterator<Item = ReviewEntry<'_>> {
        let changes = self.changes.changes.iter().map(ReviewEntry::Change);
        self.diagnostics.iter().map(ReviewEntry::Diagnostic).chain(changes)
    }
}

/// Validates a graph as the settings say, and compares it with the deployed one if there is one.
pub fn review(graph: &FeatureGraph, deployed: Option<&FeatureGraph>, validation: Validation) -> Review {
    let changes = deployed.map(|deployed| diff(Some(deployed), graph)).unwrap_or_default();
    Review { diagnostics: validation.validate(graph), changes }
}

#[cfg(test)]
mod tests {
    use super::super::projects::graph_of_project;
    use super::super::testing::{graph_of, input, scalar, small};
    use super::*;

    #[test]
    fn a_review_is_one_object_for_each_finding_with_its_type() {
        let mut after = small();
        let graph = after.graph.get_or_insert_default();
        graph.feature_sets[0].features.push(scalar("name", false));
        graph.resolvers[0].inputs.push(input("nobody"));
        let reviewed = review(&graph_of(&after), Some(&graph_of(&small())), Validation::default());
        assert!(reviewed.has_errors());
        let lines: Vec<serde_json::Value> =
            reviewed.entries().map(|entry| serde_json::to_value(entry).expect("plain data")).collect();
        let types: Vec<_> = lines.iter().map(|line| (line["type"].as_str(), line["subject"].as_str())).collect();
        assert_eq!(types[0], (Some("diagnostic"), Some("ages.get_age")));
        let changes: Vec<_> = lines.iter().filter(|line| line["type"] == "change").collect();
        assert_eq!(changes.len(), 2, "{lines:?}");
        assert_eq!(
            *changes[0],
            serde_json::json!({
                "type": "change", "change": "added", "entity": "feature", "name": "user.name", "risk": "safe"
            })
        );
    }

    #[test]
    fn a_finding_has_all_fields_in_json_whatever_is_known() {
        let reviewed = review(&graph_of_project("query_unknown"), None, Validation::default());
        let line = serde_json::to_value(reviewed.entries().next().expect("a finding")).expect("plain data");
        let fields: Vec<&str> = line.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(fields, ["chain", "code", "file", "line", "message", "severity", "subject", "type"]);
    }

    #[test]
    fn what_a_cycle_among_resolvers_costs_is_a_setting_of_a_review_too() {
        let cycle = graph_of_project("resolver_cycle");
        assert!(review(&cycle, None, Validation::default()).has_errors());
        let lowered = review(&cycle, None, Validation::default().resolver_cycles(Severity::Warning));
        assert!(!lowered.has_errors());
        assert_eq!(lowered.diagnostics.len(), 1, "it is still found");
    }

    #[test]
    fn without_a_deployed_graph_nothing_changes() {
        let reviewed = review(&graph_of(&small()), None, Validation::default());
        assert!(!reviewed.has_errors() && reviewed.changes.is_empty());
        assert_eq!(reviewed.entries().count(), reviewed.diagnostics.len());
    }
}
