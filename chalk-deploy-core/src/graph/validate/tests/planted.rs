//! Defects that chalkpy does not let into a graph, or that only damage makes, planted into an export.

use prost::Message as _;

use super::*;
use crate::graph::proto::feature_type::Kind;
use crate::graph::proto::{
    ChalkError, CronAggregateBackfill, CronQuery, Duration, FeatureReference, FeatureType, HasManyFeatureType,
    HasOneFeatureType, NamedQuery, ScalarFeatureType, Schedule, schedule,
};
use crate::graph::testing::{column, equal, reference};

const INTEGER: &[u8] = &[0x22, 0];
const TEXT: &[u8] = &[0x2a, 0];

/// The findings with this code.
fn only(code: &str, change: impl FnOnce(&mut Export, &mut Graph)) -> Vec<String> {
    found(change).into_iter().filter(|finding| finding.starts_with(&format!("{code} "))).collect()
}

fn set_named(name: &str) -> crate::graph::proto::FeatureSet {
    let features = ["id", "user_id"].map(|feature| {
        let mut feature = scalar(feature, feature == "id");
        let Some(Kind::Scalar(scalar)) = &mut feature.kind else { unreachable!("it is one") };
        scalar.namespace = name.to_owned();
        scalar.arrow_type = Some(INTEGER.into());
        feature
    });
    crate::graph::proto::FeatureSet { name: name.to_owned(), features: features.to_vec(), ..Default::default() }
}

fn age(graph: &mut Graph) -> &mut ScalarFeatureType {
    match &mut graph.feature_sets[0].features[1].kind {
        Some(Kind::Scalar(age)) => age,
        _ => unreachable!("the second feature of the small export is a scalar"),
    }
}

fn has_many(join: Option<Vec<u8>>) -> FeatureType {
    FeatureType {
        kind: Some(Kind::HasMany(HasManyFeatureType {
            name: "cards".to_owned(),
            namespace: "user".to_owned(),
            attribute_name: "cards".to_owned(),
            foreign_namespace: "card".to_owned(),
            join: join.map(Into::into),
            ..HasManyFeatureType::default()
        })),
    }
}

fn cards(graph: &mut Graph, join: Option<Vec<u8>>) {
    graph.feature_sets.push(set_named("card"));
    graph.feature_sets[0].features.push(has_many(join));
}

#[test]
fn a_conversion_error_is_found_with_what_it_is_about() {
    let shown = only("CONVERSION_FAILED", |export, _| {
        export.conversion_errors.push(ChalkError {
            message: "no such type".to_owned(),
            feature: Some("user.age".to_owned()),
            ..ChalkError::default()
        });
    });
    assert_eq!(shown, ["CONVERSION_FAILED user.age: no such type"]);
}

#[test]
fn two_classes_of_one_name_and_a_feature_of_another_class_are_conflicts() {
    let twice = only("14", |_, graph| {
        graph.feature_sets.push(set_named("card"));
        graph.feature_sets.push(set_named("card"));
    });
    assert_eq!(twice, ["14 card: 2 feature classes have this name; each needs its own"]);
    let stray = only("14", |_, graph| age(graph).namespace = "card".to_owned());
    assert_eq!(stray, ["14 card.age: the feature stands in the feature class `user`, which is another one"]);
    let dotted = only("14", |_, graph| graph.feature_sets.push(set_named("user.age")));
    assert_eq!(dotted, ["14 user.age: the feature class has the full name of a feature"]);
}

#[test]
fn what_is_loaded_and_stale_at_once_is_found_whatever_says_that_it_is_loaded() {
    let loaded = |of_set: bool, staleness: Option<Duration>| {
        only("STALENESS_MISSING", |_, graph| {
            if of_set {
                graph.feature_sets[0].etl_offline_to_online = Some(true);
            } else {
                age(graph).etl_offline_to_online = Some(true);
            }
            age(graph).max_staleness_duration = staleness;
        })
    };
    assert_eq!(loaded(false, None).len(), 1);
    assert_eq!(loaded(true, None).len(), 1, "the key needs none");
    assert_eq!(loaded(false, Some(Duration { seconds: 60, nanos: 0 })), Vec::<String>::new());
}

