//! The nodes of a workflow: a tree that is walked from its entry at every pass.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::model::Timestamp;
use serde_json::{Map, Value, json};

use super::{Steps, TemplateBehaviour, step_pod};
use crate::simulated::kubernetes::controllers::identifier::word;
use crate::simulated::kubernetes::controllers::pass::Pass;
use crate::simulated::kubernetes::controllers::{time, view};
use crate::simulated::seam::StepEnd;

/// Templates may call each other, and themselves; Argo has the same limit.
const DEEPEST: u32 = 100;
/// More nodes than that no test needs, and a template that calls itself twice would make them.
const MOST_NODES: usize = 2000;

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was not begun: the workflow is suspended, or what it waits for is not over.
    Waiting,
    Pending,
    Running,
    Succeeded,
    Skipped,
    Omitted,
    Failed,
    Error,
}

impl Outcome {
    pub(super) const fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Pending | Self::Running)
    }

    const fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }

    pub(super) const fn phase(self) -> &'static str {
        match self {
            Self::Waiting | Self::Running => "Running",
            Self::Pending => "Pending",
            Self::Succeeded => "Succeeded",
            Self::Skipped => "Skipped",
            Self::Omitted => "Omitted",
            Self::Failed => "Failed",
            Self::Error => "Error",
        }
    }

    fn of(phase: &str) -> Self {
        match phase {
            "Pending" => Self::Pending,
            "Succeeded" => Self::Succeeded,
            "Skipped" => Self::Skipped,
            "Omitted" => Self::Omitted,
            "Failed" => Self::Failed,
            "Error" => Self::Error,
            _ => Self::Running,
        }
    }
}

/// The nodes of one workflow, and what decides about them.
#[derive(Debug)]
pub(super) struct Tree<'pass> {
    pass: &'pass Pass<'pass>,
    steps: &'pass Arc<Steps>,
    began: &'pass mut BTreeMap<(String, String), Timestamp>,
    workflow: &'pass Value,
    nodes: Map<String, Value>,
    stopped: Option<String>,
}

impl<'pass> Tree<'pass> {
    pub(super) const fn new(
        pass: &'pass Pass<'pass>,
        steps: &'pass Arc<Steps>,
        began: &'pass mut BTreeMap<(String, String), Timestamp>,
        workflow: &'pass Value,
        nodes: Map<String, Value>,
    ) -> Self {
        Self { pass, steps, began, workflow, nodes, stopped: None }
    }

    /// Everything that runs is to end for this reason; nothing new begins.
    pub(super) fn stop(&mut self, why: Option<&str>) {
        self.stopped = why.map(str::to_owned);
    }

    /// How many steps have succeeded, of how many.
    pub(super) fn progress(&self) -> (usize, usize) {
        let steps = || self.nodes.values().filter(|node| node["type"] == "Pod");
        (steps().filter(|node| node["phase"] == "Succeeded").count(), steps().count())
    }

    /// What a node says.
    pub(super) fn message(&self, name: &str) -> Option<String> {
        let message = self.nodes.get(&self.id(name))?.get("message")?.as_str()?;
        Some(message.to_owned())
    }

    pub(super) fn into_nodes(self) -> Map<String, Value> {
        self.nodes
    }

    fn id(&self, name: &str) -> String {
        let workflow = view::name(self.workflow);
        if name == workflow { name.to_owned() } else { format!("{workflow}-{}", word(name, 10)) }
    }

