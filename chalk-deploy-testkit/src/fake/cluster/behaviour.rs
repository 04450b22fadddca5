//! How the pods of the fake cluster behave.
//!
//! A pod goes through numbered steps, one for each time that somebody looks. Step 0: the controller has not seen the
//! workload, and there are no pods. Step 1: they wait for a node. What follows is decided here.

use std::collections::BTreeMap;

use chalk_deploy_core::cloud::PodPhase;
use chalk_deploy_core::model::{Component, DeploymentId};

/// How often the containers of a crashing pod are restarted before nothing changes any more.
const RESTARTS: u32 = 3;

/// How the pods of a workload behave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PodBehaviour {
    /// Ready after three looks if the registry holds the image, else as [`ImagePullFailed`](Self::ImagePullFailed).
    #[default]
    ByImage,
    /// Ready after so many looks, whatever the image.
    Ready {
        /// How many observations show them not ready.
        after: u32,
    },
    /// The image cannot be pulled.
    ImagePullFailed,
    /// The container exits, again and again.
    Crash,
    /// The containers run and never become ready.
    NeverReady,
    /// No node can take them.
    Unschedulable,
    /// The API server refuses the workload.
    QuotaRefused,
    /// The API server takes the workload and refuses its pods, as a quota on pods does.
    PodsRefused,
    /// Ready at every second look, for ever. In virtual time this needs a [`Pace`](crate::fake::Pace), or no time
    /// passes.
    Flapping,
}

/// Which workloads a behaviour is for. The most exact one counts: deployment, image, component, all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodScope {
    /// Those of one deployment.
    Deployment(DeploymentId),
    /// Those of one image, written as the manifest writes it.
    Image(String),
    /// Those of one component.
    Component(Component),
    /// All of them.
    All,
}

/// The behaviours that tests have chosen.
#[derive(Debug, Default)]
pub(super) struct Behaviours(BTreeMap<PodScope, PodBehaviour>);

impl Behaviours {
    pub(super) fn set(&mut self, scope: PodScope, behaviour: PodBehaviour) {
        self.0.insert(scope, behaviour);
    }

    pub(super) fn of(&self, deployment: &str, image: &str, component: &str) -> PodBehaviour {
        // The scopes are ordered from the most exact one to the widest.
        let fits = |scope: &PodScope| match scope {
            PodScope::Deployment(id) => id.as_str() == deployment,
            PodScope::Image(reference) => reference == image,
            PodScope::Component(of) => of.as_str() == component,
            PodScope::All => true,
        };
        self.0.iter().find(|(scope, _)| fits(scope)).map(|(_, behaviour)| behaviour.clone()).unwrap_or_default()
    }
}

/// A pod at some step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodState {
    pub(super) phase: PodPhase,
    pub(super) ready: bool,
    pub(super) restarts: u32,
    pub(super) message: &'static str,
}

impl PodBehaviour {
    /// The step after this one; the same when nothing changes any more.
    pub(super) fn after(&self, step: u32) -> u32 {
        let last = match self {
            Self::Ready { after } => *after,
            Self::Crash => 1 + RESTARTS,
            Self::QuotaRefused | Self::PodsRefused => 1,
            Self::Flapping if step >= 3 => return 2,
            Self::ByImage | Self::Flapping => 3,
            Self::ImagePullFailed | Self::NeverReady | Self::Unschedulable => 2,
        };
        // A step beyond the last one was reached under another behaviour. It stays: going back would be a change that
        // nothing has caused.
        if step < last { step + 1 } else { step }
    }

    /// Whether the controller has seen the workload.
    pub(super) const fn observed(&self, step: u32) -> bool {
        step > 0 || matches!(self, Self::Ready { after: 0 })
    }

    /// Why the controller cannot make pods.
    pub(super) const fn refused(&self, step: u32) -> Option<&'static str> {
        match self {
            Self::PodsRefused if step > 0 => Some("pods are forbidden: exceeded quota: pods"),
            _ => None,
        }
    }

    /// How a pod stands; `None` while there is none.
    pub(super) fn pod(&self, step: u32) -> Option<PodState> {
        let state = |phase, ready, message| PodState { phase, ready, restarts: 0, message };
        let ready = state(PodPhase::Running, true, "");
        Some(match (self, step) {
            (Self::Ready { after }, step) if step >= *after => ready,
            (_, 0) | (Self::QuotaRefused | Self::PodsRefused, _) => return None,
            (_, 1) => state(PodPhase::Pending, false, "waits for a node"),
            (Self::ByImage, 3..) => ready,
            (Self::Ready { .. } | Self::ByImage, _) => state(PodPhase::Starting, false, "ContainerCreating"),
            (Self::ImagePullFailed, _) => {
                state(PodPhase::ImagePullFailed, false, "ImagePullBackOff: the registry does not hold the image")
            }
            (Self::Crash, step) => PodState {
                restarts: (step - 1).min(RESTARTS),
                ..state(PodPhase::Crashed, false, "CrashLoopBackOff: the container exited with code 1")
            },
            (Self::Unschedulable, _) => state(PodPhase::Unschedulable, false, "0/3 nodes are available"),
            (Self::Flapping, step) if step % 2 == 1 => ready,
            (Self::NeverReady | Self::Flapping, _) => state(PodPhase::Running, false, "the readiness probe fails"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_but_flapping_comes_to_rest() {
        use PodBehaviour as Pods;
        for behaviour in [
            Pods::ByImage,
            Pods::Ready { after: 0 },
            Pods::Ready { after: 7 },
            Pods::ImagePullFailed,
            Pods::Crash,
            Pods::NeverReady,
            Pods::Unschedulable,
            Pods::PodsRefused,
        ] {
            let steps: Vec<_> = std::iter::successors(Some(0), |step| Some(behaviour.after(*step))).take(20).collect();
            assert_eq!(steps[18], steps[19], "{behaviour:?}");
            let ready = behaviour.pod(steps[19]).is_some_and(|pod| pod.ready);
            assert_eq!(ready, matches!(behaviour, Pods::ByImage | Pods::Ready { .. }), "{behaviour:?}");
        }
        let flapping: Vec<_> =
            std::iter::successors(Some(2), |step| Some(Pods::Flapping.after(*step))).take(6).collect();
        let ready: Vec<_> =
            flapping.iter().map(|step| Pods::Flapping.pod(*step).is_some_and(|pod| pod.ready)).collect();
        assert_eq!(ready, [false, true, false, true, false, true]);
    }

    #[test]
    fn the_most_exact_scope_counts() {
        let deployment = DeploymentId::new(format!("c{}", "a".repeat(24))).expect("a valid id");
        let mut behaviours = Behaviours::default();
        behaviours.set(PodScope::All, PodBehaviour::Crash);
        behaviours.set(PodScope::Component(Component::Engine), PodBehaviour::NeverReady);
        behaviours.set(PodScope::Deployment(deployment.clone()), PodBehaviour::Flapping);
        assert_eq!(behaviours.of("other", "image", "batch-worker"), PodBehaviour::Crash);
        assert_eq!(behaviours.of("other", "image", "engine"), PodBehaviour::NeverReady);
        assert_eq!(behaviours.of(deployment.as_str(), "image", "engine"), PodBehaviour::Flapping);
        assert_eq!(Behaviours::default().of("", "", ""), PodBehaviour::ByImage);
    }
}
