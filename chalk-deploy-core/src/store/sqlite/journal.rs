//! Journals and the deployment history, as statements on the tables.

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params};
use serde::Serialize;

use super::failure::Failure;
use crate::cloud::FencingToken;
use crate::machine::{Event, JOURNAL_FORMAT, JOURNAL_FORMATS, RecordedEvent};
use crate::model::{DeploymentId, DeploymentPlan, DeploymentStatus, Digest, Timestamp};
use crate::store::rules::{self, Standing};
use crate::store::{Append, Creation, DeploymentRecord, HistoryQuery};
use crate::{Error, ErrorCode, Result};

/// Writes the events if version, token and status allow it, and compares all three itself: between a comparison and the
/// writing nothing can come. In Postgres the same shape reads `jsonb_array_elements` and locks the lease's row
/// (`FOR SHARE`); two writers that pass the comparison at once are told apart by the primary key.
const APPEND: &str = "
    INSERT INTO events (deployment_id, sequence, at, token, format, body)
    SELECT deployment.id, event.value ->> 'sequence', event.value ->> 'at', :token, :format, event.value ->> 'body'
    FROM deployments AS deployment, json_each(:events) AS event
    WHERE deployment.id = :deployment
      AND deployment.version = :expected_version
      AND deployment.status IN (SELECT value FROM json_each(:statuses_before))
      AND CASE
          WHEN :token IS NULL THEN deployment.status = 'AWAITING_SOURCE'
          ELSE EXISTS (
              SELECT 1 FROM leases AS lease
              WHERE lease.environment = deployment.environment AND lease.given_up = 0 AND lease.token = :token
          )
      END";

/// A number that the table's checks let no lease have.
const NO_TOKEN: i64 = -1;

/// The columns that [`record`] reads.
const RECORD: &str = "
    SELECT deployment.id, deployment.status, deployment.version, deployment.updated_at, deployment.cancel_requested,
           first.format, first.body
    FROM deployments AS deployment
    LEFT JOIN events AS first ON first.deployment_id = deployment.id AND first.sequence = 1";

