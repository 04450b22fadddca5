//! What the gateway says of a route. Pure.

use crate::cloud::Settlement;
use crate::manifests::http_route::{Condition, HttpRoute, ParentReference};
use crate::text;

/// The reasons of an `Accepted=False` that pass by themselves (`Pending` of Gateway API).
const PASSING: &[&str] = &["Pending"];

/// The reason of a `ResolvedRefs=False` that passes when the gateway has seen the service, too: it learns of routes and of
/// services on different ways.
const NOT_FOUND: &str = "BackendNotFound";

/// Whether the gateway acts on the route as it is stored now. Both conditions must be about this generation: what is
/// said of an older one says nothing.
pub(super) fn judge(route: &HttpRoute, gateway: &ParentReference, controller: Option<&str>) -> Settlement {
    let own = route.metadata.namespace.as_deref();
    let is_meant = |parent: &ParentReference| {
        let namespace = parent.namespace.as_deref().or(own);
        parent.kind.as_deref().unwrap_or("Gateway") == "Gateway"
            && parent.name == gateway.name
            && namespace == gateway.namespace.as_deref().or(own)
            && parent.section_name == gateway.section_name
    };
    let mut said = route
        .status
        .parents
        .iter()
        .filter(|parent| is_meant(&parent.parent_ref))
        .filter(|parent| controller.is_none_or(|controller| parent.controller_name == controller));
    let Some(parent) = said.next() else { return Settlement::Pending };
    let generation = route.metadata.generation;
    let current = |kind: &str| {
        parent.conditions.iter().find(|condition| {
            condition.kind == kind && condition.observed_generation == generation && generation.is_some()
        })
    };
    let (accepted, resolved) = (current("Accepted"), current("ResolvedRefs"));
    for condition in [accepted, resolved].into_iter().flatten() {
        if condition.status == "False" && !PASSING.contains(&condition.reason.as_str()) {
            let reason = reason(condition);
            let passes = condition.reason == NOT_FOUND;
            return if passes { Settlement::Unresolved(reason) } else { Settlement::Refused(reason) };
        }
    }
    let holds = |condition: Option<&Condition>| condition.is_some_and(|condition| condition.status == "True");
    if holds(accepted) && holds(resolved) { Settlement::Settled } else { Settlement::Pending }
}

fn reason(condition: &Condition) -> String {
    let Condition { kind, reason, message, .. } = condition;
    let words = if message.is_empty() { reason.clone() } else { format!("{reason}: {message}") };
    format!("{} is false, {}", text::line(kind, 60), text::line(&words, 300))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "a test writes the value where it calls")]
    fn judged(parents: Value, controller: Option<&str>) -> Settlement {
        let route = json!({
            "apiVersion": "x", "kind": "HTTPRoute", "metadata": {"name": "r", "namespace": "ns", "generation": 3},
            "status": {"parents": parents},
        });
        let gateway = ParentReference {
            namespace: Some("gateways".to_owned()),
            name: "public".to_owned(),
            ..ParentReference::default()
        };
        judge(&serde_json::from_value(route).expect("a route"), &gateway, controller)
    }

    fn parent(accepted: (&str, &str, i64), resolved: (&str, &str, i64)) -> Value {
        let condition = |kind, (status, reason, generation): (&str, &str, i64)| json!({"type": kind, "status": status, "reason": reason, "message": "why", "observedGeneration": generation});
        json!({
            "parentRef": {"name": "public", "namespace": "gateways"}, "controllerName": "ours",
            "conditions": [condition("Accepted", accepted), condition("ResolvedRefs", resolved)],
        })
    }

    #[test]
    fn only_what_is_said_of_the_stored_generation_counts() {
        let good = ("True", "Accepted", 3);
        let old = ("True", "Accepted", 2);
        for (accepted, resolved, settlement) in [
            (good, good, Settlement::Settled),
            (old, good, Settlement::Pending),
            (good, old, Settlement::Pending),
            (("Unknown", "Pending", 3), good, Settlement::Pending),
            (("False", "Pending", 3), good, Settlement::Pending),
            (good, ("False", "BackendNotFound", 2), Settlement::Pending),
        ] {
            assert_eq!(judged(json!([parent(accepted, resolved)]), None), settlement, "{accepted:?} {resolved:?}");
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_reason() {
        let resolved = |reason| json!([parent(("True", "Accepted", 3), ("False", reason, 3))]);
        let refused = Settlement::Refused("ResolvedRefs is false, RefNotPermitted: why".to_owned());
        assert_eq!(judged(resolved("RefNotPermitted"), None), refused);
        let unresolved = Settlement::Unresolved("ResolvedRefs is false, BackendNotFound: why".to_owned());
        assert_eq!(judged(resolved("BackendNotFound"), None), unresolved);
    }

    #[test]
    fn another_gateway_or_another_controller_says_nothing() {
        let good = ("True", "Accepted", 3);
        let ours = parent(good, good);
        let mut other = ours.clone();
        other["parentRef"]["namespace"] = json!("elsewhere");
        assert_eq!(judged(json!([other]), None), Settlement::Pending);
        assert_eq!(judged(json!([ours]), Some("ours")), Settlement::Settled);
        assert_eq!(judged(json!([ours]), Some("theirs")), Settlement::Pending);
        assert_eq!(judged(json!([]), None), Settlement::Pending);
    }
}
