//! A base image, read by digest: its manifest and its config, and not its layers.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::contents::RegistryBlob;
use crate::cloud::{ManifestLocator, Payload, Registry};
use crate::model::{Descriptor, Digest, Platform, Repository};
use crate::{Error, ErrorCode, Result, text};

/// No config is larger.
const CONFIG_MOST: u64 = 4 << 20;
/// What container runtimes can stack, less one for ours.
const LAYERS_MOST: usize = 126;
/// Platforms that an error names.
const LISTED: usize = 12;

/// Where the documents of a base image are read.
#[async_trait]
pub(crate) trait Documents: Send + Sync {
    /// A manifest or an index, whose digest may not have been compared. `None` where there is none.
    async fn manifest(&self, repository: &Repository, digest: &Digest) -> Result<Option<Bytes>>;

    /// A config, compared with its digest and its length.
    async fn config(&self, repository: &Repository, digest: &Digest, size: u64) -> Result<Bytes>;
}

/// In the registry itself.
#[async_trait]
impl Documents for Arc<dyn Registry> {
    async fn manifest(&self, repository: &Repository, digest: &Digest) -> Result<Option<Bytes>> {
        let found = Registry::manifest(&**self, repository, &ManifestLocator::Digest(*digest)).await?;
        Ok(found.map(|manifest| manifest.bytes))
    }

    async fn config(&self, repository: &Repository, digest: &Digest, size: u64) -> Result<Bytes> {
        let blob = RegistryBlob::new(self.clone(), repository.clone(), *digest);
        Payload::new(*digest, size, Arc::new(blob)).bytes().await
    }
}

/// What of a base image a new one is made from.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) repository: Repository,
    /// What it was named by: an index, perhaps.
    pub(crate) digest: Digest,
    /// What it runs on, as its index or its config says.
    pub(crate) platform: Platform,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) config: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    config: Option<Entry>,
    layers: Option<Vec<Entry>>,
    manifests: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
    platform: Option<Written>,
}

/// A platform as a document has it.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl Base {
    /// Reads it. An index is followed to the image of the platform.
    pub(crate) async fn read(
        documents: &dyn Documents,
        repository: &Repository,
        digest: Digest,
        platform: &str,
    ) -> Result<Self> {
        let platform: Platform = platform.parse()?;
        let refused = |message: &str| {
            Error::new(ErrorCode::BuildFailed, message)
                .on(subject(repository, &digest))
                .with_hint("name another base image, built for this platform")
        };
        let unreadable =
            |error: serde_json::Error| refused("the base image's manifest does not parse").caused_by(error);
        let bytes = manifest(documents, repository, digest).await?;
        let mut document: Document = serde_json::from_slice(&bytes).map_err(unreadable)?;
        document.check().map_err(refused)?;
        let mut of_index = None;
        if let Some(manifests) = document.manifests.take() {
            let (entry, found) = choose(manifests, &platform).map_err(|message| refused(&message))?;
            let bytes = manifest(documents, repository, entry.digest).await?;
            if bytes.len() as u64 != entry.size {
                return Err(refused("the base image's index gives another length than its manifest has"));
            }
            document = serde_json::from_slice(&bytes).map_err(unreadable)?;
            document.check().map_err(refused)?;
            // Read under two names, it is two things (CVE-2021-41190).
            if document.media_type.as_ref().is_some_and(|own| *own != entry.media_type) {
                return Err(refused("the base image's index gives another media type than its manifest has"));
            }
            of_index = Some(found);
        }
        let (Some(config), Some(layers)) = (document.config, document.layers) else {
            return Err(refused("the base image's manifest names no config or no layers"));
        };
        if layers.len() > LAYERS_MOST {
            return Err(refused(&format!("the base image has more than {LAYERS_MOST} layers")));
        }
        if config.size > CONFIG_MOST {
            return Err(refused("the base image's config is larger than 4 MiB"));
        }
        let layers = layers
            .into_iter()
            .map(|layer| {
                layer.described().ok_or_else(|| refused("a layer of the base image lies outside its registry"))
            })
            .collect::<Result<Vec<_>>>()?;
        let config = documents.config(repository, &config.digest, config.size).await?;
        let config: Value = serde_json::from_slice(&config)
            .map_err(|error| refused("the base image's config does not parse").caused_by(error))?;
        let own = platform_of(&config).filter(|own| own.fits(&platform).is_some()).ok_or_else(|| {
            let member = |name: &str| text::line(config[name].as_str().unwrap_or("nothing"), 20);
            refused(&format!(
                "the base image is for {}/{} and not for {platform}",
                member("os"),
                member("architecture")
            ))
        })?;
        let platform = of_index.unwrap_or(own);
        let base = Self { repository: repository.clone(), digest, platform, layers, config };
        base.check().map_err(refused)?;
        Ok(base)
    }

    fn check(&self) -> Result<(), &'static str> {
        let diffs = self.config["rootfs"]["diff_ids"].as_array();
        let parse = |diff: &Value| diff.as_str().is_some_and(|text| text.parse::<Digest>().is_ok());
        if !diffs.is_some_and(|diffs| diffs.len() == self.layers.len() && diffs.iter().all(parse)) {
            return Err("the base image's config does not list its layers");
        }
        let directory = self.config["config"]["WorkingDir"].as_str().unwrap_or_default();
        // A working directory there leads out of the container (CVE-2024-21626).
        if ["/proc", "/sys", "/dev"].iter().any(|tree| directory.starts_with(tree)) {
            return Err("the base image works in a directory of the kernel's");
        }
        Ok(())
    }

    /// A label of the base image.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.config["config"]["Labels"][name].as_str()
    }
}

