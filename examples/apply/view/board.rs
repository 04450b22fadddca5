//! Where the five stages stand, as the events tell it.

use std::collections::BTreeMap;

use chalk_deploy_core::machine::Stage;
use chalk_deploy_core::observe::{DeploymentEvent, EventKind, Unit};

/// The five stages.
#[derive(Debug, Default)]
pub(super) struct Board {
    stages: BTreeMap<Stage, StageBoard>,
}

/// One stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StageBoard {
    /// Where it stands.
    pub(super) phase: Phase,
    /// Bytes that went through it as a whole.
    pub(super) bytes: u64,
    /// The progress of the step that runs.
    pub(super) current: Option<Progress>,
}

/// Where a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// Not begun.
    #[default]
    Waiting,
    /// A step of it runs.
    Running,
    /// All of it is done.
    Done {
        /// How long it took, in milliseconds.
        elapsed_ms: u64,
    },
    /// A step of it failed for good.
    Failed,
    /// What it did is being taken back.
    Undoing,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    pub(super) unit: Unit,
}

impl Board {
    /// One stage.
    pub(super) fn stage(&self, stage: Stage) -> StageBoard {
        self.stages.get(&stage).cloned().unwrap_or_default()
    }

    /// Takes the next event in.
    pub(super) fn take(&mut self, event: &DeploymentEvent) {
        match &event.kind {
            EventKind::StageStarted { stage } => {
                self.stages.entry(*stage).or_default().phase = Phase::Running;
            }
            EventKind::StepStarted { stage, step, .. } => {
                let entry = self.stages.entry(*stage).or_default();
                entry.current = None;
                if step.is_undo() {
                    entry.phase = Phase::Undoing;
                }
            }
            EventKind::Progress { stage, done, total, unit, .. } => {
                self.stages
                    .entry(*stage)
                    .or_default()
                    .progress(*stage, Progress { done: *done, total: *total, unit: *unit });
            }
            EventKind::StepFinished { stage, step, .. } => {
                let entry = self.stages.entry(*stage).or_default();
                entry.current = None;
                if step.is_undo() {
                    entry.phase = Phase::Failed;
                }
            }
            EventKind::StageFinished { stage, elapsed_ms } => {
                let entry = self.stages.entry(*stage).or_default();
                entry.phase = Phase::Done { elapsed_ms: *elapsed_ms };
                entry.current = None;
            }
            EventKind::StepFailed { stage, .. } => {
                let entry = self.stages.entry(*stage).or_default();
                entry.phase = Phase::Failed;
                entry.current = None;
            }
            _ => {}
        }
    }
}

impl StageBoard {
    fn progress(&mut self, stage: Stage, progress: Progress) {
        if progress.unit == Unit::Bytes {
            match stage {
                // One blob after the other, each counted from its own start.
                Stage::Push if progress.total == Some(progress.done) => self.bytes += progress.done,
                Stage::Push => {}
                // One archive; it may be told again, and start again when it is tried again.
                _ => self.bytes = self.bytes.max(progress.done),
            }
        }
        self.current = Some(progress);
    }
}

#[cfg(test)]
pub(in super::super) mod tests {
    use std::collections::BTreeMap;

    use chalk_deploy_core::error::RecordedError;
    use chalk_deploy_core::machine::{ArchiveOutcome, Outcome, TrafficOutcome};
    use chalk_deploy_core::machine::{Step, Verification};
    use chalk_deploy_core::model::{Backend, Component, DeploymentId, DeploymentStatus, Timestamp, Weight};
    use chalk_deploy_core::{Error, ErrorCode};

    use super::*;

    pub(in super::super) fn id(letter: char) -> DeploymentId {
        DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("a valid id")
    }

    pub(in super::super) fn event(kind: EventKind) -> DeploymentEvent {
        DeploymentEvent { kind, deployment_id: id('a'), at: Timestamp::from_millis(1_000) }
    }

    pub(in super::super) fn failure() -> RecordedError {
        Error::new(ErrorCode::CloudUnavailable, "no answer").on("bucket `source`").record()
    }

    pub(in super::super) fn finished() -> Outcome {
        Outcome {
            status: DeploymentStatus::Success,
            images: BTreeMap::from([(Component::Engine, format!("r.example/engine@sha256:{}", "b".repeat(64)))]),
            archive: Some(ArchiveOutcome {
                key: format!("archives/{}", "c".repeat(64)),
                sha256: "c".repeat(64),
                size: 2048,
            }),
            traffic: Some(TrafficOutcome {
                promoted: true,
                backends: vec![Backend { deployment: id('a'), weight: Weight::ALL }],
                verified_by: Verification::Probe,
            }),
            stages: Vec::new(),
            error: None,
            residue: Vec::new(),
        }
    }

    fn bytes(stage: Stage, step: Step, done: u64, total: u64) -> DeploymentEvent {
        event(EventKind::Progress { stage, step, done, total: Some(total), unit: Unit::Bytes })
    }

    #[test]
    fn an_upload_that_is_tried_again_is_counted_once_and_blobs_are_summed() {
        let mut board = Board::default();
        for (done, total) in [(4, 10), (10, 10), (3, 10), (10, 10), (10, 10)] {
            board.take(&bytes(Stage::Upload, Step::PutArchive, done, total));
        }
        for (done, total) in [(5, 7), (7, 7), (2, 2), (2, 2)] {
            board.take(&bytes(Stage::Push, Step::PushImages, done, total));
        }
        assert_eq!(board.stage(Stage::Upload).bytes, 10);
        assert_eq!(board.stage(Stage::Push).bytes, 11);
    }

    #[test]
    fn a_stage_goes_from_waiting_to_done_and_forgets_the_progress_of_its_step() {
        let mut board = Board::default();
        let stage = Stage::Upload;
        assert_eq!(board.stage(stage).phase, Phase::Waiting);
        board.take(&event(EventKind::StageStarted { stage }));
        board.take(&bytes(stage, Step::PutArchive, 1, 2));
        assert_eq!(board.stage(stage).phase, Phase::Running);
        assert!(board.stage(stage).current.is_some());
        board.take(&event(EventKind::StageFinished { stage, elapsed_ms: 5 }));
        assert_eq!(board.stage(stage).phase, Phase::Done { elapsed_ms: 5 });
        assert_eq!(board.stage(stage).current, None);
    }

    #[test]
    fn a_stage_that_is_taken_back_ends_as_failed() {
        let mut board = Board::default();
        let (stage, step) = (Stage::Build, Step::StopBuild);
        board.take(&event(EventKind::StepFailed { stage, step: Step::BuildImages, error: failure() }));
        board.take(&event(EventKind::StepStarted { stage, step, attempt: 1 }));
        assert_eq!(board.stage(stage).phase, Phase::Undoing);
        board.take(&event(EventKind::StepFinished { stage, step, elapsed_ms: 1 }));
        assert_eq!(board.stage(stage).phase, Phase::Failed);
    }
}
