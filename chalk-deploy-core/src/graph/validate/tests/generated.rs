//! Generated graphs: those without a defect have no error, and a planted defect is found and named.

use proptest::prelude::*;

use super::*;
use crate::graph::proto::feature_type::Kind;
use crate::graph::testing::{attribute, call, identifier, own, reference};

/// How a feature is made, from features before it.
#[derive(Debug, Clone)]
enum Made {
    Given,
    Resolver(Vec<usize>),
    Expression(Vec<usize>),
}

/// A graph whose features need only features before them.
fn sound() -> impl Strategy<Value = Vec<Made>> {
    let one = (0..10_u8, prop::collection::vec(any::<prop::sample::Index>(), 1..4));
    prop::collection::vec(one, 2..30).prop_map(|features| {
        let made = features.into_iter().enumerate().map(|(place, (how, needs))| {
            if place == 0 {
                return Made::Given;
            }
            let needs = needs.into_iter().map(|need| need.index(place)).collect();
            match how {
                0 | 1 => Made::Given,
                2..=6 => Made::Resolver(needs),
                _ => Made::Expression(needs),
            }
        });
        made.collect()
    })
}

fn name(feature: usize) -> String {
    format!("f{feature}")
}

/// `_.a + (_.b + _.c)`
fn sum(needs: &[usize]) -> Vec<u8> {
    let mut terms = needs.iter().map(|need| own(&name(*need)));
    let last = terms.next().unwrap_or_else(|| own("id"));
    terms.fold(last, |sum, term| call(&identifier("+"), &[&term, &sum]))
}

fn export_of(features: &[Made]) -> Export {
    let mut export = small();
    let graph = export.graph.get_or_insert_default();
    graph.resolvers.clear();
    graph.feature_sets[0].features.truncate(1);
    graph.named_queries[0].output = (0..features.len()).map(|feature| format!("user.{}", name(feature))).collect();
    for (place, made) in features.iter().enumerate() {
        let mut feature = scalar(&name(place), false);
        match made {
            Made::Given => graph.named_queries[0].input.push(format!("user.{}", name(place))),
            Made::Resolver(needs) => graph.resolvers.push(making(place, needs)),
            Made::Expression(needs) => {
                if let Some(Kind::Scalar(feature)) = &mut feature.kind {
                    feature.expression = Some(sum(needs).into());
                }
            }
        }
        graph.feature_sets[0].features.push(feature);
    }
    export
}

fn making(feature: usize, needs: &[usize]) -> crate::graph::proto::Resolver {
    let mut made = resolver(&format!("generated.get_{}", name(feature)));
    made.inputs = needs.iter().map(|need| input(&name(*need))).collect();
    let output = resolver_output::Annotation::Feature(reference(&name(feature)));
    made.outputs = vec![ResolverOutput { annotation: Some(output) }];
    made
}

/// A feature that is made of others, and one that it needs, on whatever way.
fn needing(features: &[Made], index: prop::sample::Index) -> Option<(usize, usize)> {
    let made: Vec<usize> = (0..features.len()).filter(|place| !matches!(features[*place], Made::Given)).collect();
    let from = *made.get(index.index(made.len().max(1)))?;
    let mut to = from;
    while let Made::Resolver(needs) | Made::Expression(needs) = &features[to] {
        if matches!(features[needs[0]], Made::Given) {
            break;
        }
        to = needs[0];
    }
    Some((from, to))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_sound_graph_has_no_finding_at_all(features in sound()) {
        prop_assert_eq!(validate(&graph_of(&export_of(&features))), []);
    }

    #[test]
    fn a_cycle_is_found_wherever_it_is_closed(features in sound(), index in any::<prop::sample::Index>()) {
        let mut features = features;
        if let Some((from, to)) = needing(&features, index) {
            let (Made::Resolver(needs) | Made::Expression(needs)) = &mut features[to] else {
                unreachable!("it is made of others");
            };
            needs.push(from);
            let found = validate(&graph_of(&export_of(&features)));
            let cycles: Vec<_> = found
                .iter()
                .filter(|finding| matches!(finding.code.as_str().as_ref(), "RESOLVER_CYCLE" | "EXPRESSION_CYCLE"))
                .collect();
            prop_assert_eq!(cycles.len(), 1, "{:?}", found);
            let chain = &cycles[0].chain;
            prop_assert_eq!(chain.first(), chain.last());
            prop_assert!(chain.contains(&format!("user.{}", name(to))), "every cycle leads through it: {:?}", chain);
            // Each link is made of the next one.
            for link in chain.windows(3).step_by(2) {
                let of: usize = link[0].trim_start_matches("user.f").parse().expect("a number");
                let next: usize = link[2].trim_start_matches("user.f").parse().expect("a number");
                let (Made::Resolver(needs) | Made::Expression(needs)) = &features[of] else {
                    return Err(TestCaseError::fail("a given feature is on no cycle"));
                };
                prop_assert!(needs.contains(&next));
                prop_assert!(link[1].ends_with(&name(of)), "{:?}", link);
            }
        }
    }

    #[test]
    fn a_query_that_is_not_given_what_it_needs_is_found(features in sound(), index in any::<prop::sample::Index>()) {
        let given: Vec<usize> = (0..features.len()).filter(|place| matches!(features[*place], Made::Given)).collect();
        let missing = given[index.index(given.len())];
        let mut export = export_of(&features);
        export.graph.get_or_insert_default().named_queries[0].input.retain(|input| *input != format!("user.{}", name(missing)));
        // What needs it, on whatever way: the output itself at least.
        let mut lacking = vec![false; features.len()];
        for (place, made) in features.iter().enumerate() {
            lacking[place] = place == missing
                || matches!(made, Made::Resolver(needs) | Made::Expression(needs) if needs.iter().any(|need| lacking[*need]));
        }
        let found = validate(&graph_of(&export));
        let errors = found.iter().filter(|finding| finding.code.as_str() == "QUERY_UNPRODUCIBLE").count();
        prop_assert_eq!(errors, lacking.iter().filter(|lacks| **lacks).count());
        let leads_to_it = |finding: &crate::graph::Diagnostic| {
            finding.chain.last().is_some_and(|last| *last == format!("user.{}", name(missing)))
        };
        prop_assert!(found.iter().filter(|finding| finding.code.as_str() == "QUERY_UNPRODUCIBLE").all(leads_to_it));
    }

    #[test]
    fn a_name_that_is_no_feature_is_found_in_any_resolver_and_any_expression(
        features in sound(),
        index in any::<prop::sample::Index>(),
    ) {
        let mut export = export_of(&features);
        let graph = export.graph.get_or_insert_default();
        let place = index.index(features.len());
        match &features[place] {
            Made::Resolver(_) => {
                let of = graph.resolvers.iter_mut().find(|found| found.fqn.ends_with(&format!("_{}", name(place))));
                of.expect("it has one").inputs.push(input("nowhere"));
            }
            _ => {
                if let Some(Kind::Scalar(feature)) = &mut graph.feature_sets[0].features[place + 1].kind {
                    feature.expression = Some(attribute(&identifier("_"), "nowhere").into());
                }
            }
        }
        let found = validate(&graph_of(&export));
        let named = found.iter().filter(|finding| matches!(finding.code.as_str().as_ref(), "135" | "701"));
        prop_assert_eq!(named.filter(|finding| finding.subject.ends_with(&name(place))).count(), 1, "{:?}", found);
    }
}
