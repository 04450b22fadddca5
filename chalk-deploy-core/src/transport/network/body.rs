//! Bodies on their way over a socket, both ways in pieces.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::Fuse;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::sync::OwnedSemaphorePermit;

use super::failure;
use super::service::seconds;
use crate::cloud::ByteStream;
use crate::cloud::error_in_stream;
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::{Error, ErrorCode};

/// What is known of a request's body while reqwest holds it: how far it has come, and why it ended early.
#[derive(Debug, Default)]
pub(super) struct Upload {
    moved: AtomicU64,
    failure: Mutex<Option<Error>>,
}

impl Upload {
    pub(super) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The payload's bytes, which must be as many as were declared: a request that says one length and has another
    /// would damage the connection for those who use it next.
    pub(super) fn stream(self: Arc<Self>, stream: ByteStream, size: u64) -> impl Stream<Item = io::Result<Bytes>> {
        futures::stream::try_unfold((stream.fuse(), size), move |(mut stream, left)| {
            let upload = self.clone();
            async move {
                match next(&mut stream, left).await {
                    Ok(None) => Ok(None),
                    Ok(Some(piece)) => {
                        upload.moved.fetch_add(1, Ordering::Relaxed);
                        let left = left - piece.len() as u64;
                        Ok(Some((piece, (stream, left))))
                    }
                    Err(error) => {
                        *upload.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        Err(io::Error::other("the payload failed"))
                    }
                }
            }
        })
    }
}

async fn next(stream: &mut Fuse<ByteStream>, left: u64) -> Result<Option<Bytes>, Error> {
    let wrong =
        |than: &str| Error::new(ErrorCode::DigestMismatch, format!("the payload is {than} than it was declared"));
    let Some(piece) = read(stream).await? else {
        return if left == 0 { Ok(None) } else { Err(wrong("shorter")) };
    };
    if piece.len() as u64 > left {
        return Err(wrong("longer"));
    }
    // Nobody asks for more after the last byte declared: what follows it is looked for here.
    if piece.len() as u64 == left && read(stream).await?.is_some() {
        return Err(wrong("longer"));
    }
    Ok(Some(piece))
}

/// The next piece that is not empty.
async fn read(stream: &mut Fuse<ByteStream>) -> Result<Option<Bytes>, Error> {
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) if piece.is_empty() => {}
            Ok(piece) => return Ok(Some(piece)),
            Err(error) => {
                return Err(error_in_stream(error).unwrap_or_else(|error| {
                    Error::new(ErrorCode::SourceUnreadable, "the payload cannot be read").caused_by(error)
                }));
            }
        }
    }
    Ok(None)
}

/// The bytes of an answer. Ends with an I/O error when the connection breaks off or stands still for too long.
pub(super) fn download(
    answer: reqwest::Response,
    host: String,
    idle: Duration,
    runtime: Arc<dyn Runtime>,
    turn: OwnedSemaphorePermit,
) -> ByteStream {
    let named = host.clone();
    let pieces = answer.bytes_stream().map_err(move |error| failure::of_answer(&error, &named)).boxed();
    futures::stream::try_unfold((pieces, turn), move |(mut pieces, turn)| {
        let (runtime, host) = (runtime.clone(), host.clone());
        async move {
            match runtime.within(idle, pieces.try_next()).await {
                Some(piece) => Ok(piece?.map(|piece| (piece, (pieces, turn)))),
                None => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the answer of {host} stood still for {}", seconds(idle)),
                )),
            }
        }
    })
    .boxed()
}
