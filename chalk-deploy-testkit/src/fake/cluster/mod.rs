//! A cluster whose workloads get pods.

mod behaviour;
mod object;
mod pods;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::cloud::{
    ApplyOptions, ClusterApi, Deletion, FIELD_MANAGER, LiveObject, Observation, Selector, label,
};
use chalk_deploy_core::model::{DeploymentId, Manifest, Namespace, ObjectIdentity, ObjectReference};
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde_json::Value;
use tokio::sync::Notify;

use self::behaviour::Behaviours;
pub use self::behaviour::{PodBehaviour, PodScope};
use self::object::{ForeignField, StoredObject, admit, image, is_workload, label_of, uid};
use super::registry::FakeRegistry;
use super::{Pace, pause};
use crate::world::{Room, World, Writer};

/// A cluster. Its resource versions count per namespace. Clones are the same cluster.
///
/// Pods move one step each time that somebody observes them, so a rollout is a matter of looking often enough and
/// needs no clock. How far they are is kept in the world: pods that are ready stay so when the process dies. These
/// steps count in no resource version, so that looking more often leaves no trace.
#[derive(Debug, Clone)]
pub struct FakeCluster {
    room: Room,
    registry: FakeRegistry,
    checkpoints: Arc<dyn Checkpoints>,
    behaviours: Arc<Mutex<Behaviours>>,
    news: Arc<Notify>,
    pace: Option<Pace>,
}

impl FakeCluster {
    /// The cluster of a world, whose nodes pull from this registry.
    pub fn new(world: &World, registry: FakeRegistry) -> Self {
        Self {
            room: world.room("cluster"),
            registry,
            checkpoints: Arc::new(NoCheckpoints),
            behaviours: Arc::default(),
            news: Arc::default(),
            pace: None,
        }
    }

    /// Tells of the moments between two writes.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: Arc<dyn Checkpoints>) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// Lets time pass between two steps of a pod.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Chooses how pods behave from now on, those that run included. Not kept in the world.
    pub fn set_behaviour(&self, scope: PodScope, behaviour: PodBehaviour) {
        self.behaviours.lock().unwrap_or_else(PoisonError::into_inner).set(scope, behaviour);
        self.news.notify_waiters();
    }

    /// Sets a field of an object as another field manager would, by JSON pointer. An [`apply`](ClusterApi::apply) that
    /// wants another value there is then a conflict.
    ///
    /// # Errors
    /// [`ErrorCode::ObjectMissing`] when there is no such object.
    pub fn edit_as(&self, manager: &str, reference: &ObjectReference, pointer: &str, value: Value) -> Result<()> {
        self.change(&reference.namespace, |room, version| {
            let Some(mut object) = self.stored(reference)? else {
                return Err(Error::new(ErrorCode::ObjectMissing, "there is no such object").on(reference));
            };
            object.foreign.insert(pointer.to_owned(), ForeignField { manager: manager.to_owned(), value });
            object.resource_version = version + 1;
            room.write_json(&object_of(reference), &object)?;
            room.write_json(&counter_of(&reference.namespace), &object.resource_version)
        })
    }

    /// All objects of a namespace, ordered by reference: what a test wants to see, whoever made it.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the world cannot be read.
    pub fn objects(&self, namespace: &Namespace) -> Result<Vec<LiveObject>> {
        Ok(self.in_namespace(namespace)?.iter().map(StoredObject::live).collect())
    }

