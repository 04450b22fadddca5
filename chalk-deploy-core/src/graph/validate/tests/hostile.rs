//! Input that no chalkpy wrote.

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::graph::FeatureGraph;
use crate::graph::proto::FeatureReference;
use crate::graph::testing::{call, identifier, own, reference};
use crate::graph::wire::{Fields, Value, put_bytes};

/// The test project with the most kinds of definitions.
fn shop() -> Vec<u8> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects/shop/export.pb");
    std::fs::read(file).expect("an export")
}

/// What becomes of bytes; it only has to end.
fn checked(bytes: Vec<u8>) -> Option<usize> {
    FeatureGraph::decode(bytes.into(), None).ok().map(|graph| validate(&graph).len())
}

/// The message with a field that no one knows added to it, and to the first message in each of the fields of the path.
fn planted(message: &[u8], path: &[u32]) -> Vec<u8> {
    let mut made = Vec::new();
    let mut rest = path.split_first();
    for field in Fields::of(message) {
        let field = field.expect("a field");
        match (rest, field.value) {
            (Some((number, inner)), Value::Bytes(content)) if field.number == *number => {
                put_bytes(&mut made, *number, &planted(content, inner));
                rest = None;
            }
            _ => made.extend_from_slice(field.raw),
        }
    }
    assert!(rest.is_none(), "there is no field {path:?}");
    put_bytes(&mut made, 9_999, format!("unknown below {path:?}").as_bytes());
    made
}

#[test]
fn fields_that_are_newer_than_this_library_are_stored_and_forwarded_unchanged() {
    // Features with expressions, resolvers with functions, streams, sinks, queries, sources, settings.
    for path in [
        [1, 1, 2, 1].as_slice(),
        &[1, 2, 16],
        &[1, 2, 3, 1, 1],
        &[1, 3, 15],
        &[1, 4, 2],
        &[1, 7],
        &[1, 8],
        &[2],
        &[5],
        &[6],
    ] {
        let bytes = planted(&shop(), path);
        let graph = FeatureGraph::decode(bytes.clone().into(), None).expect("an export");
        assert_eq!(graph.bytes(), &bytes, "{path:?}");
        assert!(validate(&graph).is_empty(), "{path:?}");
        let again = FeatureGraph::decode(graph.bytes().clone(), None).expect("an export");
        assert_eq!(again.digest(), graph.digest());
    }
}

#[test]
fn unknown_fields_outlive_the_changes_that_make_an_export_portable() {
    let mut export = small();
    export.graph.get_or_insert_default().feature_sets[0].class_path = Some("/srv/shop/features.py".to_owned());
    export.graph.get_or_insert_default().resolvers[0].function.get_or_insert_default().file_name =
        "/srv/shop/ages.py".to_owned();
    let bytes = planted(&export.encode_to_vec(), &[1, 1, 2, 1]);
    let graph = FeatureGraph::decode(bytes.clone().into(), Some("/srv/shop".as_ref())).expect("an export");
    assert_ne!(graph.bytes(), &bytes, "the paths became relative");
    let held = String::from_utf8_lossy(graph.bytes());
    assert_eq!(held.matches("unknown below").count(), 5, "one for each level");
    assert!(!held.contains("/srv/shop"));
}

#[test]
fn control_characters_in_any_name_never_reach_a_terminal() {
    let evil = "\u{1b}]0;owned\u{7}\u{202e}";
    let mut export = small();
    let graph = export.graph.get_or_insert_default();
    graph.feature_sets[0].features.push(scalar(evil, false));
    graph.resolvers[0].fqn = format!("a.{evil}");
    graph.resolvers[0].function.get_or_insert_default().file_name = format!("{evil}.py");
    let made = resolver_output::Annotation::Feature(reference(evil));
    graph.resolvers[0].inputs = vec![input(evil), input("nowhere\u{0}")];
    graph.resolvers[0].outputs = vec![ResolverOutput { annotation: Some(made) }];
    graph.named_queries[0].output.push(format!("user.{evil}"));
    graph.named_queries[0].name = evil.to_owned();
    export.logs.push(ValidationLog { header: evil.to_owned(), subheader: evil.to_owned(), severity: 12 });
    let found = validate(&graph_of(&export));
    assert!(found.len() >= 4, "{found:?}");
    let has_cycle = found.iter().any(|finding| !finding.chain.is_empty());
    assert!(has_cycle, "{found:?}");
    for finding in found {
        let texts = [&finding.message, &finding.subject].into_iter().chain(&finding.file).chain(&finding.chain);
        for text in texts {
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{0}', '\u{202e}']), "{finding:?}");
        }
    }
}

