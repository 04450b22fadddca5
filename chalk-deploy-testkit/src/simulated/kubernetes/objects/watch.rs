//! Following changes.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::{Key, Objects};
use crate::simulated::kubernetes::resource::Resource;
use crate::simulated::kubernetes::status::Status;

/// Something that happened to an object.
#[derive(Debug, Clone)]
pub struct Change {
    /// What.
    pub kind: ChangeKind,
    /// The resource version that it made.
    pub version: u64,
    /// Which object.
    pub key: Key,
    /// The object after it; for a removal, as it last was, with the removal's version.
    pub object: Arc<Value>,
    /// The object before it. A watch with a selector needs both: what no longer matches is told as removed.
    pub before: Option<Arc<Value>>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was made.
    Added,
    /// It was changed.
    Modified,
    /// It was taken away.
    Deleted,
}

/// The newest changes.
#[derive(Debug)]
pub(super) struct History {
    most: usize,
    /// Changes after this version are remembered.
    since: u64,
    changes: VecDeque<Change>,
}

impl History {
    pub(super) const fn new(most: usize, since: u64) -> Self {
        Self { most, since, changes: VecDeque::new() }
    }

    pub(super) fn push(&mut self, change: Change) {
        self.changes.push_back(change);
        if self.changes.len() > self.most
            && let Some(oldest) = self.changes.pop_front()
        {
            self.since = oldest.version;
        }
    }

    pub(super) fn forget(&mut self, version: u64) {
        self.changes.retain(|change| change.version > version);
        self.since = self.since.max(version);
    }

    pub(super) fn check(&self, after: u64) -> Result<(), Status> {
        if after < self.since { Err(Status::expired(after, self.since)) } else { Ok(()) }
    }

    /// The changes after a version, newest first.
    pub(super) fn backwards(&self, after: u64) -> Result<impl Iterator<Item = &Change>, Status> {
        self.check(after)?;
        Ok(self.changes.iter().rev().take_while(move |change| change.version > after))
    }

    fn after(&self, after: u64) -> Result<impl Iterator<Item = &Change>, Status> {
        self.check(after)?;
        Ok(self.changes.iter().skip_while(move |change| change.version <= after))
    }
}

/// The changes of a kind, one after another.
#[derive(Debug)]
pub struct Watch {
    objects: Objects,
    resource: Resource,
    namespace: Option<String>,
    after: u64,
}

impl Watch {
    pub(super) const fn new(objects: Objects, resource: Resource, namespace: Option<String>, after: u64) -> Self {
        Self { objects, resource, namespace, after }
    }

    /// The changes that are there and were not given out yet. Afterwards [`version`](Self::version) is the newest
    /// version looked at, so that a bookmark can say it.
    ///
    /// # Errors
    /// 410 when some were forgotten before they were given out.
    pub fn now(&mut self) -> Result<Vec<Change>, Status> {
        let state = self.objects.state();
        let found = state
            .history
            .after(self.after)?
            .filter(|change| {
                change.key.resource == self.resource
                    && self.namespace.as_ref().is_none_or(|namespace| *namespace == change.key.namespace)
            })
            .cloned()
            .collect();
        self.after = state.version;
        Ok(found)
    }

    /// Waits until there are changes, and gives them out.
    ///
    /// # Errors
    /// 410 when some were forgotten before they were given out.
    pub async fn next(&mut self) -> Result<Vec<Change>, Status> {
        loop {
            // Made before the look: it hears what happens from here on, before it is waited for.
            let objects = self.objects.clone();
            let changed = objects.changed();
            let found = self.now()?;
            if !found.is_empty() {
                return Ok(found);
            }
            changed.await;
        }
    }

    /// The newest version that was looked at.
    pub const fn version(&self) -> u64 {
        self.after
    }
}
