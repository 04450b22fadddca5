//! The bill of materials (CycloneDX 1.6).

use serde_json::{Value, json};
use sha2::Digest as _;

use super::inventory::{Inventory, Package};
use super::package_url;
use super::provenance::Origin;
use crate::model::{Digest, Repository};

/// The predicate type of a statement that holds a CycloneDX document; cosign calls it `cyclonedx`.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";

/// The `bom-ref` of the main component.
const PROJECT: &str = "project";

/// What is in the image of a project.
///
/// The main component is the deployed project; below it stand the base images and the packages of the dependency layer.
/// How complete that is, `compositions` says, and never more than is known: `unknown` where an image tells nothing of its
/// packages, `incomplete` where it does, because what the base image consists of below its Python distributions is not
/// listed.
pub fn bill_of_materials(inventory: &Inventory, origin: &Origin) -> Value {
    let mut below = Vec::new();
    let mut components = Vec::new();
    let mut compositions = vec![json!({
        "aggregate": if inventory.packages.is_some() { "incomplete" } else { "unknown" },
        "assemblies": [PROJECT],
    })];
    for base in &inventory.bases {
        let component = base_image(inventory, base, origin.base_repositories.get(base));
        below.push(component["bom-ref"].clone());
        compositions.push(json!({
            "aggregate": if inventory.base_provides.is_some() { "incomplete" } else { "unknown" },
            "assemblies": [component["bom-ref"]],
        }));
        components.push(component);
    }
    for package in inventory.packages.iter().flatten() {
        let component = distribution(package);
        below.push(component["bom-ref"].clone());
        components.push(component);
    }
    let mut dependencies: Vec<_> = below.iter().map(|reference| json!({"ref": reference})).collect();
    dependencies.insert(0, json!({"ref": PROJECT, "dependsOn": below}));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", serial_number(&inventory.image.digest)),
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{
                "type": "application", "name": "chalk-deploy", "version": env!("CARGO_PKG_VERSION"),
            }]},
            "component": {
                "type": "application",
                "bom-ref": PROJECT,
                "name": origin.project.as_str(),
                "version": origin.archive.to_string(),
                "properties": properties(inventory, origin),
            },
        },
        "components": components,
        "dependencies": dependencies,
        "compositions": compositions,
    })
}

fn properties(inventory: &Inventory, origin: &Origin) -> Vec<Value> {
    let mut properties = vec![
        ("chalk.ai/component", origin.component.to_string()),
        ("chalk.ai/image-digest", inventory.image.digest.to_string()),
    ];
    properties.extend(inventory.platforms.iter().map(|platform| ("chalk.ai/platform", platform.clone())));
    properties.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// The base image. The distributions that it says it brings are parts of it; their versions are not known to us.
fn base_image(inventory: &Inventory, digest: &Digest, repository: Option<&Repository>) -> Value {
    let reference = format!("base-image@{digest}");
    let parts = inventory.base_provides.iter().flatten().map(|name| {
        json!({
            "type": "library",
            "bom-ref": format!("{reference}/{name}"),
            "name": name,
            "purl": package_url::of_distribution(name, None),
        })
    });
    let mut component = json!({
        "type": "container",
        "bom-ref": reference,
        "name": repository.map_or("base-image", |repository| repository.as_str()),
        "version": digest.to_string(),
        "hashes": [hash(digest)],
        "components": parts.collect::<Vec<_>>(),
    });
    if let Some(repository) = repository {
        component["purl"] = package_url::of_image(repository, digest).into();
    }
    component
}

fn distribution(package: &Package) -> Value {
    let url = package_url::of_distribution(&package.name, Some(&package.version));
    let mut component = json!({
        "type": "library",
        "bom-ref": url,
        "name": package.name,
        "version": package.version,
        "purl": url,
    });
    if !package.files.is_empty() {
        component["hashes"] = package.files.iter().map(hash).collect();
    }
    component
}

fn hash(digest: &Digest) -> Value {
    json!({"alg": "SHA-256", "content": digest.hex()})
}

/// A UUID of version 8 (RFC 9562, section 5.8): the content is ours to choose, and it is derived from the image's digest.
fn serial_number(image: &Digest) -> String {
    let mut hasher = sha2::Sha256::new();
    hasher.update(b"chalk-deploy bill of materials\0");
    hasher.update(image.as_bytes());
    let hash: [u8; 32] = hasher.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
