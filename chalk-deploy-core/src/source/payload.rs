//! The archive's bytes as a stream: made in a thread of its own, a few chunks ahead of whoever reads them.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::entry::ArchiveEntry;
use super::{Collected, SourceArchive, tree, writer};
use crate::cloud::{ByteStream, PayloadSource};
use crate::model::{Digest, DigestHasher};
use crate::{Error, ErrorCode, Result};

const CHUNK: usize = 128 << 10;
/// Chunks that may wait for the reader.
const AHEAD: usize = 4;

#[async_trait]
impl PayloadSource for SourceArchive {
    async fn open(&self) -> Result<ByteStream> {
        let (sender, mut receiver) = mpsc::channel(AHEAD);
        let collected = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let last = match send(&collected, &sender) {
                Ok(()) => Message::End,
                Err(error) => Message::Failed(error),
            };
            // Fails only when nobody reads any more.
            let _ = sender.blocking_send(last);
        });
        let mut ended = false;
        let stream = futures::stream::poll_fn(move |context| {
            if ended {
                return std::task::Poll::Ready(None);
            }
            receiver.poll_recv(context).map(|message| match message {
                Some(Message::Chunk(bytes)) => Some(Ok(bytes)),
                Some(Message::End) => {
                    ended = true;
                    None
                }
                Some(Message::Failed(error)) => {
                    ended = true;
                    Some(Err(io::Error::other(error)))
                }
                // Without an end the thread panicked: a stream that just stops would pass for a whole one.
                None => {
                    ended = true;
                    Some(Err(io::Error::other(Error::new(ErrorCode::Internal, "making the archive panicked"))))
                }
            })
        });
        Ok(stream.boxed())
    }
}

enum Message {
    Chunk(Bytes),
    End,
    Failed(Error),
}

fn send(collected: &Collected, sender: &mpsc::Sender<Message>) -> Result<()> {
    let sink = ChannelSink { sender, chunk: BytesMut::new(), hasher: DigestHasher::new(), size: 0 };
    let mut observer = Comparing { contents: &collected.contents };
    // The sink notices a reader that went away; there is no other reason to stop.
    let never = CancellationToken::new();
    let mut sink = writer::write(
        &collected.root,
        &collected.entries,
        &collected.limits,
        collected.packing,
        sink,
        &mut observer,
        &never,
    )?;
    let same = sink.size == collected.fingerprint.size
        && std::mem::take(&mut sink.hasher).finish() == collected.fingerprint.sha256;
    if !same {
        return Err(Error::new(ErrorCode::SourceChanged, "the archive is not the one that was collected"));
    }
    sink.send().map_err(|error| Error::new(ErrorCode::Cancelled, "nobody reads the archive").caused_by(error))
}

/// Compares each file with what it was when the archive was collected, so that the error can name it.
struct Comparing<'a> {
    contents: &'a [Digest],
}

impl writer::Observer for Comparing<'_> {
    fn file(&mut self, position: usize, entry: &ArchiveEntry, content: Digest) -> Result<()> {
        if self.contents.get(position) == Some(&content) { Ok(()) } else { Err(tree::changed(&entry.path)) }
    }
}

struct ChannelSink<'a> {
    sender: &'a mpsc::Sender<Message>,
    chunk: BytesMut,
    hasher: DigestHasher,
    size: u64,
}

impl ChannelSink<'_> {
    /// Hands on what is collected. The last chunk is held back until the whole archive is known to be the right one,
    /// so a reader that counts bytes never takes a wrong one for complete.
    fn send(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk).freeze();
        self.sender.blocking_send(Message::Chunk(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl io::Write for ChannelSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() >= CHUNK {
            self.send()?;
        }
        if self.chunk.is_empty() {
            self.chunk.reserve(CHUNK + bytes.len());
        }
        self.hasher.update(bytes);
        self.chunk.extend_from_slice(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl writer::Sink for ChannelSink<'_> {
    fn packed(&self) -> u64 {
        self.size
    }
}
