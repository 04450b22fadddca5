//! A layer from a folder: the same bytes for the same files, whoever packs them, when and under which umask.
//!
//! One pass: each file is read once, and its bytes go through the digest of the unpacked layer, the packer and the digest
//! of the packed one into the spool, on two threads ([`packer`](super::packer)). Entries come in the order of the bytes of their names, directories before what is
//! in them, owned by nobody, without a time, with one of two modes.
//!
//! The folder is walked and read through open directories, never through a link, so that a directory that is swapped
//! for a link on the way leads nowhere.

use std::ffi::{CStr, CString};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::compression::Compression;
use super::packer::{PIECE, Packer, Packing};
use crate::cloud::{Payload, PayloadSource};
use crate::model::{Descriptor, Digest};
use crate::source::{BLOCK, headers, padding};
use crate::{Error, ErrorCode, Result, text};

const EXECUTABLE: u32 = 0o755;
const PLAIN: u32 = 0o644;
/// Each level holds a directory open.
const DEEPEST: usize = 128;
const LONGEST_PATH: usize = 4096;

/// A packed layer, with what an image says of it.
pub struct Layer {
    descriptor: Descriptor,
    diff: Digest,
    unpacked: u64,
    entries: u64,
    source: Arc<dyn PayloadSource>,
}

impl Layer {
    /// Packs all that is in a folder, to lie under this absolute path of the image. What does not fit into a few
    /// megabytes of memory goes, packed, into a file without a name in `spill`.
    ///
    /// Takes as long as the disk and the processor need; asynchronous callers give it a thread.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for a path that is none; [`ErrorCode::SourceUnreadable`],
    /// [`ErrorCode::SourceChanged`]; [`ErrorCode::ArchiveEntryName`], [`ErrorCode::ArchiveEntryType`] and
    /// [`ErrorCode::ArchiveLinkEscape`] for what has no place in a layer.
    pub fn of_folder(folder: &Path, path: &str, compression: Compression, spill: &Path) -> Result<Self> {
        PackingLayer::of_folder(folder, path, compression, spill)?.finish()
    }

    /// Its type, digest and length.
    pub const fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The digest of the unpacked layer, as an image's config lists it.
    pub const fn diff(&self) -> Digest {
        self.diff
    }

    /// The length of the unpacked layer.
    pub const fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// How many entries it has.
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// Its bytes.
    pub fn payload(&self) -> Payload {
        Payload::new(self.descriptor.digest, self.descriptor.size, self.source.clone())
    }
}

/// A layer that was read and is still being packed: what is in it is known, and how long it will be is not.
pub struct PackingLayer {
    packing: Packing,
    media_type: &'static str,
    entries: u64,
}

impl PackingLayer {
    /// Reads all that is in a folder, as [`Layer::of_folder`] does, and does not wait until it is packed.
    ///
    /// # Errors
    /// Those of [`Layer::of_folder`].
    pub fn of_folder(folder: &Path, path: &str, compression: Compression, spill: &Path) -> Result<Self> {
        let prefix = prefix(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(folder, flags, Mode::empty()).map_err(|error| {
            Error::new(ErrorCode::SourceUnreadable, "the folder of the layer cannot be read")
                .on(text::line(&folder.to_string_lossy(), 200))
                .with_hint("name a folder that exists and is readable")
                .caused_by(io::Error::from(error))
        })?;
        let mut writer = Writer { packer: Packer::start(compression, spill).map_err(unpackable)?, entries: 0 };
        if !prefix.is_empty() {
            writer.header(tar::EntryType::Directory, &format!("{prefix}/"), None, 0, EXECUTABLE)?;
        }
        let place = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        writer.directory(&root, &place, place.len(), 0)?;
        writer.put(&[0; 2 * BLOCK])?;
        let packing = writer.packer.end().map_err(unpackable)?;
        Ok(Self { packing, media_type: compression.media_type(), entries: writer.entries })
    }

    /// The digest of the unpacked layer, as an image's config lists it.
    pub const fn diff(&self) -> Digest {
        self.packing.diff
    }

    /// The length of the unpacked layer.
    pub const fn unpacked(&self) -> u64 {
        self.packing.unpacked
    }

    /// Waits until it is packed.
    ///
    /// # Errors
    /// [`ErrorCode::SourceUnreadable`] when the packed bytes cannot be kept.
    pub fn finish(self) -> Result<Layer> {
        let Packing { diff, unpacked, .. } = self.packing;
        let packed = self.packing.finish().map_err(unpackable)?;
        let descriptor =
            Descriptor { media_type: self.media_type.to_owned(), digest: packed.digest, size: packed.size };
        Ok(Layer { descriptor, diff, unpacked, entries: self.entries, source: packed.source })
    }
}

impl fmt::Debug for PackingLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PackingLayer").field("diff", &self.diff()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Layer").field("descriptor", &self.descriptor).finish_non_exhaustive()
    }
}

