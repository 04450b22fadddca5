//! The builder, and what it builds.

use std::fmt;
use std::sync::Arc;

use chalk_deploy_core::bucket::{Bucket, S3Settings};
use chalk_deploy_core::cloud::{Builder, TrafficShifter};
use chalk_deploy_core::kubernetes::{Connection, KubernetesCluster, NetworkTransports, OpenTransport};
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::oci::{OciRegistry, OciSettings, RegistryCredentials};
use chalk_deploy_core::provision::{BucketKeeper, ClusterDescription, ImageCatalog, RepositoryCreator};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, RetryPolicy, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};

use crate::api::Api;
use crate::buckets::S3Keeper;
use crate::cluster::EksCluster;
use crate::credentials::{AccessKeySource, AssumedRole, AwsCredentials, Chain, TenantRoles, Variables, Ways};
use crate::registry::{Ecr, RepositorySettings};
use crate::settings::{Endpoints, Region, RegistryName, Service, account_id, cluster_name};

/// Where the sources of credentials may be asked over plain HTTP: the metadata service and the agents of ECS and EKS.
const LINK_LOCAL: [&str; 3] = ["169.254.169.254", "169.254.170.2", "169.254.170.23"];

/// One account of AWS in one region, with what a deployment needs of it. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

struct Inner {
    region: Region,
    credentials: AwsCredentials,
    runtime: Arc<dyn Runtime>,
    buckets: Arc<S3Keeper>,
    bucket: Option<Bucket>,
    registry: Option<(Ecr, OciRegistry)>,
    cluster: Option<(EksCluster, Connection)>,
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
        self.0.bucket.clone().ok_or_else(|| missing("source bucket", "with_bucket"))
    }

    /// The registry, which makes repositories when a push finds none.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named.
    pub fn registry(&self) -> Result<OciRegistry> {
        self.ecr().map(|(_, registry)| registry.clone())
    }

    /// The way to the cluster.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named.
    pub fn connection(&self) -> Result<Connection> {
        self.eks().map(|(_, connection)| connection.clone())
    }

    /// The cluster.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named.
    pub fn cluster(&self) -> Result<KubernetesCluster> {
        self.connection().map(KubernetesCluster::new)
    }

    /// The cluster as EKS describes it.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was named; [`ErrorCode::ObjectMissing`] when there is none of this name;
    /// [`ErrorCode::PermissionDenied`], [`ErrorCode::CloudUnavailable`].
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        self.eks()?.0.describe().await
    }

    /// What makes and sets up buckets.
    pub fn buckets(&self) -> Arc<dyn BucketKeeper> {
        self.0.buckets.clone()
    }

    /// What lists and removes the images of repositories.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when no registry was named.
    pub fn images(&self) -> Result<Arc<dyn ImageCatalog>> {
        Ok(Arc::new(self.ecr()?.0.clone()))
    }

    /// What makes repositories.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when no registry was named.
    pub fn repositories(&self) -> Result<Arc<dyn RepositoryCreator>> {
        Ok(Arc::new(self.ecr()?.0.clone()))
    }

    /// What the registry is logged in to with, and no other host.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when no registry was named.
    pub fn registry_credentials(&self) -> Result<Arc<dyn RegistryCredentials>> {
        Ok(Arc::new(self.ecr()?.0.clone()))
    }

    /// Who signs.
    pub fn credentials(&self) -> &AwsCredentials {
        &self.0.credentials
    }

    /// The region.
    pub fn region(&self) -> &str {
        self.0.region.as_str()
    }

    /// What a person should know before a deployment, one sentence each: how the cluster is reached, and whether layers
    /// are mounted between repositories. Asks EKS and ECR; what may not be asked is left out.
    ///
    /// # Errors
    /// Those of [`describe_cluster`](Self::describe_cluster).
    pub async fn remarks(&self) -> Result<Vec<String>> {
        let mut remarks = match &self.0.cluster {
            Some((cluster, _)) => cluster.describe().await?.remarks(),
            None => Vec::new(),
        };
        if let Some((ecr, _)) = &self.0.registry {
            match ecr.mounts_blobs().await {
                Ok(true) => {}
                Ok(false) => remarks.push(
                    "note: the registry mounts no layers from one repository to another, so that each is pushed to each; \
                     set the account's BLOB_MOUNTING to ENABLED"
                        .to_owned(),
                ),
                Err(error) => tracing::debug!(%error, "whether the registry mounts layers is not known"),
            }
        }
        Ok(remarks)
    }

    /// The five traits of a data plane: this cloud's three, and a builder and a traffic shifter on them.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when a bucket, a registry or a cluster was not named.
    pub fn bundle(
        &self,
        builder: Arc<dyn Builder>,
        traffic: Arc<dyn TrafficShifter>,
    ) -> Result<chalk_deploy_core::cloud::Cloud> {
        Ok(chalk_deploy_core::cloud::Cloud {
            object_store: Arc::new(self.bucket()?),
            registry: Arc::new(self.registry()?),
            cluster: Arc::new(self.cluster()?),
            builder,
            traffic,
        })
    }

    /// The time by the runtime, for [`sweep`](chalk_deploy_core::provision::sweep).
    pub fn now(&self) -> Timestamp {
        self.0.runtime.now()
    }

    fn ecr(&self) -> Result<&(Ecr, OciRegistry)> {
        self.0.registry.as_ref().ok_or_else(|| missing("registry", "with_registry"))
    }

    fn eks(&self) -> Result<&(EksCluster, Connection)> {
        self.0.cluster.as_ref().ok_or_else(|| missing("cluster", "with_cluster"))
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cloud")
            .field("region", &self.0.region.as_str())
            .field("credentials", &self.0.credentials)
            .field("bucket", &self.0.bucket)
            .field("registry", &self.0.registry.as_ref().map(|(ecr, _)| ecr))
            .field("cluster", &self.0.cluster.as_ref().map(|(cluster, _)| cluster))
            .finish_non_exhaustive()
    }
}

