//! Pods, and what makes them.

use serde_json::{Value, json};

use super::{default, each, existing, part};

/// A pod of its own.
pub(super) fn pod(pod: &mut Value) {
    let Some(spec) = existing(pod, "spec") else { return };
    pod_spec(spec);
    default(spec, "enableServiceLinks", true);
    // Admission of service accounts and of priorities.
    default(spec, "serviceAccountName", "default");
    default(spec, "serviceAccount", "default");
    default(spec, "priority", 0);
    default(spec, "preemptionPolicy", "PreemptLowerPriority");
    let class = quality(spec);
    if let Some(status) = part(pod, "status") {
        default(status, "phase", "Pending");
        default(status, "qosClass", class);
    }
}

pub(super) fn deployment(deployment: &mut Value) {
    // A part of the type, which is written also when nothing is in it.
    part(deployment, "status");
    let Some(spec) = existing(deployment, "spec") else { return };
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default(spec, "progressDeadlineSeconds", 600);
    if let Some(strategy) = part(spec, "strategy") {
        default(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate"
            && let Some(rolling) = part(strategy, "rollingUpdate")
        {
            default(rolling, "maxUnavailable", "25%");
            default(rolling, "maxSurge", "25%");
        }
    }
    template(spec);
}

pub(super) fn replica_set(set: &mut Value) {
    let Some(spec) = existing(set, "spec") else { return };
    default(spec, "replicas", 1);
    template(spec);
}

pub(super) fn job(job: &mut Value) {
    let Some(spec) = existing(job, "spec") else { return };
    // Without both a job has one pod; with a parallelism alone it is a queue, which has no number of completions.
    if existing(spec, "parallelism").is_none() {
        default(spec, "completions", 1);
    }
    default(spec, "parallelism", 1);
    default(spec, "backoffLimit", 6);
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    default(spec, "manualSelector", false);
    default(spec, "podReplacementPolicy", "TerminatingOrFailed");
    template(spec);
}

fn template(spec: &mut Value) {
    if let Some(template) = existing(spec, "template")
        && let Some(spec) = existing(template, "spec")
    {
        pod_spec(spec);
    }
}

fn pod_spec(spec: &mut Value) {
    default(spec, "restartPolicy", "Always");
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "securityContext", json!({}));
    default(spec, "schedulerName", "default-scheduler");
    // Two names of one field: the old one follows the new one.
    if let Some(account) = existing(spec, "serviceAccountName").map(|account| account.clone()) {
        spec["serviceAccount"] = account;
    } else if let Some(account) = existing(spec, "serviceAccount").map(|account| account.clone()) {
        spec["serviceAccountName"] = account;
    }
    for list in ["initContainers", "containers"] {
        if let Some(containers) = existing(spec, list) {
            each(containers).for_each(container);
        }
    }
    if let Some(volumes) = existing(spec, "volumes") {
        each(volumes).for_each(volume);
    }
}

fn container(container: &mut Value) {
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    let policy = pull_policy(container["image"].as_str().unwrap_or_default());
    default(container, "imagePullPolicy", policy);
    if let Some(resources) = part(container, "resources")
        && let Some(limits) = existing(resources, "limits").and_then(|limits| limits.as_object().cloned())
        && let Some(requests) = part(resources, "requests")
    {
        for (name, limit) in limits {
            default(requests, &name, limit);
        }
    }
    if let Some(ports) = existing(container, "ports") {
        each(ports).for_each(|port| default(port, "protocol", "TCP"));
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = existing(container, name) {
            self::probe(probe);
        }
    }
    if let Some(lifecycle) = existing(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(http) = existing(lifecycle, hook).and_then(|hook| existing(hook, "httpGet")) {
                http_get(http);
            }
        }
    }
    if let Some(variables) = existing(container, "env") {
        for variable in each(variables) {
            if let Some(field) = existing(variable, "valueFrom").and_then(|from| existing(from, "fieldRef")) {
                default(field, "apiVersion", "v1");
            }
        }
    }
}

/// An image by digest, or by a tag that says which, need not be looked for again.
fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    match name.split_once(':') {
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn probe(probe: &mut Value) {
    default(probe, "timeoutSeconds", 1);
    default(probe, "periodSeconds", 10);
    default(probe, "successThreshold", 1);
    default(probe, "failureThreshold", 3);
    if let Some(http) = existing(probe, "httpGet") {
        http_get(http);
    }
    if let Some(grpc) = existing(probe, "grpc") {
        default(grpc, "service", "");
    }
}

fn http_get(http: &mut Value) {
    default(http, "path", "/");
    default(http, "scheme", "HTTP");
}

fn volume(volume: &mut Value) {
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = existing(volume, source) {
            default(source, "defaultMode", 420);
        }
    }
    let only_named = volume.as_object().is_some_and(|fields| fields.keys().all(|field| field == "name"));
    if only_named {
        volume["emptyDir"] = json!({});
    }
}

/// The class of a pod's quality of service, by what its containers ask for.
fn quality(spec: &Value) -> &'static str {
    let containers: Vec<_> = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| spec[list].as_array().into_iter().flatten())
        .collect();
    let asks = |container: &&Value| {
        ["requests", "limits"]
            .iter()
            .any(|kind| ["cpu", "memory"].iter().any(|name| !container["resources"][kind][name].is_null()))
    };
    let exact = |container: &&Value| {
        ["cpu", "memory"].iter().all(|name| {
            let resources = &container["resources"];
            !resources["limits"][name].is_null() && resources["requests"][name] == resources["limits"][name]
        })
    };
    if !containers.iter().any(asks) {
        "BestEffort"
    } else if containers.iter().all(exact) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pulled_always_only_where_its_name_may_move() {
        for (image, policy) in [
            ("engine", "Always"),
            ("engine:latest", "Always"),
            ("registry:5000/engine", "Always"),
            ("registry:5000/engine:1.2", "IfNotPresent"),
            ("engine@sha256:00", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn a_completed_deployment_is_complete() {
        let mut object = json!({"spec": {"template": {"spec": {"containers": [{
            "name": "a",
            "image": "a@sha256:00",
            "resources": {"limits": {"cpu": "1"}},
            "readinessProbe": {"httpGet": {"port": 80}},
        }]}}}});
        deployment(&mut object);
        let once = object.clone();
        deployment(&mut object);
        assert_eq!(object, once);
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["resources"]["requests"]["cpu"], "1");
        assert_eq!(container["readinessProbe"]["failureThreshold"], 3);
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/");
        assert_eq!(object["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
    }
}
