//! What can be produced from what.
//!
//! A rule makes features once it has all that it needs: a resolver, an expression, a join. What follows from given
//! features is the least set that the rules lead to ([`Closure`]), so that a cycle never supports itself. Doubt is
//! decided for the graph: rows of one set are not told apart, and resolvers of all tags and environments count.

use std::collections::BTreeSet;

use super::super::catalog::{Catalog, FeatureId, NamespaceId};
use super::super::entry::{ResolverEntry, ResolverForm};
use super::super::proto::feature_type::Kind;
use super::super::proto::{ResolverInput, resolver_input, resolver_output};
use super::expressions::Expressions;
use super::resolver_inputs::{inputs, needed_by};
use super::resolver_outputs::{made, outputs};

/// A feature, or (behind the features) all features of a namespace.
pub(super) type Thing = u32;
/// A rule by its place.
pub(super) type RuleId = u32;

/// What a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// A resolver by its place in the catalog.
    Resolver(u32),
    /// The expression of a feature.
    Expression(FeatureId),
    /// The join of a has-one or has-many.
    Join(FeatureId),
    /// A window of a windowed feature; any of them makes it.
    Window(FeatureId),
    /// The last value of another feature.
    Last(FeatureId),
    /// A model by its place in the graph.
    Model(u32),
    /// The row behind a join has the features that were compared, and a key. No rule of its own for people: it is how
    /// a join is read from the other side.
    Crossing(FeatureId),
    /// All features of a namespace.
    All,
}

#[derive(Debug)]
struct Rule {
    maker: Maker,
    needs: Vec<Thing>,
    makes: Vec<Thing>,
    /// It leads to rows that nothing produces.
    without_rows: bool,
}

/// The rules of a graph.
#[derive(Debug)]
pub(super) struct Production {
    features: usize,
    things: usize,
    rules: Vec<Rule>,
    waiting: Table,
    makers: Table,
    /// The rules that make a thing, with those that are none for people.
    all_makers: Table,
    /// What is always there: the platform makes it.
    always: Vec<Thing>,
    defaults: Vec<Thing>,
    keys: Vec<Thing>,
}

/// Lists of rules, one for each thing.
#[derive(Debug)]
struct Table {
    starts: Vec<u32>,
    rules: Vec<RuleId>,
}

