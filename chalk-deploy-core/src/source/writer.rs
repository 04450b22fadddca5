//! Writing the archive: the same bytes for the same tree, whoever writes them and when.
//!
//! Entries come sorted by path. Headers carry no owner, no time and one of two modes; a name too long for its field
//! goes into a PAX record. The gzip header has neither name nor time, and its operating system is always "unknown".
//! The compressor is zlib-rs, whose output does not depend on the processor; another version of it may pack
//! differently, which changes digests but nothing else (`golden` in the tests notices).

use std::io::{self, Read as _, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use tokio_util::sync::CancellationToken;

use super::Packing;
use super::entry::{ArchiveEntry, EntryKind, shown};
use super::limits::ArchiveLimits;
use super::tree::{EXECUTABLE, Opener, PLAIN, changed};
use crate::model::{Digest, DigestHasher};
use crate::{Error, ErrorCode, Result};

pub(crate) const BLOCK: usize = 512;
const NAME_FIELD: usize = 100;
const BUFFER: usize = 64 << 10;
/// What is handed to the packing thread at once.
const CHUNK: usize = 256 << 10;
/// How many chunks may wait for it.
const CHUNKS_AHEAD: usize = 4;
/// After so many bytes the limits are looked at.
const STEP: usize = 16 << 10;
/// Measured with zlib-rs 0.6 on 15 MiB of Python source (and on an executable), one core: level 1 packs 375 MB/s to a
/// ratio of 4.59 (150 MB/s, 1.58), level 3 209 MB/s to 6.28 (72, 1.95), level 5 148 MB/s to 6.85 (54, 1.98), level 6
/// 111 MB/s to 6.89 (52, 1.98), level 9 54 MB/s to 6.99 (20, 2.06). Every archive is packed twice, once for the
/// fingerprint and once for the upload, so level 3 is the quickest in all down to uplinks of about 10 MB/s.
const LEVEL: u32 = 3;
/// The level that the zstd program has by default; one worker, so that the bytes depend on nothing but the input.
#[cfg(feature = "zstd")]
const ZSTD_LEVEL: i32 = 3;
/// "Unknown" in the header of gzip (RFC 1952, 2.3.1).
const UNKNOWN_SYSTEM: u8 = 255;

/// Where the packed bytes go.
pub(super) trait Sink: Write {
    /// How many packed bytes it has taken.
    fn packed(&self) -> u64;
}

/// What is called while the archive is written.
pub(super) trait Observer {
    /// So many more bytes of content were read.
    fn read(&mut self, _bytes: u64) {}

    /// The first bytes of a file, as many as were read at once.
    fn beginning(&mut self, _entry: &ArchiveEntry, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }

    /// A file was read to its end. `position` counts the files of the archive.
    fn file(&mut self, position: usize, entry: &ArchiveEntry, content: Digest) -> Result<()>;
}

/// Writes the archive of the listed entries. `cancelled` is looked at between two reads.
pub(super) fn write<S: Sink + Send, O: Observer>(
    root: &Path,
    entries: &[ArchiveEntry],
    limits: &ArchiveLimits,
    packing: Packing,
    sink: S,
    observer: &mut O,
    cancelled: &CancellationToken,
) -> Result<S> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(CHUNKS_AHEAD);
        // What takes longest is packing: it has a thread of its own, and reading and hashing go on beside it.
        let packed = thread::Builder::new()
            .spawn_scoped(scope, move || pack(packing, sink, limits, &receiver))
            .map_err(|error| Error::new(ErrorCode::Internal, "no thread can be started").caused_by(error))?;
        let mut writer = Writer { opener: Opener::new(root)?, sender, chunk: Vec::new(), cancelled, files: 0 };
        let written = writer.archive(entries, observer);
        drop(writer);
        let packed =
            packed.join().unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "packing the archive panicked")));
        match written {
            // The packing ends when nothing follows; why nothing did is the reason.
            Err(Unwritten::Failed(error)) => Err(error),
            Err(Unwritten::NobodyPacks) | Ok(()) => packed,
        }
    })
}

/// What the packing thread is given.
enum Piece {
    Bytes(Vec<u8>),
    End,
}

