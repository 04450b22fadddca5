//! The one way out. Every request of our adapters goes through one [`Transport`], which wraps one tower service: the
//! real one opens sockets, a simulation answers in the process and in virtual time. What stands around it (kube's
//! client, object_store's connector, an SDK's HTTP client) is handed this transport and opens nothing of its own.
//!
//! It is also the only place where a single call is retried: a bounded number of times, and only where a repetition is
//! harmless. Steps are retried by the driver.

#[cfg(feature = "network")]
mod network;
pub mod meter;
mod retry;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use crate::cloud::{ByteStream, Payload};

#[cfg(feature = "network")]
pub use network::{IdleTimeout, NetworkTransport, NetworkTransportBuilder};
pub use retry::{Repeatable, RetryPolicy};

/// A future as a boxed value.
pub type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a request carries. It can always be sent again from the start.
#[derive(Debug, Clone, Default)]
pub enum RequestBody {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stream that can be opened again.
    Payload(Payload),
}

impl RequestBody {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Payload(payload) => payload.size(),
        }
    }
}

/// How far a request that failed had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It never left: repeating it is harmless, whatever it asks for.
    NotSent,
    /// It may have been received and acted on: only an idempotent one may be repeated.
    MaybeSent,
}

/// A request without an answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// How far it had come.
    pub delivery: Delivery,
    /// What happened, without the URL's query and without credentials.
    pub message: String,
    /// Why.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl TransportError {
    /// An error without a cause of its own.
    pub fn new(delivery: Delivery, message: impl Into<String>) -> Self {
        Self { delivery, message: message.into(), source: None }
    }
}

/// The payload's own error, or what the transport says more exactly in its source (a certificate that is not trusted);
/// otherwise [`CLOUD_UNAVAILABLE`](crate::ErrorCode::CloudUnavailable).
impl From<TransportError> for crate::Error {
    fn from(error: TransportError) -> Self {
        match error.source.map(<dyn std::error::Error + Send + Sync>::downcast::<Self>) {
            Some(Ok(exact)) => *exact,
            Some(Err(source)) => Self::new(crate::ErrorCode::CloudUnavailable, error.message).caused_by(source),
            None => Self::new(crate::ErrorCode::CloudUnavailable, error.message),
        }
    }
}

/// Sends requests through one tower service. Cheap to clone.
#[derive(Clone)]
pub struct Transport(Arc<dyn HttpService>);

/// A tower service as an object that many may call at once. Implemented for every service that answers these requests
/// with a stream; there is no reason to implement it by hand, and [`Transport::from_fn`] wraps a function.
pub trait HttpService: Send + Sync + 'static {
    /// Sends one request.
    fn send(&self, request: Request<RequestBody>) -> BoxedFuture<Result<Response<ByteStream>, TransportError>>;
}

impl<S> HttpService for S
where
    S: Service<Request<RequestBody>, Response = Response<ByteStream>, Error = TransportError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    fn send(&self, request: Request<RequestBody>) -> BoxedFuture<Result<Response<ByteStream>, TransportError>> {
        let mut service = self.clone();
        Box::pin(async move {
            std::future::poll_fn(|context| service.poll_ready(context)).await?;
            service.call(request).await
        })
    }
}

struct Function<F>(F);

impl<F, A> HttpService for Function<F>
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response<ByteStream>, TransportError>> + Send + 'static,
{
    fn send(&self, request: Request<RequestBody>) -> BoxedFuture<Result<Response<ByteStream>, TransportError>> {
        Box::pin((self.0)(request))
    }
}

impl Transport {
    /// Wraps a service.
    pub fn new(service: impl HttpService) -> Self {
        Self(Arc::new(service))
    }

    /// Sends each request by this function: what watches, delays or answers requests is written as one.
    pub fn from_fn<F, A>(send: F) -> Self
    where
        F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Response<ByteStream>, TransportError>> + Send + 'static,
    {
        Self::new(Function(send))
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// When there is no answer. An answer with a bad status is an answer.
    pub async fn send(&self, request: Request<RequestBody>) -> Result<Response<ByteStream>, TransportError> {
        self.0.send(request).await
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Transport")
    }
}
