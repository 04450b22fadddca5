//! How evidence lies in a registry: a manifest with one layer that points at the image (cosign's bundle specification,
//! OCI image specification 1.1, *Guidelines for Artifact Usage*).

use serde_json::{Value, json};

use super::{ordered_bytes, strict};
use crate::build::image::MANIFEST;
use crate::cloud::{ImageManifest, Payload};
use crate::model::{Descriptor, Digest};

/// The media type of a bundle, and the artifact type of the manifest that holds it.
pub const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The same of a bill of materials that is attached unsigned, for tools that read no bundles.
pub const BILL_TYPE: &str = "application/vnd.cyclonedx+json";
/// The media type of the empty config.
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// The longest bundle that is read.
pub(super) const BUNDLE_MOST: u64 = 16 << 20;

/// A manifest with what it names.
#[derive(Debug, Clone)]
pub(super) struct Artifact {
    pub(super) manifest: ImageManifest,
    pub(super) blobs: Vec<Payload>,
}

impl Artifact {
    /// A signed statement.
    pub(super) fn of_bundle(image: &Descriptor, bundle: Vec<u8>, predicate_type: &str) -> Self {
        // No `org.opencontainers.image.created`: the deployment is named, and its times are in its journal.
        let annotations = json!({
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": predicate_type,
        });
        Self::new(image, bundle, BUNDLE_TYPE, Some(&annotations))
    }

    /// A bill of materials as it is.
    pub(super) fn of_bill(image: &Descriptor, bill: Vec<u8>) -> Self {
        Self::new(image, bill, BILL_TYPE, None)
    }

    fn new(image: &Descriptor, content: Vec<u8>, kind: &str, annotations: Option<&Value>) -> Self {
        let (config, layer) = (Payload::from_bytes("{}"), Payload::from_bytes(content));
        let descriptor = |media_type: &str, payload: &Payload| json!({"mediaType": media_type, "digest": payload.sha256(), "size": payload.size()});
        let mut document = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": descriptor(EMPTY_TYPE, &config),
            "layers": [descriptor(kind, &layer)],
            "subject": {"mediaType": image.media_type, "digest": image.digest, "size": image.size},
        });
        if let Some(annotations) = annotations {
            document["annotations"] = annotations.clone();
        }
        let manifest = ImageManifest { media_type: MANIFEST.to_owned(), bytes: ordered_bytes(&document).into() };
        Self { manifest, blobs: vec![config, layer] }
    }
}

/// The bundle that a manifest holds about this image, or why it holds none.
pub(super) fn bundle_of(manifest: &ImageManifest, image: &Digest) -> Result<Descriptor, &'static str> {
    let document = strict::parse(&manifest.bytes).map_err(|_| "its manifest is no JSON that has one reading only")?;
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    if manifest.media_type != MANIFEST || text(&document, "mediaType").is_some_and(|kind| kind != MANIFEST) {
        return Err("its manifest is none of an artifact");
    }
    if text(&document, "artifactType").as_deref() != Some(BUNDLE_TYPE) {
        return Err("its manifest holds no Sigstore bundle");
    }
    let subject = document.get("subject").and_then(|subject| text(subject, "digest"));
    if subject != Some(image.to_string()) {
        return Err("its manifest points at another image");
    }
    let Some([layer]) = document.get("layers").and_then(Value::as_array).map(Vec::as_slice) else {
        return Err("its manifest does not have exactly one layer");
    };
    let digest = text(layer, "digest").and_then(|digest| digest.parse().ok());
    let size = layer.get("size").and_then(Value::as_u64);
    match (text(layer, "mediaType"), digest, size) {
        (Some(media_type), Some(digest), Some(size)) if media_type == BUNDLE_TYPE => {
            if size > BUNDLE_MOST {
                return Err("it is larger than any that is read");
            }
            Ok(Descriptor { media_type, digest, size })
        }
        _ => Err("its manifest describes no Sigstore bundle"),
    }
}
