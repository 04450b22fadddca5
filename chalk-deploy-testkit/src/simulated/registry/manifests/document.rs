//! What a manifest says.

use serde_json::{Map, Value, json};

use crate::simulated::registry::digest::ContentDigest;

/// The media types of images.
const IMAGES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

/// The media types of indexes.
pub(in crate::simulated::registry) const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// A manifest or an index that contradicts neither itself nor its media type.
#[derive(Debug)]
pub(in crate::simulated::registry) struct Document {
    pub(in crate::simulated::registry) media_type: String,
    /// The config and the layers, but for those that are to be had elsewhere.
    pub(in crate::simulated::registry) blobs: Vec<ContentDigest>,
    /// The children of an index.
    pub(in crate::simulated::registry) manifests: Vec<ContentDigest>,
    /// What it is about.
    pub(in crate::simulated::registry) subject: Option<ContentDigest>,
    artifact_type: Option<String>,
    annotations: Option<Value>,
}

impl Document {
    /// Reads it, as stored under a media type.
    pub(in crate::simulated::registry) fn read(bytes: &[u8], content_type: Option<&str>) -> Result<Self, String> {
        let document: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON object: {error}"))?;
        let inner = match document.get("mediaType") {
            None => None,
            Some(inner) => Some(inner.as_str().ok_or("its `mediaType` is no text")?),
        };
        let outer = content_type.map(|value| value.split(';').next().unwrap_or_default().trim());
        let media_type = match (outer, inner) {
            (Some(outer), Some(inner)) if outer != inner => {
                return Err(format!("its `mediaType` is {inner}, and it comes as {outer}"));
            }
            (Some(media_type), _) | (None, Some(media_type)) => media_type,
            (None, None) => return Err("it has no media type".to_owned()),
        };
        if document.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
            return Err("its `schemaVersion` is not 2".to_owned());
        }
        let (is_image, is_index) = (IMAGES.contains(&media_type), INDEXES.contains(&media_type));
        if !is_image && !is_index {
            return Err(format!("the media type {media_type} is not supported"));
        }
        let image_like = document.contains_key("layers") || document.contains_key("config");
        // One document must not be two things to two readers (GHSA-77vh-xpmg-72qh).
        if is_image && document.contains_key("manifests") || is_index && image_like {
            return Err("it is an image and an index at once".to_owned());
        }
        let mut blobs = Vec::new();
        if is_image {
            blobs.push(digest(document.get("config").ok_or("it has no config")?)?);
            for layer in list(&document, "layers")? {
                let foreign = layer.get("urls").and_then(Value::as_array).is_some_and(|urls| !urls.is_empty());
                let digest = digest(layer)?;
                if !foreign {
                    blobs.push(digest);
                }
            }
        }
        let children = if is_index { list(&document, "manifests")? } else { &[] };
        let config_type = document.get("config").and_then(|config| text(config.get("mediaType")));
        Ok(Self {
            media_type: media_type.to_owned(),
            blobs,
            manifests: children.iter().map(digest).collect::<Result<_, _>>()?,
            subject: document.get("subject").map(digest).transpose()?,
            artifact_type: text(document.get("artifactType")).filter(|kind| !kind.is_empty()).or(config_type),
            annotations: document.get("annotations").cloned(),
        })
    }

    /// The descriptor with which it stands among the referrers of its subject.
    pub(super) fn descriptor(&self, digest: &ContentDigest, size: usize) -> Value {
        let mut descriptor = json!({"mediaType": self.media_type, "digest": digest.as_str(), "size": size});
        let optional =
            [("artifactType", self.artifact_type.clone().map(Value::from)), ("annotations", self.annotations.clone())];
        for (name, value) in optional {
            if let (Some(value), Some(descriptor)) = (value, descriptor.as_object_mut()) {
                descriptor.insert(name.to_owned(), value);
            }
        }
        descriptor
    }
}

fn list<'a>(document: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], String> {
    document.get(name).and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| format!("its `{name}` is no list"))
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

fn digest(descriptor: &Value) -> Result<ContentDigest, String> {
    let well_formed =
        descriptor.get("size").is_some_and(Value::is_u64) && descriptor.get("mediaType").is_some_and(Value::is_string);
    let digest = descriptor.get("digest").and_then(Value::as_str).and_then(ContentDigest::parse);
    digest.filter(|_| well_formed).ok_or_else(|| "a descriptor has no media type, size or digest".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documents_that_contradict_themselves_are_refused() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let descriptor = json!({"mediaType": "a/b", "size": 1, "digest": digest});
        let image = IMAGES[0];
        for (media_type, document) in [
            (Some(image), json!([])),
            (Some(image), json!({"schemaVersion": 1, "config": descriptor, "layers": []})),
            (Some(image), json!({"schemaVersion": 2, "layers": []})),
            (Some(image), json!({"schemaVersion": 2, "config": descriptor})),
            (Some(image), json!({"schemaVersion": 2, "config": {"digest": digest}, "layers": []})),
            (Some(image), json!({"schemaVersion": 2, "config": descriptor, "layers": [], "manifests": []})),
            (Some(image), json!({"schemaVersion": 2, "mediaType": IMAGES[1], "config": descriptor, "layers": []})),
            (Some(INDEXES[0]), json!({"schemaVersion": 2, "manifests": [], "layers": []})),
            (Some("text/plain"), json!({"schemaVersion": 2, "config": descriptor, "layers": []})),
            (None, json!({"schemaVersion": 2, "config": descriptor, "layers": []})),
        ] {
            Document::read(document.to_string().as_bytes(), media_type).expect_err(&document.to_string());
        }
        let good = json!({"schemaVersion": 2, "mediaType": image, "config": descriptor, "layers": [descriptor]});
        let good = Document::read(good.to_string().as_bytes(), None).expect("an image");
        assert_eq!(good.blobs.len(), 2);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Document::read(&bytes, Some(IMAGES[0]));
        }
    }
}
