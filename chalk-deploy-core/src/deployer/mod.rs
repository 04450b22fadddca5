//! The entry point. A service builds one [`Deployer`] at start-up, calls [`Deployer::apply`], and follows the events.
//!
//! Stopping the process at any moment costs nothing: [`Deployer::resume_unfinished`] at the next start goes on with
//! every deployment where it stood.

mod builder;
mod handle;
mod images;
mod request;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};

use crate::cloud::Payload;
use crate::driver::{Engine, Extent, Lanes, drive, load_state};
use crate::graph::{self, FeatureGraph, GraphDiff};
use crate::machine::{Outcome, outcome};
use crate::model::{DataPlane, DeploymentId, DeploymentPlan, DeploymentStatus, EnvironmentId, Promotion};
use crate::observe::{EventLog, EventStream, Projection};
use crate::runtime::RuntimeExt as _;
use crate::source::SourceHistory;
use crate::store::{Creation, DeploymentRecord, HistoryQuery};
use crate::{Error, ErrorCode, Result};

pub use builder::DeployerBuilder;
pub use handle::{DeploymentHandle, Submission};
pub use images::ImageKeep;
pub use request::ApplyRequest;

/// Between two looks at a deployment that another process drives.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Takes projects through the five stages into the data planes of its environments.
///
/// Cheap to clone; clones are the same deployer. Needs a tokio runtime: each deployment is driven on a task of its own.
#[derive(Debug, Clone)]
pub struct Deployer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Arc<Engine>,
    /// The deployments that this deployer drives now.
    active: Mutex<HashMap<DeploymentId, DeploymentHandle>>,
}

impl Deployer {
    /// Deploys a project: creates the record and drives it to its end in the background.
    ///
    /// Before that, this deployer becomes the owner of the environment, and goes on with what another process left
    /// unfinished there: one rollout at a time, in the order of their creation.
    ///
    /// **Idempotency.** By the request's key; without one, each call is a deployment of its own, which reuses archive
    /// and image by digest.
    ///
    /// **After a crash.** The deployment is resumed by [`resume`](Self::resume).
    ///
    /// # Errors
    /// Before anything is created: what is wrong with the request (`REQUEST_INVALID`, `GRAPH_INVALID`),
    /// `ENVIRONMENT_UNKNOWN`, `BOUNDARY_VIOLATION`, `LEASE_HELD`, `IDEMPOTENCY_KEY_REUSED`, `STORE_UNAVAILABLE`.
    pub async fn apply(&self, request: ApplyRequest) -> Result<DeploymentHandle> {
        let plane = self.admit(&request).await?;
        let entry = Lanes::enter(&self.0.engine, &request.environment).await?;
        let started = self.begin(&request, &plane).await;
        entry.leave().await;
        started
    }

    /// Records a deployment and uploads its source, and leaves the rest to whoever drives the environment: a
    /// [`Deployer`] that is resumed there. Needs no ownership of the environment. Returns when the record exists; the
    /// upload goes on in the background, until [`Submission::arrived`].
    ///
    /// **Idempotency**, **After a crash**: as [`apply`](Self::apply).
    ///
    /// # Errors
    /// As [`apply`](Self::apply), but for `LEASE_HELD`.
    pub async fn submit(&self, request: ApplyRequest) -> Result<Submission> {
        let plane = self.admit(&request).await?;
        let id = self.create(&request, &plane).await?;
        if let Some(handle) = self.active(&id) {
            return Ok(Submission::new(handle));
        }
        self.start(&id, Some(request.source), Extent::Upload).await.map(Submission::new)
    }

