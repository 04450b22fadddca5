//! The scheduler: gives pods to nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::event::Tone;
use super::pass::{Moments, Pass};
use super::write::Writer;
use super::{pod, selector, view};
use crate::simulated::kubernetes::kubelet::{Behaviours, PodBehaviour};
use crate::simulated::kubernetes::resource::{NODE, POD};
use crate::simulated::kubernetes::schema::quantity;

const WRITER: Writer = Writer::Scheduler;

/// Gives pods to nodes. Remembers since when a pod waits.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    waiting: Moments,
}

/// Quantities are counted in billionths.
const BILLION: i128 = 1_000_000_000;

/// What a node has left.
#[derive(Debug)]
struct Room {
    node: Arc<Value>,
    cpu: i128,
    memory: i128,
    pods: i128,
}

impl Scheduler {
    /// Looks at every pod without a node.
    pub(super) fn reconcile(&mut self, pass: &Pass<'_>, behaviours: &Behaviours) {
        let pods = pass.list(POD, None);
        self.waiting.keep(&pods.iter().map(|pod| view::uid(pod)).collect());
        let mut waiting: Vec<_> = pods.iter().filter(|pod| waits(pod)).collect();
        if waiting.is_empty() {
            return;
        }
        waiting
            .sort_by_key(|pod| (view::text(pod, "/metadata/creationTimestamp"), view::namespace(pod), view::name(pod)));
        let mut rooms = rooms(pass, &pods);
        for pod in waiting {
            let since = self.waiting.first_seen(view::uid(pod), "unscheduled", pass.now);
            if pass.has_passed(pass.settings.schedule, since) {
                place(pass, behaviours, pod, &mut rooms);
            }
        }
    }
}

fn waits(pod: &Value) -> bool {
    pod::is_active(pod)
        && view::text(pod, "/spec/nodeName").is_empty()
        && view::items(pod, "/spec/schedulingGates").is_empty()
}

fn rooms(pass: &Pass<'_>, pods: &[Arc<Value>]) -> Vec<Room> {
    let mut taken: BTreeMap<&str, (i128, i128, i128)> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !pod::has_ended(pod)) {
        let of_node = taken.entry(view::text(pod, "/spec/nodeName")).or_default();
        of_node.0 += requested(pod, "cpu");
        of_node.1 += requested(pod, "memory");
        of_node.2 += 1;
    }
    let room = |node: Arc<Value>| {
        let has = |what: &str| quantity::parse(&node["status"]["allocatable"][what]).unwrap_or(0);
        let (cpu, memory, pods) = taken.get(view::name(&node)).copied().unwrap_or_default();
        Room { cpu: has("cpu") - cpu, memory: has("memory") - memory, pods: has("pods") / BILLION - pods, node }
    };
    pass.list(NODE, None).into_iter().map(room).collect()
}

fn place(pass: &Pass<'_>, behaviours: &Behaviours, pod: &Arc<Value>, rooms: &mut [Room]) {
    let image = view::text(pod, "/spec/containers/0/image");
    let refused = behaviours.of(pod, image) == PodBehaviour::Unschedulable;
    let mut obstacles: BTreeMap<String, usize> = BTreeMap::new();
    let mut best: Option<&mut Room> = None;
    let all = rooms.len();
    for room in rooms {
        let obstacle = if refused { Some("Insufficient cpu".to_owned()) } else { obstacle(pod, room) };
        match obstacle {
            Some(obstacle) => *obstacles.entry(obstacle).or_default() += 1,
            None if best.as_ref().is_none_or(|best| best.pods < room.pods) => best = Some(room),
            None => {}
        }
    }
    let Some(room) = best else { return refuse(pass, pod, all, &obstacles) };
    let node = view::name(&room.node).to_owned();
    let mut conditions = view::items(pod, "/status/conditions").to_vec();
    view::set_condition(&mut conditions, json!({"type": "PodScheduled", "status": "True"}), &pass.stamp());
    let bound = pass.update(WRITER, POD, pod, |pod| {
        view::map(pod, "spec").insert("nodeName".to_owned(), node.clone().into());
        view::map(pod, "status").insert("conditions".to_owned(), conditions.into());
    });
    if let Some(pod) = bound {
        room.cpu -= requested(&pod, "cpu");
        room.memory -= requested(&pod, "memory");
        room.pods -= 1;
        let message = format!("Successfully assigned {}/{} to {node}", view::namespace(&pod), view::name(&pod));
        pass.tell(WRITER, Tone::Normal, (POD, &pod), "Scheduled", &message);
    }
}

