//! Templates that do something: those that wait, and those that have a pod.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::node::Tree;
use super::outcome::Outcome;
use super::{TemplateBehaviour, step_pod};
use crate::simulated::kubernetes::controllers::view;
use crate::simulated::seam::StepEnd;

impl<'pass> Tree<'pass> {
    pub(super) fn suspend(&mut self, id: &str, suspend: &Value) -> Outcome {
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
    pub(super) fn work(&mut self, id: &str, name: &str, template: &'pass Value, attempt: u32) -> Outcome {
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
        let behaviour = steps.behaviour(of);
        if behaviour.is_none()
            && let Some(outcome) = self.before(id, &pod)
        {
            return outcome;
        }
        step_pod::run(pass, &pod);
        let (after, failure, outputs) = match behaviour {
            None => {
                let main = || step_pod::invocation(&pod, step_pod::MAIN);
                let end = steps.end((view::uid(&pod), step_pod::MAIN), pass.objects.runtime(), main);
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

    /// Runs the containers before the main one, each when the one before it has succeeded. `None` when all have.
    fn before(&mut self, id: &str, pod: &Value) -> Option<Outcome> {
        let mut ended = Vec::new();
        for name in step_pod::before(pod) {
            let invocation = || step_pod::invocation(pod, &name);
            let Some(end) = self.steps.end((view::uid(pod), &name), self.pass.objects.runtime(), invocation) else {
                step_pod::initialise(self.pass, pod, &ended, Some(&name));
                return Some(self.set(id, Outcome::Pending, None));
            };
            let has_failed = end.code != 0;
            ended.push((name, end));
            if has_failed {
                step_pod::initialise(self.pass, pod, &ended, None);
                let message = ended.last().map(|(name, end)| step_pod::message(name, end));
                return Some(self.set(id, Outcome::Failed, message.as_deref()));
            }
        }
        if !ended.is_empty() {
            step_pod::initialise(self.pass, pod, &ended, None);
        }
        None
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
        let message = message.unwrap_or_else(|| step_pod::message(step_pod::MAIN, end));
        self.set(id, Outcome::Failed, Some(&message))
    }
}
