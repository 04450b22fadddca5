//! A blob on its way here: compared with its digest as it passes, and taken up again where it was cut.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::header::CONTENT_RANGE;
use http::{HeaderMap, Method, StatusCode};

use super::blob::fetch;
use super::client::Client;
use super::endpoint::Endpoint;
use super::token::Access;
use crate::cloud::ByteStream;
use crate::error::Retry;
use crate::model::{Digest, DigestHasher};
use crate::runtime::RuntimeExt as _;
use crate::{Error, ErrorCode, Result};

/// The blob whose body this is the beginning of. Ends in an error when its bytes are not the ones asked for, or when it
/// was cut, or stood still, more often than is set.
pub(super) fn stream(client: Arc<Client>, endpoint: Endpoint, digest: Digest, body: ByteStream) -> ByteStream {
    let left = client.settings().resumptions;
    let download = Download { client, endpoint, digest, body, hasher: DigestHasher::new(), position: 0, skip: 0, left };
    futures::stream::unfold(Some(download), |download| async move {
        let mut download = download?;
        match download.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(download))),
            Ok(None) => download.end().err().map(|error| (Err(io::Error::other(error)), None)),
            Err(error) => Some((Err(io::Error::other(error)), None)),
        }
    })
    .boxed()
}

struct Download {
    client: Arc<Client>,
    endpoint: Endpoint,
    digest: Digest,
    body: ByteStream,
    hasher: DigestHasher,
    /// How many bytes were handed on.
    position: u64,
    /// How many bytes of the body were handed on before it began.
    skip: u64,
    /// How often it may still be taken up again.
    left: u32,
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let patience = self.client.settings().patience;
            let error = match self.client.runtime().within(patience, self.body.next()).await {
                Some(Some(Ok(mut piece))) => {
                    let known = usize::try_from(self.skip).unwrap_or(usize::MAX).min(piece.len());
                    self.skip -= known as u64;
                    let _ = piece.split_to(known);
                    if piece.is_empty() {
                        continue;
                    }
                    self.hasher.update(&piece);
                    self.position += piece.len() as u64;
                    return Ok(Some(piece));
                }
                Some(None) => return Ok(None),
                Some(Some(Err(error))) => self.broken("the blob's body broke off").caused_by(error),
                None => self.broken("the registry stopped in the middle of a blob"),
            };
            self.resume(error).await?;
        }
    }

    /// Asks for what is left, for as long as that may help.
    async fn resume(&mut self, mut error: Error) -> Result<()> {
        loop {
            if self.left == 0 {
                return Err(error);
            }
            self.left -= 1;
            self.client.pause(self.client.settings().retry.backoff).await;
            tracing::debug!(%error, position = self.position, "a download that was cut goes on");
            match fetch(&self.client, &self.endpoint, Method::GET, &self.digest, Access::Pull, self.position).await {
                Ok(answer) if answer.status == StatusCode::PARTIAL_CONTENT => {
                    if begins(&answer.headers) != Some(self.position) {
                        let message = "the registry was asked for the rest of a blob and sent another part";
                        return Err(Error::new(ErrorCode::CloudAnswerInvalid, message).on(self.digest));
                    }
                    (self.body, self.skip) = (answer.body, 0);
                    return Ok(());
                }
                // It sends all of it again.
                Ok(answer) if answer.status == StatusCode::OK => {
                    (self.body, self.skip) = (answer.body, self.position);
                    return Ok(());
                }
                Ok(answer) => error = answer.error(&self.client, "hand out the rest of a blob", self.digest).await,
                Err(other) => error = other,
            }
            if error.retry() == Retry::Permanent {
                return Err(error);
            }
        }
    }

    fn end(self) -> Result<()> {
        let found = self.hasher.finish();
        if found == self.digest {
            return Ok(());
        }
        Err(Error::new(ErrorCode::ImageMismatch, format!("the registry sent {found}")).on(self.digest))
    }

    fn broken(&self, message: &str) -> Error {
        Error::new(ErrorCode::CloudUnavailable, message).on(self.digest)
    }
}

/// Where the part begins that is sent (RFC 9110, section 14.4: `bytes 5-9/10`).
fn begins(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}
