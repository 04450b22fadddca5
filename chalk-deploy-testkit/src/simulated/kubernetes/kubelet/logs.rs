//! What containers have written, made up from what is stored: a kubelet that starts again tells the same.

use bytes::Bytes;
use chalk_deploy_core::model::Timestamp;
use serde_json::{Value, json};

use crate::simulated::kubernetes::controllers::{time, view};
use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::resource::POD;
use crate::simulated::seam::{ContainerLog, LogLine};

/// The lines of one run of a container.
pub(crate) fn lines(objects: &Objects, log: &ContainerLog) -> Result<Vec<LogLine>, String> {
    let ContainerLog { namespace, pod: name, uid, container, previous } = log;
    let pod = objects.get(&Key::new(POD, &**namespace, &**name)).filter(|pod| view::uid(pod) == uid);
    let pod = pod.ok_or_else(|| format!("pods \"{name}\" not found"))?;
    let wanted = json!({"name": container});
    let status = ["/status/containerStatuses", "/status/initContainerStatuses"]
        .map(|pointer| super::stored(&pod, pointer, &wanted))
        .into_iter()
        .find(|status| status.is_object());
    let status = status.ok_or_else(|| format!("container {container} is not valid for pod {name}"))?;
    let last = status.pointer("/lastState/terminated");
    if *previous {
        let gone = || format!("previous terminated container \"{container}\" in pod \"{name}\" not found");
        return last.map(|run| of_ended(&pod, run)).ok_or_else(gone);
    }
    if let Some(run) = status.pointer("/state/running") {
        return Ok(of_running(&pod, status, run));
    }
    // A container that waits for its restart shows its last run.
    if let Some(run) = status.pointer("/state/terminated").or(last) {
        return Ok(of_ended(&pod, run));
    }
    let reason = view::text(status, "/state/waiting/reason");
    let reason = match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" => "trying and failing to pull image",
        reason => reason,
    };
    Err(format!("container \"{container}\" in pod \"{name}\" is waiting to start: {reason}"))
}

fn of_running(pod: &Value, status: &Value, run: &Value) -> Vec<LogLine> {
    let started = at(run, "/startedAt");
    let mut lines = beginning(pod, started);
    let ready = view::condition(pod, "Ready").filter(|condition| condition["status"] == "True");
    match ready {
        Some(condition) if status["ready"] == true => {
            lines.push(line(at(condition, "/lastTransitionTime").max(started), "ready to serve".to_owned()));
        }
        _ => lines.push(line(started, "not ready yet".to_owned())),
    }
    if view::is_deleting(pod) {
        let last = lines.last().map_or(started, |line| line.time);
        lines.push(line(last, "asked to end: serving what is under way".to_owned()));
    }
    lines
}

fn of_ended(pod: &Value, run: &Value) -> Vec<LogLine> {
    let mut lines = beginning(pod, at(run, "/startedAt"));
    let ended = at(run, "/finishedAt").max(at(run, "/startedAt"));
    let code = run["exitCode"].as_u64().unwrap_or_default();
    let words = match code {
        0 => vec!["done".to_owned()],
        137 => vec!["killed: it did not answer".to_owned()],
        code => vec!["fatal: the simulated process was told to crash".to_owned(), format!("exit code {code}")],
    };
    lines.extend(words.into_iter().map(|words| line(ended, words)));
    lines
}

fn beginning(pod: &Value, started: Timestamp) -> Vec<LogLine> {
    vec![line(started, format!("simulated process of pod {} starts", view::name(pod)))]
}

fn at(object: &Value, pointer: &str) -> Timestamp {
    time::parse(view::text(object, pointer)).unwrap_or_default()
}

fn line(time: Timestamp, text: String) -> LogLine {
    LogLine { time, text: Bytes::from(text) }
}
