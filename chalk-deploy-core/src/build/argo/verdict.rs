//! Whether a build has ended, and how. Pure.
//!
//! The word of the build container itself goes before Argo's: its report stands in the pod's status as soon as it has
//! ended, about ten seconds before the controller has told of it, and it stands there also where Argo's own bookkeeping
//! fails because its executor lacks a permission (`workflowtaskresults`, which seed 003's role does not grant).

use super::status::{Before, Container, Node, Phase, Snapshot};
use super::transcript::Transcript;
use crate::build::report::{BuildReport, ReportedImage};
use crate::error::{RecordedError, Retry};
use crate::model::DeploymentId;
use crate::{Error, ErrorCode, text};

/// The longest of them.
const LAST_LINE_MOST: usize = 300;

/// How a build stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Running,
    Built(Vec<ReportedImage>),
    Failed(RecordedError),
}

/// Judges a look.
pub(super) fn verdict(snapshot: &Snapshot, transcript: &Transcript, deployment: &DeploymentId) -> Verdict {
    let failed = |error: Error| Verdict::Failed(error.on(format!("build of {deployment}")).record());
    let status = &snapshot.status;
    match report(snapshot) {
        Some(BuildReport::Images(images)) => return Verdict::Built(images),
        Some(BuildReport::Error(error)) => return Verdict::Failed(error),
        None => {}
    }
    if let Some(error) =
        snapshot.pods.iter().flat_map(|pod| &pod.before).find_map(|before| of_before(before, transcript))
    {
        return failed(error);
    }
    let bad = status.nodes.iter().find(|node| node.phase.is_bad());
    // While Argo goes on, so do we: it may yet tell more than an exit code.
    if !status.phase.is_over() {
        return Verdict::Running;
    }
    if status.phase == Phase::Succeeded {
        // Its pod is gone, or nobody may read it, and Argo has kept no output.
        return failed(
            Error::new(ErrorCode::BuildLost, "the workflow has succeeded, and nothing tells what it has built")
                .with_hint("resume; it is built again"),
        );
    }
    if status.is_shut_down {
        return failed(
            Error::new(ErrorCode::BuildFailed, "someone has stopped the workflow")
                .with_hint("find out who, and resume"),
        );
    }
    let why = why(status.message.as_str(), bad);
    if is_deadline(&status.message) || bad.is_some_and(|node| is_deadline(&node.message)) {
        return failed(
            Error::new(ErrorCode::DeadlineExceeded, format!("the workflow was ended because it took too long{why}"))
                .with_hint("raise the deadline of builds, or find out in its lines what it waited for"),
        );
    }
    if let Some(Container::Ended { code, reason, .. }) = ended(snapshot)
        && (reason == "OOMKilled")
    {
        return failed(
            Error::new(
                ErrorCode::BuildFailed,
                format!("the build container needed more memory than it may use ({code}){}", told(transcript)),
            )
            .with_hint("raise the memory of builds"),
        );
    }
    let step = bad.map_or_else(|| "the workflow".to_owned(), |node| format!("the step `{}`", node.step));
    let error = Error::new(ErrorCode::BuildFailed, format!("{step} has failed{why}{}", told(transcript)));
    // An error is Argo's word for what is not the step's own doing: a pod that was deleted, evicted or never began.
    let is_outside = bad.map_or(status.phase, |node| node.phase) == Phase::Error;
    failed(if is_outside {
        error.with_retry(Retry::Temporary).with_hint("resume; if it repeats, look at the cluster's nodes and quotas")
    } else {
        error
    })
}

/// The report, wherever it stands: in the pod, or in the node.
fn report(snapshot: &Snapshot) -> Option<BuildReport> {
    let of_pods = snapshot.pods.iter().filter_map(|pod| match &pod.main {
        Container::Ended { code, message, .. } => {
            // Success and its report belong together: what a failed container says of images is not believed.
            BuildReport::read(message).filter(|report| matches!(report, BuildReport::Images(_)) == (*code == 0))
        }
        // What a container of ours before it could not do. The strangers' ones leave no report that counts.
        _ => pod.before.iter().filter(|before| !before.is_strangers()).find_map(|before| match &before.state {
            Container::Ended { code, message, .. } if *code != 0 => {
                BuildReport::read(message).filter(|report| matches!(report, BuildReport::Error(_)))
            }
            _ => None,
        }),
    });
    let of_nodes = snapshot.status.nodes.iter().filter(|node| node.phase.is_over()).filter_map(|node| {
        let report = BuildReport::read(node.report.as_deref()?)?;
        (matches!(report, BuildReport::Images(_)) == (node.phase == Phase::Succeeded)).then_some(report)
    });
    of_pods.chain(of_nodes).next()
}

/// Why a container before the main one ends the build. One that was killed may have been killed with its pod: what Argo
/// makes of that is waited for.
fn of_before(before: &Before, transcript: &Transcript) -> Option<Error> {
    let Container::Ended { code, reason, .. } = &before.state else { return None };
    let (what, hint) = if before.is_strangers() {
        ("the project's own Dockerfile", "correct the Dockerfile, or what it runs")
    } else {
        ("unpacking the source", "resume; if it repeats, look at the log of the pod")
    };
    let (code, last) = (*code, told(transcript));
    match (code, reason.as_str()) {
        (0, _) => None,
        (_, "OOMKilled") => {
            let message = format!("{what} needed more memory than it may use ({code}){last}");
            Some(Error::new(ErrorCode::BuildFailed, message).with_hint("raise the memory of builds"))
        }
        (137 | 143, _) => None,
        _ => {
            let message = format!("{what} has failed with exit code {code}{last}");
            Some(Error::new(ErrorCode::BuildFailed, message).with_hint(hint))
        }
    }
}

fn ended(snapshot: &Snapshot) -> Option<&Container> {
    snapshot.pods.iter().map(|pod| &pod.main).find(|main| matches!(main, Container::Ended { code, .. } if *code != 0))
}

fn why(message: &str, bad: Option<&Node>) -> String {
    let words = bad.map(|node| node.message.as_str()).filter(|words| !words.is_empty()).unwrap_or(message);
    if words.is_empty() { String::new() } else { format!(": {}", text::line(words, LAST_LINE_MOST)) }
}

fn told(transcript: &Transcript) -> String {
    let lines: Vec<_> = transcript.last_lines().map(|line| text::line(line, LAST_LINE_MOST)).collect();
    if lines.is_empty() { String::new() } else { format!("; it said last: {}", lines.join(" | ")) }
}

/// The words of the controller (`Max duration limit exceeded`) and of the kubelet (`Pod was active on the node longer
/// than the specified deadline`).
fn is_deadline(message: &str) -> bool {
    message.contains("duration limit exceeded")
        || message.contains("longer than the specified deadline")
        || message.contains("Step exceeded its deadline")
        || message.contains("exceeded workflow deadline")
}
