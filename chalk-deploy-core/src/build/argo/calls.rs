//! The requests to the API server.

use kube::api::{DeleteParams, GetParams, ListParams, LogParams, PostParams, Preconditions};
use serde_json::Value;

use super::document;
use super::settings::ArgoSettings;
use super::status::{Container, Log, Pod};
use crate::kubernetes::{Asked, Connection, Failure, List, POD, Verb, WORKFLOW, WatchNews, follow};
use crate::model::{DeploymentId, ObjectReference};
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::{Error, ErrorCode, Result, text};

/// No more of a container's log is read.
const LOG_MOST: usize = 256 << 10;
/// So many pods are asked for.
const PODS_MOST: u32 = 200;
/// How long one waits for news. Lines of a log are no news that a watch tells of.
const MOMENT: std::time::Duration = std::time::Duration::from_secs(2);
/// A watch that ended and told of nothing is followed by this much silence.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// The label by which Argo's pods name their workflow.
const OF_WORKFLOW: &str = "workflows.argoproj.io/workflow";

/// The cluster as this builder sees it.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) connection: Connection,
    pub(super) settings: ArgoSettings,
}

/// What became of the creation of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Creation {
    Made,
    /// Its name is taken: by itself after a crash, or by another.
    Taken,
}

/// The pods of a workflow, and the version at which this was true.
#[derive(Debug)]
pub(super) struct Pods {
    pub(super) items: Vec<Value>,
    version: String,
}

impl Calls {
    pub(super) fn runtime(&self) -> &dyn Runtime {
        &**self.connection.runtime()
    }

    fn asked(&self, verb: Verb, reference: &ObjectReference) -> Asked {
        debug_assert_eq!(reference.namespace, self.settings.namespace);
        Asked::object(verb, &WORKFLOW.resource(), reference)
    }

    pub(super) async fn create(&self, reference: &ObjectReference, workflow: &Value) -> Result<Creation> {
        let body = workflow.to_string().into_bytes();
        let requests = WORKFLOW.requests(&self.settings.namespace);
        match self.connection.ask(requests.create(&PostParams::default(), body)).await {
            Ok(_) => Ok(Creation::Made),
            Err(failure) if failure.is_conflict() => Ok(Creation::Taken),
            Err(failure) => Err(failure.error(&self.asked(Verb::Create, reference))),
        }
    }

    pub(super) async fn get(&self, reference: &ObjectReference) -> Result<Option<Value>> {
        let requests = WORKFLOW.requests(&self.settings.namespace);
        let answered: Result<Value, _> =
            self.connection.json(requests.get(&reference.name, &GetParams::default())).await;
        let asked = self.asked(Verb::Get, reference);
        match answered {
            Ok(workflow) if workflow["metadata"]["uid"].as_str().is_none_or(str::is_empty) => {
                Err(Failure::Nonsense("an object has no uid".to_owned()).error(&asked))
            }
            Ok(workflow) => Ok(Some(workflow)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.error(&asked)),
        }
    }

