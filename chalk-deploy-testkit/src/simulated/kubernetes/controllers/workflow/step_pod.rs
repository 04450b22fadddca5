//! The pods of steps, as Argo makes them (its `workflow/controller/workflowpod.go` and `workflow/util/pod_name.go`): a
//! container `main` with what the template says, and a container `wait` beside it. Their containers are played here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::WRITER;
use crate::simulated::kubernetes::controllers::pass::Pass;
use crate::simulated::kubernetes::controllers::{pod, view};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{NODE, POD, WORKFLOW};
use crate::simulated::seam::{StepEnd, StepInvocation};

/// The annotation in which this simulation notes the template.
pub(super) const TEMPLATE: &str = "simulated.chalk.ai/template";

/// The name of a step's pod (version 2 of Argo's names).
pub(super) fn name(workflow: &str, node: &str, template: &str) -> String {
    if workflow == node {
        return workflow.to_owned();
    }
    let hash = node.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{workflow}-{template}-{hash}")
}

/// The pod of a step, if it is there and its own.
pub(super) fn find(pass: &Pass<'_>, workflow: &Value, name: &str) -> Option<Arc<Value>> {
    let pod = pass.objects.get(&Key::new(POD, view::namespace(workflow), name))?;
    view::is_controlled_by(&pod, view::uid(workflow)).then_some(pod)
}

/// Makes the pod of a step.
///
/// # Errors
/// Why it cannot be made, as the node's message has it.
pub(super) fn create(
    pass: &Pass<'_>,
    workflow: &Value,
    (id, node): (&str, &str),
    template: &Value,
) -> Result<Arc<Value>, String> {
    let of = view::text(template, "/name");
    let key = Key::new(POD, view::namespace(workflow), name(view::name(workflow), node, of));
    let mut main = json!({"name": "main", "image": "none"});
    for kind in ["container", "script"] {
        if let Some(fields) = template.get(kind).and_then(Value::as_object) {
            for (field, value) in fields {
                main[field] = value.clone();
            }
        }
    }
    let main = replaced(&main, workflow)?;
    let spec = &workflow["spec"];
    let mut fields = json!({
        "containers": [{"name": "wait", "image": "argoexec"}, main],
        "restartPolicy": "Never",
    });
    for (field, of) in
        [("serviceAccountName", "serviceAccountName"), ("volumes", "volumes"), ("securityContext", "securityContext")]
    {
        if !spec[of].is_null() {
            fields[field] = spec[of].clone();
        }
    }
    if let Ok(Value::Object(patch)) = serde_json::from_str(view::text(workflow, "/spec/podSpecPatch")) {
        for (field, value) in patch {
            fields[field] = value;
        }
    }
    let metadata = json!({
        "labels": {"workflows.argoproj.io/workflow": view::name(workflow), "workflows.argoproj.io/completed": "false"},
        "annotations": {
            "workflows.argoproj.io/node-id": id, "workflows.argoproj.io/node-name": node,
            pod::PLAYED: "true", TEMPLATE: of,
        },
        "ownerReferences": [view::controller_reference(WORKFLOW, workflow)],
    });
    let document = json!({"metadata": metadata, "spec": fields, "status": {"phase": "Pending"}});
    pass.create(WRITER, &key, document).map_err(|status| status.message)
}

/// Replaces the workflow's parameters in every text of a container. Argo replaces in the text of the whole template, and
/// so would this: a value with quotes stays one text, and one with braces is looked at again by later rounds, which is
/// an error here.
fn replaced(value: &Value, workflow: &Value) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => {
            let mut text = text.clone();
            for parameter in view::items(workflow, "/spec/arguments/parameters") {
                let (name, value) = (view::text(parameter, "/name"), view::text(parameter, "/value"));
                if text.contains(name) && value.contains("{{") {
                    return Err(format!("the parameter '{name}' holds what Argo would look at as a template"));
                }
                text = text.replace(&format!("{{{{workflow.parameters.{name}}}}}"), value);
            }
            if text.contains("{{") {
                return Err(format!("failed to resolve {text}"));
            }
            text.into()
        }
        Value::Array(items) => items.iter().map(|item| replaced(item, workflow)).collect::<Result<_, _>>()?,
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok((name.clone(), replaced(value, workflow)?)));
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

/// What its container is started with.
pub(super) fn invocation(pod: &Value) -> StepInvocation {
    let containers = view::items(pod, "/spec/containers");
    let main = containers.iter().find(|container| container["name"] == "main").unwrap_or(&Value::Null);
    let texts = |list: &str| view::items(main, list).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let environment: BTreeMap<_, _> = view::items(main, "/env")
        .iter()
        .map(|entry| (view::text(entry, "/name").to_owned(), view::text(entry, "/value").to_owned()))
        .collect();
    StepInvocation { image: view::text(main, "/image").to_owned(), arguments: texts("/args"), environment }
}

/// Lets its containers run.
pub(super) fn run(pass: &Pass<'_>, pod: &Value) {
    if view::text(pod, "/status/phase") != "Pending" {
        return;
    }
    let now = pass.stamp();
    let running = |name: &str| json!({"name": name, "ready": true, "state": {"running": {"startedAt": now}}});
    let node = pass.list(NODE, None).first().map(|node| view::name(node).to_owned()).unwrap_or_default();
    let status = json!({
        "phase": "Running", "startTime": now, "containerStatuses": [running("main"), running("wait")],
    });
    pass.update(WRITER, POD, pod, |pod| {
        pod["spec"]["nodeName"] = node.into();
        pod["status"] = status;
    });
}

/// Ends its containers.
pub(super) fn finish(pass: &Pass<'_>, pod: &Value, end: &StepEnd) {
    if pod::has_ended(pod) {
        return;
    }
    let now = pass.stamp();
    let state = |code: u8, message: &str| {
        let reason = match code {
            0 => "Completed",
            137 => "OOMKilled",
            _ => "Error",
        };
        let mut state = json!({"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now});
        if !message.is_empty() {
            state["message"] = message.into();
        }
        json!({"terminated": state})
    };
    let status = json!({
        "phase": if end.code == 0 { "Succeeded" } else { "Failed" },
        "startTime": now,
        "containerStatuses": [
            {"name": "main", "ready": false, "state": state(end.code, &end.message)},
            {"name": "wait", "ready": false, "state": state(0, "")},
        ],
    });
    pass.set_status(WRITER, POD, pod, status);
}

/// What Argo makes of a container's end (`inferFailedReason`).
pub(super) fn message(end: &StepEnd) -> String {
    let reason = if end.code == 137 { "OOMKilled" } else { "Error" };
    let words = format!("main: {reason} (exit code {})", end.code);
    if end.message.is_empty() { words } else { format!("{words}: {}", end.message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_named_as_argo_names_them() {
        assert_eq!(name("build", "build", "main"), "build");
        // fnv-1a of "build[0].fetch", in 32 bits.
        assert_eq!(name("build", "a", "fetch"), "build-fetch-3826002220");
    }
}