/// The path in the image without its slashes at both ends.
fn prefix(path: &str) -> Result<String> {
    let invalid = |message: &str| {
        Err(Error::new(ErrorCode::ValueInvalid, message)
            .on(format!("path `{}` in the image", text::line(path, 200)))
            .with_hint("name an absolute path such as /app"))
    };
    let Some(inner) = path.strip_prefix('/') else { return invalid("the path is not absolute") };
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Ok(String::new());
    }
    if path.len() > LONGEST_PATH || inner.chars().any(char::is_control) {
        return invalid("the path is too long or holds control characters");
    }
    if inner.split('/').any(|component| matches!(component, "" | "." | "..") || component.starts_with(WHITEOUT)) {
        return invalid("the path is not in its normal form");
    }
    Ok(inner.to_owned())
}

/// In a layer, names that begin like this take away what lies below (OCI image specification, *Whiteouts*).
const WHITEOUT: &str = ".wh.";

struct Writer {
    packer: Packer,
    entries: u64,
}

impl Writer {
    /// Writes what is in a directory. `root` is the length of the part of `place` that is above the folder.
    fn directory(&mut self, directory: &OwnedFd, place: &str, root: usize, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(Error::new(ErrorCode::ArchiveEntryName, "the folders are nested too deeply").on(shown(place)));
        }
        for (name, listed) in names(directory, place)? {
            let Ok(text) = name.to_str() else {
                return Err(Error::new(ErrorCode::ArchiveEntryName, "the name is not UTF-8")
                    .on(shown(&format!("{place}{}", name.to_string_lossy()))));
            };
            let path = format!("{place}{text}");
            check_name(text, &path)?;
            let kind = match listed {
                // Not every file system tells in its lists.
                FileType::Unknown => {
                    let status = rustix::fs::statat(directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)
                        .map_err(|error| changed(&path).caused_by(io::Error::from(error)))?;
                    FileType::from_raw_mode(status.st_mode)
                }
                listed => listed,
            };
            match kind {
                FileType::Directory => {
                    self.header(tar::EntryType::Directory, &format!("{path}/"), None, 0, EXECUTABLE)?;
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let below = open(directory, &name, flags, &path)?;
                    self.directory(&below, &format!("{path}/"), root, depth + 1)?;
                }
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(directory, name.as_c_str(), Vec::new())
                        .map_err(|error| unreadable(&path, error.into()))?;
                    let target = target.into_string().map_err(|_| {
                        Error::new(ErrorCode::ArchiveEntryName, "the link's target is not UTF-8").on(shown(&path))
                    })?;
                    check_target(&path, root, &target)?;
                    self.header(tar::EntryType::Symlink, &path, Some(&target), 0, EXECUTABLE)?;
                }
                FileType::RegularFile => self.file(directory, &name, &path)?,
                _ => {
                    return Err(Error::new(ErrorCode::ArchiveEntryType, "it is neither file nor directory nor link")
                        .on(shown(&path))
                        .with_hint("remove it from the folder"));
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, directory: &OwnedFd, name: &CStr, path: &str) -> Result<()> {
        // Without NONBLOCK a pipe that took the file's place would hold us for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open(directory, name, flags, path)?;
        let status = rustix::fs::fstat(&file).map_err(|error| unreadable(path, error.into()))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(changed(path));
        }
        let size = u64::try_from(status.st_size).unwrap_or_default();
        let mode = if status.st_mode & 0o100 == 0 { PLAIN } else { EXECUTABLE };
        self.header(tar::EntryType::Regular, path, None, size, mode)?;
        let mut file = File::from(file);
        let mut left = size;
        loop {
            // One byte more than is left, to notice a file that has grown.
            let room = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX);
            let asked = room.min(PIECE);
            let ended = match self.packer.read(&mut file, asked) {
                Ok(0) => true,
                Ok(read) => {
                    left = left.checked_sub(read as u64).ok_or_else(|| changed(path))?;
                    // A file gives less than it was asked for at its end alone (read(2)). Most take one read so.
                    left == 0 && read < asked
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
                Err(error) => return Err(unreadable(path, error)),
            };
            self.packer.turn_if_full().map_err(unpackable)?;
            if ended {
                break;
            }
        }
        if left > 0 {
            return Err(changed(path));
        }
        self.put(&[0; BLOCK][..padding(size)])
    }