#[test]
fn a_join_is_there_and_compares_one_type_of_its_own_classes() {
    let joined = |join: Option<Vec<u8>>| {
        found(|_, graph| {
            cards(graph, join);
            age(graph).arrow_type = Some(TEXT.into());
            graph.feature_sets.push(set_named("shop"));
            if let Some(Kind::Scalar(id)) = &mut graph.feature_sets[0].features[0].kind {
                id.arrow_type = Some(INTEGER.into());
            }
        })
        .into_iter()
        .filter(|finding| !finding.starts_with("FEATURE_UNREACHABLE"))
        .collect::<Vec<_>>()
    };
    let of = |left: (&str, &str), right: (&str, &str)| Some(equal(&column(left.0, left.1), &column(right.0, right.1)));
    assert_eq!(joined(of(("card", "user_id"), ("user", "id"))), Vec::<String>::new());
    assert_eq!(joined(None), ["35 user.cards: the has-many has no join; say which features are equal"]);
    assert_eq!(joined(Some(Vec::new())), ["35 user.cards: the has-many has no join; say which features are equal"]);
    assert_eq!(
        joined(of(("card", "user_id"), ("user", "age"))),
        ["42 user.cards: the join compares `card.user_id`, which is int64, and `user.age`, which is large_string"]
    );
    assert!(joined(of(("card", "user_id"), ("shop", "id")))[0].starts_with("43 user.cards: "));
    assert!(joined(of(("card", "id"), ("card", "user_id")))[0].starts_with("43 user.cards: "));
    assert_eq!(
        joined(of(("card", "owner"), ("user", "id"))),
        ["40 user.cards: the join names `card.owner`, which is no feature"]
    );
}

#[test]
fn a_join_to_a_class_that_there_is_not_is_found() {
    let shown = only("40", |_, graph| {
        graph.feature_sets[0].features.push(FeatureType {
            kind: Some(Kind::HasOne(HasOneFeatureType {
                name: "home".to_owned(),
                namespace: "user".to_owned(),
                foreign_namespace: "home".to_owned(),
                ..HasOneFeatureType::default()
            })),
        });
    });
    assert_eq!(shown, ["40 user.home: the has-one leads to `home`, which is no feature class"]);
}

#[test]
fn an_expression_that_is_no_message_is_found_and_ends_nothing() {
    // The nodes themselves are walked when an export is decoded; what a node holds is not.
    let shown = only("EXPRESSION_UNREADABLE", |_, graph| age(graph).expression = Some(vec![0x0a, 1, 0x0b].into()));
    assert_eq!(shown.len(), 1);
}

#[test]
fn a_default_of_another_type_is_found_and_null_is_of_every_type() {
    let with = |default: &'static [u8]| {
        only("DEFAULT_TYPE", |_, graph| {
            age(graph).arrow_type = Some(INTEGER.into());
            age(graph).default_value = Some(default.into());
        })
    };
    // utf8_value "no", int64_value 7, null_value.
    assert_eq!(
        with(&[0xa2, 1, 2, b'n', b'o']),
        ["DEFAULT_TYPE user.age: the default value is of type string, and the feature of type int64"]
    );
    assert_eq!(with(&[0x20, 7]), Vec::<String>::new());
    assert_eq!(with(&[0x0a, 0]), Vec::<String>::new());
}

#[test]
fn the_forms_of_outputs_are_those_that_chalkpy_allows() {
    let rows = |namespace: &str, columns: &[(&str, &str)]| ResolverOutput {
        annotation: Some(resolver_output::Annotation::DataFrame(DataFrameType {
            root_namespace: namespace.to_owned(),
            optional_columns: columns
                .iter()
                .map(|(namespace, name)| FeatureReference { namespace: (*namespace).to_owned(), ..reference(name) })
                .collect(),
            ..DataFrameType::default()
        })),
    };
    let outputs = |outputs: Vec<ResolverOutput>| {
        let all = found(|_, graph| {
            graph.feature_sets.push(set_named("card"));
            graph.resolvers[0].outputs = outputs;
            graph.named_queries.clear();
        });
        all.into_iter().filter(|finding| finding.starts_with('1') || finding.starts_with("OUT")).collect::<Vec<_>>()
    };
    assert_eq!(outputs(Vec::new()), ["132 ages.py:7: ages.get_age: the resolver has no output"]);
    let users = rows("user", &[("user", "age")]);
    assert_eq!(
        outputs(vec![users.clone(), rows("card", &[("card", "id")])]),
        ["133 ages.py:7: ages.get_age: the resolver makes 2 frames of rows; it can make one"]
    );
    let feature = ResolverOutput { annotation: Some(resolver_output::Annotation::Feature(reference("age"))) };
    assert_eq!(
        outputs(vec![users.clone(), feature]),
        ["134 ages.py:7: ages.get_age: the resolver makes rows and single features; it can make either"]
    );
    assert_eq!(
        outputs(vec![rows("user", &[("user", "id"), ("card", "id")])]),
        ["161 ages.py:7: ages.get_age: the rows that the resolver makes are of `user`, and `card.id` is not"]
    );
    assert_eq!(
        outputs(vec![rows("user", &[("user", "height")])]),
        ["OUTPUT_UNKNOWN ages.py:7: ages.get_age: the resolver makes `user.height`, which is no feature"]
    );
    assert_eq!(outputs(vec![users]), Vec::<String>::new());
}

#[test]
fn two_named_queries_of_one_name_and_version_are_found_and_two_versions_are_none() {
    let with_version = |version: Option<&str>| {
        only("DUPLICATE_QUERY", |_, graph| {
            let again = NamedQuery { query_version: version.map(str::to_owned), ..graph.named_queries[0].clone() };
            graph.named_queries.push(again);
        })
    };
    assert_eq!(with_version(Some("1.0.0")).len(), 1);
    assert_eq!(with_version(Some("2.0.0")), Vec::<String>::new());
}

