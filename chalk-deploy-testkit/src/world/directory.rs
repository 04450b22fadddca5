//! A world under a directory, acknowledged only when durable.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::{Error, ErrorCode, Result};
use futures::StreamExt as _;

use super::name;
use super::receive::Received;

/// How much of a document is read at once.
const PIECE: usize = 256 * 1024;

/// What the names of the files end in by which processes keep out of each other's way. They hold nothing.
const LOCK: &str = ".lock";

#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(failed("make the directory", root))?;
        // Two ways to write one directory must take one lock.
        let root = root.canonicalize().map_err(failed("find the directory", root))?;
        Ok(Self { root })
    }

    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let path = self.absolute(path);
        absent(fs::read(&path)).map_err(failed("read", &path))
    }

    pub(super) fn holds(&self, path: &str) -> Result<bool> {
        let path = self.absolute(path);
        Ok(absent(fs::symlink_metadata(&path)).map_err(failed("read", &path))?.is_some())
    }

    pub(super) fn open_stream(&self, path: &str) -> Result<Option<ByteStream>> {
        let path = self.absolute(path);
        let Some(file) = absent(File::open(&path)).map_err(failed("open", &path))? else { return Ok(None) };
        let pieces = std::iter::repeat_with({
            let mut file = file;
            move || read_piece(&mut file)
        })
        .map_while(Result::transpose);
        Ok(Some(futures::stream::iter(pieces).boxed()))
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let target = self.absolute(path);
        let beside = self.absolute(&name::receiving(path));
        if absent(fs::read(&target)).map_err(failed("read", &target))?.as_deref() == Some(bytes) {
            return self.remove_file(&beside);
        }
        self.make_parent(&target)?;
        let mut file = File::create(&beside).map_err(failed("create", &beside))?;
        file.write_all(bytes).map_err(failed("write", &beside))?;
        file.sync_all().map_err(failed("synchronise", &beside))?;
        self.move_into_place(&beside, &target)
    }

    pub(super) fn accept(&self, received: Received) -> Result<()> {
        let path = received.path().to_owned();
        let target = self.absolute(&path);
        self.move_into_place(&self.absolute(&name::receiving(&path)), &target)?;
        received.placed();
        Ok(())
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<bool> {
        let (from, to) = (self.absolute(from), self.absolute(to));
        self.make_parent(&to)?;
        if absent(fs::rename(&from, &to)).map_err(failed("move into its place", &to))?.is_none() {
            return Ok(false);
        }
        self.synchronise_parent(&to)?;
        if from.parent() != to.parent() {
            self.synchronise_parent(&from)?;
        }
        Ok(true)
    }

    pub(super) fn remove(&self, path: &str) -> Result<()> {
        let target = self.absolute(path);
        self.remove_file(&self.absolute(&name::receiving(path)))?;
        self.remove_file(&target)?;
        Ok(())
    }

    /// Relative paths of all files of a room, what is being received left out.
    pub(super) fn paths(&self, room: &str) -> Result<Vec<String>> {
        let mut paths = Vec::new();
        Self::walk(&self.root.join(room), room, &mut |path, _| {
            if !path.ends_with('~') {
                paths.push(path);
            }
            Ok(())
        })?;
        Ok(paths)
    }

    pub(super) fn snapshot(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut snapshot = BTreeMap::new();
        Self::walk(&self.root, "", &mut |path, file| {
            if !path.ends_with(LOCK) || path.contains('/') {
                // A file that another process has just moved away is no failure; it is not there.
                if let Some(bytes) = absent(fs::read(file)).map_err(failed("read", file))? {
                    snapshot.insert(path, bytes);
                }
            }
            Ok(())
        })?;
        Ok(snapshot)
    }

    pub(super) fn exclusively<T>(&self, room: &'static str, change: impl FnOnce() -> Result<T>) -> Result<T> {
        let path = self.root.join(format!("{room}{LOCK}"));
        let file = File::create(&path).map_err(failed("create", &path))?;
        // The lock belongs to this opening of the file, so it also keeps out other threads and other worlds of this
        // process. It is given back when the file is closed, and so when the process is killed.
        file.lock().map_err(failed("lock", &path))?;
        change()
    }

    pub(super) fn make_parent(&self, target: &Path) -> Result<()> {
        let Some(parent) = target.parent() else { return Ok(()) };
        if parent.is_dir() {
            return Ok(());
        }
        self.make_parent(parent)?;
        match fs::create_dir(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("make the directory", parent)(error));
            }
            _ => {}
        }
        self.synchronise_parent(parent)
    }

    fn move_into_place(&self, beside: &Path, target: &Path) -> Result<()> {
        fs::rename(beside, target).map_err(failed("move into its place", target))?;
        self.synchronise_parent(target)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        if absent(fs::remove_file(path)).map_err(failed("remove", path))?.is_some() {
            self.synchronise_parent(path)?;
        }
        Ok(())
    }

    fn synchronise_parent(&self, path: &Path) -> Result<()> {
        let parent = path.parent().unwrap_or(&self.root);
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed("synchronise", parent))
    }

    fn walk(folder: &Path, relative: &str, visit: &mut dyn FnMut(String, &Path) -> Result<()>) -> Result<()> {
        let Some(entries) = absent(fs::read_dir(folder)).map_err(failed("list", folder))? else { return Ok(()) };
        for entry in entries {
            let entry = entry.map_err(failed("list", folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let relative = if relative.is_empty() { name } else { format!("{relative}/{name}") };
            let path = entry.path();
            let kind = entry.file_type().map_err(failed("read", &path))?;
            if kind.is_dir() {
                Self::walk(&path, &relative, visit)?;
            } else if kind.is_file() {
                visit(relative, &path)?;
            }
        }
        Ok(())
    }
}

fn read_piece(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut piece = vec![0; PIECE];
    let read = file.read(&mut piece)?;
    piece.truncate(read);
    Ok((read > 0).then(|| piece.into()))
}

fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An error of the embedded world's disk.
pub(super) fn failed<'a>(what: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |error| {
        Error::new(ErrorCode::CloudUnavailable, format!("the embedded world could not {what} a file"))
            .on(path.display())
            .with_hint("check the disk that holds the state directory")
            .caused_by(error)
    }
}
