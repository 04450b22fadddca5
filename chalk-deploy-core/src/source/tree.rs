//! Listing what belongs to the archive, and opening it again without following a link.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags};

use super::CollectOptions;
use super::entry::{ArchiveEntry, EntryKind, ancestors, check_path, check_target, shown};
use super::ignore_rules::IgnoreRules;
use super::limits::ArchiveLimits;
use super::policy::{ArchivePolicy, never_links};
use crate::store::STATE_MARKER;
use crate::text;
use crate::{Error, ErrorCode, Result};

/// Permissions of directories and of files that their owner may execute.
pub(super) const EXECUTABLE: u32 = 0o755;
/// Permissions of other files.
pub(super) const PLAIN: u32 = 0o644;

/// Lists the entries of the archive of a canonical directory, sorted by the bytes of their paths.
///
/// A directory is an entry when it holds one. So nothing that is left out, not even the existence of the directory
/// around it, changes the archive, and a fresh clone gives the archive of the working copy.
pub(super) fn list(root: &Path, options: &CollectOptions) -> Result<Vec<ArchiveEntry>> {
    let walk = Walk {
        root,
        limits: &options.limits,
        policy: &options.policy,
        rules: IgnoreRules::read(root, options.ignore_file.as_deref())?,
        required: required(root, options)?,
        excluded: excluded(root, &options.excluded)?,
    };
    walk.run()
}

/// The files that belong to the archive whatever the ignore files say.
fn required(root: &Path, options: &CollectOptions) -> Result<BTreeSet<String>> {
    let mut required = options.required.clone();
    for path in &required {
        check_path(path, &options.limits)?;
    }
    for name in crate::project::CONFIG_NAMES {
        if fs::symlink_metadata(root.join(name)).is_ok() {
            required.insert(name.to_owned());
        }
    }
    Ok(required)
}

/// The paths that the caller keeps out, as they are below the canonical root.
fn excluded(root: &Path, paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut excluded = BTreeSet::new();
    for path in paths {
        let Some(canonical) = canonical(path) else { continue };
        if root.starts_with(&canonical) {
            return Err(inside_state(&canonical));
        }
        if canonical.starts_with(root) {
            excluded.insert(canonical);
        }
    }
    if fs::symlink_metadata(root.join(STATE_MARKER)).is_ok() {
        return Err(inside_state(root));
    }
    Ok(excluded)
}

fn inside_state(state: &Path) -> Error {
    Error::new(ErrorCode::RequestInvalid, "the project lies in a folder that is never part of an archive")
        .on(text::line(&state.to_string_lossy(), 200))
        .with_hint("keep the state folder beside the project or in a folder of its own inside it")
}

/// The canonical form of a path whose last components need not exist yet. `None` for one without a name.
fn canonical(path: &Path) -> Option<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = std::path::absolute(path).ok()?;
    loop {
        if let Ok(canonical) = fs::canonicalize(&existing) {
            return Some(missing.iter().rev().fold(canonical, |path, name| path.join(name)));
        }
        missing.push(existing.file_name()?.to_owned());
        existing.pop();
    }
}

struct Walk<'a> {
    root: &'a Path,
    limits: &'a ArchiveLimits,
    policy: &'a ArchivePolicy,
    rules: IgnoreRules,
    required: BTreeSet<String>,
    excluded: BTreeSet<PathBuf>,
}

