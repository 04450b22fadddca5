//! Who we are to Google: the documented chain, and its links.
//!
//! # What is used of `gcp_auth`, and what is not
//!
//! `gcp_auth` (feature `gcp-auth`, on unless turned off) asks the `gcloud` program.
//!
//! It could also read the file of a service account and gcloud's file of a user, and ask the metadata server. Those
//! links are our own. What a token service answers is swallowed by it (`token request failed`), so that a revoked key, a
//! deleted account, a pod that may not act as its account and a clock that is off would all be one error; it stops the
//! process at an address in a file that is none; it gives a token again that was refused, until it expires. Of metadata
//! servers it knows one address, asks for no scopes, and believes whoever answers there. And its requests go through
//! sockets and timers of its own, which no simulation reaches.
//!
//! It has neither workload identity federation nor impersonation. `google-cloud-auth` has both, with requests over a
//! client of its own. They are two requests (RFC 8693 at `sts.googleapis.com`, and `generateAccessToken` of the IAM
//! Service Account Credentials API), so they go through our transport like all else, and no dependency and no feature
//! is needed.
//!
//! # Whom a file may send us to
//!
//! A file of credentials names the addresses that its secrets are sent to. Only `https` to `*.googleapis.com` and
//! `accounts.google.com` is taken ("Validate credential configurations from external sources" of Google's
//! documentation).

mod chain;
mod exchange;
mod federation;
mod file;
#[cfg(feature = "gcp-auth")]
mod gcloud;
mod identity;
mod impersonation;
mod metadata;
mod quota;
mod service_account;
mod user;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource, Lender, Renewing};
use chalk_deploy_core::runtime::Runtime;

use exchange::Exchange;
pub(crate) use federation::AZURE;
pub(crate) use identity::{Identity, Wanted};
pub(crate) use quota::{QuotaProject, USER_PROJECT};

/// The one scope that all calls of this crate take: Google's own reference lists no narrower one for Artifact Registry
/// and IAM. What may be done is limited by the roles of the account.
pub const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Tokens that are fetched once for all who ask, and anew in good time. Clones share them.
#[derive(Clone)]
pub struct Tokens(Renewing<BearerToken>);

impl Tokens {
    /// Keeps what this lender gives.
    pub fn new(lender: impl Lender<BearerToken>, runtime: Arc<dyn Runtime>) -> Self {
        Self(Renewing::new(lender, runtime))
    }
}

#[async_trait]
impl BearerTokenSource for Tokens {
    async fn token(&self) -> Result<BearerToken> {
        self.0.get().await
    }

    async fn refused(&self, token: &BearerToken) {
        self.0.refused(token).await;
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}
