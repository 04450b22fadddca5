//! Addresses of single objects, signed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::signature::Signer;
use crate::Result;
use crate::bucket::validity;
use crate::cloud::{PresignedDownload, PresignedUrl};
use crate::model::ObjectKey;

#[derive(Debug)]
pub(super) struct Presigner {
    base: String,
    signer: Arc<Signer>,
}

impl Presigner {
    pub(super) const fn new(base: String, signer: Arc<Signer>) -> Self {
        Self { base, signer }
    }
}

#[async_trait]
impl PresignedDownload for Presigner {
    fn expires_in_most(&self) -> Duration {
        validity::LONGEST
    }

    async fn presign(&self, key: &ObjectKey, expires_in: Duration) -> Result<PresignedUrl> {
        validity::check(expires_in)?;
        // The moment that is signed is a whole second.
        let signed_at = self.signer.now().as_millis() / 1000 * 1000;
        let url = self.signer.presign(&self.base, key.as_str(), expires_in).await?;
        Ok(PresignedUrl::new(url, crate::model::Timestamp::from_millis(signed_at).plus(expires_in)))
    }
}