    fn header(&mut self, kind: tar::EntryType, name: &str, target: Option<&str>, size: u64, mode: u32) -> Result<()> {
        self.entries += 1;
        self.put(&headers(kind, name, target, size, mode))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.packer.put(bytes).map_err(unpackable)
    }
}

/// The names in a directory, sorted by their bytes, and what the list says that they are.
fn names(directory: &OwnedFd, place: &str) -> Result<Vec<(CString, FileType)>> {
    let listed = || -> io::Result<Vec<(CString, FileType)>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(directory.as_fd())? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push((entry.file_name().to_owned(), entry.file_type()));
            }
        }
        Ok(names)
    };
    let mut names = listed().map_err(|error| unreadable(place, error))?;
    names.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(names)
}

fn open(directory: &OwnedFd, name: &CStr, flags: OFlags, path: &str) -> Result<OwnedFd> {
    rustix::fs::openat(directory, name, flags, Mode::empty()).map_err(|error| {
        let error = io::Error::from(error);
        // It was there, as something else, a moment ago.
        let is_other = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if is_other { changed(path).caused_by(error) } else { unreadable(path, error) }
    })
}

fn check_name(name: &str, path: &str) -> Result<()> {
    let refused = |message: &str| Err(Error::new(ErrorCode::ArchiveEntryName, message).on(shown(path)));
    if name.starts_with(WHITEOUT) {
        return refused("a name that begins with `.wh.` removes files from an image");
    }
    if name.chars().any(char::is_control) {
        return refused("the name holds control characters");
    }
    if path.len() > LONGEST_PATH {
        return refused("the path is too long");
    }
    Ok(())
}

/// A link stays inside the folder, wherever that lies in the image.
fn check_target(path: &str, root: usize, target: &str) -> Result<()> {
    let refused = |message: &str| {
        Err(Error::new(ErrorCode::ArchiveLinkEscape, message)
            .on(shown(path))
            .with_hint("make the link point inside the folder, or remove it"))
    };
    if target.is_empty() || target.len() > LONGEST_PATH || target.chars().any(char::is_control) {
        return refused("the link's target is empty, too long or not printable");
    }
    if target.starts_with('/') {
        return refused("the link's target is absolute");
    }
    let mut depth = path[root..].split('/').count() - 1;
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if depth == 0 => return refused("the link points outside of the folder"),
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    Ok(())
}

fn shown(path: &str) -> String {
    text::line(path, 200)
}

fn unreadable(path: &str, error: io::Error) -> Error {
    Error::new(ErrorCode::SourceUnreadable, "it cannot be read")
        .on(shown(path))
        .with_hint("make it readable, or remove it from the folder")
        .caused_by(error)
}

fn changed(path: &str) -> Error {
    Error::new(ErrorCode::SourceChanged, "it changed while it was being read").on(shown(path))
}

fn unpackable(error: io::Error) -> Error {
    Error::new(ErrorCode::SourceUnreadable, "the packed layer cannot be kept")
        .on("folder for temporary files")
        .with_hint("make room in the folder for temporary files")
        .caused_by(error)
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
