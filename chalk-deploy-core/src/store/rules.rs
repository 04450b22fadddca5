//! What every store refuses, in the same order and with the same words.

use bytes::Bytes;

use super::{Append, LeaseHolder};
use crate::cloud::FencingToken;
use crate::machine::{Event, RecordedEvent};
use crate::model::{DeploymentId, DeploymentPlan, DeploymentStatus, Digest, EnvironmentId, IdempotencyKey, Timestamp};
use crate::{Error, ErrorCode, Result};

/// What an append is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// The deployment's status.
    pub(super) status: DeploymentStatus,
    /// The number of its last event.
    pub(super) version: u64,
    /// The newest token of its environment; `None` if there was never a lease, or if the newest one was given up.
    pub(super) token: Option<FencingToken>,
}

/// Refuses events that no journal could take: none at all, or misnumbered ones.
pub(super) fn check_append(append: &Append) -> Result<()> {
    let invalid = |message: String| {
        let error = Error::new(ErrorCode::RequestInvalid, message).on(format!("deployment {}", append.deployment));
        Err(error.with_hint("number the events from the expected version on; this is a defect of the writer"))
    };
    if append.events.is_empty() {
        return invalid("an append without events".to_owned());
    }
    append.events.iter().try_for_each(|event| check_time(event.at))?;
    let mut before = append.expected_version;
    for event in &append.events {
        match before.checked_add(1) {
            Some(next) if next == event.sequence => before = next,
            _ => return invalid(format!("an event has the number {} and follows number {before}", event.sequence)),
        }
    }
    Ok(())
}

/// Refuses a time that no database's signed integers can hold (it is 292 million years away).
pub(super) fn check_time(time: Timestamp) -> Result<()> {
    if i64::try_from(time.as_millis()).is_ok() {
        return Ok(());
    }
    let error = Error::new(ErrorCode::RequestInvalid, "the time is too far away to be stored");
    Err(error.on(format!("time {}", time.as_millis())).with_hint("check the clock of this machine"))
}

/// Whether an append may leave a deployment in `after` that is in `before`: it stays, or it goes on.
pub(super) fn status_may_become(before: DeploymentStatus, after: DeploymentStatus) -> bool {
    before.may_become(after) || (before == after && !before.is_terminal())
}

/// Why an append is refused; `None` if it is not.
///
/// A token that is not the newest is told before the version: such a writer is to stop, not to read and try again. A
/// writer without a token is told of the version first, because its second equal append fails for that reason.
pub(super) fn refusal(append: &Append, standing: &Standing) -> Option<Error> {
    let subject = format!("deployment {}", append.deployment);
    let lease = match append.token {
        None if standing.status == DeploymentStatus::AwaitingSource => None,
        None => Some(
            Error::new(ErrorCode::LeaseLost, "only the owner of the environment may write once the source has arrived")
                .on(&subject),
        ),
        Some(token) if standing.token == Some(token) => None,
        Some(token) => Some(lease_lost(token, standing.token).on(&subject)),
    };
    let version = (append.expected_version != standing.version).then(|| {
        let (expected, found) = (append.expected_version, standing.version);
        let message = format!("event {expected} was expected to be the last one, and it is event {found}");
        Error::new(ErrorCode::VersionConflict, message).on(&subject)
    });
    let status = (!status_may_become(standing.status, append.status)).then(|| {
        let message = format!("the status {} cannot follow {}; nothing was written", append.status, standing.status);
        Error::new(ErrorCode::JournalCorrupt, message)
            .on(&subject)
            .with_hint("report it with the deployment's id: the writer contradicts the journal")
    });
    let first = if append.token.is_some() { lease.or(version) } else { version.or(lease) };
    first.or(status)
}

/// The first event of a journal.
pub(super) fn created(plan: &DeploymentPlan) -> RecordedEvent {
    RecordedEvent { sequence: 1, at: plan.created_at, event: Event::Created { plan: Box::new(plan.clone()) } }
}

/// Refuses a graph that is not the one that the plan names, and a time that cannot be stored.
pub(super) fn check_creation(plan: &DeploymentPlan, graph: &Bytes) -> Result<()> {
    check_time(plan.created_at)?;
    let found = Digest::of(graph);
    if found == plan.graph {
        return Ok(());
    }
    let message = format!("the plan names the graph {}, and the graph given is {found}", plan.graph);
    Err(Error::new(ErrorCode::DigestMismatch, message).on(format!("deployment {}", plan.id)))
}

/// Refuses a key that stands for other content.
pub(super) fn check_key(key: &IdempotencyKey, existing: &DeploymentId, same_content: bool) -> Result<()> {
    if same_content {
        return Ok(());
    }
    let message = format!("deployment {existing} was created with this key and other content");
    Err(Error::new(ErrorCode::IdempotencyKeyReused, message).on(format!("idempotency key `{key}`")))
}

pub(super) fn id_taken(deployment: &DeploymentId) -> Error {
    Error::new(ErrorCode::RequestInvalid, "a deployment with this id exists")
        .on(format!("deployment {deployment}"))
        .with_hint("make a fresh id for each deployment")
}

pub(super) fn unknown(deployment: &DeploymentId) -> Error {
    Error::new(ErrorCode::DeploymentUnknown, "there is no such deployment").on(format!("deployment {deployment}"))
}

pub(super) fn is_final(deployment: &DeploymentId, status: DeploymentStatus) -> Error {
    let message = format!("it has ended in {status} and cannot be cancelled");
    Error::new(ErrorCode::DeploymentFinal, message).on(format!("deployment {deployment}"))
}

pub(super) fn lease_lost(token: FencingToken, newest: Option<FencingToken>) -> Error {
    let message = match newest {
        Some(newest) if newest > token => format!("the lease with token {token} was taken over with token {newest}"),
        _ => format!("the lease with token {token} is not in force"),
    };
    Error::new(ErrorCode::LeaseLost, message)
}

/// The refusal of a lease, with its living owner. `ends` says what else would free it.
pub(super) fn lease_held(environment: &EnvironmentId, owner: Option<&LeaseHolder>, ends: &str) -> Error {
    let subject = format!("environment `{environment}`");
    let Some(owner) = owner else {
        return Error::new(ErrorCode::LeaseHeld, "another process owns it").on(subject);
    };
    Error::new(ErrorCode::LeaseHeld, format!("{owner} owns it")).on(subject).with_hint(format!(
        "wait for it to finish, or stop process {} and run again with --resume{ends}",
        owner.process
    ))
}
