//! Images put together from a base image and layers: one, or an index of several.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::base::BaseImage;
use super::document;
use super::layer::Layer;
use crate::build::index;
use crate::cloud::{ImageManifest, Payload, Registry};
use crate::model::{Descriptor, Digest, Platform, PlatformImage};
use crate::{Error, ErrorCode, Result};

/// An image that can be pushed: its manifest, and its blobs with where they come from.
#[derive(Debug, Clone)]
pub struct Image {
    /// The manifest.
    pub manifest: ImageManifest,
    /// The blobs that it names: the config, the base image's layers, ours.
    pub blobs: Vec<Payload>,
}

impl Image {
    /// Layers these on a base image; each has the name that the image's history gives it. `registry` is where the base
    /// image's layers are read, should they have to be.
    pub fn new(base: &BaseImage, registry: &Arc<dyn Registry>, layers: &[(String, &Layer)]) -> Self {
        let named: Vec<_> = layers.iter().map(|(path, layer)| (path.as_str(), layer.diff())).collect();
        let config = document::config(&base.0, &named);
        let layers: Vec<_> = layers.iter().map(|(_, layer)| *layer).collect();
        let manifest = document::manifest(&base.0, &config, &layers);
        let own = layers.iter().map(|layer| layer.payload());
        let blobs = [config.clone()].into_iter().chain(base.layers(registry)).chain(own).collect();
        Self { manifest, blobs }
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        self.manifest.digest()
    }
}

/// Images of one source for several platforms, and the index that names them.
#[derive(Debug, Clone)]
pub struct ImageIndex {
    /// The index.
    pub manifest: ImageManifest,
    /// The images, in the order of their platforms.
    pub images: Vec<(Platform, Image)>,
}

impl ImageIndex {
    /// The index of these images, each with the base image that it was made on.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when two are for one platform.
    pub fn new(images: Vec<(&BaseImage, Image)>) -> Result<Self> {
        let bases: BTreeSet<_> = images.iter().map(|(base, _)| base.digest()).collect();
        let mut images: Vec<_> = images.into_iter().map(|(base, image)| (base.platform().clone(), image)).collect();
        images.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (at, (platform, _)) in images.iter().enumerate() {
            if let Some((other, _)) = images[..at].iter().find(|(other, _)| other.is_same(platform)) {
                let message = format!("two images are for one platform, {other} and {platform}");
                return Err(Error::new(ErrorCode::ValueInvalid, message).with_hint("name each platform once"));
            }
        }
        let children: Vec<_> = images
            .iter()
            .map(|(platform, image)| PlatformImage {
                platform: platform.clone(),
                manifest: Descriptor {
                    media_type: image.manifest.media_type.clone(),
                    digest: image.digest(),
                    size: image.manifest.bytes.len() as u64,
                },
            })
            .collect();
        // Of several base images none is the index's.
        let base = bases.first().filter(|_| bases.len() == 1);
        let bytes = index::index(&children, base).into();
        Ok(Self { manifest: ImageManifest { media_type: index::INDEX.to_owned(), bytes }, images })
    }

    /// The digest of the index.
    pub fn digest(&self) -> Digest {
        self.manifest.digest()
    }

    /// The manifests of the images.
    pub fn manifests(&self) -> Vec<ImageManifest> {
        self.images.iter().map(|(_, image)| image.manifest.clone()).collect()
    }

    /// The blobs of all images, those that several have once.
    pub fn blobs(&self) -> Vec<Payload> {
        let mut seen = BTreeSet::new();
        let all = self.images.iter().flat_map(|(_, image)| &image.blobs);
        all.filter(|blob| seen.insert(blob.sha256())).cloned().collect()
    }
}
