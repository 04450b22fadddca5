//! Documents that arrive in pieces and are never whole in memory (but for a world that is itself in memory).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use chalk_deploy_core::Result;
use tokio::sync::OwnedMutexGuard;

use super::directory::{Directory, failed};
use super::name;

type Turn = tokio::sync::Mutex<()>;

/// The documents that this process is receiving, by path: a second receiver of the same one waits here and not in the
/// operating system, where it would keep the first one's thread.
static TURNS: LazyLock<Mutex<BTreeMap<PathBuf, Weak<Turn>>>> = LazyLock::new(Mutex::default);

/// A document on its way. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Receiving {
    path: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(Beside),
}

/// The file beside the document's place, with the lock on it and this process's turn.
#[derive(Debug)]
struct Beside {
    file: File,
    at: PathBuf,
    placed: bool,
    _turn: OwnedMutexGuard<()>,
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.placed {
            // Nobody waits for the answer; what stays behind is overwritten by the next who receives this document.
            let _ = std::fs::remove_file(&self.at);
        }
    }
}

impl Receiving {
    pub(super) const fn in_memory(path: String) -> Self {
        Self { path, place: Place::Memory(Vec::new()) }
    }

    pub(super) async fn in_directory(directory: &Directory, path: String) -> Result<Self> {
        let at = directory.absolute(&name::receiving(&path));
        let turn = turn(&at).lock_owned().await;
        directory.make_parent(&at)?;
        let file = lock_file(&at)?;
        Ok(Self { path, place: Place::File(Beside { file, at, placed: false, _turn: turn }) })
    }

    /// Takes in the next piece.
    ///
    /// # Errors
    /// [`chalk_deploy_core::ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn push(&mut self, piece: &[u8]) -> Result<()> {
        match &mut self.place {
            Place::Memory(bytes) => bytes.extend_from_slice(piece),
            Place::File(beside) => beside.file.write_all(piece).map_err(failed("write", &beside.at))?,
        }
        Ok(())
    }

    /// Ends it, durably; nobody can see it yet.
    ///
    /// # Errors
    /// [`chalk_deploy_core::ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn finish(self) -> Result<Received> {
        if let Place::File(beside) = &self.place {
            beside.file.sync_all().map_err(failed("synchronise", &beside.at))?;
        }
        Ok(Received(self))
    }
}

/// A document that has arrived and waits for its place. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Received(Receiving);

impl Received {
    pub(super) fn path(&self) -> &str {
        &self.0.path
    }

    pub(super) fn placed(mut self) {
        if let Place::File(beside) = &mut self.0.place {
            beside.placed = true;
        }
    }

    pub(super) fn into_memory(self) -> (String, Vec<u8>) {
        match self.0.place {
            Place::Memory(bytes) => (self.0.path, bytes),
            Place::File(_) => (self.0.path, Vec::new()),
        }
    }
}

fn turn(at: &Path) -> Arc<Turn> {
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    turns.retain(|_, turn| turn.strong_count() > 0);
    if let Some(turn) = turns.get(at).and_then(Weak::upgrade) {
        return turn;
    }
    let turn = Arc::new(Turn::default());
    turns.insert(at.to_owned(), Arc::downgrade(&turn));
    turn
}

/// Opens the file and locks it against other processes.
///
/// Whoever held the lock before may have moved the file into its place, or removed it; then what was locked is no
/// longer the file at this path, and writing would damage an acknowledged document.
fn lock_file(at: &Path) -> Result<File> {
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(at).map_err(failed("create", at))?;
        file.lock().map_err(failed("lock", at))?;
        let held = file.metadata().map_err(failed("read", at))?;
        if std::fs::metadata(at).is_ok_and(|there| there.ino() == held.ino() && there.dev() == held.dev()) {
            file.set_len(0).map_err(failed("empty", at))?;
            return Ok(file);
        }
    }
}
