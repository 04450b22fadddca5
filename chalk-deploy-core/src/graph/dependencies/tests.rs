use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn graph(nodes: usize, edges: &[(u32, u32)]) -> Dependencies {
    let mut builder = Dependencies::builder(nodes);
    for (from, to) in edges {
        builder.edge(*from, *to);
    }
    builder.build()
}

fn cycles(graph: &Dependencies) -> Vec<Vec<u32>> {
    graph.cycles(&graph.topological_order())
}

#[test]
fn an_order_puts_every_node_before_its_successors() {
    let found = graph(4, &[(3, 1), (1, 0), (3, 0), (2, 0)]).topological_order();
    assert_eq!(found, Order { order: vec![2, 3, 1, 0], left: vec![] });
}

#[test]
fn what_is_on_a_cycle_or_behind_one_is_left_and_only_the_cycle_is_named() {
    let graph = graph(6, &[(0, 1), (1, 2), (2, 1), (2, 3), (4, 4)]);
    let order = graph.topological_order();
    assert_eq!(order, Order { order: vec![0, 5], left: vec![1, 2, 3, 4] });
    assert_eq!(graph.cycles(&order), [vec![1, 2], vec![4]]);
    assert_eq!(graph.shortest_cycle(&[4]), [4]);
    assert_eq!(graph.shortest_cycle(&[2, 1]), [1, 2]);
}

#[test]
fn of_two_cycles_in_a_component_the_shorter_one_is_named_from_its_smallest_node() {
    let graph = graph(7, &[(0, 1), (1, 2), (2, 3), (3, 0), (3, 6), (6, 5), (5, 3)]);
    let [component] = &cycles(&graph)[..] else { panic!("one component") };
    assert_eq!(component, &[0, 1, 2, 3, 5, 6]);
    assert_eq!(graph.shortest_cycle(component), [3, 6, 5]);
}

#[test]
fn an_edge_to_a_node_that_does_not_exist_is_ignored_and_counted() {
    let graph = graph(2, &[(0, 1), (0, 2), (2, 0), (u32::MAX, u32::MAX), (1, 1)]);
    assert_eq!((graph.nodes(), graph.edges(), graph.ignored()), (2, 2, 3));
    assert_eq!(graph.successors(2), &[] as &[u32]);
    assert_eq!(graph.successors(u32::MAX), &[] as &[u32]);
    assert_eq!(graph.shortest_cycle(&[7, 1, u32::MAX, 1]), [1]);
    let strange = Order { order: vec![], left: vec![1, 9, u32::MAX] };
    assert_eq!(graph.cycles(&strange), [[1]]);
}

#[test]
fn more_nodes_than_there_can_be_are_not_made() {
    let mut builder = Dependencies::builder(usize::MAX);
    builder.edge(0, u32::MAX);
    builder.edge(u32::MAX, 0);
    assert_eq!((builder.nodes as usize, builder.ignored), (Dependencies::MOST_NODES, 2));
}

#[test]
fn a_graph_without_nodes_has_an_empty_order() {
    let graph = graph(0, &[(0, 0)]);
    assert_eq!(graph.topological_order(), Order::default());
    assert_eq!(graph.shortest_cycle(&[]), &[] as &[u32]);
}

#[test]
fn nodes_without_a_cycle_have_no_shortest_one() {
    assert_eq!(graph(3, &[(0, 1), (1, 2)]).shortest_cycle(&[0, 1, 2]), &[] as &[u32]);
}

const MILLION: u32 = 1_000_000;

#[test]
fn a_chain_of_a_million_is_put_in_order() {
    let chain: Vec<_> = (1..MILLION).map(|node| (node, node - 1)).collect();
    let order = graph(MILLION as usize, &chain).topological_order();
    assert!(order.left.is_empty());
    assert!(order.order.iter().copied().eq((0..MILLION).rev()));
}

#[test]
fn a_ring_of_a_million_is_one_component_and_its_own_shortest_cycle() {
    let ring: Vec<_> = (0..MILLION).map(|node| (node, (node + 1) % MILLION)).collect();
    let graph = graph(MILLION as usize, &ring);
    let found = cycles(&graph);
    assert_eq!(found.len(), 1);
    assert!(graph.shortest_cycle(&found[0]).into_iter().eq(0..MILLION));
}

