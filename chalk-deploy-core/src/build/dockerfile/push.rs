//! The last container: what the executor has left, verified and pushed by digest.

use std::path::Path;

use serde_json::{Value, json};

use super::runnable::{self, ImagePolicy};
use super::tarball::Tarball;
use super::tarball_of;
use crate::build::image::{CONFIG, CREATED, MANIFEST, bytes, list, object};
use crate::build::report::ReportedImage;
use crate::cloud::{BuildRequest, ImageManifest, Payload, Registry};
use crate::model::{BaseImage, Descriptor, Repository};
use crate::{Error, ErrorCode, Result, text};

/// Pushes the image of each component out of a folder into the component's repository, by digest and without a tag. What
/// the registry holds is not sent again. `say` hears a step and a line.
///
/// # Errors
/// [`ErrorCode::BuildFailed`] for what is no image, or none that may run; the registry's.
pub async fn push(
    request: &BuildRequest,
    registry: &dyn Registry,
    policy: ImagePolicy,
    images: &Path,
    say: &mut (dyn FnMut(&str, String) + Send),
) -> Result<Vec<ReportedImage>> {
    let mut reported = Vec::new();
    for (base, repository) in request.base_images.iter().zip(&request.repositories) {
        let component = base.component;
        let tarball = Tarball::open(&images.join(tarball_of(component)))?;
        runnable::check(&tarball.config, tarball.layers.len(), &request.platform, policy)?;
        say("verify", format!("the image of {component} has {} layers and may run", tarball.layers.len()));
        let config = config(&tarball.config, base, request);
        let described = Payload::from_bytes(config);
        let manifest = manifest(&tarball, &described);
        let mut sent = 0;
        for layer in &tarball.layers {
            // Those of the platform image lie in the same registry, where a name is enough.
            let payload = tarball.payload(layer).with_origin(Some(base.repository.clone()));
            sent += ensure(registry, repository, &payload).await?;
        }
        sent += ensure(registry, repository, &described).await?;
        let digest = manifest.digest();
        let stored = registry.put_manifest(repository, &manifest, None).await?;
        if stored != digest {
            let message = format!("the registry stored {stored}, not {digest}");
            return Err(Error::new(ErrorCode::ImageMismatch, message).on(repository));
        }
        say("push", format!("{component} is {repository}@{digest}; {} of it were not there", text::bytes(sent)));
        reported.push(ReportedImage { component, digest });
    }
    Ok(reported)
}

/// Pushes a blob that is not there. How many bytes were sent at most.
async fn ensure(registry: &dyn Registry, repository: &Repository, payload: &Payload) -> Result<u64> {
    if registry.has_blob(repository, &payload.sha256()).await? {
        return Ok(0);
    }
    registry.push_blob(repository, payload).await?;
    Ok(payload.size())
}

/// The executor's config, without the time of the build, and with the labels by which an image is known as a
/// deployment's.
fn config(of_executor: &Value, base: &BaseImage, request: &BuildRequest) -> Vec<u8> {
    let mut document = of_executor.clone();
    let root = object(&mut document);
    root.insert("created".to_owned(), CREATED.into());
    for entry in list(root.entry("history").or_insert(Value::Null)) {
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("created".to_owned(), CREATED.into());
        }
    }
    let inner = object(root.entry("config").or_insert(Value::Null));
    let labels = object(inner.entry("Labels").or_insert(Value::Null));
    for (name, value) in [
        ("chalk.ai/component", base.component.to_string()),
        ("chalk.ai/source-digest", request.source.sha256.to_string()),
        ("chalk.ai/content-digest", request.content_digest().to_string()),
    ] {
        labels.insert(name.to_owned(), value.into());
    }
    bytes(&document)
}

fn manifest(tarball: &Tarball, config: &Payload) -> ImageManifest {
    let described = |media_type: &str, descriptor: (&crate::model::Digest, u64)| json!({"mediaType": media_type, "digest": descriptor.0, "size": descriptor.1});
    let layer = |Descriptor { media_type, digest, size }: &Descriptor| described(media_type, (digest, *size));
    let document = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(CONFIG, (&config.sha256(), config.size())),
        "layers": tarball.layers.iter().map(|of| layer(&of.descriptor)).collect::<Vec<_>>(),
    });
    ImageManifest { media_type: MANIFEST.to_owned(), bytes: bytes(&document).into() }
}
