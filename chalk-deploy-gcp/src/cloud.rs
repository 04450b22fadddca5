//! What a builder builds: Google Cloud, as far as one data plane needs it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use chalk_deploy_core::bucket::{Bucket, GcsIamSigner, GcsSettings};
use chalk_deploy_core::cloud::{Builder, Cloud as Bundle, TrafficShifter};
use chalk_deploy_core::credentials::BearerTokenSource;
use chalk_deploy_core::kubernetes::{Connection, KubernetesCluster};
use chalk_deploy_core::oci::{OciRegistry, OciSettings, UploadMode};
use chalk_deploy_core::provision::{BucketKeeper, ClusterDescription, ImageCatalog, Provider, RepositoryCreator};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::Transport;
use chalk_deploy_core::{Error, ErrorCode, Result};

use crate::api::Api;
use crate::buckets::Buckets;
use crate::builder::{CloudBuilder, Transports};
use crate::cluster::{ControlPlane, GkeLocator};
use crate::credentials::QuotaProject;
use crate::endpoints::Elsewhere;
use crate::registry::{Images, RegistryTokens, Repositories};
use crate::settings::{ClusterPlace, Hosts, RegistryPlace};

const STORAGE: &str = "https://storage.googleapis.com";
const ARTIFACT_REGISTRY: &str = "https://artifactregistry.googleapis.com";
const CONTAINER: &str = "https://container.googleapis.com";

/// Google Cloud, as far as one data plane needs it. Clones share the tokens and everything else.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

/// What a builder has checked and put together.
pub(crate) struct Inner {
    pub(crate) transport: Transport,
    pub(crate) transports: Transports,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) tokens: Arc<dyn BearerTokenSource>,
    pub(crate) project: Option<String>,
    pub(crate) quota_project: QuotaProject,
    pub(crate) location: Option<String>,
    pub(crate) cluster: Option<ClusterPlace>,
    pub(crate) control_plane: ControlPlane,
    pub(crate) bucket: Option<String>,
    pub(crate) registry: Option<RegistryPlace>,
    pub(crate) hosts: Hosts,
    pub(crate) immutable_tags: bool,
    pub(crate) signing_account: Option<String>,
    pub(crate) storage: Option<Elsewhere>,
    pub(crate) artifact_registry: Option<Elsewhere>,
    pub(crate) container: Option<Elsewhere>,
    /// The host of a registry that is reached by plain HTTP.
    pub(crate) plain_registry: Option<String>,
    /// One way to the cluster and one memory of the registry, for all who ask.
    pub(crate) connection: OnceLock<Connection>,
    pub(crate) oci: OnceLock<OciRegistry>,
}

impl Cloud {
    /// Nothing is set yet.
    pub fn builder() -> CloudBuilder {
        CloudBuilder::default()
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The source bucket.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when none was set; [`ErrorCode::ValueInvalid`] for a name that no bucket has.
    pub fn bucket(&self) -> Result<Bucket> {
        let inner = &self.0;
        let name = inner.bucket.as_deref().ok_or_else(|| unset("bucket", "with_bucket"))?;
        let mut settings = GcsSettings::new(name);
        if let Some(elsewhere) = &inner.storage {
            settings = settings.with_endpoint(&elsewhere.base).with_conditional_copies(elsewhere.is_googles);
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
        Provider::bundle(self, builder, traffic)
    }

    /// What the core has to say about the name of a bucket or an account.
    pub(crate) fn check(&self) -> Result<()> {
        match self.0.bucket {
            Some(_) => self.bucket().map(drop),
            None => Ok(()),
        }
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
        let is_emulated = inner.container.as_ref().is_some_and(|elsewhere| elsewhere.is_near);
        let tokens = self.shown_to(inner.container.as_ref());
        Ok(GkeLocator::new(api, place, inner.control_plane, tokens).at_an_emulator(is_emulated))
    }

    fn api(&self, elsewhere: Option<&Elsewhere>, google: &str) -> Api {
        let base = elsewhere.map_or(google, |elsewhere| elsewhere.base.as_str());
        let api = Api::new(self.0.transport.clone(), self.0.runtime.clone(), self.shown_to(elsewhere), base);
        api.counted_for(self.0.quota_project.clone())
    }

    /// Who we are to Google, and to what stands for it where that may know.
    fn shown_to(&self, elsewhere: Option<&Elsewhere>) -> Option<Arc<dyn BearerTokenSource>> {
        elsewhere.is_none_or(|elsewhere| elsewhere.gets_token).then(|| self.0.tokens.clone())
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
        Self::buckets(self)
    }

    fn images(&self) -> Result<Arc<dyn ImageCatalog>> {
        Self::images(self)
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
