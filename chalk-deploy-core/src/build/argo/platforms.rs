//! The images for several platforms that a build says it has pushed, read back: each an index of one image a platform.

use super::images::{Document, blobs_of, descriptor_of, stored};
use crate::Result;
use crate::cloud::{BuildRequest, ImageManifest, Registry};
use crate::model::{BuiltImage, Component, Descriptor, ImageLocation, Platform, PlatformImage, Repository};

/// An index as its registry has it; `None` for what is none, or one for other platforms than were asked for.
pub(super) async fn index_of(
    registry: &dyn Registry,
    request: &BuildRequest,
    component: Component,
    repository: &Repository,
    manifest: &ImageManifest,
) -> Result<Option<BuiltImage>> {
    let location = ImageLocation::Registry(repository.clone());
    let asked = request.platforms()?;
    let document = serde_json::from_slice(&manifest.bytes);
    let Ok(Document { config: None, layers: None, manifests: Some(entries) }) = document else { return Ok(None) };
    if entries.len() != asked.len() {
        return Ok(None);
    }
    let (mut blobs, mut platforms) = (Vec::new(), Vec::new());
    for entry in entries {
        let of = entry.platform.as_ref();
        let of = of.and_then(|of| Platform::new(&of.os, &of.architecture, of.variant.as_deref()).ok());
        let Some(platform) = of.filter(|of| asked.iter().any(|asked| of.fits(asked).is_some())) else {
            return Ok(None);
        };
        let child = stored(registry, request, repository, entry.digest).await?;
        let Some(found) = blobs_of(&child).filter(|_| child.bytes.len() as u64 == entry.size) else { return Ok(None) };
        for blob in found {
            if !blobs.contains(&blob) {
                blobs.push(blob);
            }
        }
        let manifest = Descriptor { media_type: entry.media_type, digest: entry.digest, size: entry.size };
        platforms.push(PlatformImage { platform, manifest });
    }
    let has = |asked: &Platform| platforms.iter().any(|image: &PlatformImage| image.platform.fits(asked).is_some());
    if !asked.iter().all(has) {
        return Ok(None);
    }
    Ok(Some(BuiltImage { component, manifest: descriptor_of(manifest), blobs, platforms, location }))
}
