//! One JSON object a line.

use chalk_deploy_core::build::checks::{Finding, STEPS};
use chalk_deploy_core::model::DeploymentId;
use chalk_deploy_core::observe::{DeploymentEvent, EventKind};
use serde_json::Value;

use super::View;
use super::output::Output;

pub(super) struct Json {
    output: Output,
}

impl Json {
    pub(super) const fn new(output: Output) -> Self {
        Self { output }
    }
}

impl View for Json {
    fn event(&mut self, event: &DeploymentEvent) {
        // Plain data with string keys: serialising it cannot fail.
        let Ok(mut object) = serde_json::to_string(event) else { return };
        if let EventKind::Log { line, .. } = &event.kind
            && let Some(finding) = finding(line)
        {
            // One member more, behind the others.
            object.truncate(object.len() - 1);
            object.extend([",\"finding\":", &finding.to_string(), "}"]);
        }
        self.output.line(&object);
    }

    fn detached(&mut self, deployment: &DeploymentId) {
        let line = serde_json::json!({ "event": "detached", "deployment_id": deployment });
        self.output.line(&line.to_string());
    }

    fn serving(&mut self, address: &str) {
        self.output.line(&serde_json::json!({ "event": "serving", "address": address }).to_string());
    }
}

/// The finding that a line of a build tells, with the check that it comes from.
fn finding(line: &str) -> Option<Value> {
    let (check, rest) = line.split_once(": ").filter(|(step, _)| STEPS.contains(step))?;
    let mut finding = serde_json::to_value(rest.parse::<Finding>().ok()?).ok()?;
    finding["check"] = check.into();
    Some(finding)
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::machine::{Stage, Step};

    use super::super::board::tests::{event, finished, id};
    use super::super::output::tests::Kept;
    use super::*;

    #[test]
    fn a_finding_is_told_in_parts_too() {
        let kept = Kept::default();
        let mut view = Json::new(kept.output());
        for line in ["lint: a.py:1:8: `os` imported but unused [F401]", "lint: ruff: 1 finding", "fetch: a.py:1:8: x"] {
            let (stage, step) = (Stage::Build, Step::BuildImages);
            view.event(&event(EventKind::Log { stage, step, line: line.to_owned() }));
        }
        let text = kept.text();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let finding = serde_json::json!({
            "check": "lint", "file": "a.py", "line": 1, "column": 8, "message": "`os` imported but unused", "rule": "F401",
        });
        assert_eq!(lines[0]["finding"], finding);
        assert!(lines[1..].iter().all(|line| line.get("finding").is_none()), "{text}");
    }

    #[test]
    fn each_event_is_one_compact_line_with_its_deployment() {
        let kept = Kept::default();
        let mut view = Json::new(kept.output());
        let created = EventKind::Created {
            project: "fraud".parse().expect("a project"),
            environment: "default".parse().expect("an environment"),
        };
        view.event(&event(created));
        view.event(&event(EventKind::Finished(finished())));
        view.detached(&id('a'));
        let text = kept.text();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let names: Vec<_> = lines.iter().map(|line| line["event"].as_str().expect("a name")).collect();
        assert_eq!(names, ["created", "finished", "detached"]);
        assert!(lines.iter().all(|line| line["deployment_id"] == id('a').as_str()), "{text}");
        assert_eq!(lines[1]["status"], "SUCCESS");
        assert!(lines[1]["images"]["engine"].as_str().is_some_and(|image| image.contains("@sha256:")), "{text}");
        assert_eq!(lines[2], serde_json::json!({ "event": "detached", "deployment_id": id('a') }));
    }
}
