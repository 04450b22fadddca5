//! How an API server is reached.

mod access;
mod answer;
mod credentials;
mod exec;
mod kubeconfig;
mod secret;
mod service;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use http::Request;
use serde::de::DeserializeOwned;

pub use self::access::{ClusterAccess, Trust};
pub(crate) use self::answer::{Failure, List};
pub use self::credentials::Credentials;
pub use self::exec::{ExecPlugin, ExecPolicy};
pub use self::kubeconfig::{Kubeconfig, KubeconfigPolicy};
pub use self::secret::Secret;
use self::service::Endpoint;
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::transport::Transport;

/// One API server, and who we are there. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    /// Made at the first request: kube's client starts a task, and so wants to be inside of tokio.
    client: OnceLock<kube::Client>,
    limits: ConnectionLimits,
}

/// What a call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How long a call may take, its repetitions by the transport included. A watch has this time to begin.
    pub call: Duration,
    /// How long a watch lasts, by order to the server (`timeoutSeconds`).
    pub watch: Duration,
    /// How long an answer may be in bytes. Lists come in pages and each page is an answer.
    pub answer: usize,
    /// How many objects a page holds.
    pub page: u32,
    /// How many pages a list may have.
    pub pages: u32,
}

impl Default for ConnectionLimits {
    /// 30 seconds for a call, four minutes for a watch, 32 MiB for an answer, 200 pages of 500 objects.
    fn default() -> Self {
        Self { call: Duration::from_secs(30), watch: Duration::from_mins(4), answer: 32 << 20, page: 500, pages: 200 }
    }
}

/// An answer with a success status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
}

impl Connection {
    /// A connection over a transport that is there already: a simulation's, or one that trusts what the access asks for.
    pub fn new(transport: Transport, access: ClusterAccess, runtime: Arc<dyn Runtime>) -> Self {
        let inner = Inner {
            endpoint: Endpoint::new(transport, access, runtime),
            client: OnceLock::new(),
            limits: ConnectionLimits::default(),
        };
        Self(Arc::new(inner))
    }

    /// The same connection under other limits.
    #[must_use]
    pub fn with_limits(self, limits: ConnectionLimits) -> Self {
        let endpoint = self.0.endpoint.clone();
        Self(Arc::new(Inner { endpoint, client: OnceLock::new(), limits }))
    }

    /// The address of the API server, for people.
    pub fn server(&self) -> &str {
        self.0.endpoint.server()
    }

    /// The limits.
    pub fn limits(&self) -> ConnectionLimits {
        self.0.limits
    }

    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        self.0.endpoint.runtime()
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn ask(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Answer, Failure> {
        let request = request.map_err(|error| Failure::Unsendable(error.to_string()))?;
        let limits = self.0.limits;
        let call = async {
            let response =
                self.client().send(request.map(kube::client::Body::from)).await.map_err(|error| self.failure(error))?;
            answer::read(response, limits.answer).await
        };
        let answered = self.runtime().within(limits.call, call).await;
        answered.unwrap_or_else(|| Err(Failure::TimedOut { server: self.server().to_owned(), limit: limits.call }))
    }

    /// Sends a request and reads the answer as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, Failure> {
        answer::parse(&self.ask(request).await?.body)
    }

    /// Sends a request whose answer never ends by itself. The limit is for its beginning.
    pub(crate) async fn stream(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<BoxStream<'static, Result<Bytes, Failure>>, Failure> {
        let request = request.map_err(|error| Failure::Unsendable(error.to_string()))?;
        let limits = self.0.limits;
        let call = async {
            let response =
                self.client().send(request.map(kube::client::Body::from)).await.map_err(|error| self.failure(error))?;
            answer::stream(response, limits.answer).await
        };
        let answered = self.runtime().within(limits.call, call).await;
        answered.unwrap_or_else(|| Err(Failure::TimedOut { server: self.server().to_owned(), limit: limits.call }))
    }

    fn client(&self) -> &kube::Client {
        // The namespace is named in every request.
        self.0.client.get_or_init(|| kube::Client::new(self.0.endpoint.clone(), "default"))
    }

    fn failure(&self, error: kube::Error) -> Failure {
        let boxed = match error {
            kube::Error::Service(boxed) => boxed,
            other => Box::new(other),
        };
        match boxed.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(other) => Failure::NotReached { server: self.server().to_owned(), source: other },
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("server", &self.server()).finish_non_exhaustive()
    }
}
