//! The values that one stage hands to the next. Each holds the digest that identifies it; no stage reads what an
//! earlier one did not hand on.
//!
//! ```text
//! SourceFingerprint -> ArchiveReference -> BuiltRelease ┐
//!                                       -> RetainedArchive ┴-> PushedImages -> Revision -> TrafficSplit
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::name::{Component, DeploymentId, ImageTag, ObjectKey, Repository};
use super::object::{Manifest, ObjectIdentity};
use super::platform::Platform;

/// What identifies a source archive before it is uploaded. Two trees with the same files have the same fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFingerprint {
    /// Digest of the `.tar.gz` itself.
    pub sha256: Digest,
    /// Length of the `.tar.gz` in bytes.
    pub size: u64,
    /// Sum of the files' lengths in bytes.
    pub unpacked_size: u64,
    /// Number of files, links and directories.
    pub entries: u64,
    /// Hash over every regular file's path and content, independent of their order (`Deployment.source_code_hash`).
    pub source_code_hash: Digest,
}

/// The archive at `incoming/<deployment id>` in the source bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveReference {
    /// Where it lies in the source bucket.
    pub key: ObjectKey,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// The archive at its permanent, write-once key, `archives/<sha256>`, read back and indexed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetainedArchive {
    /// Where it lies in the source bucket.
    pub key: ObjectKey,
    /// The entry that leads from the deployment to the archive, `deployments/<deployment id>`.
    pub index: ObjectKey,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// The content of a blob or a manifest in a registry (OCI image specification, *descriptor*).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The media type.
    pub media_type: String,
    /// The digest.
    pub digest: Digest,
    /// The length in bytes.
    pub size: u64,
}

/// Where an image is between build and push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageLocation {
    /// The builder holds manifest and blobs and hands them out ([`ImageContents`](crate::cloud::ImageContents)).
    Builder,
    /// The builder has pushed it itself, by digest, into the environment's own repository.
    Registry(Repository),
}

/// One image of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltImage {
    /// The component that it runs.
    pub component: Component,
    /// Its manifest; the digest is the image's identity from here to the pods. Of an image for several platforms, the
    /// index.
    pub manifest: Descriptor,
    /// Config and layers, in the order in which they are pushed: all of them before the manifest. Of an image for several
    /// platforms, those of all of them.
    pub blobs: Vec<Descriptor>,
    /// The images that an index names, each pushed before it. None for an image for one platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<PlatformImage>,
    /// Where it is now.
    pub location: ImageLocation,
}

/// An image for one platform, in an index of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformImage {
    /// What it runs on.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
}

/// What stage 2 made: the images, and the objects that will run them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuiltRelease {
    /// The images, one a component, ordered by component.
    pub images: Vec<BuiltImage>,
    /// The objects to apply, in the order in which they are applied.
    pub manifests: Vec<Manifest>,
}

/// An image in a registry, by digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageReference {
    /// The repository with its registry.
    pub repository: Repository,
    /// The manifest's digest.
    pub digest: Digest,
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.repository, self.digest)
    }
}

/// The images in the environment's own registry, read back by digest, with the tag that keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedImages {
    /// Image by component.
    pub images: BTreeMap<Component, ImageReference>,
    /// Our tag: the deployment's id.
    pub tag: ImageTag,
}

/// The objects of one deployment in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The deployment that they belong to.
    pub deployment: DeploymentId,
    /// The objects, in the order in which they were applied.
    pub objects: Vec<ObjectIdentity>,
}
