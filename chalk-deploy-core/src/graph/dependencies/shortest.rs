//! The shortest cycle of a component.
//!
//! From each node in turn, a search in breadth finds the shortest cycle through it, and goes no deeper than the
//! shortest one found before. Then the node is taken away, and with it every node that is on no cycle any more: a
//! single ring is done after one search, whatever its length.

use super::Dependencies;

/// Nobody, as a node.
const NONE: u32 = u32::MAX;

/// The shortest cycle among these nodes. After the first cycle no more than `steps` edges are followed; what is left of
/// them is there afterwards.
pub(super) fn cycle(graph: &Dependencies, component: &[u32], steps: &mut usize) -> Vec<u32> {
    let mut names: Vec<u32> = component.iter().copied().filter(|node| (*node as usize) < graph.nodes()).collect();
    names.sort_unstable();
    names.dedup();
    if let Some(node) = names.iter().find(|node| graph.successors(**node).contains(node)) {
        return vec![*node];
    }
    let mut search = Search::new(graph, &names);
    let mut shortest: Vec<u32> = Vec::new();
    for node in (0_u32..).take(names.len()) {
        // Nothing is shorter than two nodes when no node has an edge to itself.
        if shortest.len() == 2 || (*steps == 0 && !shortest.is_empty()) {
            break;
        }
        if search.is_gone[node as usize] {
            continue;
        }
        // Until there is a cycle, there is no limit: in a component, the first search finds one.
        let (mut limit, most) =
            if shortest.is_empty() { (usize::MAX, usize::MAX) } else { (*steps, shortest.len() - 1) };
        if let Some(found) = search.through(node, most, &mut limit) {
            shortest = found;
        }
        *steps = limit.min(*steps);
        search.take_away(node);
    }
    let mut cycle: Vec<u32> = shortest.into_iter().filter_map(|node| names.get(node as usize).copied()).collect();
    let first = cycle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(place, _)| place);
    cycle.rotate_left(first);
    cycle
}

/// The nodes of a component under numbers of their own, with the edges among them.
struct Search {
    forth: Dependencies,
    back: Dependencies,
    /// Edges from and to nodes that are not gone.
    outgoing: Vec<u32>,
    incoming: Vec<u32>,
    is_gone: Vec<bool>,
    /// In which search a node was reached, counted from 1, and from where.
    reached: Vec<u32>,
    from: Vec<u32>,
    searches: u32,
    queue: Vec<u32>,
}

impl Search {
    fn new(graph: &Dependencies, names: &[u32]) -> Self {
        let mut numbers = vec![NONE; graph.nodes()];
        for (number, name) in (0_u32..).zip(names) {
            numbers[*name as usize] = number;
        }
        let (mut forth, mut back) = (Dependencies::builder(names.len()), Dependencies::builder(names.len()));
        let (mut outgoing, mut incoming) = (vec![0; names.len()], vec![0; names.len()]);
        for (from, name) in (0_u32..).zip(names) {
            for target in graph.successors(*name) {
                let to = numbers[*target as usize];
                if to != NONE {
                    forth.edge(from, to);
                    back.edge(to, from);
                    outgoing[from as usize] += 1;
                    incoming[to as usize] += 1;
                }
            }
        }
        Self {
            forth: forth.build(),
            back: back.build(),
            outgoing,
            incoming,
            is_gone: vec![false; names.len()],
            reached: vec![0; names.len()],
            from: vec![NONE; names.len()],
            searches: 0,
            queue: Vec::new(),
        }
    }

    /// The shortest cycle through a node, of at most `most` nodes.
    fn through(&mut self, root: u32, most: usize, steps: &mut usize) -> Option<Vec<u32>> {
        self.searches += 1;
        self.queue.clear();
        self.queue.push(root);
        self.reached[root as usize] = self.searches;
        // The nodes up to `end` are `length` nodes away, the root counted.
        let (mut next, mut end, mut length) = (0, 1, 1);
        while let Some(node) = self.queue.get(next).copied() {
            if next == end {
                (end, length) = (self.queue.len(), length + 1);
            }
            if length > most {
                return None;
            }
            next += 1;
            for target in self.forth.successors(node) {
                *steps = steps.checked_sub(1)?;
                let at = *target as usize;
                if *target == root {
                    return Some(self.way_to(node, root));
                }
                if !self.is_gone[at] && self.reached[at] != self.searches {
                    self.reached[at] = self.searches;
                    self.from[at] = node;
                    self.queue.push(*target);
                }
            }
        }
        None
    }

    fn way_to(&self, last: u32, root: u32) -> Vec<u32> {
        let mut way = vec![last];
        let mut node = last;
        while node != root {
            node = self.from[node as usize];
            way.push(node);
        }
        way.reverse();
        way
    }

    /// Takes a node away, and all that is on no cycle without it.
    fn take_away(&mut self, node: u32) {
        let mut going = vec![node];
        self.is_gone[node as usize] = true;
        while let Some(node) = going.pop() {
            for (graph, counts) in [(&self.forth, &mut self.incoming), (&self.back, &mut self.outgoing)] {
                for neighbour in graph.successors(node) {
                    let at = *neighbour as usize;
                    counts[at] -= 1;
                    if counts[at] == 0 && !self.is_gone[at] {
                        self.is_gone[at] = true;
                        going.push(*neighbour);
                    }
                }
            }
        }
    }
}
