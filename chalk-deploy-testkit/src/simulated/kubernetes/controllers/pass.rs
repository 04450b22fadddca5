//! One look at all objects: what every controller is given.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::model::Timestamp;
use serde_json::Value;

use super::identifier::generated;
use super::{ClusterSettings, time};
use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::resource::Resource;

/// One look at all objects. Every controller decides from what is stored and from the time alone, does what is to be
/// done now, and says when it must look again though nothing changes.
#[derive(Debug)]
pub(crate) struct Pass<'cluster> {
    pub(crate) objects: &'cluster Objects,
    pub(crate) settings: &'cluster ClusterSettings,
    pub(crate) now: Timestamp,
    wake: Cell<Option<Duration>>,
}

impl<'cluster> Pass<'cluster> {
    pub(crate) fn new(objects: &'cluster Objects, settings: &'cluster ClusterSettings) -> Self {
        Self { objects, settings, now: objects.runtime().now(), wake: Cell::new(None) }
    }

    /// The objects of a kind.
    pub(crate) fn list(&self, resource: Resource, namespace: Option<&str>) -> Vec<Arc<Value>> {
        self.objects.list(resource, namespace).0
    }

    /// A name that no object has, and that none had: it depends on the newest version.
    pub(crate) fn new_name(&self, resource: Resource, namespace: &str, prefix: &str, source: &str) -> Key {
        let mut source = format!("{source}/{}", self.objects.version());
        loop {
            let key = Key::new(resource, namespace, generated(prefix, &source));
            if self.objects.get(&key).is_none() {
                return key;
            }
            source.push('+');
        }
    }

    /// The present, as objects carry it.
    pub(crate) fn stamp(&self) -> String {
        time::print(self.now)
    }

    /// Asks for a pass after `wait`, though nothing may change until then.
    pub(crate) fn look_again(&self, wait: Duration) {
        // A timer counts whole milliseconds; a shorter wait would end before its time and look for ever.
        let wait = wait.max(Duration::from_millis(1));
        self.wake.set(Some(self.wake.get().map_or(wait, |earlier| earlier.min(wait))));
    }

    /// Whether `wait` has passed since `from`. If not, there will be a pass when it has.
    pub(crate) fn has_passed(&self, wait: Duration, from: Timestamp) -> bool {
        let elapsed = self.now.since(from);
        if elapsed < wait {
            self.look_again(wait.saturating_sub(elapsed));
        }
        elapsed >= wait
    }

    /// The same since a stored time, which is exact to the second. One that cannot be read is the present.
    pub(crate) fn has_passed_since(&self, wait: Duration, stored: &str) -> bool {
        self.has_passed(wait, time::parse(stored).unwrap_or(self.now))
    }

    /// When to look again, as a wait from now.
    pub(crate) const fn wake(&self) -> Option<Duration> {
        self.wake.get()
    }
}

/// When something was first seen, to the millisecond, where objects carry seconds only. A process that starts again
/// has forgotten it, and counts anew from the objects.
#[derive(Debug, Default)]
pub(crate) struct Moments(BTreeMap<String, BTreeMap<&'static str, Timestamp>>);

impl Moments {
    /// When `what` of the object was first seen: now, unless it was seen before.
    pub(crate) fn first_seen(&mut self, uid: &str, what: &'static str, now: Timestamp) -> Timestamp {
        if !self.0.contains_key(uid) {
            self.0.insert(uid.to_owned(), BTreeMap::new());
        }
        self.0.get_mut(uid).map_or(now, |of_object| *of_object.entry(what).or_insert(now))
    }

    /// Forgets one moment.
    pub(crate) fn forget(&mut self, uid: &str, what: &str) {
        if let Some(of_object) = self.0.get_mut(uid) {
            of_object.remove(what);
        }
    }

    /// Forgets the objects that are no more.
    pub(crate) fn keep(&mut self, uids: &BTreeSet<&str>) {
        self.0.retain(|uid, _| uids.contains(uid.as_str()));
    }
}
