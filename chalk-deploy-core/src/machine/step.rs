//! The table of steps: what is done in which stage, after what, and how it is undone.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{DeploymentPlan, Promotion};

/// One of the five stages of seed 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Schema and source upload.
    Upload,
    /// Image build.
    Build,
    /// Source archival; runs beside the build.
    Archive,
    /// Image storage.
    Push,
    /// Rollout.
    Rollout,
}

impl Stage {
    /// All five, in order.
    pub const ALL: [Self; 5] = [Self::Upload, Self::Build, Self::Archive, Self::Push, Self::Rollout];

    /// The name in events, spans and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Build => "build",
            Self::Archive => "archive",
            Self::Push => "push",
            Self::Rollout => "rollout",
        }
    }

    /// The steps of this stage that go forward, in order.
    pub fn steps(self) -> impl Iterator<Item = Step> {
        Step::FORWARD.into_iter().filter(move |step| step.stage() == self)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What the table says of a step.
#[derive(Debug, Clone, Copy)]
pub struct StepRow {
    /// The name in journals, events and checkpoints. Never changes.
    pub name: &'static str,
    /// The stage.
    pub stage: Stage,
    /// What must be done before it.
    pub after: &'static [Step],
    /// What takes it back, once it was begun.
    pub undo: Option<Step>,
    /// Whether it may be dropped in the middle when the deployment is given up: it only waits, or its undo covers
    /// whatever it had begun. Any other step is let finish first, so that nothing of it arrives after the undo.
    pub interruptible: bool,
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $stage:ident, after [$($after:ident),*], undo $undo:expr, $interruptible:literal;)*) => {
        /// A durable step: its intent is recorded, its effect done, its result recorded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Step { $($(#[$doc])* #[serde(rename = $wire)] $name,)* }

        impl Step {
            /// Every step, forward ones first.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What the table says.
            pub const fn row(self) -> StepRow {
                match self {
                    $(Self::$name => StepRow {
                        name: $wire,
                        stage: Stage::$stage,
                        after: &[$(Self::$after,)*],
                        undo: $undo,
                        interruptible: $interruptible,
                    },)*
                }
            }
        }
    };
}

steps! {
    /// Streams the archive to `incoming/<deployment id>`.
    PutArchive = "upload.put_archive", Upload, after [], undo Some(Step::DiscardIncoming), false;
    /// Validates the stored graph again on this side.
    CheckGraph = "upload.check_graph", Upload, after [PutArchive], undo None, true;
    /// Builds the images and generates the objects that run them.
    BuildImages = "build.images", Build, after [CheckGraph], undo Some(Step::StopBuild), true;
    /// Copies the archive to `archives/<sha256>`, write-once.
    RetainArchive = "archive.retain", Archive, after [CheckGraph], undo None, false;
    /// Writes the index entry `deployments/<deployment id>`.
    IndexArchive = "archive.index", Archive, after [RetainArchive], undo None, false;
    /// Reads both back.
    VerifyArchive = "archive.verify", Archive, after [IndexArchive], undo None, true;
    /// Removes `incoming/<deployment id>`, which the build reads until it is done.
    RemoveIncoming = "archive.remove_incoming", Archive, after [VerifyArchive, BuildImages], undo None, false;
    /// Pushes blobs and manifests by digest and reads them back.
    PushImages = "push.images", Push, after [BuildImages, RemoveIncoming], undo None, false;
    /// Tags the images with the deployment's id, so that no lifecycle rule removes them.
    TagImages = "push.tag", Push, after [PushImages], undo Some(Step::RemoveTags), false;
    /// Attaches the evidence of each image, and verifies it where that is asked for. Evidence stays with its image.
    AttestImages = "push.attest", Push, after [TagImages], undo None, false;
    /// Reads the traffic and the objects that are there: what an undo goes back to, and what is retired later.
    ObservePrevious = "rollout.observe_previous", Rollout, after [TagImages, AttestImages], undo None, true;
    /// Applies the objects.
    ApplyObjects = "rollout.apply", Rollout, after [ObservePrevious], undo Some(Step::RemoveObjects), false;
    /// Waits until the pods are ready.
    AwaitReady = "rollout.await_ready", Rollout, after [ApplyObjects], undo None, true;
    /// Moves the traffic, in one write.
    ShiftTraffic = "rollout.shift_traffic", Rollout, after [AwaitReady], undo Some(Step::RestoreTraffic), false;
    /// Proves that the new version answers. The commit point: done, nothing is undone any more.
    VerifyTraffic = "rollout.verify", Rollout, after [ShiftTraffic], undo None, true;
    /// Removes the previous version's objects, by uid, after the drain.
    RetirePrevious = "rollout.retire_previous", Rollout, after [VerifyTraffic], undo None, false;

    /// Writes the traffic back as it was, in one write.
    RestoreTraffic = "undo.restore_traffic", Rollout, after [], undo None, false;
    /// Removes the objects of this deployment, by uid; only once no traffic goes there.
    RemoveObjects = "undo.remove_objects", Rollout, after [RestoreTraffic], undo None, false;
    /// Removes our tags.
    RemoveTags = "undo.remove_tags", Push, after [RemoveObjects], undo None, false;
    /// Stops the build.
    StopBuild = "undo.stop_build", Build, after [], undo None, false;
    /// Removes `incoming/<deployment id>`.
    DiscardIncoming = "undo.discard_incoming", Upload, after [], undo None, false;
}