    /// Has a workflow removed. Its name is free when its pods are gone: another workflow of this name would have pods of
    /// the same names.
    pub(super) async fn remove(&self, reference: &ObjectReference, workflow: &Value) -> Result<()> {
        let uid = workflow["metadata"]["uid"].as_str().map(str::to_owned);
        let exactly = Preconditions { uid, ..Preconditions::default() };
        let parameters = DeleteParams::foreground().preconditions(exactly);
        let requests = WORKFLOW.requests(&self.settings.namespace);
        match self.connection.ask(requests.delete(&reference.name, &parameters)).await {
            // A conflict is another workflow of this name.
            Err(failure) if !failure.is_not_found() && !failure.is_conflict() => {
                Err(failure.error(&self.asked(Verb::Delete, reference)))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn pods(&self, reference: &ObjectReference) -> Result<Pods> {
        let parameters = ListParams::default().labels(&of_workflow(reference)).limit(PODS_MOST);
        let request = POD.requests(&self.settings.namespace).list(&parameters);
        let list: List<Value> = self
            .connection
            .json(request)
            .await
            .map_err(|failure| failure.error(&Asked::about(Verb::List, POD, &self.settings.namespace)))?;
        Ok(Pods { items: list.items.unwrap_or_default(), version: list.metadata.resource_version })
    }

    /// The log of a container of a pod from its beginning, in whole lines.
    pub(super) async fn log(&self, pod: &Pod, name: &str, container: &Container) -> Result<Log> {
        let parameters = LogParams {
            container: Some(name.to_owned()),
            limit_bytes: i64::try_from(LOG_MOST).ok(),
            ..LogParams::default()
        };
        let request = POD.requests(&self.settings.namespace).logs(&pod.name, &parameters);
        let asked = Asked::about(Verb::Get, POD, &self.settings.namespace).subresource("log");
        let written = match self.connection.ask(request).await {
            Ok(written) => written,
            // A container that has not begun, or a pod that has just gone.
            Err(failure) if failure.is_not_found() || failure.is_bad_request() => return Ok(Log::default()),
            // One builds without lines, too.
            Err(failure) if failure.is_forbidden() || matches!(failure, Failure::TooLong(_)) => {
                return Ok(Log { refused: Some(failure.error(&asked).message().to_owned()), ..Log::default() });
            }
            Err(failure) => return Err(failure.error(&asked)),
        };
        let ended = matches!(container, Container::Ended { .. });
        Ok(whole_lines(&written, ended))
    }

    /// Waits until a workflow or its pods change, at most a moment.
    pub(super) async fn changed(&self, deployment: &DeploymentId, workflow: &Value, pods: &Pods) {
        let (connection, namespace) = (&self.connection, &self.settings.namespace);
        let version = workflow["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let reference = document::reference(&self.settings, deployment);
        let (ours, of_workflow) = (document::selector(deployment), of_workflow(&reference));
        let news = async {
            let ended = tokio::select! {
                biased;
                news = follow(connection, WORKFLOW, namespace, &ours, version) => !news.is_ok_and(WatchNews::is_change),
                news = follow(connection, POD, namespace, &of_workflow, &pods.version) => !news.is_ok_and(WatchNews::is_change),
            };
            if ended {
                // Whatever was wrong with the watch, the next look will tell.
                self.runtime().sleep(PAUSE).await;
            }
        };
        self.runtime().within(MOMENT, news).await;
    }
}

fn of_workflow(reference: &ObjectReference) -> String {
    format!("{OF_WORKFLOW}={}", reference.name)
}

/// What a container has written, without a line that it may still be writing.
fn whole_lines(written: &[u8], has_ended: bool) -> Log {
    let is_cut = written.len() >= LOG_MOST;
    let written = &written[..written.len().min(LOG_MOST)];
    let whole = match written.iter().rposition(|byte| *byte == b'\n') {
        _ if has_ended && !is_cut => written,
        Some(end) => &written[..end],
        None if is_cut => written,
        None => &[],
    };
    Log { lines: String::from_utf8_lossy(whole).lines().map(str::to_owned).collect(), is_cut, refused: None }
}

/// A workflow whose name is taken by what is not ours.
pub(super) fn taken(reference: &ObjectReference) -> Error {
    Error::new(ErrorCode::ObjectConflict, "a workflow of this name is there, and it is not the one of this deployment")
        .on(text::line(&reference.to_string(), 400))
        .with_hint("find out whose it is, and remove it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_still_being_written_is_not_told_before_it_ends() {
        let lines = |written: &str, ended| whole_lines(written.as_bytes(), ended).lines;
        assert_eq!(lines("one\ntw", false), ["one"]);
        assert_eq!(lines("one\ntwo\n", false), ["one", "two"]);
        assert_eq!(lines("one\ntw", true), ["one", "tw"]);
        assert!(lines("on", false).is_empty() && lines("", true).is_empty());
    }

    #[test]
    fn a_log_without_end_is_cut_and_a_line_of_megabytes_too() {
        for written in ["x\n".repeat(LOG_MOST), "x".repeat(2 * LOG_MOST)] {
            let log = whole_lines(written.as_bytes(), false);
            assert!(log.is_cut && log.lines.iter().map(String::len).sum::<usize>() <= LOG_MOST);
        }
    }
}
