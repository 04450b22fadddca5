//! What the ways to every kind of bucket share: object_store's requests through the one transport, and its answers.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt as _;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt as _;
use object_store::client::{HttpError, HttpErrorKind, HttpRequestBody, HttpResponse, HttpResponseBody};

use super::encoding::decoded;
use super::upload::Streamed;
use crate::cloud::ByteStream;
use crate::runtime::Runtime;
use crate::transport::{Repeatable, RequestBody, RetryPolicy, Transport, TransportError};

/// The longest answer that is read as a whole: one that holds a document.
const DOCUMENT_MOST: usize = 4 << 20;

/// What a request of object_store carries.
pub(super) async fn carried(parts: &Parts, body: HttpRequestBody) -> Result<RequestBody, HttpError> {
    match parts.extensions.get::<Streamed>() {
        Some(streamed) => Ok(RequestBody::Payload(streamed.payload.clone())),
        None => Ok(in_memory(body.collect().await?.to_bytes())),
    }
}

/// A body of these bytes.
pub(super) fn in_memory(bytes: Bytes) -> RequestBody {
    if bytes.is_empty() { RequestBody::Empty } else { RequestBody::Bytes(bytes) }
}

/// Sends what object_store has made. Its transport repeats it where that is harmless.
pub(super) async fn send(
    transport: &Transport,
    runtime: &dyn Runtime,
    mut parts: Parts,
    body: RequestBody,
) -> Result<Response<ByteStream>, TransportError> {
    // What object_store put there is its own, and not for the transport.
    let repeatable = parts.extensions.get::<Repeatable>().copied();
    parts.extensions.clear();
    if let Some(repeatable) = repeatable {
        parts.extensions.insert(repeatable);
    }
    transport.send_with_retry(Request::from_parts(parts, body), RetryPolicy::default(), runtime).await
}

/// The statuses that object_store tells apart by itself. The others become a
/// [`Refusal`](super::refusal::Refusal), which says more.
pub(super) fn passes(status: StatusCode) -> bool {
    status.is_success() || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED)
}

/// The value of a parameter in the query.
pub(super) fn queried(parts: &Parts, name: &str) -> Option<String> {
    let mut pairs = parts.uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    decoded(&value.replace('+', " "))
}

/// Never of a kind that object_store repeats.
pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, error)
}

/// Reads a document.
pub(super) async fn read(mut body: ByteStream) -> Result<Bytes, HttpError> {
    let mut collected = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(failed)?;
        if collected.len() + piece.len() > DOCUMENT_MOST {
            return Err(failed(std::io::Error::other("the answer is longer than any that makes sense")));
        }
        collected.extend_from_slice(&piece);
    }
    Ok(collected.into())
}

/// An answer for object_store, whose body is a stream.
pub(super) fn streamed(response: Response<ByteStream>) -> HttpResponse {
    response.map(|body| HttpResponseBody::new(Answer(Mutex::new(body))))
}

/// An answer's bytes as a body. The lock is never taken; it makes the stream shareable, which object_store asks for.
struct Answer(Mutex<ByteStream>);

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let stream = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        stream.poll_next_unpin(context).map(|piece| piece.map(|piece| piece.map(Frame::data).map_err(failed)))
    }
}
