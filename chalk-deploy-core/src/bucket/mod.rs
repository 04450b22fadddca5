//! The [`ObjectStore`](crate::cloud::ObjectStore) adapter on object_store: one implementation for every store that it
//! knows.
//!
//! | constructor | store | write-once keys | digest known without reading |
//! |---|---|---|---|
//! | [`Bucket::s3`] | S3 and what speaks like it, over our transport | by `If-None-Match: *`, also for large objects and copies | yes, as metadata `chalk-sha256` |
//! | `Bucket::gcs` (feature `gcs`) | Google Cloud Storage, over our transport | by `ifGenerationMatch=0`, also for large objects and copies | yes, as metadata `chalk-sha256` |
//! | `Bucket::azure` (feature `azure`) | Azure Blob Storage, over our transport | by `If-None-Match: *`, also for large objects and copies | yes, as metadata `chalk_sha256` |
//! | [`Bucket::local`] | a directory, synchronised | by hard links | no |
//! | [`Bucket::memory`] | the process | yes | yes |
//! | [`Bucket::new`] | any other store | as its settings say | as its settings say |
//!
//! An object of up to [`BucketSettings::single_put_most`] bytes is stored by one request. To S3 and Azure it streams, and is
//! compared with its digest on its way: the last bytes go only when all were compared, and a server stores nothing of a
//! body that is shorter than announced. Elsewhere, and below 256 KiB, it is read and compared first. A larger one goes in parts, at most [`BucketSettings::parts_at_once`] of them in memory, and becomes visible
//! only after the last one was compared. Stores that cannot complete an upload in parts under a condition get it under
//! a key below `.chalk-staging/`, named by its digest, from where it is copied under the condition; lists do not show
//! these keys. A process that dies in between leaves parts or a staged object, which the next attempt overwrites or a
//! lifecycle rule of the bucket removes.
//!
//! What a store can do beyond the contract is asked for by itself
//! ([`presigned_download`](crate::cloud::ObjectStore::presigned_download),
//! [`retention`](crate::cloud::ObjectStore::retention)): S3, Google and Azure have both, where their credentials can sign
//! and the bucket is set up for it; the others have neither.
//!
//! object_store's own retries are off: the one bounded retry of an idempotent request is the transport's.

mod address;
#[cfg(feature = "azure")]
mod azure;
mod connector;
mod encoding;
mod endpoint;
mod failure;
#[cfg(feature = "gcs")]
mod gcs;
mod local;
mod moment;
mod object;
#[cfg(test)]
mod recorded;
mod refusal;
mod retention;
mod s3;
mod upload;
mod validity;

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;

use object_store::list::PaginatedListStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::cloud::{ObjectRetention, ObjectStoreCapabilities, PresignedDownload};
use crate::model::ObjectKey;
use crate::runtime::Runtime;
use crate::transport::Transport;
use crate::{Error, ErrorCode, Result};

#[cfg(any(feature = "azure", feature = "gcs"))]
pub use crate::credentials::{BearerToken, BearerTokenSource};
#[cfg(feature = "azure")]
pub use azure::{AzureCredentials, AzureKeySource, AzureSettings, AzureSharedKey, AzureSigner};
#[cfg(feature = "gcs")]
pub use gcs::{GcsIamSigner, GcsServiceAccountKey, GcsSettings, GcsUrlSigner};
pub use s3::{S3CredentialSource, S3Credentials, S3Settings};

/// A bucket behind object_store. Clones are the same bucket.
#[derive(Clone)]
pub struct Bucket {
    /// As errors name it.
    name: Arc<str>,
    store: Arc<dyn object_store::ObjectStore>,
    /// Lists by a prefix that is text, where the store can.
    pages: Option<Arc<dyn PaginatedListStore>>,
    presigned: Option<Arc<dyn PresignedDownload>>,
    retention: Option<Arc<dyn ObjectRetention>>,
    paging: Paging,
    naming: Naming,
    settings: BucketSettings,
    /// The metadata that holds an object's digest.
    digest_name: &'static str,
    /// Whether an upload in parts can be completed onto a free key alone.
    conditional_parts: bool,
    /// Whether the store refuses to copy over an object.
    conditional_copies: bool,
    /// Whether one request can carry a stream.
    streams: bool,
}

