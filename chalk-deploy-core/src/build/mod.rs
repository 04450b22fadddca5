//! The in-process builder: a layer with the dependencies and one with the source on a base image, the same inputs giving
//! the same digest on every machine.
//!
//! ```text
//!  requirements, base image ── dependencies ──> a layer that was made before, or a new one ─┐
//!  archive in the bucket ── fetch ──> source.tar.gz ── layer ──> layer.tar.gz ──────────────┤
//!  base image, by digest ── base ───> manifest, config ─────────────────────────── image ───┴──> config, manifest
//! ```
//!
//! What it builds is an OCI image whose layers are the base image's, named by their descriptors, then what the project
//! requires under [`SITE_PACKAGES`], then the project under `/app`. Components whose base images bring the same share
//! both. The base image's layers are not fetched: whoever pushes the image is told in which
//! repository they lie ([`Payload::origin`](crate::cloud::Payload::origin)), and only where that one is in another
//! registry do their bytes stream through this process.
//!
//! For several platforms it does so once for each, on the images that an index of the base has, and makes an index.
//!
//! It installs what the requirements name and the base image does not [declare](PROVIDES) to bring, if it is
//! [set up](InProcessBuilder::with_dependencies) to; else a project that needs more is refused when it is submitted. A
//! [`dependencies`] layer is made once for all builds with the same requirements on the same base image. A project with a
//! Dockerfile of its own is refused; [`RoutedBuilder`] sends it to the Argo builder. Before there is a layer, the source is
//! [checked](checks), and compiled where that is set up.
//!
//! Each build leaves a [`BuildRecord`] in the bucket, from which the same image can be made
//! [again](InProcessBuilder::rebuild) when registry, builder and index are gone.
//!
//! What it makes lies in a [`BuildFolder`], and a build whose process was killed goes on from its beginning when someone
//! asks about it. Nothing here uses a thread, or another program unless one is set up to install, check or compile: long
//! work gives others their turn every few hundred kilobytes, so that it can be driven in virtual time.

#[cfg(feature = "kubernetes")]
pub mod argo;
pub(crate) mod base;
pub mod checks;
pub mod container;
pub(crate) mod contents;
pub mod dependencies;
#[cfg(feature = "oci")]
pub mod docker_config;
#[cfg(any(feature = "kubernetes", feature = "oci"))]
pub mod dockerfile;
#[cfg(any(feature = "kubernetes", feature = "oci"))]
pub mod envelope;
mod folder;
pub(crate) mod image;
pub(crate) mod index;
mod layer;
mod packing;
mod platforms;
mod process_group;
mod progress;
mod rebuild;
mod redaction;
pub mod report;
mod requirements;
mod router;
#[cfg(test)]
mod testing;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::cloud::{BuildRequest, BuildState, Builder, ImageContents, ObjectStore, Registry};
use crate::error::Retry;
use crate::image::Compression;
use crate::model::{BuildPlace, DeploymentId, Digest, ProjectSettings, RequirementsFile};
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::source::ArchiveLimits;
use crate::{Error, ErrorCode, Result};

pub use checks::Checks;
pub use dependencies::{DependencySettings, SITE_PACKAGES};
pub use folder::BuildFolder;
pub use rebuild::{BUILDER, BuildHistory, BuildRecord, Rebuilt};
pub use requirements::{PROVIDES, PYTHON};
pub use router::{Route, RoutedBuilder, Routing};

use base::Documents;
use dependencies::Sought;
use folder::{Outcome, Record};
use progress::{Running, Table};

/// Where a project lies in its image.
pub const SOURCE_DIRECTORY: &str = "/app";

/// How long `state` waits for news.
const MOMENT: Duration = Duration::from_millis(500);

/// Builds images in this process. Clones are the same builder.
#[derive(Clone)]
pub struct InProcessBuilder {
    workshop: Arc<Workshop>,
    table: Arc<Table>,
    origins: Arc<Mutex<BTreeMap<Digest, contents::Origin>>>,
}

