//! Retention and legal holds: what is the same at every provider.

use std::fmt;

use async_trait::async_trait;
use object_store::Error as StoreError;

use super::failure;
use crate::Result;
use crate::cloud::{ObjectRetention, Retention, RetentionMode};
use crate::model::{ObjectKey, Timestamp};

/// The requests of one provider.
#[async_trait]
pub(super) trait Locks: fmt::Debug + Send + Sync + 'static {
    /// How an object is kept.
    async fn read(&self, key: &ObjectKey) -> object_store::Result<Retention>;

    /// Keeps an object until a moment, a whole second, which is never earlier than before.
    async fn keep(&self, key: &ObjectKey, until: Timestamp, mode: RetentionMode) -> object_store::Result<()>;

    /// Sets or lifts a legal hold.
    async fn hold(&self, key: &ObjectKey, held: bool) -> object_store::Result<()>;
}

/// [`ObjectRetention`] by the requests of a provider.
#[derive(Debug)]
pub(super) struct Keeper<L> {
    locks: L,
    bucket: String,
}

impl<L: Locks> Keeper<L> {
    pub(super) const fn new(locks: L, bucket: String) -> Self {
        Self { locks, bucket }
    }

    fn failed(&self, key: &ObjectKey, error: &StoreError) -> crate::Error {
        failure::mapped(error, &format!("object `{key}` in {}", self.bucket))
    }
}

#[async_trait]
impl<L: Locks> ObjectRetention for Keeper<L> {
    async fn retain(&self, key: &ObjectKey, until: Timestamp, mode: RetentionMode) -> Result<()> {
        // Servers count in seconds; the part of one is the object's.
        let until = Timestamp::from_millis(until.as_millis().div_ceil(1000) * 1000);
        let before = self.locks.read(key).await.map_err(|error| self.failed(key, &error))?;
        if before.covers(until, mode) {
            return Ok(());
        }
        let (until, mode) = match before.until {
            Some((kept, firmly)) => (until.max(kept), mode.max(firmly)),
            None => (until, mode),
        };
        self.locks.keep(key, until, mode).await.map_err(|error| self.failed(key, &error))
    }

    async fn set_legal_hold(&self, key: &ObjectKey, held: bool) -> Result<()> {
        self.locks.hold(key, held).await.map_err(|error| self.failed(key, &error))
    }

    async fn retention(&self, key: &ObjectKey) -> Result<Retention> {
        self.locks.read(key).await.map_err(|error| self.failed(key, &error))
    }
}

#[cfg(test)]
mod tests;
