//! Microsoft Azure under chalk-deploy: Blob Storage, ACR, AKS and the credentials for them.

mod api;
mod buckets;
mod cloud;
mod cluster;
pub mod credentials;
mod national_cloud;
pub mod permissions;
mod refusal;
mod registry;
mod settings;
pub mod tags;

pub use buckets::Containers;
pub use cloud::{Cloud, CloudBuilder};
pub use credentials::{CredentialChoice, ScopedTokens, TokenIssuer, Tokens};
pub use national_cloud::NationalCloud;
pub use registry::AcrImages;
pub use settings::RegistryAudience;