impl Table {
    fn of<'r>(things: usize, rules: impl Iterator<Item = (RuleId, &'r [Thing])> + Clone) -> Self {
        let mut starts = vec![0_u32; things + 1];
        for (_, of) in rules.clone() {
            for thing in of {
                if let Some(count) = starts.get_mut(*thing as usize + 1) {
                    *count += 1;
                }
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut listed = vec![0; sum as usize];
        for (rule, of) in rules {
            for thing in of {
                let Some(place) = next.get_mut(*thing as usize) else { continue };
                if let Some(entry) = listed.get_mut(*place as usize) {
                    *entry = rule;
                }
                *place += 1;
            }
        }
        Self { starts, rules: listed }
    }

    fn at(&self, thing: Thing) -> &[RuleId] {
        let thing = thing as usize;
        let range = self.starts.get(thing).zip(self.starts.get(thing + 1));
        range.and_then(|(start, end)| self.rules.get(*start as usize..*end as usize)).unwrap_or_default()
    }
}

impl Production {
    pub(super) fn of(catalog: &Catalog<'_>, expressions: &Expressions) -> Self {
        let mut making = Making { catalog, rules: Vec::new(), has_rows: vec![false; catalog.namespaces().len()] };
        making.resolvers();
        making.model_relations();
        making.expressions(expressions);
        making.joins(expressions);
        making.others();
        let Making { rules, .. } = making;
        let features = catalog.features.len();
        let things = features + catalog.namespaces().len();
        let numbered = || (0..).zip(&rules);
        let waiting = Table::of(things, numbered().map(|(id, rule)| (id, rule.needs.as_slice())));
        let all_makers = Table::of(things, numbered().map(|(id, rule)| (id, rule.makes.as_slice())));
        let makers = numbered().filter(|(_, rule)| !matches!(rule.maker, Maker::Crossing(_) | Maker::All));
        let makers = Table::of(things, makers.map(|(id, rule)| (id, rule.makes.as_slice())));
        let which = |test: fn(&Kind) -> bool| {
            let numbered = (0..).zip(&catalog.features);
            numbered.filter(|(_, feature)| test(feature.definition())).map(|(id, _)| id).collect()
        };
        Self {
            features,
            things,
            waiting,
            makers,
            all_makers,
            always: (0..)
                .zip(&catalog.features)
                .filter(|(_, feature)| {
                    feature.is_autogenerated()
                        || matches!(feature.definition(), Kind::FeatureTime(_))
                        || matches!(feature.definition(), Kind::Scalar(scalar) if scalar.is_distance_pseudofeature)
                        || feature.namespace() == super::super::catalog::PLATFORM_NAMESPACE
                })
                .map(|(id, _)| id)
                .collect(),
            defaults: which(|kind| match kind {
                Kind::Scalar(scalar) => scalar.default_value.is_some(),
                Kind::GroupBy(group) => group.default_value.is_some(),
                _ => false,
            }),
            keys: which(|kind| matches!(kind, Kind::Scalar(scalar) if scalar.is_primary)),
            rules,
        }
    }

    pub(super) fn features(&self) -> usize {
        self.features
    }

    pub(super) fn rules(&self) -> usize {
        self.rules.len()
    }

    pub(super) fn maker(&self, rule: RuleId) -> Option<Maker> {
        self.rules.get(rule as usize).map(|rule| rule.maker)
    }

    pub(super) fn needs(&self, rule: RuleId) -> &[Thing] {
        self.rules.get(rule as usize).map_or(&[], |rule| &rule.needs)
    }

    /// Whether the rule leads to rows that nothing produces.
    pub(super) fn is_without_rows(&self, rule: RuleId) -> bool {
        self.rules.get(rule as usize).is_some_and(|rule| rule.without_rows)
    }

    /// The rules that make a feature.
    pub(super) fn makers(&self, feature: FeatureId) -> &[RuleId] {
        self.makers.at(feature)
    }

    /// What the platform makes, and the keys of singletons.
    pub(super) fn always(&self) -> &[Thing] {
        &self.always
    }

    /// Features with a default value.
    pub(super) fn defaults(&self) -> &[Thing] {
        &self.defaults
    }

    /// The keys of all feature sets.
    pub(super) fn keys(&self) -> &[Thing] {
        &self.keys
    }

    /// What a rule is called where a chain is shown.
    pub(super) fn name(&self, catalog: &Catalog<'_>, rule: RuleId) -> String {
        match self.maker(rule) {
            Some(Maker::Resolver(resolver)) => {
                catalog.resolvers.get(resolver as usize).map(|found| found.full_name().to_owned()).unwrap_or_default()
            }
            Some(Maker::Expression(feature)) => format!("expression of {}", catalog.full_name(feature)),
            Some(Maker::Join(feature) | Maker::Crossing(feature)) => format!("join of {}", catalog.full_name(feature)),
            Some(Maker::Window(feature)) => format!("window of {}", catalog.full_name(feature)),
            Some(Maker::Last(feature)) => format!("last value for {}", catalog.full_name(feature)),
            Some(Maker::Model(model)) => {
                let models = &catalog.graph.graph().model_references;
                models.get(model as usize).map(|model| format!("model {}", model.name)).unwrap_or_default()
            }
            Some(Maker::All) | None => String::new(),
        }
    }
}

struct Making<'c, 'g> {
    catalog: &'c Catalog<'g>,
    rules: Vec<Rule>,
    /// For each namespace, whether something produces rows of it.
    has_rows: Vec<bool>,
}

impl Making<'_, '_> {
    fn add(&mut self, maker: Maker, needs: impl IntoIterator<Item = Thing>, things: impl IntoIterator<Item = Thing>) {
        let unique = |things: &mut Vec<Thing>| {
            things.sort_unstable();
            things.dedup();
        };
        let mut rule = Rule { maker, needs: Vec::from_iter(needs), makes: Vec::from_iter(things), without_rows: false };
        unique(&mut rule.needs);
        unique(&mut rule.makes);
        self.rules.push(rule);
    }

    fn all_of(&self, namespace: NamespaceId) -> Thing {
        Thing::try_from(self.catalog.features.len()).map_or(Thing::MAX, |features| features.saturating_add(namespace))
    }

    fn rows_of(&mut self, namespace: NamespaceId) {
        if let Some(has_rows) = self.has_rows.get_mut(namespace as usize) {
            *has_rows = true;
        }
    }

    fn resolvers(&mut self) {
        for (place, resolver) in (0..).zip(self.catalog.resolvers.clone()) {
            let in_bulk = resolver.form() == ResolverForm::Offline;
            let mut needs = BTreeSet::new();
            for input in inputs(resolver).iter().filter(|input| !has_default(input)) {
                // What is unknown is a finding of its own, and holds nothing up.
                needs.extend(needed_by(input).into_iter().filter_map(|reference| self.catalog.referenced(reference)));
            }
            if in_bulk {
                // In bulk, the keys are those of the rows that there are.
                needs.retain(|feature| !self.is_key(*feature));
            }
            let mut makes = self.made_by(resolver);
            // A resolver may hand on what it takes, beside what it makes of it. That is no way to produce it.
            let new: BTreeSet<Thing> = makes.difference(&needs).copied().collect();
            if !new.is_empty() {
                makes = new;
            }
            if !makes.is_empty() {
                self.add(Maker::Resolver(place), needs, makes);
            }
        }
    }

    fn made_by(&mut self, resolver: ResolverEntry<'_>) -> BTreeSet<Thing> {
        let mut makes = BTreeSet::new();
        for output in outputs(resolver) {
            match &output.annotation {
                Some(resolver_output::Annotation::DataFrame(rows)) => {
                    if let Some(namespace) = self.catalog.namespace(&rows.root_namespace) {
                        self.rows_of(namespace);
                        if rows.optional_columns.is_empty() && rows.required_columns.is_empty() {
                            makes.insert(self.all_of(namespace));
                        }
                    }
                }
                Some(resolver_output::Annotation::Feature(reference)) => {
                    let feature = self.catalog.referenced(reference);
                    if let Some(foreign) = feature.and_then(|feature| self.catalog.foreign_namespace(feature)) {
                        self.rows_of(foreign);
                        if reference.df.is_none() {
                            makes.insert(self.all_of(foreign));
                        }
                    }
                }
                None => {}
            }
            for feature in made(output).into_iter().filter_map(|reference| self.catalog.referenced(reference)) {
                makes.insert(feature);
                if self.is_key(feature)
                    && let Some(namespace) = self.catalog.namespace_of(feature)
                {
                    self.rows_of(namespace);
                }
            }
        }
        makes
    }

    fn is_key(&self, feature: FeatureId) -> bool {
        self.catalog.feature(feature).is_some_and(|feature| feature.is_primary())
    }

    /// What a model makes of features.
    fn model_relations(&mut self) {
        for (place, model) in (0..).zip(&self.catalog.graph.graph().model_references) {
            for relation in &model.relations {
                let of = |name: &String| super::queries::path(self.catalog, name)?.last().copied();
                let needs: Vec<Thing> = relation.input_features.iter().filter_map(of).collect();
                if let Some(output) = of(&relation.output_feature) {
                    self.add(Maker::Model(place), needs, [output]);
                }
            }
        }
    }

    fn expressions(&mut self, expressions: &Expressions) {
        for read in &expressions.of_features {
            self.add(Maker::Expression(read.feature), read.reads.iter().flatten().copied(), [read.feature]);
        }
    }

    fn joins(&mut self, expressions: &Expressions) {
        let mut joined = vec![None; self.catalog.features.len()];
        for read in &expressions.joins {
            if let Some(joined) = joined.get_mut(read.feature as usize) {
                *joined = read.reads.as_deref();
            }
        }
        for (id, joined) in (0..).zip(joined) {
            let Some(foreign) = self.catalog.foreign_namespace(id) else { continue };
            let Some(own) = self.catalog.namespace_of(id) else { continue };
            let joined = joined.unwrap_or_default();
            let catalog = self.catalog;
            let of =
                |namespace| joined.iter().copied().filter(move |read| catalog.namespace_of(*read) == Some(namespace));
            let (needs, behind): (Vec<_>, Vec<_>) = (of(own).collect(), of(foreign).collect());
            let is_many = matches!(self.catalog.kind(id), Some(Kind::HasMany(_)));
            let has_rows = self.has_rows.get(foreign as usize).copied().unwrap_or_default();
            let without_rows = is_many && !has_rows;
            self.add(Maker::Join(id), needs, [id]);
            self.mark(without_rows);
            let key = self.catalog.at(foreign).and_then(|foreign| foreign.primary);
            let all = without_rows.then(|| self.all_of(foreign));
            // A query that is given the rows has them, whatever produces them otherwise.
            self.add(Maker::Crossing(id), [id], behind.into_iter().chain(key).chain(all));
        }
        for namespace in 0..NamespaceId::try_from(self.catalog.namespaces().len()).unwrap_or(NamespaceId::MAX) {
            let features = self.catalog.at(namespace).map(|namespace| namespace.features.clone()).unwrap_or_default();
            let all = self.all_of(namespace);
            self.add(Maker::All, [all], features);
        }
    }

    fn mark(&mut self, without_rows: bool) {
        if let Some(rule) = self.rules.last_mut() {
            rule.without_rows = without_rows;
        }
    }

    fn others(&mut self) {
        for (id, feature) in (0..).zip(self.catalog.features.clone()) {
            match feature.definition() {
                Kind::Windowed(_) => {
                    let windows: Vec<FeatureId> = self.catalog.windows(id).collect();
                    for window in windows {
                        self.add(Maker::Window(id), [window], [id]);
                    }
                }
                Kind::Scalar(scalar) => {
                    let of = scalar.last_for.as_ref().and_then(|last| self.catalog.referenced(last));
                    if let Some(of) = of {
                        self.add(Maker::Last(of), [of], [id]);
                    }
                }
                // Its aggregation reads rows of its set.
                Kind::GroupBy(group) if group.aggregation.is_some() => self.add(Maker::Expression(id), [], [id]),
                _ => {}
            }
        }
    }
}

pub(super) fn has_default(input: &ResolverInput) -> bool {
    matches!(&input.annotation, Some(resolver_input::Annotation::Feature(input)) if input.default_value.is_some())
}

/// What follows from what is given.
#[derive(Debug)]
pub(super) struct Closure<'p> {
    production: &'p Production,
    /// Whether rows that nothing produces are taken to be there.
    assumes_rows: bool,
    produced: Vec<bool>,
    /// For each rule, how much of what it needs is not there.
    missing: Vec<u32>,
    /// For each rule, the last question that it could have a part in the answer of.
    asked: Vec<u32>,
    /// Questions are counted from 1. Number 0 is no question: all rules have a part in it.
    question: u32,
    /// How much was looked at.
    work: u64,
}

