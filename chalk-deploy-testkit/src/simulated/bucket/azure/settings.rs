//! What a storage account is like.

use std::fmt;

use chalk_deploy_core::credentials::Secret;

/// The containers of an account, and who may ask.
#[derive(Clone)]
#[non_exhaustive]
pub struct AzureBucketSettings {
    /// The containers that are there from the beginning.
    pub containers: Vec<String>,
    /// The account's name, where it is the first part of every path: that of an emulator, which has no host of its own for
    /// each account.
    pub account_in_path: Option<String>,
    /// The tokens that let one in. With none at all, everyone may ask.
    pub tokens: Vec<Secret>,
    /// The longest list in one answer.
    pub list_most: usize,
}

impl AzureBucketSettings {
    /// One container, open to everyone, as Azure behaves.
    pub fn new(container: impl Into<String>) -> Self {
        Self { containers: vec![container.into()], account_in_path: None, tokens: Vec::new(), list_most: 5_000 }
    }

    /// Sets [`account_in_path`](Self::account_in_path).
    #[must_use]
    pub fn with_account_in_path(mut self, account: impl Into<String>) -> Self {
        self.account_in_path = Some(account.into());
        self
    }

    /// Lets in the holder of a token, and from then on nobody without one.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.tokens.push(Secret::new(token));
        self
    }

    /// Sets [`list_most`](Self::list_most).
    #[must_use]
    pub const fn with_list_most(mut self, most: usize) -> Self {
        self.list_most = most;
        self
    }
}

impl fmt::Debug for AzureBucketSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AzureBucketSettings")
            .field("containers", &self.containers)
            .field("account_in_path", &self.account_in_path)
            .field("tokens", &self.tokens.len())
            .field("list_most", &self.list_most)
            .finish()
    }
}
