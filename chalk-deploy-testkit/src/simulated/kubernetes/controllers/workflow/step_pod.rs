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

/// The container that does a step's work.
pub(super) const MAIN: &str = "main";

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
    if !template["initContainers"].is_null() {
        // Argo's own comes first, and each gets the folder with Argo's programs.
        let mut before = replaced(&template["initContainers"], workflow)?;
        for container in before.as_array_mut().into_iter().flatten() {
            let mut mounts = view::items(container, "/volumeMounts").to_vec();
            mounts.push(json!({"name": "var-run-argo", "mountPath": "/var/run/argo"}));
            container["volumeMounts"] = mounts.into();
        }
        let mut containers = vec![json!({"name": "init", "image": "argoexec"})];
        containers.extend(before.as_array().into_iter().flatten().cloned());
        fields["initContainers"] = containers.into();
    }
    if let Ok(Value::Object(patch)) = serde_json::from_str(view::text(workflow, "/spec/podSpecPatch")) {
        for (field, value) in patch {
            match field.as_str() {
                "initContainers" => patch_containers(&mut fields["initContainers"], &value)?,
                _ => fields[field] = value,
            }
        }
    }
    let mut metadata = json!({
        "labels": {"workflows.argoproj.io/workflow": view::name(workflow), "workflows.argoproj.io/completed": "false"},
        "annotations": {
            "workflows.argoproj.io/node-id": id, "workflows.argoproj.io/node-name": node,
            pod::PLAYED: "true", TEMPLATE: of,
        },
        "ownerReferences": [view::controller_reference(WORKFLOW, workflow)],
    });
    for kind in ["labels", "annotations"] {
        for (name, value) in spec["podMetadata"][kind].as_object().into_iter().flatten() {
            metadata[kind][name] = value.clone();
        }
    }
    let document = json!({"metadata": metadata, "spec": fields, "status": {"phase": "Pending"}});
    pass.create(WRITER, &key, document).map_err(|status| status.message)
}

/// A strategic merge patch of containers, as far as it takes mounts away: containers go by name, mounts by their path.
fn patch_containers(containers: &mut Value, patches: &Value) -> Result<(), String> {
    for patch in patches.as_array().into_iter().flatten() {
        let mut of = containers.as_array_mut().into_iter().flatten();
        let container = of.find(|container| container["name"] == patch["name"]);
        let container = container.ok_or_else(|| format!("the patch names no container: {patch}"))?;
        for mount in view::items(patch, "/volumeMounts") {
            if mount["$patch"] != "delete" {
                return Err(format!("this simulation knows no such patch: {patch}"));
            }
            let left =
                view::items(container, "/volumeMounts").iter().filter(|of| of["mountPath"] != mount["mountPath"]);
            container["volumeMounts"] = left.cloned().collect::<Vec<_>>().into();
        }
    }
    Ok(())
}

/// The containers of the template that run before the main one.
pub(super) fn before(pod: &Value) -> Vec<String> {
    let names = view::items(pod, "/spec/initContainers").iter().map(|container| view::text(container, "/name"));
    names.filter(|name| *name != "init").map(str::to_owned).collect()
}

