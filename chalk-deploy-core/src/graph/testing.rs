//! Exports for tests: real ones, and a small one that tests change.

use bytes::Bytes;
use prost::Message as _;

use super::FeatureGraph;
use super::proto::{
    ChalkpyInfo, Export, FeatureInput, FeatureReference, FeatureSet, FeatureType, FunctionReference, Graph, NamedQuery,
    ProjectSettings, Resolver, ResolverInput, ResolverKind, ResolverOutput, ScalarFeatureType, Schedule, feature_type,
    resolver_input, resolver_output, schedule,
};

/// The export that is committed with examples/projects/fraud.
pub(super) const FRAUD: &[u8] = include_bytes!("../../../examples/projects/fraud/chalk.export.pb");
/// The project in testdata/lookout as chalkpy 2.166.1 exported it in /home/ada/lookout, with a virtual environment in
/// /home/ada/venv. It has a file that cannot be imported, a feature set without a key, a resolver without an owner, and
/// values made from `__file__`.
pub(super) const LOOKOUT_OF_ADA: &[u8] = include_bytes!("testdata/lookout-of-ada.pb");
/// The same project in /opt/ci/7/lookout, with its virtual environment in .venv.
pub(super) const LOOKOUT_OF_CI: &[u8] = include_bytes!("testdata/lookout-of-ci.pb");
/// What an absolute path begins with, on the machines where exports of the tests were made.
pub(super) const ABSOLUTE_PATH: [&str; 7] =
    ["/home/", "/opt/", "/usr/", "/tmp/", "/root/", "site-packages", "lib/python3"];

/// A graph from bytes that are known to hold one.
pub(super) fn decoded(bytes: &[u8]) -> FeatureGraph {
    FeatureGraph::decode(Bytes::copy_from_slice(bytes), None).expect("an export decodes")
}

/// A graph of an export made by hand.
pub(super) fn graph_of(export: &Export) -> FeatureGraph {
    decoded(&export.encode_to_vec())
}

/// A project with one feature set (`user`, key `id`), the feature `user.age`, the resolver `ages.get_age` and the named
/// query `ages@1.0.0`.
pub(super) fn small() -> Export {
    let user = FeatureSet {
        name: "user".to_owned(),
        features: vec![scalar("id", true), scalar("age", false)],
        ..FeatureSet::default()
    };
    let query = NamedQuery {
        name: "ages".to_owned(),
        query_version: Some("1.0.0".to_owned()),
        input: vec!["user.id".to_owned()],
        output: vec!["user.age".to_owned()],
        ..NamedQuery::default()
    };
    Export {
        graph: Some(Graph {
            feature_sets: vec![user],
            resolvers: vec![resolver("ages.get_age")],
            named_queries: vec![query],
            ..Graph::default()
        }),
        config: Some(ProjectSettings { project: "small".to_owned(), ..ProjectSettings::default() }),
        chalkpy: Some(ChalkpyInfo { version: "2.166.1".to_owned(), python: None }),
        ..Export::default()
    }
}

pub(super) fn scalar(name: &str, is_primary: bool) -> FeatureType {
    FeatureType {
        kind: Some(feature_type::Kind::Scalar(ScalarFeatureType {
            name: name.to_owned(),
            namespace: "user".to_owned(),
            attribute_name: name.to_owned(),
            is_primary,
            ..ScalarFeatureType::default()
        })),
    }
}

/// An online resolver that makes `user.age` from `user.id` every night.
pub(super) fn resolver(name: &str) -> Resolver {
    let (module, function) = name.rsplit_once('.').expect("a module and a function");
    Resolver {
        fqn: name.to_owned(),
        kind: ResolverKind::Online.into(),
        inputs: vec![input("id")],
        outputs: vec![ResolverOutput { annotation: Some(resolver_output::Annotation::Feature(reference("age"))) }],
        schedule: Some(Schedule { when: Some(schedule::When::Crontab("0 2 * * *".to_owned())), ..Schedule::default() }),
        function: Some(FunctionReference {
            name: function.to_owned(),
            module: module.to_owned(),
            file_name: format!("{module}.py"),
            function_definition: "def get_age(id): ...".to_owned(),
            source_line: Some(7),
            captured_globals: Vec::new(),
        }),
        ..Resolver::default()
    }
}

pub(super) fn input(name: &str) -> ResolverInput {
    ResolverInput {
        annotation: Some(resolver_input::Annotation::Feature(FeatureInput {
            feature: Some(reference(name)),
            default_value: None,
        })),
    }
}

pub(super) fn reference(name: &str) -> FeatureReference {
    FeatureReference { name: name.to_owned(), namespace: "user".to_owned(), ..FeatureReference::default() }
}
