use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::proto::{Export, FailedImport, Graph, NamedQuery};
use super::testing::{ABSOLUTE_PATH, FRAUD, LOOKOUT_OF_ADA, decoded, graph_of, small};
use super::wire::{Fields, put_bytes};
use super::{FeatureGraph, FeatureKind, ResolverForm, Severity, check, validate};
use crate::ErrorCode;
use crate::model::Digest;

fn refusal(bytes: impl Into<Bytes>) -> String {
    let error = FeatureGraph::decode(bytes.into(), None).expect_err("this is no export");
    assert_eq!(error.code(), ErrorCode::GraphUndecodable);
    error.sentence()
}

#[test]
fn the_committed_export_holds_no_path_of_a_machine_and_is_what_a_decode_makes_of_it() {
    let graph = decoded(FRAUD);
    assert_eq!(graph.bytes(), FRAUD, "make it portable, as examples/projects/fraud/README.md says");
    assert_eq!(graph.digest(), Digest::of(FRAUD));
    let text = String::from_utf8_lossy(FRAUD);
    for path in ABSOLUTE_PATH {
        assert!(!text.contains(path), "{path} is in the committed export");
    }
    assert!(!text.contains(env!("CARGO_MANIFEST_DIR").trim_end_matches("chalk-deploy-core")));
}

#[test]
#[ignore = "rewrites examples/projects/fraud/chalk.export.pb; run it after making the export anew"]
fn make_the_committed_export_portable() {
    let project = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/projects/fraud");
    let file = project.join(super::COMMITTED_EXPORT);
    let bytes = std::fs::read(&file).expect("the export is there");
    let graph = FeatureGraph::decode(bytes.into(), Some(&project)).expect("chalkpy wrote it");
    std::fs::write(file, graph.bytes()).expect("the export can be written");
}

#[test]
fn the_committed_export_is_the_one_of_the_sources_beside_it() {
    let project = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/projects/fraud");
    let source = std::fs::read_to_string(project.join("resolvers.py")).expect("the resolvers are there");
    let graph = decoded(FRAUD);
    assert_eq!(graph.resolvers().count(), source.matches("\ndef ").count());
    for resolver in graph.resolvers() {
        let definition = &resolver.function().expect("a function").function_definition;
        assert!(source.contains(definition.trim_end()), "{} is older than its source", resolver.full_name());
    }
}

#[test]
fn the_fraud_project_exports_without_a_finding() {
    let graph = decoded(FRAUD);
    assert_eq!(validate(&graph), []);
    assert_eq!(graph.export().logs, []);
    assert_eq!(graph.project(), Some("fraud"));
    assert_eq!(graph.chalkpy_version(), Some("2.166.1"));
}

#[test]
fn full_names_kinds_and_counts_of_the_fraud_project_are_known() {
    let graph = decoded(FRAUD);
    let features: BTreeSet<_> = graph.features().map(|feature| (feature.full_name(), feature.kind())).collect();
    for (name, kind) in [
        ("transaction.user", FeatureKind::HasOne),
        ("user.transactions", FeatureKind::HasMany),
        ("user.known_at", FeatureKind::FeatureTime),
        ("user.fraud_score", FeatureKind::Scalar),
    ] {
        assert!(features.contains(&(name.to_owned(), kind)), "{name} is missing among {features:?}");
    }
    let scheduled: Vec<_> =
        graph.resolvers().filter(super::ResolverEntry::is_scheduled).map(|resolver| resolver.full_name()).collect();
    assert_eq!(scheduled, ["resolvers.refresh_credit_scores", "resolvers.load_transactions"]);
    let online = graph.resolvers().filter(|resolver| resolver.form() == ResolverForm::Online).count();
    assert_eq!(online, 3);
    let queries: Vec<_> = graph.named_queries().map(|query| query.full_name()).collect();
    assert_eq!(queries, ["fraud_check@1.0.0"]);
    assert_eq!(
        graph.summary().to_string(),
        "2 feature sets, 21 features, 6 resolvers (3 online, 3 offline), 1 named query"
    );
}

#[test]
fn a_query_without_a_version_is_known_by_its_name_alone() {
    let mut export = small();
    export
        .graph
        .get_or_insert_default()
        .named_queries
        .push(NamedQuery { name: "bare".to_owned(), ..NamedQuery::default() });
    let names: Vec<_> = graph_of(&export).named_queries().map(|query| query.full_name()).collect();
    assert_eq!(names, ["ages@1.0.0", "bare"]);
}

