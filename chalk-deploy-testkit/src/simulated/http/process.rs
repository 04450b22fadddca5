//! A server as the transport of an adapter: no socket, no thread, no clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::transport::{Delivery, RequestBody, Transport, TransportError};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Request, Response};

use super::{Server, empty, full};

/// A transport that hands every request to this server, whatever host it names.
pub fn in_process(server: Arc<dyn Server>) -> Transport {
    Transport::new(InProcess(server))
}

#[derive(Clone, Debug)]
struct InProcess(Arc<dyn Server>);

impl tower_service::Service<Request<RequestBody>> for InProcess {
    type Response = Response<ByteStream>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, TransportError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            // What a client on a socket sends by itself.
            let length = body.length();
            if length > 0 {
                parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
            }
            if let Some(host) = parts.uri.authority().and_then(|authority| authority.as_str().parse().ok()) {
                parts.headers.entry(HOST).or_insert(host);
            }
            let body = match body {
                RequestBody::Empty => empty(),
                RequestBody::Bytes(bytes) => full(bytes),
                RequestBody::Payload(payload) => payload.open().await.map_err(|error| TransportError {
                    delivery: Delivery::NotSent,
                    message: "the request's body could not be opened".to_owned(),
                    source: Some(Box::new(error)),
                })?,
            };
            server
                .answer(Request::from_parts(parts, body))
                .await
                .map_err(|_| TransportError::new(Delivery::MaybeSent, "the connection was closed before an answer"))
        })
    }
}
