//! What queries ask for.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::super::catalog::{Catalog, FeatureId, PLATFORM_NAMESPACE};
use super::super::diagnostic::LONGEST_CHAIN;
use super::super::proto::NamedQuery;
use super::super::{Diagnostic, DiagnosticCode, Severity};
use super::closure::Closure;
use super::places::at_query;
use super::production::{Production, RuleId, Thing};

/// When following what queries are given has looked at so many things, the rest is not checked. A query of a real graph
/// takes some thousand.
const MOST_WORK: u64 = 200_000_000;
/// So many features are looked at to say why something is not produced; after that it is only said that it is not.
const MOST_EXPLAINED: usize = 5_000_000;
/// So many names stand in all chains together; after that only the ends of a chain are named.
const MOST_NAMES: usize = 200_000;

pub(super) fn check(catalog: &Catalog<'_>, production: &Production, found: &mut Vec<Diagnostic>) {
    unknown(catalog, found);
    // Queries with the same input are looked at together: what follows is the same.
    let mut by_input: BTreeMap<Vec<Thing>, Vec<(&NamedQuery, Vec<Asked<'_>>)>> = BTreeMap::new();
    for query in &catalog.graph.graph().named_queries {
        by_input.entry(given_to(catalog, query)).or_default().push((query, asked(catalog, query)));
    }
    let mut sure = Closure::of(production, false, production.defaults());
    let mut assumed = Closure::of(production, true, production.defaults());
    let mut explaining = Explaining { catalog, production, features: MOST_EXPLAINED, names: MOST_NAMES };
    let mut unchecked = 0;
    for (given, queries) in by_input {
        if sure.work() + assumed.work() > MOST_WORK {
            unchecked += queries.len();
            continue;
        }
        let wanted = || queries.iter().flat_map(|(_, asked)| asked.iter().flat_map(|asked| &asked.features)).copied();
        let new = (sure.ask(&given, wanted()), assumed.ask(&given, wanted()));
        for (query, asked) in &queries {
            outputs(&mut explaining, (&sure, &assumed), query, asked, found);
        }
        sure.take_back(&new.0);
        assumed.take_back(&new.1);
    }
    if unchecked > 0 {
        let message = format!("{unchecked} named queries were not checked: what they are given leads to too much");
        found.push(Diagnostic::warning(DiagnosticCode::QueryUnchecked, "", &message));
    }
}

/// An output of a query, and the features that it leads through.
struct Asked<'q> {
    name: &'q str,
    features: Vec<FeatureId>,
}

/// What a query asks for. A whole set is asked for what there is of it; an unknown name is a finding of its own.
fn asked<'q>(catalog: &Catalog<'_>, query: &'q NamedQuery) -> Vec<Asked<'q>> {
    let mut seen = HashSet::new();
    let names = query.output.iter().filter(|name| seen.insert(name.as_str()));
    names.filter_map(|name| Some(Asked { name, features: path(catalog, name)? })).collect()
}

/// The features that a name leads through, the last one being the feature itself: `user.home.rooms` is the has-one
/// `user.home`, and `home.rooms` behind it. Nothing when the name is not known.
pub(super) fn path(catalog: &Catalog<'_>, name: &str) -> Option<Vec<FeatureId>> {
    // What a caller asks of the rows of a has-many stands in brackets.
    let name = name.split('[').next()?;
    // The name of a feature set may hold a point.
    let mut first = None;
    for (at, _) in name.match_indices('.') {
        let (set, rest) = (name.get(..at)?, name.get(at + 1..)?);
        if let Some(namespace) = catalog.namespace(set) {
            first = Some((namespace, rest));
            break;
        }
    }
    let (mut namespace, mut rest) = first?;
    let mut features = Vec::new();
    loop {
        if let Some(feature) = catalog.attribute(namespace, rest).filter(|feature| named(catalog, *feature, rest)) {
            features.push(feature);
            return Some(features);
        }
        let (join, behind) = rest.split_once('.')?;
        let join = catalog.named(namespace, join)?;
        features.push(join);
        namespace = catalog.foreign_namespace(join)?;
        rest = behind;
    }
}

/// Queries name features by their names; the name of an attribute that is another feature's name is that feature's.
fn named(catalog: &Catalog<'_>, feature: FeatureId, name: &str) -> bool {
    catalog.feature(feature).is_some_and(|feature| feature.name() == name || feature.attribute_name() == name)
}

fn is_set(catalog: &Catalog<'_>, name: &str) -> bool {
    catalog.namespace(name).is_some_and(|namespace| catalog.has_set(namespace))
}

fn is_known(catalog: &Catalog<'_>, name: &str) -> bool {
    is_set(catalog, name)
        || path(catalog, name).is_some()
        || name.split_once('.').is_some_and(|(namespace, _)| namespace == PLATFORM_NAMESPACE)
}

fn unknown(catalog: &Catalog<'_>, found: &mut Vec<Diagnostic>) {
    for query in catalog.graph.named_queries() {
        let definition = query.definition();
        let lists = [
            ("takes", &definition.input),
            ("asks for", &definition.output),
            ("logs", &definition.additional_logged_features),
        ];
        for (verb, names) in lists {
            for name in names.iter().filter(|name| !is_known(catalog, name)) {
                let message = format!("the named query {verb} `{name}`, which is no feature");
                let finding = Diagnostic::error(DiagnosticCode::QueryUnknown, &query.full_name(), &message);
                found.push(at_query(finding, definition));
            }
        }
        for name in definition.staleness.keys().filter(|name| !is_known(catalog, name)) {
            let message = format!("the named query says how stale `{name}` may be, which is no feature");
            let finding = Diagnostic::error(DiagnosticCode::QueryUnknown, &query.full_name(), &message);
            found.push(at_query(finding, definition));
        }
    }
    for cron in &catalog.graph.export().crons {
        for name in cron.output.iter().filter(|name| !is_known(catalog, name)) {
            let message = format!("the scheduled query asks for `{name}`, which is no feature");
            let finding = Diagnostic::error(DiagnosticCode::QueryUnknown, &cron.name, &message);
            found.push(finding.at(&cron.file_name, None));
        }
    }
}