/// What an answer made new, to be taken back.
#[derive(Debug)]
pub(super) struct New(Vec<Thing>);

impl<'p> Closure<'p> {
    /// What follows from nothing but what the platform makes, and from what is always given.
    pub(super) fn of(production: &'p Production, assumes_rows: bool, given: &[Thing]) -> Self {
        let missing = production.rules.iter().map(|rule| u32::try_from(rule.needs.len()).unwrap_or(u32::MAX));
        let mut closure = Self {
            production,
            assumes_rows,
            produced: vec![false; production.things],
            missing: missing.collect(),
            asked: vec![0; production.rules.len()],
            question: 0,
            work: 0,
        };
        let mut log = Vec::new();
        for rule in (0..).zip(&production.rules).filter(|(_, rule)| rule.needs.is_empty()).map(|(id, _)| id) {
            closure.fire(rule, &mut log);
        }
        for thing in production.always.iter().chain(given) {
            closure.produce(*thing, &mut log);
        }
        closure.follow(log);
        closure
    }

    pub(super) fn has(&self, thing: Thing) -> bool {
        self.produced.get(thing as usize).copied().unwrap_or_default()
    }

    pub(super) fn work(&self) -> u64 {
        self.work
    }

    /// Adds what is given, and follows it as far as it can lead to what is wanted. For all that what is wanted may be
    /// made of, `has` is right from here on; for other things it may be that something would follow, and is not said.
    pub(super) fn ask(&mut self, given: &[Thing], wanted: impl IntoIterator<Item = Thing>) -> New {
        let mut log = Vec::new();
        for thing in given {
            self.produce(*thing, &mut log);
        }
        self.question += 1;
        self.look_back(wanted);
        New(self.follow(log))
    }

