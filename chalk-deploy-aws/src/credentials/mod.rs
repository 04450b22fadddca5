//! Who signs: keys that a chain of sources lends, perhaps those of a role that they assume, kept until shortly before
//! they expire.

mod chain;
mod container;
mod environment;
mod external_id;
#[cfg(feature = "aws-config")]
mod instance;
mod keys;
#[cfg(feature = "aws-config")]
mod profile;
mod role;
#[cfg(feature = "aws-config")]
mod sdk;
mod variables;
#[cfg(feature = "aws-config")]
mod web_identity;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::bucket::{S3CredentialSource, S3Credentials};
use chalk_deploy_core::credentials::{Lender, Renewing};
use chalk_deploy_core::runtime::Runtime;

pub(crate) use self::chain::{Chain, Place, Ways};
#[cfg(test)]
pub(crate) use self::container::AGENTS;
pub use self::external_id::ExternalId;
pub use self::keys::{AccessKeySource, AccessKeys};
pub(crate) use self::role::AssumedRole;
pub use self::role::{StoredRoles, TenantRole, TenantRoles};
pub(crate) use self::variables::Variables;

/// Who signs our requests. Cheap to clone; clones share the keys.
#[derive(Clone)]
pub struct AwsCredentials(Arc<Source>);

enum Source {
    Given(Box<dyn AccessKeySource>),
    Lent(Renewing<AccessKeys>),
}

impl AwsCredentials {
    pub(crate) fn given(source: impl AccessKeySource) -> Self {
        Self(Arc::new(Source::Given(Box::new(source))))
    }

    pub(crate) fn lent(lender: impl Lender<AccessKeys>, runtime: Arc<dyn Runtime>) -> Self {
        Self(Arc::new(Source::Lent(Renewing::new(lender, runtime))))
    }

    /// Keys that are valid now, fetched once for all who ask at the same time.
    ///
    /// # Errors
    /// [`ErrorCode::PermissionDenied`](chalk_deploy_core::ErrorCode::PermissionDenied) when there are none, or the role
    /// may not be assumed; [`ErrorCode::CloudUnavailable`](chalk_deploy_core::ErrorCode::CloudUnavailable) when they cannot
    /// be fetched now.
    pub async fn keys(&self) -> Result<AccessKeys> {
        match &*self.0 {
            Source::Given(source) => source.keys().await,
            Source::Lent(renewing) => renewing.get().await,
        }
    }

    /// Says that these were refused, such as expired ones: they are not given again if there are others.
    pub async fn refused(&self, keys: &AccessKeys) {
        match &*self.0 {
            Source::Given(source) => source.refused(keys).await,
            Source::Lent(renewing) => renewing.refused(keys).await,
        }
    }
}

#[async_trait]
impl S3CredentialSource for AwsCredentials {
    async fn credentials(&self) -> Result<S3Credentials> {
        Ok(self.keys().await?.for_s3())
    }

    async fn refused(&self, credentials: &S3Credentials) {
        // Those that are held now may be others already.
        if let Ok(keys) = self.keys().await
            && keys.for_s3() == *credentials
        {
            Self::refused(self, &keys).await;
        }
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Source::Given(source) => formatter.debug_tuple("AwsCredentials").field(source).finish(),
            Source::Lent(renewing) => formatter.debug_tuple("AwsCredentials").field(renewing).finish(),
        }
    }
}
