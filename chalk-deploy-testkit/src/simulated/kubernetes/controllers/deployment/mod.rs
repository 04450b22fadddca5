//! Deployments: one replica set for each pod template, and the move from one to the next.
//!
//! The rules are those of the controller of Kubernetes 1.33 (documentation: *Concepts / Workloads / Deployments*), so
//! that `kubectl rollout status` and every other reader finds what it expects.

mod condition;
mod history;
mod rolling;
mod scale;
mod status;

use std::sync::Arc;

use serde_json::Value;

use self::history::Revisions;
use super::pass::Pass;
use super::write::Writer;
use super::{selector, view};
use crate::simulated::kubernetes::resource::{DEPLOYMENT, POD, REPLICA_SET};

pub(super) const WRITER: Writer = Writer::ControllerManager;

/// The label that tells the pods of one template from those of another.
pub(crate) const TEMPLATE_HASH: &str = "pod-template-hash";

/// What is seen of one deployment.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) deployment: Arc<Value>,
    pub(super) plan: Plan,
    /// The replica set of the present template.
    pub(super) new: Option<Arc<Value>>,
    /// The others, the oldest first.
    pub(super) old: Vec<Arc<Value>>,
}

/// What a deployment asks for, with the defaults of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) replicas: u32,
    /// More pods than that, so many.
    pub(super) surge: u32,
    /// Fewer available pods than that, so many.
    pub(super) unavailable: u32,
    pub(super) recreate: bool,
    pub(super) paused: bool,
}

impl Plan {
    fn of(deployment: &Value) -> Self {
        let replicas = view::number(deployment, "/spec/replicas").unwrap_or(1);
        let recreate = view::text(deployment, "/spec/strategy/type") == "Recreate";
        let rolling = "/spec/strategy/rollingUpdate";
        let surge = share(deployment.pointer(&format!("{rolling}/maxSurge")), replicas, true);
        let unavailable = share(deployment.pointer(&format!("{rolling}/maxUnavailable")), replicas, false);
        let (surge, unavailable) = match (surge, unavailable) {
            _ if recreate => (0, replicas),
            // Nothing could ever move: the API server refuses it written out, and rounding may still come to it.
            (0, 0) => (0, 1),
            (surge, unavailable) => (surge, unavailable.min(replicas)),
        };
        Self { replicas, surge, unavailable, recreate, paused: view::flag(deployment, "/spec/paused") }
    }

    pub(super) const fn least_available(self) -> u32 {
        self.replicas.saturating_sub(self.unavailable)
    }

    pub(super) const fn most(self) -> u32 {
        self.replicas.saturating_add(self.surge)
    }
}

/// A number or a percentage of the replicas; a quarter where it is not said. What cannot be read counts as zero.
pub(super) fn share(value: Option<&Value>, of: u32, round_up: bool) -> u32 {
    let percentage = match value {
        None | Some(Value::Null) => 25,
        Some(Value::Number(number)) => return u32::try_from(number.as_u64().unwrap_or(0)).unwrap_or(u32::MAX),
        Some(value) => {
            let text = value.as_str().unwrap_or_default();
            text.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0)
        }
    };
    let product = u64::from(of) * u64::from(percentage);
    let share = if round_up { product.div_ceil(100) } else { product / 100 };
    u32::try_from(share).unwrap_or(u32::MAX)
}

impl Seen {
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }

    /// How many pods the replica sets ask for.
    pub(super) fn asked(&self) -> u32 {
        self.all().map(|set| replicas(set)).sum()
    }

    /// How many of them are available.
    pub(super) fn available(&self) -> u32 {
        self.all().map(|set| available(set)).sum()
    }
}

/// What a replica set asks for.
pub(super) fn replicas(set: &Value) -> u32 {
    view::number(set, "/spec/replicas").unwrap_or(1)
}

/// What a replica set has available. A status from before its last scaling down counts at most what it asks for.
pub(super) fn available(set: &Value) -> u32 {
    view::count(set, "/status/availableReplicas").min(replicas(set))
}

/// Looks at every deployment.
pub(super) fn reconcile(pass: &Pass<'_>) {
    for deployment in pass.list(DEPLOYMENT, None) {
        if is_sound(&deployment) {
            reconcile_one(pass, &deployment);
        }
    }
}

