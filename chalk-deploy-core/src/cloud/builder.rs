//! What turns a source archive into images.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::payload::Payload;
use crate::error::RecordedError;
use crate::model::environment::BaseImage;
use crate::model::{
    ArchiveReference, BuildPlace, BuiltImage, DeploymentId, Descriptor, Digest, Platform, ProjectSettings, Repository,
    RequirementsFile,
};
use crate::{Error, ErrorCode, Result};

/// Layers source and dependencies on the platform's base images.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Builder: fmt::Debug + Send + Sync + 'static {
    /// Where the build of a project with these settings would run. It is asked before anything is recorded or sent, and
    /// again before each build; the boundary of the data plane is asked about the answer.
    ///
    /// **Errors.** `REQUEST_INVALID` for a project that this builder cannot build, as far as its settings tell.
    fn place(&self, settings: &ProjectSettings) -> Result<BuildPlace>;

    /// Starts the build of a deployment, or finds the one that was started.
    ///
    /// **Idempotency.** Keyed by the deployment: submitting again returns without a second build. Equal
    /// [`content digests`](BuildRequest::content_digest) give equal image digests, unless a Dockerfile of the project's
    /// own runs commands: what these do, nobody can promise.
    ///
    /// **After a crash.** The build goes on, or is found to be lost by [`state`](Self::state).
    ///
    /// **Errors.** `OBJECT_MISSING` when the archive is not there; `REQUEST_INVALID` for a project that this builder
    /// cannot build; `PERMISSION_DENIED`; `CLOUD_UNAVAILABLE`.
    async fn submit(&self, request: &BuildRequest) -> Result<()>;

    /// How the build of a deployment stands, and what it has said since the event number `after`.
    ///
    /// Waits a moment for news, if there are none, so that a caller may ask in a loop.
    ///
    /// **Errors.** `BUILD_LOST` when the builder knows no such build; `CLOUD_UNAVAILABLE`.
    async fn state(&self, deployment: &DeploymentId, after: u64) -> Result<BuildState>;

    /// Stops the build of a deployment and forgets it.
    ///
    /// **Idempotency.** Stopping what is not there, or has ended, succeeds.
    ///
    /// **After a crash.** The build runs on, or is stopped; stopping it again is right either way.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn stop(&self, deployment: &DeploymentId) -> Result<()>;

    /// Access to images that the builder holds itself. `None` for a builder that pushes its images into the
    /// environment's repository from where it runs.
    fn contents(&self) -> Option<Arc<dyn ImageContents>>;
}

/// The bytes of the images that a builder holds.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ImageContents: fmt::Debug + Send + Sync + 'static {
    /// A blob of an image that this builder built.
    ///
    /// **Errors.** `BUILD_LOST` when it is no longer there.
    async fn blob(&self, descriptor: &Descriptor) -> Result<Payload>;

    /// The bytes of an image's manifest.
    ///
    /// **Errors.** `BUILD_LOST` when it is no longer there.
    async fn manifest(&self, descriptor: &Descriptor) -> Result<Bytes>;
}

/// What a build is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRequest {
    /// The deployment, which is the key of the build.
    pub deployment: DeploymentId,
    /// The uploaded source archive.
    pub source: ArchiveReference,
    /// The base image of each component that is built.
    pub base_images: Vec<BaseImage>,
    /// The repository that each component's image is for, in the order of `base_images`.
    pub repositories: Vec<Repository>,
    /// The requirements files.
    pub requirements: Vec<RequirementsFile>,
    /// Runtime, Dockerfile and platform version.
    pub settings: ProjectSettings,
    /// The platform of the images, such as `linux/amd64`.
    pub platform: String,
    /// Further platforms. With any of them, each image is an index of one image a platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_platforms: Vec<Platform>,
}

impl BuildRequest {
    /// The digest of everything that decides the images' content: archive, requirements, base images and platform;
    /// not the deployment, its keys or its repositories.
    pub fn content_digest(&self) -> Digest {
        let Self {
            deployment: _,
            repositories: _,
            source,
            base_images,
            requirements,
            settings,
            platform,
            more_platforms,
        } = self;
        let bases: Vec<_> = base_images.iter().map(|base| (base.component, base.digest)).collect();
        let content = (source.sha256, bases, requirements, settings, platform);
        // Plain data with string keys: serialising it cannot fail. One platform gives the digest that it always gave.
        let written = if more_platforms.is_empty() {
            serde_json::to_vec(&content)
        } else {
            serde_json::to_vec(&(content, more_platforms))
        };
        Digest::of(written.unwrap_or_default())
    }

    /// The same request for each of its platforms alone, in the order of their names. What is built from one of them is
    /// what is built where only that platform is asked for.
    ///
    /// # Errors
    /// Those of [`platforms`](Self::platforms).
    pub fn for_each_platform(&self) -> Result<Vec<Self>> {
        let alone =
            |platform: Platform| Self { platform: platform.to_string(), more_platforms: Vec::new(), ..self.clone() };
        Ok(self.platforms()?.into_iter().map(alone).collect())
    }

    /// All platforms, in the order of their names.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] for one that is none, and for one that is named twice.
    pub fn platforms(&self) -> Result<Vec<Platform>> {
        let invalid = |message: String| {
            Error::new(ErrorCode::RequestInvalid, message).on(format!("build of {}", self.deployment))
        };
        let first = self.platform.parse::<Platform>().map_err(|error| invalid(error.sentence()))?;
        let mut platforms: Vec<_> = [first].into_iter().chain(self.more_platforms.iter().cloned()).collect();
        platforms.sort();
        for (at, platform) in platforms.iter().enumerate() {
            if let Some(other) = platforms[..at].iter().find(|other| other.is_same(platform)) {
                return Err(invalid(format!("the platforms {other} and {platform} are one")));
            }
        }
        Ok(platforms)
    }
}

/// How a build stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildState {
    /// It is not done. The events are those after the number asked for, in order.
    Running {
        /// What it said.
        events: Vec<BuildEvent>,
    },
    /// It is done.
    Succeeded {
        /// What it said.
        events: Vec<BuildEvent>,
        /// The images, ordered by component.
        images: Vec<BuiltImage>,
    },
    /// It failed.
    Failed {
        /// What it said.
        events: Vec<BuildEvent>,
        /// Which step failed, and why.
        error: RecordedError,
    },
}

/// Something that a build said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildEvent {
    /// Its number within the build, from 1 on without gaps.
    pub number: u64,
    /// The build's own step, such as `bytecode-compile`.
    pub step: String,
    /// The line. Comes from strangers.
    pub line: String,
}

impl BuildState {
    /// The events and, if the build has ended, how.
    pub fn into_parts(self) -> (Vec<BuildEvent>, Option<Result<Vec<BuiltImage>, Error>>) {
        match self {
            Self::Running { events } => (events, None),
            Self::Succeeded { events, images } if images.is_empty() => (
                events,
                Some(Err(Error::new(ErrorCode::CloudAnswerInvalid, "the builder reported success without an image"))),
            ),
            Self::Succeeded { events, images } => (events, Some(Ok(images))),
            Self::Failed { events, error } => (events, Some(Err(error.into()))),
        }
    }
}
