//! A payload in pieces, which can go back to what the registry has.

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use super::checked::{Comparison, unreadable};
use crate::cloud::{ByteStream, Payload};
use crate::{Error, ErrorCode, Result};

/// Reads a payload piece by piece. In memory there is one piece.
pub(super) struct Chunks<'a> {
    payload: &'a Payload,
    stream: ByteStream,
    comparison: Comparison,
    /// Read from the stream and not yet part of a piece.
    rest: Bytes,
    /// The last piece, and where it begins.
    last: (u64, Bytes),
    /// Where the next piece begins.
    position: u64,
    /// Whether the stream has ended, and was compared.
    ended: bool,
}

/// Read at once when what was sent already is skipped.
const SKIP: usize = 1 << 20;

impl<'a> Chunks<'a> {
    pub(super) async fn open(payload: &'a Payload) -> Result<Self> {
        Ok(Self {
            payload,
            stream: payload.open().await?,
            comparison: Comparison::new(payload),
            rest: Bytes::new(),
            last: (0, Bytes::new()),
            position: 0,
            ended: false,
        })
    }

    /// Where the next piece begins.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The next piece of at most `length` bytes; an empty one at the end, when all bytes were the declared ones.
    pub(super) async fn next(&mut self, length: usize) -> Result<Bytes> {
        let (start, last) = &self.last;
        let again = usize::try_from(self.position.saturating_sub(*start)).unwrap_or(usize::MAX);
        if again < last.len() {
            // The registry has only a part of the last piece.
            let piece = last.slice(again..);
            self.position += piece.len() as u64;
            return Ok(piece);
        }
        let mut piece = BytesMut::new();
        while piece.len() < length {
            if self.rest.is_empty() {
                if self.ended {
                    break;
                }
                match self.stream.next().await {
                    Some(Ok(bytes)) => {
                        self.comparison.take(&bytes)?;
                        self.rest = bytes;
                    }
                    Some(Err(error)) => return Err(unreadable(error, self.payload)),
                    None => {
                        self.ended = true;
                        // Before the last piece is handed out.
                        self.comparison.end()?;
                        break;
                    }
                }
            }
            let part = self.rest.split_to(self.rest.len().min(length - piece.len()));
            piece.extend_from_slice(&part);
        }
        let piece = piece.freeze();
        self.last = (self.position, piece.clone());
        self.position += piece.len() as u64;
        Ok(piece)
    }

    /// Goes back to a position before the next piece: inside the last one for nothing, else by reading from the start.
    pub(super) async fn go_back(&mut self, to: u64) -> Result<()> {
        let (start, last) = &self.last;
        if to < *start || to > start + last.len() as u64 {
            *self = Self::open(self.payload).await?;
            while self.position < to {
                let left = usize::try_from(to - self.position).unwrap_or(usize::MAX);
                if self.next(left.min(SKIP)).await?.is_empty() {
                    return Err(Error::new(ErrorCode::Internal, "an upload went back to where its bytes have no more"));
                }
            }
        }
        self.position = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use proptest::prelude::*;

    use super::*;
    use crate::cloud::PayloadSource;
    use crate::model::Digest;

    /// Gives its bytes in parts of this length.
    struct Parts(Vec<u8>, usize);

    #[async_trait]
    impl PayloadSource for Parts {
        async fn open(&self) -> Result<ByteStream> {
            let parts: Vec<_> = self.0.chunks(self.1).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
            Ok(futures::stream::iter(parts).boxed())
        }
    }

    proptest! {
        #[test]
        fn whatever_the_registry_kept_the_bytes_arrive_once_and_in_order(
            size in 0_usize..300,
            part in 1_usize..50,
            length in 1_usize..80,
            kept in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).expect("small")).collect();
            let payload = Payload::new(Digest::of(&bytes), size as u64, Arc::new(Parts(bytes.clone(), part)));
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let outcome = runtime.block_on(async {
                let mut chunks = Chunks::open(&payload).await?;
                let (mut stored, mut kept): (Vec<u8>, _) = (Vec::new(), kept.iter());
                loop {
                    let piece = chunks.next(length).await?;
                    if piece.is_empty() {
                        return Ok::<_, Error>(stored);
                    }
                    stored.extend_from_slice(&piece);
                    if let Some(kept) = kept.next() {
                        stored.truncate(kept.index(stored.len() + 1));
                        chunks.go_back(stored.len() as u64).await?;
                    }
                    assert_eq!(chunks.position(), stored.len() as u64);
                }
            });
            prop_assert_eq!(outcome.expect("whole"), bytes);
        }
    }

    #[tokio::test]
    async fn bytes_that_are_not_the_declared_ones_fail_before_their_last_piece() {
        for (declared, size) in [("other", 5), ("bytes", 4), ("bytes", 6)] {
            let payload = Payload::new(Digest::of(declared), size, Arc::new(Parts(b"bytes".to_vec(), 2)));
            let mut chunks = Chunks::open(&payload).await.expect("opened");
            let mut handed = 0;
            let error = loop {
                match chunks.next(2).await {
                    Ok(piece) => handed += piece.len(),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.code(), ErrorCode::DigestMismatch);
            assert!(handed < 5, "{handed}");
        }
    }
}
