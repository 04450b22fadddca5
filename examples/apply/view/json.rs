//! One JSON object a line.

use chalk_deploy_core::model::DeploymentId;
use chalk_deploy_core::observe::DeploymentEvent;

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
        if let Ok(line) = serde_json::to_string(event) {
            self.output.line(&line);
        }
    }

    fn detached(&mut self, deployment: &DeploymentId) {
        let line = serde_json::json!({ "event": "detached", "deployment_id": deployment });
        self.output.line(&line.to_string());
    }

    fn serving(&mut self, address: &str) {
        self.output.line(&serde_json::json!({ "event": "serving", "address": address }).to_string());
    }
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::observe::EventKind;

    use super::super::board::tests::{event, finished, id};
    use super::super::output::tests::Kept;
    use super::*;

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