fn missing(what: &str, method: &str) -> Error {
    Error::new(ErrorCode::RequestInvalid, format!("no {what} was named"))
        .on("cloud AWS")
        .with_hint(format!("name it with `{method}` before `build`"))
}

/// Gathers what a [`Cloud`] is made of. Whatever is wrong is told by [`build`](Self::build).
#[derive(Default)]
pub struct CloudBuilder {
    variables: Variables,
    region: Option<String>,
    account: Option<String>,
    profile: Option<String>,
    given: Option<AwsCredentials>,
    tenant: Option<(Arc<dyn TenantRoles>, String)>,
    bucket: Option<String>,
    registry: Option<String>,
    repositories: RepositorySettings,
    cluster: Option<String>,
    endpoints: Vec<(Option<Service>, String)>,
    transport: Option<Transport>,
    cluster_transports: Option<Box<dyn OpenTransport>>,
    runtime: Option<Arc<dyn Runtime>>,
}

impl CloudBuilder {
    /// Takes the variables of the process that AWS has names for: of the region, of endpoints, of credentials.
    #[must_use]
    pub fn from_env(self) -> Self {
        self.from_variables(|name| std::env::var(name).ok())
    }

    /// Takes the same variables from somewhere else.
    #[must_use]
    pub fn from_variables(mut self, reader: impl Fn(&str) -> Option<String>) -> Self {
        self.variables = Variables::read(reader);
        self
    }

    /// Sends all requests but those to the cluster through this transport.
    #[must_use]
    pub fn with_transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Opens the way to the cluster, which has an authority of its own, with this. A [`Transport`] is one that leads to
    /// every cluster.
    #[must_use]
    pub fn with_cluster_transports(mut self, transports: impl OpenTransport) -> Self {
        self.cluster_transports = Some(Box::new(transports));
        self
    }

    /// Takes time and randomness from this runtime.
    #[must_use]
    pub fn with_runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Signs with keys of this source, and asks no other.
    #[must_use]
    pub fn with_credentials(mut self, source: impl AccessKeySource) -> Self {
        self.given = Some(AwsCredentials::given(source));
        self
    }

