//! Azure as one value, and its builder.

use std::fmt;
use std::sync::Arc;

use chalk_deploy_core::bucket::{AzureCredentials, AzureKeySource, AzureSettings, Bucket};
use chalk_deploy_core::cloud::{Builder, Cloud as DataPlaneCloud, TrafficShifter};
use chalk_deploy_core::kubernetes::{ClusterAccess, Connection, KubernetesCluster, NetworkTransports, OpenTransport};
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::provision::ClusterDescription;
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result, text};

use crate::api::{Api, Authorization};
use crate::buckets::Containers;
use crate::cluster::AksCluster;
use crate::credentials::tenant::Tenant;
use crate::credentials::{Chain, CredentialChoice, TokenIssuer, Tokens, scope};
use crate::national_cloud::NationalCloud;
use crate::registry::{AcrCredentials, AcrImages, RefreshTokens, remarks};
use crate::settings::{
    RegistryAudience, RegistryName, ResourceGroup, Settings, Storage, checked_endpoint, client_id, cluster_name,
    container_name,
};

/// The metadata service of a machine of Azure, which is reached without TLS and never leaves the machine's host.
const METADATA_SERVICE: &str = "169.254.169.254";

/// One customer's Azure: a storage account, a registry and a cluster, of which each may be missing. Clones share
/// everything.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

struct Inner {
    settings: Settings,
    transport: Transport,
    runtime: Arc<dyn Runtime>,
    tokens: Tokens,
    registry: Option<(OciRegistry, AcrImages)>,
    connection: Option<(Connection, AksCluster)>,
}

/// Gathers what a [`Cloud`] is made from. What is wrong is said by [`build`](Self::build), naming the method or the
/// variable.
#[derive(Default)]
#[must_use = "nothing is checked before it is built"]
pub struct CloudBuilder {
    cloud: Option<NationalCloud>,
    choice: Option<CredentialChoice>,
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
    wrong: Option<Error>,
    transport: Option<Transport>,
    cluster_transports: Option<Arc<dyn OpenTransport>>,
    runtime: Option<Arc<dyn Runtime>>,
}

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

impl CloudBuilder {
    /// Takes from the variables of the process what was not set otherwise:
    ///
    /// | variable | as |
    /// |---|---|
    /// | `AZURE_TENANT_ID` | [`with_tenant`](Self::with_tenant) |
    /// | `AZURE_CLIENT_ID` | [`with_client`](Self::with_client) |
    /// | `AZURE_FEDERATED_TOKEN_FILE` | the token of workload identity |
    /// | `AZURE_AUTHORITY_HOST` | [`with_national_cloud`](Self::with_national_cloud) |
    /// | `AZURE_TOKEN_CREDENTIALS` | [`with_credentials`](Self::with_credentials): `prod`, `dev`, or the name of a credential |
    /// | `AZURE_SUBSCRIPTION_ID`, `AZURE_RESOURCE_GROUP` | [`with_subscription`](Self::with_subscription), [`with_resource_group`](Self::with_resource_group) |
    /// | `AZURE_STORAGE_ACCOUNT` | [`with_storage_account`](Self::with_storage_account) |
    ///
    /// No file is read.
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
        if self.authority.is_none()
            && self.cloud.is_none()
            && let Some(authority) = given("AZURE_AUTHORITY_HOST")
        {
            match NationalCloud::of_authority(&authority.text) {
                Some(cloud) => self.cloud = Some(cloud),
                None => self.authority = Some(authority),
            }
        }
        if let (None, Some(choice)) = (&self.choice, given("AZURE_TOKEN_CREDENTIALS")) {
            match choice_of(&choice.text) {
                Ok(choice) => self.choice = Some(choice),
                Err(error) => self.wrong = self.wrong.or(Some(error)),
            }
        }
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
    /// beside another.
    pub fn build(mut self) -> Result<Cloud> {
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        let settings = self.settings()?;
        let runtime = self.runtime.unwrap_or_else(|| SystemRuntime::new());
        let transport = match self.transport {
            Some(transport) => transport,
            None => NetworkTransport::builder().runtime(runtime.clone()).allow_plain_http(METADATA_SERVICE).build()?,
        };
        let issuer: Arc<dyn TokenIssuer> = match &settings.choice {
            CredentialChoice::Issuer(issuer) => issuer.clone(),
            _ => Arc::new(Chain::new(&settings, &transport, &runtime)?),
        };
        let tokens = Tokens::new(issuer, settings.tenant.clone(), runtime.clone());
        let management_scope = format!("{}/.default", settings.management);
        let api = Api {
            transport: transport.clone(),
            runtime: runtime.clone(),
            authorization: Authorization::Token(Arc::new(tokens.of(&management_scope))),
        };
        let registry = settings.registry.clone().map(|name| {
            let audience = match settings.audience {
                RegistryAudience::Registry => settings.national.registry_scope(),
                RegistryAudience::Management => &management_scope,
            };
            let refresh = RefreshTokens::new(
                name.clone(),
                settings.tenant.clone(),
                tokens.of(audience),
                transport.clone(),
                runtime.clone(),
            );
            let credentials = AcrCredentials::new(name.host.clone(), refresh.clone());
            let mut oci = OciSettings::default().with_credentials(Arc::new(credentials));
            if name.endpoint.starts_with("http:") {
                oci = oci.with_plain_http(name.host.clone());
            }
            let oci = OciRegistry::new(transport.clone(), runtime.clone(), oci);
            (oci.clone(), AcrImages::new(name, refresh, api.clone(), oci))
        });
        let cluster = settings.cluster.clone().zip(settings.group.clone());
        let connection = cluster.map(|(name, group)| {
            let cluster = AksCluster {
                name,
                group,
                management: settings.management.clone(),
                api: api.clone(),
                tokens: tokens.of(scope::AKS),
                tenant: settings.tenant.clone(),
            };
            let ways = self.cluster_transports.unwrap_or_else(|| Arc::new(NetworkTransports::new(runtime.clone())));
            (Connection::named(cluster.clone(), Ways(ways), runtime.clone()), cluster)
        });
        Ok(Cloud(Arc::new(Inner { settings, transport, runtime, tokens, registry, connection })))
    }