impl Walk<'_> {
    fn run(&self) -> Result<Vec<ArchiveEntry>> {
        let mut entries = BTreeMap::new();
        let (mut names, mut unpacked) = (0, 0);
        let mut pending = vec![self.root.to_owned()];
        while let Some(directory) = pending.pop() {
            for path in self.children(&directory)? {
                let metadata = match fs::symlink_metadata(&path) {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(unreadable(&self.shown(&path), error)),
                };
                if metadata.is_dir() {
                    if !self.skips(&path) {
                        pending.push(path);
                    }
                    continue;
                }
                if self.leaves_out(&path) {
                    continue;
                }
                let entry = self.entry(&path, &metadata)?;
                unpacked += entry.size;
                self.limits.check_unpacked(unpacked)?;
                let missing: Vec<_> = ancestors(&entry.path).filter(|above| !entries.contains_key(*above)).collect();
                for above in missing.into_iter().map(str::to_owned) {
                    names += above.len() as u64;
                    let directory =
                        ArchiveEntry { path: above.clone(), kind: EntryKind::Directory, size: 0, mode: EXECUTABLE };
                    entries.insert(above, directory);
                }
                names += entry.path.len() as u64;
                entries.insert(entry.path.clone(), entry);
                self.limits.check_entries(entries.len() as u64)?;
                self.limits.check_names(names)?;
            }
        }
        if let Some(absent) = self.required.iter().find(|path| !entries.contains_key(*path)) {
            return Err(Error::new(
                ErrorCode::ProjectFileMissing,
                "the file is missing, or lies in a folder that is \
                never part of an archive",
            )
            .on(shown(absent)));
        }
        Ok(entries.into_values().collect())
    }

    fn children(&self, directory: &Path) -> Result<Vec<PathBuf>> {
        let listed = fs::read_dir(directory).and_then(|listing| listing.map(|child| Ok(child?.path())).collect());
        match listed {
            // It was there a moment ago, or it is left out anyway and only listed because of a `!` somewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory != self.root => Ok(Vec::new()),
            Err(_) if directory != self.root && self.rules.ignores(directory, true) => Ok(Vec::new()),
            listed => listed.map_err(|error| unreadable(&self.shown(directory), error)),
        }
    }

    /// Whether nothing below a directory can belong to the archive.
    fn skips(&self, directory: &Path) -> bool {
        let name = directory.file_name().unwrap_or_default();
        let holds = |name: &str| fs::symlink_metadata(directory.join(name)).is_ok();
        if name == ".git" || name == "__pycache__" || self.excluded.contains(directory) {
            return true;
        }
        if holds(STATE_MARKER) || holds("pyvenv.cfg") {
            return true;
        }
        self.rules.prunes(directory) && !self.holds_required(directory)
    }

    fn holds_required(&self, directory: &Path) -> bool {
        self.required.iter().any(|path| self.root.join(path).starts_with(directory))
    }

    /// Whether something that is no directory stays out.
    fn leaves_out(&self, path: &Path) -> bool {
        if path.file_name().is_some_and(|name| name == ".git") || self.excluded.contains(path) {
            return true;
        }
        let required = self.relative(path).to_str().is_some_and(|path| self.required.contains(path));
        !required && self.rules.ignores(path, false)
    }

    fn entry(&self, path: &Path, metadata: &fs::Metadata) -> Result<ArchiveEntry> {
        let Some(relative) = self.relative(path).to_str().map(str::to_owned) else {
            return Err(Error::new(ErrorCode::ArchiveEntryName, "the name is not UTF-8")
                .on(self.shown(path))
                .with_hint("rename the file, or list it in .chalkignore"));
        };
        check_path(&relative, self.limits)
            .map_err(|error| error.with_hint("rename the file, or list it in .chalkignore"))?;
        let kind = metadata.file_type();
        if kind.is_file() {
            let mode = if metadata.mode() & 0o100 == 0 { PLAIN } else { EXECUTABLE };
            return Ok(ArchiveEntry { path: relative, kind: EntryKind::File, size: metadata.len(), mode });
        }
        if !kind.is_symlink() {
            return Err(Error::new(ErrorCode::ArchiveEntryType, "it is neither file nor directory nor link")
                .on(shown(&relative)));
        }
        if self.required.contains(&relative) || self.policy.never_links.contains(&relative) || never_links(&relative) {
            return Err(Error::new(ErrorCode::ArchiveLinkEscape, "this file may not be a symbolic link")
                .on(shown(&relative))
                .with_hint("replace the link by the file itself"));
        }
        let target = fs::read_link(path).map_err(|error| unreadable(&shown(&relative), error))?;
        let Some(target) = target.to_str() else {
            return Err(Error::new(ErrorCode::ArchiveEntryName, "the link's target is not UTF-8")
                .on(shown(&relative))
                .with_hint("correct the link, or list it in .chalkignore"));
        };
        check_target(&relative, target, self.limits)?;
        let kind = EntryKind::Link { target: target.to_owned() };
        Ok(ArchiveEntry { path: relative, kind, size: 0, mode: EXECUTABLE })
    }

    fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(self.root).unwrap_or(path)
    }

    fn shown(&self, path: &Path) -> String {
        let relative = self.relative(path);
        if relative.as_os_str().is_empty() {
            shown(&path.to_string_lossy())
        } else {
            shown(&relative.to_string_lossy())
        }
    }
}

