//! Addresses of single blobs, signed by the account's key.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::signature::AzureSigner;
use crate::Result;
use crate::bucket::encoding::encoded;
use crate::bucket::validity;
use crate::cloud::{PresignedDownload, PresignedUrl};
use crate::model::ObjectKey;

/// The blobs of a container, for whom addresses of them are signed.
#[derive(Debug)]
pub(super) struct Blobs {
    /// The container's address.
    pub(super) base: String,
    /// The container's path, without the account of an emulator.
    pub(super) path: String,
    pub(super) signer: Arc<AzureSigner>,
}

#[derive(Debug)]
pub(super) struct Presigner(Blobs);

impl Presigner {
    pub(super) const fn new(blobs: Blobs) -> Self {
        Self(blobs)
    }
}

#[async_trait]
impl PresignedDownload for Presigner {
    fn expires_in_most(&self) -> Duration {
        validity::LONGEST
    }

    async fn presign(&self, key: &ObjectKey, expires_in: Duration) -> Result<PresignedUrl> {
        validity::check(expires_in)?;
        let blob = encoded(key.as_str(), true);
        let Blobs { base, path, signer } = &self.0;
        let (query, ends) = signer.presign(&format!("{path}/{blob}"), base.starts_with("https:"), expires_in).await?;
        Ok(PresignedUrl::new(format!("{base}/{blob}?{query}"), ends))
    }
}
