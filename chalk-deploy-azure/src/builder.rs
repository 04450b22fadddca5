//! Gathers what a [`Cloud`] is made from, and checks it.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use chalk_deploy_core::bucket::AzureKeySource;
use chalk_deploy_core::kubernetes::{NetworkTransports, OpenTransport};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result, text};

use crate::cloud::Cloud;
use crate::credentials::tenant::Tenant;
use crate::credentials::{Chain, CredentialChoice, TokenIssuer};
use crate::endpoint::{authority_endpoint, token_endpoint};
use crate::national_cloud::NationalCloud;
use crate::settings::{
    RegistryAudience, RegistryName, ResourceGroup, Settings, Storage, client_id, cluster_name, container_name,
};

/// The metadata service of a machine of Azure.
const METADATA_SERVICE: &str = "169.254.169.254";

/// Gathers what a [`Cloud`] is made from. What is wrong is said by [`build`](Self::build), naming the method or the
/// variable.
#[derive(Default)]
#[must_use = "nothing is checked before it is built"]
pub struct CloudBuilder {
    cloud: Option<NationalCloud>,
    choice: Option<CredentialChoice>,
    /// What the variables say, where nothing was chosen.
    named_choice: Option<Given>,
    named_authority: Option<Given>,
    tenant: Option<Given>,
    client: Option<Given>,
    federated_token_file: Option<Given>,
    authority: Option<Given>,
    management: Option<Given>,
    subscription: Option<Given>,
    group: Option<Given>,
    account: Option<Given>,
    key: Option<Arc<dyn AzureKeySource>>,
    blob_endpoint: Option<Given>,
    container: Option<Given>,
    registry: Option<Given>,
    registry_endpoint: Option<Given>,
    audience: RegistryAudience,
    cluster: Option<Given>,
    transport: Option<Transport>,
    cluster_transports: Option<Arc<dyn OpenTransport>>,
    runtime: Option<Arc<dyn Runtime>>,
}

impl CloudBuilder {
    /// Takes from the variables of the process what was not set otherwise:
    ///
    /// | variable | as |
    /// |---|---|
    /// | `AZURE_TENANT_ID` | [`with_tenant`](Self::with_tenant) |
    /// | `AZURE_CLIENT_ID` | [`with_client`](Self::with_client) |
    /// | `AZURE_FEDERATED_TOKEN_FILE` | the token of workload identity |
    /// | `AZURE_AUTHORITY_HOST` | [`with_national_cloud`](Self::with_national_cloud), or [`with_authority_endpoint`](Self::with_authority_endpoint) for another host |
    /// | `AZURE_TOKEN_CREDENTIALS` | [`with_credentials`](Self::with_credentials): `prod`, `dev`, or the name of a credential |
    /// | `AZURE_SUBSCRIPTION_ID`, `AZURE_RESOURCE_GROUP` | [`with_subscription`](Self::with_subscription), [`with_resource_group`](Self::with_resource_group) |
    /// | `AZURE_STORAGE_ACCOUNT` | [`with_storage_account`](Self::with_storage_account) |
    /// | `AZURE_RESOURCE_MANAGER_ENDPOINT` | [`with_management_endpoint`](Self::with_management_endpoint) |
    /// | `AZURE_STORAGE_BLOB_ENDPOINT` | [`with_blob_endpoint`](Self::with_blob_endpoint), where a storage account is named |
    /// | `AZURE_CONTAINER_REGISTRY_ENDPOINT` | [`with_registry`](Self::with_registry), or [`with_registry_endpoint`](Self::with_registry_endpoint) for a text with `://` |
    ///
    /// The three endpoints are named as Azure Service Operator and the Azure Developer CLI name them. No file is read.
    pub fn from_env(self) -> Self {
        self.from_variables(|name| std::env::var(name).ok())
    }

