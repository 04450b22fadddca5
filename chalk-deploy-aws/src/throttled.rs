//! Throttling that is said with 400.
//!
//! The protocols of JSON, and that of STS, say so in the code of a refusal and not in its status ("Error codes" of the API
//! references). The one bounded retry of the transport looks at statuses.

use std::task::{Context, Poll};

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::transport::{BoxedFuture, RequestBody, Transport, TransportError};
use futures::StreamExt as _;
use http::{Request, Response, StatusCode};

use crate::refusal::{REFUSAL_MOST, Refusal};

/// The same way, on which such an answer is a 429, so that the retry applies.
pub(crate) fn heard(transport: &Transport) -> Transport {
    Transport::new(Attentive(transport.clone()))
}

#[derive(Debug, Clone)]
struct Attentive(Transport);

impl tower_service::Service<Request<RequestBody>> for Attentive {
    type Response = Response<ByteStream>;
    type Error = TransportError;
    type Future = BoxedFuture<Result<Self::Response, TransportError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let transport = self.0.clone();
        Box::pin(async move {
            let response = transport.send(request).await?;
            if response.status() != StatusCode::BAD_REQUEST {
                return Ok(response);
            }
            let (mut parts, mut body) = response.into_parts();
            let (mut pieces, mut length) = (Vec::new(), 0);
            while length < REFUSAL_MOST
                && let Some(piece) = body.next().await
            {
                length += piece.as_ref().map_or(REFUSAL_MOST, Bytes::len);
                pieces.push(piece);
            }
            let words: Vec<u8> = pieces.iter().flatten().flatten().copied().collect();
            let refusal = Refusal::read(parts.status, &parts.headers, &words, Timestamp::default());
            if refusal.is_throttled() {
                parts.status = StatusCode::TOO_MANY_REQUESTS;
            }
            Ok(Response::from_parts(parts, futures::stream::iter(pieces).chain(body).boxed()))
        })
    }
}
