//! Exports for tests: real ones, and a small one that tests change.

use bytes::Bytes;
use prost::Message as _;

use super::FeatureGraph;
use super::proto::{
    ChalkpyInfo, Export, FeatureInput, FeatureReference, FeatureSet, FeatureType, FunctionReference, Graph, NamedQuery,
    ProjectSettings, Resolver, ResolverInput, ResolverKind, ResolverOutput, ScalarFeatureType, Schedule, feature_type,
    resolver_input, resolver_output, schedule,
};
use super::wire::put_bytes;

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

/// `LogicalExprNode` with a field.
fn node(number: u32, inner: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(inner.len() + 8);
    put_bytes(&mut bytes, number, inner);
    bytes
}

/// A message with fields of bytes.
fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, content) in fields {
        put_bytes(&mut bytes, *number, content);
    }
    bytes
}

/// The expression of a feature in a join.
pub(super) fn column(namespace: &str, name: &str) -> Vec<u8> {
    node(1, &message(&[(1, name.as_bytes()), (2, &message(&[(1, namespace.as_bytes())]))]))
}

/// The expression `left == right` of a join.
pub(super) fn equal(left: &[u8], right: &[u8]) -> Vec<u8> {
    node(4, &message(&[(1, left), (1, right), (3, b"==")]))
}

/// The expression of a name.
pub(super) fn identifier(name: &str) -> Vec<u8> {
    node(35, &message(&[(1, name.as_bytes())]))
}

/// The expression `parent.name`.
pub(super) fn attribute(parent: &[u8], name: &str) -> Vec<u8> {
    node(36, &message(&[(1, parent), (2, &message(&[(1, name.as_bytes())]))]))
}

/// The expression `function(arguments)`.
pub(super) fn call(function: &[u8], arguments: &[&[u8]]) -> Vec<u8> {
    let mut inner = message(&[(1, function)]);
    for argument in arguments {
        put_bytes(&mut inner, 2, argument);
    }
    node(38, &inner)
}

/// The expression `parent[keys]`.
pub(super) fn subscript(parent: &[u8], keys: &[&[u8]]) -> Vec<u8> {
    let mut inner = message(&[(1, parent)]);
    for key in keys {
        put_bytes(&mut inner, 2, key);
    }
    node(37, &inner)
}

/// The expression `_.name`.
pub(super) fn own(name: &str) -> Vec<u8> {
    attribute(&identifier("_"), name)
}
