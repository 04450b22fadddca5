//! A bucket.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::cloud::{
    ObjectDownload, ObjectMetadata, ObjectRetention, ObjectStore, ObjectStoreCapabilities, Payload, PutMode, Retention,
    RetentionMode,
};
use chalk_deploy_core::model::{Digest, ObjectKey, Timestamp};
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};

use super::payload::{Stored, compare, receive};
use crate::world::{Room, World, Writer};

/// A bucket that keeps each object as its bytes and, written after them, the key that makes them visible. Clones are
/// the same bucket.
#[derive(Debug, Clone)]
pub struct FakeObjectStore {
    room: Room,
    checkpoints: Arc<dyn Checkpoints>,
    capabilities: ObjectStoreCapabilities,
}

/// What a key leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    sha256: Digest,
    size: u64,
}

impl FakeObjectStore {
    /// The bucket of a world. It has every capability.
    pub fn new(world: &World) -> Self {
        let capabilities = ObjectStoreCapabilities::none().with_conditional_put(true).with_stored_digest(true);
        Self { room: world.room("bucket"), checkpoints: Arc::new(NoCheckpoints), capabilities }
    }

    /// Tells of the moments between two writes.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: Arc<dyn Checkpoints>) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// Plays a store that can do less. Without a stored digest, its answers name none.
    #[must_use]
    pub const fn with_capabilities(mut self, capabilities: ObjectStoreCapabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Whether a key holds exactly these bytes.
    pub(super) fn holds(&self, key: &ObjectKey, sha256: &Digest) -> Result<bool> {
        Ok(self.entry(key)?.is_some_and(|entry| entry.sha256 == *sha256))
    }

    async fn store(&self, key: &ObjectKey, payload: &Payload, mode: PutMode, between: &str) -> Result<ObjectMetadata> {
        let wanted = Entry { sha256: payload.sha256(), size: payload.size() };
        if self.holds_already(key, wanted, mode)? {
            compare(payload).await?;
            self.room.exclusively(|room| self.sweep(room, key, Some(wanted)))?;
            return Ok(self.metadata(key, wanted));
        }
        let received = receive(&self.room, &bytes_of(key, wanted.sha256), payload).await?;
        self.room.exclusively(|room| {
            // Looked at again, because another writer may have come first while the bytes arrived.
            self.holds_already(key, wanted, mode)?;
            room.accept(received)?;
            self.checkpoints.reached(between);
            room.write_json(&entry_of(key), &wanted)?;
            self.sweep(room, key, Some(wanted))
        })?;
        Ok(self.metadata(key, wanted))
    }

    /// Whether the key holds the wanted bytes already; an error when it may not be changed to hold them.
    fn holds_already(&self, key: &ObjectKey, wanted: Entry, mode: PutMode) -> Result<bool> {
        match self.entry(key)? {
            Some(entry) if entry == wanted => Ok(true),
            Some(entry) if mode == PutMode::WriteOnce => Err(Error::new(
                ErrorCode::ObjectExists,
                format!("the write-once key holds other bytes, with the digest {}", entry.sha256),
            )
            .on(subject(key))),
            _ => Ok(false),
        }
    }

    /// Removes bytes that the key does not lead to: those that it led to before, and what a killed write left.
    fn sweep(&self, room: &Writer<'_>, key: &ObjectKey, keep: Option<Entry>) -> Result<()> {
        let prefix = format!("bytes/{key}/");
        for document in self.room.names(&prefix)? {
            // The bytes of the keys below this one have further segments.
            let digest = document.strip_prefix(&prefix).and_then(|rest| Digest::from_hex(rest).ok());
            if digest.is_some() && digest != keep.map(|entry| entry.sha256) {
                room.remove(&document)?;
            }
        }
        Ok(())
    }

    fn entry(&self, key: &ObjectKey) -> Result<Option<Entry>> {
        self.room.read_json(&entry_of(key))
    }

    fn metadata(&self, key: &ObjectKey, entry: Entry) -> ObjectMetadata {
        let sha256 = self.capabilities.stored_digest.then_some(entry.sha256);
        ObjectMetadata { key: key.clone(), size: entry.size, sha256 }
    }
}

#[async_trait]
impl ObjectStore for FakeObjectStore {
    fn capabilities(&self) -> ObjectStoreCapabilities {
        self.capabilities
    }

