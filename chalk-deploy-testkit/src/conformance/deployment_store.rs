//! The contract of [`DeploymentStore`], one function a sentence.
//!
//! Every check makes its own environment and its own ids, so that all of them may run side by side on one store, and on
//! one that holds other deployments. [`deployment_store_suite!`](crate::deployment_store_suite) makes a test of each.

#![expect(clippy::missing_panics_doc, reason = "a check panics when the contract is broken; that is its purpose")]

use std::time::Duration;

use bytes::Bytes;
use chalk_deploy_core::cloud::FencingToken;
use chalk_deploy_core::machine::{Event, RecordedEvent, Step, StepOutput};
use chalk_deploy_core::model::{
    DeploymentId, DeploymentPlan, DeploymentStatus, DeploymentTag, Digest, EnvironmentId, GitMetadata, IdempotencyKey,
    ProjectName, ProjectSettings, Promotion, RequirementsFile, Sizing, SourceFingerprint, Strategy, Timestamp,
};
use chalk_deploy_core::runtime::{RuntimeExt as _, SystemRuntime};
use chalk_deploy_core::store::{Append, Creation, DeploymentStore, HistoryQuery, Lease, LeaseHolder};
use chalk_deploy_core::{ErrorCode, Result};
use futures::future::join_all;

/// Makes a `#[tokio::test]` of every check, on the store that the expression gives. The expression is evaluated in an
/// `async` context once for each test, and may give anything that dereferences to a store.
///
/// Stores whose leases end with their term, and not with their owner's process, add `leases_end_by_term`.
#[macro_export]
macro_rules! deployment_store_suite {
    ($store:expr) => {
        $crate::deployment_store_suite! { @tests $store;
            a_new_deployment_awaits_its_source_and_its_journal_begins_with_its_plan
            a_creation_repeated_under_its_key_gives_the_deployment_that_exists
            a_key_used_again_with_other_content_is_an_error_and_creates_nothing
            creations_at_the_same_moment_under_one_key_make_one_deployment
            the_same_key_in_another_environment_is_another_key
            without_a_key_equal_requests_make_deployments_of_their_own
            an_id_that_is_taken_is_refused
            a_graph_comes_back_byte_for_byte
            a_graph_that_is_not_the_one_of_the_plan_is_refused
            an_append_moves_version_status_and_time
            events_come_back_as_they_were_appended
            only_the_events_after_a_number_are_read
            of_many_appends_at_the_same_version_exactly_one_wins
            the_second_of_two_equal_appends_is_a_conflict
            an_append_that_skips_ahead_is_a_conflict
            a_refused_append_leaves_nothing_behind
            misnumbered_and_empty_appends_are_refused
            a_status_never_goes_back_and_nothing_follows_a_terminal_one
            without_a_token_only_the_awaited_source_may_be_recorded
            a_token_that_was_never_given_out_is_refused
            the_token_of_another_environment_is_refused
            a_token_is_refused_after_a_takeover
            a_token_is_refused_once_its_lease_is_given_up
            what_is_not_there_is_unknown
            history_is_in_the_order_of_creation_whatever_the_clocks_say
            history_is_filtered_by_environment_and_status
            history_is_read_page_by_page_without_gaps_or_repeats
            a_cancellation_is_noted_once_and_for_all
            a_finished_deployment_cannot_be_cancelled
            a_lease_that_is_held_names_its_owner_and_the_way_to_take_over
            of_many_who_want_an_environment_exactly_one_gets_it
            leases_of_different_environments_do_not_meet
            a_lease_that_is_given_up_is_free_at_once
            tokens_grow_from_lease_to_lease
            a_lease_can_be_renewed_while_it_is_in_force_and_not_afterwards
            giving_up_an_old_lease_leaves_the_new_one_alone
        }
    };
    ($store:expr, leases_end_by_term) => {
        $crate::deployment_store_suite!($store);
        $crate::deployment_store_suite! { @tests $store;
            a_lease_whose_term_has_passed_is_free
            a_renewed_lease_lasts_a_term_longer
        }
    };
    (@tests $store:expr; $($check:ident)*) => {
        $(
            #[tokio::test]
            async fn $check() {
                let store = $store;
                $crate::conformance::deployment_store::$check(&*store).await;
            }
        )*
    };
}

const TERM: Duration = Duration::from_secs(15);
const GRAPH: &[u8] = b"\x0a\x00the export of a graph\xff";

/// A time for records, some milliseconds into an arbitrary day.
pub fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