    fn template(&self, name: &str) -> Option<&'pass Value> {
        let workflow = self.workflow;
        view::items(workflow, "/spec/templates").iter().find(|template| template["name"] == name)
    }

    /// Moves a node on, and all below it. Begins it if it is not there.
    pub(super) fn visit(
        &mut self,
        name: &str,
        display: &str,
        template: &str,
        boundary: Option<&str>,
        depth: u32,
    ) -> Outcome {
        let id = self.id(name);
        if let Some(outcome) = self.stored(&id).filter(|outcome| outcome.is_over()) {
            return outcome;
        }
        let begun = self.nodes.contains_key(&id);
        if !begun && (self.stopped.is_some() || view::flag(self.workflow, "/spec/suspend")) {
            return if self.stopped.is_some() { Outcome::Failed } else { Outcome::Waiting };
        }
        let fail = |tree: &mut Self, message: &str| {
            tree.node(name, display, "Skipped", template, boundary);
            tree.set(&id, Outcome::Error, Some(message))
        };
        if depth > DEEPEST {
            return fail(self, "Maximum recursion depth exceeded");
        }
        if self.nodes.len() >= MOST_NODES && !begun {
            return Outcome::Error;
        }
        let Some(found) = self.template(template) else {
            return fail(self, &format!("template name '{template}' undefined"));
        };
        match found.get("retryStrategy").filter(|strategy| strategy.is_object()) {
            Some(strategy) => {
                self.node(name, display, "Retry", template, boundary);
                self.retry(name, display, found, strategy, boundary, depth)
            }
            None => self.run(name, display, found, boundary, depth, 0),
        }
    }

    /// Tries a template until it succeeds or the limit is reached.
    fn retry(
        &mut self,
        name: &str,
        display: &str,
        template: &'pass Value,
        strategy: &Value,
        boundary: Option<&str>,
        depth: u32,
    ) -> Outcome {
        let id = self.id(name);
        let limit = strategy.get("limit").and_then(|limit| match limit {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        });
        let retries_errors = matches!(view::text(strategy, "/retryPolicy"), "Always" | "OnError");
        let retries_failures = view::text(strategy, "/retryPolicy") != "OnError";
        for attempt in 0_u32.. {
            let child = format!("{name}({attempt})");
            let child_display = format!("{display}({attempt})");
            self.attach(&id, &child);
            let outcome = self.run(&child, &child_display, template, boundary, depth, attempt);
            let again = match outcome {
                Outcome::Failed => retries_failures,
                Outcome::Error => retries_errors,
                _ => false,
            };
            if !outcome.is_bad() {
                return if outcome.is_over() { self.set(&id, outcome, None) } else { Outcome::Running };
            }
            if !again || self.stopped.is_some() || self.nodes.len() >= MOST_NODES {
                let message = self.message(&child);
                return self.set(&id, outcome, message.as_deref());
            }
            if limit.is_some_and(|limit| attempt >= limit) {
                return self.set(&id, outcome, Some("No more retries left"));
            }
        }
        Outcome::Error
    }

    fn run(
        &mut self,
        name: &str,
        display: &str,
        template: &'pass Value,
        boundary: Option<&str>,
        depth: u32,
        attempt: u32,
    ) -> Outcome {
        let of = view::text(template, "/name");
        let id = self.id(name);
        if let Some(outcome) = self.stored(&id).filter(|outcome| outcome.is_over()) {
            return outcome;
        }
        if template.get("steps").is_some() {
            self.node(name, display, "Steps", of, boundary);
            return self.steps(name, template, depth);
        }
        if template.get("dag").is_some() {
            self.node(name, display, "DAG", of, boundary);
            return self.graph(name, template, depth);
        }
        if let Some(suspend) = template.get("suspend") {
            self.node(name, display, "Suspend", of, boundary);
            return self.suspend(&id, suspend);
        }
        if ["container", "script", "containerSet", "resource", "http", "data"]
            .iter()
            .any(|kind| template.get(kind).is_some())
        {
            self.node(name, display, "Pod", of, boundary);
            return self.work(&id, name, template, attempt);
        }
        self.node(name, display, "Skipped", of, boundary);
        self.set(&id, Outcome::Error, Some(&format!("template '{of}' has no known kind")))
    }

    /// Groups of steps, one group after another.
    fn steps(&mut self, name: &str, template: &'pass Value, depth: u32) -> Outcome {
        let id = self.id(name);
        let mut before = id.clone();
        for (index, group) in view::items(template, "/steps").iter().enumerate() {
            let group_name = format!("{name}[{index}]");
            let group_id = self.id(&group_name);
            if !self.nodes.contains_key(&group_id) && view::flag(self.workflow, "/spec/suspend") {
                return Outcome::Running;
            }
            self.node(&group_name, &format!("[{index}]"), "StepGroup", "", Some(&id));
            self.attach(&before, &group_name);
            let steps = group.as_array().map(Vec::as_slice).unwrap_or_default();
            let mut outcomes = Vec::new();
            for step in steps {
                let step_name = format!("{group_name}.{}", view::text(step, "/name"));
                self.attach(&group_id, &step_name);
                outcomes.push((step, self.child(&step_name, step, &id, depth)));
            }
            if outcomes.iter().any(|(_, outcome)| !outcome.is_over()) {
                return Outcome::Running;
            }
            let bad = outcomes.iter().find(|(step, outcome)| outcome.is_bad() && !goes_on(step, *outcome));
            if let Some((step, _)) = bad {
                let child = self.id(&format!("{group_name}.{}", view::text(step, "/name")));
                let message = format!("child '{child}' failed");
                self.set(&group_id, Outcome::Failed, Some(&message));
                return self.set(&id, Outcome::Failed, Some(&message));
            }
            self.set(&group_id, Outcome::Succeeded, None);
            before = group_id;
        }
        self.set(&id, Outcome::Succeeded, None)
    }

    /// Tasks, each when what it depends on is over.
    fn graph(&mut self, name: &str, template: &'pass Value, depth: u32) -> Outcome {
        let id = self.id(name);
        let tasks = view::items(template, "/dag/tasks");
        let eager = template.pointer("/dag/failFast").and_then(Value::as_bool).unwrap_or(true);
        let mut outcomes: BTreeMap<&str, Outcome> = BTreeMap::new();
        let mut failed = false;
        // Each round settles at least one task; tasks that wait for each other settle never.
        for _ in 0..tasks.len() {
            for task in tasks {
                let task_name = view::text(task, "/name");
                if outcomes.contains_key(task_name) {
                    continue;
                }
                let full = format!("{name}.{task_name}");
                let begun = self.nodes.contains_key(&self.id(&full));
                let outcome = match depends(task, &outcomes) {
                    Depends::Unknown => continue,
                    Depends::Invalid(message) => {
                        self.node(&full, task_name, "Skipped", view::text(task, "/template"), Some(&id));
                        let task_id = self.id(&full);
                        self.set(&task_id, Outcome::Error, Some(&message))
                    }
                    Depends::Yes if begun || !(failed && eager) => {
                        self.attach(&id, &full);
                        self.child(&full, task, &id, depth)
                    }
                    Depends::Yes | Depends::No => Outcome::Omitted,
                };
                if outcome == Outcome::Omitted && !begun {
                    self.node(&full, task_name, "Skipped", view::text(task, "/template"), Some(&id));
                    let task_id = self.id(&full);
                    self.set(&task_id, Outcome::Omitted, Some("omitted: depends condition not met"));
                }
                failed |= outcome.is_bad() && !goes_on(task, outcome);
                outcomes.insert(task_name, outcome);
            }
        }
        if outcomes.values().any(|outcome| !outcome.is_over()) {
            return Outcome::Running;
        }
        if outcomes.len() < tasks.len() {
            return self.set(&id, Outcome::Error, Some("the tasks' dependencies are a cycle or name no task"));
        }
        let outcome = if failed { Outcome::Failed } else { Outcome::Succeeded };
        self.set(&id, outcome, None)
    }

    /// A step or a task: what it calls, unless its condition says no.
    fn child(&mut self, name: &str, call: &'pass Value, boundary: &str, depth: u32) -> Outcome {
        let display = view::text(call, "/name");
        let template = view::text(call, "/template");
        let id = self.id(name);
        let begun = self.nodes.contains_key(&id);
        let problem = ["templateRef", "inline", "withItems", "withParam", "withSequence"]
            .into_iter()
            .find(|field| call.get(field).is_some_and(|value| !value.is_null()));
        if let Some(field) = problem.filter(|_| !begun) {
            self.node(name, display, "Skipped", template, Some(boundary));
            return self.set(&id, Outcome::Error, Some(&format!("this simulation knows no `{field}`")));
        }
        match condition(view::text(call, "/when")) {
            Ok(true) => {}
            Ok(false) => {
                self.node(name, display, "Skipped", template, Some(boundary));
                return self.set(&id, Outcome::Skipped, Some("when evaluated false"));
            }
            Err(message) => {
                self.node(name, display, "Skipped", template, Some(boundary));
                return self.set(&id, Outcome::Error, Some(&message));
            }
        }
        self.visit(name, display, template, Some(boundary), depth + 1)
    }

    fn suspend(&mut self, id: &str, suspend: &Value) -> Outcome {
        if let Some(why) = self.stopped.clone() {
            return self.set(id, Outcome::Failed, Some(&why));
        }
        self.set(id, Outcome::Running, None);
        let seconds = match &suspend["duration"] {
            Value::String(text) => text.trim_end_matches('s').parse().ok(),
            number => number.as_u64(),
        };
        match seconds {
            Some(seconds) if self.has_passed(id, Duration::from_secs(seconds)) => {
                self.set(id, Outcome::Succeeded, None)
            }
            _ => Outcome::Running,
        }
    }

    /// A step that does something: it waits for its pod, runs, and comes out as it was chosen, or as its program does.
    fn work(&mut self, id: &str, name: &str, template: &'pass Value, attempt: u32) -> Outcome {
        let of = view::text(template, "/name");
        let (pass, steps) = (self.pass, self.steps);
        let pod_name = step_pod::name(view::name(self.workflow), name, of);
        let pod = step_pod::find(pass, self.workflow, &pod_name).filter(|pod| !view::is_deleting(pod));
        let killed = StepEnd { code: 143, message: String::new() };
        if let Some(why) = self.stopped.clone() {
            if let Some(pod) = pod {
                steps.kill(view::uid(&pod));
                step_pod::finish(pass, &pod, &killed);
            }
            return self.set(id, Outcome::Failed, Some(&why));
        }
        let Some(pod) = pod else {
            if self.stored(id) == Some(Outcome::Running) {
                return self.set(id, Outcome::Error, Some("pod deleted"));
            }
            return match step_pod::create(pass, self.workflow, (id, name), template) {
                Ok(_) => {
                    pass.look_again(pass.settings.schedule);
                    self.set(id, Outcome::Pending, None)
                }
                Err(message) => self.set(id, Outcome::Error, Some(&message)),
            };
        };
        let settings = pass.settings;
        if !self.has_passed(id, settings.schedule) {
            return self.set(id, Outcome::Pending, None);
        }
        step_pod::run(pass, &pod);
        let (after, failure, outputs) = match steps.behaviour(of) {
            None => {
                let end = steps.end(view::uid(&pod), pass.objects.runtime(), || step_pod::invocation(&pod));
                let Some(end) = end else { return self.set(id, Outcome::Running, None) };
                return self.finish(id, &pod, &end, BTreeMap::new(), None);
            }
            Some(TemplateBehaviour::Succeed { after, outputs }) => (after, None, outputs),
            Some(TemplateBehaviour::Fail { after, message, times }) if times.is_none_or(|times| attempt < times) => {
                (after, Some(message), BTreeMap::new())
            }
            Some(TemplateBehaviour::Fail { after, .. }) => (after, None, BTreeMap::new()),
            Some(TemplateBehaviour::Hang) => return self.set(id, Outcome::Running, None),
        };
        if !self.has_passed(id, settings.schedule + after.unwrap_or(settings.work)) {
            return self.set(id, Outcome::Running, None);
        }
        let end = StepEnd { code: u8::from(failure.is_some()), message: steps.message(of) };
        self.finish(id, &pod, &end, outputs, failure)
    }

    /// Ends a step with its pod.
    fn finish(
        &mut self,
        id: &str,
        pod: &Value,
        end: &StepEnd,
        outputs: BTreeMap<String, String>,
        message: Option<String>,
    ) -> Outcome {
        // What was written a moment ago is newer than what was found.
        if let Some(pod) = step_pod::find(self.pass, self.workflow, view::name(pod)) {
            step_pod::finish(self.pass, &pod, end);
        }
        if let Some(node) = self.nodes.get_mut(id) {
            node["progress"] = if end.code == 0 { "1/1" } else { "0/1" }.into();
            node["outputs"] = json!({"exitCode": end.code.to_string()});
            let parameters: Vec<_> =
                outputs.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            if !parameters.is_empty() {
                node["outputs"]["parameters"] = parameters.into();
            }
        }
        if end.code == 0 {
            return self.set(id, Outcome::Succeeded, None);
        }
        let message = message.unwrap_or_else(|| step_pod::message(end));
        self.set(id, Outcome::Failed, Some(&message))
    }

    /// Whether so much time has passed since a node began.
    fn has_passed(&mut self, id: &str, wait: Duration) -> bool {
        let key = (view::uid(self.workflow).to_owned(), id.to_owned());
        let stored = self.nodes.get(id).map(|node| view::text(node, "/startedAt")).and_then(time::parse);
        let began = *self.began.entry(key).or_insert_with(|| stored.unwrap_or(self.pass.now));
        self.pass.has_passed(wait, began)
    }

    fn stored(&self, id: &str) -> Option<Outcome> {
        self.nodes.get(id).map(|node| Outcome::of(view::text(node, "/phase")))
    }

    /// Begins a node that is not there.
    fn node(&mut self, name: &str, display: &str, kind: &str, template: &str, boundary: Option<&str>) {
        let id = self.id(name);
        if self.nodes.contains_key(&id) {
            return;
        }
        let phase = if kind == "Pod" { "Pending" } else { "Running" };
        let mut node = json!({
            "id": id, "name": name, "displayName": display, "type": kind, "phase": phase,
            "startedAt": self.pass.stamp(), "finishedAt": null,
        });
        if kind == "Pod" {
            node["progress"] = "0/1".into();
            let key = (view::uid(self.workflow).to_owned(), id.clone());
            self.began.insert(key, self.pass.now);
        }
        if !template.is_empty() {
            node["templateName"] = template.into();
            node["templateScope"] = format!("local/{}", view::name(self.workflow)).into();
        }
        if let Some(boundary) = boundary {
            node["boundaryID"] = boundary.into();
        }
        self.nodes.insert(id, node);
    }

    /// Makes a node the child of another.
    fn attach(&mut self, parent: &str, child: &str) {
        let child = Value::from(self.id(child));
        if let Some(parent) = self.nodes.get_mut(parent) {
            let mut children = view::items(parent, "/children").to_vec();
            if !children.contains(&child) {
                children.push(child);
                parent["children"] = children.into();
            }
        }
    }

    fn set(&mut self, id: &str, outcome: Outcome, message: Option<&str>) -> Outcome {
        if let Some(node) = self.nodes.get_mut(id)
            && node["phase"] != outcome.phase()
        {
            node["phase"] = outcome.phase().into();
            if outcome.is_over() {
                node["finishedAt"] = self.pass.stamp().into();
            }
        }
        if let (Some(node), Some(message)) = (self.nodes.get_mut(id), message) {
            node["message"] = message.into();
        }
        outcome
    }
}

