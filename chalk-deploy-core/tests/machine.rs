//! The machine, walked at random: whatever the steps do, the journal stays legal, the status only rises, an undo runs
//! in its order, and there is exactly one end.

use std::time::Duration;

use chalk_deploy_core::error::{RecordedError, Retry};
use chalk_deploy_core::machine::{Command, Event, RecordedEvent, State, Step, StepOutput, StepProgress, decide, fold};
use chalk_deploy_core::model::{
    DeploymentId, DeploymentPlan, DeploymentStatus, Digest, EnvironmentId, GitMetadata, ProjectName, ProjectSettings,
    Promotion, Sizing, SourceFingerprint, Timestamp,
};
use chalk_deploy_core::{Error, ErrorCode};
use proptest::prelude::*;

const DRAIN: Duration = Duration::from_secs(30);
const CREATED: Timestamp = Timestamp::from_millis(1_000_000);

fn plan(promotion: Promotion) -> DeploymentPlan {
    let digest = Digest::of("anything");
    DeploymentPlan {
        id: DeploymentId::new("caaaaaaaaaaaaaaaaaaaaaaaa").expect("a valid id"),
        environment: EnvironmentId::new("default").expect("a valid environment"),
        project: ProjectName::new("fraud").expect("a valid project"),
        created_at: CREATED,
        deadline: CREATED.plus(Duration::from_hours(1)),
        source: SourceFingerprint { sha256: digest, size: 1, unpacked_size: 1, entries: 1, source_code_hash: digest },
        graph: digest,
        git: GitMetadata::default(),
        requirements: Vec::new(),
        settings: ProjectSettings::default(),
        tags: Vec::new(),
        sizing: Sizing::default(),
        strategy: chalk_deploy_core::model::Strategy::Immediate,
        promotion,
        idempotency_key: None,
    }
}

fn error(code: ErrorCode) -> RecordedError {
    Error::new(code, "it did not work").record()
}

/// A journal in the making.
struct Walk {
    state: State,
    journal: Vec<RecordedEvent>,
    now: Timestamp,
}

impl Walk {
    fn new(promotion: Promotion) -> Self {
        let created =
            RecordedEvent { sequence: 1, at: CREATED, event: Event::Created { plan: Box::new(plan(promotion)) } };
        Self { state: fold([&created]).expect("a creation"), journal: vec![created], now: CREATED }
    }

    fn record(&mut self, event: Event) {
        let recorded = RecordedEvent { sequence: self.state.version + 1, at: self.now, event };
        let before = self.state.status;
        self.state.advance(&recorded).expect("the machine proposes only what is legal");
        assert!(self.state.status >= before, "{before} was followed by {}", self.state.status);
        self.journal.push(recorded);
    }

    /// One round of the driver: everything proposed is begun, and each running step ends as `fate` says.
    fn round(&mut self, fate: &mut impl FnMut(Step) -> Fate) {
        let commands = decide(&self.state, self.now, DRAIN);
        assert!(!commands.is_empty(), "an unfinished deployment always has something to do: {:?}", self.state);
        let mut ran = false;
        for command in &commands {
            match command {
                Command::Run { step, attempt } => {
                    ran = true;
                    let open = self.state.steps.get(step).is_some_and(|state| state.progress == StepProgress::Running);
                    if !open {
                        self.record(Event::StepStarted { step: *step, attempt: *attempt });
                    }
                    match fate(*step) {
                        Fate::Succeed => {
                            self.record(Event::StepSucceeded { step: *step, output: Box::new(StepOutput::Nothing) });
                        }
                        Fate::Retry => {
                            let retry_at = Some(self.now.plus(Duration::from_secs(1)));
                            let error = error(ErrorCode::CloudUnavailable);
                            self.record(Event::StepFailed { step: *step, attempt: *attempt, error, retry_at });
                        }
                        Fate::Fail(code) => {
                            let error = error(code);
                            self.record(Event::StepFailed { step: *step, attempt: *attempt, error, retry_at: None });
                        }
                        Fate::Crash => {}
                    }
                    if self.state.abandoned.is_some() && !step.is_undo() {
                        // What else was proposed in this round goes forward, and forward is over.
                        return;
                    }
                }
                Command::Abandon(error) => self.record(Event::Abandoned { error: error.clone() }),
                Command::Finish { status, error, residue } => {
                    let (status, error, residue) = (*status, error.clone(), residue.clone());
                    self.record(Event::Finished { status, error, residue });
                }
                Command::WaitUntil(_) => {}
            }
        }
        let wake = commands.iter().filter_map(|command| match command {
            Command::WaitUntil(time) => Some(*time),
            _ => None,
        });
        if let Some(wake) = wake.min().filter(|_| !ran) {
            self.now = self.now.max(wake);
        }
    }

