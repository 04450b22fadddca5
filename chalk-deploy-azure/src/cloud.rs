//! Azure as one value.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::bucket::{AzureCredentials, AzureSettings, Bucket};
use chalk_deploy_core::cloud::{Builder, Cloud as DataPlaneCloud, TrafficShifter};
use chalk_deploy_core::kubernetes::{ClusterAccess, Connection, KubernetesCluster, OpenTransport};
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::provision::{BucketKeeper, ClusterDescription, ImageCatalog, Provider};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::Transport;
use chalk_deploy_core::{Error, ErrorCode, Result};

use crate::api::{Api, Authorization};
use crate::buckets::Containers;
use crate::builder::CloudBuilder;
use crate::cluster::AksCluster;
use crate::credentials::{TokenIssuer, Tokens, scope};
use crate::registry::{AcrCredentials, AcrImages, RefreshTokens, remarks};
use crate::settings::{RegistryAudience, Settings, Storage};

/// One customer's Azure: a storage account, a registry and a cluster, of which each may be missing. Clones share
/// everything.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

struct Inner {
    settings: Settings,
    transport: Transport,
    runtime: Arc<dyn Runtime>,
    tokens: Tokens,
    /// Calls to Resource Manager.
    management: Api,
    buckets: Option<Containers>,
    registry: Option<(OciRegistry, AcrImages)>,
    connection: Option<(Connection, AksCluster)>,
}

impl Cloud {
    /// A builder that knows nothing yet.
    pub fn builder() -> CloudBuilder {
        CloudBuilder::default()
    }

    /// Puts together what was checked. Nothing is asked.
    pub(crate) fn assembled(
        settings: Settings,
        issuer: Arc<dyn TokenIssuer>,
        transport: Transport,
        ways: Arc<dyn OpenTransport>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let tokens = Tokens::new(issuer, settings.tenant.clone(), runtime.clone());
        let management_scope = format!("{}/.default", settings.management);
        let api = Api {
            transport: transport.clone(),
            runtime: runtime.clone(),
            authorization: Authorization::Token(Arc::new(tokens.of(&management_scope))),
        };
        let buckets = settings.storage.clone().map(|storage| {
            let management = settings.group.clone().map(|group| (settings.management.clone(), api.clone(), group));
            let credentials = credentials_of(&storage, &tokens);
            Containers::new(storage, credentials, management, transport.clone(), runtime.clone())
        });
        let registry = settings.registry.clone().map(|name| {
            let audience = match settings.audience {
                RegistryAudience::Registry => settings.national.registry_scope(),
                RegistryAudience::Management => &management_scope,
            };
            let (tenant, tokens) = (settings.tenant.clone(), tokens.of(audience));
            let refresh = RefreshTokens::new(name.clone(), tenant, tokens, transport.clone(), runtime.clone());
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
            (Connection::named(cluster.clone(), Ways(ways), runtime.clone()), cluster)
        });
        Self(Arc::new(Inner { settings, transport, runtime, tokens, management: api, buckets, registry, connection }))
    }

    /// The source bucket.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named.
    pub fn bucket(&self) -> Result<Bucket> {
        let Settings { storage, container, .. } = &self.0.settings;
        let storage = storage.as_ref().ok_or_else(|| missing("storage account", "with_storage_account"))?;
        let container = container.as_ref().ok_or_else(|| missing("bucket", "with_bucket"))?;
        let mut settings = AzureSettings::new(&storage.account, container).with_endpoint(&storage.endpoint);
        settings.credentials = credentials_of(storage, &self.0.tokens);
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
        self.0.buckets.clone().ok_or_else(|| missing("storage account", "with_storage_account"))
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
        remarks(&self.0.management, &format!("{management}{path}"), registry.resource()).await
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
        Provider::bundle(self, builder, traffic)
    }

    fn aks(&self) -> Result<&(Connection, AksCluster)> {
        self.0.connection.as_ref().ok_or_else(|| missing("cluster", "with_cluster"))
    }
}

/// The key of the account, else tokens.
fn credentials_of(storage: &Storage, tokens: &Tokens) -> AzureCredentials {
    match &storage.key {
        Some(key) => AzureCredentials::SharedKey(key.clone()),
        None => AzureCredentials::Bearer(Arc::new(tokens.of(scope::STORAGE))),
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

#[async_trait]
impl Provider for Cloud {
    fn bucket(&self) -> Result<Bucket> {
        Self::bucket(self)
    }

    fn registry(&self) -> Result<OciRegistry> {
        Self::registry(self)
    }

    fn connection(&self) -> Result<Connection> {
        Self::connection(self)
    }

    async fn describe_cluster(&self) -> Result<ClusterDescription> {
        Self::describe_cluster(self).await
    }

    async fn remarks(&self) -> Result<Vec<String>> {
        Self::remarks(self).await
    }

    fn buckets(&self) -> Result<Arc<dyn BucketKeeper>> {
        Ok(Arc::new(Self::buckets(self)?))
    }

    fn images(&self) -> Result<Arc<dyn ImageCatalog>> {
        Ok(Arc::new(Self::images(self)?))
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Cloud").field(&self.0.settings).finish()
    }
}
