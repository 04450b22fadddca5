//! The packed bytes of an archive and what they expand to, counted, hashed and held to the limits.

use std::io::{self, BufRead as _, BufReader, Chain, Cursor, Read};

use flate2::bufread::GzDecoder;

use crate::model::{Digest, DigestHasher};
use crate::source::ArchiveLimits;
use crate::{Error, ErrorCode, Result};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER: usize = 64 << 10;

/// The bytes of the tar, unpacked if they were packed.
#[derive(Debug)]
pub(super) struct Input<R: Read> {
    decoder: Decoder<R>,
    limits: ArchiveLimits,
    pub(super) expanded: u64,
}

/// The first two bytes, which were read to recognise gzip, and the rest.
type Packed<R> = BufReader<Chain<Cursor<Vec<u8>>, Counted<R>>>;

#[derive(Debug)]
enum Decoder<R: Read> {
    Gzip(Box<GzDecoder<Packed<R>>>),
    Plain(Box<Packed<R>>),
}

impl<R: Read> Input<R> {
    pub(super) fn new(input: R, limits: &ArchiveLimits) -> Result<Self> {
        let mut counted = Counted { input, limits: limits.clone(), hasher: DigestHasher::new(), size: 0 };
        let mut start = Vec::new();
        counted.by_ref().take(2).read_to_end(&mut start).map_err(failed)?;
        let is_gzip = start == GZIP_MAGIC;
        let packed = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(counted));
        let decoder =
            if is_gzip { Decoder::Gzip(Box::new(GzDecoder::new(packed))) } else { Decoder::Plain(Box::new(packed)) };
        Ok(Self { decoder, limits: limits.clone(), expanded: 0 })
    }

    fn packed(&self) -> &Counted<R> {
        match &self.decoder {
            Decoder::Gzip(decoder) => decoder.get_ref().get_ref().get_ref().1,
            Decoder::Plain(packed) => packed.get_ref().get_ref().1,
        }
    }

    /// Reads some bytes; 0 at the end of the tar.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let read = match &mut self.decoder {
                Decoder::Gzip(decoder) => decoder.read(buffer),
                Decoder::Plain(packed) => packed.read(buffer),
            };
            match read {
                Ok(read) => {
                    self.expanded += read as u64;
                    if matches!(self.decoder, Decoder::Gzip(_)) {
                        self.limits.check_ratio(self.packed().size, self.expanded)?;
                    }
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Fills the whole buffer.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => return Err(corrupt("the archive is cut short")),
                read => filled += read,
            }
        }
        Ok(())
    }

    /// Makes sure that nothing follows the end of the tar, and gives digest and length of what was packed.
    pub(super) fn finish(mut self) -> Result<(Digest, u64)> {
        if let Decoder::Gzip(decoder) = &mut self.decoder {
            // What stands behind the one member would be read by some programs and not by others.
            if !decoder.get_mut().fill_buf().map_err(failed)?.is_empty() {
                return Err(corrupt("something follows the end of the gzip member"));
            }
        }
        let counted = match self.decoder {
            Decoder::Gzip(decoder) => decoder.into_inner().into_inner().into_inner().1,
            Decoder::Plain(packed) => packed.into_inner().into_inner().1,
        };
        Ok((counted.hasher.finish(), counted.size))
    }
}

#[derive(Debug)]
struct Counted<R> {
    input: R,
    limits: ArchiveLimits,
    hasher: DigestHasher,
    size: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.size += read as u64;
        self.limits.check_packed(self.size).map_err(io::Error::other)?;
        Ok(read)
    }
}

pub(super) fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::ArchiveCorrupt, message).on("source archive")
}

/// Tells damage from an input that cannot be read.
fn failed(error: io::Error) -> Error {
    crate::cloud::error_in_stream(error).unwrap_or_else(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            corrupt("the archive is cut short or damaged").caused_by(error)
        }
        _ => Error::new(ErrorCode::CloudUnavailable, "the archive could not be read to its end").caused_by(error),
    })
}
