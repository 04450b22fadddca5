//! Bytes that are compared with their digest as they pass.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;

use crate::cloud::{ByteStream, Payload, PayloadSource, error_in_stream};
use crate::model::{Digest, DigestHasher};
use crate::{Error, ErrorCode, Result};

/// A payload whose last piece is held back until the whole is known to be what was declared: a registry that compares
/// nothing is never handed a wrong blob to its end.
#[derive(Clone)]
pub(super) struct Checked {
    payload: Payload,
    failure: Arc<Mutex<Option<Error>>>,
    taken: Arc<AtomicU64>,
}

impl Checked {
    pub(super) fn new(payload: &Payload) -> Self {
        Self { payload: payload.clone(), failure: Arc::default(), taken: Arc::default() }
    }

    pub(super) fn payload(&self) -> Payload {
        Payload::new(self.payload.sha256(), self.payload.size(), Arc::new(self.clone()))
    }

    /// Why the bytes could not be sent, when the fault is theirs. What the transport made of it does not matter.
    pub(super) fn failure(&self) -> Option<Error> {
        self.slot().take()
    }

    /// Counts all bytes that were taken.
    pub(super) fn taken(&self) -> Arc<AtomicU64> {
        self.taken.clone()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: Error) -> io::Error {
        let told = io::Error::other(error.message().to_owned());
        *self.slot() = Some(error);
        told
    }
}

#[async_trait]
impl PayloadSource for Checked {
    async fn open(&self) -> Result<ByteStream> {
        let stream = match self.payload.open().await {
            Ok(stream) => stream,
            Err(error) => {
                *self.slot() = Some(Error::from(error.record()));
                return Err(error);
            }
        };
        let comparison = Comparison::new(&self.payload);
        let state = (self.clone(), stream, comparison, None::<Bytes>, false);
        Ok(futures::stream::unfold(state, |(checked, mut stream, mut comparison, mut held, ended)| async move {
            if ended {
                return None;
            }
            loop {
                let piece = match stream.next().await {
                    Some(Ok(piece)) => piece,
                    Some(Err(error)) => {
                        let told = checked.fail(unreadable(error, &checked.payload));
                        return Some((Err(told), (checked, stream, comparison, None, true)));
                    }
                    None => {
                        if let Err(error) = comparison.end() {
                            let told = checked.fail(error);
                            return Some((Err(told), (checked, stream, comparison, None, true)));
                        }
                        return held.map(|last| (Ok(last), (checked, stream, comparison, None, true)));
                    }
                };
                if let Err(error) = comparison.take(&piece) {
                    let told = checked.fail(error);
                    return Some((Err(told), (checked, stream, comparison, None, true)));
                }
                checked.taken.fetch_add(piece.len() as u64, Ordering::Relaxed);
                if let Some(before) = held.replace(piece) {
                    return Some((Ok(before), (checked, stream, comparison, held, false)));
                }
            }
        })
        .boxed())
    }
}

/// Digest and length, compared.
#[derive(Debug)]
pub(super) struct Comparison {
    digest: Digest,
    size: u64,
    hasher: DigestHasher,
    seen: u64,
}

impl Comparison {
    pub(super) fn new(payload: &Payload) -> Self {
        Self { digest: payload.sha256(), size: payload.size(), hasher: DigestHasher::new(), seen: 0 }
    }

    pub(super) fn take(&mut self, piece: &[u8]) -> Result<()> {
        self.seen += piece.len() as u64;
        if self.seen > self.size {
            return Err(self.mismatch(format!("the bytes are more than the {} declared", self.size)));
        }
        self.hasher.update(piece);
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<()> {
        if self.seen != self.size {
            return Err(self.mismatch(format!("the bytes are {} and {} were declared", self.seen, self.size)));
        }
        let digest = std::mem::take(&mut self.hasher).finish();
        if digest != self.digest {
            return Err(self.mismatch(format!("the bytes have the digest {digest}, and another one was declared")));
        }
        Ok(())
    }

    fn mismatch(&self, message: String) -> Error {
        Error::new(ErrorCode::DigestMismatch, message).on(self.digest)
    }
}

/// The error of a payload that broke off.
pub(super) fn unreadable(error: io::Error, payload: &Payload) -> Error {
    error_in_stream(error).unwrap_or_else(|error| {
        Error::new(ErrorCode::CloudUnavailable, "the bytes to upload could not be read to their end")
            .on(payload.sha256())
            .caused_by(error)
    })
}