#[test]
fn many_long_cycles_through_a_component_of_a_million_take_a_bounded_time_and_give_a_true_cycle() {
    // Two ways around, crossed so that no removal empties it; every cycle is long.
    let ring = (0..MILLION).flat_map(|node| [(node, (node + 1) % MILLION), (node, (node + 2) % MILLION)]);
    let edges: Vec<_> = ring.collect();
    let graph = graph(MILLION as usize, &edges);
    let found = cycles(&graph);
    assert_eq!(found.len(), 1);
    let mut steps = 10_000;
    is_cycle(&graph, &graph.shortest_cycle_within(&found[0], &mut steps)).expect("a cycle");
    assert_eq!(steps, 0, "they are used up, and the next component gets its first cycle only");
    is_cycle(&graph, &graph.shortest_cycle_within(&found[0], &mut steps)).expect("a cycle");
}

fn is_cycle(graph: &Dependencies, cycle: &[u32]) -> Result<(), TestCaseError> {
    prop_assert!(!cycle.is_empty());
    prop_assert_eq!(cycle.iter().collect::<BTreeSet<_>>().len(), cycle.len(), "a node comes twice");
    for (place, node) in cycle.iter().enumerate() {
        let next = cycle[(place + 1) % cycle.len()];
        prop_assert!(graph.successors(*node).contains(&next), "{} does not lead to {}", node, next);
    }
    Ok(())
}

/// How many edges lead from each node to each, at least one, by Floyd and Warshall.
fn distances(nodes: usize, edges: &[(u32, u32)]) -> Vec<Vec<Option<usize>>> {
    let mut known = vec![vec![None; nodes]; nodes];
    for (from, to) in edges {
        known[*from as usize][*to as usize] = Some(1);
    }
    for middle in 0..nodes {
        for from in 0..nodes {
            for to in 0..nodes {
                if let (Some(first), Some(second)) = (known[from][middle], known[middle][to]) {
                    let through = first + second;
                    known[from][to] = Some(known[from][to].map_or(through, |direct: usize| direct.min(through)));
                }
            }
        }
    }
    known
}

fn edges_of(nodes: usize) -> impl Strategy<Value = (usize, Vec<(u32, u32)>)> {
    let node = 0..u32::try_from(nodes).expect("a small number");
    (Just(nodes), prop::collection::vec((node.clone(), node), 0..nodes * 3))
}

proptest! {
    #[test]
    fn orders_components_and_shortest_cycles_are_those_of_a_table_of_all_distances(
        (nodes, edges) in (1_usize..14).prop_flat_map(edges_of),
    ) {
        let graph = graph(nodes, &edges);
        let known = distances(nodes, &edges);
        let reaches = |from: u32, to: u32| known[from as usize][to as usize];
        let order = graph.topological_order();

        let all: BTreeSet<u32> = order.order.iter().chain(&order.left).copied().collect();
        prop_assert_eq!(all.len(), nodes);
        prop_assert_eq!(order.order.len() + order.left.len(), nodes);
        let place = |node: u32| order.order.iter().position(|found| *found == node);
        for (from, to) in &edges {
            if let Some(behind) = place(*to) {
                prop_assert!(place(*from).is_some_and(|before| before < behind));
            }
        }
        let is_behind_a_cycle =
            |node: u32| (0..).take(nodes).any(|on| reaches(on, on).is_some() && (on == node || reaches(on, node).is_some()));
        prop_assert!(order.left.iter().all(|node| is_behind_a_cycle(*node)));
        prop_assert!(!order.order.iter().any(|node| is_behind_a_cycle(*node)));

        let mut expected: Vec<Vec<u32>> = Vec::new();
        for node in (0..).take(nodes).filter(|node| reaches(*node, *node).is_some()) {
            match expected.iter_mut().find(|group| reaches(group[0], node).is_some() && reaches(node, group[0]).is_some()) {
                Some(group) => group.push(node),
                None => expected.push(vec![node]),
            }
        }
        let found = graph.cycles(&order);
        prop_assert_eq!(&found, &expected);
        for component in &found {
            let cycle = graph.shortest_cycle(component);
            is_cycle(&graph, &cycle)?;
            prop_assert_eq!(Some(cycle.len()), component.iter().filter_map(|node| reaches(*node, *node)).min());
            prop_assert!(cycle.iter().all(|node| component.contains(node)));
            prop_assert_eq!(cycle.iter().min(), cycle.first());
            // Without any steps left it is still a cycle.
            is_cycle(&graph, &shortest::cycle(&graph, component, &mut 0))?;
        }
    }
}
