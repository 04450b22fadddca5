//! Amazon Web Services under chalk-deploy: S3, ECR, EKS and the credentials for them.

mod api;
mod buckets;
mod cloud;
mod cluster;
mod credentials;
mod moment;
mod refusal;
mod registry;
mod settings;
mod tags;
mod xml;

pub use cloud::{Cloud, CloudBuilder};
pub use credentials::{AccessKeySource, AccessKeys, AwsCredentials, ExternalId, StoredRoles, TenantRole, TenantRoles};
pub use registry::RepositorySettings;