    /// The same with variables that this gives.
    pub fn from_variables(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &'static str| {
            let text = variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())?;
            Some(Given::new(text, name))
        };
        let or = |own: &mut Option<Given>, name| {
            if own.is_none() {
                *own = given(name);
            }
        };
        or(&mut self.tenant, "AZURE_TENANT_ID");
        or(&mut self.client, "AZURE_CLIENT_ID");
        or(&mut self.federated_token_file, "AZURE_FEDERATED_TOKEN_FILE");
        or(&mut self.subscription, "AZURE_SUBSCRIPTION_ID");
        or(&mut self.group, "AZURE_RESOURCE_GROUP");
        or(&mut self.account, "AZURE_STORAGE_ACCOUNT");
        or(&mut self.management, "AZURE_RESOURCE_MANAGER_ENDPOINT");
        or(&mut self.blob_endpoint, BLOB_ENDPOINT);
        if let Some(registry) = given("AZURE_CONTAINER_REGISTRY_ENDPOINT") {
            let own = if registry.text.contains("://") { &mut self.registry_endpoint } else { &mut self.registry };
            own.get_or_insert(registry);
        }
        or(&mut self.named_choice, "AZURE_TOKEN_CREDENTIALS");
        or(&mut self.named_authority, "AZURE_AUTHORITY_HOST");
        self
    }

    /// Pins the tenant: tokens of another one are refused.
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(Given::new(tenant, "with_tenant"));
        self
    }

    /// The client id of the identity, where a pod or a machine may have several.
    pub fn with_client(mut self, client: impl Into<String>) -> Self {
        self.client = Some(Given::new(client, "with_client"));
        self
    }

    /// Another cloud than the public one.
    pub const fn with_national_cloud(mut self, cloud: NationalCloud) -> Self {
        self.cloud = Some(cloud);
        self
    }

    /// Which links of the chain are asked, or what is asked instead.
    pub fn with_credentials(mut self, choice: CredentialChoice) -> Self {
        self.choice = Some(choice);
        self
    }

    /// The subscription of everything that Resource Manager is asked about.
    pub fn with_subscription(mut self, id: impl Into<String>) -> Self {
        self.subscription = Some(Given::new(id, "with_subscription"));
        self
    }

    /// The resource group of the storage account, the registry and the cluster.
    pub fn with_resource_group(mut self, name: impl Into<String>) -> Self {
        self.group = Some(Given::new(name, "with_resource_group"));
        self
    }

    /// The storage account.
    pub fn with_storage_account(mut self, name: impl Into<String>) -> Self {
        self.account = Some(Given::new(name, "with_storage_account"));
        self
    }

    /// The key of the storage account, instead of tokens: for emulators, which take nothing else without TLS.
    pub fn with_account_key(mut self, key: impl AzureKeySource) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// The source bucket: a container of the storage account.
    pub fn with_bucket(mut self, container: impl Into<String>) -> Self {
        self.container = Some(Given::new(container, "with_bucket"));
        self
    }

    /// The registry, by its login server: `NAME.azurecr.io`.
    pub fn with_registry(mut self, login_server: impl Into<String>) -> Self {
        self.registry = Some(Given::new(login_server, "with_registry"));
        self
    }

    /// For whom the token is that the registry changes for its own.
    pub const fn with_registry_audience(mut self, audience: RegistryAudience) -> Self {
        self.audience = audience;
        self
    }

    /// The cluster, by its name in the resource group.
    pub fn with_cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(Given::new(name, "with_cluster"));
        self
    }

    /// Where Entra ID is, if it is neither of those of the national clouds.
    pub fn with_authority_endpoint(mut self, url: impl Into<String>) -> Self {
        self.authority = Some(Given::new(url, "with_authority_endpoint"));
        self
    }

    /// Where Resource Manager is, for an emulator.
    pub fn with_management_endpoint(mut self, url: impl Into<String>) -> Self {
        self.management = Some(Given::new(url, "with_management_endpoint"));
        self
    }

    /// Where the storage account is, for an emulator: `http://127.0.0.1:10000/devstoreaccount1`.
    pub fn with_blob_endpoint(mut self, url: impl Into<String>) -> Self {
        self.blob_endpoint = Some(Given::new(url, "with_blob_endpoint"));
        self
    }

    /// Where the registry is, for an emulator, whose host need not be one of Azure.
    pub fn with_registry_endpoint(mut self, url: impl Into<String>) -> Self {
        self.registry_endpoint = Some(Given::new(url, "with_registry_endpoint"));
        self
    }

    /// Sends every request through this, but for those to the cluster, whose authority is its own.
    pub fn with_transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Opens the way to the cluster by this.
    pub fn with_cluster_transports(mut self, transports: impl OpenTransport) -> Self {
        self.cluster_transports = Some(Arc::new(transports));
        self
    }

    /// Takes time and randomness from this.
    pub fn with_runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Checks what was gathered. No request is made, no file is read and no program is started before that is needed.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for a text that is none of its kind, [`ErrorCode::RequestInvalid`] for what is missing
    /// beside another, or contradicts it.
    pub fn build(self) -> Result<Cloud> {
        let settings = self.settings()?;
        let runtime = self.runtime.unwrap_or_else(|| SystemRuntime::new());
        let transport = match self.transport {
            Some(transport) => transport,
            None => network(&runtime)?,
        };
        let issuer: Arc<dyn TokenIssuer> = match &settings.choice {
            CredentialChoice::Issuer(issuer) => issuer.clone(),
            _ => Arc::new(Chain::new(&settings, &transport, &runtime)?),
        };
        let ways = self.cluster_transports.unwrap_or_else(|| Arc::new(NetworkTransports::new(runtime.clone())));
        Ok(Cloud::assembled(settings, issuer, transport, ways, runtime))
    }

    fn settings(&self) -> Result<Settings> {
        // A variable says where Entra ID is only where nothing else does; that of a national cloud stands for all of it.
        let authority = self.named_authority.as_ref().filter(|_| self.cloud.is_none() && self.authority.is_none());
        let named_cloud = authority.and_then(|host| NationalCloud::of_authority(&host.text));
        let cloud = self.cloud.or(named_cloud).unwrap_or_default();
        let authority = self.authority.as_ref().or(authority.filter(|_| named_cloud.is_none()));
        let choice = match &self.choice {
            Some(choice) => Some(choice.clone()),
            None => checked(self.named_choice.as_ref(), CredentialChoice::named)?,
        };
        let group = match (&self.subscription, &self.group) {
            (Some(subscription), Some(group)) => {
                Some(subscription.checked(|id| group.checked(|name| ResourceGroup::new(id, name)))?)
            }
            _ => None,
        };
        if let (Some(cluster), None) = (&self.cluster, &group) {
            let message = "a cluster is found in a resource group, and none is named";
            return Err(Error::new(ErrorCode::RequestInvalid, message)
                .on(format!("cluster `{}` (from {})", text::line(&cluster.text, 100), cluster.by))
                .with_hint(
                    "name the subscription (`with_subscription`, AZURE_SUBSCRIPTION_ID) and the resource group \
                     (`with_resource_group`, AZURE_RESOURCE_GROUP)",
                ));
        }
        let authority = checked(authority, authority_endpoint)?;
        let management = checked(self.management.as_ref(), |url| token_endpoint(url, false))?;
        Ok(Settings {
            national: cloud,
            choice: choice.unwrap_or_default(),
            tenant: checked(self.tenant.as_ref(), Tenant::new)?,
            client: checked(self.client.as_ref(), client_id)?,
            federated_token_file: self.federated_token_file.as_ref().map(|file| file.text.clone().into()),
            authority: authority.unwrap_or_else(|| cloud.authority().to_owned()),
            management: management.unwrap_or_else(|| cloud.management().to_owned()),
            group,
            storage: self.storage(cloud)?,
            container: checked(self.container.as_ref(), container_name)?,
            registry: self.registry(cloud)?,
            audience: self.audience,
            cluster: checked(self.cluster.as_ref(), cluster_name)?,
        })
    }

    fn storage(&self, cloud: NationalCloud) -> Result<Option<Storage>> {
        let Some(account) = &self.account else {
            // An endpoint that a variable names may be there for other programs.
            let endpoint = self.blob_endpoint.as_ref().filter(|endpoint| endpoint.by != BLOB_ENDPOINT);
            let Some(needed) = self.container.as_ref().or(endpoint) else { return Ok(None) };
            return Err(Error::new(
                ErrorCode::RequestInvalid,
                "a container lies in a storage account, and none is named",
            )
            .on(needed.by)
            .with_hint("name it with `with_storage_account`, or in AZURE_STORAGE_ACCOUNT"));
        };
        let Some(endpoint) = &self.blob_endpoint else {
            return account.checked(|account| Storage::new(account, self.key.clone(), cloud)).map(Some);
        };
        let found = Storage::at(&account.text, &endpoint.text, self.key.clone(), cloud);
        let named = |error: Error| {
            let subject = format!("{} (from {} and {})", error.subject(), account.by, endpoint.by);
            error.on(subject)
        };
        found.map(Some).map_err(named)
    }

    fn registry(&self, cloud: NationalCloud) -> Result<Option<RegistryName>> {
        let Some(endpoint) = &self.registry_endpoint else {
            return checked(self.registry.as_ref(), |host| RegistryName::new(host, cloud));
        };
        let found = endpoint.checked(RegistryName::emulated)?;
        match &self.registry {
            // Credentials for the one would go to the other.
            Some(named) if !named.text.eq_ignore_ascii_case(&found.host) => Err(Error::new(
                ErrorCode::RequestInvalid,
                format!(
                    "it is another registry than that of the endpoint, which is `{}`",
                    text::line(&found.host, 100)
                ),
            )
            .on(format!("registry `{}` (from {})", text::line(&named.text, 100), named.by))
            .with_hint(format!("name the same registry, or leave {} out", endpoint.by))),
            _ => Ok(Some(found)),
        }
    }
}

