//! A build that was made before, made again.
//!
//! `builds/<deployment id>` in the bucket says what a build was made of and what came of it; the archive, the records of
//! its dependency layers and these layers lie beside it by their digests. So nothing else is needed than the bucket and
//! the base images: no journal, no index of packages, not the registry of the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::checks::{Checks, Tool};
use super::dependencies::Sought;
use super::folder::Built;
use super::progress::Running;
use super::{InProcessBuilder, Workshop, platforms, work};
use crate::cloud::{BuildEvent, BuildRequest, ObjectStore, Payload, PutMode};
use crate::model::{
    ArchiveReference, BaseImage, BuiltImage, Component, DeploymentId, Digest, ObjectKey, Platform, ProjectSettings,
    Repository, RequirementsFile,
};
use crate::source::SourceRecord;
use crate::{Error, ErrorCode, Result, text};

/// What makes images here: the program, its version, and a number that is raised whenever the same inputs come to
/// another image.
pub const BUILDER: &str = concat!("chalk-deploy ", env!("CARGO_PKG_VERSION"), ", images 1");

const PREFIX: &str = "builds/";
/// The longest record that is read.
const RECORD_MOST: u64 = 16 << 20;

/// What a build was made of, and what came of it: what `builds/<deployment id>` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// The deployment.
    pub deployment: DeploymentId,
    /// What made the images ([`BUILDER`]).
    pub builder: String,
    /// The digest of the source archive, which lies at `archives/<sha256>`.
    pub source: Digest,
    /// Its length.
    pub size: u64,
    /// The base images.
    pub base_images: Vec<BaseImage>,
    /// The requirements files.
    pub requirements: Vec<RequirementsFile>,
    /// Runtime, Dockerfile and platform version.
    pub settings: ProjectSettings,
    /// The platform of the images.
    pub platform: String,
    /// More of them; each component's image is an index then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_platforms: Vec<Platform>,
    /// What compiled the Python files of the source, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytecode: Option<String>,
    /// The keys of the dependency layers: their records, with the locks, lie at `dependencies/<key>`.
    pub dependencies: BTreeSet<Digest>,
    /// The manifest of each component's image.
    pub images: BTreeMap<Component, Digest>,
}

/// The builds of past deployments in one bucket.
#[derive(Debug, Clone)]
pub struct BuildHistory(Arc<dyn ObjectStore>);

/// A build that was made again.
#[derive(Debug, Clone)]
pub struct Rebuilt {
    /// The images, which are those of the record, byte for byte. The builder hands their contents out.
    pub images: Vec<BuiltImage>,
    /// What the build said.
    pub events: Vec<BuildEvent>,
    /// The builder that made them first, if it was another one than this.
    pub other_builder: Option<String>,
}

impl BuildHistory {
    /// The builds in this bucket.
    pub fn new(bucket: Arc<dyn ObjectStore>) -> Self {
        Self(bucket)
    }

    /// The record of a deployment's build.
    ///
    /// # Errors
    /// `OBJECT_MISSING` when the bucket has none: the deployment is older than these records, or was built by a builder
    /// that may not write there. `CLOUD_ANSWER_INVALID` for what is no record, or another deployment's.
    /// `PERMISSION_DENIED`; `CLOUD_UNAVAILABLE`.
    pub async fn find(&self, deployment: &DeploymentId) -> Result<BuildRecord> {
        let key = key(deployment)?;
        let object = self.0.get(&key).await.map_err(|error| {
            if error.code() != ErrorCode::ObjectMissing {
                return error;
            }
            Error::new(ErrorCode::ObjectMissing, "there is no record of its build")
                .on(format!("deployment {deployment}"))
                .with_hint("check the id and the bucket; builds before version 0.1.0 left none")
                .caused_by(error)
        })?;
        let invalid = || {
            Error::new(ErrorCode::CloudAnswerInvalid, "the bucket holds something else than a record of a build")
                .on(format!("object `{key}`"))
                .with_hint("check who writes to the bucket")
        };
        if object.metadata.size > RECORD_MOST {
            return Err(invalid());
        }
        let bytes = crate::cloud::collect(object.body, RECORD_MOST).await?;
        let record: BuildRecord = serde_json::from_slice(&bytes).map_err(|error| invalid().caused_by(error))?;
        if record.deployment == *deployment { Ok(record) } else { Err(invalid()) }
    }
}

