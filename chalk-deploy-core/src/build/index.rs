//! The index of an image for several platforms (OCI image specification 1.1, *Image Index*).

use serde_json::{Map, Value, json};

use super::image::bytes;
use crate::model::{Digest, PlatformImage};

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The index of these images, in the order of their platforms whatever order they come in. A pure function of them and
/// of the base image that they have in common.
pub(crate) fn index(images: &[PlatformImage], base: Option<&Digest>) -> Vec<u8> {
    let mut images: Vec<_> = images.iter().collect();
    images.sort_by(|one, other| one.platform.cmp(&other.platform));
    let described = |image: &&PlatformImage| {
        let mut platform = Map::new();
        platform.insert("os".to_owned(), image.platform.os().into());
        platform.insert("architecture".to_owned(), image.platform.architecture().into());
        if let Some(variant) = image.platform.variant() {
            platform.insert("variant".to_owned(), variant.into());
        }
        json!({
            "mediaType": image.manifest.media_type,
            "digest": image.manifest.digest,
            "size": image.manifest.size,
            "platform": platform,
        })
    };
    let manifests: Vec<_> = images.iter().map(described).collect();
    let mut document = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    if let (Some(base), Value::Object(members)) = (base, &mut document) {
        members.insert("annotations".to_owned(), json!({"org.opencontainers.image.base.digest": base}));
    }
    bytes(&document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Descriptor;

    fn image(platform: &str) -> PlatformImage {
        let manifest = Descriptor { media_type: "m".to_owned(), digest: Digest::of(platform), size: 7 };
        PlatformImage { platform: platform.parse().expect(platform), manifest }
    }

    #[test]
    fn the_order_of_the_images_is_that_of_their_platforms() {
        let (amd, arm) = (image("linux/amd64"), image("linux/arm64/v8"));
        let one = index(&[amd.clone(), arm.clone()], None);
        assert_eq!(one, index(&[arm, amd], None));
        let document: Value = serde_json::from_slice(&one).expect("JSON");
        assert_eq!(
            document["manifests"][1]["platform"],
            json!({"os": "linux", "architecture": "arm64", "variant": "v8"})
        );
        assert_eq!(document["manifests"][0]["platform"]["variant"], Value::Null);
        assert_eq!(document["mediaType"], INDEX);
    }
}
