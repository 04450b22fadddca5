//! Who signs requests to Azure Blob Storage.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::credentials::BearerTokenSource;
use crate::{Error, ErrorCode, Result};

/// How requests to an account are authorised.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum AzureCredentials {
    /// Not at all.
    #[default]
    Anonymous,
    /// By tokens of Microsoft Entra, for the resource `https://storage.azure.com/`.
    Bearer(Arc<dyn BearerTokenSource>),
    /// By the account's key.
    SharedKey(Arc<dyn AzureKeySource>),
}

/// Where the key of an account comes from. Asked before every request.
#[async_trait]
pub trait AzureKeySource: fmt::Debug + Send + Sync + 'static {
    /// A key that is valid now.
    ///
    /// **Errors.** `PERMISSION_DENIED` when there is none; `CLOUD_UNAVAILABLE` when it cannot be fetched now.
    async fn key(&self) -> Result<AzureSharedKey>;
}

/// One of the two keys of an account. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AzureSharedKey(Vec<u8>);

impl AzureSharedKey {
    /// A key as the portal shows it, in base64.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for another text.
    pub fn new(key: &str) -> Result<Self> {
        match STANDARD.decode(key.trim()) {
            Ok(key) if !key.is_empty() => Ok(Self(key)),
            // Never the text.
            _ => Err(Error::new(ErrorCode::ValueInvalid, "the key of the storage account is not base64")
                .with_hint("copy it from the access keys of the account")),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A key that stays the same.
#[async_trait]
impl AzureKeySource for AzureSharedKey {
    async fn key(&self) -> Result<Self> {
        Ok(self.clone())
    }
}

impl fmt::Debug for AzureSharedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AzureSharedKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_printed_and_neither_is_what_is_none() {
        let key = AzureSharedKey::new("aGlkZGVu").expect("base64");
        assert_eq!(
            format!("{key:?} {:?}", AzureCredentials::SharedKey(Arc::new(key.clone()))),
            "AzureSharedKey(***) SharedKey(AzureSharedKey(***))"
        );
        for wrong in ["", "hidden!", "aGlkZGV"] {
            let error = AzureSharedKey::new(wrong).expect_err(wrong);
            assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
        }
    }
}
