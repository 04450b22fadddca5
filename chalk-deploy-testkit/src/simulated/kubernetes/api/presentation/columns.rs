//! The columns that people see of each kind.

use chalk_deploy_core::model::Timestamp;
use serde_json::Value;

use super::age;
use crate::simulated::kubernetes::resource::Resource;

/// A column.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    /// 0 is always shown, 1 only with `-o wide`.
    pub(super) priority: u8,
    pub(super) cell: fn(&Value, Timestamp) -> Value,
}

const fn text(name: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    Column { name, kind: "string", priority: 0, cell }
}

const fn number(name: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    Column { name, kind: "integer", priority: 0, cell }
}

const fn wide(name: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    Column { name, kind: "string", priority: 1, cell }
}

/// The columns of a kind: its name first; when it was made, unless its own columns say it.
pub(super) fn of(resource: &Resource) -> Vec<Column> {
    let mut columns = vec![text("Name", |object, _| object["metadata"]["name"].clone())];
    columns.extend(own(resource));
    if !columns.iter().any(|column| ["Age", "Last Seen", "Created At"].contains(&column.name)) {
        // Before the wide ones, as everywhere.
        let place = columns.iter().position(|column| column.priority > 0).unwrap_or(columns.len());
        columns.insert(place, text("Age", |object, now| age_of(&object["metadata"]["creationTimestamp"], now)));
    }
    if resource.kind == "Event" {
        columns.remove(0);
    }
    columns
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn own(resource: &Resource) -> Vec<Column> {
    match resource.kind {
        "Namespace" => vec![text("Status", |object, _| object["status"]["phase"].clone())],
        "Node" => vec![
            text("Status", |object, _| {
                let ready = condition(object, "Ready").is_some_and(|condition| condition["status"] == "True");
                let ready = if ready { "Ready" } else { "NotReady" };
                let closed = object["spec"]["unschedulable"] == true;
                if closed { format!("{ready},SchedulingDisabled").into() } else { ready.into() }
            }),
            text("Version", |object, _| object["status"]["nodeInfo"]["kubeletVersion"].clone()),
        ],
        "Pod" => vec![
            text("Ready", |object, _| {
                let statuses = object["status"]["containerStatuses"].as_array();
                let ready = statuses.into_iter().flatten().filter(|status| status["ready"] == true).count();
                format!("{ready}/{}", count(&object["spec"]["containers"])).into()
            }),
            text("Status", |object, _| pod_status(object).into()),
            number("Restarts", |object, _| {
                let statuses = object["status"]["containerStatuses"].as_array();
                statuses.into_iter().flatten().filter_map(|status| status["restartCount"].as_u64()).sum::<u64>().into()
            }),
            text("Age", |object, now| age_of(&object["metadata"]["creationTimestamp"], now)),
            wide("IP", |object, _| or(&object["status"]["podIP"], "<none>")),
            wide("Node", |object, _| or(&object["spec"]["nodeName"], "<none>")),
        ],
        "Service" => vec![
            text("Type", |object, _| object["spec"]["type"].clone()),
            text("Cluster-IP", |object, _| or(&object["spec"]["clusterIP"], "<none>")),
            text("External-IP", |object, _| or(&object["spec"]["externalName"], "<none>")),
            text("Port(s)", |object, _| {
                joined(&object["spec"]["ports"], |port| {
                    let node = port["nodePort"].as_u64().map(|node| format!(":{node}")).unwrap_or_default();
                    format!("{}{node}/{}", shown(&port["port"]), shown(&port["protocol"]))
                })
            }),
            wide("Selector", |object, _| labels(&object["spec"]["selector"])),
        ],
        "ConfigMap" => vec![number("Data", |object, _| (count(&object["data"]) + count(&object["binaryData"])).into())],
        "Secret" => vec![
            text("Type", |object, _| object["type"].clone()),
            number("Data", |object, _| count(&object["data"]).into()),
        ],
        "ServiceAccount" => vec![number("Secrets", |object, _| count(&object["secrets"]).into())],
        "Event" => vec![
            text("Last Seen", |object, now| {
                let time = ["lastTimestamp", "eventTime", "firstTimestamp"].map(|field| &object[field]);
                let time =
                    time.into_iter().find(|time| time.is_string()).unwrap_or(&object["metadata"]["creationTimestamp"]);
                age_of(time, now)
            }),
            text("Type", |object, _| object["type"].clone()),
            text("Reason", |object, _| object["reason"].clone()),
            text("Object", |object, _| {
                let about = &object["involvedObject"];
                format!("{}/{}", shown(&about["kind"]).to_ascii_lowercase(), shown(&about["name"])).into()
            }),
            text("Message", |object, _| shown(&object["message"]).trim().into()),
        ],
        "ResourceQuota" => {
            vec![text("Request", |object, _| quota(object, false)), text("Limit", |object, _| quota(object, true))]
        }
        "Deployment" => vec![
            text("Ready", |object, _| {
                format!("{}/{}", zero(&object["status"]["readyReplicas"]), zero(&object["spec"]["replicas"])).into()
            }),
            number("Up-to-date", |object, _| zero(&object["status"]["updatedReplicas"]).into()),
            number("Available", |object, _| zero(&object["status"]["availableReplicas"]).into()),
            text("Age", |object, now| age_of(&object["metadata"]["creationTimestamp"], now)),
            wide("Containers", |object, _| containers(object, "name")),
            wide("Images", |object, _| containers(object, "image")),
            wide("Selector", |object, _| labels(&object["spec"]["selector"]["matchLabels"])),
        ],
        "ReplicaSet" => vec![
            number("Desired", |object, _| zero(&object["spec"]["replicas"]).into()),
            number("Current", |object, _| zero(&object["status"]["replicas"]).into()),
            number("Ready", |object, _| zero(&object["status"]["readyReplicas"]).into()),
            text("Age", |object, now| age_of(&object["metadata"]["creationTimestamp"], now)),
            wide("Containers", |object, _| containers(object, "name")),
            wide("Images", |object, _| containers(object, "image")),
            wide("Selector", |object, _| labels(&object["spec"]["selector"]["matchLabels"])),
        ],
        "Job" => vec![
            text("Status", |object, _| {
                let of = |kind| condition(object, kind).is_some_and(|condition| condition["status"] == "True");
                let status = ["Complete", "Failed", "Suspended"].into_iter().find(|kind| of(kind));
                status.unwrap_or("Running").into()
            }),
            text("Completions", |object, _| {
                format!("{}/{}", zero(&object["status"]["succeeded"]), shown(&object["spec"]["completions"])).into()
            }),
        ],
        "EndpointSlice" => vec![
            text("AddressType", |object, _| object["addressType"].clone()),
            text("Ports", |object, _| joined(&object["ports"], |port| shown(&port["port"]))),
            text("Endpoints", |object, _| joined(&object["endpoints"], |endpoint| shown(&endpoint["addresses"][0]))),
        ],
        "PodDisruptionBudget" => vec![
            text("Min Available", |object, _| or(&object["spec"]["minAvailable"], "N/A")),
            text("Max Unavailable", |object, _| or(&object["spec"]["maxUnavailable"], "N/A")),
            number("Allowed Disruptions", |object, _| zero(&object["status"]["disruptionsAllowed"]).into()),
        ],
        "HorizontalPodAutoscaler" => vec![
            text("Reference", |object, _| {
                let target = &object["spec"]["scaleTargetRef"];
                format!("{}/{}", shown(&target["kind"]), shown(&target["name"])).into()
            }),
            text("MinPods", |object, _| or(&object["spec"]["minReplicas"], "<unset>")),
            number("MaxPods", |object, _| object["spec"]["maxReplicas"].clone()),
            number("Replicas", |object, _| zero(&object["status"]["currentReplicas"]).into()),
        ],
        "Role" | "ClusterRole" => vec![text("Created At", |object, _| object["metadata"]["creationTimestamp"].clone())],
        "RoleBinding" | "ClusterRoleBinding" => vec![text("Role", |object, _| {
            format!("{}/{}", shown(&object["roleRef"]["kind"]), shown(&object["roleRef"]["name"])).into()
        })],
        "GatewayClass" => vec![
            text("Controller", |object, _| object["spec"]["controllerName"].clone()),
            text("Accepted", |object, _| condition_status(object, "Accepted")),
        ],
        "Gateway" => vec![
            text("Class", |object, _| object["spec"]["gatewayClassName"].clone()),
            text("Address", |object, _| joined(&object["status"]["addresses"], |address| shown(&address["value"]))),
            text("Programmed", |object, _| condition_status(object, "Programmed")),
        ],
        "HTTPRoute" => vec![text("Hostnames", |object, _| object["spec"]["hostnames"].clone())],
        "ScaledObject" => vec![
            text("ScaleTargetName", |object, _| object["spec"]["scaleTargetRef"]["name"].clone()),
            number("Min", |object, _| object["spec"]["minReplicaCount"].clone()),
            number("Max", |object, _| object["spec"]["maxReplicaCount"].clone()),
            text("Ready", |object, _| condition_status(object, "Ready")),
            text("Active", |object, _| condition_status(object, "Active")),
            text("Paused", |object, _| condition_status(object, "Paused")),
        ],
        "Workflow" => vec![
            text("Status", |object, _| object["status"]["phase"].clone()),
            text("Message", |object, _| object["status"]["message"].clone()),
        ],
        _ => Vec::new(),
    }
}

fn age_of(time: &Value, now: Timestamp) -> Value {
    age::since(time, now).map_or_else(|| "<unknown>".into(), |seconds| age::words(seconds).into())
}

/// What a pod is doing, in one word: why a container waits or has ended rather than the phase.
fn pod_status(pod: &Value) -> String {
    let mut word = shown(&pod["status"]["reason"]);
    if word.is_empty() {
        word = shown(&pod["status"]["phase"]);
    }
    for status in pod["status"]["containerStatuses"].as_array().into_iter().flatten().rev() {
        let state = &status["state"];
        let reason = ["waiting", "terminated"].map(|kind| shown(&state[kind]["reason"]));
        if let Some(reason) = reason.into_iter().find(|reason| !reason.is_empty()) {
            word = reason;
        } else if let Some(code) = state["terminated"]["exitCode"].as_i64() {
            word = format!("ExitCode:{code}");
        }
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".to_owned();
    }
    if word.is_empty() { "Unknown".to_owned() } else { word }
}

fn quota(object: &Value, limits: bool) -> Value {
    let hard = object["status"]["hard"].as_object();
    let parts: Vec<_> = hard
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("limits.") == limits)
        .map(|(name, most)| format!("{name}: {}/{}", shown(&object["status"]["used"][name]), shown(most)))
        .collect();
    parts.join(", ").into()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn condition_status(object: &Value, kind: &str) -> Value {
    condition(object, kind).map_or(Value::Null, |condition| condition["status"].clone())
}

fn containers(object: &Value, field: &str) -> Value {
    joined(&object["spec"]["template"]["spec"]["containers"], |container| shown(&container[field]))
}

fn labels(labels: &Value) -> Value {
    let parts: Vec<_> =
        labels.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", shown(value))).collect();
    if parts.is_empty() { "<none>".into() } else { parts.join(",").into() }
}

fn joined(list: &Value, one: impl Fn(&Value) -> String) -> Value {
    let parts: Vec<_> = list.as_array().into_iter().flatten().map(one).collect();
    if parts.is_empty() { "<none>".into() } else { parts.join(",").into() }
}

fn count(value: &Value) -> usize {
    value.as_array().map(Vec::len).or_else(|| value.as_object().map(serde_json::Map::len)).unwrap_or_default()
}

fn zero(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn or(value: &Value, otherwise: &str) -> Value {
    let text = shown(value);
    if text.is_empty() { otherwise.into() } else { text.into() }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
