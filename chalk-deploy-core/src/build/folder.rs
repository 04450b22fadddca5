//! Where builds are kept: a record a build, and what they made by digest.
//!
//! ```text
//! builds/<deployment id>.json   what is built, what it said, what came of it
//! dependencies/<hex>.json       dependency layers by what decides them, the newest ones
//! contents/<hex>                layers, configs and manifests
//! cache/                        what installers keep of what they have fetched; it may be removed at any time
//! work/<random>/                what one builder is making; it goes with its builder, or when the next one comes
//! ```
//!
//! A record and what it names come into their places together, whole and on the disk, under a lock of the operating
//! system; so several builders, in one process or in many, may share a folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW};
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir};

use super::dependencies::{DependencyRecord, RECORD_MOST};
use crate::cloud::{BuildEvent, BuildRequest};
use crate::error::{RecordedError, Retry};
use crate::model::{BuiltImage, DeploymentId, Descriptor, Digest, Platform, Repository};
use crate::{Error, ErrorCode, Result};

/// How many builds are kept, unless it is set.
const KEPT: usize = 100;
/// How many dependency layers are kept besides those of the builds. They are the largest things here.
const LAYERS_KEPT: usize = 10;
/// The moment at which the operating system is asked.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };

/// A directory in which a builder keeps its builds and what they made, as many of the newest as are to be kept. Clones are the same folder.
#[derive(Debug, Clone)]
pub struct BuildFolder {
    root: PathBuf,
    work: Arc<Work>,
    kept: usize,
    /// Removes a temporary one with its last clone.
    _temporary: Option<Arc<TempDir>>,
}

/// Where one builder works. Locked for as long as the builder lives.
#[derive(Debug)]
struct Work {
    folder: TempDir,
    _lock: File,
}

