//! The dependency layer: what a project requires, installed for the image's platform, under [`SITE_PACKAGES`].
//!
//! ```text
//!  requirements files ── listing ──> what was asked ─┐
//!  base images' labels ── requirements ──────────────┴─ key ──> folder, else bucket: a record ──> the layer
//!                                                          └──> neither: resolve ── install ── tree ── pack ── keep
//! ```
//!
//! A key is the digest of what decides a layer: the requirements, the Python, the platform, the base images. What it
//! was resolved to and what came of it is one [record](DependencyRecord), written once into the bucket: with one key all
//! builders come to one layer, even if the index has newer versions by then, and the layer itself lies beside it, so that
//! an image can be made again with no index. To take up newer versions, the requirements are changed.
//!
//! Installing is the only thing in a build that starts a program, and only where no record is found.

mod child;
mod installer;
pub(super) mod listing;
mod lock;
mod poetry;
mod record;
pub(super) mod requirement;
mod settings;
mod store;
pub(super) mod target;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt as _;
use tempfile::NamedTempFile;

pub use lock::{Lock, Pin};
pub use record::{DependencyRecord, InstalledPackage, LayerRecord};
pub use settings::{DependencySettings, InstallTool, PackageIndex, PackageOrigin};
pub use target::PythonVersion;

pub(super) use record::RECORD_MOST;

use super::Workshop;
use super::folder::failed;
use super::progress::Running;
use super::requirements::Group;
use crate::cloud::BuildRequest;
use crate::image::Layer;
use crate::model::Digest;
use crate::{Error, ErrorCode, Result, text};

use installer::{Installer, Resolved};
use record::{FORMAT, KeyParts};
use requirement::Requirement;
use target::Target;

/// Where the packages lie in an image; `PYTHONPATH` leads there.
pub const SITE_PACKAGES: &str = "/opt/chalk/site-packages";

/// The label of an image that lists the packages of its dependency layer: JSON, an array of
/// [`InstalledPackage`] in the order of the names.
pub const PACKAGES: &str = "ai.chalk.packages";

/// The name of the step in a build's events.
const STEP: &str = "dependencies";

/// Whether what is needed may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sought {
    /// If it must be.
    Anew,
    /// It was built before: what was resolved then is taken, or nothing.
    Again,
}

/// The dependency layer of a group of components.
pub(super) async fn prepare(
    workshop: &Workshop,
    request: &BuildRequest,
    group: &Group,
    sought: Sought,
    running: &Arc<Running>,
) -> Result<DependencyRecord> {
    let settings = workshop.dependencies.as_ref().ok_or_else(not_set_up)?;
    let target = Target::new(group.python, &request.platform)?;
    let wanted: Vec<_> = group.wanted.iter().map(written).collect();
    let parts = KeyParts {
        requirements: &wanted,
        provided: &group.provided,
        python: group.python,
        platform: &request.platform,
        bases: &group.bases,
        media_type: settings.compression.media_type(),
    };
    let key = parts.digest();
    // One at a time: two builds of one key would install it twice.
    let _turn = workshop.installing.lock().await;
    if let Some(record) = store::kept(workshop, request, group, &key, sought).await? {
        tell(running, &record, "is there");
        return Ok(record);
    }
    let earlier = store::of_bucket(workshop, &key).await?;
    if let Some(record) = &earlier
        && store::is_pushed(workshop, request, group, record, sought).await
    {
        workshop.folder.keep_dependencies(record, None)?;
        tell(running, record, "is where it goes");
        return Ok(record.clone());
    }
    if let Some(record) = &earlier
        && store::fetch_layer(workshop, record).await?
    {
        workshop.folder.keep_dependencies(record, None)?;
        tell(running, record, "was fetched from the bucket");
        return Ok(record.clone());
    }
    if earlier.is_none() && sought == Sought::Again {
        return Err(Error::new(
            ErrorCode::ObjectMissing,
            "what its requirements were resolved to is not kept anywhere",
        )
        .on(format!("build of {}", request.deployment))
        .with_hint("deploy the project anew; its packages may have other versions then"));
    }
    let scratch = workshop.folder.work_folder()?;
    let cache = workshop.folder.cache()?;
    let installer = Installer::find(settings, &target, &*workshop.runtime, scratch.path(), &cache).await?;
    let work = Work { workshop, group, installer, folder: scratch.path().join("packages"), running };
    let lock = earlier.as_ref().map(|record| record.lock.clone());
    let (resolved, layer) = work.install(lock).await?;
    let (layer, file, packages) = match layer {
        Some((layer, file, packages)) => (Some(LayerRecord::of(&layer)), Some(file), packages),
        None => (None, None, Vec::new()),
    };
    let record = record_of(&parts, key, &work.installer.version, resolved.lock, layer, packages);
    if earlier
        .is_some_and(|earlier| earlier.layer.map(|layer| layer.diff) != record.layer.as_ref().map(|layer| layer.diff))
    {
        running.say(STEP, "note: installed anew from its lock, the layer is another one than before".to_owned());
        workshop.folder.keep_dependencies(&record, file)?;
        return Ok(record);
    }
    store::retain(workshop, record, file, running).await
}

