//! Templates that call others: groups of steps, and graphs of tasks.

use std::collections::BTreeMap;

use serde_json::Value;

use super::node::Tree;
use super::outcome::Outcome;
use crate::simulated::kubernetes::controllers::view;

impl<'pass> Tree<'pass> {
    /// Groups of steps, one group after another.
    pub(super) fn steps(&mut self, name: &str, template: &'pass Value, depth: u32) -> Outcome {
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
    pub(super) fn graph(&mut self, name: &str, template: &'pass Value, depth: u32) -> Outcome {
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
