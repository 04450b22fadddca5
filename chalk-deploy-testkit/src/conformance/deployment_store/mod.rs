//! The contract of [`DeploymentStore`], one function a sentence.
//!
//! Every check makes its own environment and its own ids, so that all of them may run side by side on one store, and on
//! one that holds other deployments. [`deployment_store_suite!`](crate::deployment_store_suite) makes a test of each.

#![expect(clippy::missing_panics_doc, reason = "a check panics when the contract is broken; that is its purpose")]

mod appends;
mod creation;
mod fencing;
mod leases;
mod queries;

use std::time::Duration;

use bytes::Bytes;
use chalk_deploy_core::cloud::FencingToken;
use chalk_deploy_core::machine::{Event, RecordedEvent, Step};
use chalk_deploy_core::model::{
    DeploymentId, DeploymentPlan, DeploymentStatus, DeploymentTag, Digest, EnvironmentId, GitMetadata, IdempotencyKey,
    ProjectName, ProjectSettings, Promotion, RequirementsFile, Sizing, SourceFingerprint, Strategy, Timestamp,
};
use chalk_deploy_core::runtime::{RuntimeExt as _, SystemRuntime};
use chalk_deploy_core::store::{Append, Creation, DeploymentStore, HistoryQuery, Lease, LeaseHolder};
use chalk_deploy_core::{ErrorCode, Result};

pub use appends::*;
pub use creation::*;
pub use fencing::*;
pub use leases::*;
pub use queries::*;

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
        at: at(number),
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

#[cfg(test)]
mod tests {
    #[test]
    fn every_check_is_in_the_suite() {
        let suite = include_str!("mod.rs");
        let mut count = 0;
        for source in [
            include_str!("appends.rs"),
            include_str!("creation.rs"),
            include_str!("fencing.rs"),
            include_str!("leases.rs"),
            include_str!("queries.rs"),
        ] {
            for line in source.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let (name, _) = line.split_once('(').expect("a function has parameters");
                assert!(suite.lines().any(|listed| listed.trim() == name), "{name} is not in the suite");
                count += 1;
            }
        }
        assert!(count > 30, "the checks were not found");
    }
}