/// Tells how the containers before the main one stand: these have ended, and this one runs. One that has failed ends the
/// pod.
pub(super) fn initialise(pass: &Pass<'_>, pod: &Value, ended: &[(String, StepEnd)], running: Option<&str>) {
    if view::text(pod, "/status/phase") != "Pending" {
        return;
    }
    let now = pass.stamp();
    // What has ended keeps the time of its end.
    let known = |name: &str| {
        let statuses = view::items(pod, "/status/initContainerStatuses");
        let status = statuses.iter().find(|status| status["name"] == name);
        status.filter(|status| status["state"]["terminated"].is_object()).cloned()
    };
    let mut statuses: Vec<_> = ended
        .iter()
        .map(|(name, end)| {
            known(name).unwrap_or_else(|| json!({"name": name, "ready": end.code == 0, "state": terminated(end, &now)}))
        })
        .collect();
    statuses
        .extend(running.map(|name| json!({"name": name, "ready": false, "state": {"running": {"startedAt": now}}})));
    let has_failed = ended.iter().any(|(_, end)| end.code != 0);
    let waiting = json!({"waiting": {"reason": "PodInitializing"}});
    let waiting = ["main", "wait"].map(|name| json!({"name": name, "ready": false, "state": waiting}));
    let is_told = view::items(pod, "/status/initContainerStatuses").len() == statuses.len()
        && view::items(pod, "/status/initContainerStatuses").iter().zip(&statuses).all(|(told, status)| {
            told["name"] == status["name"]
                && told["state"]["terminated"].is_object() == status["state"]["terminated"].is_object()
        });
    if is_told && !has_failed {
        return;
    }
    let status = json!({
        "phase": if has_failed { "Failed" } else { "Pending" },
        "startTime": now, "initContainerStatuses": statuses, "containerStatuses": waiting,
    });
    pass.update(WRITER, POD, pod, |pod| pod["status"] = status);
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

/// What a container of it is started with.
pub(super) fn invocation(pod: &Value, name: &str) -> StepInvocation {
    let containers = ["/spec/initContainers", "/spec/containers"].map(|of| view::items(pod, of));
    let main = containers.into_iter().flatten().find(|container| container["name"] == name).unwrap_or(&Value::Null);
    let texts = |list: &str| view::items(main, list).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let environment: BTreeMap<_, _> = view::items(main, "/env")
        .iter()
        .map(|entry| (view::text(entry, "/name").to_owned(), view::text(entry, "/value").to_owned()))
        .collect();
    StepInvocation {
        pod: view::uid(pod).to_owned(),
        container: name.to_owned(),
        image: view::text(main, "/image").to_owned(),
        arguments: texts("/args"),
        environment,
    }
}

/// Lets its containers run.
pub(super) fn run(pass: &Pass<'_>, pod: &Value) {
    if view::text(pod, "/status/phase") != "Pending" {
        return;
    }
    let now = pass.stamp();
    let running = |name: &str| json!({"name": name, "ready": true, "state": {"running": {"startedAt": now}}});
    let node = pass.list(NODE, None).first().map(|node| view::name(node).to_owned()).unwrap_or_default();
    let mut status = json!({
        "phase": "Running", "startTime": now, "containerStatuses": [running("main"), running("wait")],
    });
    keep_before(pod, &mut status);
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
    let mut status = json!({
        "phase": if end.code == 0 { "Succeeded" } else { "Failed" },
        "startTime": now,
        "containerStatuses": [
            {"name": "main", "ready": false, "state": terminated(end, &now)},
            {"name": "wait", "ready": false, "state": terminated(&StepEnd::default(), &now)},
        ],
    });
    keep_before(pod, &mut status);
    pass.set_status(WRITER, POD, pod, status);
}

/// What is before the main container stays told.
fn keep_before(pod: &Value, status: &mut Value) {
    let before = &pod["status"]["initContainerStatuses"];
    if !before.is_null() {
        status["initContainerStatuses"] = before.clone();
    }
}

/// The state of a container that has ended.
fn terminated(end: &StepEnd, now: &str) -> Value {
    let reason = match end.code {
        0 => "Completed",
        137 => "OOMKilled",
        _ => "Error",
    };
    let mut state = json!({"exitCode": end.code, "reason": reason, "startedAt": now, "finishedAt": now});
    if !end.message.is_empty() {
        state["message"] = end.message.clone().into();
    }
    json!({"terminated": state})
}

/// What Argo makes of a container's end (`inferFailedReason`).
pub(super) fn message(name: &str, end: &StepEnd) -> String {
    let reason = if end.code == 137 { "OOMKilled" } else { "Error" };
    let words = format!("{name}: {reason} (exit code {})", end.code);
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