/// What a build works with.
#[derive(Clone)]
struct Workshop {
    bucket: Arc<dyn ObjectStore>,
    registry: Arc<dyn Registry>,
    folder: BuildFolder,
    runtime: Arc<dyn Runtime>,
    limits: ArchiveLimits,
    /// Where the manifests and configs of base images are read.
    documents: Arc<dyn Documents>,
    compression: Compression,
    dependencies: Option<DependencySettings>,
    /// Held while a dependency layer is looked for and made.
    installing: Arc<tokio::sync::Mutex<()>>,
    checks: Checks,
}

impl InProcessBuilder {
    /// Reads sources from this bucket and base images from this registry, and keeps what it makes in this folder.
    pub fn new(
        object_store: Arc<dyn ObjectStore>,
        base_registry: Arc<dyn Registry>,
        folder: BuildFolder,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let workshop = Workshop {
            bucket: object_store,
            documents: Arc::new(base_registry.clone()),
            registry: base_registry,
            folder,
            runtime,
            limits: ArchiveLimits::default(),
            compression: Compression::Gzip,
            dependencies: None,
            checks: Checks::default(),
            installing: Arc::default(),
        };
        Self { workshop: Arc::new(workshop), table: Arc::default(), origins: Arc::default() }
    }

    /// What a source archive may be at most, where projects are collected with other limits than the default ones.
    #[must_use]
    pub fn with_limits(self, limits: ArchiveLimits) -> Self {
        self.with(|workshop| workshop.limits = limits)
    }

    /// Keeps the manifests and configs of base images in this cache, which other processes may share: a base image that
    /// was read once costs no request from then on.
    #[cfg(feature = "oci")]
    #[must_use]
    pub fn with_cache(self, cache: crate::image::ImageCache) -> Self {
        self.with(|workshop| {
            let documents = crate::image::CachedDocuments::new(workshop.registry.clone(), Some(cache));
            workshop.documents = Arc::new(documents);
        })
    }

    /// How the layer with the project is packed: gzip unless set, which every runtime reads. One source gives one digest
    /// for each way of packing.
    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Self {
        self.with(|workshop| workshop.compression = compression)
    }

    /// Lets it install what projects require. Installing starts a program and waits for it, so that it needs a clock that
    /// goes by itself; a dependency layer that was made before does not.
    #[must_use]
    pub fn with_dependencies(self, settings: DependencySettings) -> Self {
        self.with(|workshop| workshop.dependencies = Some(settings))
    }

    /// Which tools check and compile a project. Without any, its syntax alone is checked.
    #[must_use]
    pub fn with_checks(self, checks: Checks) -> Self {
        self.with(|workshop| workshop.checks = checks)
    }

    fn with(self, change: impl FnOnce(&mut Workshop)) -> Self {
        let mut workshop = Workshop::clone(&self.workshop);
        change(&mut workshop);
        Self { workshop: Arc::new(workshop), ..self }
    }

    /// Begins to build, unless this process does already.
    fn start(&self, request: &BuildRequest) -> Arc<Running> {
        let (workshop, request) = (self.workshop.clone(), request.clone());
        let deployment = request.deployment.clone();
        self.table.start(&deployment, |running| {
            // Without the table: a build ends with the last clone of its builder.
            tokio::spawn(async move {
                let result = async {
                    let built = platforms::build(&workshop, &request, Sought::Anew, &running).await?;
                    rebuild::retain(&workshop, &request, &built, &running).await?;
                    Ok(built)
                };
                let result = result.await;
                running.end(result, |events, outcome| workshop.folder.finish(&request, events, outcome));
            })
        })
    }

    /// The state of a build that this process did not make, or no longer remembers.
    fn ended(&self, record: Record, after: u64) -> Result<BuildState> {
        let events = record.events.into_iter().filter(|event| event.number > after).collect();
        if let Outcome::Failed(error) = record.outcome {
            return Ok(BuildState::Failed { events, error });
        }
        if !self.workshop.folder.holds_all(&record.images) {
            return Err(
                lost(&record.request.deployment).with_hint("resume; what it had made is gone, and is made again")
            );
        }
        Ok(BuildState::Succeeded { events, images: platforms::images(&record.images) })
    }
}

impl fmt::Debug for InProcessBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InProcessBuilder").field("folder", &self.workshop.folder).finish_non_exhaustive()
    }
}