    /// Goes on with a deployment. `source` is needed only if it was never uploaded.
    ///
    /// **Idempotency.** Resuming what this deployer drives already, or what has ended, gives its handle.
    ///
    /// # Errors
    /// `DEPLOYMENT_UNKNOWN`; `SOURCE_MISSING` and `SOURCE_CHANGED`, which leave the deployment as it was; `LEASE_HELD`;
    /// `JOURNAL_INCOMPATIBLE`; `STORE_UNAVAILABLE`.
    pub async fn resume(&self, deployment: &DeploymentId, source: Option<Payload>) -> Result<DeploymentHandle> {
        if let Some(handle) = self.active(deployment) {
            return Ok(handle);
        }
        let record = self.0.engine.store.deployment(deployment).await?;
        if record.status.is_terminal() {
            return self.finished(deployment).await;
        }
        if record.status == DeploymentStatus::AwaitingSource && !record.cancel_requested {
            let subject = format!("deployment {deployment}");
            match &source {
                None => {
                    let message = "its source was never uploaded, and is not at hand here";
                    return Err(Error::new(ErrorCode::SourceMissing, message).on(subject));
                }
                Some(source) if source.sha256() != record.plan.source.sha256 => {
                    let message = "its source was never uploaded, and the project has changed since";
                    return Err(Error::new(ErrorCode::SourceChanged, message)
                        .on(subject)
                        .with_hint("restore the files, or start a new deployment"));
                }
                Some(_) => {}
            }
        }
        let entry = Lanes::enter(&self.0.engine, &record.plan.environment).await?;
        self.start(deployment, source, Extent::End { entry, ticket: None }).await
    }

