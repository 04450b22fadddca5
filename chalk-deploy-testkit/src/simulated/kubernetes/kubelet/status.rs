//! What a pod says about itself, from what its containers say.

use serde_json::{Value, json};

use super::container::Restart;
use crate::simulated::kubernetes::controllers::pass::Pass;
use crate::simulated::kubernetes::controllers::view;

/// The phase of a pod, by the rules of its documentation (*Pod Lifecycle*).
pub(super) fn phase(pod: &Value, initialised: bool, init: &[Value], containers: &[Value]) -> &'static str {
    let policy = Restart::of(pod);
    let failed_for_good = |status: &Value| exit_code(status).is_some_and(|code| code != 0 && !policy.again(code));
    if init.iter().any(failed_for_good) {
        return "Failed";
    }
    let never_started = |status: &Value| {
        status.pointer("/state/waiting").is_some() && status.pointer("/lastState/terminated").is_none()
    };
    if !initialised || containers.iter().any(never_started) {
        return "Pending";
    }
    let over = |status: &Value| exit_code(status).is_some_and(|code| !policy.again(code));
    if containers.is_empty() || !containers.iter().all(over) {
        return "Running";
    }
    if containers.iter().all(|status| exit_code(status) == Some(0)) { "Succeeded" } else { "Failed" }
}

pub(super) fn exit_code(status: &Value) -> Option<u64> {
    status.pointer("/state/terminated/exitCode")?.as_u64()
}

/// The conditions of a pod.
pub(super) fn conditions(
    pass: &Pass<'_>,
    pod: &Value,
    phase: &str,
    (init, initialised): (&[Value], bool),
    containers: &[Value],
) -> Vec<Value> {
    let mut conditions = view::items(pod, "/status/conditions").to_vec();
    let mut set = |kind: &str, problem: Option<(&str, String)>| {
        let condition = match problem {
            None => json!({"type": kind, "status": "True"}),
            Some((reason, message)) if message.is_empty() => {
                json!({"type": kind, "status": "False", "reason": reason})
            }
            Some((reason, message)) => {
                json!({"type": kind, "status": "False", "reason": reason, "message": message})
            }
        };
        view::set_condition(&mut conditions, condition, &pass.stamp());
    };
    set("PodReadyToStartContainers", None);
    let incomplete: Vec<_> =
        init.iter().filter(|status| exit_code(status) != Some(0)).map(|status| view::text(status, "/name")).collect();
    set(
        "Initialized",
        (!initialised).then(|| {
            ("ContainersNotInitialized", format!("containers with incomplete status: [{}]", incomplete.join(" ")))
        }),
    );
    let unready: Vec<_> =
        containers.iter().filter(|status| status["ready"] != true).map(|status| view::text(status, "/name")).collect();
    let problem = match phase {
        "Succeeded" => Some(("PodCompleted", String::new())),
        "Failed" => Some(("PodFailed", String::new())),
        _ if !unready.is_empty() => {
            Some(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))))
        }
        _ => None,
    };
    set("ContainersReady", problem.clone());
    set("Ready", problem.or_else(|| closed_gate(pod)));
    conditions
}

/// A readiness gate that nobody has opened.
fn closed_gate(pod: &Value) -> Option<(&'static str, String)> {
    let gate = view::items(pod, "/spec/readinessGates").iter().find(|gate| {
        let kind = view::text(gate, "/conditionType");
        !view::holds(pod, kind)
    })?;
    let kind = view::text(gate, "/conditionType");
    let message = match view::condition(pod, kind) {
        Some(_) => format!("the status of pod readiness gate \"{kind}\" is not \"True\", but False"),
        None => format!("corresponding condition of pod readiness gate \"{kind}\" does not exist."),
    };
    Some(("ReadinessGatesNotReady", message))
}

/// `qosClass`.
pub(super) fn quality(pod: &Value) -> &'static str {
    let containers = view::items(pod, "/spec/containers");
    let said = |container: &Value, section: &str, unit: &str| {
        container.pointer(&format!("/resources/{section}/{unit}")).cloned()
    };
    let units = ["cpu", "memory"];
    let guaranteed = containers.iter().all(|container| {
        units.iter().all(|unit| {
            let limit = said(container, "limits", unit);
            limit.is_some() && said(container, "requests", unit).is_none_or(|request| Some(request) == limit)
        })
    });
    let nothing = containers.iter().all(|container| {
        units.iter().all(|unit| ["requests", "limits"].iter().all(|section| said(container, section, unit).is_none()))
    });
    match (nothing, guaranteed) {
        (true, _) => "BestEffort",
        (false, true) => "Guaranteed",
        (false, false) => "Burstable",
    }
}
