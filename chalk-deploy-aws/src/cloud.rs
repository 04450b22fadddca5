//! What a builder builds: one account of AWS in one region.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::bucket::Bucket;
use chalk_deploy_core::cloud::{Builder, TrafficShifter};
use chalk_deploy_core::kubernetes::{Connection, KubernetesCluster};
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::oci::{OciRegistry, RegistryCredentials};
use chalk_deploy_core::provision::{BucketKeeper, ClusterDescription, ImageCatalog, Provider, RepositoryCreator};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::{Error, ErrorCode, Result};

use crate::buckets::S3Keeper;
use crate::builder::CloudBuilder;
use crate::cluster::EksCluster;
use crate::credentials::AwsCredentials;
use crate::queues::QueueKeeper;
use crate::registry::Ecr;
use crate::settings::Region;

/// One account of AWS in one region, with what a deployment needs of it. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) region: Region,
    pub(crate) credentials: AwsCredentials,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) buckets: Arc<S3Keeper>,
    pub(crate) queues: QueueKeeper,
    pub(crate) bucket: Option<Bucket>,
    pub(crate) registry: Option<(Ecr, OciRegistry)>,
    pub(crate) cluster: Option<(EksCluster, Connection)>,
}

impl Cloud {
    /// A builder that knows nothing yet.
    pub fn builder() -> CloudBuilder {
        CloudBuilder::default()
    }

    pub(crate) fn of(inner: Inner) -> Self {
        Self(Arc::new(inner))
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
    ///
    /// # Errors
    /// None here: AWS's buckets need no name beside their own.
    pub fn buckets(&self) -> Result<Arc<dyn BucketKeeper>> {
        Ok(self.0.buckets.clone())
    }

    /// What makes and sets up the queues of the Metadata Plane.
    pub fn queues(&self) -> &QueueKeeper {
        &self.0.queues
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
    /// are mounted between repositories, or which permission is missing to know. Asks EKS and ECR.
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
                Err(error) if error.code() == ErrorCode::PermissionDenied => {
                    remarks.push(format!(
                        "note: whether the registry mounts layers from one repository to another is not known; {}",
                        error.hint()
                    ));
                }
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
        Provider::bundle(self, builder, traffic)
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