    /// Takes an answer back: the last one that was not taken back.
    pub(super) fn take_back(&mut self, new: &New) {
        let production = self.production;
        for thing in &new.0 {
            if let Some(produced) = self.produced.get_mut(*thing as usize) {
                *produced = false;
            }
            for rule in production.waiting.at(*thing) {
                if self.has_a_part(*rule)
                    && let Some(missing) = self.missing.get_mut(*rule as usize)
                {
                    *missing += 1;
                }
            }
        }
    }

    /// Marks all rules that can have a part in making these things of what is there.
    fn look_back(&mut self, wanted: impl IntoIterator<Item = Thing>) {
        let production = self.production;
        let mut open: Vec<Thing> = wanted.into_iter().collect();
        while let Some(thing) = open.pop() {
            if self.has(thing) {
                continue;
            }
            for rule in production.all_makers.at(thing) {
                self.work += 1;
                if let Some(asked) = self.asked.get_mut(*rule as usize)
                    && std::mem::replace(asked, self.question) != self.question
                {
                    open.extend_from_slice(production.needs(*rule));
                }
            }
        }
    }

    fn has_a_part(&self, rule: RuleId) -> bool {
        self.asked.get(rule as usize) == Some(&self.question)
    }

    fn produce(&mut self, thing: Thing, log: &mut Vec<Thing>) {
        if let Some(produced) = self.produced.get_mut(thing as usize)
            && !std::mem::replace(produced, true)
        {
            log.push(thing);
        }
    }

    fn fire(&mut self, rule: RuleId, log: &mut Vec<Thing>) {
        let production = self.production;
        let Some(rule) = production.rules.get(rule as usize) else { return };
        if rule.without_rows && !self.assumes_rows {
            return;
        }
        self.work += rule.makes.len() as u64;
        for thing in &rule.makes {
            self.produce(*thing, log);
        }
    }

    fn follow(&mut self, mut log: Vec<Thing>) -> Vec<Thing> {
        let production = self.production;
        let mut next = 0;
        while let Some(thing) = log.get(next).copied() {
            next += 1;
            for rule in production.waiting.at(thing) {
                self.work += 1;
                if !self.has_a_part(*rule) {
                    continue;
                }
                let Some(missing) = self.missing.get_mut(*rule as usize) else { continue };
                *missing = missing.saturating_sub(1);
                if *missing == 0 {
                    self.fire(*rule, &mut log);
                }
            }
        }
        log
    }
}
