//! The two halves of packing a layer, each on a thread: the bytes are gathered and their digest is taken here, and they
//! are packed there.
//!
//! ```text
//!  caller's thread:  put ── gather ── digest of the unpacked layer ──┐ at most a few pieces wait
//!  thread of ours:                                                   └─> packer ── digest of the packed layer ── spool
//! ```
//!
//! Packing takes longer than all the rest. So when the last byte was put, the unpacked digest is known and the packed one
//! is not yet: whoever pushes the layer can use that time ([`Packing`]).

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use super::compression::Compression;
use super::spool::Spool;
use crate::cloud::PayloadSource;
use crate::model::{Digest, DigestHasher};

/// What is handed over at once: many small files in one turn.
pub(super) const PIECE: usize = 128 << 10;
/// How many pieces may wait. With what is being gathered and packed it is all that is in memory beside the spool.
const WAITING: usize = 4;

/// Takes the unpacked bytes of a layer.
pub(super) struct Packer {
    pending: Vec<u8>,
    diff: DigestHasher,
    unpacked: u64,
    pieces: SyncSender<Piece>,
    /// Buffers that were packed, to be filled again.
    used: Receiver<Vec<u8>>,
    /// Until its error was taken.
    thread: Option<JoinHandle<io::Result<Option<Packed>>>>,
}

enum Piece {
    Bytes(Vec<u8>),
    /// All was put. Without it the layer was given up.
    End,
}

/// A layer whose bytes are all known, and which is still being packed.
pub(super) struct Packing {
    pub(super) diff: Digest,
    pub(super) unpacked: u64,
    thread: JoinHandle<io::Result<Option<Packed>>>,
}

/// A packed layer.
pub(super) struct Packed {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) source: Arc<dyn PayloadSource>,
}

impl Packer {
    /// Starts the thread. What does not fit into memory goes into a file of the folder `spill`.
    pub(super) fn start(compression: Compression, spill: &Path) -> io::Result<Self> {
        let (pieces, to_pack) = sync_channel(WAITING);
        let (packed, used) = channel();
        let sink = Hashing { spool: Spool::new(spill), hasher: DigestHasher::new(), size: 0 };
        let thread = Builder::new()
            .name("layer".to_owned())
            .spawn(move || pack(compression, sink, &to_pack, &packed))?;
        let pending = Vec::with_capacity(2 * PIECE);
        Ok(Self { pending, diff: DigestHasher::new(), unpacked: 0, pieces, used, thread: Some(thread) })
    }

    /// Takes bytes in.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        self.turn_if_full()
    }

    /// Takes in what a reader has, at most `room` bytes of it, in one read and without a copy. How many they were.
    pub(super) fn read(&mut self, reader: &mut impl io::Read, room: usize) -> io::Result<usize> {
        let start = self.pending.len();
        self.pending.resize(start + room.min(PIECE), 0);
        let read = reader.read(&mut self.pending[start..]);
        self.pending.truncate(start + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Hands over what was gathered, if it is enough.
    pub(super) fn turn_if_full(&mut self) -> io::Result<()> {
        if self.pending.len() < PIECE {
            return Ok(());
        }
        self.turn()
    }

    fn turn(&mut self) -> io::Result<()> {
        let empty = self.used.try_recv().unwrap_or_else(|_| Vec::with_capacity(2 * PIECE));
        let full = std::mem::replace(&mut self.pending, empty);
        self.unpacked += full.len() as u64;
        self.diff.update(&full);
        self.send(Piece::Bytes(full))
    }

    fn send(&mut self, piece: Piece) -> io::Result<()> {
        self.pieces.send(piece).map_err(|_| match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => error,
            _ => gone(),
        })
    }

    /// Says that all was put.
    pub(super) fn end(mut self) -> io::Result<Packing> {
        self.turn()?;
        self.send(Piece::End)?;
        let thread = self.thread.ok_or_else(gone)?;
        Ok(Packing { diff: self.diff.finish(), unpacked: self.unpacked, thread })
    }
}

impl Packing {
    /// Waits until it is packed.
    pub(super) fn finish(self) -> io::Result<Packed> {
        self.thread.join().map_err(|_| gone())??.ok_or_else(gone)
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that packs the layer has ended")
}

fn pack(
    compression: Compression,
    sink: Hashing,
    pieces: &Receiver<Piece>,
    packed: &Sender<Vec<u8>>,
) -> io::Result<Option<Packed>> {
    let mut encoder = compression.encoder(sink)?;
    loop {
        match pieces.recv() {
            Ok(Piece::Bytes(mut bytes)) => {
                encoder.write_all(&bytes)?;
                bytes.clear();
                // Whoever reads may have ended.
                let _ = packed.send(bytes);
            }
            Ok(Piece::End) => break,
            Err(_) => return Ok(None),
        }
    }
    let sink = encoder.finish()?;
    Ok(Some(Packed { digest: sink.hasher.finish(), size: sink.size, source: sink.spool.finish()? }))
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
