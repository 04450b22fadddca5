//! A pod's status in the words that decide a rollout.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition};

use crate::cloud::{ObservedPod, PodPhase};
use crate::text;

/// So much of what the kubelet says is kept.
const MESSAGE_MOST: usize = 300;

/// The kubelet's reasons for an image that it does not get (`pkg/kubelet/images`).
const NOT_PULLED: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

/// Its reasons for a container that was started and is not running.
const NOT_RUNNING: &[&str] =
    &["CrashLoopBackOff", "RunContainerError", "StartError", "ContainerCannotRun", "PostStartHookError"];

/// What is seen of a pod.
pub(super) fn observed(pod: Pod) -> ObservedPod {
    let ready = is_ready(&pod);
    let (phase, message) = phase(&pod, ready);
    let restarts = containers(&pod).map(|container| container.restart_count).filter(|count| *count > 0);
    let restarts: u32 = restarts.fold(0, |sum, count| sum.saturating_add(count.unsigned_abs()));
    ObservedPod {
        name: pod.metadata.name.unwrap_or_default(),
        phase,
        ready,
        restarts,
        message: text::line(&message, MESSAGE_MOST),
    }
}

/// Its `Ready` condition, as long as it is not going away.
pub(super) fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

fn phase(pod: &Pod, ready: bool) -> (PodPhase, String) {
    if pod.metadata.deletion_timestamp.is_some() {
        return (PodPhase::Terminating, "it is going away".to_owned());
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let own_words = || {
        let status = pod.status.as_ref();
        let said =
            [status.and_then(|status| status.reason.as_deref()), status.and_then(|status| status.message.as_deref())];
        said.into_iter().flatten().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(": ")
    };
    if matches!(phase, "Failed" | "Succeeded") {
        let why = containers(pod).find_map(|container| terminated(container.state.as_ref()));
        let words = own_words();
        let words = if words.is_empty() { why.unwrap_or_else(|| format!("it has ended ({phase})")) } else { words };
        return (PodPhase::Crashed, words);
    }
    // What stands in the way of any container is told before what others do.
    for container in containers(pod) {
        let Some((reason, message)) = waiting(container.state.as_ref()) else { continue };
        if NOT_PULLED.contains(&reason) {
            return (PodPhase::ImagePullFailed, said(reason, message));
        }
    }
    for container in containers(pod) {
        if let Some((reason, message)) = waiting(container.state.as_ref())
            && NOT_RUNNING.contains(&reason)
        {
            let last = terminated(container.last_state.as_ref()).unwrap_or_else(|| message.to_owned());
            return (PodPhase::Crashed, said(reason, &last));
        }
        if let Some(why) = terminated(container.state.as_ref())
            && !is_finished_initialisation(pod, container)
        {
            return (PodPhase::Crashed, why);
        }
    }
    if let Some(unscheduled) = condition(pod, "PodScheduled").filter(|scheduled| scheduled.status == "False") {
        let phase = if unscheduled.reason.as_deref() == Some("Unschedulable") {
            PodPhase::Unschedulable
        } else {
            PodPhase::Pending
        };
        return (phase, words_of(unscheduled).unwrap_or_else(|| "no node has taken it".to_owned()));
    }
    if phase == "Running" && containers_run(pod) {
        if ready {
            return (PodPhase::Running, String::new());
        }
        let why = condition(pod, "Ready").and_then(words_of);
        return (PodPhase::Running, why.unwrap_or_else(|| "its containers run and are not ready".to_owned()));
    }
    let has_node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|node| !node.is_empty());
    if !has_node {
        return (PodPhase::Pending, "it waits for a node".to_owned());
    }
    let why = containers(pod).find_map(|container| waiting(container.state.as_ref()));
    (
        PodPhase::Starting,
        why.map_or_else(|| "its containers are being created".to_owned(), |(reason, message)| said(reason, message)),
    )
}

/// The statuses of all containers, those of the initialisation first.
fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let before = status.and_then(|status| status.init_container_statuses.as_ref());
    let main = status.and_then(|status| status.container_statuses.as_ref());
    before.into_iter().flatten().chain(main.into_iter().flatten())
}