pub(super) fn subject(repository: &Repository, digest: &Digest) -> String {
    format!("base image {repository}@{digest}")
}

async fn manifest(documents: &dyn Documents, repository: &Repository, digest: Digest) -> Result<Bytes> {
    let found = documents.manifest(repository, &digest).await?;
    found.filter(|bytes| Digest::of(bytes) == digest).ok_or_else(|| {
        Error::new(ErrorCode::ObjectMissing, "the base image is not in its repository")
            .on(subject(repository, &digest))
            .with_hint("push it there, or name another base image")
    })
}

impl Document {
    /// A document that is both an image and an index is read by some as the one and by others as the other
    /// (CVE-2021-41190).
    fn check(&self) -> Result<(), &'static str> {
        let is_image = self.config.is_some() || self.layers.is_some();
        if is_image && self.manifests.is_some() {
            return Err("the base image's manifest is an image and an index at once");
        }
        Ok(())
    }
}

impl Entry {
    fn described(self) -> Option<Descriptor> {
        let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
        let media_type = match self.media_type.as_str() {
            // The same bytes under the name that an OCI manifest gives them.
            "application/vnd.docker.image.rootfs.diff.tar.gzip" => gzip,
            "application/vnd.docker.image.rootfs.diff.tar" => "application/vnd.oci.image.layer.v1.tar",
            other if other.starts_with("application/vnd.oci.image.layer.v1.tar") => other,
            // Foreign layers, which are fetched from wherever they say, and what is no layer at all.
            _ => return None,
        };
        let descriptor = Descriptor { media_type: media_type.to_owned(), digest: self.digest, size: self.size };
        self.urls.is_empty().then_some(descriptor)
    }
}

impl Written {
    fn platform(&self) -> Option<Platform> {
        Platform::new(&self.os, &self.architecture, self.variant.as_deref()).ok()
    }
}

/// The image of an index that suits a platform best; the first of those that suit it equally.
fn choose(entries: Vec<Entry>, asked: &Platform) -> Result<(Entry, Platform), String> {
    let mut found: Vec<(Entry, Platform)> = Vec::new();
    for entry in entries {
        if let Some(platform) = entry.platform.as_ref().and_then(Written::platform) {
            found.push((entry, platform));
        }
    }
    let suits = |(at, (_, platform)): (usize, &(Entry, Platform))| Some((platform.fits(asked)?, at));
    let Some((_, at)) = found.iter().enumerate().filter_map(suits).min() else {
        // Attestations stand beside images as those of an unknown platform.
        let mut others: Vec<_> = found.iter().map(|(_, platform)| platform).filter(|of| of.os() != "unknown").collect();
        others.sort();
        others.dedup();
        let others: Vec<_> = others.iter().take(LISTED).map(ToString::to_string).collect();
        let has = if others.is_empty() { "for no platform at all".to_owned() } else { others.join(", ") };
        return Err(format!("the base image has no image for {asked}; it has {has}"));
    };
    Ok(found.swap_remove(at))
}

/// What a config says that its image runs on. Without an operating system it is Linux.
fn platform_of(config: &Value) -> Option<Platform> {
    let os = config["os"].as_str().filter(|os| !os.is_empty()).unwrap_or("linux");
    let variant = config["variant"].as_str().filter(|variant| !variant.is_empty());
    Platform::new(os, config["architecture"].as_str()?, variant).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One document, whatever is asked for.
    struct Only(Bytes);

    #[async_trait]
    impl Documents for Only {
        async fn manifest(&self, _: &Repository, _: &Digest) -> Result<Option<Bytes>> {
            Ok(Some(self.0.clone()))
        }

        async fn config(&self, _: &Repository, _: &Digest, _: u64) -> Result<Bytes> {
            Ok(Bytes::from("{}"))
        }
    }

    #[tokio::test]
    async fn a_manifest_that_can_be_read_as_an_image_and_as_an_index_is_refused() {
        let repository = Repository::new("registry.example/base").expect("a valid repository");
        for document in [
            r#"{"layers":[],"manifests":[]}"#,
            r#"{"layers":null,"config":
            {"mediaType":"m","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1},
            "manifests":[]}"#,
        ] {
            let only = Only(document.into());
            let digest = Digest::of(document);
            let error = Base::read(&only, &repository, digest, "linux/amd64").await.expect_err("ambiguous");
            assert!(error.message().contains("an image and an index at once"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_document_with_another_digest_is_as_good_as_none() {
        let repository = Repository::new("registry.example/base").expect("a valid repository");
        let only = Only(Bytes::from("{}"));
        let error = Base::read(&only, &repository, Digest::of("other"), "linux/amd64").await.expect_err("not it");
        assert_eq!(error.code(), ErrorCode::ObjectMissing);
    }
}