/// Why the archive was not written to its end.
enum Unwritten {
    Failed(Error),
    /// The packing has ended, in an error of its own.
    NobodyPacks,
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Packs what comes, and holds it to the limits.
fn pack<S: Sink>(packing: Packing, sink: S, limits: &ArchiveLimits, pieces: &mpsc::Receiver<Piece>) -> Result<S> {
    let mut packer = Packer::new(packing, sink)?;
    let mut expanded = 0;
    loop {
        match pieces.recv() {
            Ok(Piece::Bytes(bytes)) => {
                // In small steps, because the reader that will unpack it looks at its ratio as often.
                for bytes in bytes.chunks(STEP) {
                    packer.write_all(bytes).map_err(carried)?;
                    expanded += bytes.len() as u64;
                    let size = packer.sink().packed();
                    limits.check_packed(size)?;
                    limits.check_ratio(size, expanded)?;
                }
            }
            Ok(Piece::End) => return packer.finish().map_err(carried),
            Err(_) => return Err(Error::new(ErrorCode::Internal, "the archive has no end")),
        }
    }
}

/// The compressor in front of a sink.
enum Packer<S: Write> {
    Gzip(Box<GzEncoder<S>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::Encoder<'static, S>>),
}

impl<S: Write> Packer<S> {
    #[cfg_attr(not(feature = "zstd"), expect(clippy::unnecessary_wraps, reason = "zstd can fail"))]
    fn new(packing: Packing, sink: S) -> Result<Self> {
        match packing {
            Packing::Gzip => Ok(Self::Gzip(Box::new(gzip(sink)))),
            #[cfg(feature = "zstd")]
            Packing::Zstd => {
                let mut encoder = zstd::Encoder::new(sink, ZSTD_LEVEL).map_err(carried)?;
                encoder.include_checksum(true).map_err(carried)?;
                Ok(Self::Zstd(Box::new(encoder)))
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn sink(&self) -> &S {
        match self {
            Self::Gzip(encoder) => encoder.get_ref(),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.get_ref(),
        }
    }

    fn finish(self) -> io::Result<S> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

struct Writer<'a> {
    opener: Opener,
    sender: mpsc::SyncSender<Piece>,
    chunk: Vec<u8>,
    cancelled: &'a CancellationToken,
    files: usize,
}

type Written = std::result::Result<(), Unwritten>;

impl Writer<'_> {
    fn archive<O: Observer>(&mut self, entries: &[ArchiveEntry], observer: &mut O) -> Written {
        let mut buffer = vec![0; BUFFER];
        for entry in entries {
            self.entry(entry, &mut buffer, observer)?;
        }
        self.put(&[0; 2 * BLOCK])?;
        self.flush()?;
        self.sender.send(Piece::End).map_err(|_| Unwritten::NobodyPacks)
    }

    fn entry<O: Observer>(&mut self, entry: &ArchiveEntry, buffer: &mut [u8], observer: &mut O) -> Written {
        match &entry.kind {
            EntryKind::Directory => {
                self.header(tar::EntryType::Directory, &format!("{}/", entry.path), None, 0, EXECUTABLE)
            }
            EntryKind::Link { target } => {
                self.opener.link(entry, target)?;
                self.header(tar::EntryType::Symlink, &entry.path, Some(target), 0, EXECUTABLE)
            }
            EntryKind::HardLink { target } => {
                self.header(tar::EntryType::Link, &entry.path, Some(target), 0, entry.mode)
            }
            EntryKind::File => self.file(entry, buffer, observer),
        }
    }

    fn file<O: Observer>(&mut self, entry: &ArchiveEntry, buffer: &mut [u8], observer: &mut O) -> Written {
        let mut file = self.opener.file(entry)?;
        let mode = if entry.mode & 0o100 == 0 { PLAIN } else { EXECUTABLE };
        self.header(tar::EntryType::Regular, &entry.path, None, entry.size, mode)?;
        let mut content = DigestHasher::new();
        let mut left = entry.size;
        loop {
            if self.cancelled.is_cancelled() {
                return Err(Error::new(ErrorCode::Cancelled, "nobody waits for the archive any more").into());
            }
            let read = match file.read(buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Error::new(ErrorCode::SourceUnreadable, "it cannot be read")
                        .on(shown(&entry.path))
                        .caused_by(error)
                        .into());
                }
            };
            if left == entry.size {
                observer.beginning(entry, &buffer[..read])?;
            }
            left = left.checked_sub(read as u64).ok_or_else(|| changed(&entry.path))?;
            content.update(&buffer[..read]);
            self.put(&buffer[..read])?;
            observer.read(read as u64);
        }
        if left > 0 {
            return Err(changed(&entry.path).into());
        }
        self.put(&[0; BLOCK][..padding(entry.size)])?;
        observer.file(self.files, entry, content.finish())?;
        self.files += 1;
        Ok(())
    }

