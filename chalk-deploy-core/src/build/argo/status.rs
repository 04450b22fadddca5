//! What a Workflow and its pods say, read with bounds (Argo Workflows, *Field Reference*: `WorkflowStatus`,
//! `NodeStatus`). Pure.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::{Map, Value};

use super::document::REPORT;
use super::strangers::{DOCKERFILE, UNPACK};
use crate::build::redaction::redacted;
use crate::build::report::STEP_MOST;
use crate::text;

/// So many nodes are read. A build has one, and a workflow of someone who builds otherwise a few.
const NODES_MOST: usize = 200;
/// So many bytes may packed nodes have; etcd takes no larger object.
const PACKED_MOST: usize = 2 << 20;
/// So many bytes may they unpack to.
const UNPACKED_MOST: u64 = 16 << 20;
/// So many containers of a pod are read before the one that reports images.
const BEFORE_MOST: usize = 16;
/// So many pods are read.
const PODS_MOST: usize = 200;
/// The longest message that is shown.
const MESSAGE_MOST: usize = 1000;

/// The annotation by which Argo's pods name their node.
const NODE_ID: &str = "workflows.argoproj.io/node-id";
/// The container that does a step's work.
pub(super) const MAIN: &str = "main";

/// How a workflow or a node stands. What this library does not know goes for not begun: it is waited out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    #[default]
    Pending,
    Running,
    Succeeded,
    /// `Skipped` and `Omitted`: it will never run, and nothing is wrong.
    Left,
    Failed,
    Error,
}

impl Phase {
    fn read(value: &Value) -> Self {
        match value.as_str().unwrap_or_default() {
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            "Skipped" | "Omitted" => Self::Left,
            "Failed" => Self::Failed,
            "Error" => Self::Error,
            _ => Self::Pending,
        }
    }

    pub(super) const fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    pub(super) const fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }
}

/// A workflow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Status {
    pub(super) phase: Phase,
    pub(super) message: String,
    /// Whether somebody has asked for its end (`spec.shutdown`).
    pub(super) is_shut_down: bool,
    /// The nodes that are pods, oldest first.
    pub(super) nodes: Vec<Node>,
    /// Why the nodes could not be read.
    pub(super) unread: Option<String>,
}

/// A node that is a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Node {
    pub(super) id: String,
    /// The step: the name of its template, which is ours, before the name that it is displayed by.
    pub(super) step: String,
    pub(super) phase: Phase,
    pub(super) message: String,
    /// The report: the output parameter, or what Argo has made a message of.
    pub(super) report: Option<String>,
}

/// A pod of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) node: String,
    pub(super) main: Container,
    /// The containers before it, in the order in which they run.
    pub(super) before: Vec<Before>,
}

/// A container that runs before the one that reports images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) name: String,
    pub(super) state: Container,
}

impl Before {
    /// Whether strangers' commands run in it: nothing that it says of itself is believed.
    pub(super) fn is_strangers(&self) -> bool {
        self.name.starts_with(DOCKERFILE)
    }
}

/// How a container stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Container {
    /// It has not begun, for this reason.
    Waiting(String),
    Running,
    Ended {
        code: i64,
        reason: String,
        message: String,
    },
}

impl Container {
    /// Whether it has written anything that can be read.
    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self, Self::Waiting(_))
    }
}

/// A whole look at a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Snapshot {
    pub(super) status: Status,
    pub(super) pods: Vec<Pod>,
    /// The whole lines of containers so far, by the names of pod and container.
    pub(super) logs: std::collections::BTreeMap<(String, String), Log>,
}

/// What a container has written, as much of it as is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Log {
    pub(super) lines: Vec<String>,
    /// Whether there is more than is read.
    pub(super) is_cut: bool,
    /// Why it cannot be read.
    pub(super) refused: Option<String>,
}

impl Status {
    pub(super) fn read(workflow: &Value) -> Self {
        let status = &workflow["status"];
        let shutdown = workflow["spec"]["shutdown"].as_str().unwrap_or_default();
        let mut read = Self {
            phase: Phase::read(&status["phase"]),
            message: message(&status["message"]),
            is_shut_down: !shutdown.is_empty(),
            ..Self::default()
        };
        match nodes(status) {
            Ok(nodes) => read.nodes = nodes,
            Err(why) => read.unread = Some(why),
        }
        read
    }
}

/// The nodes, wherever they stand: plain, or packed where the workflow would be too long for etcd.
fn nodes(status: &Value) -> Result<Vec<Node>, String> {
    let plain = status["nodes"].as_object().filter(|nodes| !nodes.is_empty());
    if let Some(nodes) = plain {
        return read_nodes(nodes);
    }
    if let Some(packed) = status["compressedNodes"].as_str().filter(|packed| !packed.is_empty()) {
        return read_nodes(&unpack(packed)?);
    }
    if status["offloadNodeStatusVersion"].as_str().is_some_and(|version| !version.is_empty()) {
        return Err("the controller keeps them in a database of its own".to_owned());
    }
    Ok(Vec::new())
}

