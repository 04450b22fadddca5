use proptest::prelude::*;
use prost::Message as _;

use super::super::proto::{
    CronFilterWithFeatureArgs, CronQuery, Export, FailedImport, FunctionReference, NamedQuery, Resolver, Schedule,
    SinkResolver, SourceFileReference, StreamResolver,
};
use super::super::testing::{ABSOLUTE_PATH, FRAUD, LOOKOUT_OF_ADA, LOOKOUT_OF_CI, decoded, small};
use super::super::wire::{Fields, Value, put_bytes};
use super::*;
use crate::graph::FeatureGraph;
use crate::model::Digest;

fn made_portable(bytes: &[u8], directory: Option<&str>) -> Bytes {
    let graph = FeatureGraph::decode(Bytes::copy_from_slice(bytes), directory.map(Path::new));
    graph.expect("an export of chalkpy decodes").bytes().clone()
}

#[test]
fn two_exports_of_one_project_in_two_directories_have_the_same_bytes() {
    let ada = made_portable(LOOKOUT_OF_ADA, Some("/home/ada/lookout"));
    let ci = made_portable(LOOKOUT_OF_CI, Some("/opt/ci/7/lookout"));
    assert_eq!(Export::decode(ada.clone()), Export::decode(ci.clone()));
    assert_eq!(ada, ci);
}

#[test]
fn an_export_from_another_machine_becomes_the_same_without_being_told_its_directory() {
    let told = made_portable(LOOKOUT_OF_ADA, Some("/home/ada/lookout"));
    assert_eq!(made_portable(LOOKOUT_OF_ADA, None), told);
    assert_eq!(made_portable(LOOKOUT_OF_CI, Some("/somewhere/else")), told);
}

#[test]
fn no_path_of_the_machine_is_left() {
    for bytes in [LOOKOUT_OF_ADA, LOOKOUT_OF_CI] {
        let before = String::from_utf8_lossy(bytes).into_owned();
        assert!(ABSOLUTE_PATH.iter().any(|path| before.contains(path)), "the fixture is as chalkpy wrote it");
        let after = String::from_utf8_lossy(&made_portable(bytes, None)).into_owned();
        for path in ABSOLUTE_PATH {
            assert!(!after.contains(path), "{path} is left");
        }
    }
}

#[test]
fn values_made_from_the_place_of_a_file_are_relative_too() {
    let text = String::from_utf8_lossy(&made_portable(LOOKOUT_OF_ADA, None)).into_owned();
    assert!(text.contains("pkg/ca.pem"));
    assert!(text.contains("File \"json/decoder.py\", line"));
    assert!(text.contains("Filepath: pkg/models.py"));
}

#[test]
fn making_it_portable_again_changes_nothing() {
    for bytes in [LOOKOUT_OF_ADA, LOOKOUT_OF_CI, FRAUD] {
        let once = made_portable(bytes, None);
        assert_eq!(made_portable(&once, None), once);
        assert_eq!(made_portable(&once, Some("/home/ada/lookout")), once);
    }
}

