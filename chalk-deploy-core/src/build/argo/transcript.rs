//! What a build has said, as a fold over looks at it. Pure.
//!
//! A look shows how things stand, not what has happened since the last one; so each look is compared with what has been
//! told, and only what is new becomes an event. Whoever looks again from the start, after a crash, comes to the same
//! events as long as the pod is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::status::{Before, Container, Log, MAIN, Node, Phase, Pod, Snapshot};
use crate::build::report::BuildLine;
use crate::cloud::BuildEvent;
use crate::text;

/// So many lines of a build are kept.
const LINES_MOST: usize = 2000;
/// So many of them may be those of strangers' commands, so that what we say after them is kept.
const STRANGERS_MOST: usize = 1800;
/// So many reasons why a step waits are told.
const REASONS_MOST: usize = 10;

/// So many of the last lines an error tells.
const LAST_LINES: usize = 3;

/// The step of what is said of the workflow as a whole.
const WORKFLOW: &str = "workflow";

/// What a build has said so far.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    events: Vec<BuildEvent>,
    told: BTreeMap<String, Told>,
    lines: usize,
    of_strangers: usize,
    /// The last lines that a container has written.
    last: VecDeque<String>,
    notes: BTreeSet<String>,
}

/// What has been told of a node.
#[derive(Debug, Default)]
struct Told {
    reasons: BTreeSet<String>,
    runs: bool,
    lines: usize,
    is_over: bool,
}

impl Transcript {
    /// The events after a number.
    pub(super) fn after(&self, number: u64) -> Vec<BuildEvent> {
        let from = usize::try_from(number).unwrap_or(usize::MAX).min(self.events.len());
        self.events[from..].to_vec()
    }

