//! The identity of a pod (Microsoft Entra Workload ID): its service account's token is changed for one of Entra ID.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::TokenCredential as _;
use azure_core::http::{ClientMethodOptions, ClientOptions};
use azure_identity::{ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions};
use chalk_deploy_core::credentials::{BearerToken, Lent, Secret};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::Transport;
use chalk_deploy_core::{Error, ErrorCode, Result};

use super::tenant::Tenant;
use super::wire::{Wire, lent};
use super::{Link, LinkError, failed};
use crate::settings::Settings;

/// No token of a service account is longer.
const TOKEN_MOST: u64 = 64 << 10;

/// Who we are in the cluster, and whom that stands for in Entra ID.
#[derive(Debug)]
pub(super) struct WorkloadIdentity {
    tenant: Tenant,
    /// The identity's client id.
    client: String,
    /// The file in which the kubelet keeps a token of the service account fresh.
    file: PathBuf,
    /// Where tokens are given.
    authority: String,
    transport: Transport,
    runtime: Arc<dyn Runtime>,
}

impl WorkloadIdentity {
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] with the variables that are missing.
    pub(super) fn new(settings: &Settings, transport: &Transport, runtime: &Arc<dyn Runtime>) -> Result<Self> {
        let Settings { tenant, client, federated_token_file: file, authority, .. } = settings;
        if let (Some(tenant), Some(client), Some(file)) = (tenant, client, file) {
            return Ok(Self {
                tenant: tenant.clone(),
                client: client.clone(),
                file: file.clone(),
                authority: authority.clone(),
                transport: transport.clone(),
                runtime: runtime.clone(),
            });
        }
        let given = [tenant.is_some(), client.is_some(), file.is_some()];
        let names = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"];
        let missing: Vec<_> = names.iter().zip(given).filter(|(_, given)| !given).map(|(name, _)| *name).collect();
        Err(Error::new(ErrorCode::RequestInvalid, "workload identity is not set up completely")
            .on(missing.join(", "))
            .with_hint(
                "label the pod `azure.workload.identity/use: \"true\"` and annotate its service account with \
                 `azure.workload.identity/client-id`, or choose other credentials",
            ))
    }
}

#[async_trait]
impl Link for WorkloadIdentity {
    fn name(&self) -> &'static str {
        "workload identity"
    }

    async fn issue(&self, scope: &str) -> Result<Lent<BearerToken>, LinkError> {
        let wire = Wire::new(self.transport.clone(), self.runtime.clone());
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(&self.authority);
        let cloud = Some(Arc::new(CloudConfiguration::Custom(cloud)));
        let options = ClientAssertionCredentialOptions { client_options: ClientOptions { cloud, ..wire.options() } };
        // Read each time: the kubelet writes another one long before it ends.
        let assertion = Assertion(read(&self.file).map_err(LinkError::Refused)?);
        let tenant = self.tenant.as_str().to_owned();
        // Made each time, because it keeps tokens by a clock of its own.
        let token = match ClientAssertionCredential::new(tenant, self.client.clone(), assertion, Some(options)) {
            Ok(credential) => credential.get_token(&[scope], None).await,
            Err(error) => Err(error),
        };
        match token {
            Ok(token) => Ok(lent(&token, &*self.runtime)),
            Err(error) => Err(LinkError::Refused(failed(
                &wire,
                &error,
                format!("workload identity `{}` in tenant {}", self.client, self.tenant),
                &*self.runtime,
            ))),
        }
    }
}

/// A token of a service account.
#[derive(Debug)]
struct Assertion(Secret);

#[async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(self.0.expose().to_owned())
    }
}

fn read(file: &Path) -> Result<Secret> {
    let wrong = |why: String| {
        Error::new(ErrorCode::PermissionDenied, why)
            .on(format!("file `{}` of AZURE_FEDERATED_TOKEN_FILE", file.display()))
            .with_hint("label the pod `azure.workload.identity/use: \"true\"`, so that the token is projected into it")
    };
    let mut text = String::new();
    let opened = std::fs::File::open(file).and_then(|file| file.take(TOKEN_MOST + 1).read_to_string(&mut text));
    opened.map_err(|error| wrong(format!("the token of the service account cannot be read: {error}")))?;
    let token = text.trim();
    if token.is_empty() || token.len() as u64 > TOKEN_MOST {
        return Err(wrong("the file holds no token of a service account".to_owned()));
    }
    Ok(Secret::new(token))
}
