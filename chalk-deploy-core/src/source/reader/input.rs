//! The packed bytes of an archive and what they expand to, counted, hashed and held to the limits.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Chain, Cursor, Read};

use flate2::bufread::GzDecoder;

use crate::model::{Digest, DigestHasher};
use crate::source::ArchiveLimits;
use crate::{Error, ErrorCode, Result};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// The beginning of a frame (RFC 8878, 3.1.1).
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER: usize = 64 << 10;

/// The bytes of the tar, unpacked if they were packed.
pub(super) struct Input<R: Read> {
    decoder: Decoder<R>,
    limits: ArchiveLimits,
    pub(super) expanded: u64,
}

/// The first bytes, which were read to recognise what it is, and the rest.
type Packed<R> = BufReader<Chain<Cursor<Vec<u8>>, Counted<R>>>;

enum Decoder<R: Read> {
    Gzip(Box<GzDecoder<Packed<R>>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::Decoder<'static, Packed<R>>>),
    Plain(Box<Packed<R>>),
}

impl<R: Read> Decoder<R> {
    fn packed(&self) -> &Packed<R> {
        match self {
            Self::Gzip(decoder) => decoder.get_ref(),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.get_ref(),
            Self::Plain(packed) => packed,
        }
    }

    fn packed_mut(&mut self) -> &mut Packed<R> {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Plain(packed) => packed,
        }
    }

    fn into_packed(self) -> Packed<R> {
        match self {
            Self::Gzip(decoder) => decoder.into_inner(),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.finish(),
            Self::Plain(packed) => *packed,
        }
    }
}

impl<R: Read> fmt::Debug for Input<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Input").field("expanded", &self.expanded).finish_non_exhaustive()
    }
}

impl<R: Read> Input<R> {
    pub(super) fn new(input: R, limits: &ArchiveLimits) -> Result<Self> {
        let mut counted = Counted { input, limits: limits.clone(), hasher: DigestHasher::new(), size: 0 };
        let mut start = Vec::new();
        counted.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut start).map_err(failed)?;
        let (is_gzip, is_zstd) = (start.starts_with(GZIP_MAGIC), start.starts_with(ZSTD_MAGIC));
        let packed = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(counted));
        let decoder = match (is_gzip, is_zstd) {
            (true, _) => Decoder::Gzip(Box::new(GzDecoder::new(packed))),
            (_, true) => unzstd(packed)?,
            _ => Decoder::Plain(Box::new(packed)),
        };
        Ok(Self { decoder, limits: limits.clone(), expanded: 0 })
    }

    fn packed_size(&self) -> u64 {
        self.decoder.packed().get_ref().get_ref().1.size
    }

    /// Reads some bytes; 0 at the end of the tar.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let read = match &mut self.decoder {
                Decoder::Gzip(decoder) => decoder.read(buffer),
                #[cfg(feature = "zstd")]
                Decoder::Zstd(decoder) => decoder.read(buffer).map_err(damaged),
                Decoder::Plain(packed) => packed.read(buffer),
            };
            match read {
                Ok(read) => {
                    self.expanded += read as u64;
                    if !matches!(self.decoder, Decoder::Plain(_)) {
                        self.limits.check_ratio(self.packed_size(), self.expanded)?;
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
        // What stands behind the one member or frame would be read by some programs and not by others. A plain tar has
        // been read to its end.
        if !self.decoder.packed_mut().fill_buf().map_err(failed)?.is_empty() {
            return Err(corrupt("something follows the end of the packed archive"));
        }
        let (_, counted) = self.decoder.into_packed().into_inner().into_inner();
        Ok((counted.hasher.finish(), counted.size))
    }
}

/// A frame of zstd. Larger windows than ours are refused: they are memory.
#[cfg(feature = "zstd")]
fn unzstd<R: Read>(packed: Packed<R>) -> Result<Decoder<R>> {
    /// 8 MiB, which every decoder has to take (RFC 8878, 3.1.1.1.2), as a power of two.
    const WINDOW_MOST: u32 = 23;
    let mut decoder = zstd::Decoder::with_buffer(packed).map_err(failed)?;
    decoder.window_log_max(WINDOW_MOST).map_err(failed)?;
    Ok(Decoder::Zstd(Box::new(decoder.single_frame())))
}

/// The decoder's own errors, which have no kind that tells damage.
#[cfg(feature = "zstd")]
fn damaged(error: io::Error) -> io::Error {
    let is_ours = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>);
    if error.kind() == io::ErrorKind::Other && !is_ours {
        io::Error::new(io::ErrorKind::InvalidData, error)
    } else {
        error
    }
}

#[cfg(not(feature = "zstd"))]
fn unzstd<R: Read>(_: Packed<R>) -> Result<Decoder<R>> {
    Err(corrupt("the archive is packed with zstd, which is not built in").with_hint("pack it with gzip"))
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
