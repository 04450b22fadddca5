//! The pods of a component.
//!
//! They pass the level `restricted` of the Pod Security Standards. A pod that goes leaves the endpoints first: for
//! [`LEAVE_SECONDS`] it waits in `preStop`, which is longer than endpoints and a gateway take to notice, and then it
//! has the rest of its grace period for the requests under way.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::config_map::ConfigMap;
use super::object::{LabelSelector, Labels, Metadata, Object, labels, metadata};
use super::{WorkloadSettings, is_scaled, least_instances, object_name};
use crate::model::{Component, DeploymentPlan, ImageReference};

/// The port on which a component's container serves, and its name.
const CONTAINER_PORT: u16 = 8080;
pub(super) const PORT_NAME: &str = "http";
/// The annotation of a pod template by which other settings make other pods.
const CHECKSUM: &str = "chalk.ai/settings-checksum";
/// How long a pod that goes still serves before it is told to end.
const LEAVE_SECONDS: u32 = 10;
/// From there to the end: Envoy gives up a request after 15 s by default; twice that leaves room.
const GRACE_SECONDS: u32 = LEAVE_SECONDS + 30;
/// How often a container that begins is asked whether it has begun.
const STARTUP_PERIOD_SECONDS: u32 = 2;
/// No user of the image's own: a name in an image's configuration cannot be checked to be another than root.
const USER: u32 = 65532;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeploymentSpecification {
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<u32>,
    revision_history_limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_deadline_seconds: Option<u64>,
    selector: LabelSelector,
    strategy: UpdateStrategy,
    template: PodTemplate,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UpdateStrategy {
    r#type: &'static str,
    rolling_update: RollingUpdate,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RollingUpdate {
    max_surge: u32,
    max_unavailable: u32,
}

#[derive(Debug, Serialize)]
struct PodTemplate {
    metadata: Metadata,
    spec: PodSpecification,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PodSpecification {
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account_name: Option<String>,
    automount_service_account_token: bool,
    enable_service_links: bool,
    security_context: PodSecurity,
    termination_grace_period_seconds: u32,
    topology_spread_constraints: Vec<Spread>,
    containers: Vec<Container>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PodSecurity {
    run_as_non_root: bool,
    run_as_user: u32,
    run_as_group: u32,
    fs_group: u32,
    seccomp_profile: SeccompProfile,
}

#[derive(Debug, Serialize)]
struct SeccompProfile {
    r#type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spread {
    max_skew: u32,
    topology_key: &'static str,
    when_unsatisfiable: &'static str,
    label_selector: LabelSelector,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: &'static str,
    image: String,
    image_pull_policy: &'static str,
    ports: Vec<ContainerPort>,
    env: Vec<EnvironmentVariable>,
    env_from: Vec<EnvironmentSource>,
    resources: Resources,
    startup_probe: Probe,
    readiness_probe: Probe,
    liveness_probe: Probe,
    lifecycle: Lifecycle,
    security_context: ContainerSecurity,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    name: &'static str,
    container_port: u16,
    protocol: &'static str,
}

#[derive(Debug, Serialize)]
struct EnvironmentVariable {
    name: &'static str,
    value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EnvironmentSource {
    config_map_ref: ObjectReference,
}

#[derive(Debug, Serialize)]
struct ObjectReference {
    name: String,
}

#[derive(Debug, Serialize)]
struct Resources {
    requests: BTreeMap<&'static str, &'static str>,
    limits: BTreeMap<&'static str, &'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    http_get: HttpGet,
    period_seconds: u32,
    timeout_seconds: u32,
    failure_threshold: u32,
}

#[derive(Debug, Serialize)]
struct HttpGet {
    path: &'static str,
    port: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle {
    pre_stop: Handler,
}

#[derive(Debug, Serialize)]
struct Handler {
    sleep: Sleep,
}

#[derive(Debug, Serialize)]
struct Sleep {
    seconds: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerSecurity {
    allow_privilege_escalation: bool,
    capabilities: Capabilities,
}

#[derive(Debug, Serialize)]
struct Capabilities {
    drop: Vec<&'static str>,
}

pub(super) fn deployment(
    plan: &DeploymentPlan,
    component: Component,
    image: &ImageReference,
    settings: &WorkloadSettings,
    config: &ConfigMap,
) -> Object<DeploymentSpecification> {
    let labels = labels(plan, component);
    let template =
        Metadata { name: None, labels: labels.clone(), annotations: BTreeMap::from([(CHECKSUM, config.checksum())]) };
    Object {
        api_version: "apps/v1",
        kind: "Deployment",
        metadata: metadata(plan, component),
        spec: DeploymentSpecification {
            replicas: (!is_scaled(plan.sizing)).then(|| least_instances(plan.sizing)),
            revision_history_limit: 2,
            progress_deadline_seconds: Some(settings.ready_within.as_secs()).filter(|seconds| *seconds > 0),
            selector: LabelSelector { match_labels: labels.clone() },
            strategy: UpdateStrategy {
                r#type: "RollingUpdate",
                rolling_update: RollingUpdate { max_surge: 1, max_unavailable: 0 },
            },
            template: PodTemplate { metadata: template, spec: pod(plan, component, image, settings, &labels) },
        },
    }
}

fn pod(
    plan: &DeploymentPlan,
    component: Component,
    image: &ImageReference,
    settings: &WorkloadSettings,
    labels: &Labels,
) -> PodSpecification {
    let spread = |topology_key| Spread {
        max_skew: 1,
        topology_key,
        // A cluster of one node or zone must still run it.
        when_unsatisfiable: "ScheduleAnyway",
        label_selector: LabelSelector { match_labels: labels.clone() },
    };
    PodSpecification {
        service_account_name: settings.service_account.clone(),
        // Nothing in a component asks the API server. Identities of the cloud come by volumes of their own.
        automount_service_account_token: false,
        // A variable for every service of a namespace says nothing and may hide one of ours.
        enable_service_links: false,
        security_context: PodSecurity {
            run_as_non_root: true,
            run_as_user: USER,
            run_as_group: USER,
            fs_group: USER,
            seccomp_profile: SeccompProfile { r#type: "RuntimeDefault" },
        },
        termination_grace_period_seconds: GRACE_SECONDS,
        topology_spread_constraints: vec![spread("topology.kubernetes.io/zone"), spread("kubernetes.io/hostname")],
        containers: vec![container(plan, component, image, settings)],
    }
}

/// How many failures of the startup probe fill the time that the rollout waits; five minutes where that is not told.
fn startup_failures(ready_within: Duration) -> u32 {
    let seconds = if ready_within.is_zero() { 300 } else { ready_within.as_secs() };
    u32::try_from(seconds.div_ceil(u64::from(STARTUP_PERIOD_SECONDS))).unwrap_or(u32::MAX).max(1)
}

fn container(
    plan: &DeploymentPlan,
    component: Component,
    image: &ImageReference,
    settings: &WorkloadSettings,
) -> Container {
    let probe = |path, period_seconds, failure_threshold| Probe {
        http_get: HttpGet { path, port: PORT_NAME },
        period_seconds,
        timeout_seconds: 2,
        failure_threshold,
    };
    Container {
        name: component.as_str(),
        image: image.to_string(),
        // The image is named by its digest: what a node has is what would be pulled.
        image_pull_policy: "IfNotPresent",
        ports: vec![ContainerPort { name: PORT_NAME, container_port: CONTAINER_PORT, protocol: "TCP" }],
        env: vec![
            EnvironmentVariable { name: "CHALK_DEPLOYMENT_ID", value: plan.id.to_string() },
            EnvironmentVariable { name: "CHALK_ENVIRONMENT", value: plan.environment.to_string() },
        ],
        env_from: vec![EnvironmentSource { config_map_ref: ObjectReference { name: object_name(plan, component) } }],
        // No limit of processor time: throttling shows as latency. Memory is limited at a multiple of the request.
        resources: Resources {
            requests: BTreeMap::from([("cpu", "250m"), ("memory", "512Mi")]),
            limits: BTreeMap::from([("memory", "2Gi")]),
        },
        // Imports of large projects take minutes; until the first success no other probe counts. For as long as the
        // rollout waits, nothing restarts what only takes its time.
        startup_probe: probe("/healthz", STARTUP_PERIOD_SECONDS, startup_failures(settings.ready_within)),
        readiness_probe: probe("/ready", 2, 2),
        // Slow to give up: a restart helps a process that hangs, and only harms one that is busy.
        liveness_probe: probe("/healthz", 10, 6),
        lifecycle: Lifecycle { pre_stop: Handler { sleep: Sleep { seconds: LEAVE_SECONDS } } },
        security_context: ContainerSecurity {
            allow_privilege_escalation: false,
            capabilities: Capabilities { drop: vec!["ALL"] },
        },
    }
}
