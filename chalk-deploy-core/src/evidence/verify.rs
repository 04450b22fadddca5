//! Whether an image has the evidence that it should have. Whatever is in doubt is a no.

use serde_json::Value;

use super::attach::referrers_of;
use super::collect::{Collected, Place, Trusted, collect};
use super::provenance::PROVENANCE;
use super::signer::VerifyingKey;
use super::{CYCLONEDX, read};
use crate::cloud::Registry;
use crate::model::{Digest, ImageReference, Repository};
use crate::{Error, ErrorCode, Result};

pub use super::collect::Rejected;

/// An image whose evidence a key verifies.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The image.
    pub image: ImageReference,
    /// Where it came from; at least one. Several where several deployments made the same image of different inputs.
    pub provenance: Vec<VerifiedStatement>,
    /// What is in it; at least one.
    pub bills: Vec<VerifiedStatement>,
    /// What points at it and counts for nothing.
    pub rejected: Vec<Rejected>,
}

/// A statement that a key verifies, about this very image.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedStatement {
    /// The manifest that holds it.
    pub manifest: Digest,
    /// What it says. Signed by whoever holds the key, and shown only through [`crate::text`].
    pub predicate: Value,
}

/// Verifies that a provenance statement and a bill of materials about this very digest are signed with the key.
///
/// **Idempotency.** A read; it may be repeated.
///
/// # Errors
/// `IMAGE_MISMATCH` for an image that is not there; `EVIDENCE_MISSING` where nothing of the kind points at the image;
/// `EVIDENCE_INVALID` where something does, and the key does not verify it; `REQUEST_INVALID`, `PERMISSION_DENIED`,
/// `CLOUD_UNAVAILABLE` where nothing could be found out.
pub async fn verify(
    registry: &dyn Registry,
    repository: &Repository,
    image: &Digest,
    key: &dyn VerifyingKey,
) -> Result<Verified> {
    read::manifest(registry, repository, image).await?;
    let referrers = referrers_of(registry, repository)?;
    let collected = collect(Place { registry, referrers: &*referrers, repository, image }, key).await?;
    let of = |kind: &str, holds: fn(&Value) -> bool| -> Vec<VerifiedStatement> {
        let fits = |trusted: &&Trusted| trusted.predicate_type == kind && holds(&trusted.predicate);
        let kept =
            |trusted: &Trusted| VerifiedStatement { manifest: trusted.manifest, predicate: trusted.predicate.clone() };
        collected.trusted.iter().filter(fits).map(kept).collect()
    };
    let (provenance, bills) = (of(PROVENANCE, is_provenance), of(CYCLONEDX, is_bill));
    let reference = ImageReference { repository: repository.clone(), digest: *image };
    let lacking = match (provenance.is_empty(), bills.is_empty()) {
        (false, false) => {
            return Ok(Verified { image: reference, provenance, bills, rejected: collected.rejected });
        }
        (true, true) => "neither a provenance statement nor a bill of materials",
        (true, false) => "no provenance statement",
        (false, true) => "no bill of materials",
    };
    Err(refusal(lacking, &collected, key).on(reference))
}

fn refusal(lacking: &str, collected: &Collected, key: &dyn VerifyingKey) -> Error {
    const SHOWN: usize = 3;
    if collected.rejected.is_empty() {
        return Error::new(
            ErrorCode::EvidenceMissing,
            format!("{lacking} of the key {} points at the image", key.hint()),
        );
    }
    let shown = collected.rejected.iter().take(SHOWN);
    let mut reasons: Vec<_> = shown.map(|rejected| format!("{}: {}", rejected.manifest, rejected.reason)).collect();
    if collected.rejected.len() > SHOWN {
        reasons.push(format!("and {} more", collected.rejected.len() - SHOWN));
    }
    let message = format!(
        "{lacking} that the key {} verifies points at the image, and of what does: {}",
        key.hint(),
        reasons.join("; ")
    );
    Error::new(ErrorCode::EvidenceInvalid, message)
}

/// Whether the predicate has what SLSA requires of any.
fn is_provenance(predicate: &Value) -> bool {
    let is_text = |pointer| predicate.pointer(pointer).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    is_text("/buildDefinition/buildType")
        && predicate.pointer("/buildDefinition/externalParameters").is_some_and(Value::is_object)
        && is_text("/runDetails/builder/id")
}

/// Whether the predicate is a CycloneDX document.
fn is_bill(predicate: &Value) -> bool {
    let text = |name| predicate.get(name).and_then(Value::as_str);
    text("bomFormat") == Some("CycloneDX") && text("specVersion").is_some_and(|version| version.starts_with("1."))
}
