//! Appends: compare-and-set, all or nothing, and the order of the statuses.

use chalk_deploy_core::cloud::FencingToken;
use chalk_deploy_core::machine::{Event, RecordedEvent, Step, StepOutput};
use chalk_deploy_core::model::{DeploymentStatus, Timestamp};
use chalk_deploy_core::store::DeploymentStore;
use chalk_deploy_core::{ErrorCode, Result};
use futures::future::join_all;

use super::{append, at, created, fresh_environment, leased, refused};

/// The record follows the journal.
pub async fn an_append_moves_version_status_and_time(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let token = Some(leased(store, &environment).await.token);
    store.append(&append(&deployment, 1, token, 3, DeploymentStatus::Working)).await.expect("version and token fit");
    let record = store.deployment(&deployment).await.expect("it is there");
    assert_eq!((record.version, record.status, record.updated_at), (4, DeploymentStatus::Working, at(3)));
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
