//! Pulls, as a node makes them.

use async_trait::async_trait;
use chalk_deploy_core::text;
use futures::TryStreamExt as _;
use serde_json::Value;

use super::digest::ContentDigest;
use super::grammar::{is_repository, is_tag};
use super::manifests::{Document, INDEXES, LARGEST_MANIFEST};
use super::refusal::Refusal;
use super::route::ManifestName;
use super::storage::StoredManifest;
use super::{Access, RegistryServer};
use crate::simulated::seam::{ImageSource, PulledImage};

/// An index may hold an index; deeper than this nobody looks.
const DEEPEST: usize = 4;

#[async_trait]
impl ImageSource for RegistryServer {
    /// The digest is that of what the reference names, an index's if it names one, as a node reports it in `imageID`.
    async fn pull(&self, reference: &str) -> Result<PulledImage, String> {
        let failed = |message: &str| format!("failed to pull image \"{}\": {message}", text::line(reference, 300));
        let (host, repository, name) = parse(reference).ok_or_else(|| failed("invalid reference format"))?;
        let names = &self.settings.names;
        if !names.is_empty() && !names.contains(host) {
            return Err(failed(&format!("dial tcp: lookup {}: no such host", text::line(host, 100))));
        }
        let open = self.settings.access == Access::Open || self.settings.anonymous_pull;
        if !open && !self.settings.nodes_may_pull {
            return Err(failed("unauthorized: authentication required"));
        }
        let refused = |refusal: Refusal| failed(&refusal.into_message());
        let (digest, stored) = self.find_manifest(repository, &name).map_err(refused)?;
        let image = self.image(repository, stored).map_err(|message| failed(&message))?;
        let config = self.unpack(repository, &image).await.map_err(|message| failed(&message))?;
        let digest = digest.sha256().ok_or_else(|| failed("unsupported digest algorithm"))?;
        PulledImage::read(digest, &config).map_err(|message| failed(&message))
    }
}

impl RegistryServer {
    /// The image for linux/amd64.
    fn image(&self, repository: &str, stored: StoredManifest) -> Result<Value, String> {
        let mut stored = stored;
        for _ in 0..DEEPEST {
            let document: Value = serde_json::from_slice(&stored.bytes).map_err(|error| error.to_string())?;
            if !INDEXES.contains(&stored.media_type.as_str()) {
                Document::read(&stored.bytes, Some(&stored.media_type))?;
                return Ok(document);
            }
            let children = document["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
            let platform = |child: &&Value| {
                let platform = &child["platform"];
                // An image without a platform is taken for what is wanted, as containerd takes it.
                platform.is_null() || platform["os"] == "linux" && platform["architecture"] == "amd64"
            };
            let child = children.iter().find(platform).ok_or("no match for platform in manifest: not found")?;
            let digest = child["digest"].as_str().and_then(ContentDigest::parse).ok_or("invalid digest in index")?;
            let child = self.storage.manifest(repository, &digest).map_err(|error| error.to_string())?;
            stored = child.ok_or_else(|| format!("{digest}: manifest unknown"))?;
        }
        Err("the index is nested too deeply".to_owned())
    }

    /// Reads the config and checks that every layer is there, as long as its descriptor says.
    async fn unpack(&self, repository: &str, image: &Value) -> Result<Vec<u8>, String> {
        let layers = image["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
        for descriptor in std::iter::once(&image["config"]).chain(layers) {
            let digest = descriptor["digest"].as_str().and_then(ContentDigest::parse).ok_or("invalid digest")?;
            let size = self.storage.blob_size(repository, &digest).map_err(|error| error.to_string())?;
            let size = size.ok_or_else(|| format!("{digest}: blob unknown to registry: not found"))?;
            if descriptor["size"].as_u64() != Some(size) {
                return Err(format!("{digest}: unexpected size {size}: failed precondition"));
            }
        }
        let digest = image["config"]["digest"].as_str().and_then(ContentDigest::parse).ok_or("invalid digest")?;
        if image["config"]["size"].as_u64().is_none_or(|size| size > LARGEST_MANIFEST as u64) {
            return Err("the config is too large".to_owned());
        }
        let stream = self.storage.open_blob(&digest).map_err(|error| error.to_string())?.ok_or("the config is gone")?;
        let pieces: Vec<bytes::Bytes> = stream.try_collect().await.map_err(|error| error.to_string())?;
        let bytes = pieces.concat();
        if ContentDigest::of(&bytes, digest.algorithm()) != digest {
            return Err(format!("{digest}: the config is damaged: failed precondition"));
        }
        Ok(bytes)
    }
}

/// Host, repository and what is wanted. With a tag and a digest, the digest counts.
fn parse(reference: &str) -> Option<(&str, &str, ManifestName)> {
    let (host, rest) = reference.split_once('/')?;
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(ContentDigest::parse(digest)?)),
        None => (rest, None),
    };
    let (repository, tag) = match rest.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (rest, None),
    };
    let valid = !host.is_empty() && is_repository(repository) && tag.is_none_or(is_tag);
    let name = digest.map_or_else(|| ManifestName::Tag(tag.unwrap_or("latest").to_owned()), ManifestName::Digest);
    valid.then_some((host, repository, name))
}
