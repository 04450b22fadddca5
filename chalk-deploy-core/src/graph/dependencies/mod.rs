//! TEMPORARY until the branch graphdiff is merged.
#[derive(Debug)] pub(super) struct Dependencies { starts: Vec<u32>, targets: Vec<u32> }
#[derive(Debug)] pub(super) struct DependenciesBuilder { nodes: usize, edges: Vec<(u32,u32)> }
#[derive(Debug)] pub(super) struct Order { pub(super) order: Vec<u32>, pub(super) left: Vec<u32> }
impl DependenciesBuilder {
    pub(super) fn edge(&mut self, from: u32, to: u32) { self.edges.push((from,to)); }
    pub(super) fn build(mut self) -> Dependencies {
        self.edges.sort_unstable();
        let mut starts = vec![0u32; self.nodes + 1];
        for (f,_) in &self.edges { starts[*f as usize + 1] += 1; }
        for i in 0..self.nodes { starts[i+1] += starts[i]; }
        Dependencies { starts, targets: self.edges.into_iter().map(|(_,t)| t).collect() }
    }
}
impl Dependencies {
    pub(super) fn builder(nodes: usize) -> DependenciesBuilder { DependenciesBuilder { nodes, edges: Vec::new() } }
    pub(super) fn nodes(&self) -> usize { self.starts.len() - 1 }
    pub(super) fn successors(&self, n: u32) -> &[u32] { &self.targets[self.starts[n as usize] as usize..self.starts[n as usize+1] as usize] }
    pub(super) fn topological_order(&self) -> Order {
        let mut indegree = vec![0u32; self.nodes()];
        for t in &self.targets { indegree[*t as usize] += 1; }
        let mut order: Vec<u32> = (0..self.nodes() as u32).filter(|n| indegree[*n as usize]==0).collect();
        let mut i = 0;
        while i < order.len() { for t in self.successors(order[i]) { indegree[*t as usize]-=1; if indegree[*t as usize]==0 { order.push(*t); } } i+=1; }
        let left = (0..self.nodes() as u32).filter(|n| indegree[*n as usize]>0).collect();
        Order { order, left }
    }
    pub(super) fn cycles(&self, order: &Order) -> Vec<Vec<u32>> {
        let mut index = vec![u32::MAX; self.nodes()]; let mut low = index.clone(); let mut on = vec![false; self.nodes()];
        let (mut stack, mut out, mut next) = (Vec::new(), Vec::new(), 0u32);
        for s in &order.left {
            if index[*s as usize] != u32::MAX { continue; }
            let mut calls = vec![(*s, 0usize)];
            while let Some((v, i)) = calls.pop() {
                if i == 0 { index[v as usize]=next; low[v as usize]=next; next+=1; stack.push(v); on[v as usize]=true; }
                if let Some(w) = self.successors(v).get(i).copied() {
                    calls.push((v,i+1));
                    if index[w as usize]==u32::MAX { calls.push((w,0)); } else if on[w as usize] { low[v as usize]=low[v as usize].min(index[w as usize]); }
                } else {
                    if low[v as usize]==index[v as usize] { let mut c=Vec::new(); while let Some(w)=stack.pop() { on[w as usize]=false; c.push(w); if w==v {break;} }
                        if c.len()>1 || self.successors(v).contains(&v) { out.push(c); } }
                    if let Some((p,_)) = calls.last() { low[*p as usize]=low[*p as usize].min(low[v as usize]); }
                }
            }
        }
        out
    }
    pub(super) fn shortest_cycle(&self, component: &[u32]) -> Vec<u32> {
        let inside: std::collections::HashSet<u32> = component.iter().copied().collect();
        let mut best: Vec<u32> = Vec::new();
        for s in component {
            let mut parent = std::collections::HashMap::new(); let mut q = std::collections::VecDeque::from([*s]);
            'search: while let Some(v)=q.pop_front() { for w in self.successors(v) { if w==s { let mut c=vec![v]; let mut a=v; while let Some(p)=parent.get(&a) { a=*p; c.push(a); } c.reverse(); if best.is_empty()||c.len()<best.len() {best=c;} break 'search; }
                if inside.contains(w) && !parent.contains_key(w) { parent.insert(*w, v); q.push_back(*w); } } }
        }
        best
    }
}
