//! The objects of a cluster: one sequence of resource versions, durable before it is acknowledged.
//!
//! This is storage and nothing more: no admission, no field ownership, no controllers. Both the API server and the
//! controllers stand on it.

mod storage;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chalk_deploy_core::Result;
use chalk_deploy_core::model::{Digest, Timestamp};
use chalk_deploy_core::runtime::Runtime;
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::storage::Storage;
pub use self::watch::{Change, ChangeKind, Watch};
use super::resource::Resource;
use super::status::Status;
use crate::world::World;

/// How many changes are remembered for watches; what is older answers 410.
const REMEMBERED: usize = 2048;

/// The objects of one cluster. Clones are the same cluster. One process at a time may hold a world's.
#[derive(Debug, Clone)]
pub struct Objects(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    runtime: Arc<dyn Runtime>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    storage: Storage,
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: watch::History,
}

/// Objects in the order of their keys.
pub type Listed = Vec<Arc<Value>>;

/// Where an object lies. Ordered by resource, namespace and name; the namespace of a cluster's own object is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind.
    pub resource: Resource,
    /// The namespace, or nothing.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// A key.
    pub fn new(resource: Resource, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { resource, namespace: namespace.into(), name: name.into() }
    }
}

impl Objects {
    /// The objects of a world.
    ///
    /// # Errors
    /// [`chalk_deploy_core::ErrorCode::CloudUnavailable`] when the world cannot be read.
    pub fn open(world: &World, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let storage = Storage::new(world.room("kubernetes"));
        let (version, objects) = storage.load()?;
        let state = State { storage, version, objects, history: watch::History::new(REMEMBERED, version) };
        Ok(Self(Arc::new(Shared { runtime, state: Mutex::new(state), changed: Notify::new() })))
    }

