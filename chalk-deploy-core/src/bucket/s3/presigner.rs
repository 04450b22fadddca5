//! Addresses of single objects, signed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::signature::Signer;
use crate::cloud::{PresignedDownload, PresignedUrl};
use crate::model::ObjectKey;
use crate::{Error, ErrorCode, Result};

/// S3 refuses longer ones.
const LONGEST: Duration = Duration::from_hours(7 * 24);

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
        LONGEST
    }

    async fn presign(&self, key: &ObjectKey, expires_in: Duration) -> Result<PresignedUrl> {
        if expires_in.is_zero() || expires_in > LONGEST || expires_in.subsec_nanos() != 0 {
            return Err(Error::new(ErrorCode::ValueInvalid, "a presigned address is valid for 1 s to 7 days")
                .on(format!("{expires_in:?}"))
                .with_hint("choose a whole number of seconds in between"));
        }
        // The moment that is signed is a whole second.
        let signed_at = self.signer.now().as_millis() / 1000 * 1000;
        let url = self.signer.presign(&self.base, key.as_str(), expires_in).await?;
        Ok(PresignedUrl::new(url, crate::model::Timestamp::from_millis(signed_at).plus(expires_in)))
    }
}
