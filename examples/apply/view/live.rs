//! One live line a stage, the log lines above them: for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::machine::Stage;
use chalk_deploy_core::model::{DeploymentId, DeploymentStatus, Timestamp};
use chalk_deploy_core::observe::{DeploymentEvent, EventKind, Unit};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::text;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::board::{Board, Phase, StageBoard};
use super::output::Output;
use super::paint::Paint;
use super::{Collecting, View, plain, say, words};

/// Between two frames of the spinner.
const FRAME: Duration = Duration::from_millis(100);

pub(super) struct Live {
    /// For what is said when the live lines stand still.
    output: Output,
    paint: Paint,
    runtime: Arc<dyn Runtime>,
    bars: MultiProgress,
    stages: BTreeMap<Stage, ProgressBar>,
    collecting: Option<ProgressBar>,
    board: Board,
    created_at: Option<Timestamp>,
}

impl Live {
    pub(super) fn new(output: Output, paint: Paint, runtime: Arc<dyn Runtime>) -> Self {
        Self::on(ProgressDrawTarget::stdout(), output, paint, runtime)
    }

    fn on(target: ProgressDrawTarget, output: Output, paint: Paint, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            output,
            paint,
            runtime,
            bars: MultiProgress::with_draw_target(target),
            stages: BTreeMap::new(),
            collecting: None,
            board: Board::default(),
            created_at: None,
        }
    }

    /// Puts a line above the live ones.
    fn above(&mut self, line: &str) {
        if self.stages.is_empty() {
            self.output.line(line);
        } else {
            // A terminal that went away is no reason to stop.
            let _ = self.bars.println(line);
        }
    }

    fn begin(&mut self) {
        for stage in Stage::ALL {
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.set_prefix(words::name(stage));
            self.stages.insert(stage, bar);
            self.draw(stage);
        }
    }

    /// Brings a stage's line up to date.
    fn draw(&self, stage: Stage) {
        let Some(bar) = self.stages.get(&stage) else { return };
        let board = self.board.stage(stage);
        match board.phase {
            Phase::Waiting => {
                bar.set_style(style("  {prefix} {msg}"));
                bar.set_message(self.paint.dim("waits"));
            }
            Phase::Running => {
                bar.set_style(style("{spinner} {prefix} {elapsed_words}{msg}"));
                bar.enable_steady_tick(FRAME);
                bar.set_message(running(&board, bar.elapsed()));
            }
            Phase::Undoing => {
                bar.set_style(style("{spinner} {prefix} {msg}"));
                bar.enable_steady_tick(FRAME);
                bar.set_message(self.paint.yellow("undoing"));
            }
            Phase::Done { elapsed_ms } => {
                settle(bar, &self.paint.green("✔"), &words::done(&board, elapsed_ms));
            }
            Phase::Failed => settle(bar, &self.paint.red("✘"), &self.paint.red("failed")),
        }
    }

    /// Sets the clock of a stage's line, which after a resume began before this process did.
    fn wind(&self, stage: Stage, started_at: Timestamp) {
        if let Some(bar) = self.stages.get(&stage) {
            drop(bar.clone().with_elapsed(self.runtime.now().since(started_at)));
        }
    }

    /// Lets the lines stand as they are.
    fn rest(&mut self) {
        for bar in std::mem::take(&mut self.stages).into_values() {
            bar.disable_steady_tick();
            bar.abandon();
        }
    }
}

impl View for Live {
    fn event(&mut self, event: &DeploymentEvent) {
        self.board.take(event);
        let paint = self.paint;
        match &event.kind {
            EventKind::Created { project, environment } => {
                self.created_at = Some(event.at);
                self.above(&plain::headline(&event.deployment_id, project.as_str(), environment.as_str(), paint));
                self.begin();
            }
            EventKind::Status { status: DeploymentStatus::Queued } => {
                self.above("queued: another rollout of this environment goes first");
            }
            EventKind::Log { stage, line, .. } => {
                let name = paint.dim(&words::name(*stage));
                self.above(&format!("  {name} {}", text::printable(line)));
            }
            EventKind::StepRetrying { stage, attempt, error, wait_ms, .. } => {
                let told = paint.yellow(&words::retry(*attempt, error, *wait_ms));
                self.above(&format!("  {} {told}", paint.dim(&words::name(*stage))));
            }
            EventKind::Abandoned { .. } => self.above(&paint.yellow("given up; what was done is undone")),
            EventKind::StageStarted { stage } => {
                self.wind(*stage, event.at);
                self.draw(*stage);
            }
            EventKind::StepStarted { stage, .. }
            | EventKind::Progress { stage, .. }
            | EventKind::StepFinished { stage, .. }
            | EventKind::StepFailed { stage, .. }
            | EventKind::StageFinished { stage, .. } => self.draw(*stage),
            EventKind::Finished(outcome) => {
                self.rest();
                let elapsed = self.created_at.map(|created_at| event.at.since(created_at));
                self.output.line(&plain::verdict(outcome.status, elapsed, paint));
                for line in words::summary(&event.deployment_id, outcome) {
                    self.output.line(&format!("  {line}"));
                }
            }
            _ => {}
        }
    }