    /// Signs with what this profile of the shared files says, whatever the variables do.
    #[must_use]
    pub fn with_profile(mut self, name: impl Into<String>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Acts as the role of this tenant, which is looked up where the tenant's setup has stored it, with the external id
    /// that was made for them. The keys found by the chain sign for it.
    #[must_use]
    pub fn with_tenant(mut self, roles: Arc<dyn TenantRoles>, tenant: impl Into<String>) -> Self {
        self.tenant = Some((roles, tenant.into()));
        self
    }

    /// The region; else that of `AWS_REGION` or `AWS_DEFAULT_REGION`.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The account, by its twelve digits. Requests about buckets are refused then where another account owns them.
    #[must_use]
    pub fn with_account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// The source bucket.
    #[must_use]
    pub fn with_bucket(mut self, name: impl Into<String>) -> Self {
        self.bucket = Some(name.into());
        self
    }

    /// The registry, `<account>.dkr.ecr.<region>.amazonaws.com`. With an endpoint of one's own for ECR any host is taken,
    /// such as that of an emulator.
    #[must_use]
    pub fn with_registry(mut self, host: impl Into<String>) -> Self {
        self.registry = Some(host.into());
        self
    }

    /// How repositories are made.
    #[must_use]
    pub fn with_repositories(mut self, settings: RepositorySettings) -> Self {
        self.repositories = settings;
        self
    }

    /// The cluster, by its name.
    #[must_use]
    pub fn with_cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// Another endpoint for all services, such as that of an emulator.
    #[must_use]
    pub fn with_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((None, url.into()));
        self
    }

    /// Another endpoint for S3. Buckets then stand in the path.
    #[must_use]
    pub fn with_bucket_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((Some(Service::S3), url.into()));
        self
    }

    /// Another endpoint for ECR, the service; the registry itself is where its host says.
    #[must_use]
    pub fn with_registry_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((Some(Service::Ecr), url.into()));
        self
    }

    /// Another endpoint for EKS, the service; the API server is where EKS says.
    #[must_use]
    pub fn with_cluster_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((Some(Service::Eks), url.into()));
        self
    }

    /// Another endpoint for STS.
    #[must_use]
    pub fn with_token_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((Some(Service::Sts), url.into()));
        self
    }

    /// Puts it together. Sends nothing and reads no file.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for the first setting that is none, [`ErrorCode::RequestInvalid`] for settings that
    /// contradict each other; both name the method or the variable.
    pub fn build(self) -> Result<Cloud> {
        let region =
            match self.region.as_deref().or_else(|| self.variables.first(&["AWS_REGION", "AWS_DEFAULT_REGION"])) {
                Some(region) => Region::new(region)?,
                None => {
                    return Err(Error::new(ErrorCode::RequestInvalid, "no region was named")
                        .on("cloud AWS")
                        .with_hint("set AWS_REGION and call `from_env`, or name one with `with_region`"));
                }
            };
        let endpoints = self.endpoints()?;
        let account = self.account.as_deref().or_else(|| self.variables.get("AWS_ACCOUNT_ID"));
        let account = account.map(account_id).transpose().map_err(|error| {
            error.with_hint("correct what `with_account` or AWS_ACCOUNT_ID says: twelve digits, without hyphens")
        })?;
        let runtime = self.runtime.clone().unwrap_or_else(|| SystemRuntime::new());
        let transport = match &self.transport {
            Some(transport) => transport.clone(),
            None => network(&endpoints, &runtime)?,
        };
        let ways = Ways { transport: transport.clone(), runtime: runtime.clone(), retry: RetryPolicy::default() };
        let credentials = self.signer(&ways, &region, &endpoints)?;
        let api = Api::new(ways, credentials.clone(), region.clone(), endpoints.clone());
        let bucket = self.bucket.as_deref().map(|name| {
            let settings = bucket_settings(name, &region, &endpoints).with_credentials(credentials.clone());
            Bucket::s3(transport.clone(), settings, runtime.clone())
        });
        let registry = self.registry.as_deref().map(|host| {
            let name = registry_name(host, &region, &endpoints)?;
            let ecr = Ecr::new(api.clone(), name, self.repositories.clone());
            let settings = OciSettings::default()
                .with_credentials(Arc::new(ecr.clone()))
                .with_repository_creator(Arc::new(ecr.clone()));
            Ok::<_, Error>((ecr, OciRegistry::new(transport.clone(), runtime.clone(), settings)))
        });
        let cluster = match self.cluster.as_deref() {
            None => None,
            Some(name) => {
                let cluster = EksCluster::new(api.clone(), credentials.clone(), cluster_name(name)?);
                let transports =
                    self.cluster_transports.unwrap_or_else(|| Box::new(NetworkTransports::new(runtime.clone())));
                let connection = Connection::named(cluster.clone(), Boxed(transports), runtime.clone());
                Some((cluster, connection))
            }
        };
        Ok(Cloud(Arc::new(Inner {
            buckets: Arc::new(S3Keeper::new(api, account)),
            bucket: bucket.transpose()?,
            registry: registry.transpose()?,
            cluster,
            region,
            credentials,
            runtime,
        })))
    }

    fn endpoints(&self) -> Result<Endpoints> {
        let mut endpoints = Endpoints::default();
        if let Some(url) = self.variables.get("AWS_ENDPOINT_URL") {
            endpoints.set_all(url).map_err(|error| error.on("variable AWS_ENDPOINT_URL"))?;
        }
        for service in Service::ALL {
            let variable = service.endpoint_variable();
            if let Some(url) = self.variables.get(variable) {
                endpoints.set(service, url).map_err(|error| error.on(format!("variable {variable}")))?;
            }
        }
        // What the code says goes before what the variables say.
        for (service, url) in &self.endpoints {
            match service {
                None => endpoints.set_all(url).map_err(|error| error.on("`with_endpoint`"))?,
                Some(service) => endpoints.set(*service, url).map_err(|error| error.on(method_of(*service)))?,
            }
        }
        Ok(endpoints)
    }

    fn signer(&self, ways: &Ways, region: &Region, endpoints: &Endpoints) -> Result<AwsCredentials> {
        let runtime = ways.runtime.clone();
        let own = match (&self.given, &self.profile) {
            (Some(_), Some(_)) => {
                return Err(Error::new(ErrorCode::RequestInvalid, "credentials and a profile were both named")
                    .on("cloud AWS")
                    .with_hint("call `with_credentials` or `with_profile`, not both"));
            }
            (Some(given), None) => given.clone(),
            (None, profile) => {
                let chain = Chain::new(self.variables.clone(), profile.clone(), region.clone(), ways.clone());
                AwsCredentials::lent(chain, runtime.clone())
            }
        };
        let Some((roles, tenant)) = &self.tenant else { return Ok(own) };
        let sts = Api::new(ways.clone(), own, region.clone(), endpoints.clone());
        Ok(AwsCredentials::lent(AssumedRole { sts, roles: roles.clone(), tenant: tenant.clone() }, runtime))
    }
}