    async fn put(&self, key: &ObjectKey, payload: &Payload, mode: PutMode) -> Result<ObjectMetadata> {
        self.store(key, payload, mode, "object-store.put/between").await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMetadata>> {
        Ok(self.entry(key)?.map(|entry| self.metadata(key, entry)))
    }

    async fn get(&self, key: &ObjectKey) -> Result<ObjectDownload> {
        let mut seen = None;
        loop {
            let Some(entry) = self.entry(key)? else {
                return Err(Error::new(ErrorCode::ObjectMissing, "there is no such object").on(subject(key)));
            };
            if let Some(body) = self.room.open(&bytes_of(key, entry.sha256))? {
                return Ok(ObjectDownload { metadata: self.metadata(key, entry), body });
            }
            if seen == Some(entry) {
                return Err(Error::new(ErrorCode::CloudAnswerInvalid, "the bucket has lost the object's bytes")
                    .on(subject(key)));
            }
            // The object was replaced between the two reads; the next look finds the new one.
            seen = Some(entry);
        }
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, mode: PutMode) -> Result<ObjectMetadata> {
        let Some(entry) = self.entry(from)? else {
            return Err(Error::new(ErrorCode::ObjectMissing, "there is nothing to copy").on(subject(from)));
        };
        let origin = Stored {
            room: self.room.clone(),
            document: bytes_of(from, entry.sha256),
            missing: ErrorCode::ObjectMissing,
        };
        let payload = Payload::new(entry.sha256, entry.size, Arc::new(origin));
        self.store(to, &payload, mode, "object-store.copy/between").await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.room.exclusively(|room| {
            let kept = self.kept(key)?;
            if kept.held || kept.until.is_some() {
                return Err(Error::new(ErrorCode::RequestInvalid, "the object is kept").on(subject(key)));
            }
            room.remove(&entry_of(key))?;
            self.checkpoints.reached("object-store.delete/between");
            self.sweep(room, key, None)
        })
    }

    async fn list(&self, prefix: &str, after: Option<ObjectKey>, most: usize) -> Result<Vec<ObjectMetadata>> {
        let mut found = Vec::new();
        for document in self.room.names(&format!("keys/{prefix}"))? {
            if found.len() == most {
                break;
            }
            let Some(key) = document.strip_prefix("keys/").and_then(|key| ObjectKey::new(key).ok()) else { continue };
            if after.as_ref().is_some_and(|after| key <= *after) {
                continue;
            }
            if let Some(entry) = self.entry(&key)? {
                found.push(self.metadata(&key, entry));
            }
        }
        Ok(found)
    }

    fn retention(&self) -> Option<Arc<dyn ObjectRetention>> {
        Some(Arc::new(self.clone()))
    }
}

/// There is no clock here: what is kept until a moment is kept for ever.
#[async_trait]
impl ObjectRetention for FakeObjectStore {
    async fn retain(&self, key: &ObjectKey, until: Timestamp, mode: RetentionMode) -> Result<()> {
        self.change(key, |kept| {
            let (before, firmly) = kept.until.unwrap_or((until, mode));
            kept.until = Some((before.max(until), firmly.max(mode)));
        })
    }

    async fn set_legal_hold(&self, key: &ObjectKey, held: bool) -> Result<()> {
        self.change(key, |kept| kept.held = held)
    }

    async fn retention(&self, key: &ObjectKey) -> Result<Retention> {
        self.present(key)?;
        self.kept(key)
    }
}

impl FakeObjectStore {
    fn change(&self, key: &ObjectKey, change: impl FnOnce(&mut Retention)) -> Result<()> {
        self.room.exclusively(|room| {
            self.present(key)?;
            let mut kept = self.kept(key)?;
            change(&mut kept);
            room.write_json(&lock_of(key), &kept)
        })
    }

    fn present(&self, key: &ObjectKey) -> Result<()> {
        if self.entry(key)?.is_some() {
            return Ok(());
        }
        Err(Error::new(ErrorCode::ObjectMissing, "there is no such object").on(subject(key)))
    }

    fn kept(&self, key: &ObjectKey) -> Result<Retention> {
        Ok(self.room.read_json(&lock_of(key))?.unwrap_or_default())
    }
}

fn lock_of(key: &ObjectKey) -> String {
    format!("locks/{key}")
}

fn entry_of(key: &ObjectKey) -> String {
    format!("keys/{key}")
}

fn bytes_of(key: &ObjectKey, sha256: Digest) -> String {
    format!("bytes/{key}/{}", sha256.hex())
}

fn subject(key: &ObjectKey) -> String {
    format!("object `{key}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::new(text).expect("a valid key")
    }

    #[tokio::test]
    async fn replacing_an_object_leaves_only_the_new_bytes_in_the_world() {
        let world = World::memory();
        let store = FakeObjectStore::new(&world);
        for text in ["old", "new"] {
            store.put(&key("a"), &Payload::from_bytes(text), PutMode::Replace).await.expect("stored");
        }
        store.put(&key("a/b"), &Payload::from_bytes("below"), PutMode::Replace).await.expect("stored");
        store.put(&key("a"), &Payload::from_bytes("new"), PutMode::Replace).await.expect("stored");
        assert_eq!(world.snapshot().expect("readable").len(), 4, "two keys and the bytes of each");
        store.delete(&key("a")).await.expect("deleted");
        assert!(store.head(&key("a/b")).await.expect("readable").is_some());
        assert_eq!(world.snapshot().expect("readable").len(), 2);
    }

    #[tokio::test]
    async fn a_store_without_stored_digests_names_none() {
        let store = FakeObjectStore::new(&World::memory()).with_capabilities(ObjectStoreCapabilities::none());
        let metadata = store.put(&key("a"), &Payload::from_bytes("x"), PutMode::WriteOnce).await.expect("stored");
        assert_eq!(metadata.sha256, None);
        assert_eq!(store.head(&key("a")).await.expect("readable"), Some(metadata));
    }

    #[tokio::test]
    async fn bytes_lost_under_a_key_are_an_error_and_no_endless_search() {
        let world = World::memory();
        let store = FakeObjectStore::new(&world);
        store.put(&key("a"), &Payload::from_bytes("x"), PutMode::WriteOnce).await.expect("stored");
        let lost = bytes_of(&key("a"), Digest::of("x"));
        world.room("bucket").exclusively(|room| room.remove(&lost)).expect("removed");
        assert_eq!(store.get(&key("a")).await.expect_err("lost").code(), ErrorCode::CloudAnswerInvalid);
    }
}