pub(super) fn create(transaction: &Transaction<'_>, plan: &DeploymentPlan, graph: &Bytes) -> Result<Creation, Failure> {
    let content = plan.content_digest().to_string();
    if let Some(key) = &plan.idempotency_key {
        let existing: Option<(String, String)> = transaction
            .prepare_cached("SELECT id, content FROM deployments WHERE environment = ?1 AND idempotency_key = ?2")?
            .query_row((plan.environment.as_str(), key.as_str()), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((id, stored)) = existing {
            let id = stored_id(&id)?;
            rules::check_key(key, &id, stored == content)?;
            return Ok(Creation::Existing(id));
        }
    }
    if standing(transaction, &plan.id)?.is_some() {
        return Err(rules::id_taken(&plan.id).into());
    }
    transaction
        .prepare_cached("INSERT INTO graphs (digest, bytes) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING")?
        .execute((plan.graph.to_string(), graph.as_ref()))?;
    let first = rules::created(plan);
    let at = to_column(first.at.as_millis(), "the time")?;
    transaction
        .prepare_cached(
            "INSERT INTO deployments (id, environment, idempotency_key, content, graph, version, updated_at, status)
             VALUES (:id, :environment, :key, :content, :graph, 1, :at, :status)",
        )?
        .execute(named_params! {
            ":id": plan.id.as_str(),
            ":environment": plan.environment.as_str(),
            ":key": plan.idempotency_key.as_ref().map(AsRef::<str>::as_ref),
            ":content": content,
            ":graph": plan.graph.to_string(),
            ":at": at,
            ":status": DeploymentStatus::AwaitingSource.as_str(),
        })?;
    transaction
        .prepare_cached(
            "INSERT INTO events (deployment_id, sequence, at, token, format, body) VALUES (?1, 1, ?2, NULL, ?3, ?4)",
        )?
        .execute((plan.id.as_str(), at, JOURNAL_FORMAT, body(&first)?))?;
    Ok(Creation::New)
}

pub(super) fn append(transaction: &Transaction<'_>, append: &Append) -> Result<(), Failure> {
    let Some(last) = append.events.last() else { return Ok(()) };
    // Beyond what a column holds there is no journal and no token, so the refusal is the usual one.
    let token = append.token.map(|token| i64::try_from(token.0).unwrap_or(NO_TOKEN));
    let Ok(version) = i64::try_from(last.sequence) else { return Err(why_refused(transaction, append)?.into()) };
    let events: Vec<NewEvent> = append.events.iter().map(NewEvent::new).collect::<Result<_, Failure>>()?;
    let before: Vec<&str> = DeploymentStatus::ALL
        .into_iter()
        .filter(|before| rules::status_may_become(*before, append.status))
        .map(DeploymentStatus::as_str)
        .collect();
    let written = transaction.prepare_cached(APPEND)?.execute(named_params! {
        ":deployment": append.deployment.as_str(),
        ":expected_version": to_column(append.expected_version, "a version")?,
        ":token": token,
        ":format": JOURNAL_FORMAT,
        ":events": json(&events)?,
        ":statuses_before": json(&before)?,
    })?;
    if written != append.events.len() {
        return Err(why_refused(transaction, append)?.into());
    }
    transaction
        .prepare_cached("UPDATE deployments SET version = ?2, updated_at = ?3, status = ?4 WHERE id = ?1")?
        .execute((
            append.deployment.as_str(),
            version,
            to_column(last.at.as_millis(), "the time")?,
            append.status.as_str(),
        ))?;
    Ok(())
}

pub(super) fn events(
    transaction: &Transaction<'_>,
    deployment: &DeploymentId,
    after: u64,
) -> Result<Vec<RecordedEvent>, Failure> {
    let version = standing(transaction, deployment)?.ok_or_else(|| rules::unknown(deployment))?.version;
    let mut statement = transaction.prepare_cached(
        "SELECT sequence, at, format, body FROM events WHERE deployment_id = ?1 AND sequence > ?2 ORDER BY sequence",
    )?;
    let mut rows = statement.query((deployment.as_str(), i64::try_from(after).unwrap_or(i64::MAX)))?;
    let mut events = Vec::new();
    let mut last = after;
    while let Some(row) = rows.next()? {
        let sequence = from_column(row.get(0)?, "an event's number")?;
        if sequence != last.saturating_add(1) {
            return Err(corrupt(format!("event {} is missing", last.saturating_add(1)), deployment).into());
        }
        let at = Timestamp::from_millis(from_column(row.get(1)?, "an event's time")?);
        let event = parse(deployment, sequence, row.get(2)?, row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?;
        events.push(RecordedEvent { sequence, at, event });
        last = sequence;
    }
    if last != version.max(after) {
        return Err(corrupt(format!("its last event is {last}, and {version} were recorded"), deployment).into());
    }
    Ok(events)
}

pub(super) fn deployment(
    transaction: &Transaction<'_>,
    deployment: &DeploymentId,
) -> Result<DeploymentRecord, Failure> {
    let mut statement = transaction.prepare_cached(&format!("{RECORD} WHERE deployment.id = ?1"))?;
    let mut rows = statement.query([deployment.as_str()])?;
    let row = rows.next()?.ok_or_else(|| rules::unknown(deployment))?;
    record(row)
}

pub(super) fn history(transaction: &Transaction<'_>, query: &HistoryQuery) -> Result<Vec<DeploymentRecord>, Failure> {
    let before = match &query.before {
        None => i64::MAX,
        Some(before) => transaction
            .prepare_cached("SELECT number FROM deployments WHERE id = ?1")?
            .query_row([before.as_str()], |row| row.get(0))
            .optional()?
            .ok_or_else(|| rules::unknown(before))?,
    };
    // Two texts, so that each can use its index.
    let environment = match &query.environment {
        Some(_) => "deployment.environment = :environment",
        None => ":environment IS NULL",
    };
    let mut statement = transaction.prepare_cached(&format!(
        "{RECORD} WHERE {environment} AND deployment.number < :before
         AND (:any_status OR deployment.status IN (SELECT value FROM json_each(:statuses)))
         ORDER BY deployment.number DESC LIMIT :most"
    ))?;
    let statuses: Vec<&str> = query.statuses.iter().copied().map(DeploymentStatus::as_str).collect();
    let mut rows = statement.query(named_params! {
        ":environment": query.environment.as_ref().map(AsRef::<str>::as_ref),
        ":before": before,
        ":any_status": statuses.is_empty(),
        ":statuses": json(&statuses)?,
        // A negative limit is none.
        ":most": query.most.map_or(-1, |most| i64::try_from(most).unwrap_or(i64::MAX)),
    })?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(row)?);
    }
    Ok(records)
}

pub(super) fn graph(transaction: &Transaction<'_>, digest: &Digest) -> Result<Option<Bytes>, Failure> {
    let bytes: Option<Vec<u8>> = transaction
        .prepare_cached("SELECT bytes FROM graphs WHERE digest = ?1")?
        .query_row([digest.to_string()], |row| row.get(0))
        .optional()?;
    match bytes {
        Some(bytes) if Digest::of(&bytes) != *digest => {
            let message = format!("the stored bytes have the digest {}", Digest::of(&bytes));
            Err(Error::new(ErrorCode::JournalCorrupt, message).on(format!("graph {digest}")).into())
        }
        bytes => Ok(bytes.map(Bytes::from)),
    }
}

