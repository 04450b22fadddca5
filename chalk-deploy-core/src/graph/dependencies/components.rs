//! Strongly connected components: Tarjan's algorithm, with a stack of its own.

use super::Dependencies;

/// Not seen yet, as an index.
const UNSEEN: u32 = u32::MAX;
/// In a component that is complete, as an index: larger than every index that is given.
const CLOSED: u32 = u32::MAX - 1;

/// The components of these nodes that hold a cycle. All nodes that they lead to and that lead back are among them.
pub(super) fn cyclic(graph: &Dependencies, nodes: &[u32]) -> Vec<Vec<u32>> {
    if nodes.is_empty() {
        return Vec::new();
    }
    let mut walk = Walk { graph, low: vec![UNSEEN; graph.nodes()], next: 0, open: Vec::new(), found: Vec::new() };
    for node in nodes {
        if walk.low.get(*node as usize) == Some(&UNSEEN) {
            walk.from(*node);
        }
    }
    let mut found = walk.found;
    for component in &mut found {
        component.sort_unstable();
    }
    found.sort_unstable_by_key(|component| component.first().copied());
    found
}

struct Walk<'g> {
    graph: &'g Dependencies,
    /// The smallest index known to be reachable from each node, through nodes that are open.
    low: Vec<u32>,
    next: u32,
    /// Nodes whose component is not complete.
    open: Vec<u32>,
    found: Vec<Vec<u32>>,
}

/// A node on the way, and how many of its successors were looked at.
struct Visit {
    node: u32,
    index: u32,
    looked_at: usize,
}

impl Walk<'_> {
    fn from(&mut self, node: u32) {
        let mut way = vec![self.enter(node)];
        while let Some(visit) = way.last_mut() {
            let Visit { node, index, looked_at } = *visit;
            if let Some(target) = self.graph.successors(node).get(looked_at).copied() {
                visit.looked_at += 1;
                match self.low[target as usize] {
                    UNSEEN => way.push(self.enter(target)),
                    CLOSED => {}
                    low => self.lower(node, low),
                }
                continue;
            }
            way.pop();
            let low = self.low[node as usize];
            if low == index {
                self.close(node);
            } else if let Some(before) = way.last() {
                self.lower(before.node, low);
            }
        }
    }

    fn enter(&mut self, node: u32) -> Visit {
        let index = self.next;
        self.next += 1;
        self.low[node as usize] = index;
        self.open.push(node);
        Visit { node, index, looked_at: 0 }
    }

    fn lower(&mut self, node: u32, low: u32) {
        let known = &mut self.low[node as usize];
        *known = (*known).min(low);
    }

    /// Takes the component whose first node this is.
    fn close(&mut self, first: u32) {
        let place = self.open.iter().rposition(|node| *node == first).unwrap_or(0);
        let component = self.open.split_off(place);
        for node in &component {
            self.low[*node as usize] = CLOSED;
        }
        if component.len() > 1 || self.graph.successors(first).contains(&first) {
            self.found.push(component);
        }
    }
}
