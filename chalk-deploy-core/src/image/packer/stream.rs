//! One stream of gzip, packed by one thread: not every reader of layers goes on after the first member of several.

use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::{Hashing, gone};
use crate::image::compression::gzip;

/// How many pieces may wait. With what is being gathered and packed it is all that is in memory beside the spool.
const WAITING: usize = 4;

pub(super) struct Stream {
    pieces: SyncSender<Piece>,
    /// Buffers that were packed, to be filled again.
    used: Receiver<Vec<u8>>,
    /// Until its error was taken.
    thread: Option<JoinHandle<io::Result<Option<Hashing>>>>,
}

enum Piece {
    Bytes(Vec<u8>),
    /// All was sent. Without it the layer was given up.
    End,
}

impl Stream {
    pub(super) fn start(sink: Hashing) -> io::Result<Self> {
        let (pieces, to_pack) = sync_channel(WAITING);
        let (packed, used) = channel();
        let work = move || pack(sink, &to_pack, &packed);
        let thread = Builder::new().name("layer".to_owned()).spawn(work)?;
        Ok(Self { pieces, used, thread: Some(thread) })
    }

    pub(super) fn used(&mut self) -> Option<Vec<u8>> {
        self.used.try_recv().ok()
    }

    pub(super) fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.put(Piece::Bytes(bytes))
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        self.put(Piece::End)
    }

    fn put(&mut self, piece: Piece) -> io::Result<()> {
        // A thread that has ended says why.
        self.pieces.send(piece).map_err(|_| match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => error,
            _ => gone(),
        })
    }

    pub(super) fn finish(self) -> io::Result<Hashing> {
        self.thread.ok_or_else(gone)?.join().map_err(|_| gone())??.ok_or_else(gone)
    }
}

fn pack(sink: Hashing, pieces: &Receiver<Piece>, packed: &Sender<Vec<u8>>) -> io::Result<Option<Hashing>> {
    let mut encoder = gzip(sink);
    loop {
        match pieces.recv() {
            Ok(Piece::Bytes(mut bytes)) => {
                encoder.write_all(&bytes)?;
                bytes.clear();
                // Whoever reads may have ended.
                let _ = packed.send(bytes);
            }
            Ok(Piece::End) => return encoder.finish().map(Some),
            Err(_) => return Ok(None),
        }
    }
}
