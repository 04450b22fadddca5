//! Who reads and who makes a feature.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::FeatureGraph;
use super::super::entry::{ResolverEntry, ResolverForm};
use super::super::proto::feature_type::Kind;
use super::super::proto::resolver_input::Annotation as Input;
use super::super::proto::resolver_output::Annotation as Output;
use super::super::proto::{DataFrameType, FeatureReference};

/// What the named and scheduled queries of a graph read.
pub(super) struct Queries<'g> {
    /// For each feature that a query names, or passes on its way to one, the queries: `named query ages@1.0.0`.
    readers: HashMap<String, Vec<String>>,
    /// For each feature that a query needs, itself or through the inputs of resolvers, the first of these queries.
    needed: HashMap<String, String>,
    pub(super) resolvers: HashMap<&'g str, ResolverEntry<'g>>,
}

impl<'g> Queries<'g> {
    pub(super) fn of(graph: &'g FeatureGraph) -> Self {
        let joins = Joins::of(graph);
        let mut readers: HashMap<String, Vec<String>> = HashMap::new();
        let mut order: Vec<(String, String)> = Vec::new();
        let mut read = |query: &str, names: &mut dyn Iterator<Item = &String>| {
            let features: BTreeSet<String> = names.flat_map(|name| joins.along(name)).collect();
            for feature in features {
                order.push((feature.clone(), query.to_owned()));
                readers.entry(feature).or_default().push(query.to_owned());
            }
        };
        for query in graph.named_queries() {
            let said = query.definition();
            let mut names = said.input.iter().chain(&said.output).chain(&said.additional_logged_features);
            read(&format!("named query {}", query.full_name()), &mut names);
        }
        for cron in &graph.export().crons {
            read(&format!("scheduled query {}", cron.name), &mut cron.output.iter());
        }
        for queries in readers.values_mut() {
            queries.sort_unstable();
            queries.dedup();
        }
        let resolvers = graph.resolvers().map(|resolver| (resolver.full_name(), resolver)).collect();
        Self { readers, needed: needed(graph, order), resolvers }
    }

    /// The queries that read a feature.
    pub(super) fn readers(&self, feature: &str) -> &[String] {
        self.readers.get(feature).map(Vec::as_slice).unwrap_or_default()
    }

    /// A query that needs a feature, itself or through resolvers.
    pub(super) fn needs(&self, feature: &str) -> Option<&str> {
        self.needed.get(feature).map(String::as_str)
    }

    /// The first feature of a set that a query reads, with the queries.
    pub(super) fn reads_of_set(&self, set: &str) -> Option<&[String]> {
        let of_set = |name: &str| name.strip_prefix(set).is_some_and(|rest| rest.starts_with('.'));
        let found = self.readers.iter().filter(|(feature, _)| of_set(feature)).min_by_key(|(feature, _)| *feature);
        found.map(|(_, queries)| queries.as_slice())
    }
}

fn needed(graph: &FeatureGraph, mut order: Vec<(String, String)>) -> HashMap<String, String> {
    order.sort_unstable();
    let mut makers: HashMap<String, Vec<ResolverEntry<'_>>> = HashMap::new();
    for resolver in graph.resolvers() {
        for feature in outputs(&resolver) {
            makers.entry(feature).or_default().push(resolver);
        }
    }
    let mut needed: HashMap<String, String> = HashMap::new();
    // A resolver's inputs are needed once, however many of its outputs are.
    let mut passed: HashSet<&str> = HashSet::new();
    let mut next = 0;
    while let Some((feature, query)) = order.get(next).cloned() {
        next += 1;
        if needed.contains_key(&feature) {
            continue;
        }
        for resolver in makers.get(&feature).into_iter().flatten() {
            if passed.insert(resolver.full_name()) {
                order.extend(inputs(resolver).into_iter().map(|input| (input, query.clone())));
            }
        }
        needed.insert(feature, query);
    }
    needed
}

/// What makes the features of a graph.
pub(super) struct Makers {
    /// Whether something makes it when a query asks.
    made: HashMap<String, bool>,
}