/// Why a node cannot take a pod.
fn obstacle(pod: &Value, room: &Room) -> Option<String> {
    let node = &room.node;
    let untolerated = view::items(node, "/spec/taints").iter().find(|taint| !tolerates(pod, taint));
    if view::flag(node, "/spec/unschedulable") {
        return Some("node(s) were unschedulable".to_owned());
    }
    if !view::holds(node, "Ready") {
        return Some("node(s) had untolerated taint {node.kubernetes.io/not-ready: }".to_owned());
    }
    if let Some(taint) = untolerated {
        let (key, value) = (view::text(taint, "/key"), view::text(taint, "/value"));
        return Some(format!("node(s) had untolerated taint {{{key}: {value}}}"));
    }
    let wanted = &pod["spec"]["nodeSelector"];
    let picky = wanted.as_object().is_some_and(|wanted| !wanted.is_empty());
    if picky && !selector::selects_plainly(wanted, &view::labels(node)) {
        return Some("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    if room.pods < 1 {
        return Some("Too many pods".to_owned());
    }
    if requested(pod, "cpu") > room.cpu.max(0) {
        return Some("Insufficient cpu".to_owned());
    }
    (requested(pod, "memory") > room.memory.max(0)).then(|| "Insufficient memory".to_owned())
}

/// What the containers of a pod ask for together, in billionths. A limit stands for a request that is not said.
fn requested(pod: &Value, what: &str) -> i128 {
    let of = |container: &Value| {
        let said = |section: &str| quantity::parse(&container["resources"][section][what]);
        said("requests").or_else(|| said("limits")).unwrap_or(0).max(0)
    };
    view::items(pod, "/spec/containers").iter().fold(0, |sum: i128, container| sum.saturating_add(of(container)))
}

/// Whether a pod may go to a node with this taint.
fn tolerates(pod: &Value, taint: &Value) -> bool {
    if view::text(taint, "/effect") == "PreferNoSchedule" {
        return true;
    }
    view::items(pod, "/spec/tolerations").iter().any(|toleration| {
        let (key, effect) = (view::text(toleration, "/key"), view::text(toleration, "/effect"));
        let exists = view::text(toleration, "/operator") == "Exists";
        let same_key = key == view::text(taint, "/key") || (key.is_empty() && exists);
        let same_value = exists || view::text(toleration, "/value") == view::text(taint, "/value");
        same_key && same_value && (effect.is_empty() || effect == view::text(taint, "/effect"))
    })
}

fn refuse(pass: &Pass<'_>, pod: &Value, nodes: usize, obstacles: &BTreeMap<String, usize>) {
    let message = if nodes == 0 {
        "no nodes available to schedule pods".to_owned()
    } else {
        let parts: Vec<_> = obstacles.iter().map(|(obstacle, count)| format!("{count} {obstacle}")).collect();
        format!(
            "0/{nodes} nodes are available: {}. preemption: 0/{nodes} nodes are available: {nodes} No preemption \
             victims found for incoming pod.",
            parts.join(", ")
        )
    };
    let told = view::condition(pod, "PodScheduled").is_some_and(|condition| condition["message"] == *message);
    if told {
        return;
    }
    let mut conditions = view::items(pod, "/status/conditions").to_vec();
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
    view::set_condition(&mut conditions, condition, &pass.stamp());
    let written = pass.update(WRITER, POD, pod, |pod| {
        view::map(pod, "status").insert("conditions".to_owned(), conditions.into());
    });
    if written.is_some() {
        pass.tell(WRITER, Tone::Warning, (POD, pod), "FailedScheduling", &message);
    }
}
