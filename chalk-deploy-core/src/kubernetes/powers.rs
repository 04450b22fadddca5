//! What an API server can do for us beyond [`ClusterApi`](crate::cloud::ClusterApi).

use std::fmt;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{LogParams, PostParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::asked::{Asked, Verb};
use super::cluster::KubernetesCluster;
use super::connection::Failure;
use super::kinds::{ACCESS_REVIEW, POD, requests};
use super::name;
use crate::model::{Namespace, ObjectReference};
use crate::{Result, text};

/// No more of a log is read.
const LOG_MOST: usize = 256 << 10;
/// No more of a line is kept.
const LINE_MOST: usize = 2000;

/// So many questions are under way at a time.
const AT_ONCE: usize = 8;

/// Reads what a container has said.
#[async_trait]
pub trait PodLogs: fmt::Debug + Send + Sync + 'static {
    /// The last lines of a container, oldest first, made printable. A pod, or a run of its container, that is not there
    /// has said nothing.
    ///
    /// **Idempotency.** A read; it may be repeated.
    ///
    /// **Errors.** `PERMISSION_DENIED` names `get` on `pods/log`; `CLOUD_UNAVAILABLE`.
    async fn tail(&self, request: &LogRequest) -> Result<Vec<String>>;
}

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// The namespace.
    pub namespace: Namespace,
    /// The pod.
    pub pod: String,
    /// The container; the only one, unless it is named.
    pub container: Option<String>,
    /// Whether the run before the present one is meant: what a container that was started again died of.
    pub previous: bool,
    /// How many lines, at most a thousand.
    pub lines: u32,
}

/// Asks what we may do.
#[async_trait]
pub trait AccessReview: fmt::Debug + Send + Sync + 'static {
    /// Those of the requests that are not permitted, in the order asked. The answer is the API server's own, and holds
    /// for the moment.
    ///
    /// **Idempotency.** A question; it may be repeated.
    ///
    /// **Errors.** `PERMISSION_DENIED` where even asking is refused; `CLOUD_UNAVAILABLE`.
    async fn missing(&self, requests: &[AccessRequest]) -> Result<Vec<AccessRequest>>;
}

/// A verb on a resource in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccessRequest {
    /// `get`, `list`, `watch`, `create`, `patch`, `update`, `delete`.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource, `deployments`.
    pub resource: String,
    /// The subresource, `log`; empty for the resource itself.
    pub subresource: String,
    /// The namespace.
    pub namespace: Namespace,
}

impl fmt::Display for AccessRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in namespace `{}`", self.permission(), self.namespace)
    }
}

impl AccessRequest {
    /// What would have to be permitted, wherever: `` `watch` on `deployments.apps` ``.
    pub(super) fn permission(&self) -> String {
        let Self { verb, group, resource, subresource, .. } = self;
        let dot = if group.is_empty() { "" } else { "." };
        let slash = if subresource.is_empty() { "" } else { "/" };
        format!("`{verb}` on `{resource}{dot}{group}{slash}{subresource}`")
    }

    /// Whether a deployment succeeds without it, if slower: other watches are replaced by reading again, and endpoint
    /// slices by ready pods.
    pub(super) fn is_replaceable(&self) -> bool {
        let is = |kind: super::kinds::Kind| (self.group.as_str(), self.resource.as_str()) == (kind.group, kind.plural);
        is(super::kinds::ENDPOINT_SLICE) || self.verb == "watch" && !is(POD)
    }

    /// Everything that a deployment into this namespace needs, with traffic on Gateway API.
    pub fn of_a_deployment(namespace: &Namespace) -> Vec<Self> {
        let mut requests = Vec::new();
        let mut ask = |group: &str, resource: &str, subresource: &str, verbs: &[&str]| {
            requests.extend(verbs.iter().map(|verb| Self {
                verb: (*verb).to_owned(),
                group: group.to_owned(),
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
                namespace: namespace.clone(),
            }));
        };
        for kind in super::kinds::APPLIED {
            ask(kind.group, kind.plural, "", &["get", "list", "create", "patch", "delete"]);
        }
        ask(super::HTTP_ROUTE.group, super::HTTP_ROUTE.plural, "", &["update"]);
        for kind in [super::kinds::DEPLOYMENT, super::kinds::SERVICE] {
            ask(kind.group, kind.plural, "", &["watch"]);
        }
        for kind in [POD, super::kinds::ENDPOINT_SLICE] {
            ask(kind.group, kind.plural, "", &["list", "watch"]);
        }
        ask(POD.group, POD.plural, "log", &["get"]);
        requests
    }
}

