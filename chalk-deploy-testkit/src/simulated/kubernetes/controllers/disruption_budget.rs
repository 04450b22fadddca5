//! Disruption budgets: how many of the selected pods may be evicted now.

use std::sync::Arc;

use serde_json::{Value, json};

use super::deployment::share;
use super::pass::Pass;
use super::write::Writer;
use super::{pod, selector, view};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{DEPLOYMENT, POD, POD_DISRUPTION_BUDGET, REPLICA_SET};

/// Writes the status of every budget.
pub(super) fn reconcile(pass: &Pass<'_>) {
    for budget in pass.list(POD_DISRUPTION_BUDGET, None) {
        let pods: Vec<_> = pass
            .list(POD, Some(view::namespace(&budget)))
            .into_iter()
            .filter(|pod| selector::selects(&budget["spec"]["selector"], &view::labels(pod)))
            .filter(|pod| pod::is_active(pod))
            .collect();
        let healthy = count(pods.iter().filter(|pod| view::holds(pod, "Ready")).count());
        let expected = expected(pass, &budget, &pods);
        let desired = desired(&budget, expected);
        let allowed = if expected == 0 { 0 } else { healthy.saturating_sub(desired) };
        let mut conditions = view::items(&budget, "/status/conditions").to_vec();
        let (status, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
        let condition = json!({
            "type": "DisruptionAllowed", "status": status, "reason": reason, "message": "",
            "observedGeneration": budget["metadata"]["generation"],
        });
        view::set_condition(&mut conditions, condition, &pass.stamp());
        let status = json!({
            "observedGeneration": budget["metadata"]["generation"],
            "expectedPods": expected,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "conditions": conditions,
        });
        pass.set_status(Writer::ControllerManager, POD_DISRUPTION_BUDGET, &budget, status);
    }
}

/// How many pods there should be: with a plain `minAvailable`, those that are there; else what their owners ask for.
fn expected(pass: &Pass<'_>, budget: &Value, pods: &[Arc<Value>]) -> u32 {
    let plain = budget.pointer("/spec/minAvailable").is_some_and(Value::is_number);
    if plain {
        return count(pods.len());
    }
    let mut owners: Vec<(String, u32)> = Vec::new();
    let mut alone = 0;
    for pod in pods {
        let owner = view::controller(pod).filter(|owner| owner["kind"] == REPLICA_SET.kind);
        let set = owner.and_then(|owner| {
            pass.objects.get(&Key::new(REPLICA_SET, view::namespace(pod), view::text(owner, "/name")))
        });
        let Some(set) = set else {
            alone += 1;
            continue;
        };
        let deployment = view::controller(&set).filter(|owner| owner["kind"] == DEPLOYMENT.kind).and_then(|owner| {
            pass.objects.get(&Key::new(DEPLOYMENT, view::namespace(pod), view::text(owner, "/name")))
        });
        let owner = deployment.as_ref().unwrap_or(&set);
        if !owners.iter().any(|(uid, _)| uid == view::uid(owner)) {
            owners.push((view::uid(owner).to_owned(), view::number(owner, "/spec/replicas").unwrap_or(1)));
        }
    }
    owners.iter().map(|(_, replicas)| *replicas).fold(alone, u32::saturating_add)
}

fn desired(budget: &Value, expected: u32) -> u32 {
    if let Some(most) = budget.pointer("/spec/maxUnavailable") {
        return expected.saturating_sub(share(Some(most), expected, true));
    }
    match budget.pointer("/spec/minAvailable") {
        Some(least) => share(Some(least), expected, true),
        None => 1,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