    fn run(&mut self, mut fate: impl FnMut(Step) -> Fate) -> DeploymentStatus {
        for _ in 0..10_000 {
            self.round(&mut fate);
            if let Some(finish) = &self.state.finished {
                return finish.status;
            }
        }
        panic!("the deployment did not end: {:?}", self.state);
    }

    fn began(&self, step: Step) -> Option<usize> {
        self.journal
            .iter()
            .position(|recorded| matches!(&recorded.event, Event::StepStarted { step: began, .. } if *began == step))
    }
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Succeed,
    Retry,
    Fail(ErrorCode),
    Crash,
}

#[test]
fn a_deployment_whose_steps_all_succeed_ends_in_success_and_ran_each_step_once() {
    let mut walk = Walk::new(Promotion::Promote);
    assert_eq!(walk.run(|_| Fate::Succeed), DeploymentStatus::Success);
    for step in Step::FORWARD {
        let began = walk
            .journal
            .iter()
            .filter(|recorded| matches!(&recorded.event, Event::StepStarted { step: began, .. } if *began == step));
        assert_eq!(began.count(), 1, "{step}");
    }
    assert!(Step::UNDO.iter().all(|undo| walk.began(*undo).is_none()));
}

/// The journal of a deployment by the table of 15 steps, which had no `push.attest`.
fn journal_of_format_1() -> Vec<RecordedEvent> {
    let mut walk = Walk::new(Promotion::Promote);
    walk.run(|_| Fate::Succeed);
    let is_later = |event: &Event| matches!(event, Event::StepStarted { step, .. } | Event::StepSucceeded { step, .. } if *step == Step::AttestImages);
    let old = walk.journal.into_iter().filter(|recorded| !is_later(&recorded.event));
    (1..).zip(old).map(|(sequence, recorded)| RecordedEvent { sequence, ..recorded }).collect()
}

#[test]
fn a_journal_of_the_older_table_is_resumed_from_wherever_it_stood() {
    let old = journal_of_format_1();
    assert_eq!(fold(&old).expect("it is whole").finished.map(|finish| finish.status), Some(DeploymentStatus::Success));
    let mut with_evidence = 0;
    for length in 1..old.len() {
        let journal = old[..length].to_vec();
        let now = journal[length - 1].at;
        let state = fold(&journal).unwrap_or_else(|illegal| panic!("{length} events: {illegal}"));
        let is_past = state.steps.contains_key(&Step::ObservePrevious);
        let mut walk = Walk { state, journal, now };
        assert_eq!(walk.run(|_| Fate::Succeed), DeploymentStatus::Success, "{length} events");
        assert_eq!(walk.began(Step::AttestImages).is_some(), !is_past, "{length} events");
        let began = Step::FORWARD.into_iter().filter(|step| walk.began(*step).is_some()).count();
        assert_eq!(began, if is_past { 15 } else { 16 }, "{length} events");
        assert_eq!(fold(&walk.journal).expect("it stays legal").finished, walk.state.finished);
        with_evidence += usize::from(!is_past);
    }
    assert!(with_evidence > 0 && with_evidence < old.len() - 1);
    // One that is given up is undone as it always was.
    let cut =
        old.iter().position(|recorded| matches!(recorded.event, Event::StepStarted { step: Step::AwaitReady, .. }));
    let journal = old[..=cut.expect("it is there")].to_vec();
    let (state, now) = (fold(&journal).expect("legal"), journal.last().expect("events").at);
    let mut walk = Walk { state, journal, now };
    let status = walk.run(|step| if step.is_undo() { Fate::Succeed } else { Fate::Fail(ErrorCode::NeverReady) });
    assert_eq!(status, DeploymentStatus::Timeout);
    assert!(walk.began(Step::RemoveTags).is_some() && walk.began(Step::AttestImages).is_none());
}

#[test]
fn nothing_but_a_step_that_older_journals_lack_can_be_left_out() {
    for left_out in Step::FORWARD.into_iter().filter(|step| !step.may_be_lacking()) {
        let old = journal_of_format_1();
        let is_of = |event: &Event| matches!(event, Event::StepStarted { step, .. } | Event::StepSucceeded { step, .. } if *step == left_out);
        let kept = old.into_iter().filter(|recorded| !is_of(&recorded.event));
        let journal: Vec<_> =
            (1..).zip(kept).map(|(sequence, recorded)| RecordedEvent { sequence, ..recorded }).collect();
        if left_out != Step::RetirePrevious {
            fold(&journal).expect_err("something waits for it");
        }
    }
    // Once begun, it must be done before anything goes on.
    let old = journal_of_format_1();
    let at = old
        .iter()
        .position(|recorded| matches!(recorded.event, Event::StepStarted { step: Step::ObservePrevious, .. }));
    let mut journal = old[..at.expect("it is there")].to_vec();
    let next = |journal: &[RecordedEvent], step| RecordedEvent {
        sequence: journal.len() as u64 + 1,
        at: CREATED,
        event: Event::StepStarted { step, attempt: 1 },
    };
    journal.push(next(&journal, Step::AttestImages));
    journal.push(next(&journal, Step::ObservePrevious));
    fold(&journal).expect_err("the evidence is not attached yet");
}