#[test]
fn every_prefix_of_an_export_is_refused_but_those_that_end_where_a_field_after_chalkpy_ends() {
    let mut whole = BTreeSet::new();
    let (mut end, mut after_chalkpy) = (0, false);
    for field in Fields::of(FRAUD) {
        let field = field.expect("an export");
        end += field.raw.len();
        after_chalkpy |= field.number == 6;
        if after_chalkpy {
            whole.insert(end);
        }
    }
    assert!(whole.len() <= 3, "{whole:?}");
    for length in 0..=FRAUD.len() {
        let prefix = Bytes::from_static(&FRAUD[..length]);
        assert_eq!(FeatureGraph::decode(prefix, None).is_ok(), whole.contains(&length), "the first {length} bytes");
    }
}

#[test]
fn nothing_another_message_text_and_zeros_are_refused_with_a_remedy() {
    assert!(refusal(Bytes::new()).contains("empty"));
    let graph = small().graph.expect("a graph");
    for other in [
        graph.encode_to_vec(),
        graph.resolvers[0].encode_to_vec(),
        b"project: fraud\n".to_vec(),
        b"{\"graph\": {}}".to_vec(),
        vec![0; 4096],
        vec![0x0a, 0x00],
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec(),
        b"\x0a\x04main\x12\x07abcdef0".to_vec(),
    ] {
        let sentence = refusal(other);
        assert!(sentence.contains("export") && sentence.contains("chalkpy export FILE --proto"), "{sentence}");
    }
}

#[test]
fn two_graphs_in_one_export_are_refused() {
    let mut bytes = small().encode_to_vec();
    bytes.extend(small().encode_to_vec());
    refusal(bytes);
}

#[test]
fn an_export_above_the_limit_is_refused_before_it_is_decoded() {
    let sentence = refusal(vec![0x0a; FeatureGraph::MOST_BYTES + 1]);
    assert!(sentence.contains("100.0 MiB"), "{sentence}");
}

#[test]
fn ten_thousand_levels_in_an_expression_are_refused() {
    let mut expression = Vec::new();
    for _ in 0..10_000 {
        let mut outer = Vec::with_capacity(expression.len() + 5);
        put_bytes(&mut outer, 1, &expression);
        expression = outer;
    }
    let mut export = small();
    let set = &mut export.graph.get_or_insert_default().feature_sets[0];
    if let Some(super::proto::feature_type::Kind::Scalar(age)) = &mut set.features[1].kind {
        age.expression = Some(expression.into());
    }
    let sentence = refusal(export.encode_to_vec());
    assert!(sentence.contains("nested too deep"), "{sentence}");
}

#[test]
fn an_export_that_chalkpy_could_not_begin_is_an_error_in_an_empty_graph() {
    let traceback =
        "  File \"/v/lib/python3.11/site-packages/chalk/cli.py\", line 54\n\nBoom: no such thing\n".to_owned();
    let export = Export { failed: vec![FailedImport { traceback, ..FailedImport::default() }], ..Export::default() };
    let graph = graph_of(&export);
    assert_eq!(graph.graph(), &Graph::default());
    let error = check(&graph).expect_err("nothing was imported");
    assert_eq!(error.code(), ErrorCode::GraphInvalid);
    assert!(error.sentence().contains("Boom: no such thing"), "{error}");
}

#[test]
fn what_chalkpy_found_in_a_real_project_is_found_with_file_and_line() {
    let found = validate(&decoded(LOOKOUT_OF_ADA));
    let shown: Vec<_> =
        found.iter().map(|finding| format!("{} {} {finding}", finding.severity, finding.code)).collect();
    assert_eq!(
        shown,
        [
            "error FAILED_IMPORT broken.py:3: broken: the import failed: JSONDecodeError: Expecting property name \
             enclosed in double quotes: line 1 column 2 (char 1)",
            "error PRIMARY_MISSING keyless.py:5: keyless: the feature set has no primary feature; mark one of its int \
             or str features as primary",
            "warning METADATA_MISSING pkg/models.py:32: pkg.models.get_age: the resolver has no owner, which chalk.yaml asks \
             for",
            "warning FEATURE_UNREACHABLE keyless.py:6: keyless.name: nothing produces the feature: no resolver, no \
             expression, no default and no named query's input",
            "warning FEATURE_UNREACHABLE pkg/models.py:17: payment.account_id: nothing produces the feature: no resolver, no \
             expression, no default and no named query's input",
            "warning FEATURE_UNREACHABLE pkg/models.py:18: payment.amount: nothing produces the feature: no resolver, no \
             expression, no default and no named query's input",
        ]
    );
    assert_eq!(found.iter().filter(|finding| finding.severity == Severity::Error).count(), 2);
}

proptest! {
    #[test]
    fn a_decode_keeps_the_bytes_of_an_export_without_paths(name in "[a-z]{1,8}", extra in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut bytes = small().encode_to_vec();
        put_bytes(&mut bytes, 77, &extra);
        put_bytes(&mut bytes, 78, name.as_bytes());
        let graph = FeatureGraph::decode(bytes.clone().into(), None).expect("an export");
        prop_assert_eq!(graph.bytes(), &bytes);
    }
}