/// How a list goes on after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paging {
    /// After the last key, and not by the server's token: the token of a page that was answered twice is worth nothing.
    ByKey,
    /// By the server's token, where a list cannot begin after a key.
    #[cfg_attr(not(feature = "azure"), expect(dead_code, reason = "the others begin after a key"))]
    ByToken,
}

/// How keys become paths of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// As they are.
    Plain,
    /// As names of files.
    Files,
}

/// What a bucket can do, and how much it holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BucketSettings {
    /// What the store does by itself. A stored digest is kept as the metadata `chalk-sha256`.
    pub capabilities: ObjectStoreCapabilities,
    /// The longest object that is stored by one request.
    pub single_put_most: u64,
    /// The length of a part; longer where an object would have too many. S3 wants at least 5 MiB.
    pub part_length: usize,
    /// How many parts are on their way at once.
    pub parts_at_once: usize,
}

impl BucketSettings {
    /// These capabilities, objects up to 8 MiB in one request, and four parts of 8 MiB at once for larger ones.
    pub const fn new(capabilities: ObjectStoreCapabilities) -> Self {
        Self { capabilities, single_put_most: 8 << 20, part_length: 8 << 20, parts_at_once: 4 }
    }

    /// Sets [`single_put_most`](Self::single_put_most).
    #[must_use]
    pub const fn with_single_put_most(mut self, most: u64) -> Self {
        self.single_put_most = most;
        self
    }

    /// Sets [`part_length`](Self::part_length) and [`parts_at_once`](Self::parts_at_once).
    #[must_use]
    pub const fn with_parts(mut self, length: usize, at_once: usize) -> Self {
        self.part_length = length;
        self.parts_at_once = at_once;
        self
    }
}

/// Credentials for buckets of any kind, of which an address takes those of its own.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BucketCredentials {
    /// For S3.
    pub s3: Option<Arc<dyn S3CredentialSource>>,
    /// For Google Cloud Storage.
    #[cfg(feature = "gcs")]
    pub gcs: Option<Arc<dyn BearerTokenSource>>,
    /// For Azure Blob Storage.
    #[cfg(feature = "azure")]
    pub azure: AzureCredentials,
}

impl Bucket {
    /// Any store of object_store. Its own retries should be off, and its clock is its own.
    pub fn new(name: &str, store: Arc<dyn object_store::ObjectStore>, settings: BucketSettings) -> Self {
        Self {
            name: name.into(),
            store,
            pages: None,
            presigned: None,
            retention: None,
            paging: Paging::ByKey,
            naming: Naming::Plain,
            settings,
            digest_name: object::STORED_DIGEST,
            conditional_parts: false,
            conditional_copies: settings.capabilities.conditional_put,
            streams: false,
        }
    }

    /// A bucket of S3, or of a store that speaks like it. Every request goes through the transport, and is signed by the
    /// runtime's clock.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for an endpoint, a bucket or a region that is none.
    pub fn s3(transport: Transport, settings: S3Settings, runtime: Arc<dyn Runtime>) -> Result<Self> {
        s3::open(transport, settings, runtime)
    }

    /// A bucket of Google Cloud Storage. Every request goes through the transport.
    ///
    /// There are presigned downloads with a [`GcsUrlSigner`], because they take the signature of a service account's key.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for an endpoint or a bucket that is none.
    #[cfg(feature = "gcs")]
    pub fn gcs(transport: Transport, settings: GcsSettings, runtime: Arc<dyn Runtime>) -> Result<Self> {
        gcs::open(transport, settings, runtime)
    }

    /// A container of Azure Blob Storage. Every request goes through the transport, and is signed by the runtime's clock.
    ///
    /// Presigned downloads are signed with the account's key, or, for the holder of a token, with a key that the account
    /// gives for a while (a user delegation SAS); who is anonymous has none.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for an endpoint, an account or a container that is none.
    #[cfg(feature = "azure")]
    pub fn azure(transport: Transport, settings: AzureSettings, runtime: Arc<dyn Runtime>) -> Result<Self> {
        azure::open(transport, settings, runtime)
    }

