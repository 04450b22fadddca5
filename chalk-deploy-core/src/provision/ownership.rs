//! What shows that something is ours.

use std::fmt;

use async_trait::async_trait;

use crate::Result;

/// The tag on everything that is created in a customer's cloud. The scoped role of seed 003 may touch nothing else, so
/// what is made without it could never be changed or removed again.
pub const MANAGED_BY: (&str, &str) = ("chalk.ai/managed-by", "chalk");

/// Makes repositories for images where a registry does not make them by itself.
#[async_trait]
pub trait RepositoryCreator: fmt::Debug + Send + Sync + 'static {
    /// Makes the repository at `path` of the registry `host`, with [`MANAGED_BY`] on it. Asked when a write was refused
    /// because there is none.
    ///
    /// **Idempotency.** One that is there already, made by somebody else at the same moment perhaps, is left as it is.
    ///
    /// **After a crash.** It is there or not.
    ///
    /// **Errors.** `PERMISSION_DENIED`, also for a registry of another account; `CLOUD_UNAVAILABLE`; `VALUE_INVALID` for a
    /// path that the provider does not take.
    async fn create(&self, host: &str, path: &str) -> Result<()>;
}