    /// The newest resource version.
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// The clock of this cluster.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.0.runtime
    }

    /// Ends when something changes after this call was made (not: after it is first awaited).
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.changed.notified()
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.state().objects.get(key).cloned()
    }

    /// The objects of a kind, in one namespace or in all, ordered by namespace and name; and the version at which this
    /// was true.
    pub fn list(&self, resource: Resource, namespace: Option<&str>) -> (Vec<Arc<Value>>, u64) {
        let state = self.state();
        let from = Key::new(resource, namespace.unwrap_or_default(), "");
        let found = state
            .objects
            .range(from..)
            .take_while(|(key, _)| key.resource == resource && namespace.is_none_or(|wanted| key.namespace == wanted))
            .map(|(_, object)| object.clone())
            .collect();
        (found, state.version)
    }

    /// The objects of a kind as they were at a version, which a list in pages needs: every page shows the same moment.
    ///
    /// # Errors
    /// 410 when that is no longer remembered; 504 when it lies in the future.
    pub fn list_at(&self, resource: Resource, namespace: Option<&str>, version: u64) -> Result<Listed, Status> {
        let (now, newest) = self.list(resource, namespace);
        if version >= newest {
            return if version == newest { Ok(now) } else { Err(Status::too_new(version, newest)) };
        }
        let state = self.state();
        let mut then: BTreeMap<Key, Arc<Value>> = BTreeMap::new();
        let from = Key::new(resource, namespace.unwrap_or_default(), "");
        let within = |key: &Key| key.resource == resource && namespace.is_none_or(|wanted| key.namespace == wanted);
        for (key, object) in state.objects.range(from..).take_while(|(key, _)| within(key)) {
            then.insert(key.clone(), object.clone());
        }
        for change in state.history.backwards(version)?.filter(|change| within(&change.key)) {
            match &change.before {
                Some(before) => then.insert(change.key.clone(), before.clone()),
                None => then.remove(&change.key),
            };
        }
        Ok(then.into_values().collect())
    }

    /// Stores a new object. Sets `uid`, `resourceVersion`, `creationTimestamp` and `generation`.
    ///
    /// # Errors
    /// 409 `AlreadyExists`.
    pub fn create(&self, key: &Key, object: Value) -> Result<Arc<Value>, Status> {
        let mut state = self.state();
        if let Some(current) = state.objects.get(key) {
            return Err(taken(key, current));
        }
        let object = self.fresh(key, object, state.version + 1);
        self.store(&mut state, key, object, ChangeKind::Added)
    }

    /// A new object as [`create`](Self::create) would store it, without storing it.
    ///
    /// # Errors
    /// 409 `AlreadyExists`.
    pub fn preview(&self, key: &Key, object: Value) -> Result<Arc<Value>, Status> {
        let state = self.state();
        if let Some(current) = state.objects.get(key) {
            return Err(taken(key, current));
        }
        // Not the uid of what is created later at this version.
        Ok(Arc::new(self.fresh(key, object, u64::MAX - state.version)))
    }

    fn fresh(&self, key: &Key, mut object: Value, version: u64) -> Value {
        let mut metadata = object["metadata"].take();
        if !metadata.is_object() {
            metadata = json!({});
        }
        metadata["name"] = key.name.clone().into();
        if key.resource.namespaced {
            metadata["namespace"] = key.namespace.clone().into();
        }
        metadata["uid"] = uid(key, version).into();
        metadata["creationTimestamp"] = self.now().into();
        if key.resource.has_generation() {
            metadata["generation"] = 1.into();
        }
        object["metadata"] = metadata;
        object["apiVersion"] = key.resource.api_version().into();
        object["kind"] = key.resource.kind.into();
        object
    }

    /// Changes an object. A change that leaves it as it is makes no new version. A change of anything but `metadata` and
    /// `status` raises the `generation`.
    ///
    /// `change` sees the object without being able to change its uid, its version or its time of creation.
    ///
    /// # Errors
    /// 404; 409 `Conflict` when the version is not the expected one; whatever `change` refuses with.
    pub fn update(
        &self,
        key: &Key,
        expected_version: Option<&str>,
        change: impl FnOnce(&mut Value) -> Result<(), Status>,
    ) -> Result<Arc<Value>, Status> {
        let mut state = self.state();
        let Some(current) = state.objects.get(key).cloned() else {
            return Err(Status::not_found(&key.resource.qualified(), &key.name).about(&key.resource, &key.name));
        };
        if expected_version.is_some_and(|expected| current["metadata"]["resourceVersion"] != expected) {
            return Err(Status::conflict(
                &key.resource.qualified(),
                &key.name,
                "the object has been modified; please apply your changes to the latest version and try again",
            )
            .about(&key.resource, &key.name));
        }
        let mut next = (*current).clone();
        change(&mut next)?;
        for field in ["name", "namespace", "uid", "creationTimestamp", "resourceVersion", "generation"] {
            match current["metadata"].get(field) {
                Some(value) => next["metadata"][field] = value.clone(),
                None => {
                    next["metadata"].as_object_mut().map(|metadata| metadata.remove(field));
                }
            }
        }
        if next == *current {
            return Ok(current);
        }
        count_generation(key, &current, &mut next);
        self.store(&mut state, key, next, ChangeKind::Modified)
    }

    /// Takes an object away, whatever its finalizers say. `None` when it was not there.
    ///
    /// # Errors
    /// 409 when it carries another uid or version than the ones given; 500 when the world cannot be written.
    pub fn remove(
        &self,
        key: &Key,
        uid: Option<&str>,
        expected_version: Option<&str>,
    ) -> Result<Option<Arc<Value>>, Status> {
        let mut state = self.state();
        let Some(current) = state.objects.get(key).cloned() else { return Ok(None) };
        for (field, wanted) in [("uid", uid), ("resourceVersion", expected_version)] {
            if let Some(wanted) = wanted
                && current["metadata"][field] != wanted
            {
                let why = format!(
                    "Precondition failed: {field} in precondition: {wanted}, {field} in object meta: {}",
                    current["metadata"][field].as_str().unwrap_or_default()
                );
                return Err(
                    Status::conflict(&key.resource.qualified(), &key.name, &why).about(&key.resource, &key.name)
                );
            }
        }
        let version = state.version + 1;
        state.storage.remove(key, version).map_err(|error| Status::internal(error.sentence()))?;
        state.version = version;
        state.objects.remove(key);
        let mut last = (*current).clone();
        last["metadata"]["resourceVersion"] = version.to_string().into();
        let last = Arc::new(last);
        let change = Change {
            kind: ChangeKind::Deleted,
            version,
            key: key.clone(),
            object: last.clone(),
            before: Some(current),
        };
        state.history.push(change);
        drop(state);
        self.0.changed.notify_waiters();
        Ok(Some(last))
    }

    /// Follows the changes of a kind after a version.
    ///
    /// # Errors
    /// 410 when they are no longer remembered.
    pub fn watch(&self, resource: Resource, namespace: Option<&str>, after: u64) -> Result<Watch, Status> {
        self.state().history.check(after)?;
        Ok(Watch::new(self.clone(), resource, namespace.map(str::to_owned), after))
    }

    /// Forgets the changes up to the newest, so that watches from before answer 410: what a compaction does.
    pub fn compact(&self) {
        let mut state = self.state();
        let version = state.version;
        state.history.forget(version);
        drop(state);
        self.0.changed.notify_waiters();
    }

    fn store(
        &self,
        state: &mut MutexGuard<'_, State>,
        key: &Key,
        mut object: Value,
        kind: ChangeKind,
    ) -> Result<Arc<Value>, Status> {
        let version = state.version + 1;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let object = Arc::new(object);
        state.storage.write(key, version, &object).map_err(|error| Status::internal(error.sentence()))?;
        state.version = version;
        let before = state.objects.insert(key.clone(), object.clone());
        state.history.push(Change { kind, version, key: key.clone(), object: object.clone(), before });
        self.0.changed.notify_waiters();
        Ok(object)
    }

    fn now(&self) -> String {
        timestamp(&**self.runtime())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The present as Kubernetes writes it: seconds, RFC 3339.
pub fn timestamp(runtime: &dyn Runtime) -> String {
    timestamp_of(runtime.now())
}

/// A time as Kubernetes writes it: seconds, RFC 3339.
pub fn timestamp_of(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// A uid in the form of a UUID, a function of what was created when, so that one seed gives one run.
fn uid(key: &Key, version: u64) -> String {
    let Key { resource, namespace, name } = key;
    let hex = Digest::of(format!("{}/{namespace}/{name}/{version}", resource.qualified())).hex();
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
}

/// Why there can be no other one of this name.
fn taken(key: &Key, current: &Value) -> Status {
    let mut status = Status::already_exists(&key.resource.qualified(), &key.name).about(&key.resource, &key.name);
    if current["metadata"]["deletionTimestamp"].is_string() {
        status.message.insert_str(0, "object is being deleted: ");
    }
    status
}

/// Raises the `generation` when more than `metadata` and `status` has changed.
pub fn count_generation(key: &Key, current: &Value, next: &mut Value) {
    // To be on the way out is a change of what is wanted.
    let leaves =
        next["metadata"]["deletionTimestamp"].is_string() && current["metadata"]["deletionTimestamp"].is_null();
    let wanted = leaves || without_metadata_and_status(next) != without_metadata_and_status(current);
    if key.resource.has_generation() && wanted {
        let generation = current["metadata"]["generation"].as_u64().unwrap_or_default() + 1;
        next["metadata"]["generation"] = generation.into();
    }
}

fn without_metadata_and_status(object: &Value) -> Value {
    let mut rest = object.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.remove("metadata");
        fields.remove("status");
    }
    rest
}

#[cfg(test)]
mod tests;
