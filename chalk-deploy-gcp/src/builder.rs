//! The settings of a cloud, and what is wrong with them.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use chalk_deploy_core::Result;
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource, Lender};
use chalk_deploy_core::kubernetes::{ClusterAccess, NetworkTransports, OpenTransport};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, Transport};
use http::uri::Authority;

use crate::cloud::{Cloud, Inner};
use crate::cluster::ControlPlane;
use crate::credentials::{AZURE, Identity, QuotaProject, SCOPE, Wanted};
use crate::endpoints::{self, Elsewhere, METADATA_HOST, is_near, variable};
use crate::settings::{self, Given, Hosts};

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
    metadata_host: Option<Given>,
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
    /// HOME for credentials, and `GCE_METADATA_HOST` for where the metadata server is; `GOOGLE_CLOUD_PROJECT` or
    /// `CLOUDSDK_CORE_PROJECT`; `GOOGLE_CLOUD_QUOTA_PROJECT`; `GOOGLE_CLOUD_LOCATION` or `CLOUDSDK_COMPUTE_REGION`;
    /// `STORAGE_EMULATOR_HOST`, and `CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER`, `…_ARTIFACTREGISTRY` and `…_STORAGE`
    /// for APIs that are elsewhere. No file is read yet.
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
        self.metadata_host = self.metadata_host.or_else(|| read("GCE_METADATA_HOST"));
        let storage = || read("STORAGE_EMULATOR_HOST").or_else(|| read(variable::STORAGE));
        self.storage = self.storage.or_else(storage);
        self.artifact_registry = self.artifact_registry.or_else(|| read(variable::ARTIFACT_REGISTRY));
        self.container = self.container.or_else(|| read(variable::CONTAINER));
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

    /// Makes repositories whose tags never move. Google then removes neither a tag nor an image that has one: a deployment
    /// that is taken back leaves its tag there, and [`Cloud::images`] removes only images without tags.
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

    /// Sends all requests through this transport, those to the cluster too. Where the metadata server is to be asked, it
    /// has to let plain HTTP through to `metadata.google.internal`.
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
    /// [`ErrorCode::ValueInvalid`](chalk_deploy_core::ErrorCode::ValueInvalid) naming the variable or the method whose value is wrong.
    pub fn build(self) -> Result<Cloud> {
        let checked =
            |given: &Option<Given>, check: fn(&Given) -> Result<String>| given.as_ref().map(check).transpose();
        let project = checked(&self.project, settings::project)?;
        let quota_project = checked(&self.quota_project, settings::project)?;
        let location = checked(&self.location, settings::location)?;
        let places = Places::of(&self)?;
        let cluster = self.cluster.as_ref();
        let cluster = cluster.map(|it| settings::cluster(it, project.as_deref(), location.as_deref())).transpose()?;
        let emulator = places.registry_emulator(self.registry.as_ref());
        let emulated = emulator.as_ref().map(|(host, _)| host.as_str());
        let registry = self.registry.as_ref();
        let registry = registry.map(|it| settings::registry(it, emulated, location.as_deref())).transpose()?;
        let mut hosts = self.old_hosts.iter().try_fold(Hosts::default(), Hosts::with_old)?;
        if let Some((host, gets_token)) = &emulator {
            hosts = hosts.with_emulator(host, *gets_token);
        }
        let runtime = self.runtime.clone().unwrap_or_else(|| SystemRuntime::new());
        let (transport, transports) = self.ways(&places.metadata_host, &runtime)?;
        let plain_registry = places.registry.filter(|it| it.base.starts_with("http://"));
        let quota_project = QuotaProject::new(quota_project.as_deref());
        let wanted = Wanted {
            // Calls of a service account that is acted as are counted for its own project, whoever acts.
            counted_for: if self.impersonated.is_some() { quota_project.apart() } else { quota_project.clone() },
            identity: self.credentials,
            login_folder: self.login_folder,
            metadata_host: places.metadata_host,
            asks_programs: self.from_env,
            impersonated: self.impersonated,
            scopes: self.scopes.unwrap_or_else(|| vec![SCOPE.to_owned()]),
        };
        let tokens = wanted.tokens(&transport, &runtime)?;
        let cloud = Cloud::new(Inner {
            transport,
            transports,
            runtime,
            tokens,
            project,
            quota_project,
            location,
            cluster,
            control_plane: self.control_plane,
            bucket: self.bucket.map(|it| it.value),
            registry,
            hosts,
            immutable_tags: self.immutable_tags,
            signing_account: self.signing_account,
            storage: places.storage,
            artifact_registry: places.artifact_registry,
            container: places.container,
            plain_registry: plain_registry.map(|it| it.authority().to_owned()),
            connection: OnceLock::new(),
            oci: OnceLock::new(),
        });
        cloud.check()?;
        Ok(cloud)
    }

    fn ways(&self, metadata_host: &MetadataHost, runtime: &Arc<dyn Runtime>) -> Result<(Transport, Transports)> {
        let transports = match (&self.transports, &self.transport) {
            (Some(transports), _) => transports.clone(),
            (None, Some(transport)) => Transports(Arc::new(transport.clone())),
            (None, None) => Transports(Arc::new(NetworkTransports::new(runtime.clone()))),
        };
        let transport = match &self.transport {
            Some(transport) => transport.clone(),
            // Those who tell a machine who it is; all else that is reached by plain HTTP is on this machine.
            None => NetworkTransport::builder()
                .runtime(runtime.clone())
                .allow_plain_http(metadata_host.authority.host())
                .allow_plain_http(AZURE.to_string())
                .build()?,
        };
        Ok((transport, transports))
    }
}