#[test]
fn a_deployment_that_is_held_back_moves_no_traffic() {
    let mut walk = Walk::new(Promotion::Hold);
    assert_eq!(walk.run(|_| Fate::Succeed), DeploymentStatus::Success);
    for step in [Step::ShiftTraffic, Step::VerifyTraffic, Step::RetirePrevious] {
        assert!(walk.began(step).is_none(), "{step}");
    }
}

#[test]
fn a_step_that_fails_ends_in_the_status_of_its_error_and_undoes_what_was_begun() {
    for failing in Step::FORWARD {
        let mut walk = Walk::new(Promotion::Promote);
        let status =
            walk.run(|step| if step == failing { Fate::Fail(ErrorCode::ImagePullFailed) } else { Fate::Succeed });
        if failing == Step::RetirePrevious {
            assert_eq!(status, DeploymentStatus::Success, "production runs the new version already");
            let residue = &walk.state.finished.as_ref().expect("it ended").residue;
            assert_eq!(residue.len(), 1, "what was not removed is named: {residue:?}");
            continue;
        }
        assert_eq!(status, DeploymentStatus::BootErrors, "{failing}");
        for forward in Step::FORWARD {
            let Some(undo) = forward.row().undo else { continue };
            assert_eq!(walk.began(forward).is_some(), walk.began(undo).is_some(), "{failing}: {forward} and {undo}");
        }
    }
}

#[test]
fn objects_are_not_removed_while_traffic_may_still_go_to_them() {
    let mut walk = Walk::new(Promotion::Promote);
    let status = walk.run(|step| match step {
        Step::VerifyTraffic => Fate::Fail(ErrorCode::VerificationFailed),
        Step::RestoreTraffic => Fate::Fail(ErrorCode::ObjectConflict),
        _ => Fate::Succeed,
    });
    assert_eq!(status, DeploymentStatus::InternalError);
    assert!(walk.began(Step::RemoveObjects).is_none());
    assert!(walk.began(Step::RemoveTags).is_none(), "the images are still needed");
    assert!(walk.began(Step::DiscardIncoming).is_some(), "what does not depend on it is still undone");
    let finish = walk.state.finished.as_ref().expect("it ended");
    assert_eq!(finish.error.as_ref().map(|error| error.code), Some(ErrorCode::UndoFailed));
    assert_eq!(finish.residue.len(), 3, "{:?}", finish.residue);
}

#[test]
fn the_old_version_is_kept_until_the_drain_is_over() {
    let mut walk = Walk::new(Promotion::Promote);
    walk.run(|_| Fate::Succeed);
    let at =
        |wanted: &dyn Fn(&Event) -> bool| walk.journal.iter().find(|event| wanted(&event.event)).expect("recorded").at;
    let verified = at(&|event| matches!(event, Event::StepSucceeded { step: Step::VerifyTraffic, .. }));
    let retiring = at(&|event| matches!(event, Event::StepStarted { step: Step::RetirePrevious, .. }));
    assert_eq!(retiring.since(verified), DRAIN);
}

#[test]
fn a_deployment_that_passes_its_deadline_is_abandoned_but_not_once_production_runs_it() {
    let mut walk = Walk::new(Promotion::Promote);
    let status = walk.run(|step| if step == Step::AwaitReady { Fate::Retry } else { Fate::Succeed });
    assert_eq!(status, DeploymentStatus::Timeout);

    let mut committed = Walk::new(Promotion::Promote);
    while !committed.state.is_committed() {
        committed.round(&mut |_| Fate::Succeed);
    }
    committed.now = committed.state.plan.deadline.plus(Duration::from_secs(1));
    assert_eq!(committed.run(|_| Fate::Succeed), DeploymentStatus::Success);
}

