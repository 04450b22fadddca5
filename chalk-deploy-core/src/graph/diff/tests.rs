mod planted;
mod renames;
mod risks;

use proptest::prelude::*;
use prost::Message as _;

use super::super::proto::{
    CapturedFunction, CapturedGlobal, CapturedGlobalValue, CronQuery, DatabaseSource, Export, NamedQuery, Range,
    SourceFileReference, ValueReference, feature_type, schedule,
};
use super::super::testing::{FRAUD, LOOKOUT_OF_ADA, LOOKOUT_OF_CI, decoded, graph_of, input, resolver, scalar, small};
use super::*;
use crate::graph::proto::{Graph, Position};

/// What a change of the small project does to its graph, as lines.
fn changes(change: impl FnOnce(&mut Export, &mut Graph)) -> Vec<String> {
    let before = small();
    let mut after = small();
    let mut graph = after.graph.take().expect("a graph");
    change(&mut after, &mut graph);
    after.graph = Some(graph);
    let (before, after) = (graph_of(&before), graph_of(&after));
    assert_ne!(before.digest(), after.digest(), "nothing was changed");
    shown(&before, &after)
}

/// What changes, as lines.
fn shown(before: &FeatureGraph, after: &FeatureGraph) -> Vec<String> {
    let forth = diff(Some(before), after);
    let back = diff(Some(after), before);
    assert_eq!(forth.of(ChangeKind::Added).count(), back.of(ChangeKind::Removed).count());
    assert_eq!(forth.of(ChangeKind::Modified).count(), back.of(ChangeKind::Modified).count());
    assert_eq!(forth.of(ChangeKind::Renamed).count(), back.of(ChangeKind::Renamed).count());
    forth.changes.iter().map(ToString::to_string).collect()
}

fn age(graph: &mut Graph) -> &mut crate::graph::proto::ScalarFeatureType {
    match &mut graph.feature_sets[0].features[1].kind {
        Some(feature_type::Kind::Scalar(feature)) => feature,
        other => panic!("the second feature is a scalar, and not {other:?}"),
    }
}

#[test]
fn a_graph_does_not_differ_from_itself_nor_from_the_export_of_another_machine() {
    for bytes in [FRAUD, LOOKOUT_OF_ADA] {
        assert!(diff(Some(&decoded(bytes)), &decoded(bytes)).is_empty());
    }
    assert!(diff(Some(&decoded(LOOKOUT_OF_ADA)), &decoded(LOOKOUT_OF_CI)).is_empty());
}

#[test]
fn without_a_graph_before_everything_is_added() {
    let all = diff(None, &graph_of(&small()));
    assert_eq!(
        all.to_string(),
        "5 safe changes:\n  + feature set user\n  + feature user.age\n  + feature user.id\n  \
         + resolver ages.get_age\n  + named query ages@1.0.0"
    );
    assert_eq!(all.of(ChangeKind::Added).count(), all.changes.len());
}

#[test]
fn additions_and_removals_are_named() {
    assert_eq!(
        changes(|export, graph| {
            graph.feature_sets[0].features.push(scalar("name", false));
            graph.resolvers = vec![resolver("ages.guess_age")];
            graph.resolvers[0].inputs.push(input("name"));
            graph.named_queries.clear();
            graph.database_sources_v2.push(DatabaseSource {
                source_type: "postgres".to_owned(),
                name: "pg".to_owned(),
                ..DatabaseSource::default()
            });
            export.crons.push(CronQuery { name: "nightly".to_owned(), ..CronQuery::default() });
        }),
        [
            "+ feature user.name",
            "- resolver ages.get_age",
            "+ resolver ages.guess_age",
            "- named query ages@1.0.0",
            "+ scheduled query nightly",
            "+ source pg",
        ]
    );
}

#[test]
fn a_changed_resolver_is_shown_with_the_fields_that_changed() {
    let shown = changes(|_, graph| {
        let resolver = &mut graph.resolvers[0];
        resolver.inputs.push(input("age"));
        let schedule = resolver.schedule.as_mut().expect("a schedule");
        schedule.when = Some(schedule::When::Crontab("0 3 * * *".to_owned()));
    });
    assert_eq!(
        shown,
        ["~ resolver ages.get_age (inputs: user.id -> user.id, user.age; schedule: 0 2 * * * -> 0 3 * * *)"]
    );
    let shown = changes(|_, graph| {
        let function = graph.resolvers[0].function.as_mut().expect("a function");
        function.function_definition = "def get_age(id): return 1".to_owned();
    });
    assert_eq!(shown, ["~ resolver ages.get_age (function changed)"]);
}