impl Makers {
    pub(super) fn of(graph: &FeatureGraph) -> Self {
        let mut made: HashMap<String, bool> = HashMap::new();
        for resolver in graph.resolvers() {
            let online = !matches!(resolver.form(), ResolverForm::Offline | ResolverForm::Sink);
            for feature in outputs(&resolver) {
                *made.entry(feature).or_insert(false) |= online;
            }
        }
        for feature in graph.features() {
            let by_itself = match feature.definition() {
                Kind::Scalar(scalar) => {
                    scalar.expression.is_some() || scalar.window_info.is_some() || scalar.last_for.is_some()
                }
                Kind::GroupBy(_) | Kind::Windowed(_) => true,
                _ => false,
            };
            if by_itself {
                made.insert(feature.full_name(), true);
            }
        }
        Self { made }
    }

    pub(super) fn makes(&self, feature: &str) -> bool {
        self.made.contains_key(feature)
    }

    pub(super) fn makes_online(&self, feature: &str) -> bool {
        self.made.get(feature).copied().unwrap_or(false)
    }
}

/// Where the joins of a graph lead.
struct Joins<'g>(HashMap<String, &'g str>);

impl<'g> Joins<'g> {
    fn of(graph: &'g FeatureGraph) -> Self {
        let joins = graph.features().filter_map(|feature| {
            let leads_to = match feature.definition() {
                Kind::HasOne(join) => join.foreign_namespace.as_str(),
                Kind::HasMany(join) => join.foreign_namespace.as_str(),
                _ => return None,
            };
            Some((feature.full_name(), leads_to))
        });
        Self(joins.collect())
    }

    /// The features that a name such as `user.account.balance` passes.
    fn along(&self, name: &str) -> Vec<String> {
        let mut parts = name.split('.');
        let mut set = parts.next().unwrap_or_default();
        let mut passed = Vec::new();
        for part in parts {
            let feature = format!("{set}.{part}");
            let leads_to = self.0.get(&feature).copied();
            passed.push(feature);
            match leads_to {
                Some(other) => set = other,
                None => break,
            }
        }
        passed
    }
}

/// The features that a resolver takes, and the joins on the way to them.
pub(super) fn inputs(resolver: &ResolverEntry<'_>) -> Vec<String> {
    let inputs = match resolver {
        ResolverEntry::Batch(resolver) => &resolver.inputs,
        ResolverEntry::Sink(resolver) => &resolver.inputs,
        ResolverEntry::Stream(_) => return Vec::new(),
    };
    let mut references = Vec::new();
    for input in inputs {
        match &input.annotation {
            Some(Input::Feature(input)) => references.extend(&input.feature),
            Some(Input::DataFrame(rows)) => references.extend(columns(rows)),
            _ => {}
        }
    }
    names(references)
}

/// The features that a resolver makes.
pub(super) fn outputs(resolver: &ResolverEntry<'_>) -> Vec<String> {
    let outputs = match resolver {
        ResolverEntry::Batch(resolver) => &resolver.outputs,
        ResolverEntry::Stream(resolver) => &resolver.outputs,
        ResolverEntry::Sink(_) => return Vec::new(),
    };
    let mut references = Vec::new();
    for output in outputs {
        match &output.annotation {
            Some(Output::Feature(feature)) => references.push(feature),
            Some(Output::DataFrame(rows)) => references.extend(columns(rows)),
            None => {}
        }
    }
    names(references)
}

fn columns(rows: &DataFrameType) -> impl Iterator<Item = &FeatureReference> {
    rows.required_columns.iter().chain(&rows.optional_columns)
}

fn names(mut references: Vec<&FeatureReference>) -> Vec<String> {
    let mut names = BTreeSet::new();
    while let Some(reference) = references.pop() {
        names.insert(format!("{}.{}", reference.namespace, reference.name));
        references.extend(&reference.path);
        references.extend(reference.df.iter().flat_map(columns));
    }
    names.into_iter().collect()
}
