//! A world that lives in the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::ByteStream;
use futures::StreamExt as _;

/// Documents by path, with one lock a room for those who change several of them.
#[derive(Debug, Default)]
pub(super) struct Memory {
    documents: Mutex<BTreeMap<String, Bytes>>,
    rooms: Mutex<BTreeMap<&'static str, Arc<Mutex<()>>>>,
}

impl Memory {
    pub(super) fn read(&self, path: &str) -> Option<Bytes> {
        self.documents().get(path).cloned()
    }

    pub(super) fn open(&self, path: &str) -> Option<ByteStream> {
        let bytes = self.read(path)?;
        Some(futures::stream::iter([Ok(bytes)]).boxed())
    }

    pub(super) fn write(&self, path: String, bytes: Vec<u8>) {
        self.documents().insert(path, bytes.into());
    }

    pub(super) fn rename(&self, from: &str, to: String) -> bool {
        let mut documents = self.documents();
        let document = documents.remove(from);
        document.map(|bytes| documents.insert(to, bytes)).is_some()
    }

    pub(super) fn remove(&self, path: &str) {
        self.documents().remove(path);
    }

    pub(super) fn paths(&self, room: &str) -> Vec<String> {
        let prefix = format!("{room}/");
        self.documents().keys().filter(|path| path.starts_with(&prefix)).cloned().collect()
    }

    pub(super) fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        self.documents().iter().map(|(path, bytes)| (path.clone(), bytes.to_vec())).collect()
    }

    pub(super) fn exclusively<T>(&self, room: &'static str, change: impl FnOnce() -> Result<T>) -> Result<T> {
        let lock = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).entry(room).or_default().clone();
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        change()
    }

    fn documents(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Bytes>> {
        // A panic of another test's thread leaves whole documents; there is nothing half-done to fear.
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