impl Step {
    /// The steps that go forward, in the order of the table.
    pub const FORWARD: [Self; 16] = [
        Self::PutArchive,
        Self::CheckGraph,
        Self::BuildImages,
        Self::RetainArchive,
        Self::IndexArchive,
        Self::VerifyArchive,
        Self::RemoveIncoming,
        Self::PushImages,
        Self::TagImages,
        Self::AttestImages,
        Self::ObservePrevious,
        Self::ApplyObjects,
        Self::AwaitReady,
        Self::ShiftTraffic,
        Self::VerifyTraffic,
        Self::RetirePrevious,
    ];

    /// The steps that take back, in the order in which they are tried.
    pub const UNDO: [Self; 5] =
        [Self::RestoreTraffic, Self::RemoveObjects, Self::RemoveTags, Self::StopBuild, Self::DiscardIncoming];

    /// The name in journals, events and checkpoints.
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The stage that it belongs to.
    pub const fn stage(self) -> Stage {
        self.row().stage
    }

    /// Whether it takes something back.
    pub fn is_undo(self) -> bool {
        Self::UNDO.contains(&self)
    }

    /// Whether the plan has this step at all: a deployment that is held back moves no traffic.
    pub fn applies_to(self, plan: &DeploymentPlan) -> bool {
        match self {
            Self::ShiftTraffic | Self::VerifyTraffic | Self::RetirePrevious => plan.promotion == Promotion::Promote,
            _ => true,
        }
    }

    /// Whether journals that are still resumed may lack it: they were written before the table had it. A journal that
    /// has gone past its place does without; any other one gets it.
    pub const fn may_be_lacking(self) -> bool {
        matches!(self, Self::AttestImages)
    }

    /// The step after which production runs the new version for good.
    pub fn commit_point(plan: &DeploymentPlan) -> Self {
        match plan.promotion {
            Promotion::Promote => Self::VerifyTraffic,
            Promotion::Hold => Self::AwaitReady,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_lists_hold_every_step_once_and_in_the_order_of_the_table() {
        let listed: Vec<_> = Step::FORWARD.into_iter().chain(Step::UNDO).collect();
        assert_eq!(listed, Step::ALL);
    }

    #[test]
    fn every_step_stands_after_the_steps_that_it_waits_for() {
        for (at, step) in Step::ALL.iter().enumerate() {
            for before in step.row().after {
                let position = Step::ALL.iter().position(|other| other == before).expect("in the table");
                assert!(position < at, "{step} waits for {before}, which comes later");
                assert_eq!(step.is_undo(), before.is_undo(), "{step} waits for {before}");
            }
        }
    }

    #[test]
    fn every_undo_takes_back_exactly_one_step_of_its_own_stage() {
        for undo in Step::UNDO {
            let undone: Vec<_> = Step::FORWARD.into_iter().filter(|step| step.row().undo == Some(undo)).collect();
            assert_eq!(undone.len(), 1, "{undo}");
            assert_eq!(undone[0].stage(), undo.stage());
        }
    }
}
