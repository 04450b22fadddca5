//! Packing in one stream and without threads, in the turns that a build gives.

use std::io::{self, Write};

use flate2::write::GzEncoder;

use crate::image::Compression;
use crate::source::gzip;

/// Packs what is written to it. The same bytes give the same packed bytes.
pub(super) enum Encoder<W: Write> {
    /// As source archives are packed.
    Gzip(GzEncoder<W>),
    #[cfg(feature = "zstd")]
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    #[cfg_attr(not(feature = "zstd"), expect(clippy::unnecessary_wraps, reason = "zstd can fail"))]
    pub(super) fn new(compression: Compression, sink: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::Gzip => Self::Gzip(gzip(sink)),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(sink, crate::image::ZSTD_LEVEL)?),
        })
    }

    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(encoder) => encoder.write(bytes),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush(),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
