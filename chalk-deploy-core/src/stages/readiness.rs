//! When a deployment's pods count as ready, and when it is certain that they never will. Pure.

use crate::cloud::{Observation, ObservedPod, PodPhase};
use crate::{Error, ErrorCode, text};

/// A container may crash this often before the deployment is given up: one crash can be a neighbour that was not up.
const CRASHES_TOLERATED: u32 = 2;

/// What an observation says about a rollout.
#[derive(Debug)]
pub(super) enum Readiness {
    /// All replicas are ready and stand behind the service.
    Ready {
        /// How many pods.
        pods: u32,
    },
    /// Not yet.
    Progressing {
        /// Ready so far.
        ready: u32,
        /// Wanted.
        desired: u32,
    },
    /// Never.
    Doomed(Error),
}

/// Judges one observation. Every workload must have `at_least` so many pods: an autoscaler that decides how many there are
/// has not brought them all when the first is ready. Objects that never become ready, such as settings and budgets, are
/// no part of an observation.
pub(super) fn judge(observation: &Observation, at_least: u32) -> Readiness {
    if let Some(error) = doom(observation) {
        return Readiness::Doomed(error);
    }
    let desired: u32 = observation.workloads.iter().map(|workload| workload.desired.max(at_least)).sum();
    let ready: u32 = observation.workloads.iter().map(|workload| workload.ready.min(workload.desired)).sum();
    let observed = !observation.workloads.is_empty() && observation.workloads.iter().all(|workload| workload.observed);
    let reachable = observation.ready_endpoints.is_none_or(|endpoints| endpoints >= 1 || desired == 0);
    if observed && ready == desired && reachable {
        Readiness::Ready { pods: ready }
    } else {
        Readiness::Progressing { ready, desired }
    }
}

/// What to say when the time is up: the most telling of what is seen.
pub(super) fn overdue(observation: &Observation) -> Error {
    let first = |phase: PodPhase| observation.pods.iter().find(|pod| pod.phase == phase);
    if let Some(pod) = first(PodPhase::Crashed) {
        return pod_error(ErrorCode::ContainerCrashed, "the container exits", pod);
    }
    if let Some(pod) = first(PodPhase::Unschedulable) {
        return pod_error(ErrorCode::Unschedulable, "no node takes the pod", pod);
    }
    match observation.pods.iter().find(|pod| !pod.ready) {
        Some(pod) => pod_error(ErrorCode::NeverReady, "the pod did not become ready in time", pod),
        None => Error::new(ErrorCode::NeverReady, "the pods did not become ready in time"),
    }
}

fn doom(observation: &Observation) -> Option<Error> {
    let refused = observation.workloads.iter().find_map(|workload| {
        let reason = workload.refused.as_ref()?;
        Some(
            Error::new(ErrorCode::ObjectRefused, format!("its pods are refused: {}", text::line(reason, 300)))
                .on(&workload.identity.reference),
        )
    });
    refused.or_else(|| {
        observation.pods.iter().find_map(|pod| match pod.phase {
            PodPhase::ImagePullFailed => Some(pod_error(ErrorCode::ImagePullFailed, "its image cannot be pulled", pod)),
            PodPhase::Crashed if pod.restarts >= CRASHES_TOLERATED => {
                Some(pod_error(ErrorCode::ContainerCrashed, "its container exits again and again", pod))
            }
            _ => None,
        })
    })
}

fn pod_error(code: ErrorCode, what: &str, pod: &ObservedPod) -> Error {
    let message =
        if pod.message.is_empty() { what.to_owned() } else { format!("{what}: {}", text::line(&pod.message, 300)) };
    Error::new(code, message).on(format!("pod {}", text::line(&pod.name, 253)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::ObservedWorkload;
    use crate::model::{Namespace, ObjectIdentity, ObjectReference};

    fn observation(desired: u32, ready: u32) -> Observation {
        let reference = ObjectReference {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Namespace::new("prod").expect("a valid name"),
            name: "engine".to_owned(),
        };
        let identity = ObjectIdentity { reference, uid: "1".to_owned() };
        let workload = ObservedWorkload { identity, observed: true, desired, ready, refused: None };
        Observation { workloads: vec![workload], ready_endpoints: Some(ready), ..Observation::default() }
    }

    #[test]
    fn pods_that_the_autoscaler_has_yet_to_bring_are_waited_for() {
        // As a Deployment without `replicas` begins.
        assert!(matches!(judge(&observation(1, 1), 3), Readiness::Progressing { ready: 1, desired: 3 }));
        assert!(matches!(judge(&observation(3, 2), 3), Readiness::Progressing { ready: 2, desired: 3 }));
        assert!(matches!(judge(&observation(3, 3), 3), Readiness::Ready { pods: 3 }));
    }

    #[test]
    fn pods_beyond_the_least_are_waited_for_too() {
        assert!(matches!(judge(&observation(5, 4), 3), Readiness::Progressing { ready: 4, desired: 5 }));
        assert!(matches!(judge(&observation(5, 5), 3), Readiness::Ready { pods: 5 }));
    }
}