#[test]
fn nesting_is_checked_as_far_as_it_is_decoded_and_refused_beyond() {
    let nested = |levels: usize| {
        let mut export = small();
        let graph = export.graph.get_or_insert_default();
        let deep = (0..levels).fold(own("nowhere"), |inner, _| call(&identifier("-"), &[&inner]));
        if let Some(crate::graph::proto::feature_type::Kind::Scalar(age)) = &mut graph.feature_sets[0].features[1].kind
        {
            age.expression = Some(deep.into());
        }
        FeatureGraph::decode(export.encode_to_vec().into(), None).map(|graph| validate(&graph))
    };
    let found = nested(90).expect("Python's runtime writes half as many");
    assert!(found.iter().any(|finding| finding.code.as_str() == "701"), "{found:?}");
    for levels in [150, 10_000] {
        assert_eq!(nested(levels).expect_err("too deep").code(), ErrorCode::GraphUndecodable);
    }
}

#[test]
fn references_within_references_are_followed_to_the_last() {
    let mut export = small();
    let nested = |levels: usize| {
        (0..levels).fold(reference("height"), |inner, _| FeatureReference { path: vec![inner], ..reference("id") })
    };
    let graph = export.graph.get_or_insert_default();
    graph.resolvers[0].outputs =
        vec![ResolverOutput { annotation: Some(resolver_output::Annotation::Feature(nested(80))) }];
    let found = validate(&graph_of(&export));
    assert!(found.iter().any(|finding| finding.code.as_str() == "OUTPUT_UNKNOWN"), "{found:?}");
    // As bytes: to build the message would overflow the test.
    let wrapped = |number: u32, inner: &[u8]| {
        let mut outer = Vec::with_capacity(inner.len() + 8);
        put_bytes(&mut outer, number, inner);
        outer
    };
    let deep = (0..10_000).fold(Vec::new(), |inner, _| wrapped(3, &inner));
    let mut bytes = [1, 4, 2, 1].iter().fold(deep, |inner, number| wrapped(*number, &inner));
    bytes.extend(wrapped(6, &wrapped(1, b"2.166.1")));
    let refused = FeatureGraph::decode(bytes.into(), None).expect_err("too deep");
    assert_eq!(refused.code(), ErrorCode::GraphUndecodable);
}

#[test]
fn as_many_findings_as_lines_in_one_class_are_placed_in_a_moment() {
    const FEATURES: usize = 20_000;
    let mut export = small();
    let graph = export.graph.get_or_insert_default();
    let set = &mut graph.feature_sets[0];
    set.features.extend((0..FEATURES).map(|feature| scalar(&format!("f{feature}"), false)));
    let attributes: Vec<String> = (0..FEATURES).map(|feature| format!("    f{feature}: int\n")).collect();
    let start = crate::graph::proto::Position { line: Some(4), character: None };
    set.source_file_reference = Some(crate::graph::proto::SourceFileReference {
        range: Some(crate::graph::proto::Range { start: Some(start), end: None }),
        code: Some(format!("@features\nclass User:\n{}", attributes.concat())),
        file_name: "users.py".to_owned(),
    });
    let found = validate(&graph_of(&export));
    assert_eq!(found.len(), FEATURES);
    let last = found.last().expect("a finding");
    assert_eq!((last.subject.as_str(), last.line), ("user.f19999", Some(5 + 20_000)));
}

#[test]
fn a_query_for_every_link_of_a_long_chain_is_explained_within_bounds() {
    const LINKS: usize = 1_500;
    let mut export = small();
    let graph = export.graph.get_or_insert_default();
    let name = |link: usize| format!("f{link}");
    for link in 0..LINKS {
        let mut feature = scalar(&name(link), false);
        if let Some(crate::graph::proto::feature_type::Kind::Scalar(feature)) = &mut feature.kind
            && link > 0
        {
            feature.expression = Some(own(&name(link - 1)).into());
        }
        graph.feature_sets[0].features.push(feature);
    }
    graph.named_queries[0].output = (0..LINKS).map(|link| format!("user.{}", name(link))).collect();
    let found = validate(&graph_of(&export));
    let errors: Vec<_> = found.iter().filter(|finding| finding.code.as_str() == "QUERY_UNPRODUCIBLE").collect();
    assert_eq!(errors.len(), LINKS, "every one is named");
    assert!(errors.iter().all(|finding| finding.chain.last().is_some_and(|last| last == "user.f0")));
    let longest = errors.last().expect("an error");
    assert_eq!(longest.chain, ["user.f1499", "... 2997 more", "user.f0"]);
    let names: usize = errors.iter().map(|finding| finding.chain.len()).sum();
    assert!(names < 210_000, "{names}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_export_is_refused_or_checked(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..6),
        length in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = shop();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if is_cut {
            bytes.truncate(length.index(bytes.len()));
        }
        checked(bytes);
    }

    #[test]
    fn any_expression_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut export = small();
        let graph = export.graph.get_or_insert_default();
        if let Some(crate::graph::proto::feature_type::Kind::Scalar(age)) = &mut graph.feature_sets[0].features[1].kind {
            age.expression = Some(bytes.into());
        }
        checked(export.encode_to_vec());
    }
}