#[test]
fn every_place_of_a_named_query_that_names_a_feature_is_looked_at() {
    let shown = only("QUERY_UNKNOWN_FEATURE", |export, graph| {
        let query = &mut graph.named_queries[0];
        query.input.push("user.a".to_owned());
        query.output.push("user.b".to_owned());
        query.additional_logged_features.push("nowhere.c".to_owned());
        query.staleness.insert("user.d".to_owned(), Duration { seconds: 1, nanos: 0 });
        export.crons.push(CronQuery {
            name: "nightly".to_owned(),
            cron: "1d".to_owned(),
            output: vec!["user.e".to_owned(), "user.age".to_owned(), "user".to_owned()],
            ..CronQuery::default()
        });
    });
    assert_eq!(shown.len(), 5, "{shown:?}");
    for name in ["user.a", "user.b", "nowhere.c", "user.d", "user.e"] {
        assert_eq!(shown.iter().filter(|finding| finding.contains(&format!("`{name}`"))).count(), 1, "{shown:?}");
    }
}

#[test]
fn durations_and_schedules_out_of_range_are_found_wherever_they_stand() {
    let negative = || Some(Duration { seconds: -1, nanos: 0 });
    let shown = only("DURATION_INVALID", |_, graph| {
        age(graph).max_staleness_duration = negative();
        graph.feature_sets[0].max_staleness_duration = Some(Duration { seconds: i64::MAX, nanos: 0 });
        graph.resolvers[0].timeout_duration = Some(Duration { seconds: 0, nanos: 2_000_000_000 });
        graph.named_queries[0].staleness.insert("user.age".to_owned(), negative().expect("one"));
    });
    assert_eq!(shown.len(), 4, "{shown:?}");
    let shown = only("SCHEDULE_INVALID", |export, graph| {
        let every = schedule::When::Duration(Duration { seconds: 0, nanos: 0 });
        graph.resolvers[0].schedule = Some(Schedule { when: Some(every), ..Schedule::default() });
        let backfill = CronAggregateBackfill {
            name: "fill".to_owned(),
            schedule: "* * * *".to_owned(),
            ..CronAggregateBackfill::default()
        };
        export.cron_aggregate_backfills.push(backfill.encode_to_vec().into());
    });
    assert_eq!(shown.len(), 2, "{shown:?}");
}

#[test]
fn a_cycle_among_resolvers_can_be_lowered_and_one_among_expressions_cannot() {
    let severities = |name: &str| {
        let graph = crate::graph::projects::graph_of_project(name);
        let lowered = Validation::default().resolver_cycles(Severity::Warning);
        assert_eq!(lowered.check(&graph).is_ok(), name == "resolver_cycle");
        lowered.validate(&graph).iter().map(|finding| finding.severity).collect::<Vec<_>>()
    };
    assert_eq!(severities("resolver_cycle"), [Severity::Warning]);
    assert_eq!(severities("expression_cycle"), [Severity::Error]);
}

#[test]
fn a_log_that_no_check_makes_is_listed_and_one_that_a_check_makes_too_is_not() {
    let log = |header: &str, subheader: &str| {
        let severity = ValidationLogSeverity::Error.into();
        ValidationLog { header: header.to_owned(), subheader: subheader.to_owned(), severity }
    };
    let with = |logs: Vec<ValidationLog>| {
        found(|export, graph| {
            export.logs = logs;
            graph.resolvers[0].outputs.clear();
            graph.named_queries.clear();
            age(graph).default_value = Some([0x0a, 0].as_slice().into());
        })
    };
    let made = "132 ages.py:7: ages.get_age: the resolver has no output";
    assert_eq!(with(vec![log("Resolver \"ages.get_age\" does not define outputs.", "See the docs.")]), [made]);
    assert_eq!(
        with(vec![log("Resolver \"x.y\" does not define outputs.", "")]),
        ["132 x.y: Resolver \"x.y\" does not define outputs", made]
    );
    assert_eq!(with(vec![log("The sky fell", "")]), ["EXPORT_LOG The sky fell", made]);
}

#[test]
fn ten_thousand_cycles_of_two_are_all_named_in_a_moment() {
    let mut export = small();
    let graph = export.graph.get_or_insert_default();
    for pair in 0..10_000 {
        let names = [format!("a{pair}"), format!("b{pair}")];
        for (made, needed) in [(&names[0], &names[1]), (&names[1], &names[0])] {
            graph.feature_sets[0].features.push(scalar(made, false));
            let mut resolver = resolver(&format!("cycles.get_{made}"));
            resolver.inputs = vec![input(needed)];
            let made = resolver_output::Annotation::Feature(reference(made));
            resolver.outputs = vec![ResolverOutput { annotation: Some(made) }];
            graph.resolvers.push(resolver);
        }
    }
    let found = validate(&graph_of(&export));
    assert_eq!(found.len(), 10_000);
    assert!(found.iter().all(|finding| finding.chain.len() == 5));
}
