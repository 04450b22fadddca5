//! The feature graph.
//!
//! - Dependencies: building the graph, its topological order and its cycles, for a million nodes and four million
//!   edges, beside petgraph: building a `DiGraph`, `toposort`, and `tarjan_scc` where there are cycles. Goal: 0.2 of
//!   petgraph's time.
//! - The diff of two graphs of 100,000 features. Goal: well under a second. Peer: decoding one of them.
//!
//! `cargo bench -p chalk-deploy-benches --bench graph`

use std::hint::black_box;

use bytes::Bytes;
use chalk_deploy_core::graph::dependencies::Dependencies;
use chalk_deploy_core::graph::proto::feature_type::Kind;
use chalk_deploy_core::graph::proto::{
    ChalkpyInfo, Export, FeatureInput, FeatureReference, FeatureSet, FeatureType, Graph, NamedQuery, Resolver,
    ResolverInput, ResolverOutput, ScalarFeatureType, resolver_input, resolver_output,
};
use chalk_deploy_core::graph::{FeatureGraph, diff};
use criterion::{Criterion, criterion_group, criterion_main};
use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use prost::Message as _;

const NODES: u32 = 1_000_000;
const EDGES: usize = 4_000_000;
/// So many rings of three nodes are in the graph with cycles.
const RINGS: u32 = 10;

/// Numbers without a pattern, the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(most)).unwrap_or(0)
    }
}

/// Edges between nodes anywhere, each leading to a node that comes later in a hidden order.
fn acyclic() -> Vec<(u32, u32)> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut hidden: Vec<u32> = (0..NODES).collect();
    for place in (1..NODES).rev() {
        hidden.swap(place as usize, numbers.below(place + 1) as usize);
    }
    let edges = std::iter::repeat_with(|| {
        let to = 1 + numbers.below(NODES - 1);
        let from = numbers.below(to);
        (hidden[from as usize], hidden[to as usize])
    });
    edges.take(EDGES).collect()
}

fn with_rings() -> Vec<(u32, u32)> {
    let mut edges = acyclic();
    let rings = (0..RINGS).flat_map(|ring| {
        let first = ring * (NODES / RINGS);
        [(first, first + 1), (first + 1, first + 2), (first + 2, first)]
    });
    edges.extend(rings);
    edges
}

/// The order, and the cycles.
fn ours(edges: &[(u32, u32)]) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut builder = Dependencies::builder(NODES as usize);
    builder.reserve(edges.len());
    for (from, to) in edges {
        builder.edge(*from, *to);
    }
    let graph = builder.build();
    let order = graph.topological_order();
    let cycles = graph.cycles(&order);
    (order.order, cycles)
}

fn theirs(edges: &[(u32, u32)]) -> (Vec<NodeIndex>, Vec<Vec<NodeIndex>>) {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(NODES as usize, edges.len());
    for _ in 0..NODES {
        graph.add_node(());
    }
    for (from, to) in edges {
        graph.add_edge(NodeIndex::new(*from as usize), NodeIndex::new(*to as usize), ());
    }
    if let Ok(order) = toposort(&graph, None) {
        return (order, Vec::new());
    }
    let mut components = tarjan_scc(&graph);
    components.retain(|component| component.len() > 1);
    (Vec::new(), components)
}

fn dependencies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dependencies, 10^6 nodes and 4*10^6 edges");
    group.sample_size(10);
    for (name, edges) in [("acyclic", acyclic()), ("with cycles", with_rings())] {
        let ((order, mut cycles), (their_order, their_cycles)) = (ours(&edges), theirs(&edges));
        assert_eq!(their_order.is_empty(), !cycles.is_empty(), "one of the two saw no cycle");
        assert!(!cycles.is_empty() || order.len() == their_order.len());
        let mut named: Vec<Vec<u32>> = their_cycles
            .iter()
            .map(|cycle| cycle.iter().filter_map(|node| u32::try_from(node.index()).ok()).collect())
            .collect();
        for cycle in cycles.iter_mut().chain(&mut named) {
            cycle.sort_unstable();
        }
        named.sort_unstable();
        assert_eq!(cycles, named, "the two found different cycles");
        group.bench_function(format!("{name}: this library"), |bencher| bencher.iter(|| ours(black_box(&edges))));
        group.bench_function(format!("{name}: peer petgraph"), |bencher| bencher.iter(|| theirs(black_box(&edges))));
    }
    group.finish();
}

const SETS: usize = 1000;
const FEATURES_OF_A_SET: usize = 100;

fn reference(set: &str, name: &str) -> FeatureReference {
    FeatureReference { name: name.to_owned(), namespace: set.to_owned(), ..FeatureReference::default() }
}

/// Every tenth feature has a resolver, every hundredth a named query. What `edition` says stands in one feature of each
/// set.
fn export(edition: &str) -> Bytes {
    let mut graph = Graph::default();
    for set in 0..SETS {
        let set_name = format!("set_{set}");
        let mut features = Vec::new();
        for number in 0..FEATURES_OF_A_SET {
            let name = format!("feature_{number}");
            features.push(FeatureType {
                kind: Some(Kind::Scalar(ScalarFeatureType {
                    name: name.clone(),
                    namespace: set_name.clone(),
                    attribute_name: name.clone(),
                    unversioned_attribute_name: name.clone(),
                    is_primary: number == 0,
                    // `ArrowType.int64`.
                    arrow_type: Some(Bytes::from_static(&[0x22, 0])),
                    owner: Some("team@example.com".to_owned()),
                    description: Some(if number == 7 { edition.to_owned() } else { "Described.".to_owned() }),
                    ..ScalarFeatureType::default()
                })),
            });
            if number % 10 == 1 {
                let input = FeatureInput { feature: Some(reference(&set_name, "feature_0")), default_value: None };
                graph.resolvers.push(Resolver {
                    fqn: format!("module_{set}.get_{number}"),
                    kind: 1,
                    inputs: vec![ResolverInput { annotation: Some(resolver_input::Annotation::Feature(input)) }],
                    outputs: vec![ResolverOutput {
                        annotation: Some(resolver_output::Annotation::Feature(reference(&set_name, &name))),
                    }],
                    ..Resolver::default()
                });
            }
        }
        graph.named_queries.push(NamedQuery {
            name: format!("query_{set}"),
            input: vec![format!("{set_name}.feature_0")],
            output: vec![format!("{set_name}.feature_1")],
            ..NamedQuery::default()
        });
        graph.feature_sets.push(FeatureSet { name: set_name, features, ..FeatureSet::default() });
    }
    let chalkpy = ChalkpyInfo { version: "2.166.1".to_owned(), python: None };
    Export { graph: Some(graph), chalkpy: Some(chalkpy), ..Export::default() }.encode_to_vec().into()
}

fn differences(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("two graphs of 100,000 features");
    group.sample_size(10);
    let (before, after) = (export("before"), export("after"));
    group.bench_function("peer: decoding one", |bencher| {
        bencher.iter(|| FeatureGraph::decode(black_box(before.clone()), None).expect("an export"));
    });
    let graph = |bytes: &Bytes| FeatureGraph::decode(bytes.clone(), None).expect("an export");
    let (before, after) = (graph(&before), graph(&after));
    assert_eq!(diff(Some(&before), &after).changes.len(), SETS);
    group.bench_function("diff, one feature in a hundred changed", |bencher| {
        bencher.iter(|| diff(Some(black_box(&before)), black_box(&after)));
    });
    group.bench_function("diff, everything added", |bencher| bencher.iter(|| diff(None, black_box(&after))));
    group.finish();
}

criterion_group!(benches, dependencies, differences);
criterion_main!(benches);
