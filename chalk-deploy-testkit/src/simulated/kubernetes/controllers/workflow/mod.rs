//! Workflows as Argo runs them (documentation: *Argo Workflows, Field Reference*): the nodes of a workflow advance over
//! time and come out as tests have chosen by the name of their template, or as a program of theirs does. Each step has
//! its pod, which holds the container that Argo would make, and which is played here.
//!
//! Templates are containers, scripts, steps, graphs of tasks and suspensions; `retryStrategy.limit`, `onExit`,
//! `spec.suspend`, `spec.shutdown`, deadlines and the time to live are observed. Loops, references to templates of other
//! objects and expressions are an error of the node that has them.

mod calls;
mod node;
mod outcome;
mod step_pod;
mod steps;
mod visit;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::model::Timestamp;
use serde_json::{Map, Value, json};

use self::node::Tree;
use self::outcome::Outcome;
pub(super) use self::steps::Steps;
use super::pass::Pass;
use super::view;
use super::write::{Propagation, Writer};
use crate::simulated::kubernetes::resource::{POD, WORKFLOW};

const WRITER: Writer = Writer::Argo;

/// How the steps of a template come out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateBehaviour {
    /// They succeed.
    Succeed {
        /// How long they run; `None`: as the settings say.
        after: Option<Duration>,
        /// `outputs.parameters`.
        outputs: BTreeMap<String, String>,
    },
    /// They fail.
    Fail {
        /// How long they run; `None`: as the settings say.
        after: Option<Duration>,
        /// Why.
        message: String,
        /// How often, for one step that is tried again; `None`: always.
        times: Option<u32>,
    },
    /// They run and come to no end.
    Hang,
}

impl Default for TemplateBehaviour {
    fn default() -> Self {
        Self::Succeed { after: None, outputs: BTreeMap::new() }
    }
}

/// Moves workflows on. Remembers when nodes began, to the millisecond.
#[derive(Debug)]
pub(super) struct Workflows {
    steps: Arc<Steps>,
    began: BTreeMap<(String, String), Timestamp>,
}

impl Workflows {
    pub(super) fn new(steps: Arc<Steps>) -> Self {
        Self { steps, began: BTreeMap::new() }
    }

    /// Looks at every workflow.
    pub(super) fn reconcile(&mut self, pass: &Pass<'_>) {
        let workflows = pass.list(WORKFLOW, None);
        let pods = pass.list(POD, None);
        self.steps.keep(|uid| pods.iter().any(|pod| view::uid(pod) == uid && !view::is_deleting(pod)));
        self.began.retain(|(uid, _), _| workflows.iter().any(|workflow| view::uid(workflow) == uid));
        for workflow in &workflows {
            if view::is_deleting(workflow) {
                continue;
            }
            if is_over(view::text(workflow, "/status/phase")) {
                clear_away(pass, workflow);
            } else {
                self.advance(pass, workflow);
            }
        }
    }

    fn advance(&mut self, pass: &Pass<'_>, workflow: &Value) {
        let mut status = match &workflow["status"] {
            Value::Object(status) => status.clone(),
            _ => Map::new(),
        };
        let started = match status.get("startedAt").and_then(Value::as_str) {
            Some(started) => started.to_owned(),
            None => pass.stamp(),
        };
        let stopped = stopped(pass, workflow, &started);
        let nodes = status.get("nodes").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut tree = Tree::new(pass, &self.steps, &mut self.began, workflow, nodes);
        let name = view::name(workflow);
        tree.stop(stopped.as_deref());
        let main = tree.visit(name, name, view::text(workflow, "/spec/entrypoint"), None, 0);
        let mut outcome = main;
        let exit = view::text(workflow, "/spec/onExit");
        let terminated = view::text(workflow, "/spec/shutdown") == "Terminate";
        if main.is_over() && !exit.is_empty() && !terminated {
            tree.stop(None);
            let handler = format!("{name}.onExit");
            outcome = match tree.visit(&handler, &handler, exit, None, 0) {
                // What the handler says counts only when it goes wrong.
                Outcome::Succeeded => main,
                other => other,
            };
        }
        let (done, all) = tree.progress();
        let message = stopped.filter(|_| outcome != Outcome::Succeeded).or_else(|| tree.message(name));
        let nodes = tree.into_nodes();
        let phase = outcome.phase();
        status.insert("phase".to_owned(), phase.into());
        status.insert("startedAt".to_owned(), started.into());
        status.insert("progress".to_owned(), format!("{done}/{all}").into());
        status.insert("nodes".to_owned(), nodes.into());
        status.insert("finishedAt".to_owned(), if outcome.is_over() { pass.stamp().into() } else { Value::Null });
        if let Some(message) = message.filter(|_| outcome.is_over()) {
            status.insert("message".to_owned(), message.into());
        }
        let running = if outcome.is_over() { "False" } else { "True" };
        let mut conditions = vec![json!({"type": "PodRunning", "status": running})];
        if outcome.is_over() {
            conditions.push(json!({"type": "Completed", "status": "True"}));
        }
        status.insert("conditions".to_owned(), conditions.into());
        if workflow.get("status").and_then(Value::as_object) == Some(&status) {
            return;
        }
        pass.update(WRITER, WORKFLOW, workflow, |workflow| {
            let over = if outcome.is_over() { "true" } else { "false" };
            view::map(&mut workflow["metadata"], "labels").insert(PHASE_LABEL.to_owned(), phase.into());
            view::map(&mut workflow["metadata"], "labels").insert(COMPLETED_LABEL.to_owned(), over.into());
            workflow["status"] = status.into();
        });
    }
}

const PHASE_LABEL: &str = "workflows.argoproj.io/phase";
const COMPLETED_LABEL: &str = "workflows.argoproj.io/completed";

fn is_over(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed" | "Error")
}

/// Why everything that runs is to end now.
fn stopped(pass: &Pass<'_>, workflow: &Value, started: &str) -> Option<String> {
    let shutdown = view::text(workflow, "/spec/shutdown");
    if matches!(shutdown, "Stop" | "Terminate") {
        return Some(format!("Stopped with strategy '{shutdown}'"));
    }
    let seconds = view::number(workflow, "/spec/activeDeadlineSeconds")?;
    let late = pass.has_passed_since(Duration::from_secs(seconds.into()), started);
    late.then(|| "Max duration limit exceeded".to_owned())
}

/// A workflow that is over goes when its time has passed.
fn clear_away(pass: &Pass<'_>, workflow: &Value) {
    let special = match view::text(workflow, "/status/phase") {
        "Succeeded" => "/spec/ttlStrategy/secondsAfterSuccess",
        _ => "/spec/ttlStrategy/secondsAfterFailure",
    };
    let seconds =
        view::number(workflow, special).or_else(|| view::number(workflow, "/spec/ttlStrategy/secondsAfterCompletion"));
    if let Some(seconds) = seconds
        && pass.has_passed_since(Duration::from_secs(seconds.into()), view::text(workflow, "/status/finishedAt"))
    {
        pass.delete(WRITER, WORKFLOW, workflow, Propagation::Background);
    }
}
