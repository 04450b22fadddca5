//! Decoding and validating the export of a large project: 100,000 features in 1,000 classes, 30,000 of them with
//! expressions, 40,000 made by 20,000 resolvers, joins between the classes, 500 named queries. As in an export that
//! chalkpy just wrote, files are absolute paths and every node of an expression has a random id, so that a decode has to
//! make all of them portable. The goal is 1 s and 1 GiB; the peer is prost's decode of the same bytes, without anything
//! done with them.
//!
//! It is measured in turns in one process, and prints the fastest of five turns, by the clock and in time that this thread
//! had a processor (`schedstat` of Linux), and the most memory that the process ever held (`VmHWM`), the generated messages
//! included. On a machine that others use too, the clock says more about them than about the code.
//!
//! `cargo bench -p chalk-deploy-benches --bench graph_checks`

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it measured"
)]

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chalk_deploy_core::graph::proto::{
    ChalkpyInfo, Export, FeatureInput, FeatureReference, FeatureSet, FeatureType, FunctionReference, Graph,
    HasManyFeatureType, NamedQuery, Resolver, ResolverInput, ResolverKind, ResolverOutput, ScalarFeatureType,
    SourceFileReference, feature_type, resolver_input, resolver_output,
};
use chalk_deploy_core::graph::{FeatureGraph, Severity, validate};
use prost::Message as _;

const CLASSES: usize = 1_000;
const FEATURES: usize = 100;
const TURNS: usize = 5;

fn main() {
    let bytes: Bytes = export().encode_to_vec().into();
    println!("the export: {} features, {:.1} MiB", CLASSES * FEATURES, mebibytes(bytes.len()));
    let (mut decode, mut check, mut peer) = (Fastest::new(), Fastest::new(), Fastest::new());
    let mut found = 0;
    for _ in 0..TURNS {
        peer.of(|| drop(Export::decode(bytes.clone()).expect("an export")));
        let mut graph = None;
        decode.of(|| graph = FeatureGraph::decode(bytes.clone(), None).ok());
        let graph = graph.expect("an export");
        check.of(|| {
            let findings = validate(&graph);
            assert!(findings.iter().all(|finding| finding.severity != Severity::Error), "{:?}", findings.first());
            found = findings.len();
        });
    }
    println!("decode: {decode}");
    println!("validate: {check}; {found} findings");
    println!("prost's decode alone: {peer}");
    if let Some(kibibytes) = most_memory() {
        println!("most memory of the process: {:.0} MiB", mebibytes(kibibytes * 1024));
    }
}

/// The fastest of several turns.
struct Fastest {
    clock: Duration,
    processor: Option<Duration>,
}

impl Fastest {
    fn new() -> Self {
        Self { clock: Duration::MAX, processor: None }
    }

    fn of(&mut self, run: impl FnOnce()) {
        let (began, had) = (Instant::now(), on_processor());
        run();
        self.clock = self.clock.min(began.elapsed());
        if let Some(took) = on_processor().zip(had).and_then(|(has, had)| has.checked_sub(had)) {
            self.processor = Some(self.processor.map_or(took, |fastest| fastest.min(took)));
        }
    }
}

impl fmt::Display for Fastest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ms", self.clock.as_millis())?;
        match self.processor {
            Some(processor) => write!(formatter, " ({} ms on a processor)", processor.as_millis()),
            None => Ok(()),
        }
    }
}

/// How long this thread had a processor.
fn on_processor() -> Option<Duration> {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    status.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / 1_048_576.0
}

fn most_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").trim().parse().ok()
}

fn field(to: &mut Vec<u8>, number: u32, content: &[u8]) {
    prost::encoding::bytes::encode(number, &content.to_vec(), to);
}

fn wrapped(fields: &[(u32, &[u8])]) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, content) in fields {
        field(&mut message, *number, content);
    }
    message
}

/// `_.left + _.right`, with an id at every node.
fn sum(left: &str, right: &str) -> Vec<u8> {
    let node = |number: u32, content: &[u8]| wrapped(&[(number, content), (40, identity().as_bytes())]);
    let own = |name: &str| {
        let identifier = node(35, &wrapped(&[(1, b"_")]));
        node(36, &wrapped(&[(1, &identifier), (2, &wrapped(&[(1, name.as_bytes())]))]))
    };
    let plus = node(35, &wrapped(&[(1, b"+")]));
    node(38, &wrapped(&[(1, &plus), (2, &own(left)), (2, &own(right))]))
}

/// A UUID of version 4 in form: a number that was not there before, through the multiplication of splitmix64.
fn identity() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mixed = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (high, low) = (mixed >> 32, mixed & 0xffff_ffff);
    format!("{high:08x}-{:04x}-4{:03x}-a{:03x}-{low:08x}{:04x}", low >> 16, high & 0xfff, low & 0xfff, high & 0xffff)
}

fn column(class: &str, name: &str) -> Vec<u8> {
    wrapped(&[(1, &wrapped(&[(1, name.as_bytes()), (2, &wrapped(&[(1, class.as_bytes())]))]))])
}

