//! Bytes on their way: a stream that can be opened again, because a request that failed in the middle must be sent
//! again from the start.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::model::{Digest, Repository};
use crate::{Error, ErrorCode, Result};

/// Bytes as they arrive, in chunks of any length.
pub type ByteStream = BoxStream<'static, std::io::Result<Bytes>>;

/// Something whose bytes can be read from the start as often as needed.
#[async_trait]
pub trait PayloadSource: Send + Sync + 'static {
    /// Opens it from the start.
    async fn open(&self) -> Result<ByteStream>;
}

/// Bytes with their digest and length, known before the first one is sent. A receiver compares both: what does not
/// match was never stored.
#[derive(Clone)]
pub struct Payload {
    sha256: Digest,
    size: u64,
    source: Arc<dyn PayloadSource>,
    origin: Option<Repository>,
}

impl Payload {
    /// Bytes that can be opened again, with what they must turn out to be.
    pub fn new(sha256: Digest, size: u64, source: Arc<dyn PayloadSource>) -> Self {
        Self { sha256, size, source, origin: None }
    }

    /// Bytes in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        struct InMemory(Bytes);

        #[async_trait]
        impl PayloadSource for InMemory {
            async fn open(&self) -> Result<ByteStream> {
                Ok(futures::stream::iter([Ok(self.0.clone())]).boxed())
            }
        }

        let bytes = bytes.into();
        Self { sha256: Digest::of(&bytes), size: bytes.len() as u64, source: Arc::new(InMemory(bytes)), origin: None }
    }

    /// Says that a repository holds these bytes as a blob: a registry that has both can let the one have it from the
    /// other, and the bytes stay where they are. A hint, which whoever cannot use it ignores.
    #[must_use]
    pub fn with_origin(mut self, repository: Option<Repository>) -> Self {
        self.origin = repository;
        self
    }

    /// The repository that holds these bytes, where one is known.
    pub const fn origin(&self) -> Option<&Repository> {
        self.origin.as_ref()
    }

    /// The digest that the bytes must have.
    pub const fn sha256(&self) -> Digest {
        self.sha256
    }

    /// The length that they must have.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Opens the bytes from the start.
    ///
    /// # Errors
    /// Whatever the source fails with.
    pub async fn open(&self) -> Result<ByteStream> {
        self.source.open().await
    }

    /// Reads all of it into memory, checking digest and length. For small things: manifests, index entries.
    ///
    /// # Errors
    /// [`ErrorCode::DigestMismatch`] when the bytes are not the declared ones.
    pub async fn bytes(&self) -> Result<Bytes> {
        let bytes = collect(self.open().await?, self.size).await?;
        if bytes.len() as u64 != self.size || Digest::of(&bytes) != self.sha256 {
            return Err(Error::new(ErrorCode::DigestMismatch, "the bytes are not the ones declared").on(self.sha256));
        }
        Ok(bytes)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Payload({}, {} bytes)", self.sha256, self.size)
    }
}

/// The error of this library that an I/O error of a stream carries, such as the `SOURCE_CHANGED` of
/// [`SourceArchive::payload`](crate::source::SourceArchive::payload). Whoever reads a payload asks for it first, or the
/// reason is lost.
///
/// # Errors
/// The I/O error itself, when it carries none.
pub fn error_in_stream(error: std::io::Error) -> Result<Error, std::io::Error> {
    error.downcast::<Error>()
}

/// Reads a stream of at most `most` bytes into memory.
///
/// # Errors
/// [`ErrorCode::DigestMismatch`] when there is more, [`ErrorCode::CloudUnavailable`] when the stream breaks.
pub(crate) async fn collect(mut stream: ByteStream, most: u64) -> Result<Bytes> {
    let mut collected = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            error_in_stream(error)
                .unwrap_or_else(|error| Error::new(ErrorCode::CloudUnavailable, "the body broke off").caused_by(error))
        })?;
        if (collected.len() + chunk.len()) as u64 > most {
            return Err(Error::new(
                ErrorCode::DigestMismatch,
                format!("the body is longer than the {most} bytes declared"),
            ));
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected.into())
}
