//! The real adapters on the ways to the servers.

use std::sync::Arc;

use chalk_deploy_core::bucket::{Bucket, S3Credentials, S3Settings};
use chalk_deploy_core::build::{BuildFolder, Checks, DependencySettings, InProcessBuilder};
use chalk_deploy_core::cloud::{Cloud, ManifestLocator, Registry};
use chalk_deploy_core::kubernetes::{ClusterAccess, Connection, Credentials, KubernetesCluster, Secret as Token};
use chalk_deploy_core::model::{Digest, EnvironmentId, Repository};
use chalk_deploy_core::oci::{Credential, OciRegistry, OciSettings, Secret as Password, StaticCredentials};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::traffic::{GatewayProbe, GatewayReference, GatewayTraffic, RouteSettings};
use chalk_deploy_core::transport::{RequestBody, RetryPolicy, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::{BUCKET, GATEWAY, USER, host, namespace_of};

use crate::simulated::base_image::SimulatedBaseImage;
use crate::simulated::share::Secrets;

/// Where the bucket server says it is.
const REGION: &str = "us-east-1";

/// How each server is reached.
#[derive(Debug, Clone)]
pub struct Ways {
    /// The registry.
    pub registry: Transport,
    /// The Kubernetes API.
    pub kubernetes: Transport,
    /// The gateway.
    pub gateway: Transport,
    /// The bucket server.
    pub bucket: Transport,
}

impl Ways {
    /// The way to each server, found by its name.
    pub fn each(way: impl Fn(&'static str) -> Transport) -> Self {
        Self {
            registry: way("registry"),
            kubernetes: way("kubernetes"),
            gateway: way("gateway"),
            bucket: way("bucket"),
        }
    }
}

/// The adapters of one process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Adapters {
    cloud: Cloud,
    builder: InProcessBuilder,
    registry: Arc<OciRegistry>,
    kubernetes: Transport,
    gateway: Transport,
    secrets: Option<Secrets>,
    runtime: Arc<dyn Runtime>,
}

impl Adapters {
    /// The adapters on these ways, with these secrets where the servers want any; builds are kept in this folder.
    ///
    /// # Errors
    /// None in practice: the names of the servers are valid.
    pub fn new(ways: &Ways, secrets: Option<Secrets>, builds: BuildFolder, runtime: &Arc<dyn Runtime>) -> Result<Self> {
        let bucket = Arc::new(bucket(ways, secrets.as_ref(), runtime)?);
        let registry = Arc::new(registry(ways, secrets.as_ref(), runtime));
        let connection = connection(ways, secrets.as_ref(), runtime)?;
        let builder = InProcessBuilder::new(bucket.clone(), registry.clone(), builds, runtime.clone());
        let gateway = GatewayReference { namespace: GATEWAY.0.to_owned(), name: GATEWAY.1.to_owned(), section: None };
        let probe = GatewayProbe::new(ways.gateway.clone(), &format!("http://{}", host::GATEWAY), runtime.clone())?;
        let traffic = GatewayTraffic::new(connection.clone(), RouteSettings::engine_behind(gateway)).with_probe(probe);
        let cloud = Cloud {
            object_store: bucket,
            registry: registry.clone(),
            cluster: Arc::new(KubernetesCluster::new(connection)),
            builder: Arc::new(builder.clone()),
            traffic: Arc::new(traffic),
        };
        Ok(Self {
            cloud,
            builder,
            registry,
            kubernetes: ways.kubernetes.clone(),
            gateway: ways.gateway.clone(),
            secrets,
            runtime: runtime.clone(),
        })
    }

    /// Lets the builder install what projects require.
    #[must_use]
    pub fn with_dependencies(mut self, settings: DependencySettings) -> Self {
        self.builder = self.builder.with_dependencies(settings);
        self.cloud.builder = Arc::new(self.builder.clone());
        self
    }

    /// The same, with these checks of what is built.
    #[must_use]
    pub fn with_checks(mut self, checks: Checks) -> Self {
        self.builder = self.builder.with_checks(checks);
        self.cloud.builder = Arc::new(self.builder.clone());
        self
    }

    /// The builder.
    pub const fn builder(&self) -> &InProcessBuilder {
        &self.builder
    }

    /// The five traits.
    pub const fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The way to the gateway.
    pub const fn gateway(&self) -> &Transport {
        &self.gateway
    }

    /// Provides what a customer's cloud has before anything is deployed: the environment's namespace, and the base image
    /// in the registry. The digest of the latter.
    ///
    /// **Idempotency.** What is there is left alone.
    ///
    /// # Errors
    /// The servers'.
    pub async fn provision(&self, environment: &EnvironmentId) -> Result<Digest> {
        let namespace = namespace_of(environment)?;
        let path = format!("/api/v1/namespaces/{namespace}");
        match self.ask("GET", &path, None).await? {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
                let status = self.ask("POST", "/api/v1/namespaces", Some(&object)).await?;
                if !status.is_success() && status != StatusCode::CONFLICT {
                    return Err(unprovisioned(&path, status));
                }
            }
            status => return Err(unprovisioned(&path, status)),
        }
        self.install_base_image().await
    }

    /// Puts the base image into the registry, unless it is there. Its digest.
    ///
    /// # Errors
    /// The registry's.
    pub async fn install_base_image(&self) -> Result<Digest> {
        let (base, repository) = (SimulatedBaseImage::new(), base_repository()?);
        if self.registry.manifest(&repository, &ManifestLocator::Digest(base.digest())).await?.is_none() {
            base.install(&*self.registry, &repository).await?;
        }
        Ok(base.digest())
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<StatusCode> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", host::KUBERNETES))
            .header(CONTENT_TYPE, "application/json");
        if let Some(secrets) = &self.secrets {
            request = request.header(AUTHORIZATION, format!("Bearer {}", secrets.kubernetes));
        }
        let body = body.map_or(RequestBody::Empty, |body| RequestBody::Bytes(body.to_string().into()));
        let request = request.body(body).map_err(|error| {
            Error::new(ErrorCode::Internal, "a request could not be made").on(path).caused_by(error)
        })?;
        let sent = self.kubernetes.send_with_retry(request, RetryPolicy::default(), &*self.runtime).await;
        sent.map(|response| response.status()).map_err(|error| {
            Error::new(ErrorCode::CloudUnavailable, "the simulated Kubernetes does not answer")
                .on(path)
                .caused_by(error)
        })
    }
}