impl fmt::Debug for CloudBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CloudBuilder").field("variables", &self.variables).finish_non_exhaustive()
    }
}

/// A way to clusters that was handed over.
#[derive(Debug)]
struct Boxed(Box<dyn OpenTransport>);

impl OpenTransport for Boxed {
    fn open(&self, access: &chalk_deploy_core::kubernetes::ClusterAccess) -> Result<Transport> {
        self.0.open(access)
    }
}

const fn method_of(service: Service) -> &'static str {
    match service {
        Service::S3 => "`with_bucket_endpoint`",
        Service::Ecr => "`with_registry_endpoint`",
        Service::Eks => "`with_cluster_endpoint`",
        Service::Sts => "`with_token_endpoint`",
    }
}

/// Sockets. Plain HTTP leads to the sources of credentials beside the machine, and where an endpoint says so itself.
fn network(endpoints: &Endpoints, runtime: &Arc<dyn Runtime>) -> Result<Transport> {
    let mut network = NetworkTransport::builder().runtime(runtime.clone());
    for host in LINK_LOCAL {
        network = network.allow_plain_http(host);
    }
    for service in Service::ALL {
        let plain = endpoints.given(service).and_then(|url| url.strip_prefix("http://"));
        if let Some(authority) = plain {
            let host = authority.parse().ok().map(|authority: http::uri::Authority| authority.host().to_owned());
            network = network.allow_plain_http(host.unwrap_or_default());
        }
    }
    network.build()
}

fn bucket_settings(name: &str, region: &Region, endpoints: &Endpoints) -> S3Settings {
    let settings = S3Settings::new(name, region.as_str());
    match endpoints.given(Service::S3) {
        Some(url) => settings.with_endpoint(url),
        // The core knows the domain of most regions.
        None if region.domain() == "amazonaws.com" => settings,
        None => settings
            .with_endpoint(endpoints.of(Service::S3, region))
            .with_path_style(false)
            .with_conditional_copies(true),
    }
}

fn registry_name(host: &str, region: &Region, endpoints: &Endpoints) -> Result<RegistryName> {
    match RegistryName::new(host, region, false) {
        Err(_) if endpoints.given(Service::Ecr).is_some() => RegistryName::new(host, region, true),
        name => name,
    }
}
