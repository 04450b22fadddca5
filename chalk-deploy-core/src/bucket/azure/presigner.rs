//! Addresses of single blobs, signed by the account's key.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::signature::Signer;
use crate::bucket::encoding::encoded;
use crate::cloud::{PresignedDownload, PresignedUrl};
use crate::model::ObjectKey;
use crate::{Error, ErrorCode, Result};

/// Azure takes longer ones; who holds one cannot be told to forget it.
const LONGEST: Duration = Duration::from_hours(7 * 24);

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
        LONGEST
    }

    async fn presign(&self, key: &ObjectKey, expires_in: Duration) -> Result<PresignedUrl> {
        if expires_in.is_zero() || expires_in > LONGEST || expires_in.subsec_nanos() != 0 {
            return Err(Error::new(ErrorCode::ValueInvalid, "a presigned address is valid for 1 s to 7 days")
                .on(format!("{expires_in:?}"))
                .with_hint("choose a whole number of seconds in between"));
        }
        let blob = encoded(key.as_str(), true);
        let over_tls = self.base.starts_with("https:");
        let (query, ends) = self.signer.presign(&format!("{}/{blob}", self.path), over_tls, expires_in).await?;
        Ok(PresignedUrl::new(format!("{}/{blob}?{query}", self.base), ends))
    }
}
