//! The builder, and what it builds.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use chalk_deploy_core::bucket::{Bucket, GcsIamSigner, GcsSettings};
use chalk_deploy_core::cloud::{Builder, Cloud as Bundle, TrafficShifter};
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource, Lender};
use chalk_deploy_core::kubernetes::{ClusterAccess, Connection, KubernetesCluster, NetworkTransports, OpenTransport};
use chalk_deploy_core::oci::{OciRegistry, OciSettings, UploadMode};
use chalk_deploy_core::provision::{BucketKeeper, ClusterDescription, ImageCatalog, RepositoryCreator};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};

use crate::api::Api;
use crate::buckets::Buckets;
use crate::cluster::{ControlPlane, GkeLocator};
use crate::credentials::{Identity, SCOPE, Wanted};
use crate::registry::{Images, RegistryTokens, Repositories};
use crate::settings::{self, ClusterPlace, Given, Hosts, RegistryPlace};

const STORAGE: &str = "https://storage.googleapis.com";
const ARTIFACT_REGISTRY: &str = "https://artifactregistry.googleapis.com";
const CONTAINER: &str = "https://container.googleapis.com";

/// Google Cloud, as far as one data plane needs it. Clones share the tokens and everything else.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

struct Inner {
    transport: Transport,
    transports: Transports,
    runtime: Arc<dyn Runtime>,
    tokens: Arc<dyn BearerTokenSource>,
    /// Whether emulators are shown the tokens, which is so only where they were given for them.
    tokens_for_emulators: bool,
    project: Option<String>,
    quota_project: Option<String>,
    location: Option<String>,
    cluster: Option<ClusterPlace>,
    control_plane: ControlPlane,
    bucket: Option<String>,
    registry: Option<RegistryPlace>,
    hosts: Hosts,
    immutable_tags: bool,
    signing_account: Option<String>,
    storage: Option<String>,
    artifact_registry: Option<String>,
    container: Option<String>,
    plain_registry: Option<String>,
    /// One way to the cluster and one memory of the registry, for all who ask.
    connection: OnceLock<Connection>,
    oci: OnceLock<OciRegistry>,
}

impl Cloud {
    /// Nothing is set yet.
    pub fn builder() -> CloudBuilder {
        CloudBuilder::default()
    }

    /// The source bucket.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was set; [`ErrorCode::ValueInvalid`] for a name that no bucket has.
    pub fn bucket(&self) -> Result<Bucket> {
        let inner = &self.0;
        let name = inner.bucket.as_deref().ok_or_else(|| unset("bucket", "with_bucket"))?;
        let mut settings = GcsSettings::new(name);
        if let Some(endpoint) = &inner.storage {
            settings = settings.with_endpoint(endpoint);
        }
        settings.credentials = self.shown_to(inner.storage.as_ref());
        if let Some(account) = &inner.signing_account {
            let (transport, runtime) = (inner.transport.clone(), inner.runtime.clone());
            settings = settings.with_url_signer(GcsIamSigner::new(transport, runtime, inner.tokens.clone(), account)?);
        }
        Bucket::gcs(inner.transport.clone(), settings, inner.runtime.clone())
    }

    /// The registry. A repository names its own host; only those of Artifact Registry are given the token. One of the
    /// project that is not there is made when something is pushed to it. All who ask share what was learned of
    /// registries.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was set.
    pub fn registry(&self) -> Result<OciRegistry> {
        let inner = &self.0;
        let repositories = self.repositories()?;
        let open = || {
            let credentials = RegistryTokens::new(inner.tokens.clone(), inner.hosts.clone());
            let mut settings = OciSettings::default()
                .with_credentials(Arc::new(credentials))
                .with_upload(UploadMode::TwoRequests)
                .with_repository_creator(repositories);
            if let Some(host) = &inner.plain_registry {
                settings = settings.with_plain_http(host);
            }
            OciRegistry::new(inner.transport.clone(), inner.runtime.clone(), settings)
        };
        Ok(inner.oci.get_or_init(open).clone())
    }