/// Where the base image lies.
///
/// # Errors
/// None: the name is valid.
pub fn base_repository() -> Result<Repository> {
    Repository::new(format!("{}/chalk/engine-base", host::REGISTRY))
}

fn unprovisioned(path: &str, status: StatusCode) -> Error {
    Error::new(ErrorCode::CloudUnavailable, format!("the simulated Kubernetes answers {status}")).on(path)
}

fn registry(ways: &Ways, secrets: Option<&Secrets>, runtime: &Arc<dyn Runtime>) -> OciRegistry {
    let mut settings = OciSettings::default();
    if let Some(secrets) = secrets {
        let credential =
            Credential::Basic { username: USER.to_owned(), secret: Password::new(secrets.registry.clone()) };
        settings = settings.with_credentials(Arc::new(StaticCredentials::new().with(host::REGISTRY, credential)));
    }
    OciRegistry::new(ways.registry.clone(), runtime.clone(), settings)
}

fn connection(ways: &Ways, secrets: Option<&Secrets>, runtime: &Arc<dyn Runtime>) -> Result<Connection> {
    let mut access = ClusterAccess::anonymous(&format!("https://{}", host::KUBERNETES))?;
    if let Some(secrets) = secrets {
        access = access.with_credentials(Credentials::Token(Token::new(secrets.kubernetes.clone())));
    }
    Ok(Connection::new(ways.kubernetes.clone(), access, runtime.clone()))
}

fn bucket(ways: &Ways, secrets: Option<&Secrets>, runtime: &Arc<dyn Runtime>) -> Result<Bucket> {
    let mut settings =
        S3Settings::new(BUCKET, REGION).with_endpoint(format!("http://{}", host::BUCKET)).with_conditional_copies(true);
    if let Some(secrets) = secrets {
        settings = settings.with_credentials(S3Credentials::new(USER, secrets.bucket.clone()));
    }
    Bucket::s3(ways.bucket.clone(), settings, runtime.clone())
}
