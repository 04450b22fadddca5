//! Features that need themselves.
//!
//! Among expressions a cycle is always an error. Among resolvers it is legal as long as one of its features can be
//! produced from outside the cycle: by another resolver, by a source, by what an offline resolver stored. That a query
//! could be given one of them, or that one has a default value, is not enough. Features that nothing produces are taken
//! to be given here, so that a cycle is not reported because of them; they have a finding of their own.

use super::super::catalog::{Catalog, FeatureId};
use super::super::dependencies::Dependencies;
use super::super::{Diagnostic, DiagnosticCode, Severity};
use super::closure::Closure;
use super::places;
use super::production::{Maker, Production, RuleId, Thing};

pub(super) fn check(catalog: &Catalog<'_>, production: &Production, severity: Severity, found: &mut Vec<Diagnostic>) {
    let components = expressions(catalog, production, found);
    resolvers(catalog, production, &components, severity, found);
}

/// Reports the cycles among expressions, and says for each feature in which one it is.
fn expressions(catalog: &Catalog<'_>, production: &Production, found: &mut Vec<Diagnostic>) -> Vec<Option<u32>> {
    let mut builder = Dependencies::builder(production.features());
    for rule in rules(production) {
        let Some(Maker::Expression(feature)) = production.maker(rule) else { continue };
        for need in production.needs(rule) {
            builder.edge(feature, *need);
        }
    }
    let dependencies = builder.build();
    let order = dependencies.topological_order();
    let mut component_of = vec![None; production.features()];
    let mut steps = Dependencies::SHORTEST_CYCLE_STEPS;
    for (number, component) in (0..).zip(dependencies.cycles(&order)) {
        for feature in &component {
            if let Some(of) = component_of.get_mut(*feature as usize) {
                *of = Some(number);
            }
        }
        let cycle = shortest_cycle(&dependencies, &component, &mut steps);
        let Some(first) = cycle.first().copied() else { continue };
        let chain = cycle.iter().flat_map(|feature| {
            let name = catalog.full_name(*feature);
            [name.clone(), format!("expression of {name}")]
        });
        let message = match cycle.len() {
            1 => "the expression needs its own feature".to_owned(),
            count => format!("{count} expressions need each other"),
        };
        let finding = Diagnostic::error(DiagnosticCode::ExpressionCycle, &catalog.full_name(first), &message);
        let finding = finding.through(chain.chain([catalog.full_name(first)]));
        found.push(places::at(finding, catalog, first));
    }
    component_of
}

fn resolvers(
    catalog: &Catalog<'_>,
    production: &Production,
    expression_cycles: &[Option<u32>],
    severity: Severity,
    found: &mut Vec<Diagnostic>,
) {
    let features = FeatureId::try_from(production.features()).unwrap_or(FeatureId::MAX);
    let mut given: Vec<Thing> = (0..features).filter(|feature| production.makers(*feature).is_empty()).collect();
    given.extend_from_slice(production.keys());
    let closure = Closure::of(production, true, &given);
    let blocked: Vec<FeatureId> = (0..features).filter(|feature| !closure.has(*feature)).collect();
    if blocked.is_empty() {
        return;
    }
    // Features, and behind them the rules that make them, so that a cycle names both.
    let node = |rule: RuleId| features.saturating_add(rule);
    let mut builder = Dependencies::builder(production.features() + production.rules());
    let expression_cycle = |feature: FeatureId| expression_cycles.get(feature as usize).copied().flatten();
    for feature in &blocked {
        for rule in production.makers(*feature) {
            builder.edge(*feature, node(*rule));
        }
    }
    let mut rules: Vec<RuleId> = blocked.iter().flat_map(|feature| production.makers(*feature)).copied().collect();
    rules.sort_unstable();
    rules.dedup();
    for rule in rules {
        for need in production.needs(rule).iter().filter(|need| !closure.has(**need)) {
            let is_reported = match production.maker(rule) {
                Some(Maker::Expression(of)) => {
                    expression_cycle(of).is_some() && expression_cycle(of) == expression_cycle(*need)
                }
                _ => false,
            };
            if !is_reported {
                builder.edge(node(rule), *need);
            }
        }
    }
    let dependencies = builder.build();
    let order = dependencies.topological_order();
    let mut steps = Dependencies::SHORTEST_CYCLE_STEPS;
    for component in dependencies.cycles(&order) {
        let is_inside = |rule: &RuleId| component.binary_search(&node(*rule)).is_ok();
        // A feature that another rule would make, were that not held up by another cycle, is that cycle's finding.
        let mut of_component = component.iter().take_while(|found| **found < features);
        if !of_component.all(|feature| production.makers(*feature).iter().all(is_inside)) {
            continue;
        }
        let cycle = shortest_cycle(&dependencies, &component, &mut steps);
        found.extend(resolver_cycle(catalog, production, &cycle, features, severity));
    }
}

fn resolver_cycle(
    catalog: &Catalog<'_>,
    production: &Production,
    cycle: &[u32],
    features: FeatureId,
    severity: Severity,
) -> Option<Diagnostic> {
    let first = catalog.full_name(*cycle.first()?);
    let name = |of: &u32| match of.checked_sub(features) {
        Some(rule) => production.name(catalog, rule),
        None => catalog.full_name(*of),
    };
    let links = cycle.len() / 2;
    let message = match links {
        1 => "the resolver needs what it makes, and nothing else produces it".to_owned(),
        _ => format!("{links} features need each other, and nothing outside the cycle produces one of them"),
    };
    let finding = Diagnostic::error(DiagnosticCode::ResolverCycle, &first, &message)
        .with_severity(severity)
        .through(cycle.iter().map(name).chain([first.clone()]));
    let resolver = cycle.iter().find_map(|of| match production.maker(of.checked_sub(features)?)? {
        Maker::Resolver(resolver) => catalog.resolvers.get(resolver as usize),
        _ => None,
    });
    Some(match resolver {
        Some(resolver) => places::at_resolver(finding, *resolver),
        None => places::at(finding, catalog, *cycle.first()?),
    })
}

fn rules(production: &Production) -> std::ops::Range<RuleId> {
    0..RuleId::try_from(production.rules()).unwrap_or(RuleId::MAX)
}

/// The shortest cycle of a component, the smallest node first. The component becomes a graph of its own, so that a graph
/// with very many small cycles costs no more than its size; the steps are shared by all of them.
fn shortest_cycle(dependencies: &Dependencies, component: &[u32], steps: &mut usize) -> Vec<u32> {
    let mut builder = Dependencies::builder(component.len());
    for (from, node) in (0..).zip(component) {
        for target in dependencies.successors(*node) {
            // Components are sorted.
            if let Ok(to) = component.binary_search(target) {
                builder.edge(from, u32::try_from(to).unwrap_or(u32::MAX));
            }
        }
    }
    let of_component: Vec<u32> = (0..).zip(component).map(|(number, _)| number).collect();
    let cycle = builder.build().shortest_cycle_within(&of_component, steps);
    cycle.into_iter().filter_map(|number| component.get(number as usize).copied()).collect()
}