#[test]
fn captured_values_keep_the_digest_of_their_bytes_as_their_id() {
    let bytes = made_portable(LOOKOUT_OF_ADA, None);
    assert!(captured::ids_are_digests(LOOKOUT_OF_ADA).expect("a message"), "chalkpy makes ids so");
    assert!(captured::ids_are_digests(&bytes).expect("a message"));
    let graph = decoded(&bytes);
    let ids: Vec<_> = graph.graph().captured_global_values.iter().map(|value| value.id.clone()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let resolver = graph.resolvers().find(|resolver| resolver.full_name() == "pkg.models.get_age").expect("a resolver");
    let references = &resolver.function().expect("a function").captured_globals;
    assert!(!references.is_empty());
    for reference in references {
        let id = &reference.value_ref.as_ref().expect("a reference").id;
        assert!(ids.contains(id), "{id} leads nowhere");
    }
}

#[test]
fn fields_that_this_library_does_not_know_keep_their_bytes_and_their_place() {
    // A field of Export from the future, and one in every resolver.
    let unknown = b"\x01\x02\x03 what is this?";
    let mut changed = Vec::new();
    put_bytes(&mut changed, 500, unknown);
    for field in Fields::of(LOOKOUT_OF_ADA) {
        let field = field.expect("an export");
        match field.value {
            Value::Bytes(graph) if field.number == 1 => {
                let mut made = Vec::new();
                for field in Fields::of(graph) {
                    let field = field.expect("a graph");
                    match field.value {
                        Value::Bytes(resolver) if field.number == 2 => {
                            let mut with = resolver.to_vec();
                            put_bytes(&mut with, 900, unknown);
                            put_bytes(&mut made, 2, &with);
                        }
                        _ => made.extend_from_slice(field.raw),
                    }
                }
                put_bytes(&mut changed, 1, &made);
            }
            _ => changed.extend_from_slice(field.raw),
        }
    }
    let count = |bytes: &[u8]| bytes.windows(unknown.len()).filter(|window| window == unknown).count();
    let portable = made_portable(&changed, None);
    assert_eq!(count(&portable), count(&changed));
    assert_eq!(count(&portable), 2);
    assert_eq!(portable.get(..3), changed.get(..3), "the first field is still the first");
}

#[test]
fn a_root_is_read_off_wherever_the_export_names_a_module_and_its_file_and_off_files_alone() {
    type Plant = fn(&mut Export, Option<FunctionReference>, String);
    let function = || {
        Some(FunctionReference {
            module: "pkg.a".to_owned(),
            file_name: "/srv/shop/pkg/a.py".to_owned(),
            ..FunctionReference::default()
        })
    };
    let file = || "/srv/shop/b.py".to_owned();
    let places: [(&str, Plant); 11] = [
        ("a resolver", |export, function, _| {
            export.graph.get_or_insert_default().resolvers[0].function = function;
        }),
        ("a filter of a schedule", |export, filter, _| {
            let schedule = Some(Schedule { filter, ..Schedule::default() });
            export.graph.get_or_insert_default().resolvers.push(Resolver { schedule, ..Resolver::default() });
        }),
        ("a sample of a schedule", |export, sample, _| {
            let schedule = Some(Schedule { sample, ..Schedule::default() });
            export.graph.get_or_insert_default().resolvers.push(Resolver { schedule, ..Resolver::default() });
        }),
        ("a filter of a cron", |export, filter, _| {
            let cron_filter = Some(CronFilterWithFeatureArgs { filter, ..CronFilterWithFeatureArgs::default() });
            export.graph.get_or_insert_default().resolvers.push(Resolver { cron_filter, ..Resolver::default() });
        }),
        ("a stream resolver", |export, function, _| {
            let resolver = StreamResolver { function, ..StreamResolver::default() };
            export.graph.get_or_insert_default().stream_resolvers.push(resolver);
        }),
        ("a sink", |export, function, _| {
            let resolver = SinkResolver { function, ..SinkResolver::default() };
            export.graph.get_or_insert_default().sink_resolvers.push(resolver);
        }),
        ("a failed import", |export, function, _| {
            let FunctionReference { module, file_name, .. } = function.expect("one");
            export.failed.push(FailedImport { file_name, module, ..FailedImport::default() });
        }),
        ("the path of a class", |export, _, file| {
            export.graph.get_or_insert_default().feature_sets[0].class_path = Some(file);
        }),
        ("the place of a class", |export, _, file_name| {
            let place = SourceFileReference { file_name, ..SourceFileReference::default() };
            export.graph.get_or_insert_default().feature_sets[0].source_file_reference = Some(place);
        }),
        ("a named query", |export, _, file_name| {
            let query = NamedQuery { file_name, ..NamedQuery::default() };
            export.graph.get_or_insert_default().named_queries.push(query);
        }),
        ("a scheduled query", |export, _, file_name| {
            export.crons.push(CronQuery { file_name, ..CronQuery::default() });
        }),
    ];
    for (what, plant) in places {
        let mut export = small();
        export.graph.get_or_insert_default().resolvers[0].function = None;
        plant(&mut export, function(), file());
        let outline = Outline::decode(export.encode_to_vec().as_slice()).expect("an export");
        let roots = Roots::of(&outline, None);
        assert_eq!(roots.path("/srv/shop/deep/c.py").as_deref(), Some("deep/c.py"), "{what}");
    }
}

#[test]
fn a_ring_of_captured_values_ends() {
    let reference = |id: &str| {
        let (mut inner, mut value) = (Vec::new(), Vec::new());
        put_bytes(&mut inner, 1, id.as_bytes());
        put_bytes(&mut value, 12, &inner);
        value
    };
    let mut graph = Vec::new();
    for (id, next) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let mut value = Vec::new();
        put_bytes(&mut value, 1, id.as_bytes());
        put_bytes(&mut value, 2, &reference(next));
        put_bytes(&mut graph, 13, &value);
    }
    let mut export = Vec::new();
    put_bytes(&mut export, 1, &graph);
    let digests = digests_of_values(&export, |_, _| Ok(None)).expect("a message");
    assert_eq!(digests.len(), 3);
    assert_eq!(digests.get(b"c".as_slice()), Some(&Digest::of(reference("a")).hex().into_bytes()));
    assert!(captured::rekey(&export).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_damaged_export_is_refused_or_still_made_portable(
        flips in prop::collection::vec((0..LOOKOUT_OF_ADA.len(), 0_u8..8), 1..6),
        cut in prop::option::of(0..LOOKOUT_OF_ADA.len()),
    ) {
        let mut bytes = LOOKOUT_OF_ADA.to_vec();
        for (at, bit) in flips {
            bytes[at] ^= 1 << bit;
        }
        bytes.truncate(cut.unwrap_or(bytes.len()));
        match FeatureGraph::decode(bytes.into(), None) {
            Ok(graph) => {
                let again = FeatureGraph::decode(graph.bytes().clone(), None).expect("what was made can be read");
                prop_assert_eq!(again.digest(), graph.digest(), "a second time changes nothing");
                crate::graph::diff(None, &graph);
                crate::graph::validate(&graph);
            }
            Err(error) => prop_assert_eq!(error.code(), crate::ErrorCode::GraphUndecodable),
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(FeatureGraph::decode(bytes.into(), None).is_err());
    }
}
