//! The Workflow of a build (Argo Workflows, *Field Reference*). Pure.

use serde_json::{Value, json};

use super::settings::{ArgoSettings, BuildResources};
use super::strangers;
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
/// Where it is read from.
const REPORT_FILE: &str = "/work/report.json";
/// The program in the builder's image.
const PROGRAM: &str = "/usr/local/bin/build-image";
/// Where a container of ours may write.
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

/// What differs between a build of layers and one of a Dockerfile.
pub(super) struct Template {
    /// The containers before the last one, in their order.
    pub(super) before: Vec<Value>,
    /// The container that reports the images.
    pub(super) main: Value,
    pub(super) volumes: Vec<Value>,
    /// What our builder's pod is patched with.
    pub(super) patch: Value,
    /// The containers that run strangers' commands.
    pub(super) strangers: Vec<String>,
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
    let template = match &settings.dockerfiles {
        Some(executor) if request.settings.dockerfile.is_some() => strangers::template(settings, executor, request),
        _ => layers(settings),
    };
    let mut patch = template.patch;
    patch["terminationGracePeriodSeconds"] = GRACE.into();
    let mut step = json!({
        "name": TEMPLATE,
        "container": template.main,
        "outputs": {"parameters": [{"name": REPORT, "valueFrom": {"path": REPORT_FILE, "default": ""}}]},
    });
    if !template.before.is_empty() {
        step["initContainers"] = template.before.into();
    }
    let mut workflow = json!({
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
            "podSpecPatch": patch.to_string(),
            "volumes": template.volumes,
            "templates": [step],
        },
    });
    if let Some(metadata) = settings.identity.pod_metadata(&template.strangers) {
        workflow["spec"]["podMetadata"] = metadata;
    }
    Ok(workflow)
}

/// One container of ours, which reads, builds and pushes.
fn layers(settings: &ArgoSettings) -> Template {
    let mut main = Ours::new(settings, "build");
    main.reads_request();
    main.reports_images();
    main.reads_bucket();
    main.reaches_registries();
    Template {
        volumes: volumes(settings),
        main: main.into_container(None),
        before: Vec::new(),
        patch: json!({}),
        strangers: Vec::new(),
    }
}

/// The volumes that containers of ours mount.
pub(super) fn volumes(settings: &ArgoSettings) -> Vec<Value> {
    let mut volumes = vec![json!({"name": "work", "emptyDir": {"sizeLimit": settings.resources.disk}})];
    volumes.extend(settings.registry_secret.as_deref().map(|secret| docker_config("registry", secret)));
    volumes
}

/// A volume with the credentials of registries, as `config.json`.
pub(super) fn docker_config(name: &str, secret: &str) -> Value {
    let entry = json!({"key": ".dockerconfigjson", "path": "config.json"});
    json!({"name": name, "secret": {"secretName": secret, "items": [entry]}})
}

/// What a container reserves, and may use.
pub(super) fn resources(resources: &BuildResources) -> Value {
    json!({
        "requests": {"cpu": resources.processors, "memory": resources.memory},
        "limits": {"memory": resources.memory},
    })
}

/// A container that runs our program: nobody, with nothing to write to but its volumes.
pub(super) struct Ours<'settings> {
    settings: &'settings ArgoSettings,
    arguments: Vec<String>,
    variables: Vec<Value>,
    mounts: Vec<Value>,
    environment: Vec<Value>,
}

impl<'settings> Ours<'settings> {
    /// One that does this.
    pub(super) fn new(settings: &'settings ArgoSettings, what: &str) -> Self {
        Self {
            settings,
            arguments: vec![what.to_owned()],
            variables: vec![json!({"name": "TMPDIR", "value": WORK}), json!({"name": "HOME", "value": WORK})],
            mounts: vec![json!({"name": "work", "mountPath": WORK})],
            environment: Vec::new(),
        }
    }

    pub(super) fn argue(&mut self, name: &str, value: &str) {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
    }

    pub(super) fn flag(&mut self, name: &str) {
        self.arguments.push(name.to_owned());
    }

    pub(super) fn mount(&mut self, mount: Value) {
        self.mounts.push(mount);
    }

    /// It is given the request, and where the bucket is.
    pub(super) fn reads_request(&mut self) {
        self.argue("--request", &format!("{{{{workflow.parameters.{REQUEST}}}}}"));
        self.argue("--bucket", &format!("{{{{workflow.parameters.{BUCKET}}}}}"));
    }

    /// It leaves a report where the pod's status shows it.
    pub(super) fn reports(&mut self) {
        self.argue("--report", "/dev/termination-log");
    }

    /// It leaves a report with the images, there and as an output.
    pub(super) fn reports_images(&mut self) {
        self.reports();
        self.argue("--report", REPORT_FILE);
    }

    /// It gets the bucket's credentials.
    pub(super) fn reads_bucket(&mut self) {
        self.environment
            .extend(self.settings.bucket_secret.iter().map(|secret| json!({"secretRef": {"name": secret}})));
    }

    /// It gets the credentials of the registries.
    pub(super) fn reaches_registries(&mut self) {
        if self.settings.registry_secret.is_some() {
            self.mounts.push(json!({"name": "registry", "mountPath": REGISTRY_CREDENTIALS, "readOnly": true}));
            self.variables.push(json!({"name": "DOCKER_CONFIG", "value": REGISTRY_CREDENTIALS}));
        }
    }

    /// The container; one that comes before the last needs a name.
    pub(super) fn into_container(mut self, name: Option<&str>) -> Value {
        for host in &self.settings.plain_http {
            self.arguments.extend(["--plain-http".to_owned(), host.clone()]);
        }
        let mut container = json!({
            "image": self.settings.image.to_string(),
            "command": [PROGRAM],
            "args": self.arguments,
            "env": self.variables,
            "envFrom": self.environment,
            "resources": resources(&self.settings.resources),
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": self.mounts,
        });
        if let Some(name) = name {
            container["name"] = name.into();
        }
        container
    }
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
