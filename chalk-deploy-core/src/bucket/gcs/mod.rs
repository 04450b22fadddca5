//! Buckets of Google Cloud Storage, by its JSON API.
//!
//! object_store speaks the XML API, whose uploads in parts replace what lies there ("Initiate a multipart upload" of its
//! reference names no precondition) and which emulators have in part only. So the requests are our own: an object of one
//! request, a resumable upload for a larger one, both with `ifGenerationMatch=0` for a key that is to be free; rewrites
//! for copies; and the XML API for downloads alone, because it is the one that sends an object's metadata along.

mod client;
mod presigner;
mod retention;
mod store;
#[cfg(test)]
mod tests;
mod upload;

pub use self::presigner::{GcsIamSigner, GcsServiceAccountKey, GcsUrlSigner};

use std::sync::Arc;

use self::client::Client;
use self::presigner::Presigner;
use self::retention::GcsLocks;
use self::store::GcsStore;
use super::endpoint::{Endpoint, PathOf, is_word};
use super::retention::Keeper;
use super::{Bucket, BucketSettings};
use crate::cloud::{ObjectStoreCapabilities, PresignedDownload};
use crate::credentials::BearerTokenSource;
use crate::runtime::Runtime;
use crate::transport::Transport;
use crate::{Error, ErrorCode, Result};

/// Where a bucket of Google Cloud Storage lies, and what its server can do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GcsSettings {
    /// Its name.
    pub bucket: String,
    /// The server, such as `http://127.0.0.1:4443`; `https://storage.googleapis.com` unless set.
    pub endpoint: Option<String>,
    /// Who names the token; without one requests are anonymous.
    pub credentials: Option<Arc<dyn BearerTokenSource>>,
    /// Who signs addresses of single objects; without one there are none.
    pub url_signer: Option<Arc<dyn GcsUrlSigner>>,
    /// Whether the server refuses to copy over an object under a precondition. Google does. False with an endpoint of
    /// one's own: fake-gcs-server 1.56 copies all the same; a write-once copy is a look before the write then.
    pub conditional_copies: bool,
}

impl GcsSettings {
    /// A bucket of Google.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), endpoint: None, credentials: None, url_signer: None, conditional_copies: true }
    }

    /// Sets the server; copies are then not relied on to be conditional.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self.conditional_copies = false;
        self
    }

    /// Sets who names the token.
    #[must_use]
    pub fn with_credentials(mut self, credentials: impl BearerTokenSource) -> Self {
        self.credentials = Some(Arc::new(credentials));
        self
    }

    /// Sets who signs addresses of single objects.
    #[must_use]
    pub fn with_url_signer(mut self, signer: impl GcsUrlSigner) -> Self {
        self.url_signer = Some(Arc::new(signer));
        self
    }

    /// Sets [`conditional_copies`](Self::conditional_copies).
    #[must_use]
    pub const fn with_conditional_copies(mut self, has: bool) -> Self {
        self.conditional_copies = has;
        self
    }
}

pub(super) fn open(transport: Transport, settings: GcsSettings, runtime: Arc<dyn Runtime>) -> Result<Bucket> {
    let GcsSettings { bucket, endpoint, credentials, url_signer, conditional_copies } = settings;
    // A name with dots has up to 222 characters ("Bucket naming" of Google's documentation).
    if !is_word(&bucket, 222) {
        let rule = "the name of a bucket is letters, digits or inner `-`, `.` or `_`";
        let shown = crate::text::line(&bucket, 100);
        return Err(Error::new(ErrorCode::ValueInvalid, rule).on(format!("bucket `{shown}`")));
    }
    let endpoint = endpoint.as_deref().unwrap_or("https://storage.googleapis.com");
    let Endpoint { scheme, authority, .. } = Endpoint::parse(endpoint, PathOf::None)?;
    let name = format!("bucket `{bucket}` at {authority}");
    let base = format!("{scheme}://{authority}");
    let presigned = url_signer.map(|signer| {
        let presigner = Presigner::new(scheme.clone(), authority, bucket.clone(), signer, runtime.clone());
        Arc::new(presigner) as Arc<dyn PresignedDownload>
    });
    let client = Arc::new(Client::new(transport, runtime, credentials, base, bucket));
    let locks = GcsLocks::new(client.clone());
    let store = Arc::new(GcsStore::new(client));
    let capabilities = ObjectStoreCapabilities::none().with_conditional_put(true).with_stored_digest(true);
    Ok(Bucket {
        pages: Some(store.clone()),
        presigned,
        retention: Some(Arc::new(Keeper::new(locks, name.clone()))),
        conditional_parts: true,
        conditional_copies,
        ..Bucket::new(&name, store, BucketSettings::new(capabilities))
    })
}
