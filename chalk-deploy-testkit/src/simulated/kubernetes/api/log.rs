//! `pods/log`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use futures::{StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::Value;

use super::ApiServer;
use super::call::Call;
use super::path::Place;
use super::read::key_of;
use crate::simulated::http::full;
use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::status::Status;
use crate::simulated::seam::{ContainerLog, LogLine, PodLogs};

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl ApiServer {
    /// # Errors
    /// 404 for a pod that is not there, 400 for a container that is not there or has not begun.
    pub(super) fn log(&self, call: &Call, place: &Place) -> Result<Response<ByteStream>, Status> {
        let key = key_of(place)?;
        let pod = self
            .objects()
            .get(&key)
            .ok_or_else(|| Status::not_found("pods", &key.name).about(&key.resource, &key.name))?;
        let log = ContainerLog {
            namespace: key.namespace.clone(),
            pod: key.name.clone(),
            uid: pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            container: container(&pod, call.query.get("container"))?,
            previous: call.query.flag("previous"),
        };
        let Some(logs) = self.logs() else {
            return Err(Status::internal("this server was not told where the logs of pods are"));
        };
        let now = self.objects().runtime().now();
        let cut = Cut {
            tail: call.query.number("tailLines")?,
            most: call.query.number("limitBytes")?,
            since: call.query.number("sinceSeconds")?.map(|seconds| now.as_millis().saturating_sub(seconds * 1000)),
            timestamps: call.query.flag("timestamps"),
        };
        let lines = logs.lines(&log).map_err(Status::bad_request)?;
        let seen = lines.len();
        let first = cut.apply(&lines);
        let body = if call.query.flag("follow") && !log.previous {
            let follow = Follow { objects: self.objects().clone(), key, log, logs, cut, seen, ready: VecDeque::new() };
            let beginning = stream::iter((!first.is_empty()).then_some(Ok(first)));
            beginning
                .chain(stream::unfold(follow, |mut follow| async {
                    let piece = follow.next().await?;
                    Some((Ok(piece), follow))
                }))
                .boxed()
        } else {
            full(first)
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        Ok(response)
    }
}

fn container(pod: &Value, asked: Option<&str>) -> Result<String, Status> {
    let names: Vec<_> = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
        .filter_map(|container| container["name"].as_str())
        .collect();
    let pod = &pod["metadata"]["name"];
    match (asked, names.as_slice()) {
        (Some(asked), names) if names.contains(&asked) => Ok(asked.to_owned()),
        (Some(asked), _) => Err(Status::bad_request(format!("container {asked} is not valid for pod {pod}"))),
        (None, [one]) => Ok((*one).to_owned()),
        (None, names) => Err(Status::bad_request(format!(
            "a container name must be specified for pod {pod}, choose one of: {names:?}"
        ))),
    }
}

/// Which lines, and how they are shown.
#[derive(Debug)]
struct Cut {
    tail: Option<u64>,
    most: Option<u64>,
    since: Option<u64>,
    timestamps: bool,
}

impl Cut {
    fn apply(&self, lines: &[LogLine]) -> Bytes {
        let lines: Vec<_> =
            lines.iter().filter(|line| self.since.is_none_or(|since| line.time.as_millis() >= since)).collect();
        let tail = self.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(usize::MAX);
        let skipped = lines.len().saturating_sub(tail);
        let mut shown = self.show(lines.into_iter().skip(skipped));
        shown.truncate(self.most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX));
        shown.into()
    }

    fn show<'a>(&self, lines: impl Iterator<Item = &'a LogLine>) -> Vec<u8> {
        let mut shown = Vec::new();
        for line in lines {
            if self.timestamps {
                shown.extend_from_slice(line.time.to_string().as_bytes());
                shown.push(b' ');
            }
            shown.extend_from_slice(&line.text);
            shown.push(b'\n');
        }
        shown
    }
}

/// A log that is followed, until its pod is gone or has ended.
#[derive(Debug)]
struct Follow {
    objects: Objects,
    key: Key,
    log: ContainerLog,
    logs: Arc<dyn PodLogs>,
    cut: Cut,
    seen: usize,
    ready: VecDeque<Bytes>,
}

impl Follow {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            let over = self.is_over();
            match self.logs.lines(&self.log) {
                Ok(lines) if lines.len() > self.seen => {
                    let piece = self.cut.show(lines.iter().skip(self.seen));
                    self.seen = lines.len();
                    self.ready.push_back(piece.into());
                }
                // The container has begun anew: what it writes now is another log.
                Ok(lines) if lines.len() < self.seen => return None,
                Err(_) => return None,
                Ok(_) if over => return None,
                Ok(_) => {
                    let runtime: Arc<dyn Runtime> = self.objects.runtime().clone();
                    runtime.sleep(LOOK).await;
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.objects.get(&self.key).is_none_or(|pod| {
            pod["metadata"]["uid"] != self.log.uid.as_str()
                || matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
        })
    }
}
