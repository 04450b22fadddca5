//! What a deployment says about itself.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Seen, WRITER, condition};
use crate::simulated::kubernetes::controllers::pass::Pass;
use crate::simulated::kubernetes::controllers::{time, view};
use crate::simulated::kubernetes::resource::DEPLOYMENT;

/// What the API server puts where nothing is said.
const DEFAULT_DEADLINE: u32 = 600;

/// The numbers of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    replicas: u32,
    updated: u32,
    ready: u32,
    available: u32,
}

impl Numbers {
    fn of(seen: &Seen) -> Self {
        let sum = |pointer: &str| seen.all().map(|set| view::count(set, pointer)).sum();
        Self {
            replicas: sum("/status/replicas"),
            updated: seen.new.as_ref().map_or(0, |set| view::count(set, "/status/replicas")),
            ready: sum("/status/readyReplicas"),
            available: sum("/status/availableReplicas"),
        }
    }

    fn stored(deployment: &Value) -> Self {
        Self {
            replicas: view::count(deployment, "/status/replicas"),
            updated: view::count(deployment, "/status/updatedReplicas"),
            ready: view::count(deployment, "/status/readyReplicas"),
            available: view::count(deployment, "/status/availableReplicas"),
        }
    }

    /// Whether something has got nearer to its end since `before`.
    const fn is_beyond(self, before: Self) -> bool {
        self.updated > before.updated
            || self.ready > before.ready
            || self.available > before.available
            || self.replicas.saturating_sub(self.updated) < before.replicas.saturating_sub(before.updated)
    }

    const fn is_complete(self, wanted: u32) -> bool {
        self.updated == wanted && self.replicas == wanted && self.available == wanted
    }
}

/// Whether all pods are of the present template, and available.
pub(super) fn is_complete(seen: &Seen) -> bool {
    Numbers::of(seen).is_complete(seen.plan.replicas) && seen.new.is_some()
}

/// Writes the status. `failure` is why the new replica set could not be made.
pub(super) fn write(pass: &Pass<'_>, seen: &Seen, failure: Option<&str>) {
    let deployment = &seen.deployment;
    let numbers = Numbers::of(seen);
    let mut conditions = view::items(deployment, "/status/conditions").to_vec();
    available(&mut conditions, pass, seen, numbers);
    progressing(&mut conditions, pass, seen, numbers, failure);
    replica_failure(&mut conditions, pass, seen);
    let status = json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": numbers.replicas,
        "updatedReplicas": numbers.updated,
        "readyReplicas": numbers.ready,
        "availableReplicas": numbers.available,
        "unavailableReplicas": seen.asked().saturating_sub(numbers.available),
        "collisionCount": deployment["status"]["collisionCount"],
        "conditions": conditions,
    });
    pass.set_status(WRITER, DEPLOYMENT, deployment, view::without_nothing(status));
}

fn available(conditions: &mut Vec<Value>, pass: &Pass<'_>, seen: &Seen, numbers: Numbers) {
    let (status, reason, message) = if numbers.available >= seen.plan.least_available() {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    condition::set(conditions, pass, "Available", status, reason, message);
}

fn progressing(conditions: &mut Vec<Value>, pass: &Pass<'_>, seen: &Seen, numbers: Numbers, failure: Option<&str>) {
    const KIND: &str = "Progressing";
    let deployment = &seen.deployment;
    if view::is_deleting(deployment) {
        return;
    }
    let deadline = view::number(deployment, "/spec/progressDeadlineSeconds").unwrap_or(DEFAULT_DEADLINE);
    // So it is written where there is to be none.
    if deadline == u32::try_from(i32::MAX).unwrap_or(u32::MAX) {
        conditions.retain(|condition| condition["type"] != KIND);
        return;
    }
    let old = conditions.iter().find(|condition| condition["type"] == KIND).cloned();
    let reason = old.as_ref().map(|condition| view::text(condition, "/reason").to_owned()).unwrap_or_default();
    if seen.plan.paused {
        condition::set(conditions, pass, KIND, "Unknown", "DeploymentPaused", "Deployment is paused");
        return;
    }
    if reason == "DeploymentPaused" {
        condition::set(conditions, pass, KIND, "Unknown", "DeploymentResumed", "Deployment is resumed");
        return;
    }
    if let Some(failure) = failure {
        condition::set(conditions, pass, KIND, "False", "FailedCreate", failure);
        return;
    }
    let name = seen.new.as_ref().map_or_else(|| view::name(deployment), |set| view::name(set));
    let kind = if seen.new.is_some() { "ReplicaSet" } else { "Deployment" };
    let complete = numbers.is_complete(seen.plan.replicas) && seen.new.is_some();
    let settled = reason == "NewReplicaSetAvailable" && numbers.replicas == numbers.updated;
    if complete {
        let message = format!("{kind} \"{name}\" has successfully progressed.");
        condition::set(conditions, pass, KIND, "True", "NewReplicaSetAvailable", &message);
    } else if settled {
        // A rollout that is over stays over, whatever its pods do later.
    } else if old.is_none() || reason == "FailedCreate" {
        let message = format!("Created new replica set \"{name}\"");
        condition::update(conditions, pass, KIND, "True", "NewReplicaSetCreated", &message);
    } else if numbers.is_beyond(Numbers::stored(deployment)) || reason == "NewReplicaSetAvailable" {
        let message = format!("{kind} \"{name}\" is progressing.");
        condition::update(conditions, pass, KIND, "True", "ReplicaSetUpdated", &message);
    } else if reason != "ProgressDeadlineExceeded" {
        let since = old.as_ref().map(|condition| view::text(condition, "/lastUpdateTime")).unwrap_or_default();
        let since = if time::parse(since).is_some() { since.to_owned() } else { pass.stamp() };
        if pass.has_passed_since(Duration::from_secs(deadline.into()), &since) {
            let message = format!("{kind} \"{name}\" has timed out progressing.");
            condition::set(conditions, pass, KIND, "False", "ProgressDeadlineExceeded", &message);
        }
    }
    if !complete && !settled {
        // The condition was just written, or is older than this pass: either way its deadline is to be looked at.
        let since = conditions.iter().find(|condition| condition["type"] == KIND);
        let since = since.map(|condition| view::text(condition, "/lastUpdateTime").to_owned()).unwrap_or_default();
        if since == pass.stamp() {
            pass.look_again(Duration::from_secs(deadline.into()));
        }
    }
}

fn replica_failure(conditions: &mut Vec<Value>, pass: &Pass<'_>, seen: &Seen) {
    const KIND: &str = "ReplicaFailure";
    let failure = seen.new.iter().chain(&seen.old).find_map(|set| view::condition(set, KIND));
    match failure {
        Some(failure) => {
            let (status, reason) = (view::text(failure, "/status"), view::text(failure, "/reason"));
            let message = view::text(failure, "/message");
            let same = conditions.iter().any(|old| old["type"] == KIND && old["message"] == message);
            if !same {
                condition::update(conditions, pass, KIND, status, reason, message);
            }
        }
        None => conditions.retain(|condition| condition["type"] != KIND),
    }
}
