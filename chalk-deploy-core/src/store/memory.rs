//! A store that lives as long as its process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::rules::{self, Standing};
use super::{Append, Creation, DeploymentRecord, DeploymentStore, HistoryQuery, Lease, LeaseHolder};
use crate::cloud::FencingToken;
use crate::machine::RecordedEvent;
use crate::model::{DeploymentId, DeploymentPlan, Digest, EnvironmentId, Timestamp};
use crate::{Error, ErrorCode, Result};

/// Everything in memory, behind one mutex. Its leases end when their term has passed without a renewal, as those of a
/// database server do.
#[derive(Debug, Default)]
pub struct MemoryStore {
    contents: Mutex<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    /// In the order of their creation.
    deployments: Vec<Stored>,
    graphs: BTreeMap<Digest, Bytes>,
    leases: BTreeMap<EnvironmentId, Tenure>,
}

#[derive(Debug)]
struct Stored {
    record: DeploymentRecord,
    events: Vec<RecordedEvent>,
}

#[derive(Debug)]
struct Tenure {
    token: FencingToken,
    holder: LeaseHolder,
    ends_at: Timestamp,
    given_up: bool,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // No change below leaves the contents half made, so what a panicking thread left behind is whole.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn stored(&self, deployment: &DeploymentId) -> Result<&Stored> {
        self.position(deployment).map(|at| &self.deployments[at])
    }

    fn stored_mut(&mut self, deployment: &DeploymentId) -> Result<&mut Stored> {
        self.position(deployment).map(|at| &mut self.deployments[at])
    }

    fn position(&self, deployment: &DeploymentId) -> Result<usize> {
        let found = self.deployments.iter().position(|stored| stored.record.plan.id == *deployment);
        found.ok_or_else(|| rules::unknown(deployment))
    }

    fn newest_token(&self, environment: &EnvironmentId) -> Option<FencingToken> {
        self.leases.get(environment).filter(|tenure| !tenure.given_up).map(|tenure| tenure.token)
    }
}

#[async_trait]
impl DeploymentStore for MemoryStore {
    async fn create(&self, plan: &DeploymentPlan, graph: &Bytes) -> Result<Creation> {
        rules::check_creation(plan, graph)?;
        let mut contents = self.contents();
        if let Some(key) = &plan.idempotency_key {
            let same_key = |stored: &&Stored| {
                stored.record.plan.environment == plan.environment
                    && stored.record.plan.idempotency_key.as_ref() == Some(key)
            };
            if let Some(Stored { record, .. }) = contents.deployments.iter().find(same_key) {
                rules::check_key(key, &record.plan.id, record.plan.content_digest() == plan.content_digest())?;
                return Ok(Creation::Existing(record.plan.id.clone()));
            }
        }
        if contents.stored(&plan.id).is_ok() {
            return Err(rules::id_taken(&plan.id));
        }
        contents.graphs.entry(plan.graph).or_insert_with(|| graph.clone());
        let first = rules::created(plan);
        contents.deployments.push(Stored {
            record: DeploymentRecord {
                plan: plan.clone(),
                status: crate::model::DeploymentStatus::AwaitingSource,
                version: first.sequence,
                updated_at: first.at,
                cancel_requested: false,
            },
            events: vec![first],
        });
        Ok(Creation::New)
    }

    async fn append(&self, append: &Append) -> Result<()> {
        rules::check_append(append)?;
        let mut contents = self.contents();
        let record = &contents.stored(&append.deployment)?.record;
        let token = contents.newest_token(&record.plan.environment);
        let standing = Standing { status: record.status, version: record.version, token };
        if let Some(refusal) = rules::refusal(append, &standing) {
            return Err(refusal);
        }
        let stored = contents.stored_mut(&append.deployment)?;
        stored.events.extend(append.events.iter().cloned());
        if let Some(last) = append.events.last() {
            stored.record.version = last.sequence;
            stored.record.updated_at = last.at;
        }
        stored.record.status = append.status;
        Ok(())
    }

    async fn events(&self, deployment: &DeploymentId, after: u64) -> Result<Vec<RecordedEvent>> {
        let contents = self.contents();
        let events = &contents.stored(deployment)?.events;
        Ok(events.iter().filter(|event| event.sequence > after).cloned().collect())
    }

    async fn deployment(&self, deployment: &DeploymentId) -> Result<DeploymentRecord> {
        self.contents().stored(deployment).map(|stored| stored.record.clone())
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<DeploymentRecord>> {
        let contents = self.contents();
        let end = match &query.before {
            Some(before) => contents.position(before)?,
            None => contents.deployments.len(),
        };
        let wanted = |record: &&DeploymentRecord| {
            query.environment.as_ref().is_none_or(|environment| record.plan.environment == *environment)
                && (query.statuses.is_empty() || query.statuses.contains(&record.status))
        };
        let records = contents.deployments[..end].iter().rev().map(|stored| &stored.record).filter(wanted);
        Ok(records.take(query.most.unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn graph(&self, digest: &Digest) -> Result<Option<Bytes>> {
        Ok(self.contents().graphs.get(digest).cloned())
    }

    async fn request_cancel(&self, deployment: &DeploymentId) -> Result<()> {
        let mut contents = self.contents();
        let record = &mut contents.stored_mut(deployment)?.record;
        if record.status.is_terminal() {
            return Err(rules::is_final(deployment, record.status));
        }
        record.cancel_requested = true;
        Ok(())
    }

    async fn acquire_lease(
        &self,
        environment: &EnvironmentId,
        holder: &LeaseHolder,
        term: Duration,
        now: Timestamp,
    ) -> Result<Lease> {
        let mut contents = self.contents();
        let newest = contents.leases.get(environment);
        if let Some(tenure) = newest.filter(|tenure| !tenure.given_up && now < tenure.ends_at) {
            let ends = format!("; without a renewal its lease ends at {}", tenure.ends_at);
            return Err(rules::lease_held(environment, Some(&tenure.holder), &ends));
        }
        let newest = newest.map_or(0, |tenure| tenure.token.0);
        let token = newest.checked_add(1).map(FencingToken).ok_or_else(|| {
            Error::new(ErrorCode::Internal, "there are no more tokens").on(format!("environment `{environment}`"))
        })?;
        let tenure = Tenure { token, holder: holder.clone(), ends_at: now.plus(term), given_up: false };
        contents.leases.insert(environment.clone(), tenure);
        Ok(Lease { environment: environment.clone(), token, holder: holder.clone(), term })
    }

    async fn renew_lease(&self, lease: &Lease, now: Timestamp) -> Result<()> {
        let mut contents = self.contents();
        let newest = contents.newest_token(&lease.environment);
        match contents.leases.get_mut(&lease.environment) {
            Some(tenure) if newest == Some(lease.token) => {
                tenure.ends_at = now.plus(lease.term);
                Ok(())
            }
            _ => Err(rules::lease_lost(lease.token, newest).on(format!("environment `{}`", lease.environment))),
        }
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        let mut contents = self.contents();
        if let Some(tenure) = contents.leases.get_mut(&lease.environment)
            && tenure.token == lease.token
        {
            tenure.given_up = true;
        }
        Ok(())
    }
}