fn class_name(class: usize) -> String {
    format!("class_{class}")
}

fn feature_name(feature: usize) -> String {
    if feature == 0 { "id".to_owned() } else { format!("feature_{feature}") }
}

fn reference(class: usize, feature: usize) -> FeatureReference {
    FeatureReference { name: feature_name(feature), namespace: class_name(class), ..FeatureReference::default() }
}

fn export() -> Export {
    let mut graph = Graph::default();
    for class in 0..CLASSES {
        graph.feature_sets.push(feature_class(class));
        for resolver in 0..20 {
            graph.resolvers.push(resolver_of(class, resolver));
        }
    }
    for query in 0..500 {
        graph.named_queries.push(NamedQuery {
            name: format!("query_{query}"),
            query_version: Some("1.0.0".to_owned()),
            input: vec![format!("{}.id", class_name(query))],
            output: (50..60).map(|feature| format!("{}.{}", class_name(query), feature_name(feature))).collect(),
            file_name: "/home/ada/shop/queries.py".to_owned(),
            ..NamedQuery::default()
        });
    }
    Export {
        graph: Some(graph),
        chalkpy: Some(ChalkpyInfo { version: "2.166.1".to_owned(), python: None }),
        ..Export::default()
    }
}

fn feature_class(class: usize) -> FeatureSet {
    let name = class_name(class);
    // The key; 40 from resolvers; 30 from expressions over them; a has-many to the next class; the rest with defaults.
    let features = (0..FEATURES).map(|feature| {
        if feature == FEATURES - 1 && class + 1 < CLASSES {
            let next = class_name(class + 1);
            let compared =
                wrapped(&[(1, &column(&next, &feature_name(FEATURES - 2))), (1, &column(&name, "id")), (3, b"==")]);
            return FeatureType {
                kind: Some(feature_type::Kind::HasMany(HasManyFeatureType {
                    name: feature_name(feature),
                    namespace: name.clone(),
                    attribute_name: feature_name(feature),
                    foreign_namespace: next,
                    join: Some(wrapped(&[(4, &compared)]).into()),
                    ..HasManyFeatureType::default()
                })),
            };
        }
        let expression = (41..=70).contains(&feature).then(|| {
            sum(&feature_name(feature - 40), &feature_name(if feature == 41 { 1 } else { feature - 1 })).into()
        });
        FeatureType {
            kind: Some(feature_type::Kind::Scalar(ScalarFeatureType {
                name: feature_name(feature),
                namespace: name.clone(),
                attribute_name: feature_name(feature),
                unversioned_attribute_name: feature_name(feature),
                is_primary: feature == 0,
                // int64
                arrow_type: Some(Bytes::from_static(&[0x22, 0])),
                rich_type_info: Some(wrapped(&[(5, b"<class 'int'>")]).into()),
                default_value: (feature > 70).then(|| Bytes::from_static(&[0x20, 7])),
                description: Some("What it is, in some words of a person.".to_owned()),
                owner: Some("team@example.com".to_owned()),
                tags: vec!["team:one".to_owned()],
                store_online: Some(true),
                store_offline: Some(true),
                expression,
                ..ScalarFeatureType::default()
            })),
        }
    });
    let attributes: Vec<String> =
        (0..FEATURES).map(|feature| format!("    {}: int\n", feature_name(feature))).collect();
    FeatureSet {
        features: features.collect(),
        source_file_reference: Some(SourceFileReference {
            code: Some(format!("@features\nclass Class{class}:\n{}", attributes.concat())),
            file_name: format!("/home/ada/shop/features/{name}.py"),
            ..SourceFileReference::default()
        }),
        name,
        ..FeatureSet::default()
    }
}

/// Two features, of the key and of what the resolver before it made.
fn resolver_of(class: usize, resolver: usize) -> Resolver {
    let made = [1 + 2 * resolver, 2 + 2 * resolver];
    let needed: Vec<usize> = if resolver == 0 { vec![0] } else { vec![0, 2 * resolver] };
    let input = |feature| ResolverInput {
        annotation: Some(resolver_input::Annotation::Feature(FeatureInput {
            feature: Some(reference(class, feature)),
            default_value: None,
        })),
    };
    let output =
        |feature| ResolverOutput { annotation: Some(resolver_output::Annotation::Feature(reference(class, feature))) };
    let name = format!("get_{class}_{resolver}");
    Resolver {
        fqn: format!("resolvers.{name}"),
        kind: ResolverKind::Online.into(),
        inputs: needed.into_iter().map(input).collect(),
        outputs: made.map(output).to_vec(),
        function: Some(FunctionReference {
            function_definition: format!(
                "def {name}(id, before):\n    \"\"\"Some words.\"\"\"\n    return before + 1, before + 2\n"
            ),
            name,
            module: format!("resolvers.class_{class}"),
            file_name: format!("/home/ada/shop/resolvers/class_{class}.py"),
            source_line: Some(7),
            captured_globals: Vec::new(),
        }),
        ..Resolver::default()
    }
}