    /// The way to the cluster's API server, the same for all who ask. It is looked up at the first request, and again
    /// when no request reaches it.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when no cluster was set.
    pub fn connection(&self) -> Result<Connection> {
        let inner = &self.0;
        let locator = self.locator()?;
        let open = || Connection::named(locator, inner.transports.clone(), inner.runtime.clone());
        Ok(inner.connection.get_or_init(open).clone())
    }

    /// The cluster.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was set.
    pub fn cluster(&self) -> Result<KubernetesCluster> {
        self.connection().map(KubernetesCluster::new)
    }

    /// What Google says of the cluster.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was set; `OBJECT_MISSING`, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        self.locator()?.describe().await
    }

    /// What a person should know before a deployment, one sentence each: how the cluster is reached.
    ///
    /// # Errors
    /// Those of [`describe_cluster`](Self::describe_cluster).
    pub async fn remarks(&self) -> Result<Vec<String>> {
        Ok(self.describe_cluster().await?.remarks())
    }

    /// Makes buckets, and sets them up.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when no project or no location was set.
    pub fn buckets(&self) -> Result<Arc<dyn BucketKeeper>> {
        let inner = &self.0;
        let project = inner.project.clone().ok_or_else(|| unset("project", "with_project"))?;
        let location = inner.location.clone().ok_or_else(|| unset("location", "with_location"))?;
        Ok(Arc::new(Buckets::new(self.api(inner.storage.as_ref(), STORAGE), project, location)))
    }

    /// The images of the project's repositories, listed and removed.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when no registry was set.
    pub fn images(&self) -> Result<Arc<dyn ImageCatalog>> {
        Ok(Arc::new(Images::new(self.of_project()?, self.registry()?)))
    }

    /// Makes repositories of the project.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when no registry was set.
    pub fn repositories(&self) -> Result<Arc<dyn RepositoryCreator>> {
        Ok(Arc::new(self.of_project()?))
    }

    /// Who we are.
    pub fn credentials(&self) -> Arc<dyn BearerTokenSource> {
        self.0.tokens.clone()
    }

    /// The five traits, with this builder and this division of traffic.
    ///
    /// # Errors
    /// Those of [`bucket`](Self::bucket), [`registry`](Self::registry) and [`cluster`](Self::cluster).
    pub fn bundle(&self, builder: Arc<dyn Builder>, traffic: Arc<dyn TrafficShifter>) -> Result<Bundle> {
        Ok(Bundle {
            object_store: Arc::new(self.bucket()?),
            registry: Arc::new(self.registry()?),
            cluster: Arc::new(self.cluster()?),
            builder,
            traffic,
        })
    }

    fn of_project(&self) -> Result<Repositories> {
        let inner = &self.0;
        let place = inner.registry.clone().ok_or_else(|| unset("registry", "with_registry"))?;
        let api = self.api(inner.artifact_registry.as_ref(), ARTIFACT_REGISTRY);
        Ok(Repositories::new(api, place, inner.hosts.clone(), inner.immutable_tags))
    }

    fn locator(&self) -> Result<GkeLocator> {
        let inner = &self.0;
        let place = inner.cluster.clone().ok_or_else(|| unset("cluster", "with_cluster"))?;
        let api = self.api(inner.container.as_ref(), CONTAINER);
        Ok(GkeLocator::new(api, place, inner.control_plane, self.shown_to(inner.container.as_ref())))
    }

    fn api(&self, emulator: Option<&String>, google: &str) -> Api {
        let base = emulator.map_or(google, String::as_str);
        let api = Api::new(self.0.transport.clone(), self.0.runtime.clone(), self.shown_to(emulator), base);
        api.counted_for(self.0.quota_project.as_deref())
    }

    fn shown_to(&self, emulator: Option<&String>) -> Option<Arc<dyn BearerTokenSource>> {
        (emulator.is_none() || self.0.tokens_for_emulators).then(|| self.0.tokens.clone())
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cloud")
            .field("project", &self.0.project)
            .field("location", &self.0.location)
            .field("cluster", &self.0.cluster)
            .field("bucket", &self.0.bucket)
            .field("registry", &self.0.registry)
            .field("credentials", &self.0.tokens)
            .finish_non_exhaustive()
    }
}