fn unpack(packed: &str) -> Result<Map<String, Value>, String> {
    if packed.len() > PACKED_MOST {
        return Err(format!("packed, they are longer than {}", text::bytes(PACKED_MOST as u64)));
    }
    let bytes = STANDARD.decode(packed).map_err(|_| "they are no base64".to_owned())?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        // Argo 4 can be set up to use others.
        return Err("they are packed in another way than gzip".to_owned());
    }
    let mut json = Vec::new();
    GzDecoder::new(bytes.as_slice())
        .take(UNPACKED_MOST + 1)
        .read_to_end(&mut json)
        .map_err(|_| "they do not unpack".to_owned())?;
    if json.len() as u64 > UNPACKED_MOST {
        return Err(format!("they unpack to more than {}", text::bytes(UNPACKED_MOST)));
    }
    serde_json::from_slice(&json).map_err(|_| "they are no JSON object".to_owned())
}

fn read_nodes(nodes: &Map<String, Value>) -> Result<Vec<Node>, String> {
    if nodes.len() > NODES_MOST {
        return Err(format!("there are {} of them, and {NODES_MOST} are read", nodes.len()));
    }
    let mut pods: Vec<_> = nodes.iter().filter(|(_, node)| node["type"] == "Pod").collect();
    // Times in one format sort as text. Nodes of the same second keep the order of their ids.
    pods.sort_by_key(|(id, node)| (node["startedAt"].as_str().unwrap_or_default(), *id));
    let read = pods.into_iter().map(|(id, node)| {
        let parameters = node["outputs"]["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let report = parameters.iter().find(|parameter| parameter["name"] == REPORT);
        let names = [&node["templateName"], &node["displayName"], &node["name"]];
        let name = names.into_iter().filter_map(Value::as_str).find(|name| !name.trim().is_empty());
        // Argo appends what the container has left to its own words: `main: Error (exit code 1): {"error":…}`.
        let said = node["message"].as_str().unwrap_or_default();
        let (words, left) = said.split_at(said.find('{').unwrap_or(said.len()));
        let report = report.and_then(|report| report["value"].as_str()).filter(|report| !report.is_empty());
        Node {
            id: id.clone(),
            step: text::line(name.unwrap_or("step"), STEP_MOST),
            phase: Phase::read(&node["phase"]),
            message: clean(words.trim_end_matches([' ', ':'])),
            report: report.or(Some(left).filter(|left| !left.is_empty())).map(str::to_owned),
        }
    });
    Ok(read.collect())
}

impl Pod {
    /// The pods of a workflow out of a list. A pod of an earlier workflow of the same name is none of them.
    pub(super) fn read_all(list: &[Value], workflow_uid: &str) -> Vec<Self> {
        let ours = list.iter().filter(|pod| {
            let owners = pod["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
            owners.iter().any(|owner| owner["uid"] == workflow_uid)
        });
        ours.take(PODS_MOST).filter_map(Self::read).collect()
    }

    fn read(pod: &Value) -> Option<Self> {
        let name = pod["metadata"]["name"].as_str()?;
        let node = pod["metadata"]["annotations"][NODE_ID].as_str().unwrap_or(name);
        let main = statuses(pod, "containerStatuses").iter().find(|status| status["name"] == MAIN);
        let main = container(pod, main.map_or(&Value::Null, |main| &main["state"]));
        let before = statuses(pod, "initContainerStatuses").iter().filter_map(|status| {
            let name = status["name"].as_str().filter(|name| *name == UNPACK || name.starts_with(DOCKERFILE))?;
            Some(Before { name: text::line(name, STEP_MOST), state: container(pod, &status["state"]) })
        });
        Some(Self { name: name.to_owned(), node: node.to_owned(), main, before: before.take(BEFORE_MOST).collect() })
    }
}

fn statuses<'pod>(pod: &'pod Value, of: &str) -> &'pod [Value] {
    pod["status"][of].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn container(pod: &Value, state: &Value) -> Container {
    if let Some(ended) = state["terminated"].as_object() {
        let word = |name: &str| ended.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        // A code that is no number is none that means success.
        let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or(-1);
        Container::Ended { code, reason: text::line(&word("reason"), STEP_MOST), message: word("message") }
    } else if state["running"].is_object() {
        Container::Running
    } else {
        Container::Waiting(waiting(pod, state))
    }
}

/// Why a container has not begun, in the words of the kubelet or of the scheduler.
fn waiting(pod: &Value, state: &Value) -> String {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let unscheduled =
        conditions.iter().find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False");
    let said = unscheduled.unwrap_or(&state["waiting"]);
    let words = [&said["reason"], &said["message"]].map(message);
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    text::line(&words.join(": "), MESSAGE_MOST)
}

fn message(value: &Value) -> String {
    clean(value.as_str().unwrap_or_default())
}

fn clean(words: &str) -> String {
    text::line(&redacted(words), MESSAGE_MOST)
}
