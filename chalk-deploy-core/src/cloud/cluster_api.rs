//! The Kubernetes API of a data plane's cluster, as far as a rollout needs it.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::FencingToken;
use crate::Result;
use crate::model::{DeploymentId, EnvironmentId, Manifest, Namespace, ObjectIdentity, ObjectReference};

/// The field manager under which everything is applied.
pub const FIELD_MANAGER: &str = "chalk-deploy";

/// The annotation in which an object carries the token of the owner that wrote it.
pub const TOKEN_ANNOTATION: &str = "chalk.ai/fencing-token";

/// The labels by which our objects are found again.
pub mod label {
    /// Marks an object as ours.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// The environment.
    pub const ENVIRONMENT: &str = "chalk.ai/environment";
    /// The deployment.
    pub const DEPLOYMENT: &str = "chalk.ai/deployment";
    /// The component.
    pub const COMPONENT: &str = "chalk.ai/component";
}

/// Applies, reads and removes objects in an environment's namespace, and tells how its pods stand.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ClusterApi: fmt::Debug + Send + Sync + 'static {
    /// Server-side apply of one object under [`FIELD_MANAGER`], without force.
    ///
    /// **Idempotency.** Applying the same document again under the same token returns the same identity and changes no
    /// `resourceVersion`. A newer token is left on the object, even where nothing else changes.
    ///
    /// **After a crash.** The object is as before or as applied.
    ///
    /// **Errors.** `OBJECT_CONFLICT` names the other manager and the field; `OBJECT_REFUSED` the object and the reason
    /// (schema, quota, admission); `LEASE_LOST` when the object carries a newer token; `PERMISSION_DENIED` names the
    /// verb; `CLOUD_UNAVAILABLE`.
    async fn apply(&self, namespace: &Namespace, manifest: &Manifest, options: &ApplyOptions)
    -> Result<ObjectIdentity>;

    /// One object as it is now, or `None`.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn get(&self, reference: &ObjectReference) -> Result<Option<LiveObject>>;

    /// Our objects in a namespace that match, of every kind that we apply, ordered by reference.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn list(&self, namespace: &Namespace, selector: &Selector) -> Result<Vec<LiveObject>>;

    /// Removes exactly this object: by uid, so that a later one of the same name stays.
    ///
    /// **Idempotency.** Removing what is gone, or was replaced, succeeds and says so.
    ///
    /// **After a crash.** The object is there, being removed, or gone.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn delete(&self, object: &ObjectIdentity) -> Result<Deletion>;

    /// A fresh read of how the workloads and pods of one deployment stand.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn observe(&self, namespace: &Namespace, deployment: &DeploymentId) -> Result<Observation>;

    /// Waits until something of the deployment may have changed since an observation. May return early; the caller
    /// observes again. Has no time limit of its own beyond the server's.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`. A watch that the server ends is no error.
    async fn changed(&self, namespace: &Namespace, deployment: &DeploymentId, since: &Observation) -> Result<()>;
}

/// How an object is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyOptions {
    /// The token of the environment's owner, compared with the one that the object carries, and left on it as an
    /// annotation. It never enters a pod template.
    pub token: FencingToken,
}

/// An object as the cluster holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveObject {
    /// Which one it is.
    pub identity: ObjectIdentity,
    /// Its `metadata.resourceVersion`, opaque.
    pub resource_version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The whole document.
    pub document: serde_json::Value,
}

/// Which of our objects are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Those of this environment.
    pub environment: EnvironmentId,
    /// Only those of this deployment, if one is named.
    pub deployment: Option<DeploymentId>,
}

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletion {
    /// It was there and is removed, or will be when its finalisers are done.
    Removed,
    /// It was gone.
    Absent,
    /// Another object has its name; that one was left alone.
    Replaced,
}

/// How a deployment stands in the cluster, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// The version of the newest read, opaque; what [`ClusterApi::changed`] waits beyond.
    pub resource_version: String,
    /// The workloads, ordered by name.
    pub workloads: Vec<ObservedWorkload>,
    /// The pods, ordered by name.
    pub pods: Vec<ObservedPod>,
    /// How many ready endpoints stand behind the deployment's service; `None` where it has none.
    pub ready_endpoints: Option<u32>,
}

/// A Deployment or StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedWorkload {
    /// Which object.
    pub identity: ObjectIdentity,
    /// Whether the controller has seen the newest specification (`observedGeneration`).
    pub observed: bool,
    /// The replicas wanted.
    pub desired: u32,
    /// Those of the newest template that are ready.
    pub ready: u32,
    /// Why the controller cannot make pods (`ReplicaFailure`: a quota, an admission refusal), if it cannot.
    pub refused: Option<String>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedPod {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub phase: PodPhase,
    /// Its `Ready` condition.
    pub ready: bool,
    /// How often its containers were restarted.
    pub restarts: u32,
    /// What the kubelet or the scheduler says about why it is not further. Comes from strangers.
    pub message: String,
}

/// Where a pod is, in the words that decide a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PodPhase {
    /// Waits for a node.
    Pending,
    /// The scheduler found no node (`PodScheduled=False`, `Unschedulable`).
    Unschedulable,
    /// Has a node; its containers are being created.
    Starting,
    /// Its image cannot be pulled (`ErrImagePull`, `ImagePullBackOff`, `InvalidImageName`).
    ImagePullFailed,
    /// Its containers run.
    Running,
    /// A container exited and is started again, or will not be (`CrashLoopBackOff`, `Error`, `OOMKilled`).
    Crashed,
    /// Is going away.
    Terminating,
}
