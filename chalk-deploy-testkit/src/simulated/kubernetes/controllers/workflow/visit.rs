//! From a name to what its template does: begun, tried again, called.

use serde_json::Value;

use super::node::Tree;
use super::outcome::Outcome;
use crate::simulated::kubernetes::controllers::view;

/// Templates may call each other, and themselves; Argo has the same limit.
const DEEPEST: u32 = 100;
/// More nodes than that no test needs, and a template that calls itself twice would make them.
const MOST_NODES: usize = 2000;

impl<'pass> Tree<'pass> {
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
}
