//! A server as the transport of an adapter: no socket, no thread, no clock.

use std::sync::Arc;

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::transport::{Delivery, RequestBody, Transport, TransportError};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Request, Response};

use super::{Server, empty, full};

/// A transport that hands every request to this server, whatever host it names.
pub fn in_process(server: Arc<dyn Server>) -> Transport {
    Transport::from_fn(move |request| send(server.clone(), request))
}

async fn send(server: Arc<dyn Server>, request: Request<RequestBody>) -> Result<Response<ByteStream>, TransportError> {
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
}