/// The way over sockets, on which identities of machines are asked for as Azure has them asked for.
fn network(runtime: &Arc<dyn Runtime>) -> Result<Transport> {
    let mut network = NetworkTransport::builder().runtime(runtime.clone());
    // `azure_identity` reads the same variable.
    for host in identity_hosts(std::env::var("IDENTITY_ENDPOINT").ok().as_deref()) {
        network = network.allow_plain_http(host);
    }
    network.build()
}

/// Where identities of machines are asked for tokens without TLS: at their metadata service, and at the link-local address
/// that App Service gives to each of its machines. What is sent there does not leave the machine's host.
fn identity_hosts(endpoint: Option<&str>) -> Vec<String> {
    let host = endpoint.and_then(|url| url.parse::<http::Uri>().ok()?.host()?.parse::<Ipv4Addr>().ok());
    let local = host.filter(Ipv4Addr::is_link_local).map(|address| address.to_string());
    std::iter::once(METADATA_SERVICE.to_owned()).chain(local).collect()
}

/// The one endpoint that is not looked at unless it is needed.
const BLOB_ENDPOINT: &str = "AZURE_STORAGE_BLOB_ENDPOINT";

/// A text, and who gave it.
#[derive(Debug, Clone)]
struct Given {
    text: String,
    by: &'static str,
}

impl Given {
    fn new(text: impl Into<String>, by: &'static str) -> Self {
        Self { text: text.into(), by }
    }

    /// Checks it; what is wrong names who gave it.
    fn checked<T>(&self, check: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        check(&self.text).map_err(|error| {
            let subject = format!("{} (from {})", error.subject(), self.by);
            error.on(subject)
        })
    }
}

/// A text that is given and checked, or none.
fn checked<T>(given: Option<&Given>, check: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
    given.map(|given| given.checked(check)).transpose()
}

impl fmt::Debug for CloudBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CloudBuilder")
            .field("tenant", &self.tenant)
            .field("account", &self.account)
            .field("registry", &self.registry)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_asked_for_in_the_clear_on_the_machine_alone() {
        let hosts = identity_hosts(Some("http://169.254.129.2:8081/msi/token"));
        assert_eq!(hosts, [METADATA_SERVICE, "169.254.129.2"]);
        for elsewhere in
            [None, Some("http://identity.example/"), Some("http://10.0.0.1/"), Some("http://127.0.0.1:1/"), Some("")]
        {
            assert_eq!(identity_hosts(elsewhere), [METADATA_SERVICE], "{elsewhere:?}");
        }
    }
}