fn record_of(
    parts: &KeyParts<'_>,
    key: Digest,
    tool: &str,
    lock: Lock,
    layer: Option<LayerRecord>,
    packages: Vec<InstalledPackage>,
) -> DependencyRecord {
    DependencyRecord {
        format: FORMAT,
        key,
        python: parts.python,
        platform: parts.platform.to_owned(),
        bases: parts.bases.clone(),
        requirements: parts.requirements.to_vec(),
        lock,
        layer,
        packages,
        tool: tool.to_owned(),
    }
}

/// A requirement with its hashes, as the key counts it.
fn written(requirement: &Requirement) -> String {
    requirement.hashes.iter().fold(requirement.to_string(), |text, hash| format!("{text} --hash={hash}"))
}

fn tell(running: &Running, record: &DependencyRecord, what: &str) {
    if let Some(layer) = &record.layer {
        let (packages, size) = (record.packages.len(), text::bytes(layer.descriptor.size));
        running.say(STEP, format!("the layer with {packages} packages {what}: {}, {size}", layer.descriptor.digest));
    }
}

pub(super) fn not_set_up() -> Error {
    Error::new(ErrorCode::RequestInvalid, "the in-process builder is not set up to install requirements")
        .on(STEP)
        .with_hint("use a base image that brings them, or set the builder up with uv or pip")
}

/// One installation.
struct Work<'a> {
    workshop: &'a Workshop,
    group: &'a Group,
    installer: Installer<'a>,
    folder: PathBuf,
    running: &'a Arc<Running>,
}

type Packed = (Layer, NamedTempFile, Vec<InstalledPackage>);

impl Work<'_> {
    /// Resolves unless it was resolved before, installs and packs. No layer where nothing is to be installed.
    async fn install(&self, lock: Option<Lock>) -> Result<(Resolved, Option<Packed>)> {
        let mut say = |line: &str| self.running.say(STEP, line.to_owned());
        let mut resolved = if let Some(lock) = lock {
            Resolved { lock, files: BTreeMap::new() }
        } else {
            say(&format!("{} resolves {} requirements", self.installer.version, self.group.wanted.len()));
            let mut resolved = self.installer.resolve(&self.group.wanted, &mut say).await?;
            // What the base image brings, it brings in the version that it was tested with.
            resolved.lock.0.retain(|pin| !self.group.provided.contains(&pin.name));
            resolved
        };
        if resolved.lock.pins().is_empty() {
            say("there is nothing to install: the base image brings all of it");
            return Ok((resolved, None));
        }
        std::fs::create_dir(&self.folder).map_err(|error| failed("make", &self.folder)(error))?;
        self.installer.install(&resolved.lock, &self.folder, &mut say).await?;
        let (folder, most) = (self.folder.clone(), self.installer.settings.unpacked_most);
        let compression = self.installer.settings.compression;
        let spill = self.installer.scratch.to_owned();
        let (installed, layer) = blocking(move || {
            let installed = tree::normalize(&folder, most)?;
            Ok((installed, Layer::of_folder(&folder, SITE_PACKAGES, compression, &spill)?))
        })
        .await?;
        for package in &installed {
            resolved.narrow(&package.name, &package.tags);
        }
        let packages = packages(&resolved.lock, &installed)?;
        say(&format!(
            "{} packages, {} files and folders with {}, packed into {}",
            packages.len(),
            layer.entries(),
            text::bytes(layer.unpacked()),
            text::bytes(layer.descriptor().size)
        ));
        let file = self.file_of(&layer).await?;
        Ok((resolved, Some((layer, file, packages))))
    }

    /// The packed layer in a file that can be kept.
    async fn file_of(&self, layer: &Layer) -> Result<NamedTempFile> {
        let mut file = self.workshop.folder.work_file()?;
        let path = file.path().to_owned();
        let mut bytes = layer.payload().open().await?;
        while let Some(piece) = bytes.try_next().await.map_err(|error| failed("read", &path)(error))? {
            file.write_all(&piece).map_err(|error| failed("write", &path)(error))?;
        }
        Ok(file)
    }
}

/// What was installed, which must be what the lock names.
fn packages(lock: &Lock, installed: &[tree::Installed]) -> Result<Vec<InstalledPackage>> {
    let names: BTreeSet<_> = installed.iter().map(|package| package.name.as_str()).collect();
    let locked: BTreeSet<_> = lock.pins().iter().map(|pin| pin.name.as_str()).collect();
    if names != locked || installed.len() != lock.pins().len() {
        let other: Vec<_> = names.symmetric_difference(&locked).take(5).map(|name| text::line(name, 60)).collect();
        return Err(Error::new(ErrorCode::BuildFailed, "what was installed is not what the lock names")
            .on(format!("packages {}", other.join(", ")))
            .with_hint("look at how these packages name themselves"));
    }
    Ok(lock
        .pins()
        .iter()
        .map(|pin| {
            let mut hashes = pin.hashes.iter();
            let only = hashes.next().filter(|_| hashes.next().is_none());
            InstalledPackage { name: pin.name.clone(), version: pin.version.clone(), sha256: only.map(Digest::hex) }
        })
        .collect())
}

/// Runs what takes its time where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorCode::Internal, "packing the dependencies panicked").caused_by(error))?
}