/// An environment that nobody else uses.
pub fn fresh_environment() -> EnvironmentId {
    EnvironmentId::new(fresh_id().as_str()).expect("an id is a valid environment")
}

/// An owner that nobody else is, in this process.
pub fn fresh_holder() -> LeaseHolder {
    LeaseHolder { name: fresh_id().to_string(), process: std::process::id(), started_at: at(0) }
}

/// A plan with a fresh id.
pub fn plan(environment: &EnvironmentId) -> DeploymentPlan {
    DeploymentPlan {
        id: fresh_id(),
        environment: environment.clone(),
        project: ProjectName::new("fraud détection").expect("a valid project"),
        created_at: at(0),
        deadline: at(3_600_000),
        source: SourceFingerprint {
            sha256: Digest::of("archive"),
            size: 7,
            unpacked_size: 70,
            entries: 3,
            source_code_hash: Digest::of("sources"),
        },
        graph: Digest::of(GRAPH),
        git: GitMetadata { subject: Some("quotes ' \" \\ and \u{0}\u{1b}[31m".to_owned()), ..GitMetadata::default() },
        requirements: vec![RequirementsFile { filename: "requirements.txt".to_owned(), contents: "\n".to_owned() }],
        settings: ProjectSettings::default(),
        tags: vec![DeploymentTag::new("green").expect("a valid tag")],
        sizing: Sizing::default(),
        strategy: Strategy::Immediate,
        promotion: Promotion::Promote,
        idempotency_key: None,
    }
}

/// The graph that [`plan`] names.
pub const fn graph() -> Bytes {
    Bytes::from_static(GRAPH)
}

/// An append of as many log lines as wanted.
pub fn append(
    deployment: &DeploymentId,
    expected_version: u64,
    token: Option<FencingToken>,
    lines: u64,
    status: DeploymentStatus,
) -> Append {
    let event = |number| RecordedEvent {
        sequence: expected_version + number,
        at: at(expected_version + number),
        event: Event::Log { step: Step::BuildImages, line: format!("line {number} \"\\u0000\" of {status}") },
    };
    Append { deployment: deployment.clone(), expected_version, token, events: (1..=lines).map(event).collect(), status }
}

fn fresh_id() -> DeploymentId {
    SystemRuntime::new().deployment_id().expect("the runtime makes valid ids")
}

fn with_key(environment: &EnvironmentId, key: &str) -> DeploymentPlan {
    DeploymentPlan { idempotency_key: Some(IdempotencyKey::new(key).expect("a valid key")), ..plan(environment) }
}

async fn created(store: &dyn DeploymentStore, environment: &EnvironmentId) -> DeploymentId {
    let plan = plan(environment);
    let creation = store.create(&plan, &graph()).await.expect("the deployment is created");
    assert_eq!(creation, Creation::New);
    plan.id
}

async fn leased(store: &dyn DeploymentStore, environment: &EnvironmentId) -> Lease {
    store.acquire_lease(environment, &fresh_holder(), TERM, at(0)).await.expect("the environment is free")
}

async fn history(store: &dyn DeploymentStore, query: &HistoryQuery) -> Vec<DeploymentId> {
    let records = store.history(query).await.expect("the history can be read");
    records.into_iter().map(|record| record.plan.id).collect()
}

fn of(environment: &EnvironmentId) -> HistoryQuery {
    HistoryQuery { environment: Some(environment.clone()), ..HistoryQuery::default() }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, code: ErrorCode) -> String {
    let error = result.expect_err("this breaks the contract and is refused");
    assert_eq!(error.code(), code, "{}", error.sentence());
    error.sentence()
}

// --- creation ----------------------------------------------------------------------------------------------------------

/// The record of a new deployment.
pub async fn a_new_deployment_awaits_its_source_and_its_journal_begins_with_its_plan(store: &dyn DeploymentStore) {
    let plan = with_key(&fresh_environment(), "a-key");
    assert_eq!(store.create(&plan, &graph()).await.expect("it is created"), Creation::New);
    let record = store.deployment(&plan.id).await.expect("it is there");
    assert_eq!((record.status, record.version), (DeploymentStatus::AwaitingSource, 1));
    assert_eq!((record.updated_at, record.cancel_requested), (plan.created_at, false));
    assert_eq!(record.plan, plan);
    let first =
        RecordedEvent { sequence: 1, at: plan.created_at, event: Event::Created { plan: Box::new(plan.clone()) } };
    assert_eq!(store.events(&plan.id, 0).await.expect("its journal is there"), [first]);
}