impl BuildFolder {
    /// A folder that outlives the process. It is made if it is not there.
    ///
    /// **Errors.** `CLOUD_UNAVAILABLE` when it cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::at(path.into(), None)
    }

    /// A folder that goes with its last clone.
    ///
    /// **Errors.** `CLOUD_UNAVAILABLE` when it cannot be made.
    pub fn temporary() -> Result<Self> {
        let directory = tempfile::tempdir().map_err(failed("make", Path::new("a temporary folder")))?;
        Self::at(directory.path().to_owned(), Some(Arc::new(directory)))
    }

    /// How many builds are kept, those that have not ended always among them. A hundred unless set.
    #[must_use]
    pub const fn keeping(mut self, builds: usize) -> Self {
        self.kept = builds;
        self
    }

    fn at(root: PathBuf, temporary: Option<Arc<TempDir>>) -> Result<Self> {
        for name in ["builds", "contents", "dependencies", "work"] {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(failed("make", &path))?;
        }
        let work = exclusively(&root, || Work::begin(&root.join("work")))?;
        Ok(Self { root, work: Arc::new(work), kept: KEPT, _temporary: temporary })
    }

    /// A file to work in, which goes when it is dropped.
    pub(super) fn work_file(&self) -> Result<NamedTempFile> {
        let work = self.work.folder.path();
        NamedTempFile::new_in(work).map_err(failed("make a file in", work))
    }

    /// A directory to work in, which goes when it is dropped.
    pub(super) fn work_directory(&self) -> Result<TempDir> {
        let work = self.work.folder.path();
        tempfile::tempdir_in(work).map_err(failed("make a directory in", work))
    }

    /// A work file with these bytes.
    pub(super) fn work_file_of(&self, bytes: &[u8]) -> Result<NamedTempFile> {
        let mut file = self.work_file()?;
        file.write_all(bytes).map_err(failed("write", file.path()))?;
        Ok(file)
    }

    /// A folder to work in, which goes when it is dropped.
    pub(super) fn work_folder(&self) -> Result<TempDir> {
        let work = self.work.folder.path();
        tempfile::tempdir_in(work).map_err(failed("make a folder in", work))
    }

    /// Where installers keep what they have fetched. Absolute, because they work elsewhere.
    pub(super) fn cache(&self) -> Result<PathBuf> {
        let path = self.root.join("cache");
        fs::create_dir_all(&path).map_err(failed("make", &path))?;
        std::path::absolute(&path).map_err(failed("find", &path))
    }

    /// The dependency layer of a key, if it is remembered. It counts as used then.
    pub(super) fn dependencies(&self, key: &Digest) -> Result<Option<DependencyRecord>> {
        let path = self.dependencies_of(key);
        let Some(file) = absent(File::open(&path)).map_err(failed("read", &path))? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(RECORD_MOST).read_to_end(&mut bytes).map_err(failed("read", &path))?;
        let now = Timestamps { last_access: NOW, last_modification: NOW };
        if let Err(error) = rustix::fs::utimensat(CWD, &path, &now, AtFlags::empty()) {
            tracing::debug!(%error, "the use of a dependency layer could not be noted");
        }
        Ok(DependencyRecord::read(&bytes, key))
    }

    /// Remembers a dependency layer, with the layer itself if it is new.
    pub(super) fn keep_dependencies(&self, record: &DependencyRecord, layer: Option<NamedTempFile>) -> Result<()> {
        let path = self.dependencies_of(&record.key);
        if let Some(file) = &layer {
            file.as_file().sync_all().map_err(failed("write", file.path()))?;
        }
        let file = self.work_file_of(&record.to_bytes()?)?;
        file.as_file().sync_all().map_err(failed("write", &path))?;
        exclusively(&self.root, || {
            if let (Some(layer), Some(of)) = (layer, &record.layer) {
                let target = self.content(&of.descriptor.digest);
                layer.persist(&target).map_err(|error| failed("write", &target)(error.error))?;
            }
            file.persist(&path).map_err(|error| failed("write", &path)(error.error))?;
            self.prune_layers()
        })
    }

    /// Forgets the dependency layers that were not used for longest. What a build names stays until that goes.
    fn prune_layers(&self) -> Result<()> {
        let folder = self.root.join("dependencies");
        let mut records = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
            let entry = entry.map_err(failed("list", &folder))?;
            records.push((entry.metadata().and_then(|metadata| metadata.modified()).ok(), entry.path()));
        }
        records.sort_unstable();
        let surplus = records.len().saturating_sub(LAYERS_KEPT);
        for (_, path) in records.iter().take(surplus) {
            absent(fs::remove_file(path)).map_err(failed("remove", path))?;
        }
        if surplus > 0 { self.sweep() } else { Ok(()) }
    }

    /// The layers of the dependencies that are remembered.
    fn layers(&self) -> Result<Vec<Digest>> {
        let folder = self.root.join("dependencies");
        let mut layers = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
            let path = entry.map_err(failed("list", &folder))?.path();
            let name = path.file_stem().map(|name| format!("sha256:{}", name.to_string_lossy())).unwrap_or_default();
            let Ok(key) = name.parse() else { continue };
            let bytes = absent(fs::read(&path)).map_err(failed("read", &path))?.unwrap_or_default();
            let record = DependencyRecord::read(&bytes, &key);
            layers.extend(record.and_then(|record| record.layer).map(|layer| layer.descriptor.digest));
        }
        Ok(layers)
    }

    /// Whether a content is here, at its whole length.
    pub(super) fn holds(&self, descriptor: &Descriptor) -> bool {
        fs::metadata(self.content(&descriptor.digest)).is_ok_and(|metadata| metadata.len() == descriptor.size)
    }

    /// What was kept under a digest.
    pub(super) fn open_content(&self, digest: &Digest) -> Result<Option<File>> {
        let path = self.content(digest);
        absent(File::open(&path)).map_err(failed("read", &path))
    }

    /// Whether everything that was made for these images is there, at its whole length.
    pub(super) fn holds_all(&self, images: &[Made]) -> bool {
        images.iter().flat_map(Made::own).all(|descriptor| self.holds(descriptor))
    }

    pub(super) fn record(&self, deployment: &DeploymentId) -> Result<Option<Record>> {
        let path = self.record_of(deployment);
        let Some(bytes) = absent(fs::read(&path)).map_err(failed("read", &path))? else { return Ok(None) };
        match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(Some(record)),
            // A record of another version, or one that a failing disk has eaten: the build is made again.
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "a build's record cannot be read; the build counts as lost");
                Ok(None)
            }
        }
    }

    /// All records that can be read.
    pub(super) fn records(&self) -> Result<Vec<Record>> {
        let folder = self.root.join("builds");
        let mut records = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
            let name = entry.map_err(failed("list", &folder))?.file_name();
            let id = name.to_str().and_then(|name| DeploymentId::new(name.strip_suffix(".json")?).ok());
            if let Some(id) = id {
                records.extend(self.record(&id)?);
            }
        }
        Ok(records)
    }

    /// Records that a build has begun.
    pub(super) fn begin(&self, request: &BuildRequest) -> Result<()> {
        let record =
            Record { request: request.clone(), events: Vec::new(), outcome: Outcome::Begun, images: Vec::new() };
        exclusively(&self.root, || self.write(&record))
    }

    /// Keeps what came of a build. A failure that may pass is not recorded: the build has begun, and no more.
    pub(super) fn finish(
        &self,
        request: &BuildRequest,
        events: &[BuildEvent],
        outcome: &Result<Built, RecordedError>,
    ) -> Result<()> {
        let (images, files, outcome) = match outcome {
            Ok(built) => (built.made.clone(), built.files.as_slice(), Outcome::Succeeded),
            Err(error) if error.retry == Retry::Permanent => {
                (Vec::new(), [].as_slice(), Outcome::Failed(error.clone()))
            }
            Err(_) => return Ok(()),
        };
        for (_, file) in files {
            file.as_file().sync_all().map_err(failed("write", file.path()))?;
        }
        let record = Record { request: request.clone(), events: events.to_vec(), outcome, images };
        exclusively(&self.root, || {
            for (digest, file) in files {
                let target = self.content(digest);
                fs::rename(file.path(), &target).map_err(failed("write", &target))?;
            }
            self.write(&record)?;
            self.prune()
        })
    }

    /// Lets the oldest builds that have ended go. Nobody takes them away else, and whoever still asks for one is told
    /// that it is lost, and has it built again.
    fn prune(&self) -> Result<()> {
        let folder = self.root.join("builds");
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(failed("list", &folder))?;
        if entries.len() <= self.kept {
            return Ok(());
        }
        let mut ended = Vec::new();
        for record in self.records()?.into_iter().filter(Record::has_ended) {
            let deployment = record.request.deployment;
            let written = fs::metadata(self.record_of(&deployment)).and_then(|metadata| metadata.modified()).ok();
            ended.push((written, deployment));
        }
        ended.sort_unstable();
        for (_, deployment) in ended.iter().take(entries.len() - self.kept) {
            let path = self.record_of(deployment);
            absent(fs::remove_file(&path)).map_err(failed("remove", &path))?;
        }
        self.sweep()
    }

    /// Forgets a build, and what only it had made.
    pub(super) fn forget(&self, deployment: &DeploymentId) -> Result<()> {
        let path = self.record_of(deployment);
        exclusively(&self.root, || {
            absent(fs::remove_file(&path)).map_err(failed("remove", &path))?;
            self.sweep()
        })
    }

    fn sweep(&self) -> Result<()> {
        let records = self.records()?;
        let built = records.iter().flat_map(|record| &record.images).flat_map(Made::own).map(|own| own.digest.hex());
        let named: BTreeSet<_> = built.chain(self.layers()?.iter().map(Digest::hex)).collect();
        let folder = self.root.join("contents");
        for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
            let entry = entry.map_err(failed("list", &folder))?;
            if entry.file_name().to_str().is_none_or(|name| !named.contains(name)) {
                absent(fs::remove_file(entry.path())).map_err(failed("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    fn write(&self, record: &Record) -> Result<()> {
        let path = self.record_of(&record.request.deployment);
        let bytes = serde_json::to_vec(record).map_err(|error| {
            Error::new(ErrorCode::Internal, "a build's record cannot be written as JSON").caused_by(error)
        })?;
        let mut file = self.work_file()?;
        file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).map_err(failed("write", &path))?;
        file.persist(&path).map(drop).map_err(|error| failed("write", &path)(error.error))
    }

    fn content(&self, digest: &Digest) -> PathBuf {
        self.root.join("contents").join(digest.hex())
    }

    fn dependencies_of(&self, key: &Digest) -> PathBuf {
        self.root.join("dependencies").join(format!("{}.json", key.hex()))
    }

    fn record_of(&self, deployment: &DeploymentId) -> PathBuf {
        self.root.join("builds").join(format!("{deployment}.json"))
    }
}

impl Work {
    /// A folder to work in, after those of builders that are gone were removed.
    fn begin(place: &Path) -> Result<Self> {
        for entry in fs::read_dir(place).map_err(failed("list", place))? {
            let path = entry.map_err(failed("list", place))?.path();
            let is_gone = match absent(File::open(path.join(LOCK))) {
                Ok(Some(lock)) => lock.try_lock().is_ok(),
                Ok(None) => true,
                Err(_) => false,
            };
            if is_gone && let Err(error) = fs::remove_dir_all(&path) {
                tracing::debug!(%error, "what a builder has left could not be removed");
            }
        }
        let folder = tempfile::tempdir_in(place).map_err(failed("make a folder in", place))?;
        let lock = File::create(folder.path().join(LOCK)).map_err(failed("create", folder.path()))?;
        lock.lock().map_err(failed("lock", folder.path()))?;
        Ok(Self { folder, _lock: lock })
    }
}

const LOCK: &str = "lock";

fn exclusively<T>(root: &Path, change: impl FnOnce() -> Result<T>) -> Result<T> {
    let path = root.join(LOCK);
    let file = File::create(&path).map_err(failed("create", &path))?;
    file.lock().map_err(failed("lock", &path))?;
    change()
}

/// What a build has made, not yet in its place.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) made: Vec<Made>,
    pub(super) files: Vec<(Digest, NamedTempFile)>,
    /// The keys of the dependency layers in them.
    pub(super) dependencies: BTreeSet<Digest>,
    /// What compiled the Python files of the source, if anything did.
    pub(super) bytecode: Option<String>,
}