    /// Goes on with every deployment whose source has arrived and that has not ended: what a service calls when it
    /// starts. Environments that another living process owns are left to it.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`.
    pub async fn resume_unfinished(&self) -> Result<Vec<DeploymentHandle>> {
        let mut records = self.0.engine.store.history(&HistoryQuery::unfinished(None)).await?;
        records.reverse();
        let mut handles = Vec::new();
        for record in records.into_iter().filter(|record| self.is_resumable(record)) {
            match Lanes::enter(&self.0.engine, &record.plan.environment).await {
                Ok(entry) => {
                    let ticket = Some(entry.ticket());
                    handles.push(self.start(&record.plan.id, None, Extent::End { entry, ticket }).await?);
                }
                Err(error) if error.code() == ErrorCode::LeaseHeld => {
                    tracing::info!(deployment_id = %record.plan.id, %error, "left to its owner");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(handles)
    }

    /// A deployment's record.
    ///
    /// # Errors
    /// `DEPLOYMENT_UNKNOWN`, `STORE_UNAVAILABLE`.
    pub async fn status(&self, deployment: &DeploymentId) -> Result<DeploymentRecord> {
        self.0.engine.store.deployment(deployment).await
    }

    /// How a deployment ended; `None` while it has not.
    ///
    /// # Errors
    /// `DEPLOYMENT_UNKNOWN`, `JOURNAL_INCOMPATIBLE`, `JOURNAL_CORRUPT`, `STORE_UNAVAILABLE`.
    pub async fn outcome(&self, deployment: &DeploymentId) -> Result<Option<Outcome>> {
        Ok(outcome(&load_state(&self.0.engine, deployment).await?))
    }

    /// The events of a deployment from its creation on, whoever drives it, until it ends. Progress is told only for one
    /// that this deployer drives.
    ///
    /// # Errors
    /// `DEPLOYMENT_UNKNOWN`, `JOURNAL_INCOMPATIBLE`, `JOURNAL_CORRUPT`, `STORE_UNAVAILABLE`.
    pub async fn events(&self, deployment: &DeploymentId) -> Result<EventStream> {
        if let Some(handle) = self.active(deployment) {
            return Ok(handle.events());
        }
        // Fails here, and not in the stream, for a deployment that does not exist.
        load_state(&self.0.engine, deployment).await?;
        Ok(follow_journal(Arc::clone(&self.0.engine), deployment.clone()))
    }

    /// The sources of an environment's past deployments, as its bucket keeps them: to list, inspect, unpack and hand out.
    ///
    /// # Errors
    /// `ENVIRONMENT_UNKNOWN`.
    pub async fn sources(&self, environment: &EnvironmentId) -> Result<SourceHistory> {
        let plane = self.0.engine.environments.resolve(environment).await?;
        let rules = (*self.0.engine.archive_rules).clone();
        Ok(SourceHistory::new(Arc::clone(&plane.cloud.object_store)).with_rules(rules))
    }

    /// Asks for the cancellation of a deployment, whoever drives it. It is then undone and ends in `CANCELLED`, with
    /// production as it was.
    ///
    /// **Idempotency.** Asking again changes nothing.
    ///
    /// **After a crash.** The wish is noted or it is not.
    ///
    /// # Errors
    /// `DEPLOYMENT_FINAL` for one that has ended or that production runs already; `DEPLOYMENT_UNKNOWN`;
    /// `STORE_UNAVAILABLE`.
    pub async fn cancel(&self, deployment: &DeploymentId) -> Result<()> {
        let state = load_state(&self.0.engine, deployment).await?;
        if state.finished.is_none() && state.is_committed() {
            return Err(Error::new(
                ErrorCode::DeploymentFinal,
                "production runs it already, so it cannot be cancelled",
            )
            .on(format!("deployment {deployment}")));
        }
        self.0.engine.store.request_cancel(deployment).await?;
        if let Some(handle) = self.active(deployment) {
            handle.notify_cancel();
        }
        Ok(())
    }

    /// The deployments that match, newest first.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`.
    pub async fn history(&self, query: &HistoryQuery) -> Result<Vec<DeploymentRecord>> {
        self.0.engine.store.history(query).await
    }

    /// The deployment that took the environment's traffic last; `None` if none ever did.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`.
    pub async fn serving(&self, environment: &EnvironmentId) -> Result<Option<DeploymentRecord>> {
        let query = HistoryQuery {
            environment: Some(environment.clone()),
            statuses: vec![DeploymentStatus::Success],
            ..HistoryQuery::default()
        };
        let records = self.0.engine.store.history(&query).await?;
        Ok(records.into_iter().find(|record| record.plan.promotion == Promotion::Promote))
    }

    /// What a graph changes against the one that serves the environment; `None` if nothing is deployed there yet.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`, `GRAPH_UNDECODABLE`, `JOURNAL_CORRUPT`.
    pub async fn diff(&self, environment: &EnvironmentId, graph: &FeatureGraph) -> Result<Option<GraphDiff>> {
        let Some(serving) = self.serving(environment).await? else { return Ok(None) };
        let digest = serving.plan.graph;
        let bytes = self.0.engine.store.graph(&digest).await?;
        let bytes = bytes.ok_or_else(|| {
            Error::new(ErrorCode::JournalCorrupt, "the deployed feature graph is not in the store").on(digest)
        })?;
        Ok(Some(graph::diff(Some(&FeatureGraph::decode(bytes, None)?), graph)))
    }

    /// Everything that can stop a request before it creates anything.
    async fn admit(&self, request: &ApplyRequest) -> Result<Arc<DataPlane>> {
        request.check_with(self.0.engine.validation)?;
        let plane = self.0.engine.environments.resolve(&request.environment).await?;
        plane.boundary.permits(plane.cloud.builder.place(&request.settings)?)?;
        Ok(plane)
    }

    async fn create(&self, request: &ApplyRequest, plane: &DataPlane) -> Result<DeploymentId> {
        let runtime = &self.0.engine.runtime;
        let created_at = runtime.now();
        let plan = DeploymentPlan {
            id: runtime.deployment_id()?,
            environment: request.environment.clone(),
            project: request.project.clone(),
            created_at,
            deadline: created_at.plus(plane.policy.deadline),
            source: request.fingerprint.clone(),
            graph: request.graph.digest(),
            git: request.git.clone(),
            requirements: request.requirements.clone(),
            settings: request.settings.clone(),
            tags: request.tags.clone(),
            sizing: request.sizing,
            strategy: request.strategy,
            promotion: request.promotion,
            idempotency_key: request.idempotency_key.clone(),
        };
        let graph: Bytes = request.graph.bytes().clone();
        match self.0.engine.store.create(&plan, &graph).await? {
            Creation::New => {
                self.0.engine.checkpoints.reached("created");
                Ok(plan.id)
            }
            Creation::Existing(id) => Ok(id),
        }
    }

    async fn begin(&self, request: &ApplyRequest, plane: &DataPlane) -> Result<DeploymentHandle> {
        self.recover(&request.environment).await?;
        let id = self.create(request, plane).await?;
        self.resume(&id, Some(request.source.clone())).await
    }

    /// Takes up what another process left unfinished in an environment, oldest first.
    async fn recover(&self, environment: &EnvironmentId) -> Result<()> {
        let query = HistoryQuery::unfinished(Some(environment.clone()));
        let records = self.0.engine.store.history(&query).await?;
        for record in records.into_iter().rev().filter(|record| self.is_resumable(record)) {
            let entry = Lanes::enter(&self.0.engine, environment).await?;
            let ticket = Some(entry.ticket());
            self.start(&record.plan.id, None, Extent::End { entry, ticket }).await?;
        }
        Ok(())
    }

    /// Whether it can go on without its source: it has arrived, or the deployment is overdue or to be cancelled, and will
    /// end for that.
    fn is_resumable(&self, record: &DeploymentRecord) -> bool {
        let overdue = self.0.engine.runtime.now() >= record.plan.deadline;
        let waits = record.status == DeploymentStatus::AwaitingSource;
        (!waits || overdue || record.cancel_requested) && self.active(&record.plan.id).is_none()
    }

    fn active(&self, deployment: &DeploymentId) -> Option<DeploymentHandle> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner).get(deployment).cloned()
    }

    async fn finished(&self, deployment: &DeploymentId) -> Result<DeploymentHandle> {
        let (handle, task) = DeploymentHandle::new(deployment.clone(), None);
        let mut events = follow_journal(Arc::clone(&self.0.engine), deployment.clone());
        while let Some(event) = events.next().await {
            task.log.extend([event]);
        }
        handle.finish(self.outcome(deployment).await);
        Ok(handle)
    }

    /// Drives a deployment on a task of its own, unless this deployer does so already.
    async fn start(
        &self,
        deployment: &DeploymentId,
        source: Option<Payload>,
        mut extent: Extent,
    ) -> Result<DeploymentHandle> {
        let (handle, task) = DeploymentHandle::new(deployment.clone(), source);
        let raced = {
            let mut active = self.0.active.lock().unwrap_or_else(PoisonError::into_inner);
            let other = active.get(deployment).cloned();
            if other.is_none() {
                active.insert(deployment.clone(), handle.clone());
            }
            other
        };
        if let Some(other) = raced {
            extent.leave().await;
            return Ok(other);
        }
        let inner = Arc::clone(&self.0);
        let driven = handle.clone();
        tokio::spawn(async move {
            let driving = AssertUnwindSafe(drive(&inner.engine, &task, &mut extent)).catch_unwind();
            let result = driving.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorCode::Internal, "the driver panicked")
                    .on(format!("deployment {}", task.deployment)))
            });
            inner.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&task.deployment);
            extent.leave().await;
            driven.finish(result);
        });
        Ok(handle)
    }
}

