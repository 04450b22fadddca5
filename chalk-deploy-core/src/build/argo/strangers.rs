//! The pod in which a project's own Dockerfile is built: strangers' commands between two containers of ours. Pure.
//!
//! They run in an init container, so that they have ended, with all that they have started, before the container begins
//! that may push. It is root in there, because an executor without a daemon (kaniko) takes images apart over its own root
//! and sets owners; it has the rights that this takes, and the ones of Kubernetes' level *baseline* are more. What would
//! make it more than that is kept from it: the account of the cluster, the bucket, the registry that is pushed to, and
//! Argo's own programs, which the container after it runs.

use serde_json::{Value, json};

use super::document::{Ours, Template, docker_config, resources, volumes};
use super::settings::{ArgoSettings, DockerfileSettings};
use crate::build::dockerfile::{PLAN, PLANNED_REQUEST, SOURCE, planned_dockerfile, tarball_of};
use crate::cloud::BuildRequest;
use crate::model::Component;

/// The container that unpacks the source.
pub(super) const UNPACK: &str = "unpack";
/// How the names of the containers begin that run a Dockerfile.
pub(super) const DOCKERFILE: &str = "dockerfile-";

/// Everything of ours in these pods lies below it, and nothing below it becomes part of an image.
const OURS: &str = "/chalk";
/// Source and plans.
const PROJECT: &str = "/chalk/project";
/// What the executor leaves.
const IMAGES: &str = "/chalk/image";
/// The executor, by its place in its own image: nothing that is looked for by name could be put there by a stranger.
const EXECUTOR: &str = "/kaniko/executor";
/// Where it looks for credentials of registries.
const EXECUTOR_CREDENTIALS: &str = "/kaniko/.docker";
/// Where Kubernetes puts the token of the service account, unless something is there.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Where Argo keeps the programs that it starts other containers with.
const ARGO: &str = "/var/run/argo";

/// Owners, permissions and users of the files of an image, and commands of other users than root.
const CAPABILITIES: [&str; 7] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP", "SETGID", "SETUID"];

/// The name of the container that runs the Dockerfile for a component.
fn container_of(component: Component) -> String {
    format!("{DOCKERFILE}{component}")
}

/// The pod.
pub(super) fn template(settings: &ArgoSettings, executor: &DockerfileSettings, request: &BuildRequest) -> Template {
    let components: Vec<_> = request.base_images.iter().map(|base| base.component).collect();
    let strangers: Vec<_> = components.iter().copied().map(container_of).collect();
    let mut before = vec![unpack(settings, executor)];
    before.extend(components.iter().map(|component| run(settings, executor, *component, &request.platform)));
    let mut volumes = volumes(settings);
    let disk = &executor.resources.disk;
    volumes.extend(["project", "image"].map(|name| json!({"name": name, "emptyDir": {"sizeLimit": disk}})));
    volumes.push(json!({"name": "nothing", "emptyDir": {"sizeLimit": "1Mi"}}));
    volumes.extend(executor.base_secret.as_deref().map(|secret| docker_config("bases", secret)));
    // Argo gives every init container the folder with the programs that it starts the others with.
    let without = |name: &String| json!({"name": name, "volumeMounts": [{"mountPath": ARGO, "$patch": "delete"}]});
    let patch = json!({"initContainers": strangers.iter().map(without).collect::<Vec<_>>()});
    Template { before, main: push(settings, executor), volumes, patch, strangers }
}

/// Unpacks the source, and judges the Dockerfile.
fn unpack(settings: &ArgoSettings, executor: &DockerfileSettings) -> Value {
    let mut ours = Ours::new(settings, UNPACK);
    ours.reads_request();
    ours.reads_bucket();
    ours.argue("--project", PROJECT);
    for repository in executor.bases.tags_allowed() {
        ours.argue("--allow-tags-of", repository);
    }
    ours.reports();
    ours.mount(json!({"name": "project", "mountPath": PROJECT}));
    ours.into_container(Some(UNPACK))
}

/// Runs the Dockerfile for a component.
fn run(settings: &ArgoSettings, executor: &DockerfileSettings, component: Component, platform: &str) -> Value {
    let mut arguments = vec![
        format!("--context=dir://{PROJECT}/{SOURCE}"),
        format!("--dockerfile={PROJECT}/{PLAN}/{}", planned_dockerfile(component)),
        format!("--custom-platform={platform}"),
        format!("--tar-path={IMAGES}/{}", tarball_of(component)),
        "--no-push".to_owned(),
        "--no-push-cache".to_owned(),
        format!("--ignore-path={OURS}"),
        "--log-format=text".to_owned(),
        // It is in a container, and does not find that out everywhere.
        "--force".to_owned(),
    ];
    arguments.extend(settings.plain_http.iter().map(|host| format!("--insecure-registry={host}")));
    let mut mounts = vec![
        json!({"name": "project", "mountPath": PROJECT, "readOnly": true}),
        json!({"name": "image", "mountPath": IMAGES}),
        json!({"name": "nothing", "mountPath": ACCOUNT, "readOnly": true}),
    ];
    if executor.base_secret.is_some() {
        mounts.push(json!({"name": "bases", "mountPath": EXECUTOR_CREDENTIALS, "readOnly": true}));
    }
    json!({
        "name": container_of(component),
        "image": executor.image.to_string(),
        "command": [EXECUTOR],
        "args": arguments,
        "env": [{"name": "DOCKER_CONFIG", "value": EXECUTOR_CREDENTIALS}],
        "resources": resources(&executor.resources),
        "securityContext": {
            "runAsNonRoot": false, "runAsUser": 0, "runAsGroup": 0,
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"], "add": CAPABILITIES},
        },
        "volumeMounts": mounts,
    })
}

/// Verifies what was made, and pushes it.
fn push(settings: &ArgoSettings, executor: &DockerfileSettings) -> Value {
    let mut ours = Ours::new(settings, "push");
    ours.argue("--request-file", &format!("{PROJECT}/{PLAN}/{PLANNED_REQUEST}"));
    ours.argue("--images", IMAGES);
    if executor.policy.allows_root {
        ours.flag("--allow-root");
    }
    ours.reports_images();
    ours.reaches_registries();
    ours.mount(json!({"name": "project", "mountPath": PROJECT, "readOnly": true}));
    ours.mount(json!({"name": "image", "mountPath": IMAGES, "readOnly": true}));
    ours.into_container(None)
}