#[test]
fn a_feature_that_becomes_of_another_kind_is_modified() {
    let shown = changes(|_, graph| {
        graph.feature_sets[0].features[1].kind =
            Some(feature_type::Kind::FeatureTime(crate::graph::proto::FeatureTimeFeatureType {
                name: "age".to_owned(),
                namespace: "user".to_owned(),
                ..Default::default()
            }));
    });
    assert_eq!(shown, ["~ feature user.age (kind: scalar -> feature time)"]);
}

#[test]
fn an_attribute_of_the_set_is_no_change_of_its_features() {
    assert_eq!(
        changes(|_, graph| graph.feature_sets[0].owner = Some("ada@example.com".to_owned())),
        ["~ feature set user (owner: none -> ada@example.com)"]
    );
}

#[test]
fn a_new_version_of_a_query_is_another_query() {
    assert_eq!(
        changes(|_, graph| graph.named_queries[0].query_version = Some("2.0.0".to_owned())),
        ["- named query ages@1.0.0", "+ named query ages@2.0.0"]
    );
}

#[test]
fn a_field_that_this_library_does_not_know_counts() {
    // Field 34 of a resolver, `runtime_contract`, which has no name here.
    let mut after = small();
    let mut message = after.graph.as_ref().expect("a graph").resolvers[0].encode_to_vec();
    crate::graph::wire::put_bytes(&mut message, 34, b"v2");
    let mut graph = after.graph.take().expect("a graph");
    graph.resolvers.clear();
    let mut graph = graph.encode_to_vec();
    crate::graph::wire::put_bytes(&mut graph, 2, &message);
    let mut export = after.encode_to_vec();
    crate::graph::wire::put_bytes(&mut export, 1, &graph);
    assert_eq!(shown(&graph_of(&small()), &decoded(&export)), ["~ resolver ages.get_age (field 34 changed)"]);
}

#[test]
fn where_a_definition_stands_is_no_part_of_it() {
    let shown = changes(|_, graph| {
        let function = graph.resolvers[0].function.as_mut().expect("a function");
        function.source_line = Some(99);
        function.file_name = "moved/ages.py".to_owned();
        graph.named_queries[0].file_name = "moved/queries.py".to_owned();
        graph.feature_sets[0].class_path = Some("moved/features.py".to_owned());
        let start = Some(Position { line: Some(3), character: None });
        graph.feature_sets[0].source_file_reference = Some(SourceFileReference {
            range: Some(Range { start, end: None }),
            code: Some("class User: ...".to_owned()),
            file_name: "moved/features.py".to_owned(),
        });
    });
    assert_eq!(shown, Vec::<String>::new());
}

#[test]
fn an_expression_that_is_read_again_is_the_same_expression() {
    let expression = |id: &[u8]| {
        let (mut identifier, mut node) = (Vec::new(), Vec::new());
        crate::graph::wire::put_bytes(&mut identifier, 1, b"_");
        crate::graph::wire::put_bytes(&mut node, 35, &identifier);
        crate::graph::wire::put_bytes(&mut node, 40, id);
        Some(bytes::Bytes::from(node))
    };
    let (mut before, mut after) = (small(), small());
    age(before.graph.get_or_insert_default()).expression = expression(b"e1e9cf7f-bbc6-415a-90e5-1f6f1b3a0758");
    let graph = after.graph.get_or_insert_default();
    age(graph).expression = expression(b"95be4ed2-8e2f-4a8a-9909-c90fa5fc91f2");
    // One more expression before it, so that the ids are numbered otherwise.
    if let Some(feature_type::Kind::Scalar(id)) = &mut graph.feature_sets[0].features[0].kind {
        id.expression = expression(b"ea95f036-3e1b-4b58-ae24-0c974237acc7");
    }
    assert_eq!(shown(&graph_of(&before), &graph_of(&after)), ["~ feature user.id (expression: none -> _)"]);
}

