use super::super::catalog::PLATFORM_NAMESPACE;
use super::super::proto::{DataFrameType, Export, ValidationLog, ValidationLogSeverity};
use super::super::testing::{FRAUD, decoded, graph_of, input, resolver, scalar, small};
use super::*;
use crate::graph::proto::{Graph, ResolverOutput, SinkResolver, resolver_input, resolver_output};

mod generated;
mod hostile;
mod planted;

fn found(change: impl FnOnce(&mut Export, &mut Graph)) -> Vec<String> {
    let mut export = small();
    let mut graph = export.graph.take().expect("a graph");
    change(&mut export, &mut graph);
    export.graph = Some(graph);
    validate(&graph_of(&export)).iter().map(|finding| format!("{} {finding}", finding.code)).collect()
}

#[test]
fn a_sound_graph_has_no_finding() {
    assert_eq!(found(|_, _| ()), Vec::<String>::new());
    assert_eq!(check(&decoded(FRAUD)).expect("a sound graph"), []);
}

#[test]
fn two_features_of_one_name_are_found_and_two_versions_of_one_feature_are_none() {
    assert_eq!(
        found(|_, graph| graph.feature_sets[0].features.push(scalar("age", false))),
        ["28 user.age: 2 features have this name; each needs its own"]
    );
    let two_attributes = |are_versions: bool| {
        found(|_, graph| {
            graph.feature_sets[0].features.push(scalar("age", false));
            for (feature, name) in graph.feature_sets[0].features[1..].iter_mut().zip(["age", "age_v2"]) {
                if let Some(crate::graph::proto::feature_type::Kind::Scalar(feature)) = &mut feature.kind {
                    feature.attribute_name = name.to_owned();
                    feature.version = are_versions.then(|| vec![0x08, 1, 0x10, 2].into());
                }
            }
        })
    };
    assert_eq!(two_attributes(true), Vec::<String>::new());
    assert_eq!(two_attributes(false), ["28 user.age: 2 features have this name (age, age_v2); each needs its own"]);
}

#[test]
fn two_resolvers_of_one_name_in_two_modules_are_found() {
    assert_eq!(
        found(|_, graph| graph.resolvers.push(resolver("other.get_age"))),
        ["71 other.py:7: get_age: 2 resolvers have the name `get_age`, among them ages.get_age and \
          other.get_age; each needs its own"]
    );
}

#[test]
fn a_set_needs_one_key_unless_it_is_a_singleton() {
    let keyless = |graph: &mut Graph| graph.feature_sets[0].features = vec![scalar("age", false)];
    let shown = found(|_, graph| {
        keyless(graph);
        graph.resolvers.clear();
    });
    assert!(shown[0].starts_with("PRIMARY_MISSING user: "), "{shown:?}");
    let singleton = found(|_, graph| {
        keyless(graph);
        graph.resolvers[0].inputs.clear();
        graph.named_queries.clear();
        graph.feature_sets[0].is_singleton = true;
    });
    assert_eq!(singleton, Vec::<String>::new());
    let two = found(|_, graph| graph.feature_sets[0].features.push(scalar("key", true)));
    assert_eq!(two, ["51 user: the feature set has 2 primary features (id, key); keep one"]);
}

#[test]
fn an_input_that_no_set_has_is_found_wherever_it_hides() {
    let expected = |resolver: &str, file: &str| {
        format!("135 {file}{resolver}: the resolver takes `user.height`, which is no feature")
    };
    assert_eq!(
        found(|_, graph| graph.resolvers[0].inputs.push(input("height"))),
        [expected("ages.get_age", "ages.py:7: ")]
    );
    // As a column of a has-many, and in a sink.
    let shown = found(|_, graph| {
        let mut rows = super::super::testing::reference("age");
        rows.df = Some(DataFrameType {
            optional_columns: vec![super::super::testing::reference("height")],
            ..DataFrameType::default()
        });
        let annotation = resolver_input::Annotation::Feature(crate::graph::proto::FeatureInput {
            feature: Some(rows),
            default_value: None,
        });
        graph.sink_resolvers.push(SinkResolver {
            fqn: "sinks.send".to_owned(),
            inputs: vec![crate::graph::proto::ResolverInput { annotation: Some(annotation) }],
            ..SinkResolver::default()
        });
    });
    assert_eq!(shown, [expected("sinks.send", "")]);
}

#[test]
fn a_join_on_the_way_to_an_input_must_be_a_feature_too() {
    let through = |join: &str| {
        let mut id = super::super::testing::reference("id");
        id.path = vec![super::super::testing::reference(join)];
        let feature = crate::graph::proto::FeatureInput { feature: Some(id), default_value: None };
        let annotation = Some(resolver_input::Annotation::Feature(feature));
        found(|_, graph| graph.resolvers[0].inputs = vec![crate::graph::proto::ResolverInput { annotation }])
    };
    assert_eq!(through("id"), Vec::<String>::new());
    assert!(through("friend")[0].contains("`user.friend`, which is no feature"));
}

#[test]
fn what_the_platform_provides_is_no_unknown_input() {
    let shown = found(|_, graph| {
        let mut now = super::super::testing::reference("now");
        now.namespace = PLATFORM_NAMESPACE.to_owned();
        let made = Some(resolver_output::Annotation::Feature(now.clone()));
        graph.resolvers[0].outputs.push(ResolverOutput { annotation: made });
        let annotation = resolver_input::Annotation::Feature(crate::graph::proto::FeatureInput {
            feature: Some(now),
            default_value: None,
        });
        graph.resolvers[0].inputs = vec![crate::graph::proto::ResolverInput { annotation: Some(annotation) }];
    });
    assert_eq!(shown, Vec::<String>::new());
}

#[test]
fn logs_keep_their_severity_and_only_errors_refuse_the_graph() {
    let mut export = small();
    for severity in [ValidationLogSeverity::Info, ValidationLogSeverity::Warning] {
        export.logs.push(ValidationLog {
            header: "missing owner.".to_owned(),
            subheader: "\n  on user.age\n  and others".to_owned(),
            severity: severity.into(),
        });
    }
    let rest = check(&graph_of(&export)).expect("no error");
    let severities: Vec<_> = rest.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Info, Severity::Warning]);
    assert_eq!(rest[0].message, "missing owner (on user.age)");
    export.logs[1].severity = ValidationLogSeverity::Error.into();
    assert_eq!(check(&graph_of(&export)).expect_err("an error").code(), ErrorCode::GraphInvalid);
}

#[test]
fn the_refusal_names_the_first_errors_and_counts_the_others() {
    let mut export = small();
    let graph = export.graph.get_or_insert_default();
    graph.resolvers[0].inputs = ["a", "b", "c", "d", "e"].map(input).to_vec();
    let error = check(&graph_of(&export)).expect_err("five errors");
    let sentence = error.sentence();
    assert!(sentence.starts_with("feature graph: 5 errors: ages.py:7: ages.get_age: "), "{sentence}");
    assert!(sentence.contains("`user.c`") && !sentence.contains("`user.d`"), "{sentence}");
    assert!(sentence.contains("and 2 more"), "{sentence}");
}

#[test]
fn names_of_strangers_cannot_drive_the_terminal() {
    let shown = found(|_, graph| graph.resolvers[0].inputs.push(input("\u{1b}]0;owned\u{7}")));
    assert!(!shown[0].contains(['\u{1b}', '\u{7}']), "{shown:?}");
}