impl InProcessBuilder {
    /// Makes the images of a record again, and compares them with it. What they need is taken from the bucket, and the
    /// base images from the registry: nothing is resolved, and nothing is installed as long as the bucket has the
    /// dependency layers. The images can be handed out afterwards, as after any build.
    ///
    /// **Idempotency.** It may be repeated.
    ///
    /// **Errors.** `IMAGE_MISMATCH` when another image came of it, naming both builders; `OBJECT_MISSING` when the archive,
    /// a base image or a dependency layer's record is gone; the builder's own.
    pub async fn rebuild(&self, record: &BuildRecord) -> Result<Rebuilt> {
        let request = record.request()?;
        super::check(&request)?;
        work::check_source(&*self.workshop.bucket, &request.source).await?;
        let running = Arc::new(Running::default());
        // Nothing is judged again; and compiled only if it was then.
        let bytecode = if record.bytecode.is_some() { self.workshop.checks.bytecode.clone() } else { Tool::Off };
        let workshop = Workshop { checks: Checks::new().with_bytecode(bytecode), ..(*self.workshop).clone() };
        let mut built = platforms::build(&workshop, &request, Sought::Again, &running).await?;
        let images = digests(&built);
        let other_builder = Some(record.builder.clone()).filter(|builder| builder != BUILDER);
        if images != record.images {
            return Err(mismatch(record, &images, built.bytecode.as_deref(), other_builder.as_deref()));
        }
        for made in &mut built.made {
            made.repository = None;
        }
        let images = platforms::images(&built.made);
        let events = running.events();
        self.workshop.folder.finish(&request, &events, &Ok(built))?;
        Ok(Rebuilt { images, events, other_builder })
    }
}

/// What identifies the image of each component: of several platforms, their index.
fn digests(built: &Built) -> BTreeMap<Component, Digest> {
    platforms::images(&built.made).into_iter().map(|image| (image.component, image.manifest.digest)).collect()
}

fn mismatch(
    record: &BuildRecord,
    images: &BTreeMap<Component, Digest>,
    bytecode: Option<&str>,
    other_builder: Option<&str>,
) -> Error {
    let differs = record.images.iter().find(|(component, digest)| images.get(component) != Some(digest));
    let message = match differs {
        Some((component, expected)) => {
            let found = images.get(component).map_or("none".to_owned(), Digest::to_string);
            format!("the image of {component} was {expected}, and is now {found}")
        }
        None => "there are more images now than there were".to_owned(),
    };
    let hint = match other_builder {
        Some(builder) => {
            format!("it was built by {}, and this is {BUILDER}: use that version", text::line(builder, 80))
        }
        None if record.bytecode.as_deref() != bytecode => {
            let compiled = record.bytecode.as_deref().map_or("nothing".to_owned(), |by| text::line(by, 80));
            let now = bytecode.unwrap_or("nothing");
            format!("its Python files were compiled by {compiled}, and are now by {now}: name that Python")
        }
        None => "find out what differs: the builder's version is the same".to_owned(),
    };
    Error::new(ErrorCode::ImageMismatch, message).on(format!("build of {}", record.deployment)).with_hint(hint)
}

impl BuildRecord {
    fn request(&self) -> Result<BuildRequest> {
        let key = SourceRecord::archive_key(self.source)?;
        // Where the images go is no part of what they are.
        let nowhere: Repository = "rebuilt.invalid/image".parse()?;
        Ok(BuildRequest {
            deployment: self.deployment.clone(),
            source: ArchiveReference { key, sha256: self.source, size: self.size },
            base_images: self.base_images.clone(),
            repositories: vec![nowhere; self.base_images.len()],
            requirements: self.requirements.clone(),
            settings: self.settings.clone(),
            platform: self.platform.clone(),
            more_platforms: self.more_platforms.clone(),
        })
    }
}

/// Leaves the record of a build in the bucket. A build that was lost and made again leaves a new one: the record is of
/// the images that go on to the registry.
pub(super) async fn retain(
    workshop: &Workshop,
    request: &BuildRequest,
    built: &Built,
    running: &Running,
) -> Result<()> {
    let record = BuildRecord {
        deployment: request.deployment.clone(),
        builder: BUILDER.to_owned(),
        source: request.source.sha256,
        size: request.source.size,
        base_images: request.base_images.clone(),
        requirements: request.requirements.clone(),
        settings: request.settings.clone(),
        platform: request.platform.clone(),
        more_platforms: request.more_platforms.clone(),
        bytecode: built.bytecode.clone(),
        dependencies: built.dependencies.clone(),
        images: digests(built),
    };
    let bytes = serde_json::to_vec(&record)
        .map_err(|error| Error::new(ErrorCode::Internal, "the record of a build cannot be written").caused_by(error))?;
    match workshop.bucket.put(&key(&request.deployment)?, &Payload::from_bytes(bytes), PutMode::Replace).await {
        Ok(_) => Ok(()),
        // A builder that may only read builds all the same.
        Err(error) if error.code() == ErrorCode::PermissionDenied => {
            running.say(
                "record",
                "note: the bucket takes no record of the build; it cannot be made again from there".to_owned(),
            );
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn key(deployment: &DeploymentId) -> Result<ObjectKey> {
    ObjectKey::new(format!("{PREFIX}{deployment}"))
}