/// Idempotency of the creation.
pub async fn a_creation_repeated_under_its_key_gives_the_deployment_that_exists(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let (first, second) = (with_key(&environment, "key"), with_key(&environment, "key"));
    assert_ne!(first.id, second.id);
    assert_eq!(store.create(&first, &graph()).await.expect("it is created"), Creation::New);
    let repeated = store.create(&second, &graph()).await.expect("it exists");
    assert_eq!(repeated, Creation::Existing(first.id.clone()));
    refused(store.deployment(&second.id).await, ErrorCode::DeploymentUnknown);
    assert_eq!(history(store, &of(&environment)).await, [first.id]);
}

/// A key stands for one content.
pub async fn a_key_used_again_with_other_content_is_an_error_and_creates_nothing(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let first = with_key(&environment, "key");
    store.create(&first, &graph()).await.expect("it is created");
    let other = DeploymentPlan { promotion: Promotion::Hold, ..with_key(&environment, "key") };
    let sentence = refused(store.create(&other, &graph()).await, ErrorCode::IdempotencyKeyReused);
    assert!(sentence.contains(first.id.as_str()), "{sentence}");
    assert_eq!(history(store, &of(&environment)).await, [first.id]);
}

/// A key works for requests that arrive together.
pub async fn creations_at_the_same_moment_under_one_key_make_one_deployment(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let plans: Vec<_> = (0..8).map(|_| with_key(&environment, "key")).collect();
    let bytes = graph();
    let creations = join_all(plans.iter().map(|plan| store.create(plan, &bytes))).await;
    let made = history(store, &of(&environment)).await;
    assert_eq!(made.len(), 1);
    for (plan, creation) in plans.iter().zip(creations) {
        let expected = if plan.id == made[0] { Creation::New } else { Creation::Existing(made[0].clone()) };
        assert_eq!(creation.expect("all of them succeed"), expected);
    }
}

/// Keys belong to environments.
pub async fn the_same_key_in_another_environment_is_another_key(store: &dyn DeploymentStore) {
    for _ in 0..2 {
        let plan = with_key(&fresh_environment(), "key");
        assert_eq!(store.create(&plan, &graph()).await.expect("it is created"), Creation::New);
    }
}

/// Deploying the same again is a deployment of its own.
pub async fn without_a_key_equal_requests_make_deployments_of_their_own(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let first = created(store, &environment).await;
    let second = created(store, &environment).await;
    assert_eq!(history(store, &of(&environment)).await, [second, first]);
}

/// Ids are unique.
pub async fn an_id_that_is_taken_is_refused(store: &dyn DeploymentStore) {
    let plan = plan(&fresh_environment());
    store.create(&plan, &graph()).await.expect("it is created");
    refused(store.create(&plan, &graph()).await, ErrorCode::RequestInvalid);
    assert_eq!(store.events(&plan.id, 0).await.expect("its journal is there").len(), 1);
}

// --- the graph ---------------------------------------------------------------------------------------------------------

/// Graphs are kept by their digest.
pub async fn a_graph_comes_back_byte_for_byte(store: &dyn DeploymentStore) {
    let bytes = Bytes::from(fresh_id().to_string().into_bytes());
    let digest = Digest::of(&bytes);
    assert_eq!(store.graph(&digest).await.expect("the store answers"), None);
    for _ in 0..2 {
        let plan = DeploymentPlan { graph: digest, ..plan(&fresh_environment()) };
        store.create(&plan, &bytes).await.expect("it is created");
    }
    assert_eq!(store.graph(&digest).await.expect("the store answers"), Some(bytes));
}

/// What is stored under a digest has that digest.
pub async fn a_graph_that_is_not_the_one_of_the_plan_is_refused(store: &dyn DeploymentStore) {
    let plan = plan(&fresh_environment());
    refused(store.create(&plan, &Bytes::from_static(b"another one")).await, ErrorCode::DigestMismatch);
    refused(store.deployment(&plan.id).await, ErrorCode::DeploymentUnknown);
}

// --- appends -----------------------------------------------------------------------------------------------------------

/// The record follows the journal.
pub async fn an_append_moves_version_status_and_time(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let token = Some(leased(store, &environment).await.token);
    store.append(&append(&deployment, 1, token, 3, DeploymentStatus::Working)).await.expect("version and token fit");
    let record = store.deployment(&deployment).await.expect("it is there");
    assert_eq!((record.version, record.status, record.updated_at), (4, DeploymentStatus::Working, at(4)));
}

