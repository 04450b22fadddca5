//! The storage of the outside world: named documents in named rooms, in memory or durably under a directory.
//!
//! The outside world outlives the process. What a directory form has acknowledged is on the disk: a document is written
//! beside its place, synchronised, moved into its place, and the move is synchronised. Nothing is cached, so that any
//! number of [`World`] values, in one process or in several, may stand on one directory. It shares nothing with the
//! deployment store.
//!
//! The calls block the thread for as long as the disk takes. They are short, and in virtual time they must not give the
//! clock a chance to move.

mod directory;
mod memory;
mod name;
mod receive;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::directory::Directory;
use self::memory::Memory;
pub use self::receive::{Received, Receiving};

/// A place where fakes keep what must outlive the process. Cheap to clone; clones are the same world.
#[derive(Debug, Clone)]
pub struct World(Medium);

#[derive(Debug, Clone)]
enum Medium {
    Memory(Arc<Memory>),
    Directory(Arc<Directory>),
}

impl World {
    /// A world that ends with its last clone.
    pub fn memory() -> Self {
        Self(Medium::Memory(Arc::default()))
    }

    /// The world under a directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the directory cannot be made or read.
    pub fn directory(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self(Medium::Directory(Arc::new(Directory::open(path.as_ref())?))))
    }

    /// One of its rooms. A room needs no making; it is there with its first document.
    pub fn room(&self, name: &'static str) -> Room {
        Room { world: self.clone(), name }
    }

    /// Everything that the world holds: the content by relative path, what a killed write has left behind included.
    /// Two worlds that went through the same effects are equal, byte for byte, whatever their form.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the directory cannot be read.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        match &self.0 {
            Medium::Memory(memory) => Ok(memory.snapshot()),
            Medium::Directory(directory) => directory.snapshot(),
        }
    }
}

/// The documents of one part of the world: a bucket, a registry, a cluster.
///
/// Reading needs no lock, because every document is replaced as a whole. Writing needs [`Room::exclusively`].
#[derive(Debug, Clone)]
pub struct Room {
    world: World,
    name: &'static str,
}

impl Room {
    /// The bytes of a document, or `None`.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn read(&self, document: &str) -> Result<Option<Vec<u8>>> {
        match &self.world.0 {
            Medium::Memory(memory) => Ok(memory.read(&self.path(document)).map(Vec::from)),
            Medium::Directory(directory) => directory.read(&self.path(document)),
        }
    }

    /// A document that holds JSON, or `None`.
    ///
    /// # Errors
    /// [`ErrorCode::CloudAnswerInvalid`] when the document is something else; [`ErrorCode::CloudUnavailable`].
    pub fn read_json<T: DeserializeOwned>(&self, document: &str) -> Result<Option<T>> {
        let Some(bytes) = self.read(document)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::new(ErrorCode::CloudAnswerInvalid, "the embedded world holds something unreadable")
                .on(format!("document `{document}` in room `{}`", self.name))
                .with_hint("restore the state directory, or start with an empty one")
                .caused_by(error)
        })
    }

    /// Whether a document is there.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn holds(&self, document: &str) -> Result<bool> {
        match &self.world.0 {
            Medium::Memory(memory) => Ok(memory.read(&self.path(document)).is_some()),
            Medium::Directory(directory) => directory.holds(&self.path(document)),
        }
    }

    /// The bytes of a document in pieces, or `None`.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn open(&self, document: &str) -> Result<Option<ByteStream>> {
        match &self.world.0 {
            Medium::Memory(memory) => Ok(memory.open(&self.path(document))),
            Medium::Directory(directory) => directory.open_stream(&self.path(document)),
        }
    }

    /// The names of the documents that begin with `prefix`, in order.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let paths = match &self.world.0 {
            Medium::Memory(memory) => memory.paths(self.name),
            Medium::Directory(directory) => directory.paths(self.name)?,
        };
        let mut names: Vec<_> = paths
            .iter()
            .filter_map(|path| name::document(path.strip_prefix(self.name)?.strip_prefix('/')?))
            .filter(|name| name.starts_with(prefix))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Begins to receive a document in pieces. It is nowhere to be seen until [`Writer::accept`] puts it in its place.
    /// Waits for whoever is receiving the same document.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub async fn receive(&self, document: &str) -> Result<Receiving> {
        let path = self.path(document);
        match &self.world.0 {
            Medium::Memory(_) => Ok(Receiving::in_memory(path)),
            Medium::Directory(directory) => Receiving::in_directory(directory, path).await,
        }
    }

    /// Runs `change` while nobody else, in this process or in another, can change anything in the room. A change that
    /// fails half-way leaves what it has written so far.
    ///
    /// # Errors
    /// What `change` fails with; [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn exclusively<T>(&self, change: impl FnOnce(&Writer<'_>) -> Result<T>) -> Result<T> {
        let writer = Writer { room: self };
        match &self.world.0 {
            Medium::Memory(memory) => memory.exclusively(self.name, || change(&writer)),
            Medium::Directory(directory) => directory.exclusively(self.name, || change(&writer)),
        }
    }

    fn path(&self, document: &str) -> String {
        format!("{}/{}", self.name, name::path(document))
    }
}

/// The right to change a room.
#[derive(Debug)]
pub struct Writer<'room> {
    room: &'room Room,
}

impl Writer<'_> {
    /// Writes a document as a whole. When this returns, it is durable. A document that holds these bytes already is
    /// left alone.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn write(&self, document: &str, bytes: &[u8]) -> Result<()> {
        let path = self.room.path(document);
        match &self.room.world.0 {
            Medium::Memory(memory) => {
                memory.write(path, bytes.to_vec());
                Ok(())
            }
            Medium::Directory(directory) => directory.write(&path, bytes),
        }
    }

    /// Writes a document that holds JSON.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`] for a value that JSON cannot hold; [`ErrorCode::CloudUnavailable`].
    pub fn write_json(&self, document: &str, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(value).map_err(|error| {
            Error::new(ErrorCode::Internal, "a document of the embedded world cannot be written as JSON")
                .on(format!("document `{document}`"))
                .caused_by(error)
        })?;
        self.write(document, &bytes)
    }

    /// Removes a document. Removing what is not there succeeds.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn remove(&self, document: &str) -> Result<()> {
        let path = self.room.path(document);
        match &self.room.world.0 {
            Medium::Memory(memory) => {
                memory.remove(&path);
                Ok(())
            }
            Medium::Directory(directory) => directory.remove(&path),
        }
    }

    /// Moves a document to another name, in place of what is there. Moving what is not there does nothing and says so.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn rename(&self, from: &str, to: &str) -> Result<bool> {
        let (from, to) = (self.room.path(from), self.room.path(to));
        match &self.room.world.0 {
            Medium::Memory(memory) => Ok(memory.rename(&from, to)),
            Medium::Directory(directory) => directory.rename(&from, &to),
        }
    }

    /// Puts a received document in its place.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn accept(&self, received: Received) -> Result<()> {
        match &self.room.world.0 {
            Medium::Memory(memory) => {
                let (path, bytes) = received.into_memory();
                memory.write(path, bytes);
                Ok(())
            }
            Medium::Directory(directory) => directory.accept(received),
        }
    }
}

/// The room and the document that a path of a [snapshot](World::snapshot) stands for: `room/document`. `None` for what a
/// killed write has left.
pub(crate) fn document_at(path: &str) -> Option<String> {
    let (room, rest) = path.split_once('/')?;
    Some(format!("{room}/{}", name::document(rest)?))
}

#[cfg(test)]
mod tests;
