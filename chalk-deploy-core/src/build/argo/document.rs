//! The Workflow of a build (Argo Workflows, *Field Reference*). Pure.

use serde_json::{Value, json};

use super::settings::ArgoSettings;
use crate::Result;
use crate::build::envelope;
use crate::cloud::{BuildRequest, FIELD_MANAGER, label};
use crate::kubernetes::WORKFLOW;
use crate::model::{DeploymentId, ObjectReference};

/// The only template, and so the name of the only step.
const TEMPLATE: &str = "build";
/// The parameter with the request.
const REQUEST: &str = "request";
/// The parameter with the bucket's address.
const BUCKET: &str = "bucket";
/// The output parameter with the report, which outlives the pod.
pub(super) const REPORT: &str = "report";
/// The program in the builder's image.
const PROGRAM: &str = "/usr/local/bin/build-image";
/// Where the build container may write.
const WORK: &str = "/work";
/// Where the credentials of registries are mounted.
const REGISTRY_CREDENTIALS: &str = "/registry";
/// Who it runs as: nobody, in the images that it is made from.
const USER: u32 = 65532;
/// How long its pod has to end when it is asked to.
const GRACE: u32 = 5;

/// The name of a deployment's workflow: the same in every process, so that whoever comes after a crash finds it.
pub(super) fn reference(settings: &ArgoSettings, deployment: &DeploymentId) -> ObjectReference {
    ObjectReference {
        api_version: format!("{}/{}", WORKFLOW.group, WORKFLOW.version),
        kind: WORKFLOW.kind.to_owned(),
        namespace: settings.namespace.clone(),
        name: format!("chalk-build-{deployment}"),
    }
}

/// The labels by which a workflow is known as that of a deployment.
pub(super) fn selector(deployment: &DeploymentId) -> String {
    format!("{}={FIELD_MANAGER},{}={deployment}", label::MANAGED_BY, label::DEPLOYMENT)
}

/// The workflow of a build: one step, one pod. A pod a step would cost about ten seconds each for Argo to notice and to
/// start it, and the layers would have to go from one to the next through the bucket.
///
/// # Errors
/// [`RequestInvalid`](crate::ErrorCode::RequestInvalid) for a request that is too long for a workflow.
pub(super) fn workflow(settings: &ArgoSettings, request: &BuildRequest) -> Result<Value> {
    let reference = reference(settings, &request.deployment);
    let seconds = |duration: std::time::Duration| duration.as_secs().max(1);
    let parameter = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut mounts = vec![json!({"name": "work", "mountPath": WORK})];
    let mut volumes = vec![json!({"name": "work", "emptyDir": {"sizeLimit": settings.resources.disk}})];
    let mut variables = vec![json!({"name": "TMPDIR", "value": WORK}), json!({"name": "HOME", "value": WORK})];
    if let Some(secret) = &settings.registry_secret {
        let entry = json!({"key": ".dockerconfigjson", "path": "config.json"});
        volumes.push(json!({"name": "registry", "secret": {"secretName": secret, "items": [entry]}}));
        mounts.push(json!({"name": "registry", "mountPath": REGISTRY_CREDENTIALS, "readOnly": true}));
        variables.push(json!({"name": "DOCKER_CONFIG", "value": REGISTRY_CREDENTIALS}));
    }
    let report = format!("{WORK}/report.json");
    let mut arguments = vec![
        "--request".to_owned(),
        format!("{{{{workflow.parameters.{REQUEST}}}}}"),
        "--bucket".to_owned(),
        format!("{{{{workflow.parameters.{BUCKET}}}}}"),
        "--report".to_owned(),
        "/dev/termination-log".to_owned(),
        "--report".to_owned(),
        report.clone(),
    ];
    for host in &settings.plain_http {
        arguments.extend(["--plain-http".to_owned(), host.clone()]);
    }
    let environment: Vec<_> =
        settings.bucket_secret.iter().map(|secret| json!({"secretRef": {"name": secret}})).collect();
    let resources = &settings.resources;
    Ok(json!({
        "apiVersion": reference.api_version,
        "kind": reference.kind,
        "metadata": {
            "name": reference.name,
            "namespace": reference.namespace,
            "labels": {label::MANAGED_BY: FIELD_MANAGER, label::DEPLOYMENT: request.deployment},
        },
        "spec": {
            "entrypoint": TEMPLATE,
            "arguments": {"parameters": [
                parameter(REQUEST, &envelope::seal(request)?),
                parameter(BUCKET, &settings.bucket),
            ]},
            "serviceAccountName": settings.service_account,
            "activeDeadlineSeconds": seconds(settings.deadline),
            "ttlStrategy": {"secondsAfterCompletion": seconds(settings.kept_for)},
            // A controller may be set up to remove pods at once, and the log with them.
            "podGC": {
                "strategy": "OnWorkflowCompletion",
                "deleteDelayDuration": format!("{}s", seconds(settings.kept_for)),
            },
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "podSpecPatch": json!({"terminationGracePeriodSeconds": GRACE}).to_string(),
            "volumes": volumes,
            "templates": [{
                "name": TEMPLATE,
                "container": {
                    "image": settings.image.to_string(),
                    "command": [PROGRAM],
                    "args": arguments,
                    "env": variables,
                    "envFrom": environment,
                    "resources": {
                        "requests": {"cpu": resources.processors, "memory": resources.memory},
                        "limits": {"memory": resources.memory},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": mounts,
                },
                "outputs": {"parameters": [{"name": REPORT, "valueFrom": {"path": report, "default": ""}}]},
            }],
        },
    }))
}

/// The request that a workflow carries, if it is ours and for this deployment.
pub(super) fn request_of(workflow: &Value, deployment: &DeploymentId) -> Option<BuildRequest> {
    let labels = &workflow["metadata"]["labels"];
    if labels[label::MANAGED_BY] != FIELD_MANAGER || labels[label::DEPLOYMENT] != deployment.as_str() {
        return None;
    }
    let parameters = workflow["spec"]["arguments"]["parameters"].as_array()?;
    let word = parameters.iter().find(|parameter| parameter["name"] == REQUEST)?["value"].as_str()?;
    envelope::open(word).ok().filter(|request| request.deployment == *deployment)
}