/// A build as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) request: BuildRequest,
    pub(super) events: Vec<BuildEvent>,
    pub(super) outcome: Outcome,
    pub(super) images: Vec<Made>,
}

/// How a build that is kept has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Begun,
    Succeeded,
    Failed(RecordedError),
}

impl Record {
    pub(super) const fn has_ended(&self) -> bool {
        !matches!(self.outcome, Outcome::Begun)
    }
}

/// An image that was built, and where the layers that are not ours lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) image: BuiltImage,
    pub(super) base: Repository,
    /// How many of its blobs, after the config, are the base image's.
    pub(super) base_layers: usize,
    /// What it runs on.
    #[serde(default)]
    pub(super) platform: Option<Platform>,
    /// The index that it is in, when it was built for several platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<Descriptor>,
    /// The repository that it is for.
    #[serde(default)]
    pub(super) repository: Option<Repository>,
    /// Layers of ours that the folder need not hold: the registry has them, and the bucket.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) elsewhere: BTreeSet<Digest>,
}

impl Made {
    /// What the builder itself holds: manifest, config and our layers.
    fn own(&self) -> impl Iterator<Item = &Descriptor> {
        let layers = self.layers().iter().filter(|layer| !self.elsewhere.contains(&layer.digest));
        self.image.blobs.first().into_iter().chain(layers).chain([&self.image.manifest]).chain(&self.index)
    }

    /// The layers on top of the base image's.
    pub(super) fn layers(&self) -> &[Descriptor] {
        self.image.blobs.get(self.base_layers + 1..).unwrap_or_default()
    }

    /// The layers of the base image.
    pub(super) fn of_base(&self) -> &[Descriptor] {
        self.image.blobs.get(1..=self.base_layers).unwrap_or_default()
    }
}

fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An error of the builder's disk.
pub(super) fn failed<'a>(what: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |error| {
        Error::new(ErrorCode::CloudUnavailable, format!("the builder could not {what} a file"))
            .on(path.display())
            .with_hint("check the disk that holds the builder's folder")
            .caused_by(error)
    }
}
