//! Where a deployment goes: the simulated servers of the state folder, or the real ones that the flags name. For every
//! script that works where `apply` has deployed.
//!
//! - [`target`]: the flags of servers.
//! - [`cloud`]: the flags of a cloud, which knows its servers by names.
//! - [`builder`]: the flags of what builds.

pub mod builder;
pub mod cloud;
pub mod target;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::bucket::{Bucket, S3CredentialSource, S3Credentials};
use chalk_deploy_core::build::{BuildFolder, Checks, DependencySettings, InProcessBuilder};
use chalk_deploy_core::checkpoint::Checkpoints;
use chalk_deploy_core::cloud::{Cloud, ManifestLocator, ObjectStore, Registry};
use chalk_deploy_core::kubernetes::{
    AccessRequest, ClusterAccess, Connection, ExecPolicy, Kubeconfig, KubeconfigPolicy, KubernetesCluster,
};
use chalk_deploy_core::model::{
    BaseImage, Boundary, Buckets, ClusterName, DataPlane, DeploymentPolicy, EnvironmentId, Environments, Identities,
    Namespace, Platform,
};
use chalk_deploy_core::oci::{Credential, OciRegistry, OciSettings, Secret, StaticCredentials};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::traffic::{GatewayProbe, GatewayReference, GatewayTraffic, RouteSettings};
use chalk_deploy_core::transport::{NetworkTransport, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::simulated::plane::{PlaneSettings, SharedPlane, SimulatedEnvironments};

use self::builder::{BuilderArguments, Place};
use self::cloud::OpenedCloud;
use self::target::{BaseImageReference, GatewayName, ImageVersion, RegistryUrl, TargetArguments};

/// The variables that hold who we are at the registry.
pub const REGISTRY_USERNAME: &str = "CHALK_DEPLOY_REGISTRY_USERNAME";
/// Its password or token.
pub const REGISTRY_PASSWORD: &str = "CHALK_DEPLOY_REGISTRY_PASSWORD";

/// The Gateway that a real cluster is expected to have.
const GATEWAY: (&str, &str) = ("chalk-system", "chalk");

/// The environment that a request need not name.
const DEFAULT_ENVIRONMENT: &str = "default";

/// What a credential plugin may see of our environment: what those of the three clouds need.
const PLUGIN_SEES: [&str; 9] = [
    "PATH",
    "HOME",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "CLOUDSDK_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AZURE_CONFIG_DIR",
];

/// What an installer of packages may see of our environment: whom to trust, and the way out.
const INSTALLER_SEES: [&str; 9] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The data planes of a command line.
#[derive(Debug)]
pub enum DataPlanes {
    /// The simulated servers.
    Simulated(Box<SharedPlane>, Checks),
    /// The one that the flags name.
    Named(Box<Named>),
}

impl DataPlanes {
    /// The data planes that the flags ask for; what is simulated lies in the state folder.
    ///
    /// # Errors
    /// What is wrong with the flags, or with a file that they name.
    pub fn open(
        target: &TargetArguments,
        builder: &BuilderArguments,
        checks: Checks,
        state: &Path,
        runtime: &Arc<dyn Runtime>,
        checkpoints: &Arc<dyn Checkpoints>,
    ) -> Result<Self> {
        if let (Some(registry), Some(bucket)) = (&target.registry, &target.bucket) {
            let servers = Servers::find(target, registry, bucket, runtime)?;
            let named = Named::open((target, builder), checks, (servers, registry), state, runtime)?;
            return Ok(Self::Named(Box::new(named)));
        }
        let checkpoints = checkpoints.clone();
        let plane = SharedPlane::open(state, runtime, move |secrets| {
            PlaneSettings { checkpoints: checkpoints.clone(), ..PlaneSettings::default() }.guarded_by(secrets)
        })?;
        Ok(Self::Simulated(Box::new(plane), checks))
    }

    /// The environments of a project in these data planes.
    pub fn environments(&self, known: Vec<EnvironmentId>) -> Arc<dyn Environments> {
        match self {
            Self::Simulated(plane, checks) => {
                let adapters = plane.adapters().clone().with_checks(checks.clone()).with_dependencies(installation());
                Arc::new(SimulatedEnvironments::any(adapters).listed(known))
            }
            Self::Named(named) => {
                Arc::new(NamedEnvironments { named: named.as_ref().clone(), known: known.into_iter().collect() })
            }
        }
    }

    /// Asks real services whether a deployment into this environment can succeed, before one begins. Returns remarks
    /// for a person.
    ///
    /// # Errors
    /// What does not answer, is not there, or is not permitted.
    pub async fn check(&self, environment: &EnvironmentId) -> Result<Vec<String>> {
        match self {
            Self::Simulated(..) => Ok(Vec::new()),
            Self::Named(named) => named.check(environment).await,
        }
    }

    /// The bucket with the sources, and the builder on it.
    ///
    /// # Errors
    /// When the simulated base image cannot be put into its registry.
    pub async fn builds(&self) -> Result<(Arc<dyn ObjectStore>, InProcessBuilder)> {
        match self {
            Self::Simulated(plane, checks) => {
                let adapters = plane.adapters().clone().with_dependencies(installation()).with_checks(checks.clone());
                adapters.install_base_image().await?;
                Ok((adapters.cloud().object_store.clone(), adapters.builder().clone()))
            }
            Self::Named(named) => Ok((named.cloud.object_store.clone(), named.builder.clone())),
        }
    }

    /// The simulated servers, if it is them.
    pub fn simulated(&self) -> Option<&SharedPlane> {
        match self {
            Self::Simulated(plane, _) => Some(plane),
            Self::Named(_) => None,
        }
    }
}

/// A real data plane.
#[derive(Debug, Clone)]
pub struct Named {
    cloud: Cloud,
    builder: InProcessBuilder,
    registry: Arc<OciRegistry>,
    kubernetes: KubernetesCluster,
    cluster: ClusterName,
    registry_url: RegistryUrl,
    bucket: String,
    namespace: Option<Namespace>,
    base_images: Vec<BaseImageReference>,
    provider: Option<OpenedCloud>,
}

/// The servers of a real data plane: where the flags say, or where a cloud has what they name.
struct Servers {
    connection: Connection,
    cluster: ClusterName,
    /// The namespace that a kubeconfig names.
    namespace: Option<Namespace>,
    network: Transport,
    registry: Arc<OciRegistry>,
    bucket: Arc<Bucket>,
    /// The bucket as others are told of it.
    bucket_url: String,
    provider: Option<OpenedCloud>,
}

impl Servers {
    fn find(
        target: &TargetArguments,
        registry_url: &RegistryUrl,
        bucket: &str,
        runtime: &Arc<dyn Runtime>,
    ) -> Result<Self> {
        let mut network = NetworkTransport::builder().runtime(runtime.clone());
        if registry_url.is_plain {
            network = network.allow_plain_http(without_port(&registry_url.host));
        }
        let network = network.build()?;
        if let Some(name) = target.cloud.cloud {
            let provider = target.cloud.account.open(name, target.wanted(), runtime)?;
            let named = provider.provider();
            let (connection, registry, found) = (named.connection()?, named.registry()?, named.bucket()?);
            return Ok(Self {
                connection,
                cluster: ClusterName::new(target.cloud.cluster.clone().unwrap_or_default())?,
                namespace: None,
                network,
                registry: Arc::new(registry),
                bucket: Arc::new(found),
                bucket_url: target.cloud.account.bucket_url(name, bucket),
                provider: Some(provider),
            });
        }
        let access = access(target, target.kubeconfig.as_deref().unwrap_or(Path::new("")))?;
        Ok(Self {
            connection: Connection::open(access.clone(), runtime.clone())?,
            cluster: ClusterName::new(access.server())?,
            namespace: access.namespace().cloned(),
            registry: Arc::new(registry(registry_url, network.clone(), runtime)?),
            bucket: Arc::new(Bucket::from_url(bucket, network.clone(), bucket_credentials(), runtime.clone())?),
            bucket_url: bucket.to_owned(),
            network,
            provider: None,
        })
    }
}

impl Named {
    fn open(
        (target, builder): (&TargetArguments, &BuilderArguments),
        checks: Checks,
        (servers, registry_url): (Servers, &RegistryUrl),
        state: &Path,
        runtime: &Arc<dyn Runtime>,
    ) -> Result<Self> {
        let Servers { connection, cluster, namespace, network, registry, bucket, bucket_url, provider } = servers;
        let namespace = target.namespace.clone().or(namespace);
        let builds = BuildFolder::open(state.join("builds"))?;
        let here = InProcessBuilder::new(bucket.clone(), registry.clone(), builds, runtime.clone())
            .with_dependencies(installation())
            .with_checks(checks);
        let builder = builder.open(
            &here,
            &Place {
                bucket: bucket.clone(),
                bucket_url: &bucket_url,
                registry: registry.clone(),
                connection: &connection,
                namespace: namespace.as_ref(),
                plain_http: registry_url.is_plain.then(|| registry_url.host.clone()).into_iter().collect(),
            },
        )?;
        let kubernetes = KubernetesCluster::new(connection.clone());
        let cloud = Cloud {
            object_store: bucket,
            registry: registry.clone(),
            cluster: Arc::new(kubernetes.clone()),
            builder,
            traffic: Arc::new(traffic(target, connection, network, runtime)?),
        };
        Ok(Self {
            cloud,
            builder: here,
            registry,
            kubernetes,
            cluster,
            registry_url: registry_url.clone(),
            bucket: bucket_url.split(['?', '@']).next().unwrap_or_default().to_owned(),
            namespace,
            base_images: target.base_images.clone(),
            provider,
        })
    }

    async fn check(&self, environment: &EnvironmentId) -> Result<Vec<String>> {
        let namespace = self.namespace(environment)?;
        let bases = async {
            for base in &self.base_images {
                let pinned = self.pinned(base).await?;
                let locator = ManifestLocator::Digest(pinned.digest);
                if self.registry.manifest(&pinned.repository, &locator).await?.is_none() {
                    return Err(base.missing());
                }
            }
            Ok(())
        };
        let bucket = async {
            // A look at one key would not tell an empty bucket from one that is not there.
            match self.cloud.object_store.list("incoming/", None, 1).await {
                Err(error) if error.code() != ErrorCode::PermissionDenied => Err(error),
                _ => Ok(()),
            }
        };
        let remarks = async {
            match &self.provider {
                Some(cloud) => cloud.provider().remarks().await,
                None => Ok(Vec::new()),
            }
        };
        let (slower, (), (), mut remarks) =
            tokio::try_join!(self.kubernetes.preflight(&namespace), bases, bucket, remarks)?;
        let remark = |request: &AccessRequest| format!("note: not permitted, so this is slower: {request}");
        remarks.extend(slower.iter().map(remark));
        Ok(remarks)
    }

    fn namespace(&self, environment: &EnvironmentId) -> Result<Namespace> {
        match &self.namespace {
            Some(namespace) => Ok(namespace.clone()),
            None => Namespace::new(format!("ns-{environment}")),
        }
    }

    async fn pinned(&self, base: &BaseImageReference) -> Result<BaseImage> {
        let digest = match &base.version {
            ImageVersion::Digest(digest) => *digest,
            ImageVersion::Tag(tag) => {
                let found = self.registry.manifest(&base.repository, &ManifestLocator::Tag(tag.clone())).await?;
                found.ok_or_else(|| base.missing())?.digest()
            }
        };
        Ok(BaseImage { component: base.component, repository: base.repository.clone(), digest })
    }
}

/// Finds the one data plane for every environment of the project.
#[derive(Debug)]
struct NamedEnvironments {
    named: Named,
    known: BTreeSet<EnvironmentId>,
}

#[async_trait]
impl Environments for NamedEnvironments {
    async fn resolve(&self, environment: &EnvironmentId) -> Result<Arc<DataPlane>> {
        if !self.known.contains(environment) {
            let known: Vec<_> = self.known.iter().map(|known| format!("`{known}`")).collect();
            return Err(Error::new(ErrorCode::EnvironmentUnknown, "there is no such environment")
                .on(format!("environment `{environment}`"))
                .with_hint(format!("the environments are {}", known.join(", "))));
        }
        let named = &self.named;
        let mut base_images = Vec::new();
        for base in &named.base_images {
            base_images.push(named.pinned(base).await?);
        }
        let namespace = named.namespace(environment)?;
        Ok(Arc::new(DataPlane {
            environment: environment.clone(),
            cluster: named.cluster.clone(),
            namespace,
            registry: named.registry_url.repository.clone(),
            buckets: Buckets { source: named.bucket.clone() },
            identities: Identities { workload: "default".to_owned(), ..Identities::default() },
            // Whoever runs this script with their own credentials is inside.
            boundary: Boundary::of_a_terminal(),
            base_images,
            platforms: vec![Platform::linux_amd64()],
            policy: DeploymentPolicy::default(),
            cloud: named.cloud.clone(),
        }))
    }
}

/// How requirements are installed: with the uv or the pip of whoever runs this, from where that one looks by itself.
fn installation() -> DependencySettings {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let settings = DependencySettings::new(std::env::split_paths(&path));
    INSTALLER_SEES.iter().fold(settings, |settings, name| match std::env::var_os(name) {
        Some(value) => settings.with_variable(name, value),
        None => settings,
    })
}

fn access(target: &TargetArguments, kubeconfig: &Path) -> Result<ClusterAccess> {
    let mut exec = ExecPolicy::none();
    for plugin in &target.allowed_plugins {
        exec = exec.allow(plugin)?;
    }
    exec = PLUGIN_SEES.iter().fold(exec, |exec, variable| exec.with_variable(*variable));
    let policy = KubeconfigPolicy { exec, insecure: false };
    Kubeconfig::read(kubeconfig)?.access(target.context.as_deref(), &policy)
}

fn registry(url: &RegistryUrl, network: Transport, runtime: &Arc<dyn Runtime>) -> Result<OciRegistry> {
    let mut settings = OciSettings::default();
    if url.is_plain {
        settings = settings.with_plain_http(url.host.clone());
    }
    match (variable(REGISTRY_USERNAME), variable(REGISTRY_PASSWORD)) {
        (Some(username), Some(password)) => {
            let credential = Credential::Basic { username, secret: Secret::new(password) };
            settings = settings.with_credentials(Arc::new(StaticCredentials::new().with(url.host.clone(), credential)));
        }
        (None, None) => {}
        _ => {
            return Err(Error::new(ErrorCode::RequestInvalid, "a user without a password, or the other way round")
                .on(format!("{REGISTRY_USERNAME} and {REGISTRY_PASSWORD}"))
                .with_hint("set both or neither"));
        }
    }
    Ok(OciRegistry::new(network, runtime.clone(), settings))
}

/// The variables that every client of S3 reads.
fn bucket_credentials() -> Option<Arc<dyn S3CredentialSource>> {
    let credentials = S3Credentials::new(variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    Some(Arc::new(match variable("AWS_SESSION_TOKEN") {
        Some(token) => credentials.with_session_token(token),
        None => credentials,
    }))
}

fn traffic(
    target: &TargetArguments,
    connection: Connection,
    network: Transport,
    runtime: &Arc<dyn Runtime>,
) -> Result<GatewayTraffic> {
    let gateway = match &target.gateway {
        Some(GatewayName { namespace, name }) => {
            GatewayReference { namespace: namespace.to_string(), name: name.clone(), section: None }
        }
        None => GatewayReference { namespace: GATEWAY.0.to_owned(), name: GATEWAY.1.to_owned(), section: None },
    };
    let settings = RouteSettings::engine_behind(gateway).with_default_environment(DEFAULT_ENVIRONMENT.parse()?);
    let traffic = GatewayTraffic::new(connection, settings);
    match &target.gateway_address {
        Some(address) => Ok(traffic.with_probe(GatewayProbe::new(network, address, runtime.clone())?)),
        None => Ok(traffic),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn without_port(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}
