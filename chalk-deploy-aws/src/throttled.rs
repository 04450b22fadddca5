//! Throttling that is said with 400.
//!
//! The protocols of JSON, and that of STS, say so in the code of a refusal and not in its status ("Error codes" of the API
//! references). The one bounded retry of the transport looks at statuses.

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::transport::{Transport, TransportError};
use futures::StreamExt as _;
use http::{Response, StatusCode};

use crate::refusal::{REFUSAL_MOST, Refusal};

/// The same way, on which such an answer is a 429, so that the retry applies.
pub(crate) fn heard(transport: &Transport) -> Transport {
    let transport = transport.clone();
    Transport::from_fn(move |request| {
        let transport = transport.clone();
        async move { said_as_429(transport.send(request).await?).await }
    })
}

async fn said_as_429(response: Response<ByteStream>) -> Result<Response<ByteStream>, TransportError> {
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
    if Refusal::read(parts.status, &parts.headers, &words, Timestamp::default()).is_throttled() {
        parts.status = StatusCode::TOO_MANY_REQUESTS;
    }
    Ok(Response::from_parts(parts, futures::stream::iter(pieces).chain(body).boxed()))
}