/// What a query is given. One that does not say is given the keys of what it asks for.
fn given_to(catalog: &Catalog<'_>, query: &NamedQuery) -> Vec<Thing> {
    let mut given: Vec<Thing> = if query.input.is_empty() {
        let sets = query.output.iter().filter_map(|name| {
            let namespace = match path(catalog, name) {
                Some(features) => catalog.namespace_of(*features.first()?)?,
                None => catalog.namespace(name)?,
            };
            catalog.at(namespace)?.primary
        });
        sets.collect()
    } else {
        query.input.iter().filter_map(|name| path(catalog, name)).flatten().collect()
    };
    given.sort_unstable();
    given.dedup();
    given
}

/// The names of the features that named queries are given.
pub(super) fn given_to_any(catalog: &Catalog<'_>) -> Vec<Thing> {
    catalog.graph.graph().named_queries.iter().flat_map(|query| given_to(catalog, query)).collect()
}

fn outputs(
    explaining: &mut Explaining<'_, '_>,
    (sure, assumed): (&Closure<'_>, &Closure<'_>),
    query: &NamedQuery,
    asked: &[Asked<'_>],
    found: &mut Vec<Diagnostic>,
) {
    for Asked { name, features } in asked {
        let lacking_in = |closure: &Closure<'_>| features.iter().copied().find(|feature| !closure.has(*feature));
        let Some(lacking) = lacking_in(sure) else { continue };
        let (code, severity, closure, lacking) = match lacking_in(assumed) {
            Some(lacking) => (DiagnosticCode::QueryUnproducible, Severity::Error, assumed, lacking),
            None => (DiagnosticCode::QueryRowsUnproduced, Severity::Warning, sure, lacking),
        };
        let (chain, why) = explaining.explain(closure, lacking);
        let message = if severity == Severity::Error {
            format!("`{name}` cannot be produced from what the named query is given: {why}")
        } else {
            format!("`{name}` needs rows that nothing produces: {why}")
        };
        let full_name = super::super::entry::named_query_name(query);
        let finding = Diagnostic::error(code, &full_name, &message).with_severity(severity).through(chain);
        found.push(at_query(finding, query));
    }
}

/// Says why features are not produced, within bounds: a query may ask for as many features as there are, each a long way
/// from what is missing.
struct Explaining<'c, 'g> {
    catalog: &'c Catalog<'g>,
    production: &'c Production,
    /// How many features may still be looked at.
    features: usize,
    /// How many names may still stand in chains.
    names: usize,
}

impl Explaining<'_, '_> {
    /// The shortest way from a feature to something that nothing makes, or to a has-many without rows; and that in words.
    fn explain(&mut self, closure: &Closure<'_>, feature: FeatureId) -> (Vec<String>, String) {
        let (catalog, production) = (self.catalog, self.production);
        let mut reached_from: HashMap<FeatureId, Option<(FeatureId, RuleId)>> = HashMap::from([(feature, None)]);
        let mut queue = VecDeque::from([feature]);
        let mut end = None;
        while let Some(at) = queue.pop_front() {
            let Some(left) = self.features.checked_sub(1) else {
                return (vec![catalog.full_name(feature)], "what it is made of is not produced either".to_owned());
            };
            self.features = left;
            let makers = production.makers(at);
            let name = || catalog.full_name(at);
            if makers.is_empty() {
                end = Some((at, format!("nothing produces `{}`, and the query is not given it", name())));
                break;
            }
            if makers.iter().any(|rule| production.is_without_rows(*rule)) && !closure.has(at) {
                let set = catalog.foreign_namespace(at).and_then(|foreign| catalog.at(foreign));
                let set = set.map_or("", |set| set.name);
                end = Some((at, format!("no resolver makes rows of `{set}` for `{}`", name())));
                break;
            }
            for rule in makers {
                for need in production.needs(*rule).iter().filter(|need| !closure.has(**need)) {
                    if let Entry::Vacant(entry) = reached_from.entry(*need) {
                        entry.insert(Some((at, *rule)));
                        queue.push_back(*need);
                    }
                }
            }
        }
        match end {
            Some((end, why)) => (self.chain(&reached_from, end), why),
            None => (vec![catalog.full_name(feature)], "its resolvers need each other".to_owned()),
        }
    }

    fn chain(&mut self, reached_from: &HashMap<FeatureId, Option<(FeatureId, RuleId)>>, end: FeatureId) -> Vec<String> {
        let mut links = Vec::new();
        let mut at = end;
        while let Some(Some((before, rule))) = reached_from.get(&at) {
            links.push((*before, *rule));
            at = *before;
        }
        links.reverse();
        let count = 2 * links.len() + 1;
        let name = |feature: FeatureId| self.catalog.full_name(feature);
        let Some(left) = self.names.checked_sub(count.min(LONGEST_CHAIN)) else {
            return vec![name(at), format!("... {} more", count.saturating_sub(2)), name(end)];
        };
        let named =
            links.iter().flat_map(|(feature, rule)| [name(*feature), self.production.name(self.catalog, *rule)]);
        let chain = named.chain([name(end)]).collect();
        self.names = left;
        chain
    }
}
