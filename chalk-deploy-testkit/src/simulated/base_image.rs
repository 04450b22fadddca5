//! A base image made in code, so that nothing needs the network or a compiler: a small layer, and a command that no
//! binary stands behind. The simulated kubelet [knows](super::seam::SIMULATED_ENGINE) it and answers for it inside the
//! process.

use chalk_deploy_core::Result;
use chalk_deploy_core::build::PROVIDES;
use chalk_deploy_core::cloud::{ImageManifest, Payload, Registry};
use chalk_deploy_core::model::{BaseImage, Component, Descriptor, Digest, Repository};
use serde_json::{Value, json};

use super::seam::SIMULATED_ENGINE;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CREATED: &str = "1970-01-01T00:00:00Z";

/// The distributions that the image declares to bring.
pub const PROVIDED: &str = "chalkpy";

/// The image as bytes. Every call makes the same ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedBaseImage {
    /// The manifest.
    pub manifest: ImageManifest,
    /// The config.
    pub config: Vec<u8>,
    /// The one layer, a tar in gzip: some clients take no other.
    pub layer: Vec<u8>,
    /// The digest of the tar inside, as the config lists it.
    pub diff: Digest,
}

impl SimulatedBaseImage {
    /// The image.
    pub fn new() -> Self {
        let tar = tar();
        let diff = Digest::of(&tar);
        let layer = gzip(&tar);
        let config = json!({
            "created": CREATED,
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "User": "65532:65532",
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
                "Entrypoint": [SIMULATED_ENGINE],
                "WorkingDir": "/chalk",
                "Labels": {PROVIDES: PROVIDED, "org.opencontainers.image.title": "simulated engine"},
            },
            "rootfs": {"type": "layers", "diff_ids": [diff]},
            "history": [{"created": CREATED, "created_by": "chalk-deploy-testkit"}],
        });
        let config = ordered(&config).to_string().into_bytes();
        let manifest = ordered(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(CONFIG, &config),
            "layers": [described(LAYER, &layer)],
        }));
        let manifest = ImageManifest { media_type: MANIFEST.to_owned(), bytes: manifest.to_string().into() };
        Self { manifest, config, layer, diff }
    }

    /// The digest by which it is known.
    pub fn digest(&self) -> Digest {
        self.manifest.digest()
    }

    /// Its descriptor.
    pub fn descriptor(&self) -> Descriptor {
        let size = self.manifest.bytes.len() as u64;
        Descriptor { media_type: MANIFEST.to_owned(), digest: self.digest(), size }
    }

    /// Pushes it into a repository, unless it is there.
    ///
    /// # Errors
    /// The registry's.
    pub async fn install(&self, registry: &dyn Registry, repository: &Repository) -> Result<Digest> {
        for blob in [&self.config, &self.layer] {
            registry.push_blob(repository, &Payload::from_bytes(blob.clone())).await?;
        }
        registry.put_manifest(repository, &self.manifest, None).await
    }
}

impl Default for SimulatedBaseImage {
    fn default() -> Self {
        Self::new()
    }
}

/// Pushes the simulated base image into a repository, unless it is there, and names it as the base of a component.
///
/// # Errors
/// The registry's.
pub async fn install(registry: &dyn Registry, repository: &Repository, component: Component) -> Result<BaseImage> {
    let digest = SimulatedBaseImage::new().install(registry, repository).await?;
    Ok(BaseImage { component, repository: repository.clone(), digest })
}

/// One file where the command would be, so that a person who looks into the image learns what it is.
fn tar() -> Vec<u8> {
    const TEXT: &[u8] =
        b"The simulated kubelet of chalk-deploy-testkit answers for this command. No node can run it.\n";
    let mut blocks = Vec::new();
    let mut append = |kind: tar::EntryType, name: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        blocks.extend_from_slice(header.as_bytes());
        blocks.extend_from_slice(content);
        blocks.resize(blocks.len().next_multiple_of(512), 0);
    };
    append(tar::EntryType::Directory, "chalk/", 0o755, b"");
    append(tar::EntryType::Regular, SIMULATED_ENGINE.trim_start_matches('/'), 0o644, TEXT);
    blocks.resize(blocks.len() + 1024, 0);
    blocks
}

/// Wrapped and not packed, so that no other version of the compressor changes the digest.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let builder = flate2::GzBuilder::new().mtime(0).operating_system(255);
    let mut encoder = builder.write(Vec::new(), flate2::Compression::none());
    // Writing into memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn described(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

/// Members in the order of their names, whichever order this program's maps keep.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(name, value)| (name.clone(), ordered(value))).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(ordered).collect()),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::cloud::ManifestLocator;

    use super::*;
    use crate::World;
    use crate::fake::FakeRegistry;

    #[tokio::test]
    async fn the_image_is_the_same_everywhere_and_may_be_installed_again() {
        let registry = FakeRegistry::new(&World::memory());
        let repository = Repository::new("registry.embedded/chalk/engine-base").expect("a valid repository");
        let first = install(&registry, &repository, Component::Engine).await.expect("installed");
        let again = install(&registry, &repository, Component::Engine).await.expect("installed again");
        assert_eq!(first, again);
        let held = registry.manifest(&repository, &ManifestLocator::Digest(first.digest)).await.expect("answered");
        assert_eq!(held, Some(SimulatedBaseImage::new().manifest));
        // Images that were built on it are known by digests that follow from this one.
        let golden = "sha256:836ff3d603ba7233e55ab38edc30dd7445a5833799a7d591099f157181719871";
        assert_eq!(first.digest.to_string(), golden);
    }

    #[test]
    fn its_layer_is_a_tar_with_the_command_in_it() {
        let image = SimulatedBaseImage::new();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(image.layer.as_slice()));
        let paths: Vec<_> = archive
            .entries()
            .expect("a tar")
            .map(|entry| entry.expect("an entry").path().expect("a path").to_string_lossy().into_owned())
            .collect();
        assert_eq!(paths, ["chalk/", SIMULATED_ENGINE.trim_start_matches('/')]);
    }
}
