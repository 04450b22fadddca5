//! How an API server is reached.

mod access;
mod answer;
mod credentials;
mod exec;
mod kubeconfig;
mod located;
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
pub use self::located::{ClusterLocator, OpenTransport};
use self::service::Endpoint;
pub use crate::credentials::Secret;
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

/// A request as kube builds it.
type BuiltRequest = Result<Request<Vec<u8>>, kube::core::request::Error>;

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

    /// A connection to a cluster that is known by name. It is looked up at the first request, and again when no request
    /// reaches it.
    pub fn named(locator: impl ClusterLocator, transports: impl OpenTransport, runtime: Arc<dyn Runtime>) -> Self {
        let inner = Inner {
            endpoint: Endpoint::named(Arc::new(locator), Arc::new(transports), runtime),
            client: OnceLock::new(),
            limits: ConnectionLimits::default(),
        };
        Self(Arc::new(inner))
    }

    /// A connection over sockets, that trusts and shows what the access says.
    ///
    /// # Errors
    /// Those of [`NetworkTransports`] for this access.
    #[cfg(feature = "network")]
    pub fn open(access: ClusterAccess, runtime: Arc<dyn Runtime>) -> crate::Result<Self> {
        let transport = NetworkTransports::new(runtime.clone()).open(&access)?;
        Ok(Self::new(transport, access, runtime))
    }

    /// The same connection under other limits.
    #[must_use]
    pub fn with_limits(self, limits: ConnectionLimits) -> Self {
        let endpoint = self.0.endpoint.clone();
        Self(Arc::new(Inner { endpoint, client: OnceLock::new(), limits }))
    }

    /// The API server, for people: its address, or the cluster's name with the address where it was found.
    pub fn server(&self) -> String {
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
    pub(crate) async fn ask(&self, request: BuiltRequest) -> Result<Bytes, Failure> {
        let request = request.map_err(|error| Failure::Unsendable(error.to_string()))?;
        let most = self.0.limits.answer;
        self.in_time(async { answer::read(self.send(request).await?, most).await }).await
    }

    /// Sends a request and reads the answer as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, request: BuiltRequest) -> Result<T, Failure> {
        answer::parse(&self.ask(request).await?)
    }

    /// Sends a request whose answer never ends by itself. The limit is for its beginning.
    pub(crate) async fn stream(
        &self,
        request: BuiltRequest,
    ) -> Result<BoxStream<'static, Result<Bytes, Failure>>, Failure> {
        let mut request = request.map_err(|error| Failure::Unsendable(error.to_string()))?;
        let limits = self.0.limits;
        // A watch is silent for as long as nothing happens.
        #[cfg(feature = "network")]
        request.extensions_mut().insert(crate::transport::IdleTimeout(limits.watch + limits.call));
        #[cfg(not(feature = "network"))]
        let _ = &mut request;
        self.in_time(async { answer::stream(self.send(request).await?, limits.answer).await }).await
    }

    async fn send(&self, request: Request<Vec<u8>>) -> Result<http::Response<kube::client::Body>, Failure> {
        self.client().send(request.map(kube::client::Body::from)).await.map_err(|error| self.failure(error))
    }

    async fn in_time<T: Send>(&self, call: impl Future<Output = Result<T, Failure>> + Send) -> Result<T, Failure> {
        let limit = self.0.limits.call;
        let answered = self.runtime().within(limit, call).await;
        answered.unwrap_or_else(|| Err(Failure::TimedOut { server: self.server(), limit }))
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
            Err(other) => Failure::NotReached { server: self.server(), source: other },
        }
    }
}

/// Opens sockets. The cluster's own authority is trusted instead of everyone's, as kubectl does; certificates are always
/// checked.
#[cfg(feature = "network")]
#[derive(Debug, Clone)]
pub struct NetworkTransports(Arc<dyn Runtime>);

#[cfg(feature = "network")]
impl NetworkTransports {
    /// Takes its time from this runtime.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self(runtime)
    }
}

#[cfg(feature = "network")]
impl OpenTransport for NetworkTransports {
    fn open(&self, access: &ClusterAccess) -> crate::Result<Transport> {
        let server = format!("API server {}", access.server());
        if access.trust.insecure {
            let refused = crate::Error::new(
                crate::ErrorCode::PermissionDenied,
                "it asks for any certificate to be trusted, and this connection always checks them",
            );
            return Err(refused.on(server).with_hint("name the cluster's certificate authority instead"));
        }
        let mut settings = crate::transport::NetworkTransport::builder().runtime(self.0.clone());
        if let Some(authority) = &access.trust.authority {
            settings = settings.trust_only(authority.as_bytes());
        }
        if let Some(identity) = &access.trust.identity {
            settings = settings.identity(identity.expose());
        }
        settings.build().map_err(|error| error.on(server))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("server", &self.server()).finish_non_exhaustive()
    }
}
