//! The two halves of packing a layer: the bytes are gathered and their digest is taken on the caller's thread, and they
//! are packed on others.
//!
//! ```text
//!  caller's thread:   put ── gather ── digest of the unpacked layer ──┐
//!  gzip:              one thread     packs the stream                 ├── digest of the packed layer ── spool
//!  zstd:              a few threads  pack a segment each              ┘
//! ```
//!
//! Packing takes longer than all the rest. So when the last byte was put, the unpacked digest is known and the packed one
//! is not yet: whoever pushes the layer can use that time ([`Packing`]).

#[cfg(feature = "zstd")]
mod segments;
mod stream;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::compression::Compression;
use super::spool::Spool;
use crate::cloud::PayloadSource;
use crate::model::{Digest, DigestHasher};

#[cfg(feature = "zstd")]
use segments::Segments;
use stream::Stream;

/// What is read at once, and handed over at once where the stream is packed as one: many small files in one turn.
pub(super) const PIECE: usize = 128 << 10;

/// Takes the unpacked bytes of a layer.
pub(super) struct Packer {
    pending: Vec<u8>,
    diff: DigestHasher,
    unpacked: u64,
    line: Line,
}

/// Where the gathered bytes go.
enum Line {
    Stream(Stream),
    #[cfg(feature = "zstd")]
    Segments(Box<Segments>),
}

/// A layer whose bytes are all known, and which is still being packed.
pub(super) struct Packing {
    pub(super) diff: Digest,
    pub(super) unpacked: u64,
    line: Line,
}

/// A packed layer.
pub(super) struct Packed {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) source: Arc<dyn PayloadSource>,
}

impl Packer {
    /// What does not fit into memory goes into a file of the folder `spill`.
    pub(super) fn start(compression: Compression, spill: &Path) -> io::Result<Self> {
        let sink = Hashing { spool: Spool::new(spill), hasher: DigestHasher::new(), size: 0 };
        let line = match compression {
            Compression::Gzip => Line::Stream(Stream::start(sink)?),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Line::Segments(Box::new(Segments::new(sink))),
        };
        Ok(Self { pending: Vec::with_capacity(line.piece() + PIECE), diff: DigestHasher::new(), unpacked: 0, line })
    }

    /// Takes bytes in.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        self.turn_if_full()
    }

    /// Takes in what a reader has, at most `room` bytes and a [`PIECE`] of it, in one read and without a copy. How many they
    /// were.
    pub(super) fn read(&mut self, reader: &mut impl io::Read, room: usize) -> io::Result<usize> {
        let start = self.pending.len();
        self.pending.resize(start + room.min(PIECE), 0);
        let read = reader.read(&mut self.pending[start..]);
        self.pending.truncate(start + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Hands over what was gathered, if it is enough.
    pub(super) fn turn_if_full(&mut self) -> io::Result<()> {
        while self.pending.len() >= self.line.piece() {
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut next = self.line.buffer();
        if let Some(most) = self.line.most()
            && self.pending.len() > most
        {
            next.extend_from_slice(&self.pending[most..]);
            self.pending.truncate(most);
        }
        let full = std::mem::replace(&mut self.pending, next);
        self.unpacked += full.len() as u64;
        self.diff.update(&full);
        self.line.send(full)
    }

    /// Says that all was put.
    pub(super) fn end(mut self) -> io::Result<Packing> {
        if !self.pending.is_empty() {
            self.turn()?;
        }
        self.line.end()?;
        Ok(Packing { diff: self.diff.finish(), unpacked: self.unpacked, line: self.line })
    }
}

impl Packing {
    /// Waits until it is packed.
    pub(super) fn finish(self) -> io::Result<Packed> {
        let sink = match self.line {
            Line::Stream(stream) => stream.finish()?,
            #[cfg(feature = "zstd")]
            Line::Segments(segments) => segments.finish()?,
        };
        Ok(Packed { digest: sink.hasher.finish(), size: sink.size, source: sink.spool.finish()? })
    }
}

impl Line {
    /// How much is handed over at once, at least.
    const fn piece(&self) -> usize {
        match self {
            Self::Stream(_) => PIECE,
            #[cfg(feature = "zstd")]
            Self::Segments(_) => segments::SEGMENT,
        }
    }

    /// How much is handed over at once, at most.
    const fn most(&self) -> Option<usize> {
        match self {
            Self::Stream(_) => None,
            #[cfg(feature = "zstd")]
            Self::Segments(_) => Some(segments::SEGMENT),
        }
    }

    /// An empty buffer, one that was packed if there is any.
    fn buffer(&mut self) -> Vec<u8> {
        match self {
            Self::Stream(stream) => stream.used(),
            #[cfg(feature = "zstd")]
            Self::Segments(segments) => segments.used(),
        }
        .unwrap_or_else(|| Vec::with_capacity(self.piece() + PIECE))
    }

    fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.send(bytes),
            #[cfg(feature = "zstd")]
            Self::Segments(segments) => segments.send(bytes),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.end(),
            #[cfg(feature = "zstd")]
            Self::Segments(_) => Ok(()),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that packs the layer has ended")
}

/// Where the packed bytes go.
struct Hashing {
    spool: Spool,
    hasher: DigestHasher,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.spool.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }
}
