//! Attaching evidence to an image, once.

use serde_json::{Value, json};

use super::artifact::Artifact;
use super::bundle::Bundle;
use super::collect::{Place, Trusted, collect};
use super::inventory::Inventory;
use super::provenance::{Origin, PROVENANCE, provenance};
use super::signer::Signer;
use super::{CYCLONEDX, bill_of_materials, ordered_bytes, statement};
use crate::cloud::{ImageManifest, Referrers, Registry};
use crate::model::{Digest, Repository};
use crate::{Error, ErrorCode, Result};

/// What is attached to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The manifests: the signed provenance, the signed bill of materials, the same bill unsigned.
    pub manifests: Vec<Digest>,
    /// How many of them were not there before.
    pub new: usize,
}

/// Attaches a signed provenance statement, a signed bill of materials, and the bill as it is, for tools that read no
/// bundles. What is there, says the same and is signed with the signer's key is left as it is: a provenance statement
/// says the same if it was made for another deployment of the same inputs.
///
/// **Idempotency.** By what is said: nothing is added to an image that has it.
///
/// **After a crash.** Some of it is attached; the next call adds the rest. What was stored and not yet listed in a registry
/// without the referrers API points at the image from nowhere, and is the registry's lifecycle rules' to collect.
///
/// # Errors
/// `REQUEST_INVALID` for a registry that can hold none; those of the signer and of the registry.
pub async fn attach(
    registry: &dyn Registry,
    repository: &Repository,
    inventory: &Inventory,
    origin: &Origin,
    signer: &dyn Signer,
) -> Result<Attached> {
    let referrers = referrers_of(registry, repository)?;
    let place = Place { registry, referrers: &*referrers, repository, image: &inventory.image.digest };
    let there = collect(place, &*signer.key()).await?;
    let bill = bill_of_materials(inventory, origin);
    let mut attached = Attached { manifests: Vec::new(), new: 0 };
    let mut missing: Vec<ImageManifest> = Vec::new();
    for (predicate_type, predicate) in [(PROVENANCE, &provenance(inventory, origin)), (CYCLONEDX, &bill)] {
        if let Some(same) = there.trusted.iter().find(|trusted| says(trusted, predicate_type, predicate)) {
            attached.manifests.push(same.manifest);
            continue;
        }
        let statement = statement(repository, &inventory.image.digest, predicate_type, predicate);
        let bundle = Bundle::sign(&statement, signer).await?.to_bytes();
        missing.push(push(registry, repository, &Artifact::of_bundle(&inventory.image, bundle, predicate_type)).await?);
    }
    let plain = Artifact::of_bill(&inventory.image, ordered_bytes(&bill));
    let plain_digest = plain.manifest.digest();
    if there.referrers.contains(&plain_digest) {
        attached.manifests.push(plain_digest);
    } else {
        missing.push(push(registry, repository, &plain).await?);
    }
    attached.new = missing.len();
    attached.manifests.extend(missing.iter().map(ImageManifest::digest));
    if !missing.is_empty() {
        referrers.attach(repository, &inventory.image.digest, &missing).await?;
    }
    Ok(attached)
}

/// What a registry can do about manifests that point at others.
pub(super) fn referrers_of(registry: &dyn Registry, repository: &Repository) -> Result<std::sync::Arc<dyn Referrers>> {
    registry.referrers().ok_or_else(|| {
        Error::new(ErrorCode::RequestInvalid, "the registry's client knows nothing of manifests that point at images")
            .on(repository)
            .with_hint("use one that does, or neither sign nor verify")
    })
}

/// Whether a statement says this, whichever deployment it was made for.
fn says(trusted: &Trusted, predicate_type: &str, predicate: &Value) -> bool {
    fn timeless(predicate: &Value) -> Value {
        let mut predicate = predicate.clone();
        if let Some(metadata) = predicate.pointer_mut("/runDetails/metadata") {
            *metadata = json!({});
        }
        predicate
    }
    trusted.predicate_type == predicate_type && timeless(&trusted.predicate) == timeless(predicate)
}

/// Pushes what a manifest names, and hands the manifest on.
async fn push(registry: &dyn Registry, repository: &Repository, artifact: &Artifact) -> Result<ImageManifest> {
    for blob in &artifact.blobs {
        registry.push_blob(repository, blob).await?;
    }
    Ok(artifact.manifest.clone())
}
