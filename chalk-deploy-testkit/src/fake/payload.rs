//! Bytes on their way into a room and out of it, with their digest compared.

use async_trait::async_trait;
use chalk_deploy_core::cloud::{ByteStream, Payload, PayloadSource, error_in_stream};
use chalk_deploy_core::model::{Digest, DigestHasher};
use chalk_deploy_core::{Error, ErrorCode, Result};
use futures::StreamExt as _;

use crate::world::{Received, Room};

/// Receives a payload as a document, comparing digest and length on the way.
pub(super) async fn receive(room: &Room, document: &str, payload: &Payload) -> Result<Received> {
    let mut receiving = room.receive(document).await?;
    drain(payload, |piece| receiving.push(piece)).await?;
    receiving.finish()
}

/// Reads a payload to its end, comparing digest and length, and keeps nothing: what it declares is there already.
pub(super) async fn compare(payload: &Payload) -> Result<()> {
    drain(payload, |_| Ok(())).await
}

async fn drain(payload: &Payload, mut take: impl FnMut(&[u8]) -> Result<()> + Send) -> Result<()> {
    let mismatch = |message: String| Error::new(ErrorCode::DigestMismatch, message).on(payload.sha256());
    let mut stream = payload.open().await?;
    let mut hasher = DigestHasher::new();
    let mut size = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| {
            error_in_stream(error).unwrap_or_else(|error| {
                Error::new(ErrorCode::CloudUnavailable, "the body of the upload broke off")
                    .on(payload.sha256())
                    .caused_by(error)
            })
        })?;
        size += piece.len() as u64;
        if size > payload.size() {
            return Err(mismatch(format!("the body is longer than the {} bytes declared", payload.size())));
        }
        hasher.update(&piece);
        take(&piece)?;
    }
    if size != payload.size() {
        return Err(mismatch(format!("the body has {size} bytes, and {} were declared", payload.size())));
    }
    let digest = hasher.finish();
    if digest != payload.sha256() {
        return Err(mismatch(format!("the body has the digest {digest}, and another one was declared")));
    }
    Ok(())
}

/// A stream that ends with an I/O error when its bytes turn out not to have the digest.
pub(super) fn verified(stream: ByteStream, digest: Digest) -> ByteStream {
    let state = (stream, Some(DigestHasher::new()));
    futures::stream::unfold(state, move |(mut stream, hasher)| async move {
        let mut hasher = hasher?;
        match stream.next().await {
            Some(Ok(piece)) => {
                hasher.update(&piece);
                Some((Ok(piece), (stream, Some(hasher))))
            }
            Some(Err(error)) => Some((Err(error), (stream, None))),
            None if hasher.finish() == digest => None,
            None => Some((Err(std::io::Error::other(format!("the bytes stored are not {digest}"))), (stream, None))),
        }
    })
    .boxed()
}

/// A document of a room as a source of bytes.
pub(super) struct Stored {
    pub(super) room: Room,
    pub(super) document: String,
    pub(super) missing: ErrorCode,
}

#[async_trait]
impl PayloadSource for Stored {
    async fn open(&self) -> Result<ByteStream> {
        self.room.open(&self.document)?.ok_or_else(|| {
            Error::new(self.missing, "the bytes are no longer there").on(format!("document `{}`", self.document))
        })
    }
}
