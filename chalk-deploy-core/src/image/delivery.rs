//! A push that begins before its layers are packed.
//!
//! ```text
//!  read ── unpacked digests ─┬─ pack ────────────┐
//!                            │  open an upload ──┴─ send the layer ──┐
//!                            └─ send the config ─────────────────────┴─ the manifest
//! ```
//!
//! What an image consists of is known when its folders were read: its config names layers by their unpacked digests.
//! A config that the target is not remembered to hold is a new image, so its upload and those of its layers are begun
//! while the layers are packed. One that it is remembered to hold is most likely an image that is there, and nothing is
//! sent before that is asked for. What is remembered decides no more than that.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, join};

use super::document;
use super::layer::{Layer, PackingLayer};
use super::{BaseImage, Image, ImageIndex};
use crate::cloud::{ImageManifest, Registry};
use crate::model::{ImageTag, Repository};
use crate::oci::{OciRegistry, OpenedUpload, PushOutcome};
use crate::transport::meter::branch;
use crate::{Error, ErrorCode, Result};

/// Layers that are longer, unpacked, are not worth the trouble: packing them takes many round trips, and they may be there.
const BEGUN_EARLY: u64 = 32 << 20;

/// Where an image goes.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The registries, of the base image and of the target.
    pub registry: Arc<OciRegistry>,
    /// The target.
    pub repository: Repository,
    /// What is to point to it.
    pub tag: Option<ImageTag>,
}

/// What was delivered.
#[derive(Debug)]
pub struct Delivered {
    /// The image, or the index of several.
    pub manifest: ImageManifest,
    /// How many layers it has, those that several images of an index share counted once.
    pub layers: usize,
    /// How the push ended.
    pub outcome: PushOutcome,
}

impl Delivery {
    /// Layers these, by their paths in the image, on each base image, and pushes the result: an image, or with several
    /// base images an index of one image for each.
    ///
    /// **Idempotency**, **After a crash.** As with [`OciRegistry::push_image`].
    ///
    /// # Errors
    /// Those of [`PackingLayer::finish`], [`ImageIndex::new`] and [`OciRegistry::push_image`].
    pub async fn run(&self, bases: &[BaseImage], layers: Vec<(String, PackingLayer)>) -> Result<Delivered> {
        let source: Arc<dyn Registry> = self.registry.clone();
        let named: Vec<_> = layers.iter().map(|(path, layer)| (path.as_str(), layer.diff())).collect();
        let configs: Vec<_> = bases.iter().map(|base| document::config(&base.0, &named)).collect();
        let unpacked: u64 = layers.iter().map(|(_, layer)| layer.unpacked()).sum();
        let is_new = configs.iter().any(|config| !self.registry.remembers(&self.repository, &config.sha256()));
        let early = is_new && unpacked <= BEGUN_EARLY;
        let mut first = Vec::new();
        if early {
            first = configs;
            first.extend(bases.iter().flat_map(|base| base.layers(&source)));
        }
        let (layers, sent) =
            join!(branch(self.layers(layers, early)), branch(self.registry.begin_push(&self.repository, &first)));
        let layers = layers?;
        sent?;
        let named: Vec<_> = layers.iter().map(|(path, layer)| (path.clone(), layer)).collect();
        let mut images: Vec<_> = bases.iter().map(|base| (base, Image::new(base, &source, &named))).collect();
        let delivered = match images.pop() {
            Some((_, image)) if images.is_empty() => {
                let tag = self.tag.as_ref();
                let outcome = self.registry.push_image(&self.repository, &image.manifest, &image.blobs, tag).await?;
                Delivered { manifest: image.manifest, layers: image.blobs.len() - 1, outcome }
            }
            Some(last) => {
                images.push(last);
                let index = ImageIndex::new(images)?;
                let (manifests, blobs, tag) = (index.manifests(), index.blobs(), self.tag.as_ref());
                let outcome =
                    self.registry.push_index(&self.repository, &index.manifest, &manifests, &blobs, tag).await?;
                Delivered { manifest: index.manifest, layers: blobs.len() - bases.len(), outcome }
            }
            None => return Err(Error::new(ErrorCode::ValueInvalid, "there is no base image to build on")),
        };
        for (_, layer) in &layers {
            self.registry.saw_unpacked(&self.repository, layer.diff());
        }
        Ok(delivered)
    }

    /// Waits until the layers are packed, and sends them if it is early.
    async fn layers(&self, packing: Vec<(String, PackingLayer)>, early: bool) -> Result<Vec<(String, Layer)>> {
        let mut begun: Vec<BoxFuture<'_, Result<(String, Layer)>>> = Vec::new();
        for (path, layer) in packing {
            begun.push(branch(self.layer(path, layer, early)).boxed());
        }
        futures::future::join_all(begun).await.into_iter().collect()
    }

    async fn layer(&self, path: String, packing: PackingLayer, early: bool) -> Result<(String, Layer)> {
        let is_new = early && !self.registry.remembers(&self.repository, &packing.diff());
        let (opened, layer) = join!(self.open(is_new), packed(packing));
        let layer = match layer {
            Ok(layer) => layer,
            Err(error) => {
                if let Some(opened) = opened {
                    self.registry.cancel_upload(opened).await;
                }
                return Err(error);
            }
        };
        if is_new {
            self.registry.push_opened(&self.repository, &layer.payload(), opened).await?;
        }
        Ok((path, layer))
    }

    async fn open(&self, is_new: bool) -> Option<OpenedUpload> {
        if !is_new {
            return None;
        }
        // What fails here fails again, or does not, when the layer is sent; that is told.
        self.registry.open_upload(&self.repository).await.ok().flatten()
    }
}

/// On a thread of its own: it waits for the one that packs.
async fn packed(layer: PackingLayer) -> Result<Layer> {
    let packed = tokio::task::spawn_blocking(move || layer.finish()).await;
    packed.map_err(|error| Error::new(ErrorCode::Internal, "the layer was not packed").caused_by(error))?
}
