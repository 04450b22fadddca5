//! How far a workload is.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;

use super::pods::is_ready;
use crate::cloud::ObservedWorkload;
use crate::model::{Namespace, ObjectIdentity, ObjectReference};
use crate::text;

pub(super) fn of_deployments(deployments: Vec<Deployment>, namespace: &Namespace) -> Vec<ObservedWorkload> {
    let mut workloads: Vec<_> =
        deployments.into_iter().map(|deployment| of_deployment(deployment, namespace)).collect();
    workloads.sort_by(|one, other| one.identity.cmp(&other.identity));
    workloads
}

fn of_deployment(deployment: Deployment, namespace: &Namespace) -> ObservedWorkload {
    let metadata = deployment.metadata;
    let status = deployment.status.unwrap_or_default();
    let count = |number: Option<i32>| u32::try_from(number.unwrap_or_default()).unwrap_or_default();
    // One is what a deployment without a number means.
    let desired = deployment.spec.as_ref().map_or(1, |spec| count(Some(spec.replicas.unwrap_or(1))));
    // The status does not say which of the ready ones are of the newest template. All that are of older ones might be
    // ready, so at least this many of the newest are.
    let older = count(status.replicas).saturating_sub(count(status.updated_replicas));
    let ready = count(status.ready_replicas).saturating_sub(older).min(count(status.updated_replicas));
    let refused = status.conditions.iter().flatten().find(|condition| condition.type_ == "ReplicaFailure");
    let refused = refused.filter(|condition| condition.status == "True").map(|condition| {
        let words = condition.message.as_deref().or(condition.reason.as_deref()).unwrap_or("no reason is given");
        text::line(words, 300)
    });
    ObservedWorkload {
        identity: identity(metadata.name.unwrap_or_default(), metadata.uid.unwrap_or_default(), namespace),
        observed: metadata.generation.unwrap_or_default() <= status.observed_generation.unwrap_or_default(),
        desired,
        ready,
        refused,
    }
}

/// The workloads as their pods show them: one for each replica set, as many wanted as there are. More may still be to
/// come, which is what the time that readiness must last is for.
pub(super) fn of_pods(pods: &[Pod], namespace: &Namespace) -> Vec<ObservedWorkload> {
    let mut workloads: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let owner = pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let Some(owner) = owner else { continue };
        // A replica set is called like its deployment, with the template's hash behind.
        let name = owner.name.rsplit_once('-').map_or(owner.name.as_str(), |(name, _)| name);
        let (desired, ready) = workloads.entry(name).or_default();
        *desired += 1;
        *ready += u32::from(is_ready(pod));
    }
    let workloads = workloads.into_iter().map(|(name, (desired, ready))| ObservedWorkload {
        identity: identity(name.to_owned(), String::new(), namespace),
        observed: true,
        desired,
        ready,
        refused: None,
    });
    workloads.collect()
}

fn identity(name: String, uid: String, namespace: &Namespace) -> ObjectIdentity {
    let reference = ObjectReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: namespace.clone(),
        name,
    };
    ObjectIdentity { reference, uid }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "a test writes the value where it calls")]
    fn workload(status: Value) -> ObservedWorkload {
        let document = json!({
            "metadata": {"name": "a", "uid": "1", "generation": 2},
            "spec": {"replicas": 3, "selector": {}, "template": {}}, "status": status,
        });
        let namespace = Namespace::new("prod").expect("a namespace");
        of_deployment(serde_json::from_value(document).expect("a deployment"), &namespace)
    }

    #[test]
    fn ready_pods_of_an_older_template_do_not_count() {
        let seen = workload(json!({"replicas": 4, "updatedReplicas": 1, "readyReplicas": 3, "observedGeneration": 2}));
        assert_eq!((seen.observed, seen.desired, seen.ready), (true, 3, 0));
        let seen = workload(json!({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 2, "observedGeneration": 2}));
        assert_eq!(seen.ready, 2);
    }

    #[test]
    fn a_status_of_an_older_specification_says_so_and_a_refusal_is_told() {
        assert!(!workload(json!({"observedGeneration": 1})).observed);
        let refused = workload(json!({"conditions": [
            {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}));
        assert_eq!(refused.refused.as_deref(), Some("exceeded quota"));
    }
}
