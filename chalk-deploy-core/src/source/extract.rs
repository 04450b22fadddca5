//! Unpacking an archive into a directory, so that nothing is ever written outside it and nothing half-written looks whole.
//!
//! Everything is made below an open directory of ours, component by component and never through a link, in a directory
//! beside the target. Links come last. Only when the archive has turned out to be whole does the directory get the
//! target's name, by one rename.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};

use super::entry::{ArchiveEntry, EntryKind, shown};
use crate::text;
use crate::{Error, ErrorCode, Result};

const BUFFER: usize = 64 << 10;

/// An unpacking under way. Dropped before [`finish`](Self::finish), it leaves nothing.
#[derive(Debug)]
pub struct Extraction {
    target: PathBuf,
    /// The directory beside the target, removed with its content when it is dropped.
    beside: Option<tempfile::TempDir>,
    /// The directories above the target that were not there, outermost first.
    made: Made,
    root: OwnedFd,
    /// The directory of the last entry: entries that lie together come together.
    last: Option<(String, OwnedFd)>,
    links: Vec<(String, String)>,
    buffer: Vec<u8>,
}

/// Directories that are removed again, if they are empty. Declared behind what lies in them, so dropped after it.
#[derive(Debug)]
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        // One that is not empty belongs to someone else by now.
        self.0.iter().rev().for_each(|directory| drop(fs::remove_dir(directory)));
    }
}

