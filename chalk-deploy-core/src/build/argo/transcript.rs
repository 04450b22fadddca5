//! What a build has said, as a fold over looks at it. Pure.
//!
//! A look shows how things stand, not what has happened since the last one; so each look is compared with what has been
//! told, and only what is new becomes an event. Whoever looks again from the start, after a crash, comes to the same
//! events as long as the pod is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::status::{Container, Log, Node, Phase, Snapshot};
use crate::build::report::BuildLine;
use crate::cloud::BuildEvent;
use crate::text;

/// So many lines of a build are kept.
const LINES_MOST: usize = 2000;
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
        if !told.runs {
            let reason = match main {
                Some(Container::Waiting(reason)) if !reason.is_empty() => Some(reason),
                _ if node.phase == Phase::Pending && !node.message.is_empty() => Some(&node.message),
                _ => None,
            };
            if let Some(reason) = reason
                && told.reasons.len() < REASONS_MOST
                && told.reasons.insert(reason.clone())
            {
                self.say(&node.step, format!("its pod waits: {reason}"));
            }
        }
        let runs = node.phase == Phase::Running || main.is_some_and(Container::has_begun);
        if runs && !told.runs {
            told.runs = true;
            let of = pod.map(|pod| format!(" in pod {}", text::line(&pod.name, 100))).unwrap_or_default();
            self.say(&node.step, format!("it runs{of}"));
        }
        if let Some(log) = pod.and_then(|pod| snapshot.logs.get(&pod.name))
            && !told.is_over
        {
            self.take_log(&node.step, log, &mut told.lines, redact);
        }
        let ended = matches!(main, Some(Container::Ended { .. }));
        if !told.is_over && (node.phase.is_over() || ended) {
            told.is_over = true;
            self.say(&node.step, end(node, main));
        }
        self.told.insert(node.id.clone(), told);
    }

    fn take_log(&mut self, step: &str, log: &Log, told: &mut usize, redact: &dyn Fn(&str) -> String) {
        if let Some(why) = &log.refused {
            self.note(format!("its log cannot be read: {why}"));
        }
        for written in log.lines.iter().skip(*told) {
            *told += 1;
            if self.lines == LINES_MOST {
                self.note(format!("only its first {LINES_MOST} lines are kept; the pod's log has the rest"));
                return;
            }
            self.lines += 1;
            let BuildLine { step, line } = BuildLine::read(written, step, redact);
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
        (Phase::Pending | Phase::Running, Some(Container::Ended { code, reason, .. })) => {
            format!("it has failed with exit code {code}{}", if reason == "Error" { "" } else { reason.as_str() })
        }
        _ => format!("it has failed{said}"),
    }
}
