//! Which of the ways to a token are taken.

use std::sync::Arc;

use chalk_deploy_core::{Error, ErrorCode, Result, text};

use super::TokenIssuer;

/// Which links of the chain are asked.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum CredentialChoice {
    /// All, in order.
    #[default]
    Chain,
    /// Those of a deployed service: workload identity and managed identity (`AZURE_TOKEN_CREDENTIALS=prod`).
    Deployed,
    /// Workload identity alone.
    WorkloadIdentity,
    /// Managed identity alone.
    ManagedIdentity,
    /// Developer tools alone: `az`, else `azd` (`AZURE_TOKEN_CREDENTIALS=dev`).
    DeveloperTools,
    /// The Azure CLI (`az`) alone.
    AzureCli,
    /// The Azure Developer CLI (`azd`) alone.
    AzureDeveloperCli,
    /// This, instead of the chain.
    Issuer(Arc<dyn TokenIssuer>),
}

impl CredentialChoice {
    /// By the names that Azure's SDKs take in `AZURE_TOKEN_CREDENTIALS`, as far as there is such a link here. One tool that
    /// is named is the only one that is asked: in another one somebody else may be logged in.
    pub(crate) fn named(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "prod" => Self::Deployed,
            "dev" => Self::DeveloperTools,
            "azureclicredential" => Self::AzureCli,
            "azuredeveloperclicredential" => Self::AzureDeveloperCli,
            "workloadidentitycredential" => Self::WorkloadIdentity,
            "managedidentitycredential" => Self::ManagedIdentity,
            _ => {
                return Err(Error::new(ErrorCode::ValueInvalid, "there are no such credentials here")
                    .on(format!("`{}`", text::line(name, 60)))
                    .with_hint(
                        "write `prod`, `dev`, `WorkloadIdentityCredential`, `ManagedIdentityCredential`, \
                         `AzureCliCredential` or `AzureDeveloperCliCredential`",
                    ));
            }
        })
    }
}