/// The events of a deployment that is driven elsewhere, or by no one.
fn follow_journal(engine: Arc<Engine>, deployment: DeploymentId) -> EventStream {
    let log = EventLog::new();
    let stream = log.follow();
    let told = futures::stream::unfold((engine, deployment, log, None::<Projection>), |follow| async move {
        let (engine, deployment, log, mut projection) = follow;
        let after = projection.as_ref().map_or(0, |projection| projection.state().version);
        let Ok(events) = engine.store.events(&deployment, after).await else {
            log.close();
            return None;
        };
        for event in &events {
            let told = match &mut projection {
                Some(projection) => projection.next(event),
                None => Projection::begin(event).map(|(begun, told)| {
                    projection = Some(begun);
                    told
                }),
            };
            let Ok(told) = told else {
                log.close();
                return None;
            };
            log.extend(told);
        }
        if projection.as_ref().is_some_and(|projection| projection.state().finished.is_some()) {
            log.close();
            return None;
        }
        engine.runtime.sleep(FOLLOW_EVERY).await;
        Some(((), (engine, deployment, log, projection)))
    });
    // The listener polls both: what it reads, and what fetches it.
    let fetched = told.filter_map(|()| futures::future::ready(None));
    EventStream::new(futures::stream::select(stream, fetched).boxed())
}
