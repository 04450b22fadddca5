//! How layers are packed.

use std::io::{self, Write};
use std::str::FromStr;

use flate2::write::GzEncoder;
use flate2::{Compression as Level, GzBuilder};

use crate::{Error, ErrorCode};

/// "Unknown" in the header of gzip (RFC 1952, 2.3.1).
const UNKNOWN_SYSTEM: u8 = 255;
/// Layers are pushed more often than they are kept: the quickest level of each, as in other builders of images. The
/// figures are in `benches/README.md`.
const GZIP_LEVEL: u32 = 1;
#[cfg(feature = "zstd")]
const ZSTD_LEVEL: i32 = 1;

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// What every runtime and every tool reads.
    Gzip,
    /// A third of the work on this side and a fifth on the nodes. Runtimes read it since containerd 1.5 and Docker 23.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// The media type of a layer that is packed like this (OCI image specification 1.1).
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            #[cfg(feature = "zstd")]
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// Packs what is written to it. The same bytes give the same packed bytes, whoever writes them and when.
    #[cfg_attr(not(feature = "zstd"), expect(clippy::unnecessary_wraps, reason = "zstd's packer can fail to start"))]
    pub(super) fn encoder<W: Write>(self, sink: W) -> io::Result<Encoder<W>> {
        Ok(match self {
            Self::Gzip => {
                let builder = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
                Encoder::Gzip(builder.write(sink, Level::new(GZIP_LEVEL)))
            }
            #[cfg(feature = "zstd")]
            Self::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(sink, ZSTD_LEVEL)?),
        })
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "gzip" => Ok(Self::Gzip),
            #[cfg(feature = "zstd")]
            "zstd" => Ok(Self::Zstd),
            other => Err(Error::new(ErrorCode::ValueInvalid, "layers are packed with `gzip` or `zstd`")
                .on(format!("compression `{}`", crate::text::line(other, 40)))),
        }
    }
}

pub(super) enum Encoder<W: Write> {
    Gzip(GzEncoder<W>),
    #[cfg(feature = "zstd")]
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
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
