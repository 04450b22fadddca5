//! A builder whose images are a function of what is built.

mod image;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::cloud::{BuildEvent, BuildRequest, BuildState, Builder, ImageContents, Payload};
use chalk_deploy_core::model::{BuildPlace, BuiltImage, DeploymentId, Descriptor, Digest, ProjectSettings};
use chalk_deploy_core::text::printable;
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::object_store::FakeObjectStore;
use super::payload::Stored;
use super::{Pace, pause};
use crate::world::{Room, World, Writer};

/// The steps of a build, in order, and what each says.
const STEPS: [(&str, &str); 3] = [
    ("lint", "no problem found"),
    ("bytecode-compile", "the modules are compiled"),
    ("layer", "the layer is on the base images"),
];

/// A builder that keeps its builds and images in the world. Clones are the same builder.
#[derive(Debug, Clone)]
pub struct FakeBuilder {
    room: Room,
    bucket: FakeObjectStore,
    checkpoints: Arc<dyn Checkpoints>,
    place: BuildPlace,
    chosen: Arc<Mutex<BuildBehaviour>>,
    news: Arc<Notify>,
    pace: Option<Pace>,
}

/// How builds go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BuildBehaviour {
    /// To their end.
    #[default]
    Succeed,
    /// Up to the step of this name (`lint`, `bytecode-compile`, `layer`), which fails.
    FailAt(String),
    /// They begin and never end.
    Hang,
}

/// A build as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct StoredBuild {
    content: Digest,
    behaviour: BuildBehaviour,
    images: Vec<BuiltImage>,
}

impl FakeBuilder {
    /// The builder of a world, which reads its sources from this bucket, and runs in this process.
    pub fn new(world: &World, bucket: FakeObjectStore) -> Self {
        Self {
            room: world.room("builder"),
            bucket,
            checkpoints: Arc::new(NoCheckpoints),
            place: BuildPlace::ThisProcess,
            chosen: Arc::default(),
            news: Arc::default(),
            pace: None,
        }
    }

    /// Tells of the moments between two writes.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: Arc<dyn Checkpoints>) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// Claims to run somewhere else.
    #[must_use]
    pub const fn with_place(mut self, place: BuildPlace) -> Self {
        self.place = place;
        self
    }

    /// Lets time pass between two answers of a build that is not done.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Chooses how the builds go that are submitted from now on.
    pub fn set_behaviour(&self, behaviour: BuildBehaviour) {
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// The deployments whose builds are known.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the world cannot be read.
    pub fn builds(&self) -> Result<Vec<DeploymentId>> {
        let documents = self.room.names("builds/")?;
        Ok(documents.iter().filter_map(|document| DeploymentId::new(document.strip_prefix("builds/")?).ok()).collect())
    }

    /// Loses a build, as a cluster does when someone deletes its workflow.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the world cannot be written.
    pub fn lose(&self, deployment: &DeploymentId) -> Result<()> {
        self.forget(deployment)
    }

    fn forget(&self, deployment: &DeploymentId) -> Result<()> {
        let result = self.room.exclusively(|room| {
            room.remove(&build_of(deployment))?;
            self.checkpoints.reached("builder.stop/between");
            self.sweep(room)
        });
        self.news.notify_waiters();
        result
    }

    /// Removes the contents that no build names.
    fn sweep(&self, room: &Writer<'_>) -> Result<()> {
        let mut named = BTreeSet::new();
        for deployment in self.builds()? {
            let build = self.stored(&deployment)?;
            for image in build.iter().flat_map(|build| &build.images) {
                named.extend(
                    image.blobs.iter().chain([&image.manifest]).map(|descriptor| content_of(&descriptor.digest)),
                );
            }
        }
        for document in self.room.names("contents/")? {
            if !named.contains(&document) {
                room.remove(&document)?;
            }
        }
        Ok(())
    }

    fn stored(&self, deployment: &DeploymentId) -> Result<Option<StoredBuild>> {
        self.room.read_json(&build_of(deployment))
    }

    fn check(&self, request: &BuildRequest) -> Result<()> {
        let invalid = |message: &str| {
            Err(Error::new(ErrorCode::RequestInvalid, message).on(format!("build of {}", request.deployment)))
        };
        if request.base_images.is_empty() {
            return invalid("there is no base image to build on");
        }
        if request.base_images.len() != request.repositories.len() {
            return invalid("there is not one repository for each base image");
        }
        let components: BTreeSet<_> = request.base_images.iter().map(|base| base.component).collect();
        if components.len() != request.base_images.len() {
            return invalid("a component has two base images");
        }
        if !self.bucket.holds(&request.source.key, &request.source.sha256)? {
            return Err(Error::new(ErrorCode::ObjectMissing, "the source archive is not in the bucket")
                .on(format!("object `{}`", request.source.key))
                .with_hint("upload it before it is built"));
        }
        Ok(())
    }

    fn submit_now(&self, request: &BuildRequest) -> Result<()> {
        self.room.exclusively(|room| {
            if self.stored(&request.deployment)?.is_some() {
                return Ok(());
            }
            self.check(request)?;
            let behaviour = self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut images = Vec::new();
            if behaviour == BuildBehaviour::Succeed {
                for base in &request.base_images {
                    let made = image::make(request, base)?;
                    for (digest, bytes) in &made.contents {
                        room.write(&content_of(digest), bytes)?;
                    }
                    images.push(made.image);
                }
                images.sort_by_key(|image| image.component);
            }
            self.checkpoints.reached("builder.submit/between");
            let build = StoredBuild { content: request.content_digest(), behaviour, images };
            room.write_json(&build_of(&request.deployment), &build)
        })
    }
}

#[async_trait]
impl Builder for FakeBuilder {
    fn place(&self, _: &ProjectSettings) -> Result<BuildPlace> {
        Ok(self.place)
    }