#[async_trait]
impl Builder for InProcessBuilder {
    fn place(&self, settings: &ProjectSettings) -> Result<BuildPlace> {
        match &settings.dockerfile {
            Some(file) => Err(own_dockerfile(file, "only the in-process builder is set up, which runs none")),
            None => Ok(BuildPlace::ThisProcess),
        }
    }

    async fn submit(&self, request: &BuildRequest) -> Result<()> {
        let deployment = &request.deployment;
        if let Some(running) = self.table.get(deployment) {
            match running.outcome() {
                // What failed for a reason that may pass is tried again.
                Some(Err(error)) if error.retry != Retry::Permanent => self.table.remove(deployment),
                _ => return Ok(()),
            }
        } else if let Some(record) = self.workshop.folder.record(deployment)?
            && record.has_ended()
            && self.workshop.folder.holds_all(&record.images)
        {
            return Ok(());
        }
        check(request)?;
        self.place(&request.settings)?;
        work::check_source(&*self.workshop.bucket, &request.source).await?;
        for request in request.for_each_platform()? {
            requirements::check(&self.workshop, &request).await?;
        }
        self.workshop.folder.begin(request)?;
        self.start(request);
        Ok(())
    }

    async fn state(&self, deployment: &DeploymentId, after: u64) -> Result<BuildState> {
        let running = match self.table.get(deployment) {
            Some(running) => running,
            None => match self.workshop.folder.record(deployment)? {
                None => return Err(lost(deployment)),
                Some(Record { request, outcome: Outcome::Begun, .. }) => self.start(&request),
                Some(record) => return self.ended(record, after),
            },
        };
        if let Some(state) = running.state(after) {
            return Ok(state);
        }
        // Nothing new: waits a moment for news, and for the end of a build that was stopped.
        let waited = self.workshop.runtime.within(MOMENT, running.news(after)).await;
        if running.is_stopped() {
            return Err(lost(deployment));
        }
        let state = waited.flatten().or_else(|| running.state(after));
        Ok(state.unwrap_or(BuildState::Running { events: Vec::new() }))
    }

    async fn stop(&self, deployment: &DeploymentId) -> Result<()> {
        self.table.remove(deployment);
        self.workshop.folder.forget(deployment)
    }

    fn contents(&self) -> Option<Arc<dyn ImageContents>> {
        Some(Arc::new(self.clone()))
    }
}

/// Refuses requirements files that no builder of ours would follow, before anything is begun.
///
/// # Errors
/// [`ErrorCode::RequirementDenied`] with the file and the line.
pub fn check_requirements(files: &[RequirementsFile]) -> Result<()> {
    dependencies::listing::read(files).map(drop)
}

fn lost(deployment: &DeploymentId) -> Error {
    Error::new(ErrorCode::BuildLost, "the builder knows no such build").on(deployment)
}

fn check(request: &BuildRequest) -> Result<()> {
    let invalid = |message: &str, hint: &str| {
        let error = Error::new(ErrorCode::RequestInvalid, message).on(format!("build of {}", request.deployment));
        Err(if hint.is_empty() { error } else { error.with_hint(hint) })
    };
    request.platforms()?;
    if request.base_images.is_empty() {
        return invalid("there is no base image to build on", "name a base image for each component");
    }
    // It becomes a part of a command.
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/.-_".contains(&byte);
    if request.platform.is_empty() || !request.platform.bytes().all(is_word) {
        return invalid("the platform is no word", "name it as `linux/amd64`");
    }
    if request.base_images.len() != request.repositories.len() {
        return invalid("there is not one repository for each base image", "");
    }
    let components: BTreeSet<_> = request.base_images.iter().map(|base| base.component).collect();
    if components.len() != request.base_images.len() {
        return invalid("a component has two base images", "");
    }
    Ok(())
}

/// A project that brings its own Dockerfile is for the Argo builder; here is why it is not built.
fn own_dockerfile(file: &str, why: &str) -> Error {
    Error::new(ErrorCode::RequestInvalid, format!("the project brings its own Dockerfile, and {why}"))
        .on(format!("`{}`", crate::text::line(file, 100)))
        .with_hint(
            "set up the Argo builder with an image that runs Dockerfiles, or remove `dockerfile` from chalk.yaml",
        )
}