impl Extraction {
    /// Begins to unpack into a directory, which is made, with what is missing above it. One that exists must be empty.
    ///
    /// **Errors.** `REQUEST_INVALID` when there is something at the target or above it; `STORE_UNAVAILABLE` when the disk
    /// does not let us.
    pub fn begin(target: impl AsRef<Path>) -> Result<Self> {
        let target = std::path::absolute(target.as_ref()).map_err(|error| disk(target.as_ref(), error))?;
        let unusable = |message: &str, hint: &str| {
            Error::new(ErrorCode::RequestInvalid, message.to_owned()).on(shown_path(&target)).with_hint(hint)
        };
        let (Some(name), Some(parent)) = (target.file_name(), target.parent()) else {
            return Err(unusable("nothing can be unpacked here", "name a directory that does not exist yet"));
        };
        match fs::symlink_metadata(&target) {
            Ok(found) if !found.is_dir() => {
                return Err(unusable("there is something that is no directory", "name another directory"));
            }
            Ok(_) if fs::read_dir(&target).map_err(|error| disk(&target, error))?.next().is_some() => {
                return Err(unusable("the directory is not empty", "name a directory that does not exist yet"));
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(disk(&target, error)),
        }
        let missing: Vec<_> = parent.ancestors().take_while(|above| !above.exists()).map(Path::to_owned).collect();
        if parent.ancestors().nth(missing.len()).is_some_and(|above| !above.is_dir()) {
            return Err(unusable("it would lie in something that is no directory", "name another directory"));
        }
        let mut made = Made(Vec::new());
        for above in missing.into_iter().rev() {
            fs::create_dir(&above).map_err(|error| disk(&above, error))?;
            made.0.push(above);
        }
        let prefix = format!(".{}.unpacking-", text::line(&name.to_string_lossy(), 60));
        let beside =
            tempfile::Builder::new().prefix(&prefix).tempdir_in(parent).map_err(|error| disk(&target, error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root =
            rustix::fs::open(beside.path(), flags, Mode::empty()).map_err(|error| disk(&target, error.into()))?;
        Ok(Self { target, beside: Some(beside), made, root, last: None, links: Vec::new(), buffer: vec![0; BUFFER] })
    }

    /// Unpacks an entry that a reader has checked. Links are kept for the end.
    ///
    /// **Errors.** `STORE_UNAVAILABLE` when the disk does not let us; `ARCHIVE_DUPLICATE_PATH` when the disk takes two
    /// names for one; what the content fails with.
    pub fn entry(&mut self, entry: &ArchiveEntry, content: &mut dyn Read) -> Result<()> {
        let failed = |error: io::Error| unwritten(&entry.path, error);
        match &entry.kind {
            EntryKind::Directory => self.directory(&entry.path).map(drop).map_err(failed),
            EntryKind::Link { target } => {
                self.links.push((entry.path.clone(), target.clone()));
                Ok(())
            }
            EntryKind::HardLink { target } => self.hard_link(&entry.path, target).map_err(failed),
            EntryKind::File => self.file(entry, content),
        }
    }

    /// Makes the links, and gives the whole its name.
    ///
    /// **Errors.** As for [`entry`](Self::entry).
    pub fn finish(mut self) -> Result<()> {
        for (path, target) in std::mem::take(&mut self.links) {
            let made = self
                .above(&path)
                .and_then(|(directory, name)| rustix::fs::symlinkat(&target, directory, name).map_err(io::Error::from));
            made.map_err(|error| unwritten(&path, error))?;
        }
        // A directory for temporary files is its owner's alone.
        rustix::fs::fchmod(&self.root, Mode::from_raw_mode(0o755)).map_err(|error| disk(&self.target, error.into()))?;
        if let Some(beside) = self.beside.take() {
            // Over an empty directory, too (rename, POSIX.1-2017).
            fs::rename(beside.path(), &self.target).map_err(|error| disk(&self.target, error))?;
            // It has another name now; there is nothing to remove.
            let _ = beside.keep();
            self.made.0.clear();
        }
        Ok(())
    }

    fn file(&mut self, entry: &ArchiveEntry, content: &mut dyn Read) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let opened = self.above(&entry.path).and_then(|(directory, name)| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::from_raw_mode(if entry.mode & 0o100 == 0 { 0o644 } else { 0o755 });
            Ok(File::from(rustix::fs::openat(directory, name, flags, mode)?))
        });
        let mut file = opened.map_err(|error| unwritten(&entry.path, error))?;
        loop {
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(crate::cloud::error_in_stream(error).unwrap_or_else(|error| {
                        Error::new(ErrorCode::CloudUnavailable, "the archive could not be read to its end")
                            .on(shown(&entry.path))
                            .caused_by(error)
                    }));
                }
            };
            file.write_all(&buffer[..read]).map_err(|error| unwritten(&entry.path, error))?;
        }
        self.buffer = buffer;
        Ok(())
    }

    fn hard_link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let (directory, name) = self.above(target)?;
        let (directory, name) = (directory.try_clone_to_owned()?, name.to_owned());
        let (above, link) = self.above(path)?;
        rustix::fs::linkat(directory, name, above, link, AtFlags::empty())?;
        Ok(())
    }

    /// The open directory that holds a path, and the path's last component. What is missing is made.
    fn above<'p>(&mut self, path: &'p str) -> io::Result<(BorrowedFd<'_>, &'p str)> {
        match path.rsplit_once('/') {
            Some((above, name)) => Ok((self.directory(above)?, name)),
            None => Ok((self.root.as_fd(), path)),
        }
    }

    /// An open directory, made where it is missing, reached without following a link.
    fn directory(&mut self, path: &str) -> io::Result<BorrowedFd<'_>> {
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let mut reached: Option<OwnedFd> = None;
            for component in path.split('/') {
                let from = reached.as_ref().unwrap_or(&self.root);
                match rustix::fs::mkdirat(from, component, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                reached = Some(rustix::fs::openat(from, component, flags, Mode::empty())?);
            }
            self.last = reached.map(|directory| (path.to_owned(), directory));
        }
        Ok(self.last.as_ref().map_or(self.root.as_fd(), |(_, directory)| directory.as_fd()))
    }
}

fn shown_path(path: &Path) -> String {
    text::line(&path.to_string_lossy(), 200)
}

fn unwritten(path: &str, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Error::new(
            ErrorCode::ArchiveDuplicatePath,
            "this file system takes it for a file that is there already",
        )
        .on(shown(path))
        .with_hint("unpack onto a file system where case and Unicode forms count");
    }
    Error::new(ErrorCode::StoreUnavailable, "it cannot be written")
        .on(shown(path))
        .with_hint("check the disk")
        .caused_by(error)
}

