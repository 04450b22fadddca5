//! The builder on Argo Workflows: a build is a Workflow in the cluster, and its build container is our own builder.
//!
//! ```text
//!  BuildRequest ── document ──> Workflow ── create ──> API server <── controller: pod ──> examples/build_image
//!                                                          │                                │ fetch, layer, push
//!  BuildState <── verdict, transcript <── Snapshot <── get, list pods, log                  ▼
//!       └── images <── read_back <───────────────────────────────────────────────────── registry
//! ```
//!
//! Nothing about a build is kept on this side: the workflow has a name that follows from the deployment, and carries its
//! request as a parameter. Whoever comes after a crash finds it there and goes on following. What is remembered of a
//! build (`Transcript`) only keeps events from being told twice.
//!
//! - *What a user has written* stands in the workflow only inside of one parameter, [sealed](super::envelope).
//! - *Credentials* stand nowhere in it (see [`ArgoSettings`]); what looks like one, or is known to be one, is taken out of
//!   every line before it becomes an event.
//! - *What a stranger may make long* is read up to limits: logs, messages, nodes, packed nodes.
//! - *Cancelling is removing*, which works also where no controller is running: Kubernetes itself ends the pods of what
//!   was removed.
//!
//! A project's own Dockerfile is refused here, too, until an image that runs Dockerfiles is set up: see ARCHITECTURE.md.

mod calls;
mod document;
mod images;
mod secrets;
mod settings;
mod status;
mod transcript;
mod verdict;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Mutex;

use self::calls::{Calls, Creation, Pods};
use self::secrets::Known;
pub use self::settings::{ArgoSettings, BuildResources};
use self::status::{Pod, Snapshot, Status};
use self::transcript::Transcript;
use self::verdict::{Verdict, verdict};
use crate::cloud::{BuildRequest, BuildState, Builder, ImageContents, ObjectStore, Registry};
use crate::error::{RecordedError, Retry};
use crate::kubernetes::Connection;
use crate::model::{BuildPlace, BuiltImage, DeploymentId, ObjectReference};
use crate::{Error, ErrorCode, Result};

/// For how long one waits until a workflow that is being removed is gone.
const REMOVED_WITHIN: Duration = Duration::from_secs(45);
/// How often one looks meanwhile.
const LOOK: Duration = Duration::from_millis(500);
/// Of so many builds it is remembered what they have said.
const REMEMBERED: usize = 64;

/// Builds images in workflows. Clones are the same builder.
#[derive(Clone)]
pub struct ArgoBuilder(Arc<Inner>);

struct Inner {
    calls: Calls,
    bucket: Arc<dyn ObjectStore>,
    registry: Arc<dyn Registry>,
    known: Known,
    /// What builds have said, by deployment. Each is locked for as long as someone looks.
    builds: std::sync::Mutex<BTreeMap<DeploymentId, Arc<Mutex<Followed>>>>,
}

/// What is remembered of a build.
#[derive(Default)]
struct Followed {
    uid: String,
    transcript: Transcript,
    images: Option<Vec<BuiltImage>>,
    is_over: bool,
}

impl ArgoBuilder {
    /// Workflows on the cluster of a connection. The bucket is only asked whether a source is there, and the registry
    /// only for the manifests of what was built: no source and no image comes through this process.
    pub fn new(
        connection: Connection,
        settings: ArgoSettings,
        object_store: Arc<dyn ObjectStore>,
        registry: Arc<dyn Registry>,
    ) -> Self {
        let known = Known::new(&settings.secrets);
        let calls = Calls { connection, settings };
        Self(Arc::new(Inner { calls, bucket: object_store, registry, known, builds: std::sync::Mutex::default() }))
    }

    /// Where and as whom it builds.
    pub fn settings(&self) -> &ArgoSettings {
        &self.0.calls.settings
    }

    fn reference(&self, deployment: &DeploymentId) -> ObjectReference {
        document::reference(self.settings(), deployment)
    }

    fn followed(&self, deployment: &DeploymentId) -> Arc<Mutex<Followed>> {
        let mut builds = self.0.builds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if builds.len() >= REMEMBERED {
            // Whoever asks for one of these again hears it from its log.
            builds.retain(|_, followed| followed.try_lock().map_or(true, |followed| !followed.is_over));
        }
        builds.entry(deployment.clone()).or_default().clone()
    }

    fn forget(&self, deployment: &DeploymentId) {
        self.0.builds.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(deployment);
    }

    /// The deployment's workflow as it is now, with the request that it carries. One that is being removed is none.
    async fn live(&self, deployment: &DeploymentId) -> Result<Option<(Value, BuildRequest)>> {
        let reference = self.reference(deployment);
        let Some(workflow) = self.0.calls.get(&reference).await? else { return Ok(None) };
        let request = document::request_of(&workflow, deployment).ok_or_else(|| calls::taken(&reference))?;
        Ok(Some((workflow, request)).filter(|(workflow, _)| !is_going(workflow)))
    }

    /// Looks at a workflow, and tells what is new.
    async fn look(&self, workflow: &Value, followed: &mut Followed) -> Result<(Snapshot, Pods)> {
        let calls = &self.0.calls;
        let name = workflow["metadata"]["name"].as_str().unwrap_or_default();
        let uid = workflow["metadata"]["uid"].as_str().unwrap_or_default();
        let reference = ObjectReference {
            api_version: String::new(),
            kind: String::new(),
            namespace: calls.settings.namespace.clone(),
            name: name.to_owned(),
        };
        let listed = calls.pods(&reference).await?;
        let mut snapshot =
            Snapshot { status: Status::read(workflow), pods: Pod::read_all(&listed.items, uid), ..Snapshot::default() };
        for pod in &snapshot.pods {
            if pod.main.has_begun() {
                snapshot.logs.insert(pod.name.clone(), calls.log(pod).await?);
            }
        }
        if followed.uid != uid {
            if !followed.uid.is_empty() {
                followed.transcript.begin_again();
                followed.images = None;
            }
            uid.clone_into(&mut followed.uid);
        }
        followed.transcript.take(&snapshot, &|line| self.0.known.redact(line));
        Ok((snapshot, listed))
    }