fn reference(id: &str) -> CapturedGlobal {
    CapturedGlobal { value_ref: Some(ValueReference { id: id.to_owned() }), ..CapturedGlobal::default() }
}

/// The small project, with a function that `get_age` uses through another one.
fn with_helpers(source: &str, line: i32) -> Export {
    let value = |source: &str, uses: Option<&str>, line: i32| CapturedGlobal {
        global_name: "helper".to_owned(),
        function: Some(CapturedFunction {
            source: source.to_owned(),
            captured_globals: uses.map(reference).into_iter().collect(),
            module: Some("helpers".to_owned()),
            name: "helper".to_owned(),
        }),
        source_reference: Some(SourceFileReference {
            range: Some(Range { start: Some(Position { line: Some(line), character: None }), end: None }),
            ..SourceFileReference::default()
        }),
        value_ref: None,
        ..CapturedGlobal::default()
    };
    let id = |value: &CapturedGlobal| crate::model::Digest::of(value.encode_to_vec()).hex();
    let inner = value(source, None, line);
    let outer = value("def outer(): return helper()", Some(&id(&inner)), line);
    let mut export = small();
    let graph = export.graph.get_or_insert_default();
    let function = graph.resolvers[0].function.as_mut().expect("a function");
    function.captured_globals = vec![reference(&id(&outer))];
    graph.captured_global_values =
        [outer, inner].map(|value| CapturedGlobalValue { id: id(&value), value: Some(value) }).to_vec();
    export
}

#[test]
fn a_helper_that_changed_changes_the_resolver_that_uses_it_and_one_that_moved_does_not() {
    let before = graph_of(&with_helpers("def helper(): return 1", 10));
    let changed = graph_of(&with_helpers("def helper(): return 2", 10));
    let moved = graph_of(&with_helpers("def helper(): return 1", 20));
    assert_ne!(before.digest(), moved.digest());
    assert_eq!(shown(&before, &changed), ["~ resolver ages.get_age (function changed)"]);
    assert_eq!(diff(Some(&before), &moved).to_string(), "no change");
}

#[test]
fn names_that_would_drive_a_terminal_are_shown_harmless() {
    let shown = changes(|_, graph| {
        graph.named_queries.push(NamedQuery { name: "\u{1b}[2Jx".to_owned(), ..NamedQuery::default() });
    });
    assert_eq!(shown, ["+ named query \u{fffd}[2Jx"]);
}

#[test]
fn a_difference_as_json_has_its_published_shape() {
    let mut after = small();
    let graph = after.graph.get_or_insert_default();
    graph.feature_sets[0].features.push(scalar("name", false));
    graph.resolvers[0].owner = Some("ada@example.com".to_owned());
    let changed = diff(Some(&graph_of(&small())), &graph_of(&after));
    let json = serde_json::to_value(changed).expect("plain data");
    assert_eq!(
        json,
        serde_json::json!({"changes": [
            {"change": "added", "entity": "feature", "name": "user.name", "risk": "safe"},
            {
                "change": "modified", "entity": "resolver", "name": "ages.get_age", "risk": "safe",
                "fields": [{"field": "owner", "after": "ada@example.com"}],
            },
        ]})
    );
}

proptest! {
    #[test]
    fn the_order_of_definitions_is_no_difference(
        names in prop::collection::btree_set("[a-z]{1,6}", 0..12).prop_map(|names| names.into_iter().collect::<Vec<_>>()),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let export = |names: &[String]| {
            let mut export = small();
            let graph = export.graph.get_or_insert_default();
            graph.resolvers.extend(names.iter().map(|name| resolver(&format!("module.{name}"))));
            graph.feature_sets[0].features.extend(names.iter().map(|name| scalar(&format!("x_{name}"), false)));
            graph_of(&export)
        };
        let mut turned = names.clone();
        if !turned.is_empty() {
            turned.rotate_left(shuffled.index(names.len()));
        }
        prop_assert!(diff(Some(&export(&names)), &export(&turned)).is_empty());
        let fewer = export(&names[..names.len() / 2]);
        let gone = diff(Some(&export(&names)), &fewer);
        prop_assert_eq!(gone.of(ChangeKind::Removed).count(), 2 * (names.len() - names.len() / 2));
        prop_assert_eq!(gone.changes.len(), gone.of(ChangeKind::Removed).count());
    }
}
