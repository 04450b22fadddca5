//! What stands in a customer's cloud before a deployment can go there, and what is swept from it afterwards: the five
//! buckets of a data plane, repositories for its images, and its cluster by name.
//!
//! Here stands what is the same in every cloud: what is wanted ([`BucketPlan`], [`ImageRetention`]) as values, and the
//! traits that a cloud crate implements, `Provider` (features `kubernetes`, `object-store`, `oci`) above all. They are powers beyond the five traits of [`cloud`](crate::cloud): a deployment
//! needs none of them.

mod bucket;
mod cluster;
mod image;
mod ownership;
#[cfg(all(feature = "kubernetes", feature = "object-store", feature = "oci"))]
mod provider;

pub use bucket::{BucketKeeper, BucketPlan, BucketRole, Encryption, KeptBucket, Origin};
pub use cluster::{ClusterDescription, Endpoint};
pub use image::{ImageCatalog, ImageRecord, ImageRetention, Sweep, sweep};
pub use ownership::{MANAGED_BY, RepositoryCreator};
#[cfg(all(feature = "kubernetes", feature = "object-store", feature = "oci"))]
pub use provider::Provider;
