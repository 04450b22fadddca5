//! The five traits behind which a cloud stands, and [`Cloud`], which bundles them.
//!
//! Each is a contract for implementers, in the terms of this domain: small, object-safe, used as `Arc<dyn _>`. Every
//! mutating method says what repeating it does (**Idempotency**), what is there when the process dies in the middle of
//! it (**After a crash**), and which codes it fails with (**Errors**). The suites in `testkit::conformance` hold every
//! implementation to it.
//!
//! Implementations do not retry steps: the driver does. Inside one call the transport retries an idempotent request a
//! bounded number of times.

mod builder;
mod cluster_api;
mod object_retention;
mod object_store;
mod payload;
mod presigned_download;
mod referrers;
mod registry;
mod traffic_shifter;

use std::sync::Arc;

pub use builder::{BuildEvent, BuildRequest, BuildState, Builder, ImageContents};
pub use cluster_api::{
    ApplyOptions, ClusterApi, Deletion, FIELD_MANAGER, LiveObject, Observation, ObservedPod, ObservedWorkload,
    PodPhase, Selector, TOKEN_ANNOTATION, label,
};
pub use object_retention::{ObjectRetention, Retention, RetentionMode};
pub use object_store::{ObjectDownload, ObjectMetadata, ObjectStore, ObjectStoreCapabilities, PutMode};
pub(crate) use payload::collect;
pub use payload::{ByteStream, Payload, PayloadSource, error_in_stream};
pub use presigned_download::{PresignedDownload, PresignedUrl};
pub use referrers::{Referrer, Referrers};
pub use registry::{ImageManifest, ManifestLocator, Registry};
pub use traffic_shifter::{ObservedTraffic, RouteReference, Settlement, TrafficChange, TrafficProbe, TrafficShifter};

#[cfg(feature = "mock")]
pub use self::{
    builder::{MockBuilder, MockImageContents},
    cluster_api::MockClusterApi,
    object_store::MockObjectStore,
    registry::MockRegistry,
    traffic_shifter::{MockTrafficProbe, MockTrafficShifter},
};

/// The implementations of one data plane's cloud.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// The source bucket.
    pub object_store: Arc<dyn ObjectStore>,
    /// The registry of the environment's own images.
    pub registry: Arc<dyn Registry>,
    /// The cluster.
    pub cluster: Arc<dyn ClusterApi>,
    /// What builds images.
    pub builder: Arc<dyn Builder>,
    /// What divides the traffic.
    pub traffic: Arc<dyn TrafficShifter>,
}

/// A number that grows with every change of an environment's owner. Writes that carry an older one than was seen are
/// refused: a paused owner that wakes up after its lease was taken over changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

impl std::fmt::Display for FencingToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

// Object safety and thread safety are compiled, not claimed.
#[cfg(test)]
mod asserts {
    use super::*;

    fn _object_safe(_: &dyn ObjectStore, _: &dyn Registry, _: &dyn ClusterApi, _: &dyn Builder) {}
    fn _object_safe_too(
        _: &dyn TrafficShifter,
        _: &dyn ImageContents,
        _: &dyn TrafficProbe,
        _: &dyn PresignedDownload,
        _: &dyn ObjectRetention,
        _: &dyn Referrers,
    ) {
    }

    #[test]
    fn a_cloud_can_be_shared_between_threads() {
        fn shared<T: Send + Sync + Clone + 'static>() {}
        shared::<Cloud>();
    }
}
