//! What needs what, as a graph over numbers: a topological order, and the cycles where there is none.
//!
//! The edges lie in one array, sorted by their origin (compressed sparse rows), so that a graph of a million nodes and
//! four million edges takes 20 MiB and is walked in order. The topological order is Kahn's; components are Tarjan's and
//! only computed on what the order left over. Nothing here calls itself, so that neither a chain nor a component of a
//! million nodes overflows, and all results are the same for the same edges in the same order.

mod components;
mod shortest;

/// A directed graph over the nodes 0, 1, 2 and so on. An edge may stand in it several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependencies {
    /// Where the successors of each node begin, and where those of the last one end.
    starts: Vec<u32>,
    targets: Vec<u32>,
    ignored: usize,
}

/// Collects the edges of [`Dependencies`].
#[derive(Debug, Clone)]
pub struct DependenciesBuilder {
    nodes: u32,
    edges: Vec<(u32, u32)>,
    ignored: usize,
}

/// An order in which every node comes before its successors, as far as there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Order {
    /// The nodes that have a place. First those without predecessors, by number.
    pub order: Vec<u32>,
    /// The nodes on cycles or behind them, by number.
    pub left: Vec<u32>,
}

impl Dependencies {
    /// The most nodes that a graph holds; an export of 100 MiB could not name more. Further nodes do not exist.
    pub const MOST_NODES: usize = 1 << 26;
    /// The most edges that a graph holds. Further ones are [ignored](Self::ignored).
    pub const MOST_EDGES: usize = 1 << 28;

    /// A graph of so many nodes, at most [`MOST_NODES`](Self::MOST_NODES).
    pub fn builder(nodes: usize) -> DependenciesBuilder {
        let nodes = u32::try_from(nodes.min(Self::MOST_NODES)).unwrap_or(0);
        DependenciesBuilder { nodes, edges: Vec::new(), ignored: 0 }
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of edges.
    pub fn edges(&self) -> usize {
        self.targets.len()
    }

    /// The number of edges that were not taken, because they name a node that does not exist or are too many.
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// Where the edges of a node lead, in the order in which they were given. A node that does not exist has none.
    pub fn successors(&self, node: u32) -> &[u32] {
        let node = node as usize;
        match (self.starts.get(node), self.starts.get(node + 1)) {
            (Some(start), Some(end)) => self.targets.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// An order of the nodes, by Kahn's algorithm.
    pub fn topological_order(&self) -> Order {
        let mut waits_for = vec![0_u32; self.nodes()];
        for target in &self.targets {
            waits_for[*target as usize] += 1;
        }
        let mut order = Vec::with_capacity(self.nodes());
        order.extend((0_u32..).zip(&waits_for).filter(|(_, count)| **count == 0).map(|(node, _)| node));
        let mut next = 0;
        while let Some(node) = order.get(next).copied() {
            next += 1;
            for target in self.successors(node) {
                let count = &mut waits_for[*target as usize];
                *count -= 1;
                if *count == 0 {
                    order.push(*target);
                }
            }
        }
        let left = if order.len() == self.nodes() {
            Vec::new()
        } else {
            (0_u32..).zip(&waits_for).filter(|(_, count)| **count > 0).map(|(node, _)| node).collect()
        };
        Order { order, left }
    }

    /// The strongly connected components among what an order of this graph left over: those of several nodes, and
    /// single nodes with an edge to themselves. Each is sorted; they stand by their smallest nodes.
    pub fn cycles(&self, order: &Order) -> Vec<Vec<u32>> {
        components::cyclic(self, &order.left)
    }

    /// The shortest cycle within a component that [`cycles`](Self::cycles) found, as nodes in the order of its edges,
    /// the smallest one first. Empty for nodes without a cycle.
    ///
    /// The work is bounded, [`SHORTEST_CYCLE_STEPS`](Self::SHORTEST_CYCLE_STEPS): in a large component where no short
    /// cycle lies near its first nodes, the cycle is a true one and not always the shortest.
    pub fn shortest_cycle(&self, component: &[u32]) -> Vec<u32> {
        self.shortest_cycle_within(component, &mut { Self::SHORTEST_CYCLE_STEPS })
    }

    /// The same, with as many steps as are left of those for several components.
    pub(super) fn shortest_cycle_within(&self, component: &[u32], steps: &mut usize) -> Vec<u32> {
        shortest::cycle(self, component, steps)
    }

    /// How many edges [`shortest_cycle`](Self::shortest_cycle) follows, beyond those that the first cycle takes.
    pub const SHORTEST_CYCLE_STEPS: usize = 20_000_000;
}

impl DependenciesBuilder {
    /// Makes room for so many further edges.
    pub fn reserve(&mut self, edges: usize) {
        self.edges.reserve(edges.min(Dependencies::MOST_EDGES));
    }

    /// Adds an edge. One that names a node which does not exist is ignored, and so are those after the most that a
    /// graph holds; [`Dependencies::ignored`] counts them.
    pub fn edge(&mut self, from: u32, to: u32) {
        if from < self.nodes && to < self.nodes && self.edges.len() < Dependencies::MOST_EDGES {
            self.edges.push((from, to));
        } else {
            self.ignored += 1;
        }
    }

    /// The graph.
    pub fn build(self) -> Dependencies {
        let nodes = self.nodes as usize;
        // Each edge is counted two places behind its origin; after the sums, the place behind it says where the next
        // edge goes, and after all of them where the successors begin.
        let mut starts = vec![0_u32; nodes + 2];
        for (from, _) in &self.edges {
            starts[*from as usize + 2] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut targets = vec![0_u32; self.edges.len()];
        for (from, to) in &self.edges {
            let place = &mut starts[*from as usize + 1];
            targets[*place as usize] = *to;
            *place += 1;
        }
        starts.truncate(nodes + 1);
        Dependencies { starts, targets, ignored: self.ignored }
    }
}

#[cfg(test)]
mod tests;