fn containers_run(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    statuses.iter().all(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// A container of the initialisation that has ended well is no crash.
fn is_finished_initialisation(pod: &Pod, container: &ContainerStatus) -> bool {
    let before = pod.status.as_ref().and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default();
    let exit = container.state.as_ref().and_then(|state| state.terminated.as_ref()).map(|ended| ended.exit_code);
    exit == Some(0) && before.iter().any(|other| std::ptr::eq(other, container))
}

fn waiting(state: Option<&ContainerState>) -> Option<(&str, &str)> {
    let waiting = state?.waiting.as_ref()?;
    Some((waiting.reason.as_deref()?, waiting.message.as_deref().unwrap_or_default()))
}

fn terminated(state: Option<&ContainerState>) -> Option<String> {
    let ended = state?.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("Error");
    let words = format!("{reason}, exit code {}", ended.exit_code);
    let message = ended.message.as_deref().unwrap_or_default().trim();
    // The end of what a container said is what it died of.
    Some(if message.is_empty() { words } else { said(&words, message.lines().next_back().unwrap_or_default()) })
}

fn said(reason: &str, message: &str) -> String {
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}

fn condition<'pod>(pod: &'pod Pod, kind: &str) -> Option<&'pod PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

fn words_of(condition: &PodCondition) -> Option<String> {
    let words = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    words(&condition.message).or_else(|| words(&condition.reason))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "a test writes the value where it calls")]
    fn seen(status: Value) -> ObservedPod {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": []}, "status": status});
        observed(serde_json::from_value(pod).expect("a pod"))
    }

    #[expect(clippy::needless_pass_by_value, reason = "a test writes the value where it calls")]
    fn container(state: Value) -> Value {
        json!({"name": "engine", "image": "i", "imageID": "", "ready": false, "restartCount": 2, "state": state})
    }

    #[test]
    fn each_state_of_a_pod_is_told_in_its_word_and_with_a_reason() {
        let waits = |reason: &str| {
            json!({"phase": "Pending", "containerStatuses": [
            container(json!({"waiting": {"reason": reason, "message": "the message"}}))]})
        };
        let ended = container(json!({"terminated": {"reason": "OOMKilled", "exitCode": 137}}));
        for (status, phase, words) in [
            (waits("ImagePullBackOff"), PodPhase::ImagePullFailed, "ImagePullBackOff: the message"),
            (waits("InvalidImageName"), PodPhase::ImagePullFailed, "InvalidImageName"),
            (waits("CrashLoopBackOff"), PodPhase::Crashed, "CrashLoopBackOff"),
            (waits("ContainerCreating"), PodPhase::Starting, "ContainerCreating"),
            (waits("CreateContainerConfigError"), PodPhase::Starting, "CreateContainerConfigError"),
            (json!({"phase": "Running", "containerStatuses": [ended]}), PodPhase::Crashed, "OOMKilled, exit code 137"),
            (json!({"phase": "Failed", "reason": "Evicted", "message": "disk"}), PodPhase::Crashed, "Evicted: disk"),
            (
                json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                    "reason": "Unschedulable", "message": "0/3 nodes"}]}),
                PodPhase::Unschedulable,
                "0/3 nodes",
            ),
            (json!({"phase": "Running"}), PodPhase::Running, "not ready"),
        ] {
            let pod = seen(status.clone());
            assert_eq!(pod.phase, phase, "{status}");
            assert!(pod.message.contains(words) && !pod.ready, "{status} is told as {:?}", pod.message);
        }
    }

    #[test]
    fn an_initialisation_that_has_ended_well_is_no_crash_and_one_that_failed_is() {
        let status = |exit: i32| {
            json!({"phase": "Pending",
                "initContainerStatuses": [container(json!({"terminated": {"exitCode": exit, "reason": "x"}}))],
                "containerStatuses": [container(json!({"waiting": {"reason": "PodInitializing"}}))]})
        };
        assert_eq!(seen(status(0)).phase, PodPhase::Starting);
        assert_eq!(seen(status(1)).phase, PodPhase::Crashed);
        assert_eq!(seen(status(1)).restarts, 4);
    }

    #[test]
    fn a_ready_pod_that_is_going_away_is_not_ready() {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": []},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        let read = |pod: &Value| observed(serde_json::from_value(pod.clone()).expect("a pod"));
        assert!(read(&pod).ready && read(&pod).phase == PodPhase::Running);
        pod["metadata"]["deletionTimestamp"] = json!("2025-01-01T00:00:00Z");
        assert!(!read(&pod).ready && read(&pod).phase == PodPhase::Terminating);
    }
}