    fn settings(&self) -> Result<Settings> {
        let cloud = self.cloud.unwrap_or_default();
        let endpoint = |url: &str| checked_endpoint(url, false);
        let group = match (&self.subscription, &self.group) {
            (Some(subscription), Some(group)) => {
                Some(subscription.checked(|id| group.checked(|name| ResourceGroup::new(id, name)))?)
            }
            _ => None,
        };
        let account_needed = self.container.as_ref().or(self.blob_endpoint.as_ref());
        let storage = match (&self.account, account_needed) {
            (Some(account), _) => {
                let endpoint = self.blob_endpoint.as_ref().map(|given| given.text.as_str());
                Some(account.checked(|account| Storage::new(account, endpoint, self.key.clone(), cloud))?)
            }
            (None, Some(needed)) => {
                return Err(Error::new(
                    ErrorCode::RequestInvalid,
                    "a container lies in a storage account, and none is named",
                )
                .on(needed.by)
                .with_hint("name it with `with_storage_account`, or in AZURE_STORAGE_ACCOUNT"));
            }
            (None, None) => None,
        };
        let registry = match &self.registry_endpoint {
            Some(endpoint) => Some(endpoint.checked(RegistryName::emulated)?),
            None => checked(self.registry.as_ref(), |host| RegistryName::new(host, cloud))?,
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
        Ok(Settings {
            national: cloud,
            choice: self.choice.clone().unwrap_or_default(),
            tenant: checked(self.tenant.as_ref(), Tenant::new)?,
            client: checked(self.client.as_ref(), client_id)?,
            federated_token_file: self.federated_token_file.as_ref().map(|file| file.text.clone().into()),
            authority: checked(self.authority.as_ref(), endpoint)?.unwrap_or_else(|| cloud.authority().to_owned()),
            management: checked(self.management.as_ref(), endpoint)?.unwrap_or_else(|| cloud.management().to_owned()),
            group,
            storage,
            container: checked(self.container.as_ref(), container_name)?,
            registry,
            audience: self.audience,
            cluster: checked(self.cluster.as_ref(), cluster_name)?,
        })
    }
}

/// The names that Azure's SDKs take in `AZURE_TOKEN_CREDENTIALS`, as far as we have such a link.
fn choice_of(name: &str) -> Result<CredentialChoice> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "prod" => CredentialChoice::Deployed,
        "dev" | "azureclicredential" | "azuredeveloperclicredential" => CredentialChoice::DeveloperTools,
        "workloadidentitycredential" => CredentialChoice::WorkloadIdentity,
        "managedidentitycredential" => CredentialChoice::ManagedIdentity,
        _ => {
            return Err(Error::new(ErrorCode::ValueInvalid, "there are no such credentials here")
                .on(format!("AZURE_TOKEN_CREDENTIALS `{}`", text::line(name, 60)))
                .with_hint(
                    "write `prod`, `dev`, `WorkloadIdentityCredential`, `ManagedIdentityCredential` or \
                     `AzureCliCredential`",
                ));
        }
    })
}

impl Cloud {
    /// A builder that knows nothing yet.
    pub fn builder() -> CloudBuilder {
        CloudBuilder::default()
    }

    /// The source bucket.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named.
    pub fn bucket(&self) -> Result<Bucket> {
        let (storage, container) = (self.storage()?, self.0.settings.container.as_ref());
        let container = container.ok_or_else(|| missing("bucket", "with_bucket"))?;
        self.container(&storage.account, container, &storage.endpoint)
    }

    fn container(&self, account: &str, container: &str, endpoint: &str) -> Result<Bucket> {
        let mut settings = AzureSettings::new(account, container).with_endpoint(endpoint);
        settings.credentials = self.storage_credentials();
        Bucket::azure(self.0.transport.clone(), settings, self.0.runtime.clone())
    }

