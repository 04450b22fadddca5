//! Waiting until something of a deployment changes.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::select_all;
use kube::api::WatchParams;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::asked::{Asked, Verb};
use super::connection::{Connection, Failure};
use super::kinds::{DEPLOYMENT, ENDPOINT_SLICE, Kind, POD, SERVICE};
use super::refusal::Refusal;
use crate::cloud::{Observation, label};
use crate::model::{DeploymentId, Namespace};
use crate::runtime::RuntimeExt as _;
use crate::transport::BoxedFuture;
use crate::{Result, kubernetes::observation};

/// A watch that ended and told of nothing is followed by this much silence, so that a server that ends every watch at
/// once is not asked without a pause.
const PAUSE: Duration = Duration::from_millis(250);
/// A server that does not keep to the time that it was given is left after this much more.
const GRACE: Duration = Duration::from_secs(30);
/// No line of a watch is longer: etcd takes objects up to 1.5 MiB.
const LINE_MOST: usize = 8 << 20;

/// The versions at which an observation read the kinds that it stands on; empty for what could not be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) pods: String,
    pub(super) deployments: String,
    pub(super) services: String,
    pub(super) endpoint_slices: String,
    pub(super) service_names: Vec<String>,
}

impl fmt::Display for Versions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pods, deployments, services, endpoint_slices, service_names } = self;
        write!(formatter, "{pods},{deployments},{services},{endpoint_slices},{}", service_names.join(" "))
    }
}

impl Versions {
    fn read(text: &str) -> Option<Self> {
        let [pods, deployments, services, endpoint_slices, names] =
            text.splitn(5, ',').collect::<Vec<_>>().try_into().ok()?;
        let service_names = names.split_whitespace().map(str::to_owned).collect();
        Some(Self {
            pods: pods.to_owned(),
            deployments: deployments.to_owned(),
            services: services.to_owned(),
            endpoint_slices: endpoint_slices.to_owned(),
            service_names,
        })
    }
}

/// What became of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// Something has changed.
    Changed,
    /// It ended, or the version is no longer remembered: only a new look can tell.
    Ended,
}

pub(super) async fn changed(
    connection: &Connection,
    namespace: &Namespace,
    deployment: &DeploymentId,
    since: &Observation,
) -> Result<()> {
    let Some(versions) = Versions::read(&since.resource_version).filter(|versions| !versions.pods.is_empty()) else {
        // Not an observation of ours: it says nothing about when.
        return Ok(());
    };
    let ours = format!("{}={deployment}", label::DEPLOYMENT);
    let mut watches = vec![(POD, ours.clone(), versions.pods)];
    if !versions.deployments.is_empty() {
        watches.push((DEPLOYMENT, ours.clone(), versions.deployments));
    }
    if versions.service_names.is_empty() {
        watches.push((SERVICE, ours, versions.services));
    } else if !versions.endpoint_slices.is_empty() {
        let slices = format!("{} in ({})", observation::SERVICE_NAME, versions.service_names.join(","));
        watches.push((ENDPOINT_SLICE, slices, versions.endpoint_slices));
    }
    let follow = |(kind, labels, version): (Kind, String, String)| -> BoxedFuture<(Kind, Result<News, Failure>)> {
        let (connection, namespace) = (connection.clone(), namespace.clone());
        Box::pin(async move { (kind, follow(&connection, kind, &namespace, &labels, &version).await) })
    };
    let mut watches: Vec<_> = watches.into_iter().map(follow).collect();
    let limit = connection.limits().watch + connection.limits().call + GRACE;
    let news = connection.runtime().within(limit, async {
        loop {
            // In this order, whoever is awake first: the same run twice is the same sequence of events.
            let ((kind, news), _, others) = select_all(watches).await;
            match news {
                // The published role does not permit watching deployments; the pods tell enough.
                Err(failure) if failure.is_forbidden() && kind != POD && !others.is_empty() => watches = others,
                Err(failure) => return Err(failure.error(&Asked::about(Verb::Watch, kind, namespace))),
                Ok(news) => return Ok(news),
            }
        }
    });
    match news.await {
        None | Some(Ok(News::Ended)) => connection.runtime().sleep(PAUSE).await,
        Some(Ok(News::Changed)) => {}
        Some(Err(error)) => return Err(error),
    }
    Ok(())
}