pub(super) fn request_cancel(transaction: &Transaction<'_>, deployment: &DeploymentId) -> Result<(), Failure> {
    let status = standing(transaction, deployment)?.ok_or_else(|| rules::unknown(deployment))?.status;
    if status.is_terminal() {
        return Err(rules::is_final(deployment, status).into());
    }
    transaction
        .prepare_cached("UPDATE deployments SET cancel_requested = 1 WHERE id = ?1 AND cancel_requested = 0")?
        .execute([deployment.as_str()])?;
    Ok(())
}

/// An integer column's value; SQLite has no unsigned ones.
pub(super) fn to_column(value: u64, what: &str) -> Result<i64, Failure> {
    i64::try_from(value).map_err(|_| {
        Error::new(ErrorCode::RequestInvalid, format!("{what} is larger than the store can hold")).on(value).into()
    })
}

/// A number out of an integer column.
pub(super) fn from_column(value: i64, what: &str) -> Result<u64, Failure> {
    u64::try_from(value)
        .map_err(|_| Error::new(ErrorCode::JournalCorrupt, format!("{what} is negative")).on(value).into())
}

/// An event as the statement that appends reads it. The body is text inside the text, so that it arrives letter for
/// letter as it was serialised.
#[derive(Serialize)]
struct NewEvent {
    sequence: i64,
    at: i64,
    body: String,
}

impl NewEvent {
    fn new(event: &RecordedEvent) -> Result<Self, Failure> {
        Ok(Self {
            sequence: to_column(event.sequence, "an event's number")?,
            at: to_column(event.at.as_millis(), "the time")?,
            body: body(event)?,
        })
    }
}

fn body(event: &RecordedEvent) -> Result<String, Failure> {
    json(&event.event)
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorCode::Internal, "a value cannot be written as JSON").caused_by(error).into())
}

/// What an append is compared with; `None` for an unknown deployment.
fn standing(transaction: &Transaction<'_>, deployment: &DeploymentId) -> Result<Option<Standing>, Failure> {
    let row: Option<(String, i64, Option<i64>)> = transaction
        .prepare_cached(
            "SELECT deployment.status, deployment.version, lease.token FROM deployments AS deployment
             LEFT JOIN leases AS lease ON lease.environment = deployment.environment AND lease.given_up = 0
             WHERE deployment.id = ?1",
        )?
        .query_row([deployment.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((status, version, token)) = row else { return Ok(None) };
    Ok(Some(Standing {
        status: status.parse()?,
        version: from_column(version, "a version")?,
        token: token.map(|token| from_column(token, "a token").map(FencingToken)).transpose()?,
    }))
}

/// Finds out, in the same transaction, why the statement wrote nothing.
fn why_refused(transaction: &Transaction<'_>, append: &Append) -> Result<Error, Failure> {
    let Some(standing) = standing(transaction, &append.deployment)? else {
        return Ok(rules::unknown(&append.deployment));
    };
    Ok(rules::refusal(append, &standing).unwrap_or_else(|| {
        Error::new(ErrorCode::Internal, "the store refused an append that its rules allow")
            .on(format!("deployment {}", append.deployment))
    }))
}

fn record(row: &Row<'_>) -> Result<DeploymentRecord, Failure> {
    let id: String = row.get(0)?;
    let id = stored_id(&id)?;
    let status: String = row.get(1)?;
    let first: (Option<u32>, Option<String>) = (row.get(5)?, row.get(6)?);
    let (Some(format), Some(body)) = first else { return Err(corrupt("event 1 is missing".to_owned(), &id).into()) };
    let plan = match parse(&id, 1, format, &body)? {
        Event::Created { plan } if plan.id == id => *plan,
        _ => return Err(corrupt("event 1 is not its creation".to_owned(), &id).into()),
    };
    Ok(DeploymentRecord {
        plan,
        status: status.parse()?,
        version: from_column(row.get(2)?, "a version")?,
        updated_at: Timestamp::from_millis(from_column(row.get(3)?, "the time")?),
        cancel_requested: row.get(4)?,
    })
}

fn parse(deployment: &DeploymentId, sequence: u64, format: u32, body: &str) -> Result<Event> {
    let subject = || format!("event {sequence} of deployment {deployment}");
    if !JOURNAL_FORMATS.contains(&format) {
        let message = format!("it has format {format}, and this version knows formats up to {JOURNAL_FORMAT}");
        return Err(Error::new(ErrorCode::JournalIncompatible, message).on(subject()));
    }
    serde_json::from_str(body).map_err(|error| {
        Error::new(ErrorCode::JournalCorrupt, "the event cannot be read").on(subject()).caused_by(error)
    })
}

fn stored_id(text: &str) -> Result<DeploymentId> {
    DeploymentId::new(text)
        .map_err(|error| Error::new(ErrorCode::JournalCorrupt, "a stored deployment has no valid id").caused_by(error))
}

fn corrupt(message: String, deployment: &DeploymentId) -> Error {
    Error::new(ErrorCode::JournalCorrupt, message).on(format!("deployment {deployment}"))
}