    /// The last lines that a container has written, as an error tells them.
    pub(super) fn last_lines(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    /// Whether all has been told of a container before the main one: its log need not be read again.
    pub(super) fn has_told(&self, pod: &Pod, container: &Before) -> bool {
        self.told.get(&key(pod, container)).is_some_and(|told| told.is_over)
    }

    /// Says something about the workflow as a whole, once.
    pub(super) fn note(&mut self, line: String) {
        if self.notes.insert(line.clone()) {
            self.say(WORKFLOW, line);
        }
    }

    /// Another workflow has taken the place of the one that was looked at: all is told of it.
    pub(super) fn begin_again(&mut self) {
        self.told.clear();
        self.say(WORKFLOW, "the workflow was made anew".to_owned());
    }

    /// Takes in how things stand. `redact` takes out of lines what must not be kept.
    pub(super) fn take(&mut self, snapshot: &Snapshot, redact: &dyn Fn(&str) -> String) {
        if let Some(why) = &snapshot.status.unread {
            self.note(format!("its steps cannot be told: {why}"));
        }
        let nodes: Vec<Node> = if snapshot.status.nodes.is_empty() {
            // What cannot be told of nodes, pods tell.
            let of_pod = |pod: &super::status::Pod| Node {
                id: pod.node.clone(),
                step: "build".to_owned(),
                phase: if pod.main.has_begun() { Phase::Running } else { Phase::Pending },
                ..Node::default()
            };
            snapshot.pods.iter().map(of_pod).collect()
        } else {
            snapshot.status.nodes.clone()
        };
        for node in &nodes {
            self.take_node(node, snapshot, redact);
        }
    }

    fn take_node(&mut self, node: &Node, snapshot: &Snapshot, redact: &dyn Fn(&str) -> String) {
        let mut told = self.told.remove(&node.id).unwrap_or_default();
        let pod = snapshot.pods.iter().find(|pod| pod.node == node.id);
        let main = pod.map(|pod| &pod.main);
        for container in pod.iter().flat_map(|pod| &pod.before) {
            if let Some(pod) = pod {
                self.take_before(pod, container, snapshot, redact);
            }
        }
        // What is before it tells why it waits.
        let is_first = pod.is_none_or(|pod| pod.before.is_empty());
        if !told.runs {
            let reason = match main {
                Some(Container::Waiting(reason)) if !reason.is_empty() && is_first => Some(reason),
                _ if node.phase == Phase::Pending && !node.message.is_empty() && is_first => Some(&node.message),
                _ => None,
            };
            if let Some(reason) = reason
                && told.reasons.len() < REASONS_MOST
                && told.reasons.insert(reason.clone())
            {
                self.say(&node.step, format!("its pod waits: {reason}"));
            }
        }
        let runs = node.phase == Phase::Running && is_first || main.is_some_and(Container::has_begun);
        if runs && !told.runs {
            told.runs = true;
            let of = pod.map(|pod| format!(" in pod {}", text::line(&pod.name, 100))).unwrap_or_default();
            self.say(&node.step, format!("it runs{of}"));
        }
        if let Some(log) = pod.and_then(|pod| snapshot.logs.get(&(pod.name.clone(), MAIN.to_owned())))
            && !told.is_over
        {
            self.take_log(&node.step, log, &mut told.lines, false, redact);
        }
        let ended = matches!(main, Some(Container::Ended { .. }));
        if !told.is_over && (node.phase.is_over() || ended) {
            told.is_over = true;
            self.say(&node.step, end(node, main));
        }
        self.told.insert(node.id.clone(), told);
    }

    fn take_before(&mut self, pod: &Pod, container: &Before, snapshot: &Snapshot, redact: &dyn Fn(&str) -> String) {
        let (name, state) = (&container.name, &container.state);
        let mut told = self.told.remove(&key(pod, container)).unwrap_or_default();
        // `PodInitializing` is its turn not having come.
        if let Container::Waiting(reason) = state
            && !reason.is_empty()
            && !reason.starts_with("PodInitializing")
            && told.reasons.len() < REASONS_MOST
            && told.reasons.insert(reason.clone())
        {
            self.say(name, format!("its pod waits: {reason}"));
        }
        if state.has_begun() && !told.runs {
            told.runs = true;
            self.say(name, format!("it runs in pod {}", text::line(&pod.name, 100)));
        }
        if let Some(log) = snapshot.logs.get(&(pod.name.clone(), name.clone()))
            && !told.is_over
        {
            self.take_log(name, log, &mut told.lines, container.is_strangers(), redact);
        }
        if let Container::Ended { code, reason, .. } = state
            && !told.is_over
        {
            told.is_over = true;
            self.say(name, if *code == 0 { "it has succeeded".to_owned() } else { failed(*code, reason) });
        }
        self.told.insert(key(pod, container), told);
    }

    fn take_log(
        &mut self,
        step: &str,
        log: &Log,
        told: &mut usize,
        is_strangers: bool,
        redact: &dyn Fn(&str) -> String,
    ) {
        if let Some(why) = &log.refused {
            self.note(format!("its log cannot be read: {why}"));
        }
        for written in log.lines.iter().skip(*told) {
            *told += 1;
            if self.lines == LINES_MOST {
                self.note(format!("only its first {LINES_MOST} lines are kept; the pod's log has the rest"));
                return;
            }
            if is_strangers && self.of_strangers == STRANGERS_MOST {
                let most = STRANGERS_MOST;
                self.note(format!(
                    "only the first {most} lines of the Dockerfile are kept; the pod's log has the rest"
                ));
                // The last ones tell why it has failed.
                self.keep_last(log, step, redact);
                *told = log.lines.len();
                return;
            }
            self.lines += 1;
            self.of_strangers += usize::from(is_strangers);
            let BuildLine { step, line } = if is_strangers {
                // It says what it likes; it does not say which step it is.
                BuildLine::of_strangers(written, step, redact)
            } else {
                BuildLine::read(written, step, redact)
            };
            if !line.trim().is_empty() {
                self.last.push_back(line.clone());
                if self.last.len() > LAST_LINES {
                    self.last.pop_front();
                }
            }
            self.say(&step, line);
        }
        if log.is_cut {
            self.note("the log is longer than what is read of it; the pod's log has the rest".to_owned());
        }
    }

    fn keep_last(&mut self, log: &Log, step: &str, redact: &dyn Fn(&str) -> String) {
        let written = log.lines.iter().rev().filter(|line| !line.trim().is_empty()).take(LAST_LINES);
        let last: Vec<_> = written.map(|line| BuildLine::of_strangers(line, step, redact).line).collect();
        self.last = last.into_iter().rev().collect();
    }

    fn say(&mut self, step: &str, line: String) {
        let number = self.events.len() as u64 + 1;
        self.events.push(BuildEvent { number, step: step.to_owned(), line });
    }
}

/// How a step has ended, in words.
fn end(node: &Node, main: Option<&Container>) -> String {
    let said = if node.message.is_empty() { String::new() } else { format!(": {}", node.message) };
    match (node.phase, main) {
        (Phase::Succeeded, _) | (_, Some(Container::Ended { code: 0, .. })) => "it has succeeded".to_owned(),
        (Phase::Left, _) => format!("it was left out{said}"),
        (Phase::Pending | Phase::Running, Some(Container::Ended { code, reason, .. })) => failed(*code, reason),
        _ => format!("it has failed{said}"),
    }
}

fn failed(code: i64, reason: &str) -> String {
    match reason {
        "" | "Error" => format!("it has failed with exit code {code}"),
        reason => format!("it has failed with exit code {code}: {reason}"),
    }
}

fn key(pod: &Pod, container: &Before) -> String {
    format!("{}/{}", pod.node, container.name)
}
