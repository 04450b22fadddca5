//! Images made from the content of a build request: small, real and always the same.

use std::collections::BTreeMap;

use chalk_deploy_core::cloud::BuildRequest;
use chalk_deploy_core::model::{BaseImage, BuiltImage, Descriptor, Digest, ImageLocation, Platform, PlatformImage};
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image, and the bytes of its manifest, config and layers by digest.
#[derive(Debug)]
pub(super) struct MadeImage {
    pub(super) image: BuiltImage,
    pub(super) contents: BTreeMap<Digest, Vec<u8>>,
}

/// The image of one component, or the index of its images. A pure function of the request's content and the base image.
pub(super) fn make(request: &BuildRequest, base: &BaseImage) -> Result<MadeImage> {
    let platforms = request.platforms()?;
    if let [only] = &platforms[..] {
        return make_for(request, base, only);
    }
    let mut whole = MadeImage {
        image: BuiltImage {
            component: base.component,
            manifest: descriptor(INDEX, b""),
            blobs: Vec::new(),
            platforms: Vec::new(),
            location: ImageLocation::Builder,
        },
        contents: BTreeMap::new(),
    };
    let mut entries = Vec::new();
    for platform in platforms {
        let made = make_for(request, base, &platform)?;
        let Descriptor { media_type, digest, size } = &made.image.manifest;
        let named =
            json!({"os": platform.os(), "architecture": platform.architecture(), "variant": platform.variant()});
        entries.push(json!({"mediaType": media_type, "digest": digest, "size": size, "platform": named}));
        for blob in made.image.blobs {
            if !whole.image.blobs.contains(&blob) {
                whole.image.blobs.push(blob);
            }
        }
        whole.contents.extend(made.contents);
        whole.image.platforms.push(PlatformImage { platform, manifest: made.image.manifest });
    }
    let index = bytes_of(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}));
    whole.image.manifest = descriptor(INDEX, &index);
    whole.contents.insert(Digest::of(&index), index);
    Ok(whole)
}

fn make_for(request: &BuildRequest, base: &BaseImage, platform: &Platform) -> Result<MadeImage> {
    let content = request.content_digest();
    let mut files = vec![("app/content", content.to_string()), ("app/component", base.component.to_string())];
    if request.requirements.iter().any(|file| has_entries(&file.contents)) {
        let listed: Vec<_> = request.requirements.iter().map(|file| file.contents.as_str()).collect();
        files.push(("app/requirements.txt", listed.join("\n")));
    }
    let layer = archive(&files)?;
    let config = bytes_of(&json!({
        "architecture": platform.architecture(),
        "os": platform.os(),
        "config": {"Cmd": ["chalk", base.component.as_str()], "User": "65532"},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
    }));
    let blobs = [(CONFIG, config), (LAYER, layer)].map(|(media_type, bytes)| (descriptor(media_type, &bytes), bytes));
    let described = |index: usize| -> Value {
        let Descriptor { media_type, digest, size } = &blobs[index].0;
        json!({"mediaType": media_type, "digest": digest, "size": size})
    };
    let manifest = bytes_of(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(0),
        "layers": [described(1)],
        "annotations": {
            "org.opencontainers.image.base.name": base.repository,
            "org.opencontainers.image.base.digest": base.digest,
        },
    }));
    let image = BuiltImage {
        component: base.component,
        manifest: descriptor(MANIFEST, &manifest),
        blobs: blobs.iter().map(|(descriptor, _)| descriptor.clone()).collect(),
        platforms: Vec::new(),
        location: ImageLocation::Builder,
    };
    let bytes = blobs.into_iter().map(|(_, bytes)| bytes).chain([manifest]);
    Ok(MadeImage { image, contents: bytes.map(|bytes| (Digest::of(&bytes), bytes)).collect() })
}

/// Whether a requirements file asks for anything: blank lines and comments do not.
fn has_entries(text: &str) -> bool {
    text.lines().any(|line| !line.trim_start().is_empty() && !line.trim_start().starts_with('#'))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: Digest::of(bytes), size: bytes.len() as u64 }
}

fn bytes_of(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

fn archive(files: &[(&str, String)]) -> Result<Vec<u8>> {
    let failed =
        |error: std::io::Error| Error::new(ErrorCode::Internal, "a layer could not be written").caused_by(error);
    let mut layer = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        layer.append_data(&mut header, path, text.as_bytes()).map_err(failed)?;
    }
    layer.into_inner().map_err(failed)
}