#[test]
fn illegal_events_are_refused_and_leave_the_state_as_it_was() {
    let mut finished = Walk::new(Promotion::Promote);
    finished.run(|_| Fate::Succeed);
    let fresh = Walk::new(Promotion::Promote).state;
    let success = || Box::new(StepOutput::Nothing);
    let cases = [
        (&fresh, Event::StepStarted { step: Step::ShiftTraffic, attempt: 1 }),
        (&fresh, Event::StepStarted { step: Step::PutArchive, attempt: 2 }),
        (&fresh, Event::StepStarted { step: Step::RestoreTraffic, attempt: 1 }),
        (&fresh, Event::StepSucceeded { step: Step::PutArchive, output: success() }),
        (&fresh, Event::Queued),
        (&fresh, Event::Finished { status: DeploymentStatus::Working, error: None, residue: Vec::new() }),
        (&fresh, Event::Created { plan: Box::new(plan(Promotion::Hold)) }),
        (&finished.state, Event::Abandoned { error: error(ErrorCode::Cancelled) }),
        (&finished.state, Event::Finished { status: DeploymentStatus::Failure, error: None, residue: Vec::new() }),
    ];
    for (state, event) in cases {
        let mut changed = state.clone();
        let recorded = RecordedEvent { sequence: state.version + 1, at: CREATED, event };
        assert!(changed.advance(&recorded).is_err(), "{recorded:?}");
        assert_eq!(&changed, state);
    }
    let gap =
        RecordedEvent { sequence: 3, at: CREATED, event: Event::Abandoned { error: error(ErrorCode::Cancelled) } };
    assert!(fresh.clone().advance(&gap).is_err());
    assert!(fold(&[]).is_err());
}

#[test]
fn a_journal_survives_its_own_serialisation() {
    let mut walk = Walk::new(Promotion::Promote);
    walk.run(|step| if step == Step::TagImages { Fate::Fail(ErrorCode::PermissionDenied) } else { Fate::Succeed });
    let text = serde_json::to_string(&walk.journal).expect("plain data");
    let back: Vec<RecordedEvent> = serde_json::from_str(&text).expect("what was written can be read");
    assert_eq!(back, walk.journal);
    assert_eq!(fold(&back).expect("legal"), walk.state);
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        12 => Just(Fate::Succeed),
        3 => Just(Fate::Retry),
        3 => Just(Fate::Crash),
        1 => Just(Fate::Fail(ErrorCode::BuildFailed)),
        1 => Just(Fate::Fail(ErrorCode::NeverReady)),
    ];
    proptest::collection::vec(fate, 1..200)
}

proptest! {
    #[test]
    fn every_walk_ends_once_and_every_prefix_of_its_journal_can_be_gone_on_from(fates in fates(), cancel_after in 0_usize..400) {
        let mut walk = Walk::new(Promotion::Promote);
        let mut fates = fates.into_iter();
        let mut rounds = 0;
        while walk.state.finished.is_none() {
            rounds += 1;
            prop_assert!(rounds < 10_000, "no end: {:?}", walk.state);
            if rounds == cancel_after && walk.state.abandoned.is_none() && !walk.state.is_committed() {
                walk.record(Event::Abandoned { error: error(ErrorCode::Cancelled) });
            }
            walk.round(&mut |_| fates.next().unwrap_or(Fate::Succeed));
        }
        let finish = walk.state.finished.clone().expect("it ended");
        prop_assert!(finish.status.is_terminal());
        prop_assert_eq!(finish.status == DeploymentStatus::Success, walk.state.abandoned.is_none());

        // An abandoned deployment never moves traffic after it was abandoned, and undoes in the order of the table.
        let undone: Vec<Step> = walk.journal.iter().filter_map(|recorded| match recorded.event {
            Event::StepSucceeded { step, .. } if step.is_undo() => Some(step),
            _ => None,
        }).collect();
        for pair in [(Step::RestoreTraffic, Step::RemoveObjects), (Step::RemoveObjects, Step::RemoveTags)] {
            let place = |wanted| undone.iter().position(|step| *step == wanted);
            if let (Some(first), Some(second)) = (place(pair.0), place(pair.1)) {
                prop_assert!(first < second);
            }
        }

        for length in 1..=walk.journal.len() {
            let state = fold(&walk.journal[..length]).expect("every prefix of a legal journal is legal");
            let mut resumed = Walk { state, journal: Vec::new(), now: walk.now };
            if resumed.state.finished.is_none() {
                let end = resumed.run(|_| Fate::Succeed);
                prop_assert!(end.is_terminal());
            }
        }
    }

    #[test]
    fn a_retry_class_survives_the_journal(temporary in any::<bool>()) {
        let retry = if temporary { Retry::Temporary } else { Retry::Permanent };
        let recorded = Error::new(ErrorCode::CloudUnavailable, "no answer").with_retry(retry).record();
        prop_assert_eq!(Error::from(recorded).retry(), retry);
    }
}