/// Whether the caller goes on after this.
fn goes_on(call: &Value, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Failed => view::flag(call, "/continueOn/failed"),
        Outcome::Error => view::flag(call, "/continueOn/error"),
        _ => true,
    }
}

/// Whether a task may begin.
enum Depends {
    /// Something that it depends on is not over.
    Unknown,
    Yes,
    /// Never.
    No,
    Invalid(String),
}

fn depends(task: &Value, outcomes: &BTreeMap<&str, Outcome>) -> Depends {
    let listed = view::items(task, "/dependencies").iter().filter_map(Value::as_str);
    let expression = view::text(task, "/depends");
    if expression.contains(['|', '!', '(', ')']) {
        return Depends::Invalid(format!("this simulation knows only `&&` in `depends`: {expression}"));
    }
    let written = expression.split("&&").map(str::trim).filter(|term| !term.is_empty());
    let mut verdict = Depends::Yes;
    for term in listed.chain(written) {
        let (name, wanted) = term.split_once('.').unwrap_or((term, ""));
        let Some(outcome) = outcomes.get(name).filter(|outcome| outcome.is_over()) else { return Depends::Unknown };
        let met = match wanted {
            "" => matches!(outcome, Outcome::Succeeded | Outcome::Skipped),
            "Succeeded" => *outcome == Outcome::Succeeded,
            "Failed" => *outcome == Outcome::Failed,
            "Errored" => *outcome == Outcome::Error,
            "Skipped" => *outcome == Outcome::Skipped,
            "Omitted" => *outcome == Outcome::Omitted,
            _ => return Depends::Invalid(format!("`{term}` is no result of a task")),
        };
        if !met {
            verdict = Depends::No;
        }
    }
    verdict
}

/// A condition without variables: nothing, a truth value, or an equality of two words.
fn condition(when: &str) -> Result<bool, String> {
    let word = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    if when.contains("{{") {
        return Err(format!("this simulation knows no variables in `when`: {when}"));
    }
    if let Some((left, right)) = when.split_once("==") {
        return Ok(word(left) == word(right));
    }
    if let Some((left, right)) = when.split_once("!=") {
        return Ok(word(left) != word(right));
    }
    match when.trim() {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("this simulation cannot evaluate `when`: {when}")),
    }
}