fn unset(what: &str, method: &str) -> Error {
    Error::new(ErrorCode::RequestInvalid, format!("no {what} was set"))
        .on("Google Cloud")
        .with_hint(format!("set it with `{method}` of the builder"))
}

/// The settings of a [`Cloud`]. What is given by a method counts more than what a variable says, in any order.
#[derive(Default)]
#[must_use = "settings are checked and used when they are built"]
pub struct CloudBuilder {
    from_env: bool,
    project: Option<Given>,
    quota_project: Option<Given>,
    location: Option<Given>,
    cluster: Option<Given>,
    control_plane: ControlPlane,
    bucket: Option<Given>,
    registry: Option<Given>,
    old_hosts: Vec<Given>,
    immutable_tags: bool,
    signing_account: Option<String>,
    impersonated: Option<String>,
    scopes: Option<Vec<String>>,
    credentials: Identity,
    login_folder: Option<PathBuf>,
    transport: Option<Transport>,
    transports: Option<Transports>,
    runtime: Option<Arc<dyn Runtime>>,
    storage: Option<Given>,
    artifact_registry: Option<Given>,
    container: Option<Given>,
    registry_endpoint: Option<Given>,
}

impl CloudBuilder {
    /// Takes what Google's own tools take from the environment: `GOOGLE_APPLICATION_CREDENTIALS`, `CLOUDSDK_CONFIG` and
    /// HOME for credentials; `GOOGLE_CLOUD_PROJECT` or `CLOUDSDK_CORE_PROJECT`; `GOOGLE_CLOUD_QUOTA_PROJECT`;
    /// `GOOGLE_CLOUD_LOCATION` or `CLOUDSDK_COMPUTE_REGION`; `STORAGE_EMULATOR_HOST`. No file is read yet.
    pub fn from_env(self) -> Self {
        self.from_variables(|name| std::env::var(name).ok())
    }