/// Where things are that are not where Google has them.
struct Places {
    storage: Option<Elsewhere>,
    artifact_registry: Option<Elsewhere>,
    container: Option<Elsewhere>,
    registry: Option<Elsewhere>,
    metadata_host: MetadataHost,
}

/// Where the metadata server is.
#[derive(Debug, Clone)]
pub(crate) struct MetadataHost {
    pub(crate) authority: Authority,
    /// Whether somebody has said so, who then expects it to be there.
    pub(crate) is_named: bool,
}

impl Places {
    fn of(builder: &CloudBuilder) -> Result<Self> {
        let tokens_for_emulators = matches!(builder.credentials, Identity::Source(_) | Identity::Lender(_));
        let elsewhere = |given: &Option<Given>| {
            given.as_ref().map(|given| Elsewhere::read(given, tokens_for_emulators)).transpose()
        };
        let named = builder.metadata_host.as_ref().map(endpoints::metadata_host).transpose()?;
        Ok(Self {
            storage: elsewhere(&builder.storage)?,
            artifact_registry: elsewhere(&builder.artifact_registry)?,
            container: elsewhere(&builder.container)?,
            registry: elsewhere(&builder.registry_endpoint)?,
            metadata_host: MetadataHost {
                is_named: named.is_some(),
                authority: named.unwrap_or_else(|| Authority::from_static(METADATA_HOST)),
            },
        })
    }

    /// The host that stands for Artifact Registry, and whether it gets the token: the one that was named, or a registry
    /// on this machine where the API is on this machine too.
    fn registry_emulator(&self, registry: Option<&Given>) -> Option<(String, bool)> {
        if let Some(named) = &self.registry {
            return Some((named.authority().to_owned(), named.gets_token));
        }
        let api = self.artifact_registry.as_ref().filter(|api| api.is_near)?;
        let host = registry?.value.split('/').next()?;
        let authority: Authority = host.parse().ok()?;
        is_near(authority.host()).then(|| (host.to_owned(), api.gets_token))
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
pub(crate) struct Transports(Arc<dyn OpenTransport>);

impl OpenTransport for Transports {
    fn open(&self, access: &ClusterAccess) -> Result<Transport> {
        self.0.open(access)
    }
}