fn unreadable(subject: &str, error: io::Error) -> Error {
    Error::new(ErrorCode::SourceUnreadable, "it cannot be read").on(subject).caused_by(error)
}

/// Opens entries of a tree one after the other, component by component and never through a link, so that a directory
/// that is swapped for a link between listing and reading leads nowhere. Keeps the last directory open: entries come
/// sorted, so it is the right one most of the time.
#[derive(Debug)]
pub(super) struct Opener {
    root: OwnedFd,
    last: Option<(String, OwnedFd)>,
}

impl Opener {
    pub(super) fn new(root: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|error| unreadable(&shown(&root.to_string_lossy()), error.into()))?;
        Ok(Self { root, last: None })
    }

    /// Opens a regular file, which must have the length with which it was listed.
    pub(super) fn file(&mut self, entry: &ArchiveEntry) -> Result<fs::File> {
        let open = |opener: &mut Self| -> io::Result<OwnedFd> {
            let (directory, name) = opener.directory(&entry.path)?;
            // Without NONBLOCK a pipe that took the file's place would hold us for ever.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
        };
        let file = open(self).map_err(|error| refused(&entry.path, error))?;
        let status = rustix::fs::fstat(&file).map_err(|error| refused(&entry.path, error.into()))?;
        let size = u64::try_from(status.st_size).unwrap_or_default();
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile || size != entry.size {
            return Err(changed(&entry.path));
        }
        Ok(fs::File::from(file))
    }

    /// Makes sure that a link still has the target with which it was listed.
    pub(super) fn link(&mut self, entry: &ArchiveEntry, target: &str) -> Result<()> {
        let read = |opener: &mut Self| -> io::Result<bool> {
            let (directory, name) = opener.directory(&entry.path)?;
            let found = rustix::fs::readlinkat(directory, name, Vec::new())?;
            Ok(found.as_bytes() == target.as_bytes())
        };
        match read(self) {
            Ok(true) => Ok(()),
            Ok(false) => Err(changed(&entry.path)),
            Err(error) => Err(refused(&entry.path, error)),
        }
    }

    fn directory<'p>(&mut self, path: &'p str) -> io::Result<(&OwnedFd, &'p str)> {
        let Some((above, name)) = path.rsplit_once('/') else { return Ok((&self.root, path)) };
        if self.last.as_ref().is_none_or(|(last, _)| last != above) {
            let mut directory: Option<OwnedFd> = None;
            for component in above.split('/') {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let from = directory.as_ref().unwrap_or(&self.root);
                directory = Some(rustix::fs::openat(from, component, flags, Mode::empty())?);
            }
            self.last = directory.map(|directory| (above.to_owned(), directory));
        }
        Ok((self.last.as_ref().map_or(&self.root, |(_, directory)| directory), name))
    }
}

/// What stands in for a file that cannot be opened: it was there when the tree was listed.
fn refused(path: &str, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return unreadable(&shown(path), error);
    }
    changed(path).caused_by(error)
}

pub(super) fn changed(path: &str) -> Error {
    Error::new(ErrorCode::SourceChanged, "it changed while it was being read").on(shown(path))
}
