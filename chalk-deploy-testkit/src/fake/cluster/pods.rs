//! What the controllers of the fake cluster make of its objects: pods and endpoints.

use std::collections::BTreeMap;

use chalk_deploy_core::cloud::{Observation, ObservedPod, ObservedWorkload, label};
use chalk_deploy_core::model::{DeploymentId, Digest, Namespace, ObjectReference, Repository};
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};

use super::object::StoredObject;
use super::{FakeCluster, PodBehaviour};
use crate::world::Writer;

/// How far the pods of a workload are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    uid: String,
    template: Digest,
    step: u32,
}

/// The step that the pods of a workload take when they have been looked at.
#[derive(Debug)]
pub(super) struct Step {
    document: String,
    progress: Progress,
}

impl Step {
    pub(super) fn take(&self, room: &Writer<'_>) -> Result<()> {
        room.write_json(&self.document, &self.progress)
    }
}

pub(super) fn progress_of(reference: &ObjectReference) -> String {
    let ObjectReference { api_version: _, kind, namespace, name } = reference;
    format!("pods/{namespace}/{kind}/{name}")
}

impl FakeCluster {
    /// The ready pods behind the deployment's services, without moving any pod; `None` where it has no service.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the world cannot be read.
    pub fn ready_endpoints(&self, namespace: &Namespace, deployment: &DeploymentId) -> Result<Option<u32>> {
        Ok(self.look(namespace, deployment)?.0.ready_endpoints)
    }

    /// How a deployment stands, and the steps that its pods take next.
    pub(super) fn look(&self, namespace: &Namespace, deployment: &DeploymentId) -> Result<(Observation, Vec<Step>)> {
        let mut objects = self.in_namespace(namespace)?;
        objects.retain(|object| !object.deleting);
        let selectors: Vec<_> =
            objects.iter().map(StoredObject::selector).filter(|selector| !selector.is_empty()).collect();
        let mut observation = Observation::default();
        let mut steps = Vec::new();
        let mut versions = Vec::new();
        for workload in objects.iter().filter(|object| object.is_workload() && object.belongs_to(deployment.as_str())) {
            let behaviour = self.behaviour(workload)?;
            let document = progress_of(&workload.identity.reference);
            let now = self.progress(&document, workload)?;
            let replicas = replicas(workload, &objects);
            let pods = pods_of(workload, replicas, &behaviour, &now);
            let ready = u32::try_from(pods.iter().filter(|pod| pod.ready).count()).unwrap_or(u32::MAX);
            if selectors.iter().any(|selector| selects(selector, &workload.pod_labels())) {
                *observation.ready_endpoints.get_or_insert(0) += ready;
            }
            observation.workloads.push(ObservedWorkload {
                identity: workload.identity.clone(),
                observed: behaviour.observed(now.step),
                desired: replicas,
                ready,
                refused: behaviour.refused(now.step).map(str::to_owned),
            });
            observation.pods.extend(pods);
            versions.push((workload.resource_version, now.step));
            let next = behaviour.after(now.step);
            if next != now.step {
                steps.push(Step { document, progress: Progress { step: next, ..now } });
            }
        }
        observation.workloads.sort_by(|one, other| one.identity.reference.name.cmp(&other.identity.reference.name));
        observation.pods.sort_by(|one, other| one.name.cmp(&other.name));
        observation.resource_version = version(&observation, &versions)?;
        Ok((observation, steps))
    }

    fn progress(&self, document: &str, workload: &StoredObject) -> Result<Progress> {
        let fresh = Progress { uid: workload.identity.uid.clone(), template: workload.template(), step: 0 };
        let stored: Option<Progress> = self.room.read_json(document)?;
        Ok(stored.filter(|stored| stored.uid == fresh.uid && stored.template == fresh.template).unwrap_or(fresh))
    }

    fn behaviour(&self, workload: &StoredObject) -> Result<PodBehaviour> {
        let image = workload.image();
        let chosen = self.chosen(&workload.label(label::DEPLOYMENT), image, &workload.label(label::COMPONENT));
        if chosen == PodBehaviour::ByImage && !self.can_pull(image)? {
            return Ok(PodBehaviour::ImagePullFailed);
        }
        Ok(chosen)
    }

    fn can_pull(&self, image: &str) -> Result<bool> {
        let Some((repository, digest)) = image.split_once('@') else { return Ok(false) };
        match (Repository::new(repository), digest.parse()) {
            (Ok(repository), Ok(digest)) => self.registry.has_manifest(&repository, &digest),
            _ => Ok(false),
        }
    }
}

fn pods_of(workload: &StoredObject, replicas: u32, behaviour: &PodBehaviour, now: &Progress) -> Vec<ObservedPod> {
    let Some(state) = behaviour.pod(now.step) else { return Vec::new() };
    let template = now.template.hex();
    (0..replicas)
        .map(|index| ObservedPod {
            name: format!("{}-{}-{index:03}", workload.identity.reference.name, &template[..10]),
            phase: state.phase,
            ready: state.ready,
            restarts: state.restarts,
            message: state.message.to_owned(),
        })
        .collect()
}

/// How many pods a workload has: what it asks for, and where a `ScaledObject` has it as its target, at least that one's
/// least.
fn replicas(workload: &StoredObject, objects: &[StoredObject]) -> u32 {
    let name = &workload.identity.reference.name;
    let least = objects.iter().filter_map(|object| object.least_replicas_of(name)).max();
    workload.replicas().max(least.unwrap_or_default())
}

fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// A text that differs whenever anything of the observation does, a step that shows nowhere else included.
fn version(observation: &Observation, versions: &[(u64, u32)]) -> Result<String> {
    let bytes = serde_json::to_vec(&(observation, versions)).map_err(|error| {
        Error::new(ErrorCode::Internal, "an observation cannot be written as JSON").caused_by(error)
    })?;
    Ok(Digest::of(bytes).hex()[..16].to_owned())
}