fn disk(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorCode::StoreUnavailable, "the directory cannot be written")
        .on(shown_path(path))
        .with_hint("check its permissions and the disk")
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn file(path: &str) -> ArchiveEntry {
        ArchiveEntry { path: path.to_owned(), kind: EntryKind::File, size: 1, mode: 0o644 }
    }

    fn link(path: &str, target: &str) -> ArchiveEntry {
        let kind = EntryKind::Link { target: target.to_owned() };
        ArchiveEntry { path: path.to_owned(), kind, size: 0, mode: 0o755 }
    }

    #[test]
    fn what_is_unpacked_appears_at_once_and_only_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("out");
        let mut extraction = Extraction::begin(&target).expect("free");
        extraction.entry(&link("link", "a/b"), &mut io::empty()).expect("kept");
        extraction.entry(&file("a/b"), &mut &b"x"[..]).expect("written");
        let kind = EntryKind::HardLink { target: "a/b".into() };
        extraction
            .entry(&ArchiveEntry { path: "c/d".into(), kind, size: 0, mode: 0o644 }, &mut io::empty())
            .expect("made");
        let mut run = file("run");
        run.mode = 0o755;
        extraction.entry(&run, &mut &b"x"[..]).expect("written");
        assert!(!target.exists(), "nothing looks whole yet");
        extraction.finish().expect("whole");
        assert_eq!(fs::read(target.join("link")).expect("through the link"), b"x");
        assert_eq!(fs::read(target.join("c/d")).expect("the second name"), b"x");
        assert_eq!(fs::metadata(target.join("run")).expect("there").permissions().mode() & 0o111, 0o111);
        assert_eq!(fs::metadata(target.join("a/b")).expect("there").permissions().mode() & 0o111, 0);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "nothing beside it");
    }

    #[test]
    fn what_is_given_up_leaves_nothing_and_what_is_missing_above_is_made() {
        let folder = tempfile::tempdir().expect("a folder");
        for target in ["out", "x/y/out"] {
            let mut extraction = Extraction::begin(folder.path().join(target)).expect("free");
            extraction.entry(&file("a/b"), &mut &b"x"[..]).expect("written");
            drop(extraction);
            assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
        }
        Extraction::begin(folder.path().join("x/y/out")).expect("free").finish().expect("an empty archive");
        assert!(folder.path().join("x/y/out").is_dir());
    }

    #[test]
    fn a_link_that_someone_puts_there_in_the_meantime_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).expect("made");
        let mut extraction = Extraction::begin(folder.path().join("out")).expect("free");
        let beside = extraction.beside.as_ref().expect("there").path().to_owned();
        symlink(&outside, beside.join("a")).expect("made");
        symlink(outside.join("new"), beside.join("b")).expect("made");
        assert!(extraction.entry(&file("a/b"), &mut &b"x"[..]).is_err());
        assert!(extraction.entry(&file("b"), &mut &b"x"[..]).is_err());
        let kind = EntryKind::Directory;
        assert!(extraction.entry(&ArchiveEntry { kind, ..file("a") }, &mut io::empty()).is_err());
        assert_eq!(fs::read_dir(&outside).expect("readable").count(), 0);
    }

    #[test]
    fn a_target_with_something_in_it_is_refused_and_an_empty_one_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("out");
        fs::create_dir(&target).expect("made");
        Extraction::begin(&target).expect("empty").finish().expect("an empty archive");
        fs::write(target.join("x"), "").expect("written");
        for taken in [target.clone(), target.join("x"), target.join("x/y/z"), PathBuf::from("/")] {
            assert_eq!(Extraction::begin(taken).expect_err("not here").code(), ErrorCode::RequestInvalid);
        }
        symlink("out", folder.path().join("link")).expect("made");
        assert!(Extraction::begin(folder.path().join("link")).is_err(), "a link is no directory");
    }
}