/// Every kind of text and value survives.
pub async fn events_come_back_as_they_were_appended(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let token = Some(leased(store, &environment).await.token);
    let kinds = [
        Event::Log { step: Step::BuildImages, line: "'; DROP TABLE events; -- \u{0} \\u0000 \"é\" 🦀".to_owned() },
        Event::StepStarted { step: Step::BuildImages, attempt: u32::MAX },
        Event::StepSucceeded { step: Step::AwaitReady, output: Box::new(StepOutput::Ready { pods: 3 }) },
        Event::Finished { status: DeploymentStatus::Failure, error: None, residue: vec![String::new()] },
    ];
    let events: Vec<_> =
        (2..).zip(kinds).map(|(sequence, event)| RecordedEvent { sequence, at: at(sequence), event }).collect();
    let mut append = append(&deployment, 1, token, 0, DeploymentStatus::Failure);
    append.events.clone_from(&events);
    store.append(&append).await.expect("version and token fit");
    assert_eq!(store.events(&deployment, 1).await.expect("its journal is there"), events);
}

/// Listeners read on where they stopped.
pub async fn only_the_events_after_a_number_are_read(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let token = Some(leased(store, &environment).await.token);
    store.append(&append(&deployment, 1, token, 4, DeploymentStatus::Working)).await.expect("version and token fit");
    for after in [0, 1, 3, 5, 6, u64::MAX] {
        let events = store.events(&deployment, after).await.expect("its journal is there");
        let numbers: Vec<_> = events.iter().map(|event| event.sequence).collect();
        let expected: Vec<_> = (1..=5).filter(|number| *number > after).collect();
        assert_eq!(numbers, expected, "after {after}");
    }
}

