//! Addresses of single blobs, signed by the account's key.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::signature::Signer;
use crate::Result;
use crate::bucket::encoding::encoded;
use crate::bucket::validity;
use crate::cloud::{PresignedDownload, PresignedUrl};
use crate::model::ObjectKey;

#[derive(Debug)]
pub(super) struct Presigner {
    /// The container's address.
    base: String,
    /// The container's path, without the account of an emulator.
    path: String,
    signer: Arc<Signer>,
}

impl Presigner {
    pub(super) const fn new(base: String, path: String, signer: Arc<Signer>) -> Self {
        Self { base, path, signer }
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
        let over_tls = self.base.starts_with("https:");
        let (query, ends) = self.signer.presign(&format!("{}/{blob}", self.path), over_tls, expires_in).await?;
        Ok(PresignedUrl::new(format!("{}/{blob}?{query}", self.base), ends))
    }
}