impl News {
    /// Whether something has changed.
    pub(crate) fn is_change(self) -> bool {
        self == Self::Changed
    }
}

/// Follows one kind until something changes.
pub(crate) async fn follow(
    connection: &Connection,
    kind: Kind,
    namespace: &Namespace,
    labels: &str,
    version: &str,
) -> Result<News, Failure> {
    let seconds = u32::try_from(connection.limits().watch.as_secs()).unwrap_or(u32::MAX).clamp(1, 290);
    let parameters = WatchParams::default().labels(labels).timeout(seconds);
    let mut pieces = match connection.stream(kind.requests(namespace).watch(&parameters, version)).await {
        Err(failure) if failure.is_gone() => return Ok(News::Ended),
        opened => opened?,
    };
    let mut lines = Lines::default();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => lines.push(&piece)?,
            // Whether the server is well, the caller's next look will tell.
            Err(Failure::BrokeOff(_)) => return Ok(News::Ended),
            Err(failure) => return Err(failure),
        }
        while let Some(line) = lines.next() {
            if let Some(news) = read_event(&line)? {
                return Ok(news);
            }
        }
    }
    Ok(News::Ended)
}

#[derive(Deserialize)]
struct Kinded {
    r#type: String,
    #[expect(dead_code, reason = "an event without an object is none")]
    object: IgnoredAny,
}

#[derive(Deserialize)]
struct Refused {
    object: serde_json::Value,
}

/// What an event means; `None` for a bookmark, which only says that there is nothing up to some version.
fn read_event(line: &[u8]) -> Result<Option<News>, Failure> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let nonsense = |_| Failure::Nonsense("a line of a watch is no event".to_owned());
    match serde_json::from_slice::<Kinded>(line).map_err(nonsense)?.r#type.as_str() {
        "ADDED" | "MODIFIED" | "DELETED" => Ok(Some(News::Changed)),
        "BOOKMARK" => Ok(None),
        "ERROR" => {
            let Refused { object } = serde_json::from_slice(line).map_err(nonsense)?;
            match Refusal::of_event(object) {
                Some(refusal) if refusal.is_gone() => Ok(Some(News::Ended)),
                Some(refusal) => Err(Failure::Refused(refusal)),
                None => Err(Failure::Nonsense("the error of a watch is no status".to_owned())),
            }
        }
        _ => Err(Failure::Nonsense("a watch tells of an unknown kind of event".to_owned())),
    }
}

/// Lines out of pieces.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Up to here there is no end of a line.
    searched: usize,
}

impl Lines {
    fn push(&mut self, piece: &Bytes) -> Result<(), Failure> {
        if self.buffer.len() + piece.len() > LINE_MOST {
            return Err(Failure::TooLong(LINE_MOST));
        }
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| self.searched + end) else {
            self.searched = self.buffer.len();
            return None;
        };
        self.searched = 0;
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_of_an_observation_are_read_back() {
        let versions = Versions {
            pods: "12".to_owned(),
            endpoint_slices: "14".to_owned(),
            service_names: vec!["a".to_owned(), "b".to_owned()],
            ..Versions::default()
        };
        assert_eq!(Versions::read(&versions.to_string()), Some(versions));
        assert_eq!(Versions::read("17"), None);
    }

    #[test]
    fn lines_are_found_wherever_the_pieces_are_cut() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in [&b"on"[..], b"e\ntwo\nth", b"", b"ree\n"] {
            lines.push(&Bytes::copy_from_slice(piece)).expect("short");
            found.extend(std::iter::from_fn(|| lines.next()));
        }
        assert_eq!(found, [&b"one"[..], b"two", b"three"]);
        assert!(lines.push(&Bytes::from(vec![b'x'; LINE_MOST + 1])).is_err());
    }

    #[test]
    fn an_event_is_a_change_a_bookmark_an_end_or_nonsense() {
        let read = |line: &str| read_event(line.as_bytes()).map_err(|failure| failure.to_string());
        assert_eq!(read(r#"{"type":"ADDED","object":{}}"#), Ok(Some(News::Changed)));
        assert_eq!(read(r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#), Ok(None));
        assert_eq!(read(r#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#), Ok(Some(News::Ended)));
        for nonsense in
            ["<html>", r#"{"type":"ADDED"}"#, r#"{"type":"NEW","object":{}}"#, r#"{"type":"ERROR","object":1}"#]
        {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
    }
}