/// Compare-and-set.
pub async fn of_many_appends_at_the_same_version_exactly_one_wins(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let token = Some(leased(store, &environment).await.token);
    for version in [1, 2, 3] {
        let appends: Vec<_> = (0..8)
            .map(|writer| {
                let mut append = append(&deployment, version, token, 1, DeploymentStatus::Working);
                append.events[0].event = Event::Log { step: Step::BuildImages, line: format!("writer {writer}") };
                append
            })
            .collect();
        let results = join_all(appends.iter().map(|append| store.append(append))).await;
        let winners: Vec<_> = results.iter().zip(&appends).filter(|(result, _)| result.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        let written = store.events(&deployment, version).await.expect("its journal is there");
        assert_eq!(written, winners[0].1.events);
        for result in results.into_iter().filter(Result::is_err) {
            refused(result, ErrorCode::VersionConflict);
        }
    }
}

/// An append is not idempotent, with and without a token.
pub async fn the_second_of_two_equal_appends_is_a_conflict(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let arrival = append(&deployment, 1, None, 1, DeploymentStatus::Pending);
    store.append(&arrival).await.expect("the source is awaited");
    refused(store.append(&arrival).await, ErrorCode::VersionConflict);
    let token = Some(leased(store, &environment).await.token);
    let start = append(&deployment, 2, token, 2, DeploymentStatus::Working);
    store.append(&start).await.expect("version and token fit");
    refused(store.append(&start).await, ErrorCode::VersionConflict);
    assert_eq!(store.deployment(&deployment).await.expect("it is there").version, 4);
}

/// No gap can be made.
pub async fn an_append_that_skips_ahead_is_a_conflict(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let token = Some(leased(store, &environment).await.token);
    for version in [0, 2, 7, i64::MAX as u64, u64::MAX - 1] {
        let result = store.append(&append(&deployment, version, token, 1, DeploymentStatus::Working)).await;
        refused(result, ErrorCode::VersionConflict);
    }
}

/// All or nothing.
pub async fn a_refused_append_leaves_nothing_behind(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let token = leased(store, &environment).await.token;
    store.append(&append(&deployment, 1, Some(token), 1, DeploymentStatus::Working)).await.expect("it fits");
    let before = (store.deployment(&deployment).await, store.events(&deployment, 0).await);
    let (record, events) = (before.0.expect("it is there"), before.1.expect("its journal is there"));
    let mut misnumbered = append(&deployment, 2, Some(token), 3, DeploymentStatus::Deploying);
    misnumbered.events[2].sequence = 3;
    refused(store.append(&misnumbered).await, ErrorCode::RequestInvalid);
    let mut endless = append(&deployment, 2, Some(token), 3, DeploymentStatus::Deploying);
    endless.events[1].at = Timestamp::from_millis(u64::MAX);
    refused(store.append(&endless).await, ErrorCode::RequestInvalid);
    for (version, token, status) in [
        (1, Some(token), DeploymentStatus::Deploying),
        (2, Some(FencingToken(token.0 + 1)), DeploymentStatus::Deploying),
        (2, Some(token), DeploymentStatus::Pending),
        (2, None, DeploymentStatus::Deploying),
    ] {
        let result = store.append(&append(&deployment, version, token, 3, status)).await;
        assert!(result.is_err(), "version {version}, token {token:?}, status {status}");
        assert_eq!(store.deployment(&deployment).await.expect("it is there"), record);
        assert_eq!(store.events(&deployment, 0).await.expect("its journal is there"), events);
    }
}

/// What no journal could take is the writer's defect.
pub async fn misnumbered_and_empty_appends_are_refused(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let token = Some(leased(store, &environment).await.token);
    refused(
        store.append(&append(&deployment, 1, token, 0, DeploymentStatus::Working)).await,
        ErrorCode::RequestInvalid,
    );
    for numbers in [[1, 2], [2, 2], [3, 4], [2, 4], [u64::MAX, 0]] {
        let mut misnumbered = append(&deployment, 1, token, 2, DeploymentStatus::Working);
        for (event, number) in misnumbered.events.iter_mut().zip(numbers) {
            event.sequence = number;
        }
        refused(store.append(&misnumbered).await, ErrorCode::RequestInvalid);
    }
    assert_eq!(store.events(&deployment, 0).await.expect("its journal is there").len(), 1);
}

/// The status as observers may see it.
pub async fn a_status_never_goes_back_and_nothing_follows_a_terminal_one(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let token = Some(leased(store, &environment).await.token);
    for before in DeploymentStatus::ALL {
        for after in DeploymentStatus::ALL {
            let deployment = created(store, &environment).await;
            store.append(&append(&deployment, 1, token, 1, before)).await.expect("any status follows the first one");
            let result = store.append(&append(&deployment, 2, token, 1, after)).await;
            if before.may_become(after) || (before == after && !before.is_terminal()) {
                result.expect("it stays or goes on");
            } else {
                refused(result, ErrorCode::JournalCorrupt);
                assert_eq!(store.deployment(&deployment).await.expect("it is there").status, before);
            }
        }
    }
}

// --- fencing -----------------------------------------------------------------------------------------------------------

/// The client writes until its source has arrived, the owner from then on.
pub async fn without_a_token_only_the_awaited_source_may_be_recorded(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let _owner = leased(store, &environment).await;
    let upload = [(1, DeploymentStatus::AwaitingSource), (2, DeploymentStatus::Pending)];
    for (version, status) in upload {
        store.append(&append(&deployment, version, None, 1, status)).await.expect("the source is awaited");
    }
    let late = append(&deployment, 3, None, 1, DeploymentStatus::Pending);
    refused(store.append(&late).await, ErrorCode::LeaseLost);
}

/// A token must have been given out.
pub async fn a_token_that_was_never_given_out_is_refused(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let guesses = |newest: u64| [0, newest + 1, u64::MAX];
    for guess in guesses(0) {
        let guessed = append(&deployment, 1, Some(FencingToken(guess)), 1, DeploymentStatus::Working);
        refused(store.append(&guessed).await, ErrorCode::LeaseLost);
    }
    let newest = leased(store, &environment).await.token;
    for guess in guesses(newest.0) {
        let guessed = append(&deployment, 1, Some(FencingToken(guess)), 1, DeploymentStatus::Working);
        refused(store.append(&guessed).await, ErrorCode::LeaseLost);
    }
    assert_eq!(store.deployment(&deployment).await.expect("it is there").version, 1);
}

/// A lease is for one environment.
pub async fn the_token_of_another_environment_is_refused(store: &dyn DeploymentStore) {
    let (ours, theirs) = (fresh_environment(), fresh_environment());
    let deployment = created(store, &ours).await;
    let _owner = leased(store, &ours).await;
    for _ in 0..2 {
        let lease = leased(store, &theirs).await;
        store.release_lease(&lease).await.expect("it is given up");
    }
    let foreign = Some(leased(store, &theirs).await.token);
    refused(store.append(&append(&deployment, 1, foreign, 1, DeploymentStatus::Working)).await, ErrorCode::LeaseLost);
}

/// A paused owner that wakes up changes nothing.
pub async fn a_token_is_refused_after_a_takeover(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let old = leased(store, &environment).await;
    store.append(&append(&deployment, 1, Some(old.token), 1, DeploymentStatus::Working)).await.expect("it fits");
    store.release_lease(&old).await.expect("it is given up");
    let new = leased(store, &environment).await;
    let sentence = refused(
        store.append(&append(&deployment, 2, Some(old.token), 1, DeploymentStatus::Working)).await,
        ErrorCode::LeaseLost,
    );
    assert!(sentence.contains("taken over"), "{sentence}");
    // Also when the version is wrong: such a writer is to stop, not to try again.
    refused(
        store.append(&append(&deployment, 1, Some(old.token), 1, DeploymentStatus::Working)).await,
        ErrorCode::LeaseLost,
    );
    store.append(&append(&deployment, 2, Some(new.token), 1, DeploymentStatus::Working)).await.expect("it fits");
}

/// Giving up is for good.
pub async fn a_token_is_refused_once_its_lease_is_given_up(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let lease = leased(store, &environment).await;
    store.release_lease(&lease).await.expect("it is given up");
    let late = append(&deployment, 1, Some(lease.token), 1, DeploymentStatus::Working);
    refused(store.append(&late).await, ErrorCode::LeaseLost);
}

// --- queries -----------------------------------------------------------------------------------------------------------

/// Unknown deployments.
pub async fn what_is_not_there_is_unknown(store: &dyn DeploymentStore) {
    let nobody = fresh_id();
    refused(store.deployment(&nobody).await, ErrorCode::DeploymentUnknown);
    refused(store.events(&nobody, 0).await, ErrorCode::DeploymentUnknown);
    refused(store.request_cancel(&nobody).await, ErrorCode::DeploymentUnknown);
    for token in [None, Some(FencingToken(1))] {
        let result = store.append(&append(&nobody, 1, token, 1, DeploymentStatus::Pending)).await;
        let sentence = refused(result, ErrorCode::DeploymentUnknown);
        assert!(sentence.contains(nobody.as_str()), "{sentence}");
    }
    let query = HistoryQuery { before: Some(nobody), ..HistoryQuery::default() };
    refused(store.history(&query).await, ErrorCode::DeploymentUnknown);
    assert_eq!(history(store, &of(&fresh_environment())).await, []);
}

/// The order is the store's own.
pub async fn history_is_in_the_order_of_creation_whatever_the_clocks_say(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let mut expected = Vec::new();
    for millis in [500, 100, 900, 100] {
        let plan = DeploymentPlan { created_at: at(millis), ..plan(&environment) };
        store.create(&plan, &graph()).await.expect("it is created");
        expected.insert(0, plan.id);
    }
    assert_eq!(history(store, &of(&environment)).await, expected);
}

/// The filters, alone and together.
pub async fn history_is_filtered_by_environment_and_status(store: &dyn DeploymentStore) {
    let (environment, other) = (fresh_environment(), fresh_environment());
    let token = Some(leased(store, &environment).await.token);
    let foreign = created(store, &other).await;
    let mut made = Vec::new();
    for status in [DeploymentStatus::Working, DeploymentStatus::Success, DeploymentStatus::Queued] {
        let deployment = created(store, &environment).await;
        store.append(&append(&deployment, 1, token, 1, status)).await.expect("it fits");
        made.push(deployment);
    }
    let waiting = created(store, &environment).await;
    let [working, done, queued] = made.try_into().expect("three were made");
    let query = |statuses: &[DeploymentStatus]| HistoryQuery { statuses: statuses.to_vec(), ..of(&environment) };
    assert_eq!(history(store, &query(&[DeploymentStatus::Success])).await, [done]);
    assert_eq!(history(store, &query(&[DeploymentStatus::Timeout])).await, []);
    let two = [DeploymentStatus::Working, DeploymentStatus::AwaitingSource];
    assert_eq!(history(store, &query(&two)).await, [waiting.clone(), working.clone()]);
    let unfinished = HistoryQuery::unfinished(Some(environment.clone()));
    assert_eq!(history(store, &unfinished).await, [waiting, queued, working]);
    assert_eq!(history(store, &of(&other)).await, [foreign.clone()]);
    let everywhere = history(store, &HistoryQuery::unfinished(None)).await;
    assert!(everywhere.contains(&foreign) && everywhere.len() >= 4, "{everywhere:?}");
}

/// Pages.
pub async fn history_is_read_page_by_page_without_gaps_or_repeats(store: &dyn DeploymentStore) {
    let (environment, other) = (fresh_environment(), fresh_environment());
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.insert(0, created(store, &environment).await);
        created(store, &other).await;
    }
    for most in [1, 2, 5, 7] {
        let mut pages = Vec::new();
        let mut before = None;
        loop {
            let page = history(store, &HistoryQuery { before, most: Some(most), ..of(&environment) }).await;
            assert!(page.len() <= most, "{page:?}");
            let Some(last) = page.last() else { break };
            before = Some(last.clone());
            pages.extend(page);
        }
        assert_eq!(pages, expected, "{most} a page");
    }
    assert_eq!(history(store, &HistoryQuery { most: Some(0), ..of(&environment) }).await, []);
    assert_eq!(history(store, &HistoryQuery { most: Some(usize::MAX), ..of(&environment) }).await, expected);
}