    /// A bucket in a directory, which is made if it is not there. What it acknowledges is on the disk.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] or [`ErrorCode::PermissionDenied`] when the directory cannot be made.
    pub fn local(directory: impl AsRef<FilePath>) -> Result<Self> {
        let directory = directory.as_ref();
        let failed =
            |error: object_store::Error| failure::mapped(&error, &format!("directory `{}`", directory.display()));
        std::fs::create_dir_all(directory).map_err(|error| {
            let code = match error.kind() {
                std::io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
                _ => ErrorCode::CloudUnavailable,
            };
            Error::new(code, "the directory of the bucket cannot be made")
                .on(format!("directory `{}`", directory.display()))
                .with_hint("make it, or choose another one")
                .caused_by(error)
        })?;
        let store = LocalFileSystem::new_with_prefix(directory).map_err(failed)?.with_fsync(true);
        let settings = BucketSettings::new(ObjectStoreCapabilities::none().with_conditional_put(true));
        let name = format!("the directory `{}`", directory.display());
        Ok(Self { naming: Naming::Files, ..Self::new(&name, Arc::new(store), settings) })
    }

    /// A bucket in the process, which ends with its last clone.
    pub fn memory() -> Self {
        let capabilities = ObjectStoreCapabilities::none().with_conditional_put(true).with_stored_digest(true);
        Self::new("memory", Arc::new(InMemory::new()), BucketSettings::new(capabilities))
    }

    /// The bucket at an address: `file:///directory`, `memory:`, `s3://bucket?region=…&endpoint=…`,
    /// `http(s)://host[:port]/bucket[?region=…]` for a server that speaks S3, `gs://bucket[?endpoint=…]`, or
    /// `azure://account/container[?endpoint=…]`.
    ///
    /// Without credentials the requests to S3 are not signed. Those to Google and Azure are anonymous; for others see
    /// [`from_url_with`](Self::from_url_with).
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for an address of another form, or of a kind whose feature is not built in; what the
    /// constructor of its kind fails with.
    pub fn from_url(
        url: &str,
        transport: Transport,
        credentials: Option<Arc<dyn S3CredentialSource>>,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Self> {
        let credentials = BucketCredentials { s3: credentials, ..BucketCredentials::default() };
        Self::from_url_with(url, transport, credentials, runtime)
    }

    /// The bucket at an address, as [`from_url`](Self::from_url) takes it, with the credentials for its kind.
    ///
    /// # Errors
    /// As for [`from_url`](Self::from_url).
    pub fn from_url_with(
        url: &str,
        transport: Transport,
        credentials: BucketCredentials,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Self> {
        match address::parse(url)? {
            address::Address::Directory(directory) => Self::local(directory),
            address::Address::Memory => Ok(Self::memory()),
            address::Address::S3(mut settings) => {
                settings.credentials = credentials.s3;
                Self::s3(transport, settings, runtime)
            }
            #[cfg(feature = "gcs")]
            address::Address::Gcs(mut settings) => {
                settings.credentials = credentials.gcs;
                Self::gcs(transport, settings, runtime)
            }
            #[cfg(feature = "azure")]
            address::Address::Azure(mut settings) => {
                settings.credentials = credentials.azure;
                Self::azure(transport, settings, runtime)
            }
        }
    }

    /// Changes how much is held in memory. The capabilities stay what the constructor has set.
    #[must_use]
    pub const fn with_limits(mut self, single_put_most: u64, part_length: usize, parts_at_once: usize) -> Self {
        self.settings = self.settings.with_single_put_most(single_put_most).with_parts(part_length, parts_at_once);
        self
    }

    fn path(&self, key: &ObjectKey) -> Result<Path> {
        let parsed = match self.naming {
            Naming::Plain => Path::parse(key.as_str()),
            Naming::Files => Path::parse(local::file_of(key)),
        };
        parsed.map_err(|error| {
            Error::new(ErrorCode::ValueInvalid, "the store cannot hold such a key")
                .on(self.subject(key))
                .caused_by(error)
        })
    }

    /// `None` for what lies in the store and is no object of ours.
    fn key(&self, path: &Path) -> Option<ObjectKey> {
        match self.naming {
            Naming::Plain => ObjectKey::new(path.as_ref()).ok(),
            Naming::Files => local::key_of(path.as_ref()),
        }
    }

    fn subject(&self, key: &ObjectKey) -> String {
        format!("object `{key}` in {}", self.name)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bucket")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
