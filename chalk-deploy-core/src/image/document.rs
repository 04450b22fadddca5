//! The config and the manifest of an image (OCI image specification 1.1): the base image's, with layers on top.

use serde_json::{Value, json};

use super::layer::Layer;
use crate::build::base::Base;
use crate::build::image::{CONFIG, CREATED, MANIFEST, bytes, list, object};
use crate::cloud::{ImageManifest, Payload};
use crate::model::{Descriptor, Digest};

/// A pure function of the base image's config and of the layers, by their paths and the digests of their unpacked bytes.
pub(super) fn config(base: &Base, layers: &[(&str, Digest)]) -> Payload {
    let mut document = base.config.clone();
    let root = object(&mut document);
    root.insert("created".to_owned(), CREATED.into());
    let inner = object(root.entry("config").or_insert(Value::Null));
    let labels = object(inner.entry("Labels").or_insert(Value::Null));
    // Where the base image lies is no part of what it is, so its name is left out.
    labels.insert("org.opencontainers.image.base.digest".to_owned(), base.digest.to_string().into());
    let history = list(root.entry("history").or_insert(Value::Null));
    for (path, _) in layers {
        history.push(json!({"created": CREATED, "created_by": format!("chalk-deploy: {path}")}));
    }
    let rootfs = object(root.entry("rootfs").or_insert(Value::Null));
    rootfs.insert("type".to_owned(), "layers".into());
    let diffs = list(rootfs.entry("diff_ids").or_insert(Value::Null));
    diffs.extend(layers.iter().map(|(_, diff)| Value::from(diff.to_string())));
    Payload::from_bytes(bytes(&document))
}

/// The base image's layers by their descriptors, and ours on top.
pub(super) fn manifest(base: &Base, config: &Payload, layers: &[&Layer]) -> ImageManifest {
    let described = |descriptor: &Descriptor| json!({"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size});
    let config = Descriptor { media_type: CONFIG.to_owned(), digest: config.sha256(), size: config.size() };
    let own = layers.iter().map(|layer| layer.descriptor());
    let document = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(&config),
        "layers": base.layers.iter().chain(own).map(described).collect::<Vec<_>>(),
        "annotations": {"org.opencontainers.image.base.digest": base.digest},
    });
    ImageManifest { media_type: MANIFEST.to_owned(), bytes: bytes(&document).into() }
}
