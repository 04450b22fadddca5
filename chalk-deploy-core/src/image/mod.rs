//! An image made of a base image and of layers from folders, and pushed in as few round trips as the registry allows.
//!
//! ```text
//!  folder ── Layer::of_folder ─────────> layer, digests ┐
//!  base ──── BaseImage::read ──> manifest, config ──────┴── Image::new ──> OciRegistry::push_image
//!                   └── ImageCache, between processes ──────────────────────────┘
//! ```
//!
//! The base image's layers are never read here: where the target's registry does not hold them, they are mounted, and
//! where they lie in another registry, they stream from there to the target, once for each digest.
//!
//! The same folders on the same base give the same digest, on every machine and at every time.

#[cfg(feature = "oci")]
mod base;
#[cfg(feature = "oci")]
mod cache;
mod compression;
#[cfg(feature = "oci")]
mod document;
mod layer;
#[cfg(feature = "oci")]
mod reference;
mod spool;

#[cfg(feature = "oci")]
use std::sync::Arc;

#[cfg(feature = "oci")]
use crate::build::contents::RegistryBlob;
#[cfg(feature = "oci")]
use crate::cloud::{ImageManifest, Payload, Registry};
#[cfg(feature = "oci")]
use crate::model::Digest;

#[cfg(feature = "oci")]
pub use base::BaseImage;
#[cfg(feature = "oci")]
pub use cache::ImageCache;
pub use compression::Compression;
pub use layer::Layer;
#[cfg(feature = "oci")]
pub use reference::{ImageName, Pointer};

/// An image that can be pushed: its manifest, and its blobs with where they come from.
#[cfg(feature = "oci")]
#[derive(Debug, Clone)]
pub struct Image {
    /// The manifest.
    pub manifest: ImageManifest,
    /// The blobs that it names: the config, the base image's layers, ours.
    pub blobs: Vec<Payload>,
}

#[cfg(feature = "oci")]
impl Image {
    /// Layers these on a base image; each has the name that the image's history gives it. `registry` is where the base
    /// image's layers are read, should they have to be.
    pub fn new(base: &BaseImage, registry: &Arc<dyn Registry>, layers: &[(String, &Layer)]) -> Self {
        let config = document::config(&base.0, layers);
        let manifest = document::manifest(&base.0, &config, layers);
        let repository = &base.0.repository;
        let of_base = base.0.layers.iter().map(|layer| {
            let blob = RegistryBlob::new(registry.clone(), repository.clone(), layer.digest);
            Payload::new(layer.digest, layer.size, Arc::new(blob)).with_origin(Some(repository.clone()))
        });
        let own = layers.iter().map(|(_, layer)| layer.payload());
        let blobs = [config.clone()].into_iter().chain(of_base).chain(own).collect();
        Self { manifest, blobs }
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        self.manifest.digest()
    }
}