// --- cancellation ------------------------------------------------------------------------------------------------------

/// Anybody may ask, as often as they like; the journal stays as it is.
pub async fn a_cancellation_is_noted_once_and_for_all(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let token = Some(leased(store, &environment).await.token);
    for _ in 0..2 {
        store.request_cancel(&deployment).await.expect("it can be cancelled");
        let record = store.deployment(&deployment).await.expect("it is there");
        assert_eq!((record.cancel_requested, record.version), (true, 1));
    }
    store.append(&append(&deployment, 1, token, 1, DeploymentStatus::Working)).await.expect("the owner goes on");
    assert!(store.deployment(&deployment).await.expect("it is there").cancel_requested);
}

/// The end is the end.
pub async fn a_finished_deployment_cannot_be_cancelled(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let token = Some(leased(store, &environment).await.token);
    for status in DeploymentStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
        let deployment = created(store, &environment).await;
        store.append(&append(&deployment, 1, token, 1, status)).await.expect("it fits");
        let sentence = refused(store.request_cancel(&deployment).await, ErrorCode::DeploymentFinal);
        assert!(sentence.contains(status.as_str()), "{sentence}");
        assert!(!store.deployment(&deployment).await.expect("it is there").cancel_requested);
    }
}

// --- leases ------------------------------------------------------------------------------------------------------------