#[async_trait]
impl PodLogs for KubernetesCluster {
    async fn tail(&self, request: &LogRequest) -> Result<Vec<String>> {
        let reference = ObjectReference {
            api_version: POD.version.to_owned(),
            kind: POD.kind.to_owned(),
            namespace: request.namespace.clone(),
            name: request.pod.clone(),
        };
        name::check(&reference)?;
        let asked = Asked::object(Verb::Get, &POD.resource(), &reference).subresource("log");
        let parameters = LogParams {
            container: request.container.clone(),
            previous: request.previous,
            tail_lines: Some(i64::from(request.lines.min(1000))),
            limit_bytes: i64::try_from(LOG_MOST).ok(),
            ..LogParams::default()
        };
        let logs = POD.requests(&request.namespace).logs(&request.pod, &parameters);
        let mut pieces = match self.connection().stream(logs).await {
            // A container that has not run yet, or not twice, is a bad request to the kubelet.
            Err(failure) if failure.is_not_found() || failure.is_bad_request() => return Ok(Vec::new()),
            opened => opened.map_err(|failure| failure.error(&asked))?,
        };
        let limit = self.connection().limits().call;
        let read = async {
            let mut collected = Vec::new();
            while let Some(piece) = pieces.next().await {
                match piece {
                    Ok(piece) => collected.extend_from_slice(&piece[..piece.len().min(LOG_MOST - collected.len())]),
                    // What was read until then is better than nothing.
                    Err(_) => break,
                }
                if collected.len() >= LOG_MOST {
                    break;
                }
            }
            collected
        };
        let runtime = self.connection().runtime();
        let collected = crate::runtime::RuntimeExt::within(&**runtime, limit, read).await.unwrap_or_default();
        let words = String::from_utf8_lossy(&collected);
        let lines: Vec<_> = words.lines().map(|line| text::line(line, LINE_MOST)).collect();
        let first = lines.len().saturating_sub(request.lines.min(1000) as usize);
        Ok(lines[first..].to_vec())
    }
}

#[async_trait]
impl AccessReview for KubernetesCluster {
    async fn missing(&self, asked_for: &[AccessRequest]) -> Result<Vec<AccessRequest>> {
        // One question each; that is all the API has.
        let ask = |request: AccessRequest| {
            let cluster = self.clone();
            async move { cluster.is_permitted(&request).await }
        };
        let verdicts = asked_for.iter().cloned().map(ask);
        let verdicts: Vec<bool> = futures::stream::iter(verdicts).buffered(AT_ONCE).try_collect().await?;
        let refused = asked_for.iter().zip(verdicts).filter(|(_, is_permitted)| !is_permitted);
        Ok(refused.map(|(request, _)| request.clone()).collect())
    }
}

impl KubernetesCluster {
    async fn is_permitted(&self, request: &AccessRequest) -> Result<bool> {
        let asked = Asked::about(Verb::Create, ACCESS_REVIEW, &request.namespace);
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": ACCESS_REVIEW.kind,
            "spec": {"resourceAttributes": {
                "namespace": request.namespace, "verb": request.verb, "group": request.group,
                "resource": request.resource, "subresource": request.subresource,
            }},
        });
        // Plain data with text keys: writing it cannot fail.
        let body = serde_json::to_vec(&review).unwrap_or_default();
        let answered: Value = self
            .connection()
            .json(requests(&ACCESS_REVIEW.resource(), None).create(&PostParams::default(), body))
            .await
            .map_err(|failure| failure.error(&asked))?;
        answered["status"]["allowed"]
            .as_bool()
            .ok_or_else(|| Failure::Nonsense("a review of access without a verdict".to_owned()).error(&asked))
    }
}
