//! Bodies of requests and answers.

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use futures::StreamExt as _;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

/// No bytes.
pub fn empty() -> ByteStream {
    futures::stream::empty().boxed()
}

/// These bytes.
pub fn full(bytes: impl Into<Bytes>) -> ByteStream {
    futures::stream::iter([Ok(bytes.into())]).boxed()
}

/// An answer that holds JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<ByteStream> {
    // What the servers answer with is plain data with text keys: writing it cannot fail.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A body of plain text.
pub fn text(status: StatusCode, text: String) -> Response<ByteStream> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Reads a body of at most `most` bytes.
///
/// # Errors
/// `413` for a longer one, `400` for one that breaks off.
pub async fn read_body(mut body: ByteStream, most: usize) -> Result<Bytes, StatusCode> {
    let mut collected = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| StatusCode::BAD_REQUEST)?;
        if collected.len() + piece.len() > most {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        collected.extend_from_slice(&piece);
    }
    Ok(collected.into())
}