    fn header(&mut self, kind: tar::EntryType, name: &str, target: Option<&str>, size: u64, mode: u32) -> Written {
        self.put(&headers(kind, name, target, size, mode))
    }

    fn put(&mut self, bytes: &[u8]) -> Written {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Written {
        let next = Vec::with_capacity(CHUNK + BUFFER);
        let chunk = std::mem::replace(&mut self.chunk, next);
        self.sender.send(Piece::Bytes(chunk)).map_err(|_| Unwritten::NobodyPacks)
    }
}

/// The blocks before an entry's content: its header and, where a name is too long for its field, a PAX record. Nothing
/// in them depends on who writes them and when.
pub(crate) fn headers(kind: tar::EntryType, name: &str, target: Option<&str>, size: u64, mode: u32) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(BLOCK);
    let mut records = String::new();
    if name.len() > NAME_FIELD {
        records.push_str(&pax_record("path", name));
    }
    if let Some(target) = target.filter(|target| target.len() > NAME_FIELD) {
        records.push_str(&pax_record("linkpath", target));
    }
    if !records.is_empty() {
        let length = records.len() as u64;
        let extension = header(tar::EntryType::XHeader, "PaxHeader", None, length, PLAIN);
        blocks.extend_from_slice(extension.as_bytes());
        blocks.extend_from_slice(records.as_bytes());
        blocks.extend_from_slice(&[0; BLOCK][..padding(length)]);
    }
    blocks.extend_from_slice(header(kind, name, target, size, mode).as_bytes());
    blocks
}

/// Packs as every archive of ours is packed: without name, time and system.
pub(crate) fn gzip<W: Write>(sink: W) -> GzEncoder<W> {
    GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(sink, Compression::new(LEVEL))
}

/// Bytes from the end of some content to the next full block.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below 512")]
pub(crate) const fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK as u64) - size) as usize
}

fn header(kind: tar::EntryType, name: &str, target: Option<&str>, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    fill(&mut header.as_old_mut().name, name);
    if let Some(target) = target {
        fill(&mut header.as_old_mut().linkname, target);
    }
    header.set_cksum();
    header
}

/// As much of the text as the field holds; the whole is in a PAX record then.
fn fill(field: &mut [u8; NAME_FIELD], text: &str) {
    let text = &text.as_bytes()[..text.floor_char_boundary(NAME_FIELD)];
    field[..text.len()].copy_from_slice(text);
}

/// `length key=value\n`, where the length counts itself (POSIX.1-2001, pax interchange format).
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length = length.to_string().len() + rest.len();
    }
    format!("{length}{rest}")
}

/// The error that one of our own sinks put into an I/O error.
fn carried(error: io::Error) -> Error {
    crate::cloud::error_in_stream(error)
        .unwrap_or_else(|error| Error::new(ErrorCode::Internal, "the archive cannot be written").caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_pax_record_counts_itself() {
        assert_eq!(pax_record("path", "a"), "9 path=a\n");
        for length in 1..1100 {
            let record = pax_record("path", &"x".repeat(length));
            let (stated, _) = record.split_once(' ').expect("a length");
            assert_eq!(stated.parse::<usize>().expect("a number"), record.len());
        }
    }

    #[test]
    fn content_is_padded_to_full_blocks() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }

    #[test]
    fn a_long_name_is_never_cut_inside_a_character() {
        let mut field = [0; NAME_FIELD];
        fill(&mut field, &format!("{}ä", "x".repeat(99)));
        assert_eq!(field[98..], *b"x\0");
    }
}