    fn detached(&mut self, deployment: &DeploymentId) {
        self.rest();
        self.output.line(&plain::detached(deployment, self.paint));
    }

    fn serving(&mut self, address: &str) {
        self.rest();
        self.output.line(&plain::serving(address, self.paint));
    }

    fn note(&mut self, line: &str) {
        // Both streams may be the same terminal.
        self.bars.suspend(|| say(line));
    }

    fn collecting(&mut self, progress: Option<Collecting>) {
        match progress {
            Some(progress) => {
                let bar = self.collecting.get_or_insert_with(|| {
                    let bar = self.bars.add(ProgressBar::new_spinner());
                    bar.set_style(style("{spinner} {msg}"));
                    bar.enable_steady_tick(FRAME);
                    bar
                });
                bar.set_message(words::collecting(progress));
            }
            None => {
                if let Some(bar) = self.collecting.take() {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.rest();
    }
}

/// Ends a stage's line.
fn settle(bar: &ProgressBar, mark: &str, message: &str) {
    bar.disable_steady_tick();
    bar.set_style(style(&format!("{mark} {{prefix}} {{msg}}")));
    bar.set_message(message.to_owned());
    bar.tick();
}

/// What is told of a stage that runs.
fn running(board: &StageBoard, elapsed: Duration) -> String {
    let Some(progress) = board.current else { return String::new() };
    let mut told = format!("  {}", words::progress(progress));
    if progress.unit == Unit::Bytes
        && let Some(rate) = words::rate(board.bytes.max(progress.done), elapsed)
    {
        // Writing into a String cannot fail.
        let _ = write!(told, ", {rate}");
    }
    told
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.with_key("elapsed_words", |state: &ProgressState, shown: &mut dyn std::fmt::Write| {
        let _ = shown.write_str(&words::elapsed(state.elapsed()));
    })
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::machine::Step;
    use chalk_deploy_core::runtime::SystemRuntime;
    use indicatif::InMemoryTerm;

    use super::super::board::tests::{event, failure, finished};
    use super::super::output::tests::Kept;
    use super::*;

    struct Terminal {
        screen: InMemoryTerm,
        kept: Kept,
        live: Live,
    }

    fn terminal() -> Terminal {
        let screen = InMemoryTerm::new(24, 100);
        let kept = Kept::default();
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let live = Live::on(target, kept.output(), Paint::new(false), SystemRuntime::new());
        Terminal { screen, kept, live }
    }

    fn created() -> EventKind {
        EventKind::Created {
            project: "fraud".parse().expect("a project"),
            environment: "default".parse().expect("an environment"),
        }
    }

    #[test]
    fn each_stage_has_one_line_and_log_lines_stand_above_them() {
        let Terminal { screen, live: mut view, .. } = terminal();
        let (stage, step) = (Stage::Upload, Step::PutArchive);
        for kind in [
            created(),
            EventKind::StageStarted { stage },
            EventKind::Progress { stage, step, done: 2048, total: Some(2048), unit: Unit::Bytes },
            EventKind::StageFinished { stage, elapsed_ms: 2000 },
            EventKind::StageStarted { stage: Stage::Build },
            EventKind::Log { stage: Stage::Build, step: Step::BuildImages, line: "compile: 5 files".to_owned() },
        ] {
            view.event(&event(kind));
        }
        let shown = screen.contents();
        let lines: Vec<_> = shown.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], "  build   compile: 5 files", "{shown}");
        assert_eq!(lines[1], "✔ upload  2.00 s, 2.0 KiB, 1.0 KiB/s", "{shown}");
        assert!(lines[2].contains("build"), "{shown}");
        assert_eq!(lines[3..6], ["  archive waits", "  push    waits", "  rollout waits"], "{shown}");
    }

    #[test]
    fn the_end_leaves_the_lines_and_tells_the_summary_below() {
        let Terminal { screen, kept, live: mut view } = terminal();
        view.event(&event(created()));
        view.event(&event(EventKind::StepFailed { stage: Stage::Build, step: Step::BuildImages, error: failure() }));
        view.event(&event(EventKind::Finished(finished())));
        drop(view);
        assert!(screen.contents().contains("✘ build   failed"), "{}", screen.contents());
        assert!(kept.text().contains("SUCCESS in"), "{}", kept.text());
    }

    #[test]
    fn what_runs_tells_progress_and_rate() {
        let board = StageBoard {
            bytes: 1024,
            current: Some(super::super::board::Progress { done: 1024, total: Some(4096), unit: Unit::Bytes }),
            ..StageBoard::default()
        };
        assert_eq!(running(&board, Duration::from_secs(1)), "  1.0 KiB of 4.0 KiB, 1.0 KiB/s");
        assert_eq!(running(&StageBoard::default(), Duration::from_secs(1)), "");
    }
}
