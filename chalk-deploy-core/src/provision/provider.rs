//! A cloud, whichever it is.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{BucketKeeper, ClusterDescription, ImageCatalog};
use crate::Result;
use crate::bucket::Bucket;
use crate::cloud::{Builder, Cloud, TrafficShifter};
use crate::kubernetes::{Connection, KubernetesCluster};
use crate::oci::OciRegistry;

/// What each cloud crate's builder builds: one account of a provider, with what a deployment needs of it by name. For a
/// service that deploys into several clouds and holds them as `Arc<dyn Provider>`.
///
/// Nothing is asked of the cloud before it is needed. What was not named when it was built is
/// [`REQUEST_INVALID`](crate::ErrorCode::RequestInvalid) when it is asked for, with the method that names it.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// The source bucket.
    ///
    /// # Errors
    /// `REQUEST_INVALID` when none was named.
    fn bucket(&self) -> Result<Bucket>;

    /// The registry, with credentials that are renewed.
    ///
    /// # Errors
    /// `REQUEST_INVALID` when none was named.
    fn registry(&self) -> Result<OciRegistry>;

    /// The way to the cluster, which is looked up at the first request.
    ///
    /// # Errors
    /// `REQUEST_INVALID` when none was named.
    fn connection(&self) -> Result<Connection>;

    /// The cluster as the provider describes it.
    ///
    /// **Errors.** `REQUEST_INVALID` when none was named; `OBJECT_MISSING`, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn describe_cluster(&self) -> Result<ClusterDescription>;

    /// What a person should know before a deployment, one sentence each.
    ///
    /// **Errors.** Those of [`describe_cluster`](Self::describe_cluster).
    async fn remarks(&self) -> Result<Vec<String>>;

    /// What makes buckets, and sets them up.
    ///
    /// # Errors
    /// `REQUEST_INVALID` when it was not said whose.
    fn buckets(&self) -> Result<Arc<dyn BucketKeeper>>;

    /// What lists and removes images.
    ///
    /// # Errors
    /// `REQUEST_INVALID` when no registry was named.
    fn images(&self) -> Result<Arc<dyn ImageCatalog>>;

    /// The five traits, with this builder and this division of traffic.
    ///
    /// # Errors
    /// Those of [`bucket`](Self::bucket), [`registry`](Self::registry) and [`connection`](Self::connection).
    fn bundle(&self, builder: Arc<dyn Builder>, traffic: Arc<dyn TrafficShifter>) -> Result<Cloud> {
        Ok(Cloud {
            object_store: Arc::new(self.bucket()?),
            registry: Arc::new(self.registry()?),
            cluster: Arc::new(KubernetesCluster::new(self.connection()?)),
            builder,
            traffic,
        })
    }
}
