//! The third link: a token of an identity provider, changed for keys by STS (`AssumeRoleWithWebIdentity`). This is how a
//! pod of EKS has a role of its own (IRSA), as the Metadata Plane's API server does (seed 001).

use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_credential_types::provider::ProvideCredentials as _;
use chalk_deploy_core::credentials::Lent;
use chalk_deploy_core::{Error, ErrorCode, Result};

use super::sdk::Bridge;
use super::{AccessKeys, Place, Variables, Ways};

/// What the session is called unless `AWS_ROLE_SESSION_NAME` says.
const SESSION: &str = "chalk-deploy";

/// The file is read each time: whoever issues the token puts a new one there before the old one ends.
pub(super) async fn lend(variables: &Variables, place: &Place, ways: &Ways) -> Result<Option<Lent<AccessKeys>>> {
    let (file, role) = match (variables.get("AWS_WEB_IDENTITY_TOKEN_FILE"), variables.get("AWS_ROLE_ARN")) {
        // AWS_ROLE_ARN alone is for other tools.
        (None, _) => return Ok(None),
        (Some(file), Some(role)) => (file, role),
        (Some(_), None) => {
            return Err(Error::new(
                ErrorCode::PermissionDenied,
                "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not",
            )
            .on("credentials of AWS")
            .with_hint("annotate the service account with `eks.amazonaws.com/role-arn`"));
        }
    };
    let bridge = Bridge::new(ways, place);
    let provider = WebIdentityTokenCredentialsProvider::builder()
        .configure(&bridge.config())
        .static_configuration(StaticConfiguration {
            web_identity_token_file: file.into(),
            role_arn: role.to_owned(),
            session_name: variables.get("AWS_ROLE_SESSION_NAME").unwrap_or(SESSION).to_owned(),
        })
        .build();
    bridge.understood(provider.provide_credentials().await, "the web identity")
}
