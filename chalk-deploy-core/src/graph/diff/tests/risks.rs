//! What a change can break.

use super::*;
use crate::graph::proto::{
    DatabaseSourceReference, Duration, FeatureTimeFeatureType, HasOneFeatureType, ResolverKind, StreamSource,
};
use crate::graph::testing::reference;

/// The reasons for which changes of the small project are risky, after the line of each.
fn risks(change: impl FnOnce(&mut Graph)) -> Vec<String> {
    of(&small(), change)
}

fn of(before: &Export, change: impl FnOnce(&mut Graph)) -> Vec<String> {
    let mut after = before.clone();
    change(after.graph.get_or_insert_default());
    let changed = diff(Some(&graph_of(before)), &graph_of(&after));
    assert!(!changed.is_empty(), "nothing was changed");
    for change in &changed.changes {
        assert_eq!(change.is_risky(), !change.reasons.is_empty());
    }
    changed.risky().flat_map(|change| std::iter::once(change.to_string()).chain(change.reasons.clone())).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_feature_that_a_query_reads_is_missed_and_another_is_not() {
    assert_eq!(
        risks(|graph| {
            graph.feature_sets[0].features.remove(1);
            graph.resolvers.clear();
        }),
        ["- feature user.age", "named query ages@1.0.0 of the deployed graph reads it"]
    );
    let mut before = small();
    before.graph.get_or_insert_default().feature_sets[0].features.push(scalar("unused", false));
    assert_eq!(of(&before, |graph| drop(graph.feature_sets[0].features.pop())), NOTHING);
}

#[test]
fn a_feature_that_is_read_through_a_join_or_by_a_scheduled_query_is_missed() {
    let mut before = small();
    before.crons.push(CronQuery {
        name: "nightly".to_owned(),
        output: vec!["user.b".to_owned()],
        ..Default::default()
    });
    let graph = before.graph.get_or_insert_default();
    let mut card = crate::graph::proto::FeatureSet { name: "card".to_owned(), ..Default::default() };
    card.features.push(crate::graph::proto::FeatureType {
        kind: Some(feature_type::Kind::HasOne(HasOneFeatureType {
            name: "owner".to_owned(),
            namespace: "card".to_owned(),
            foreign_namespace: "user".to_owned(),
            ..Default::default()
        })),
    });
    graph.feature_sets.push(card);
    graph.feature_sets[0].features.extend([scalar("a", false), scalar("b", true)]);
    graph.named_queries[0].output = vec!["card.owner.a".to_owned()];
    assert_eq!(
        of(&before, |graph| drop(graph.feature_sets[0].features.drain(2..))),
        [
            "- feature user.a",
            "named query ages@1.0.0 of the deployed graph reads it",
            "- feature user.b",
            "scheduled query nightly of the deployed graph reads it",
            "the primary key of user changes",
        ]
    );
    let joined = of(&before, |graph| {
        let Some(feature_type::Kind::HasOne(join)) = &mut graph.feature_sets[1].features[0].kind else { return };
        join.join = Some(bytes::Bytes::from_static(&[0x1a, 0x02, 0x10, 0x01]));
    });
    assert_eq!(joined, ["~ feature card.owner (join: none -> true)", "its join changes, and it leads to other rows"]);
}

#[test]
fn a_feature_that_a_resolver_still_reads_is_missed() {
    let mut before = small();
    let graph = before.graph.get_or_insert_default();
    graph.feature_sets[0].features.push(scalar("name", false));
    graph.resolvers[0].inputs.push(input("name"));
    assert_eq!(
        of(&before, |graph| drop(graph.feature_sets[0].features.pop())),
        ["- feature user.name", "still read by resolver ages.get_age"]
    );
}

#[test]
fn a_type_a_kind_and_a_key_do_not_change_without_a_word() {
    assert_eq!(
        risks(|graph| {
            age(graph).arrow_type = Some(bytes::Bytes::from_static(&[0x1a, 0]));
            age(graph).is_primary = true;
            age(graph).is_nullable = true;
            age(graph).internal_version = Some(2);
        }),
        [
            "~ feature user.age (is_primary: none -> true; is_nullable: none -> true; internal_version: none -> 2; \
             type: none -> float64)",
            "the primary key of user changes",
            "whether it may be absent changes, for stored values and clients",
            "stored values become obsolete",
            "its type changes, and stored values and clients have the former one",
        ]
    );
    let other = risks(|graph| {
        graph.feature_sets[0].features[1].kind = Some(feature_type::Kind::FeatureTime(FeatureTimeFeatureType {
            name: "age".to_owned(),
            namespace: "user".to_owned(),
            ..Default::default()
        }));
        graph.feature_sets[0].features.push(scalar("key", true));
        graph.feature_sets[0].is_singleton = true;
    });
    assert_eq!(
        other,
        [
            "~ feature set user (is_singleton: none -> true)",
            "whether its rows have a key changes",
            "~ feature user.age (kind: scalar -> feature time)",
            "its kind changes, and stored values are of the former one",
            "+ feature user.key",
            "the primary key of user changes",
        ]
    );
}

#[test]
fn what_only_changes_values_or_their_age_is_safe() {
    let changed = risks(|graph| {
        age(graph).max_staleness_duration = Some(Duration { seconds: 93_600, nanos: 0 });
        age(graph).tags.push("pii".to_owned());
        graph.resolvers[0].timeout_duration = Some(Duration { seconds: 2, nanos: 0 });
        graph.resolvers[0].function.as_mut().expect("a function").function_definition.push_str("  # faster");
        graph.resolvers.push(resolver("ages.another"));
        graph.named_queries[0].output.push("user.id".to_owned());
    });
    assert_eq!(changed, NOTHING);
}

#[test]
fn a_resolver_that_alone_makes_what_a_query_needs_is_missed() {
    let missing = "nothing else makes user.age, which named query ages@1.0.0 needs";
    assert_eq!(risks(|graph| graph.resolvers.clear()), ["- resolver ages.get_age", missing]);
    let other = |graph: &mut Graph| graph.resolvers[0] = resolver("other.get_age");
    assert_eq!(
        risks(|graph| {
            other(graph);
            graph.resolvers[0].tags.push("x".to_owned());
        }),
        NOTHING
    );
    assert_eq!(
        risks(|graph| graph.resolvers[0].outputs.clear()),
        ["~ resolver ages.get_age (outputs: user.age -> none)", missing]
    );
    assert_eq!(
        risks(|graph| graph.resolvers[0].set_kind(ResolverKind::Offline)),
        [
            "~ resolver ages.get_age (kind: online -> offline)",
            "nothing else makes user.age when a query asks, which named query ages@1.0.0 needs",
        ]
    );
}

#[test]
fn a_resolver_is_needed_through_the_inputs_of_another() {
    let mut before = small();
    let graph = before.graph.get_or_insert_default();
    graph.feature_sets[0].features.push(scalar("birthday", false));
    graph.resolvers[0].inputs = vec![input("birthday")];
    let mut birthdays = resolver("ages.get_birthday");
    birthdays.outputs[0].annotation =
        Some(crate::graph::proto::resolver_output::Annotation::Feature(reference("birthday")));
    graph.resolvers.push(birthdays);
    assert_eq!(
        of(&before, |graph| drop(graph.resolvers.pop())),
        ["- resolver ages.get_birthday", "nothing else makes user.birthday, which named query ages@1.0.0 needs",]
    );
}

#[test]
fn a_resolver_that_loses_its_schedule_or_an_environment_says_so() {
    assert_eq!(
        risks(|graph| {
            graph.resolvers[0].schedule = None;
            graph.resolvers[0].environments.push("prod".to_owned());
        }),
        [
            "~ resolver ages.get_age (environments: none -> prod; schedule: 0 2 * * * -> none)",
            "it no longer runs by itself",
            "it runs in fewer environments",
        ]
    );
}

#[test]
fn who_calls_a_query_learns_what_it_takes_and_gives() {
    assert_eq!(risks(|graph| graph.named_queries.clear()), ["- named query ages@1.0.0", "clients that call it fail"]);
    assert_eq!(
        risks(|graph| {
            graph.named_queries[0].input.push("user.age".to_owned());
            graph.named_queries[0].output.clear();
        }),
        [
            "~ named query ages@1.0.0 (input: user.id -> user.id, user.age; output: user.age -> none)",
            "clients no longer get user.age",
            "clients must give user.age",
        ]
    );
}

#[test]
fn a_source_that_is_read_or_leads_elsewhere_is_missed() {
    let mut before = small();
    let graph = before.graph.get_or_insert_default();
    graph.database_sources_v2.push(DatabaseSource {
        source_type: "postgres".to_owned(),
        name: "pg".to_owned(),
        ..DatabaseSource::default()
    });
    graph.stream_sources_v2.push(StreamSource {
        source_type: "kafka".to_owned(),
        name: "clicks".to_owned(),
        ..StreamSource::default()
    });
    graph.resolvers[0].data_sources_v2 =
        vec![DatabaseSourceReference { source_type: "postgres".to_owned(), name: "pg".to_owned() }];
    assert_eq!(
        of(&before, |graph| {
            graph.database_sources_v2.clear();
            graph.stream_sources_v2.clear();
        }),
        ["- source pg", "still read by resolver ages.get_age"]
    );
    assert_eq!(
        of(&before, |graph| graph.database_sources_v2[0].source_type = "mysql".to_owned()),
        ["~ source pg (source_type: postgres -> mysql)", "what reads from it is led elsewhere"]
    );
}

#[test]
fn the_text_has_risky_changes_first_and_an_end() {
    let before = graph_of(&small());
    let mut after = small();
    let graph = after.graph.get_or_insert_default();
    graph.resolvers.clear();
    graph.feature_sets[0].features.extend((0..1000).map(|number| scalar(&format!("f{number:04}"), false)));
    let text = diff(Some(&before), &graph_of(&after)).to_string();
    let start = "1 risky change:\n  - resolver ages.get_age\n      risk: nothing else makes user.age, which named query \
                 ages@1.0.0 needs\n1000 safe changes:\n  + feature user.f0000\n";
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with("\n  + feature user.f0049\n  and 950 more"), "{text}");
}

#[test]
fn reasons_and_values_from_strangers_are_shown_harmless_and_short() {
    let long = "\u{1b}[2J".to_owned() + &"x".repeat(100_000);
    let mut before = small();
    let graph = before.graph.get_or_insert_default();
    graph.named_queries[0].name = long.clone();
    graph.feature_sets[0].owner = Some(long.clone());
    let mut after = before.clone();
    let graph = after.graph.get_or_insert_default();
    graph.feature_sets[0].features.remove(1);
    graph.feature_sets[0].owner = Some(long + "y");
    let changed = diff(Some(&graph_of(&before)), &graph_of(&after));
    for shown in [changed.to_string(), serde_json::to_string(&changed).expect("plain data")] {
        assert!(!shown.contains(['\u{1b}', '\u{7}']) && !shown.contains("u001b"), "{shown}");
        assert!(shown.len() < 3000, "{}", shown.len());
    }
    assert!(changed.to_string().contains("named query \u{fffd}[2Jxxx"), "{changed}");
}