    async fn submit(&self, request: &BuildRequest) -> Result<()> {
        self.submit_now(request)
    }

    async fn state(&self, deployment: &DeploymentId, after: u64) -> Result<BuildState> {
        loop {
            // Made before the look: it hears what happens from here on, before it is waited for.
            let news = self.news.notified();
            let Some(build) = self.stored(deployment)? else {
                return Err(Error::new(ErrorCode::BuildLost, "the builder knows no such build").on(deployment));
            };
            match progress(&build, after) {
                Some(BuildState::Running { events }) if events.is_empty() => match &self.pace {
                    Some(pace) => {
                        pace.wait().await;
                        return Ok(BuildState::Running { events });
                    }
                    None => news.await,
                },
                Some(state) => {
                    pause(self.pace.as_ref()).await;
                    return Ok(state);
                }
                None => {
                    return Err(Error::new(
                        ErrorCode::CloudAnswerInvalid,
                        "the build fails at a step that no build has",
                    )
                    .on(deployment));
                }
            }
        }
    }

    async fn stop(&self, deployment: &DeploymentId) -> Result<()> {
        self.forget(deployment)
    }

    fn contents(&self) -> Option<Arc<dyn ImageContents>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl ImageContents for FakeBuilder {
    async fn blob(&self, descriptor: &Descriptor) -> Result<Payload> {
        let document = content_of(&descriptor.digest);
        if !self.room.holds(&document)? {
            return Err(lost(descriptor));
        }
        let source = Stored { room: self.room.clone(), document, missing: ErrorCode::BuildLost };
        Ok(Payload::new(descriptor.digest, descriptor.size, Arc::new(source)))
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Bytes> {
        self.room.read(&content_of(&descriptor.digest))?.map(Bytes::from).ok_or_else(|| lost(descriptor))
    }
}

/// How a build stands for one who has seen its events up to `after`: one more event an answer, so that every build is
/// seen running. `None` for a build that fails at a step that there is not.
fn progress(build: &StoredBuild, after: u64) -> Option<BuildState> {
    let steps = match &build.behaviour {
        BuildBehaviour::Succeed => STEPS.len(),
        BuildBehaviour::Hang => 1,
        BuildBehaviour::FailAt(step) => 1 + STEPS.iter().position(|(name, _)| name == step)?,
    };
    let mut events: Vec<_> = (1..).zip(&STEPS[..steps]).map(event).filter(|event| event.number > after).collect();
    if build.behaviour == BuildBehaviour::Hang {
        return Some(BuildState::Running { events });
    }
    if events.len() > 1 {
        events.truncate(1);
        return Some(BuildState::Running { events });
    }
    Some(match &build.behaviour {
        BuildBehaviour::FailAt(step) => {
            let failed = format!("the step `{}` of the build failed", printable(step));
            BuildState::Failed { events, error: Error::new(ErrorCode::BuildFailed, failed).on(step).record() }
        }
        _ => BuildState::Succeeded { events, images: build.images.clone() },
    })
}

fn event((number, (step, line)): (u64, &(&str, &str))) -> BuildEvent {
    BuildEvent { number, step: (*step).to_owned(), line: (*line).to_owned() }
}

fn lost(descriptor: &Descriptor) -> Error {
    Error::new(ErrorCode::BuildLost, "the builder no longer holds this content").on(descriptor.digest)
}

fn build_of(deployment: &DeploymentId) -> String {
    format!("builds/{deployment}")
}

fn content_of(digest: &Digest) -> String {
    format!("contents/{}", digest.hex())
}

#[cfg(test)]
mod tests;
