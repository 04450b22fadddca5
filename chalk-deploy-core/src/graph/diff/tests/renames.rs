//! Definitions under other names.

use super::*;

const INT64: &[u8] = &[0x22, 0];
const TEXT: &[u8] = &[0x2a, 0];

/// Sets the type of a feature, and what only it says.
fn says(feature: &mut crate::graph::proto::FeatureType, arrow_type: &'static [u8], description: &str) {
    let Some(feature_type::Kind::Scalar(feature)) = &mut feature.kind else { panic!("a scalar") };
    feature.arrow_type = Some(bytes::Bytes::from_static(arrow_type));
    feature.description = Some(description.to_owned());
}

/// The small project with one further feature.
fn with(name: &str, arrow_type: &'static [u8], description: &str) -> Export {
    let mut export = small();
    let mut feature = scalar(name, false);
    says(&mut feature, arrow_type, description);
    export.graph.get_or_insert_default().feature_sets[0].features.push(feature);
    export
}

fn between(before: &Export, after: &Export) -> Vec<String> {
    shown(&graph_of(before), &graph_of(after))
}

#[test]
fn a_feature_with_its_type_and_definition_unchanged_is_renamed() {
    let (before, after) = (with("mail", TEXT, "Where to write."), with("email", TEXT, "Where to write."));
    assert_eq!(between(&before, &after), ["~ feature user.email (was user.mail)"]);
}

#[test]
fn a_rename_never_hides_another_type_or_definition() {
    let before = with("mail", TEXT, "Where to write.");
    let two = ["+ feature user.email", "- feature user.mail"];
    assert_eq!(between(&before, &with("email", INT64, "Where to write.")), two);
    assert_eq!(between(&before, &with("email", TEXT, "Whom to write to.")), two);
}

#[test]
fn of_two_that_could_be_meant_none_is_a_rename() {
    let before = with("mail", TEXT, "Same.");
    let mut after = with("first", TEXT, "Same.");
    let mut second = scalar("second", false);
    says(&mut second, TEXT, "Same.");
    after.graph.get_or_insert_default().feature_sets[0].features.push(second);
    assert_eq!(between(&before, &after), ["+ feature user.first", "- feature user.mail", "+ feature user.second"]);
}

#[test]
fn a_feature_of_another_set_is_another_feature() {
    let before = with("mail", TEXT, "Where to write.");
    let mut after = small();
    let mut set = crate::graph::proto::FeatureSet { name: "shop".to_owned(), ..Default::default() };
    let mut feature = scalar("mail", false);
    says(&mut feature, TEXT, "Where to write.");
    if let Some(feature_type::Kind::Scalar(feature)) = &mut feature.kind {
        feature.namespace = "shop".to_owned();
    }
    set.features.push(feature);
    after.graph.get_or_insert_default().feature_sets.push(set);
    assert_eq!(between(&before, &after), ["+ feature set shop", "+ feature shop.mail", "- feature user.mail"]);
}

#[test]
fn a_set_whose_features_are_all_the_same_is_renamed_with_them() {
    let rename = |export: &mut Export| {
        let set = &mut export.graph.get_or_insert_default().feature_sets[0];
        set.name = "person".to_owned();
        for feature in &mut set.features {
            if let Some(feature_type::Kind::Scalar(feature)) = &mut feature.kind {
                feature.namespace = "person".to_owned();
            }
        }
    };
    let mut after = small();
    rename(&mut after);
    // `age` and `id` differ in no more than the key.
    let lines =
        ["~ feature set person (was user)", "~ feature person.age (was user.age)", "~ feature person.id (was user.id)"];
    assert_eq!(between(&small(), &after), lines);

    let mut other = with("name", TEXT, "A name.");
    rename(&mut other);
    assert!(between(&small(), &other).iter().all(|line| !line.contains("was")), "the sets differ");
}

#[test]
fn a_resolver_that_moved_or_whose_function_was_renamed_is_the_same_resolver() {
    let renamed = |fqn: &str, source: &str| {
        let mut export = small();
        let resolver = &mut export.graph.get_or_insert_default().resolvers[0];
        let function = resolver.function.as_mut().expect("a function");
        let (module, name) = fqn.rsplit_once('.').expect("a module");
        (function.module, function.name) = (module.to_owned(), name.to_owned());
        function.function_definition = source.to_owned();
        resolver.fqn = fqn.to_owned();
        export
    };
    let moved = renamed("people.get_age", "def get_age(id): ...");
    assert_eq!(between(&small(), &moved), ["~ resolver people.get_age (was ages.get_age)"]);
    let named = renamed("ages.find_age", "def find_age(id): ...");
    assert_eq!(between(&small(), &named), ["~ resolver ages.find_age (was ages.get_age)"]);
    let other = renamed("ages.find_age", "def find_age(id): return 1");
    assert_eq!(between(&small(), &other), ["+ resolver ages.find_age", "- resolver ages.get_age"]);
}

#[test]
fn a_query_of_the_same_version_and_a_source_are_renamed() {
    let source = |name: &str| DatabaseSource {
        source_type: "postgres".to_owned(),
        name: name.to_owned(),
        ..DatabaseSource::default()
    };
    let mut before = small();
    before.graph.get_or_insert_default().database_sources_v2.push(source("pg"));
    let mut after = small();
    let graph = after.graph.get_or_insert_default();
    graph.database_sources_v2.push(source("main"));
    graph.named_queries[0].name = "how_old".to_owned();
    assert_eq!(between(&before, &after), ["~ named query how_old@1.0.0 (was ages@1.0.0)", "~ source main (was pg)"]);
    let json = serde_json::to_value(diff(Some(&graph_of(&before)), &graph_of(&after))).expect("plain data");
    assert_eq!(
        json["changes"][0],
        serde_json::json!({
            "change": "renamed", "entity": "named_query", "name": "how_old@1.0.0", "former_name": "ages@1.0.0",
            "risk": "risky", "reasons": ["clients that call it by its former name fail"],
        })
    );
}
