//! Plain lines, one for each thing that happens to a stage: for files, pipes and simple terminals.

use std::time::Duration;

use chalk_deploy_core::model::{DeploymentId, DeploymentStatus, Timestamp};
use chalk_deploy_core::observe::{DeploymentEvent, EventKind};
use chalk_deploy_core::text;

use super::View;
use super::board::Board;
use super::output::Output;
use super::paint::Paint;
use super::words;

pub(super) struct Plain {
    output: Output,
    paint: Paint,
    board: Board,
    created_at: Option<Timestamp>,
}

impl Plain {
    pub(super) fn new(output: Output, paint: Paint) -> Self {
        Self { output, paint, board: Board::default(), created_at: None }
    }
}

impl View for Plain {
    fn event(&mut self, event: &DeploymentEvent) {
        self.board.take(event);
        let paint = self.paint;
        match &event.kind {
            EventKind::Created { project, environment } => {
                self.created_at = Some(event.at);
                self.output.line(&headline(&event.deployment_id, project.as_str(), environment.as_str(), paint));
            }
            EventKind::Status { status: DeploymentStatus::Queued } => {
                self.output.line("queued: another rollout of this environment goes first");
            }
            EventKind::StageStarted { stage } => self.output.line(&format!("{}  started", words::name(*stage))),
            EventKind::StageFinished { stage, elapsed_ms } => {
                let told = words::done(&self.board.stage(*stage), *elapsed_ms);
                self.output.line(&format!("{}  {} in {told}", words::name(*stage), paint.green("done")));
            }
            EventKind::Log { stage, line, .. } => {
                self.output.line(&format!("{}  | {}", words::name(*stage), text::printable(line)));
            }
            EventKind::StepRetrying { stage, attempt, error, wait_ms, .. } => {
                let told = paint.yellow(&words::retry(*attempt, error, *wait_ms));
                self.output.line(&format!("{}  {told}", words::name(*stage)));
            }
            EventKind::StepStarted { stage, step, .. } if step.is_undo() => {
                self.output.line(&format!("{}  undoing: {step}", words::name(*stage)));
            }
            EventKind::StepFailed { stage, step, .. } => {
                self.output.line(&format!("{}  {}: {step}", words::name(*stage), paint.red("failed")));
            }
            EventKind::Abandoned { .. } => self.output.line("given up; what was done is undone"),
            EventKind::Finished(outcome) => {
                let elapsed = self.created_at.map(|created_at| event.at.since(created_at));
                self.output.line(&verdict(outcome.status, elapsed, paint));
                for line in words::summary(&event.deployment_id, outcome) {
                    self.output.line(&format!("  {line}"));
                }
            }
            _ => {}
        }
    }

    fn detached(&mut self, deployment: &DeploymentId) {
        self.output.line(&detached(deployment, self.paint));
    }

    fn serving(&mut self, address: &str) {
        self.output.line(&serving(address, self.paint));
    }
}

/// The first line.
pub(super) fn headline(deployment: &DeploymentId, project: &str, environment: &str, paint: Paint) -> String {
    let project = text::printable(project);
    format!("deployment {}: project `{project}` into environment `{environment}`", paint.bold(deployment.as_str()))
}

/// The first line of the end, with the time since the creation where that was seen.
pub(super) fn verdict(status: DeploymentStatus, elapsed: Option<Duration>, paint: Paint) -> String {
    let shown = match status {
        DeploymentStatus::Success => paint.green(status.as_str()),
        _ => paint.red(status.as_str()),
    };
    elapsed.map_or_else(|| shown.clone(), |elapsed| format!("{shown} in {}", words::elapsed(elapsed)))
}

/// The last line of a deployment that was left to someone else.
pub(super) fn detached(deployment: &DeploymentId, paint: Paint) -> String {
    let deployment = paint.bold(deployment.as_str());
    format!("detached: deployment {deployment} goes on with --resume, or when a service runs on this state")
}

/// Where the deployment answers, until someone ends it.
pub(super) fn serving(address: &str, paint: Paint) -> String {
    format!("serving: {} answers with the id of the deployment; Ctrl-C ends it", paint.bold(address))
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::machine::{Stage, Step};
    use chalk_deploy_core::observe::Unit;

    use super::super::board::tests::{event, failure, finished, id};
    use super::super::output::tests::Kept;
    use super::*;

    fn shown(kinds: Vec<EventKind>, paint: Paint) -> String {
        let kept = Kept::default();
        let mut view = Plain::new(kept.output(), paint);
        for kind in kinds {
            view.event(&event(kind));
        }
        kept.text()
    }

    #[test]
    fn a_stage_is_a_line_at_its_start_and_one_at_its_end_with_time_and_size() {
        let (stage, step) = (Stage::Upload, Step::PutArchive);
        let text = shown(
            vec![
                EventKind::StageStarted { stage },
                EventKind::StepStarted { stage, step, attempt: 1 },
                EventKind::Progress { stage, step, done: 2048, total: Some(2048), unit: Unit::Bytes },
                EventKind::StepFinished { stage, step, elapsed_ms: 1000 },
                EventKind::StageFinished { stage, elapsed_ms: 2000 },
            ],
            Paint::new(false),
        );
        assert_eq!(text, "upload   started\nupload   done in 2.00 s, 2.0 KiB, 1.0 KiB/s\n");
    }

    #[test]
    fn retries_log_lines_and_failures_are_told_under_their_stage() {
        let (stage, step) = (Stage::Build, Step::BuildImages);
        let text = shown(
            vec![
                EventKind::StepRetrying { stage, step, attempt: 1, error: failure(), wait_ms: 250 },
                EventKind::Log { stage, step, line: "compile: \u{1b}[31m5 files".to_owned() },
                EventKind::StepFailed { stage, step, error: failure() },
                EventKind::Abandoned { error: failure() },
                EventKind::StepStarted { stage, step: Step::StopBuild, attempt: 1 },
            ],
            Paint::new(false),
        );
        let expected = "build    attempt 1 failed, the next one follows in 0.25 s: bucket `source`: no answer\n\
            build    | compile: \u{fffd}[31m5 files\n\
            build    failed: build.images\n\
            given up; what was done is undone\n\
            build    undoing: undo.stop_build\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_end_is_a_verdict_and_a_summary() {
        let text = shown(vec![EventKind::Finished(finished())], Paint::new(false));
        assert!(text.starts_with("SUCCESS\n  deployment  caaa"), "{text}");
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        let coloured = shown(vec![EventKind::Finished(finished())], Paint::new(true));
        assert!(coloured.starts_with("\u{1b}[32mSUCCESS\u{1b}[0m"), "{coloured:?}");
        assert!(!detached(&id('a'), Paint::new(false)).contains('\u{1b}'));
    }
}
