//! The domain: what a deployment is made of, as values without behaviour of their own.
//!
//! Names are checked when they are made (parse, do not validate later), digests are bytes and not strings, and each
//! value that one stage hands to the next is a type of its own ([`artifact`]).

pub mod artifact;
pub mod digest;
mod boundary;
pub mod environment;
pub mod name;
pub mod object;
pub mod plan;
pub mod platform;
pub mod status;
pub mod time;
pub mod traffic;

pub use artifact::{
    ArchiveReference, BuiltImage, BuiltRelease, Descriptor, ImageLocation, ImageReference, PlatformImage, PushedImages,
    RetainedArchive, Revision, SourceFingerprint,
};
pub use boundary::{Boundary, BuildCredential, BuildPlace, Identities, Identity, ProcessPlace};
pub use digest::{Digest, DigestHasher};
pub use environment::{
    ArchiveRetention, BaseImage, Buckets, DataPlane, DeploymentPolicy, Environments, SingleEnvironment,
};
pub use name::{
    ClusterName, Component, DeploymentId, DeploymentTag, EnvironmentId, IdempotencyKey, ImageTag, Namespace, ObjectKey,
    ProjectName, Repository,
};
pub use object::{Manifest, ObjectIdentity, ObjectReference};
pub use plan::{DeploymentPlan, GitMetadata, ProjectSettings, Promotion, RequirementsFile, Sizing, Strategy};
pub use platform::Platform;
pub use status::DeploymentStatus;
pub use time::Timestamp;
pub use traffic::{Backend, TrafficSplit, Weight};
