//! The engine of `chalk apply`: a library that takes a Chalk project through five durable stages into a running
//! deployment in the customer's own cloud.
//!
//! ```text
//!  ProjectDir ── collect ──> SourceArchive ─┐                       (chalk.yaml, .chalkignore, requirements, git)
//!  chalkpy export ── decode ─> FeatureGraph ─┴─ validate, diff ──> ApplyRequest
//!                                                                      │  create_deployment -> DeploymentId
//!       ┌──────────────────────────── Deployer (durable) ─────────────▼─────────────────────────────────┐
//!       │ 1 Upload      2 Build           3 Archive        4 Push            5 Rollout                    │
//!       │ ArchiveReference -> BuiltRelease -> RetainedArchive  PushedImages -> Revision -> TrafficSplit   │
//!       │ ObjectStore   Builder           ObjectStore      Registry          ClusterApi + TrafficShifter  │
//!       └─────────────────────────────────────────────────────────────────────────────────────────────────┘
//!  every step: intent recorded ─> effect (idempotent, keyed, fenced) ─> result recorded; stop anywhere, resume folds the log
//! ```
//!
//! Start reading at [`deployer`]. The modules stand here in reading order; data flows down the list. What the cloud is
//! asked for is in [`cloud`]; what is pure is in [`machine`]; the rooms between them have their own pages.
//!
//! # Features
//!
//! | feature | enables |
//! |---|---|
//! | `sqlite` | `store::SqliteStore`, the embedded deployment store |
//! | `network` | `transport::NetworkTransport`, the transport over sockets |
//! | `object-store` | `bucket`, the `ObjectStore` adapter on object_store |
//! | `oci` | `oci`, the `Registry` adapter on the OCI distribution protocol, `image`, images of folders on a base, and the keys of `evidence` |
//! | `zstd` | layers packed with zstd |
//! | `kubernetes` | `kubernetes`, the `ClusterApi` adapter on kube, and the `TrafficShifter` in `traffic` |
//! | `mock` | mockall mocks of the traits: `cloud::MockObjectStore` and its siblings |
//!
//! Nothing is on by default.

pub mod deployer;
pub mod model;
pub mod project;
pub mod source;
pub mod graph;
pub mod machine;
pub mod store;
mod driver;
mod stages;
pub mod manifests;
pub mod credentials;
pub mod cloud;
#[cfg(feature = "object-store")]
pub mod bucket;
#[cfg(feature = "oci")]
pub mod oci;
pub mod build;
pub mod evidence;
pub mod image;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod traffic;
pub mod transport;
pub mod provision;
pub mod runtime;
pub mod checkpoint;
pub mod observe;
pub mod error;
pub mod text;

pub use deployer::{ApplyRequest, Deployer, DeploymentHandle, ImageKeep, Submission};
pub use error::{Error, ErrorCode, Result};