    /// The registry.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named.
    pub fn registry(&self) -> Result<OciRegistry> {
        self.0
            .registry
            .as_ref()
            .map(|(registry, _)| registry.clone())
            .ok_or_else(|| missing("registry", "with_registry"))
    }

    /// The cluster's API server, which is looked up at the first request.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named.
    pub fn connection(&self) -> Result<Connection> {
        self.aks().map(|(connection, _)| connection.clone())
    }

    /// The cluster.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named.
    pub fn cluster(&self) -> Result<KubernetesCluster> {
        self.connection().map(KubernetesCluster::new)
    }

    /// What Azure says of the cluster.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named; `OBJECT_MISSING`, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        self.aks()?.1.describe().await
    }

    /// What a person should know before a deployment, one sentence each: how the cluster is reached, and whether the
    /// registry removes images by itself. What may not be asked of the registry is left out.
    ///
    /// # Errors
    /// Those of [`describe_cluster`](Self::describe_cluster).
    pub async fn remarks(&self) -> Result<Vec<String>> {
        let mut remarks = self.describe_cluster().await?.remarks();
        match self.inspect_registry().await {
            Ok(of_the_registry) => remarks.extend(of_the_registry),
            Err(error) => tracing::debug!(%error, "how the registry is set up is not known"),
        }
        Ok(remarks)
    }

    /// Makes containers of the storage account, and sets them up.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when no storage account was named.
    pub fn buckets(&self) -> Result<Containers> {
        let Settings { management, group, .. } = &self.0.settings;
        let storage = self.storage()?.clone();
        let management = group.clone().map(|group| (management.clone(), self.management(), group));
        let (transport, runtime) = (self.0.transport.clone(), self.0.runtime.clone());
        Ok(Containers::new(storage, self.storage_credentials(), management, transport, runtime))
    }

    /// The images of the registry.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named.
    pub fn images(&self) -> Result<AcrImages> {
        self.0.registry.as_ref().map(|(_, images)| images.clone()).ok_or_else(|| missing("registry", "with_registry"))
    }

    /// What a person should know of the registry's settings, one sentence each: above all, whether it removes images by
    /// itself.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when no registry or no resource group was named; `PERMISSION_DENIED`,
    /// `OBJECT_MISSING`, `CLOUD_UNAVAILABLE`.
    pub async fn inspect_registry(&self) -> Result<Vec<String>> {
        let Settings { management, group, registry, .. } = &self.0.settings;
        let registry = registry.as_ref().ok_or_else(|| missing("registry", "with_registry"))?;
        let group = group.as_ref().ok_or_else(|| missing("resource group", "with_resource_group"))?;
        let path = group.path(&format!("Microsoft.ContainerRegistry/registries/{}", registry.resource()));
        remarks(&self.management(), &format!("{management}{path}"), registry.resource()).await
    }

    /// Tokens by scope.
    pub fn credentials(&self) -> Tokens {
        self.0.tokens.clone()
    }

    /// All of it as the bundle that a deployment goes to, with what builds and what divides the traffic.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when bucket, registry or cluster was not named.
    pub fn bundle(&self, builder: Arc<dyn Builder>, traffic: Arc<dyn TrafficShifter>) -> Result<DataPlaneCloud> {
        Ok(DataPlaneCloud {
            object_store: Arc::new(self.bucket()?),
            registry: Arc::new(self.registry()?),
            cluster: Arc::new(self.cluster()?),
            builder,
            traffic,
        })
    }

    fn storage(&self) -> Result<&Storage> {
        self.0.settings.storage.as_ref().ok_or_else(|| missing("storage account", "with_storage_account"))
    }

    fn storage_credentials(&self) -> AzureCredentials {
        let key = self.0.settings.storage.as_ref().and_then(|storage| storage.key.clone());
        key.map_or_else(
            || AzureCredentials::Bearer(Arc::new(self.0.tokens.of(scope::STORAGE))),
            AzureCredentials::SharedKey,
        )
    }

    /// Calls to Resource Manager.
    fn management(&self) -> Api {
        let scope = format!("{}/.default", self.0.settings.management);
        let authorization = Authorization::Token(Arc::new(self.0.tokens.of(&scope)));
        Api { transport: self.0.transport.clone(), runtime: self.0.runtime.clone(), authorization }
    }

    fn aks(&self) -> Result<&(Connection, AksCluster)> {
        self.0.connection.as_ref().ok_or_else(|| missing("cluster", "with_cluster"))
    }
}

fn missing(what: &str, method: &str) -> Error {
    Error::new(ErrorCode::RequestInvalid, format!("no {what} of Azure is configured"))
        .with_hint(format!("name it with `{method}` when the cloud is built"))
}

/// What opens the way to a cluster, as a value.
#[derive(Debug)]
struct Ways(Arc<dyn OpenTransport>);

impl OpenTransport for Ways {
    fn open(&self, access: &ClusterAccess) -> Result<Transport> {
        self.0.open(access)
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Cloud").field(&self.0.settings).finish()
    }
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