    /// The same from other variables than those of this process.
    pub fn from_variables(mut self, read: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &'static str| {
            read(name)
                .filter(|value| !value.trim().is_empty())
                .map(|value| Given { value: value.trim().to_owned(), by: name })
        };
        self.from_env = true;
        if let (Identity::Chain, Some(file)) = (&self.credentials, read("GOOGLE_APPLICATION_CREDENTIALS")) {
            self.credentials = Identity::Variable(file.value.into());
        }
        let home = || read("HOME").map(|home| PathBuf::from(home.value).join(".config").join("gcloud"));
        self.login_folder = read("CLOUDSDK_CONFIG").map(|folder| folder.value.into()).or_else(home);
        let project = || read("GOOGLE_CLOUD_PROJECT").or_else(|| read("CLOUDSDK_CORE_PROJECT"));
        self.project = self.project.or_else(project);
        self.quota_project = self.quota_project.or_else(|| read("GOOGLE_CLOUD_QUOTA_PROJECT"));
        let location = || read("GOOGLE_CLOUD_LOCATION").or_else(|| read("CLOUDSDK_COMPUTE_REGION"));
        self.location = self.location.or_else(location);
        self.storage = self.storage.or_else(|| read("STORAGE_EMULATOR_HOST"));
        self
    }

    /// The project, by its id.
    pub fn with_project(mut self, project: impl Into<String>) -> Self {
        self.project = given(project, "with_project");
        self
    }

    /// The project that calls are counted for. A user's login needs one; whoever it is must have
    /// `serviceusage.services.use` there.
    pub fn with_quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = given(project, "with_quota_project");
        self
    }

    /// Where buckets are made, and clusters are looked for that are named alone.
    pub fn with_location(mut self, location: impl Into<String>) -> Self {
        self.location = given(location, "with_location");
        self
    }

    /// The cluster: `NAME`, `LOCATION/NAME` or `projects/PROJECT/locations/LOCATION/clusters/NAME`.
    pub fn with_cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = given(cluster, "with_cluster");
        self
    }

    /// By which of its addresses the cluster is reached; the public one unless set.
    pub const fn with_control_plane(mut self, control_plane: ControlPlane) -> Self {
        self.control_plane = control_plane;
        self
    }

    /// The source bucket.
    pub fn with_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = given(bucket, "with_bucket");
        self
    }

    /// The registry of the environments' images: `LOCATION-docker.pkg.dev/PROJECT/REPOSITORY`, and a path below it if
    /// need be.
    pub fn with_registry(mut self, registry: impl Into<String>) -> Self {
        self.registry = given(registry, "with_registry");
        self
    }

    /// Gives the token to this host of Container Registry too, such as `gcr.io`, because Artifact Registry serves it
    /// here.
    pub fn with_registry_host(mut self, host: impl Into<String>) -> Self {
        self.old_hosts.extend(given(host, "with_registry_host"));
        self
    }

    /// Makes repositories whose tags never move.
    pub const fn with_immutable_tags(mut self) -> Self {
        self.immutable_tags = true;
        self
    }

    /// Tokens of this source, and no chain.
    pub fn with_credentials(mut self, credentials: impl BearerTokenSource) -> Self {
        self.credentials = Identity::Source(Arc::new(credentials));
        self
    }

    /// Tokens of this lender, kept until shortly before they expire; and no chain.
    pub fn with_lender(mut self, lender: impl Lender<BearerToken>) -> Self {
        self.credentials = Identity::Lender(Arc::new(lender));
        self
    }

    /// Credentials of this file, and no chain. It is read when the first token is needed.
    pub fn with_credentials_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.credentials = Identity::File(file.into());
        self
    }

    /// Acts as this service account, by the credentials that are found or given: the account that a tenant has let us
    /// act as. It is a setting, and never a part of a request.
    pub fn with_impersonation(mut self, account: impl Into<String>) -> Self {
        self.impersonated = Some(account.into());
        self
    }

    /// Asks for tokens of these scopes; [`SCOPE`] unless set.
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Signs links to objects as this service account, by the IAM service.
    pub fn with_signing_account(mut self, account: impl Into<String>) -> Self {
        self.signing_account = Some(account.into());
        self
    }

    /// Sends all requests through this transport, those to the cluster too.
    pub fn with_transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Opens the way to the cluster by this, once it is known where it is.
    pub fn with_cluster_transports(mut self, transports: impl OpenTransport) -> Self {
        self.transports = Some(Transports(Arc::new(transports)));
        self
    }

    /// Takes time and randomness from this runtime.
    pub fn with_runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// An emulator of Cloud Storage, such as `http://127.0.0.1:4443`. It is shown no token, unless one was given by
    /// [`with_credentials`](Self::with_credentials) or [`with_lender`](Self::with_lender).
    pub fn with_storage_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.storage = given(endpoint, "with_storage_endpoint");
        self
    }

    /// An emulator of the Artifact Registry API, under the same rule.
    pub fn with_artifact_registry_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.artifact_registry = given(endpoint, "with_artifact_registry_endpoint");
        self
    }

    /// An emulator of the Kubernetes Engine API, under the same rule.
    pub fn with_container_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.container = given(endpoint, "with_container_endpoint");
        self
    }

    /// A registry that stands for Artifact Registry, such as `http://127.0.0.1:5000`, under the same rule.
    pub fn with_registry_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.registry_endpoint = given(endpoint, "with_registry_endpoint");
        self
    }

    /// Checks the settings. No request is made, and no file is read.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] naming the variable or the method whose value is wrong.
    pub fn build(self) -> Result<Cloud> {
        let checked =
            |given: &Option<Given>, check: fn(&Given) -> Result<String>| given.as_ref().map(check).transpose();
        let project = checked(&self.project, settings::project)?;
        let quota_project = checked(&self.quota_project, settings::project)?;
        let location = checked(&self.location, settings::location)?;
        let [storage, artifact_registry, container, registry_endpoint] =
            [&self.storage, &self.artifact_registry, &self.container, &self.registry_endpoint]
                .map(|endpoint| checked(endpoint, settings::endpoint));
        let registry_endpoint = registry_endpoint?;
        let emulator =
            registry_endpoint.as_deref().and_then(|it| it.split_once("://")).map(|(_, host)| host.to_owned());
        let cluster = self.cluster.as_ref();
        let cluster = cluster.map(|it| settings::cluster(it, project.as_deref(), location.as_deref())).transpose()?;
        let registry = self.registry.as_ref();
        let registry =
            registry.map(|it| settings::registry(it, emulator.as_deref(), location.as_deref())).transpose()?;
        let tokens_for_emulators = matches!(self.credentials, Identity::Source(_) | Identity::Lender(_));
        let mut hosts = self.old_hosts.iter().try_fold(Hosts::default(), Hosts::with_old)?;
        if let Some(host) = &emulator {
            hosts = hosts.with_emulator(host, tokens_for_emulators);
        }
        let runtime = self.runtime.clone().unwrap_or_else(|| SystemRuntime::new());
        let transports = match (&self.transports, &self.transport) {
            (Some(transports), _) => transports.clone(),
            (None, Some(transport)) => Transports(Arc::new(transport.clone())),
            (None, None) => Transports(Arc::new(NetworkTransports::new(runtime.clone()))),
        };
        let transport = match &self.transport {
            Some(transport) => transport.clone(),
            None => NetworkTransport::builder().runtime(runtime.clone()).build()?,
        };
        let plain_registry = registry_endpoint.filter(|endpoint| endpoint.starts_with("http://")).and(emulator);
        let (bucket, signing_account) = (self.bucket.clone().map(|it| it.value), self.signing_account.clone());
        let (control_plane, immutable_tags) = (self.control_plane, self.immutable_tags);
        let wanted = Wanted {
            identity: self.credentials,
            login_folder: self.login_folder,
            asks_programs: self.from_env,
            impersonated: self.impersonated,
            scopes: self.scopes.unwrap_or_else(|| vec![SCOPE.to_owned()]),
        };
        let tokens = wanted.tokens(&transport, &runtime)?;
        let cloud = Cloud(Arc::new(Inner {
            transport,
            transports,
            runtime,
            tokens,
            tokens_for_emulators,
            project,
            quota_project,
            location,
            cluster,
            control_plane,
            bucket,
            registry,
            hosts,
            immutable_tags,
            signing_account,
            storage: storage?,
            artifact_registry: artifact_registry?,
            container: container?,
            plain_registry,
            connection: OnceLock::new(),
            oci: OnceLock::new(),
        }));
        // What the core has to say about a name or an account.
        if cloud.0.bucket.is_some() {
            cloud.bucket()?;
        }
        Ok(cloud)
    }
}

impl fmt::Debug for CloudBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CloudBuilder")
            .field("project", &self.project)
            .field("location", &self.location)
            .field("cluster", &self.cluster)
            .field("bucket", &self.bucket)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "that a value was given is what is kept")]
fn given(value: impl Into<String>, by: &'static str) -> Option<Given> {
    Some(Given { value: value.into(), by })
}

/// Opens the way to clusters by what was given as a value of any type.
#[derive(Debug, Clone)]
struct Transports(Arc<dyn OpenTransport>);

impl OpenTransport for Transports {
    fn open(&self, access: &ClusterAccess) -> Result<Transport> {
        self.0.open(access)
    }
}
