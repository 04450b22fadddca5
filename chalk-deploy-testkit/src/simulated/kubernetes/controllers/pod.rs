//! What controllers ask of a pod.

use std::time::Duration;

use serde_json::Value;

use super::pass::Pass;
use super::view;

/// Whether it has ended for good.
pub(crate) fn has_ended(pod: &Value) -> bool {
    matches!(view::text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Marks a pod whose containers somebody else than the kubelets plays: that of a workflow's step.
pub(crate) const PLAYED: &str = "simulated.chalk.ai/played";

/// Whether somebody else than the kubelets plays its containers.
pub(crate) fn is_played(pod: &Value) -> bool {
    !view::annotation(pod, PLAYED).is_empty()
}

/// Whether it counts: it neither has ended nor is going away.
pub(crate) fn is_active(pod: &Value) -> bool {
    !has_ended(pod) && !view::is_deleting(pod)
}

/// Whether it has been ready for so many seconds. If it is ready and has not, there will be a pass when it has.
pub(crate) fn is_available(pass: &Pass<'_>, pod: &Value, seconds: u32) -> bool {
    let Some(ready) = view::condition(pod, "Ready").filter(|condition| condition["status"] == "True") else {
        return false;
    };
    let wait = Duration::from_secs(seconds.into());
    wait.is_zero() || pass.has_passed_since(wait, view::text(ready, "/lastTransitionTime"))
}
