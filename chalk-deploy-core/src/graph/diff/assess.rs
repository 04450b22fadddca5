//! What a change can break.
//!
//! Risky is:
//!
//! - a feature that is gone or renamed while a named or scheduled query of the deployed graph reads it, or a resolver
//!   of the new graph does; a changed kind, type, nullability, join, primary key, version of stored values or default
//!   version; one that is no longer kept online while a query needs it and nothing makes it when a query asks;
//! - a feature set that becomes a singleton or no longer is one, that gets another primary feature or online store, or
//!   that is gone or renamed while a query reads its features;
//! - a resolver without which nothing makes a feature that a query needs, itself or through the inputs of resolvers, or
//!   nothing makes it when a query asks; one that lost its schedule, or runs in fewer environments; a stream resolver
//!   that reads another stream; a sink that is gone;
//! - a named query that is gone or renamed, takes more or gives less; a scheduled query or a backfill that is gone, or a
//!   scheduled query that gives less;
//! - a source that is gone or renamed while a resolver reads it, or that leads elsewhere.
//!
//! Everything else is safe. So is another maximal staleness: values become fresher or cheaper, and none becomes wrong
//! or unavailable. So is another function or expression: that values change is why it is deployed. What needs a feature
//! through expressions alone is not followed; validation says what can no longer be produced.

use std::collections::{HashMap, HashSet};

use super::super::diagnostic::shown_name;
use super::super::entry::ResolverEntry;
use super::definition::Item;
use super::readers::{Makers, Queries, inputs, outputs};
use super::{Change, Entity, FeatureGraph, Found};

/// So many names stand in a reason.
const MOST_NAMED: usize = 3;

/// Says of every change what it can break. The changes stand in the order of what was found.
pub(super) fn assess(found: &[Found<'_>], changes: &mut [Change], before: &FeatureGraph, after: &FeatureGraph) {
    if found.is_empty() {
        return;
    }
    let gone = found.iter().filter_map(|found| match found {
        Found::Removed(item) | Found::Renamed { before: item, .. } => Some((item.entity, item.name.as_str())),
        _ => None,
    });
    let gone: HashSet<(Entity, &str)> = gone.collect();
    let assessment = Assessment {
        queries: Queries::of(before),
        makers: Makers::of(after),
        resolvers: after.resolvers().map(|resolver| (resolver.full_name(), resolver)).collect(),
        features: after.features().map(|feature| feature.full_name()).collect(),
        kept_sets: kept_sets(before, after),
        resolvers_reading: resolvers_reading(&gone, after),
    };
    for (found, change) in found.iter().zip(changes) {
        match found {
            Found::Added(item) => assessment.added(item, change),
            Found::Removed(item) => assessment.gone(item, change),
            Found::Renamed { before, .. } => assessment.renamed(before, change),
            Found::Modified { before: (old, _), after: (new, _) } => assessment.modified(old, new, change),
        }
    }
}

struct Assessment<'g> {
    queries: Queries<'g>,
    /// In the new graph.
    makers: Makers,
    resolvers: HashMap<&'g str, ResolverEntry<'g>>,
    features: HashSet<String>,
    /// Sets of both graphs.
    kept_sets: HashSet<&'g str>,
    /// For what is gone, the resolvers of the new graph that read it.
    resolvers_reading: HashMap<(Entity, String), Vec<String>>,
}

