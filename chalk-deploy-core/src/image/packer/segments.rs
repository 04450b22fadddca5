//! Segments of one length, each packed by itself into a frame, by as many threads as there are processors. A sequence of
//! frames is as good as one (RFC 8878, section 3.1), and where they begin depends on the length alone: however many
//! threads pack, the bytes are the same.
//!
//! A segment that lies in one buffer is packed in one call, without the copies and the wrapped window that a stream costs.
//! No frame refers to the one before: a source layer gets half a percent longer for it, a tree of libraries three.

use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

use super::{Hashing, gone};
use crate::image::compression::ZSTD_LEVEL;

/// The length of a segment.
pub(super) const SEGMENT: usize = 512 << 10;
/// More threads than this would wait for the one that reads.
const MOST_THREADS: usize = 4;
/// Segments under way for each thread: one that is being packed and one that waits.
const UNDER_WAY: usize = 2;

pub(super) struct Segments {
    /// Started as they are needed. The segment of this number goes to the thread of its rest.
    threads: Vec<Thread>,
    most: usize,
    sent: usize,
    taken: usize,
    /// Buffers of segments and of frames, to be filled again: fresh memory costs more than the copy of what is in it.
    used: Vec<Vec<u8>>,
    room: Vec<Vec<u8>>,
    sink: Hashing,
}

struct Thread {
    segments: SyncSender<Segment>,
    packed: Receiver<io::Result<Frame>>,
}

struct Segment {
    bytes: Vec<u8>,
    /// Where its frame goes.
    room: Vec<u8>,
}

struct Frame {
    bytes: Vec<u8>,
    /// The buffer of the segment.
    used: Vec<u8>,
}

impl Segments {
    pub(super) fn new(sink: Hashing) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads(processors.min(MOST_THREADS), sink)
    }

    fn with_threads(most: usize, sink: Hashing) -> Self {
        Self { threads: Vec::new(), most, sent: 0, taken: 0, used: Vec::new(), room: Vec::new(), sink }
    }

    pub(super) fn used(&mut self) -> Option<Vec<u8>> {
        self.used.pop()
    }

    pub(super) fn send(&mut self, segment: Vec<u8>) -> io::Result<()> {
        if self.sent - self.taken >= UNDER_WAY * self.most {
            self.take()?;
        }
        let number = self.sent % self.most;
        if number == self.threads.len() {
            self.threads.push(Thread::start()?);
        }
        let room = self.room.pop().unwrap_or_else(|| Vec::with_capacity(compress_bound(SEGMENT)));
        self.threads[number].segments.send(Segment { bytes: segment, room }).map_err(|_| gone())?;
        self.sent += 1;
        Ok(())
    }

    /// Waits for the oldest frame.
    fn take(&mut self) -> io::Result<()> {
        let Frame { mut bytes, mut used } =
            self.threads[self.taken % self.most].packed.recv().map_err(|_| gone())??;
        self.taken += 1;
        self.sink.write_all(&bytes)?;
        used.clear();
        bytes.clear();
        self.used.push(used);
        self.room.push(bytes);
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Hashing> {
        while self.taken < self.sent {
            self.take()?;
        }
        Ok(self.sink)
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let (segments, to_pack) = sync_channel(UNDER_WAY);
        let (done, packed) = sync_channel(UNDER_WAY);
        Builder::new().name("layer".to_owned()).spawn(move || pack(&to_pack, &done))?;
        Ok(Self { segments, packed })
    }
}

fn pack(segments: &Receiver<Segment>, done: &SyncSender<io::Result<Frame>>) {
    let mut compressor = Compressor::new(ZSTD_LEVEL);
    // Ends with the layer, whether it was finished or given up.
    while let Ok(Segment { bytes: used, mut room }) = segments.recv() {
        let packed = match &mut compressor {
            Ok(compressor) => compressor.compress_to_buffer(&used, &mut room).map(|_| Frame { bytes: room, used }),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        if done.send(packed).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::spool::Spool;
    use crate::model::{Digest, DigestHasher};

    #[test]
    fn however_many_threads_pack_and_however_fast_the_bytes_are_the_same() {
        // Neither empty nor a multiple of a segment, and no segment like another.
        let bytes: Vec<u8> = (0_u32..7 * 400_000).map(|at| (at.wrapping_mul(at >> 9) >> 13).to_be_bytes()[3]).collect();
        let pack = |most: usize, length: usize| {
            let sink = Hashing { spool: Spool::new(&std::env::temp_dir()), hasher: DigestHasher::new(), size: 0 };
            let mut segments = Segments::with_threads(most, sink);
            for segment in bytes[..length].chunks(SEGMENT) {
                let mut buffer = segments.used().unwrap_or_default();
                buffer.extend_from_slice(segment);
                segments.send(buffer).expect("sent");
            }
            let sink = segments.finish().expect("packed");
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let stream = runtime.block_on(sink.spool.finish().expect("kept").open()).expect("opened");
            let pieces: Vec<_> = runtime.block_on(futures::TryStreamExt::try_collect(stream)).expect("read");
            let packed: Vec<u8> = pieces.concat();
            assert_eq!((sink.hasher.finish(), sink.size), (Digest::of(&packed), packed.len() as u64));
            packed
        };
        for length in [1, SEGMENT - 1, SEGMENT, SEGMENT + 1, bytes.len()] {
            let one = pack(1, length);
            assert!(zstd::stream::decode_all(&one[..]).expect("frames") == bytes[..length], "{length}");
            for threads in [2, 3, 4] {
                assert!(pack(threads, length) == one, "{threads} threads, {length} bytes");
            }
        }
    }
}