    /// What a look says of the end.
    async fn judge(
        &self,
        snapshot: &Snapshot,
        request: &BuildRequest,
        followed: &mut Followed,
    ) -> Result<Option<Result<Vec<BuiltImage>, RecordedError>>> {
        let end = match verdict(snapshot, &followed.transcript, &request.deployment) {
            Verdict::Running => return Ok(None),
            Verdict::Failed(mut error) => {
                for words in [&mut error.subject, &mut error.message, &mut error.hint] {
                    *words = self.0.known.redact(words);
                }
                Err(error)
            }
            Verdict::Built(reported) => match &followed.images {
                Some(images) => Ok(images.clone()),
                None => match images::read_back(&*self.0.registry, request, &reported).await {
                    Ok(images) => Ok(followed.images.insert(images).clone()),
                    Err(error) if error.retry() == Retry::Permanent => Err(error.record()),
                    Err(error) => return Err(error),
                },
            },
        };
        followed.is_over = true;
        Ok(Some(end))
    }

    /// Waits until a workflow that is being removed is gone.
    async fn gone(&self, reference: &ObjectReference) -> Result<()> {
        let runtime = self.0.calls.runtime();
        let until = runtime.monotonic() + REMOVED_WITHIN;
        while self.0.calls.get(reference).await?.is_some_and(|workflow| is_going(&workflow)) {
            if runtime.monotonic() >= until {
                return Err(Error::new(
                    ErrorCode::CloudUnavailable,
                    "the workflow of this name is still being removed",
                )
                .on(reference)
                .with_hint("resume when it is gone; its pod may be on a node that does not answer"));
            }
            runtime.sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Whether somebody has removed it, and it waits for its pods to go.
fn is_going(workflow: &Value) -> bool {
    !workflow["metadata"]["deletionTimestamp"].is_null()
}

#[async_trait]
impl Builder for ArgoBuilder {
    fn place(&self) -> BuildPlace {
        self.settings().place
    }

    /// A workflow of an earlier attempt that has failed for a reason that may pass is removed, and another is made.
    async fn submit(&self, request: &BuildRequest) -> Result<()> {
        super::check(request)?;
        if request.settings.dockerfile.is_some() {
            return Err(super::own_dockerfile(request, "no image that runs Dockerfiles is set up for its workflows"));
        }
        super::work::check_source(&*self.0.bucket, &request.source).await?;
        let (reference, calls) = (self.reference(&request.deployment), &self.0.calls);
        let workflow = document::workflow(self.settings(), request)?;
        // What is found may be gone a moment later, or going; each round begins with what is.
        for _ in 0..4 {
            if calls.create(&reference, &workflow).await? == Creation::Made {
                self.forget(&request.deployment);
                return Ok(());
            }
            let Some(found) = calls.get(&reference).await? else { continue };
            let carried = document::request_of(&found, &request.deployment).ok_or_else(|| calls::taken(&reference))?;
            if !is_going(&found) {
                let followed = self.followed(&request.deployment);
                let mut followed = followed.lock().await;
                let (snapshot, _) = self.look(&found, &mut followed).await?;
                match self.judge(&snapshot, &carried, &mut followed).await? {
                    Some(Err(error)) if error.retry != Retry::Permanent => calls.remove(&reference, &found).await?,
                    _ => return Ok(()),
                }
            }
            self.gone(&reference).await?;
        }
        Err(Error::new(ErrorCode::CloudUnavailable, "a workflow of this name comes and goes").on(reference))
    }

    async fn state(&self, deployment: &DeploymentId, after: u64) -> Result<BuildState> {
        let followed = self.followed(deployment);
        let mut followed = followed.lock().await;
        for waits in [true, false] {
            let Some((workflow, request)) = self.live(deployment).await? else {
                drop(followed);
                self.forget(deployment);
                return Err(super::lost(deployment));
            };
            let (snapshot, pods) = self.look(&workflow, &mut followed).await?;
            let end = self.judge(&snapshot, &request, &mut followed).await?;
            let events = followed.transcript.after(after);
            match end {
                Some(Ok(images)) => return Ok(BuildState::Succeeded { events, images }),
                Some(Err(error)) => return Ok(BuildState::Failed { events, error }),
                None if events.is_empty() && waits => self.0.calls.changed(deployment, &workflow, &pods).await,
                None => return Ok(BuildState::Running { events }),
            }
        }
        Ok(BuildState::Running { events: Vec::new() })
    }

    async fn stop(&self, deployment: &DeploymentId) -> Result<()> {
        let reference = self.reference(deployment);
        if let Some(workflow) = self.0.calls.get(&reference).await?
            // What is not ours is left alone.
            && document::request_of(&workflow, deployment).is_some()
            && !is_going(&workflow)
        {
            self.0.calls.remove(&reference, &workflow).await?;
        }
        self.forget(deployment);
        Ok(())
    }

    fn contents(&self) -> Option<Arc<dyn ImageContents>> {
        None
    }
}

impl fmt::Debug for ArgoBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ArgoBuilder").field(self.settings()).finish()
    }
}