    /// Runs a change of a namespace, after finishing what a killed process has left half-done in it. `change` is given
    /// the newest resource version.
    fn change<T>(&self, namespace: &Namespace, change: impl FnOnce(&Writer<'_>, u64) -> Result<T>) -> Result<T> {
        let result = self.room.exclusively(|room| {
            let counter: u64 = self.room.read_json(&counter_of(namespace))?.unwrap_or_default();
            let mut newest = counter;
            let mut deleting = Vec::new();
            for object in self.in_namespace(namespace)? {
                newest = newest.max(object.resource_version);
                if object.deleting {
                    deleting.push(object.identity.reference);
                }
            }
            if newest > counter {
                room.write_json(&counter_of(namespace), &newest)?;
            }
            for reference in &deleting {
                remove(room, reference)?;
            }
            change(room, newest)
        });
        self.news.notify_waiters();
        result
    }

    fn create_or_update(
        &self,
        room: &Writer<'_>,
        newest: u64,
        manifest: &Manifest,
        namespace: &Namespace,
        options: &ApplyOptions,
    ) -> Result<ObjectIdentity> {
        let (reference, document) = admit(manifest, namespace)?;
        let version = newest + 1;
        let object = match self.stored(&reference)? {
            Some(object) if options.token < object.token => {
                return Err(Error::new(
                    ErrorCode::LeaseLost,
                    format!("the object carries the token {}, and this owner has {}", object.token, options.token),
                )
                .on(reference));
            }
            Some(object) => {
                object.refuse_conflict(&document)?;
                if object.applied == document {
                    // The token is no part of what is applied: leaving a newer one is no new version.
                    let renewed = StoredObject { token: options.token, ..object };
                    room.write_json(&object_of(&reference), &renewed)?;
                    return Ok(renewed.identity);
                }
                StoredObject { resource_version: version, token: options.token, applied: document, ..object }
            }
            None => StoredObject {
                identity: ObjectIdentity { uid: uid(&reference, version), reference: reference.clone() },
                resource_version: version,
                token: options.token,
                applied: document,
                foreign: std::collections::BTreeMap::new(),
                deleting: false,
            },
        };
        self.refuse_by_quota(&object)?;
        room.write_json(&object_of(&reference), &object)?;
        self.checkpoints.reached("cluster.apply/between");
        room.write_json(&counter_of(namespace), &version)?;
        Ok(object.identity)
    }

    fn refuse_by_quota(&self, object: &StoredObject) -> Result<()> {
        let document = &object.applied;
        let (deployment, component) = (label_of(document, label::DEPLOYMENT), label_of(document, label::COMPONENT));
        let refused = is_workload(&object.identity.reference.kind)
            && self.chosen(&deployment, image(document), &component) == PodBehaviour::QuotaRefused;
        if refused {
            return Err(Error::new(ErrorCode::ObjectRefused, "forbidden: exceeded quota: count/deployments.apps")
                .on(&object.identity.reference));
        }
        Ok(())
    }

    fn chosen(&self, deployment: &str, image: &str, component: &str) -> PodBehaviour {
        self.behaviours.lock().unwrap_or_else(PoisonError::into_inner).of(deployment, image, component)
    }

    fn stored(&self, reference: &ObjectReference) -> Result<Option<StoredObject>> {
        let object: Option<StoredObject> = self.room.read_json(&object_of(reference))?;
        Ok(object.filter(|object| object.identity.reference == *reference))
    }

    /// The objects of a namespace, those that are being removed included.
    fn in_namespace(&self, namespace: &Namespace) -> Result<Vec<StoredObject>> {
        let mut objects: Vec<StoredObject> = Vec::new();
        for document in self.room.names(&format!("objects/{namespace}/"))? {
            objects.extend(self.room.read_json(&document)?);
        }
        objects.sort_by(|one, other| one.identity.cmp(&other.identity));
        Ok(objects)
    }
}

#[async_trait]
impl ClusterApi for FakeCluster {
    async fn apply(
        &self,
        namespace: &Namespace,
        manifest: &Manifest,
        options: &ApplyOptions,
    ) -> Result<ObjectIdentity> {
        self.change(namespace, |room, newest| self.create_or_update(room, newest, manifest, namespace, options))
    }

    async fn get(&self, reference: &ObjectReference) -> Result<Option<LiveObject>> {
        Ok(self.stored(reference)?.map(|object| object.live()))
    }

    async fn list(&self, namespace: &Namespace, selector: &Selector) -> Result<Vec<LiveObject>> {
        let Selector { environment, deployment } = selector;
        let matches = |object: &StoredObject| {
            object.label(label::MANAGED_BY) == FIELD_MANAGER
                && object.label(label::ENVIRONMENT) == environment.as_str()
                && deployment.as_ref().is_none_or(|deployment| object.belongs_to(deployment.as_str()))
        };
        let objects = self.in_namespace(namespace)?;
        Ok(objects.iter().filter(|object| matches(object)).map(StoredObject::live).collect())
    }

    async fn delete(&self, object: &ObjectIdentity) -> Result<Deletion> {
        let reference = &object.reference;
        self.change(&reference.namespace, |room, newest| {
            let Some(stored) = self.stored(reference)? else { return Ok(Deletion::Absent) };
            if stored.identity.uid != object.uid {
                return Ok(Deletion::Replaced);
            }
            let version = newest + 1;
            let going = StoredObject { deleting: true, resource_version: version, ..stored };
            room.write_json(&object_of(reference), &going)?;
            self.checkpoints.reached("cluster.delete/between");
            room.write_json(&counter_of(&reference.namespace), &version)?;
            remove(room, reference)?;
            Ok(Deletion::Removed)
        })
    }

    async fn observe(&self, namespace: &Namespace, deployment: &DeploymentId) -> Result<Observation> {
        self.room.exclusively(|room| {
            let (observation, steps) = self.look(namespace, deployment)?;
            for step in steps {
                step.take(room)?;
            }
            Ok(observation)
        })
    }

    async fn changed(&self, namespace: &Namespace, deployment: &DeploymentId, since: &Observation) -> Result<()> {
        loop {
            // Made before the look: it hears what happens from here on, before it is waited for.
            let news = self.news.notified();
            if self.look(namespace, deployment)?.0.resource_version != since.resource_version {
                pause(self.pace.as_ref()).await;
                return Ok(());
            }
            news.await;
        }
    }
}

/// Removes an object and what is known of its pods. Done again, it changes nothing.
fn remove(room: &Writer<'_>, reference: &ObjectReference) -> Result<()> {
    room.remove(&pods::progress_of(reference))?;
    room.remove(&object_of(reference))
}

fn object_of(reference: &ObjectReference) -> String {
    let ObjectReference { api_version, kind, namespace, name } = reference;
    format!("objects/{namespace}/{api_version}/{kind}/{name}")
}

fn counter_of(namespace: &Namespace) -> String {
    format!("counters/{namespace}")
}

#[cfg(test)]
mod tests;