impl Assessment<'_> {
    fn added(&self, item: &Item<'_>, change: &mut Change) {
        if item.is_primary() && self.kept_sets.contains(item.namespace()) {
            change.risk(format!("the primary key of {} changes", shown_name(item.namespace())));
        }
    }

    fn renamed(&self, before: &Item<'_>, change: &mut Change) {
        match before.entity {
            Entity::Feature | Entity::FeatureSet | Entity::Source | Entity::StreamSource | Entity::SourceGroup => {
                self.gone(before, change);
            }
            Entity::NamedQuery => change.risk("clients that call it by its former name fail".to_owned()),
            _ => {}
        }
    }

    fn gone(&self, item: &Item<'_>, change: &mut Change) {
        match item.entity {
            Entity::Feature => {
                read_by_queries(self.queries.readers(&item.name), "it", change);
                self.read_by_resolvers(item, change);
                if item.is_primary() && self.kept_sets.contains(item.namespace()) {
                    change.risk(format!("the primary key of {} changes", shown_name(item.namespace())));
                }
            }
            Entity::FeatureSet => {
                let queries = self.queries.reads_of_set(&item.name).unwrap_or_default();
                read_by_queries(queries, "its features", change);
            }
            Entity::Source | Entity::StreamSource | Entity::SourceGroup => self.read_by_resolvers(item, change),
            Entity::Resolver | Entity::StreamResolver => self.lost_outputs(item, change),
            Entity::SinkResolver => change.risk("what it wrote to gets nothing more".to_owned()),
            Entity::NamedQuery => change.risk("clients that call it fail".to_owned()),
            Entity::ScheduledQuery => change.risk("what it computed is no longer refreshed".to_owned()),
            Entity::AggregateBackfill => change.risk("the aggregations that it filled are no longer filled".to_owned()),
            _ => {}
        }
    }

    fn modified(&self, old: &Item<'_>, new: &Item<'_>, change: &mut Change) {
        let fields: Vec<String> = change.fields.iter().map(|field| field.field.clone()).collect();
        for field in &fields {
            match new.entity {
                Entity::Feature => self.modified_feature(new, field, change),
                Entity::FeatureSet => match field.as_str() {
                    "is_singleton" => change.risk("whether its rows have a key changes".to_owned()),
                    "online_store_config" => {
                        change.risk("values that are stored online stay in the former store".to_owned());
                    }
                    _ => {}
                },
                Entity::StreamResolver if field == "source" => change.risk("it reads another stream".to_owned()),
                Entity::NamedQuery if matches!(field.as_str(), "input" | "output") => modified_query(old, new, change),
                Entity::ScheduledQuery if field == "output" => {
                    if let Some(names) = named(&only_in(old, new, 4)) {
                        change.risk(format!("{names} no longer refreshed by it"));
                    }
                }
                Entity::Source | Entity::StreamSource | Entity::SourceGroup => match field.as_str() {
                    "source_type" | "options" | "default_source" | "tagged_sources" => {
                        change.risk("what reads from it is led elsewhere".to_owned());
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        if matches!(new.entity, Entity::Resolver | Entity::StreamResolver | Entity::SinkResolver) {
            self.modified_resolver(new, &fields, change);
        }
    }

    fn modified_feature(&self, item: &Item<'_>, field: &str, change: &mut Change) {
        let reason = match field {
            "kind" => "its kind changes, and stored values are of the former one",
            "type" => "its type changes, and stored values and clients have the former one",
            "is_nullable" => "whether it may be absent changes, for stored values and clients",
            "join" | "foreign_namespace" => "its join changes, and it leads to other rows",
            "internal_version" => "stored values become obsolete",
            "version" => "whoever names no version may get another one",
            "is_primary" => {
                return change.risk(format!("the primary key of {} changes", shown_name(item.namespace())));
            }
            "etl_offline_to_online" | "store_online" => {
                let needed = self.queries.needs(&item.name).filter(|_| !self.makers.makes_online(&item.name));
                if let Some(query) = needed {
                    let query = shown_name(query);
                    change.risk(format!("what is kept online of it changes, and {query} needs it from there"));
                }
                return;
            }
            _ => return,
        };
        change.risk(reason.to_owned());
    }

    fn modified_resolver(&self, item: &Item<'_>, fields: &[String], change: &mut Change) {
        if fields.iter().any(|field| matches!(field.as_str(), "outputs" | "kind")) {
            self.lost_outputs(item, change);
        }
        let name = item.name.as_str();
        let (Some(old), Some(new)) = (self.queries.resolvers.get(name), self.resolvers.get(name)) else { return };
        if old.is_scheduled() && !new.is_scheduled() {
            change.risk("it no longer runs by itself".to_owned());
        }
        let (old, new) = (environments(old), environments(new));
        let is_narrower = if old.is_empty() { !new.is_empty() } else { old.iter().any(|name| !new.contains(name)) };
        if is_narrower && !new.is_empty() {
            change.risk("it runs in fewer environments".to_owned());
        }
    }

    /// Features that queries need and that nothing makes without the resolver as it was.
    fn lost_outputs(&self, item: &Item<'_>, change: &mut Change) {
        let Some(resolver) = self.queries.resolvers.get(item.name.as_str()) else { return };
        let was_online = !matches!(resolver.form(), super::super::ResolverForm::Offline);
        let mut reasons = Vec::new();
        for feature in outputs(resolver) {
            let Some(query) = self.queries.needs(&feature).filter(|_| self.features.contains(&feature)) else {
                continue;
            };
            let when = if !self.makers.makes(&feature) {
                ""
            } else if was_online && !self.makers.makes_online(&feature) {
                " when a query asks"
            } else {
                continue;
            };
            let (feature, query) = (shown_name(&feature), shown_name(query));
            reasons.push(format!("nothing else makes {feature}{when}, which {query} needs"));
        }
        let more = reasons.len().saturating_sub(MOST_NAMED);
        reasons.truncate(MOST_NAMED);
        for reason in reasons {
            change.risk(reason);
        }
        if more > 0 {
            change.risk(format!("nor {more} further features that queries need"));
        }
    }

    fn read_by_resolvers(&self, item: &Item<'_>, change: &mut Change) {
        let readers = self.resolvers_reading.get(&(item.entity, item.name.clone())).map(Vec::as_slice);
        if let Some(names) = named(readers.unwrap_or_default()) {
            change.risk(format!("still read by resolver {names}"));
        }
    }
}

fn read_by_queries(queries: &[String], what: &str, change: &mut Change) {
    if let Some(names) = named(queries) {
        let read = if queries.len() == 1 { "reads" } else { "read" };
        change.risk(format!("{names} of the deployed graph {read} {what}"));
    }
}

fn modified_query(old: &Item<'_>, new: &Item<'_>, change: &mut Change) {
    if let Some(names) = named(&only_in(old, new, 4)) {
        change.risk(format!("clients no longer get {names}"));
    }
    if let Some(names) = named(&only_in(new, old, 3)) {
        change.risk(format!("clients must give {names}"));
    }
}

/// The texts of a repeated field that only the first of the two has.
fn only_in(one: &Item<'_>, other: &Item<'_>, number: u32) -> Vec<String> {
    let of_other: HashSet<&str> = other.texts(number).collect();
    one.texts(number).filter(|text| !of_other.contains(text)).map(str::to_owned).collect()
}

/// `a`, `a and b`, `a, b, c and 4 more`; nothing for none.
fn named(names: &[String]) -> Option<String> {
    let shown: Vec<String> = names.iter().take(MOST_NAMED).map(|name| shown_name(name)).collect();
    let more = names.len() - shown.len();
    match &shown[..] {
        [] => None,
        all if more > 0 => Some(format!("{} and {more} more", all.join(", "))),
        [one] => Some(one.clone()),
        [most @ .., last] => Some(format!("{} and {last}", most.join(", "))),
    }
}

fn environments<'g>(resolver: &ResolverEntry<'g>) -> &'g [String] {
    match resolver {
        ResolverEntry::Batch(resolver) => &resolver.environments,
        ResolverEntry::Stream(resolver) => &resolver.environments,
        ResolverEntry::Sink(resolver) => &resolver.environments,
    }
}

fn kept_sets<'g>(before: &FeatureGraph, after: &'g FeatureGraph) -> HashSet<&'g str> {
    let old: HashSet<&str> = before.graph().feature_sets.iter().map(|set| set.name.as_str()).collect();
    after.graph().feature_sets.iter().map(|set| set.name.as_str()).filter(|name| old.contains(name)).collect()
}

fn resolvers_reading(gone: &HashSet<(Entity, &str)>, after: &FeatureGraph) -> HashMap<(Entity, String), Vec<String>> {
    let mut readers: HashMap<(Entity, String), Vec<String>> = HashMap::new();
    for resolver in after.resolvers() {
        let features = inputs(&resolver).into_iter().map(|name| (Entity::Feature, name));
        let databases = match resolver {
            ResolverEntry::Batch(resolver) => resolver.data_sources_v2.as_slice(),
            _ => &[],
        };
        let databases = databases
            .iter()
            .flat_map(|source| [(Entity::Source, source.name.clone()), (Entity::SourceGroup, source.name.clone())]);
        let stream = match resolver {
            ResolverEntry::Stream(resolver) => resolver.source_v2.as_ref(),
            _ => None,
        };
        let stream = stream.map(|source| (Entity::StreamSource, source.name.clone()));
        for (entity, name) in features.chain(databases).chain(stream) {
            if gone.contains(&(entity, name.as_str())) {
                readers.entry((entity, name)).or_default().push(resolver.full_name().to_owned());
            }
        }
    }
    readers
}