/// Whether the selector takes the pods of the template, as an API server makes sure. A deployment that does not would
/// get one replica set after another.
fn is_sound(deployment: &Value) -> bool {
    let spec = &deployment["spec"];
    let template = &spec["template"];
    let empty = spec["selector"].as_object().is_none_or(serde_json::Map::is_empty);
    let maps = [template, &template["metadata"], &template["metadata"]["labels"], &template["spec"]];
    maps.into_iter().all(Value::is_object) && !empty && selector::selects(&spec["selector"], &view::labels(template))
}

fn reconcile_one(pass: &Pass<'_>, deployment: &Arc<Value>) {
    let sets = replica_sets(pass, deployment);
    let seen = look(deployment, sets);
    if view::is_deleting(deployment) {
        status::write(pass, &seen, None);
        return;
    }
    if !seen.plan.paused || seen.new.is_some() {
        match history::settle(pass, &seen) {
            Revisions::Same => {}
            // The next pass decides on what was written.
            Revisions::Written => return,
        }
    }
    if seen.plan.paused || scale::is_wanted(&seen) {
        if scale::proportionally(pass, &seen) {
            return;
        }
        status::write(pass, &seen, None);
        history::clean_up(pass, &seen);
        return;
    }
    let mut failure = None;
    if seen.new.is_none() && !(seen.plan.recreate && recreate_must_wait(pass, &seen)) {
        match history::create(pass, &seen) {
            history::Created::Written => return,
            history::Created::Refused(why) => failure = Some(why),
        }
    }
    if rolling::advance(pass, &seen) {
        return;
    }
    status::write(pass, &seen, failure.as_deref());
    if status::is_complete(&seen) {
        history::clean_up(pass, &seen);
    }
}

/// With `Recreate`, no pod of the new template is made while one of an old template still runs, a terminating one
/// included.
fn recreate_must_wait(pass: &Pass<'_>, seen: &Seen) -> bool {
    if seen.old.iter().any(|set| replicas(set) > 0) {
        return true;
    }
    let pods = pass.list(POD, Some(view::namespace(&seen.deployment)));
    pods.iter().any(|pod| {
        let ended = matches!(view::text(pod, "/status/phase"), "Succeeded" | "Failed");
        !ended && seen.old.iter().any(|set| view::is_controlled_by(pod, view::uid(set)))
    })
}

fn look(deployment: &Arc<Value>, sets: Vec<Arc<Value>>) -> Seen {
    let template = &deployment["spec"]["template"];
    let mut new = None;
    let mut old = Vec::new();
    for set in sets {
        // Were there two of one template, the older would count.
        if new.is_none() && history::without_hash(&set["spec"]["template"]) == history::without_hash(template) {
            new = Some(set);
        } else {
            old.push(set);
        }
    }
    Seen { deployment: deployment.clone(), plan: Plan::of(deployment), new, old }
}

/// The replica sets of a deployment, the oldest first. Those that nobody manages and that its selector takes become
/// its own.
fn replica_sets(pass: &Pass<'_>, deployment: &Value) -> Vec<Arc<Value>> {
    let mut sets: Vec<Arc<Value>> = Vec::new();
    for set in pass.list(REPLICA_SET, Some(view::namespace(deployment))) {
        if view::is_controlled_by(&set, view::uid(deployment)) {
            sets.push(set);
        } else if view::controller(&set).is_none()
            && !view::is_deleting(&set)
            && !view::is_deleting(deployment)
            && selector::selects(&deployment["spec"]["selector"], &view::labels(&set))
        {
            let reference = view::controller_reference(DEPLOYMENT, deployment);
            sets.extend(pass.update(WRITER, REPLICA_SET, &set, |set| super::adopt(set, reference)));
        }
    }
    let age = |set: &Value| {
        (view::text(set, "/metadata/creationTimestamp").to_owned(), history::revision(set), view::name(set).to_owned())
    };
    sets.sort_by_cached_key(|set| age(set));
    sets
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(replicas: u32, surge: &Value, unavailable: &Value) -> (u32, u32) {
        let deployment = json!({"spec": {"replicas": replicas, "strategy": {
            "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}
        }}});
        let plan = Plan::of(&deployment);
        (plan.surge, plan.unavailable)
    }

    #[test]
    fn surge_is_rounded_up_and_unavailability_down_and_one_of_them_always_lets_something_move() {
        assert_eq!(plan(10, &json!("25%"), &json!("25%")), (3, 2));
        assert_eq!(plan(1, &json!(null), &json!(null)), (1, 0));
        assert_eq!(plan(3, &json!(0), &json!("10%")), (0, 1));
        assert_eq!(plan(3, &json!("100%"), &json!(7)), (3, 3));
        assert_eq!(plan(3, &json!("many"), &json!(-1)), (0, 1));
    }
}