/// The refusal helps the person who reads it.
pub async fn a_lease_that_is_held_names_its_owner_and_the_way_to_take_over(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let owner = LeaseHolder { name: "the\u{1b}owner".to_owned(), process: 4242, started_at: at(7) };
    store.acquire_lease(&environment, &owner, TERM, at(0)).await.expect("the environment is free");
    // The owner itself gets no second lease either: two tasks of one process must not both believe that it is theirs.
    for wanting in [fresh_holder(), owner.clone()] {
        let result = store.acquire_lease(&environment, &wanting, TERM, at(1)).await;
        let sentence = refused(result, ErrorCode::LeaseHeld);
        let started_at = owner.started_at.to_string();
        for part in [environment.as_str(), "process 4242", started_at.as_str(), "--resume"] {
            assert!(sentence.contains(part), "{part} is missing: {sentence}");
        }
        assert!(!sentence.contains('\u{1b}'), "{sentence:?}");
    }
}

/// Mutual exclusion.
pub async fn of_many_who_want_an_environment_exactly_one_gets_it(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let holders: Vec<_> = (0..8).map(|_| fresh_holder()).collect();
    let results = join_all(holders.iter().map(|holder| store.acquire_lease(&environment, holder, TERM, at(0)))).await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "{won:?}");
    let winner = won.into_iter().next().expect("one has won").expect("it has won");
    for result in lost {
        let sentence = refused(result, ErrorCode::LeaseHeld);
        assert!(sentence.contains(&winner.holder.name), "{sentence}");
    }
}

/// One active rollout an environment, many in all.
pub async fn leases_of_different_environments_do_not_meet(store: &dyn DeploymentStore) {
    let leases = [leased(store, &fresh_environment()).await, leased(store, &fresh_environment()).await];
    for lease in &leases {
        store.renew_lease(lease, at(1)).await.expect("it is in force");
    }
}

/// Giving up needs no waiting, and may be repeated.
pub async fn a_lease_that_is_given_up_is_free_at_once(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    for _ in 0..3 {
        let lease = leased(store, &environment).await;
        store.release_lease(&lease).await.expect("it is given up");
        store.release_lease(&lease).await.expect("giving up again succeeds");
    }
}

/// No token comes twice.
pub async fn tokens_grow_from_lease_to_lease(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let mut newest = FencingToken(0);
    for _ in 0..5 {
        let holder = fresh_holder();
        let lease = store.acquire_lease(&environment, &holder, TERM, at(0)).await.expect("the environment is free");
        assert!(lease.token > newest, "{} after {newest}", lease.token);
        assert_eq!((&lease.environment, &lease.holder, lease.term), (&environment, &holder, TERM));
        newest = lease.token;
        // A failed attempt in between takes nothing away.
        refused(store.acquire_lease(&environment, &fresh_holder(), TERM, at(0)).await, ErrorCode::LeaseHeld);
        store.release_lease(&lease).await.expect("it is given up");
    }
}

/// Renewals.
pub async fn a_lease_can_be_renewed_while_it_is_in_force_and_not_afterwards(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let lease = leased(store, &environment).await;
    for millis in [1, 2] {
        store.renew_lease(&lease, at(millis)).await.expect("it is in force");
    }
    let forged = Lease { token: FencingToken(lease.token.0 + 1), ..lease.clone() };
    refused(store.renew_lease(&forged, at(3)).await, ErrorCode::LeaseLost);
    store.release_lease(&lease).await.expect("it is given up");
    refused(store.renew_lease(&lease, at(4)).await, ErrorCode::LeaseLost);
    let next = leased(store, &environment).await;
    refused(store.renew_lease(&lease, at(5)).await, ErrorCode::LeaseLost);
    store.renew_lease(&next, at(6)).await.expect("it is in force");
    let elsewhere = Lease { environment: fresh_environment(), ..next };
    refused(store.renew_lease(&elsewhere, at(7)).await, ErrorCode::LeaseLost);
}

/// A late release of an old owner.
pub async fn giving_up_an_old_lease_leaves_the_new_one_alone(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let old = leased(store, &environment).await;
    store.release_lease(&old).await.expect("it is given up");
    let new = leased(store, &environment).await;
    store.release_lease(&old).await.expect("giving up what is lost succeeds");
    refused(store.acquire_lease(&environment, &fresh_holder(), TERM, at(1)).await, ErrorCode::LeaseHeld);
    store.renew_lease(&new, at(1)).await.expect("it is in force");
    store.append(&append(&deployment, 1, Some(new.token), 1, DeploymentStatus::Working)).await.expect("it fits");
}

// --- leases that end with their term -----------------------------------------------------------------------------------

/// A holder that died is no owner once its term has passed; until somebody takes over, it is not fenced.
pub async fn a_lease_whose_term_has_passed_is_free(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let old = leased(store, &environment).await;
    let end = at(0).plus(TERM);
    let just_before = Timestamp::from_millis(end.as_millis() - 1);
    let early = store.acquire_lease(&environment, &fresh_holder(), TERM, just_before).await;
    refused(early, ErrorCode::LeaseHeld);
    store.append(&append(&deployment, 1, Some(old.token), 1, DeploymentStatus::Working)).await.expect("it fits");
    let new = store.acquire_lease(&environment, &fresh_holder(), TERM, end).await.expect("the term has passed");
    assert!(new.token > old.token);
    refused(
        store.append(&append(&deployment, 2, Some(old.token), 1, DeploymentStatus::Working)).await,
        ErrorCode::LeaseLost,
    );
    refused(store.renew_lease(&old, end).await, ErrorCode::LeaseLost);
    store.append(&append(&deployment, 2, Some(new.token), 1, DeploymentStatus::Working)).await.expect("it fits");
}

/// A renewal counts from its own time.
pub async fn a_renewed_lease_lasts_a_term_longer(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let lease = leased(store, &environment).await;
    let renewed_at = at(10_000);
    store.renew_lease(&lease, renewed_at).await.expect("it is in force");
    let first_end = at(0).plus(TERM);
    refused(store.acquire_lease(&environment, &fresh_holder(), TERM, first_end).await, ErrorCode::LeaseHeld);
    let end = renewed_at.plus(TERM);
    store.acquire_lease(&environment, &fresh_holder(), TERM, end).await.expect("the term has passed");
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_check_of_this_file_is_in_the_suite() {
        let source = include_str!("deployment_store.rs");
        let (suite, checks) = source.split_once("const TERM").expect("the suite stands before the checks");
        let mut count = 0;
        for line in checks.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
            let (name, _) = line.split_once('(').expect("a function has parameters");
            assert!(suite.lines().any(|listed| listed.trim() == name), "{name} is not in the suite");
            count += 1;
        }
        assert!(count > 30, "the checks were not found");
    }
}
