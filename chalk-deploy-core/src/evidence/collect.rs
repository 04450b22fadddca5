//! Reading the bundles that point at an image, and keeping those that a key has signed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::artifact::{BUNDLE_TYPE, bundle_of};
use super::bundle::Bundle;
use super::signer::VerifyingKey;
use super::{read, statement, strict};
use crate::cloud::{ManifestLocator, Referrer, Referrers, Registry};
use crate::error::Retry;
use crate::model::{Digest, Repository};
use crate::{Error, ErrorCode, Result, text};

/// The most bundles of an image that are read.
const BUNDLES_MOST: usize = 256;
/// The most bytes that all of them may have together.
const BYTES_MOST: u64 = 128 << 20;

/// A statement about the image that the key has signed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trusted {
    /// The manifest that holds it.
    pub(super) manifest: Digest,
    pub(super) predicate_type: String,
    pub(super) predicate: Value,
}

/// What points at an image and counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The manifest.
    pub manifest: Digest,
    /// Why.
    pub reason: String,
}

/// What points at an image.
#[derive(Debug)]
pub(super) struct Collected {
    /// Whatever it is.
    pub(super) referrers: BTreeSet<Digest>,
    pub(super) trusted: Vec<Trusted>,
    pub(super) rejected: Vec<Rejected>,
}

/// Where the evidence of an image is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) registry: &'a dyn Registry,
    pub(super) referrers: &'a dyn Referrers,
    pub(super) repository: &'a Repository,
    pub(super) image: &'a Digest,
}

/// Reads all bundles. One that is damaged, or of somebody else, hides none of the others.
///
/// # Errors
/// `EVIDENCE_INVALID` where there is more than is read: then nothing can be said. What may pass when it is tried again.
pub(super) async fn collect(place: Place<'_>, key: &dyn VerifyingKey) -> Result<Collected> {
    let listed = place.referrers.list_referrers(place.repository, place.image).await?;
    let mut collected = Collected { referrers: BTreeSet::new(), trusted: Vec::new(), rejected: Vec::new() };
    let mut bundles = Vec::new();
    for referrer in listed {
        let is_new = collected.referrers.insert(referrer.manifest.digest);
        if is_new && referrer.artifact_type.as_deref().is_none_or(|kind| kind == BUNDLE_TYPE) {
            bundles.push(referrer);
        }
    }
    let too_much = |what: String| {
        Error::new(ErrorCode::EvidenceInvalid, what)
            .on(format!("{}@{}", place.repository, place.image))
            .with_hint("remove the bundles that are not yours from the repository, and find out who may push there")
    };
    if bundles.len() > BUNDLES_MOST {
        return Err(too_much(format!("{} bundles point at the image, and {BUNDLES_MOST} are read", bundles.len())));
    }
    let mut left = BYTES_MOST;
    for referrer in &bundles {
        match look(place, referrer, key, &mut left).await {
            Ok(Ok(trusted)) => collected.trusted.push(trusted),
            Ok(Err(reason)) => {
                collected.rejected.push(Rejected { manifest: referrer.manifest.digest, reason: reason.to_owned() });
            }
            Err(error) if error.retry() == Retry::Permanent && error.code() != ErrorCode::PermissionDenied => {
                let reason = text::line(&error.sentence(), 300);
                collected.rejected.push(Rejected { manifest: referrer.manifest.digest, reason });
            }
            Err(error) => return Err(error),
        }
        if left == 0 {
            return Err(too_much(format!("the bundles are longer than {} together", text::bytes(BYTES_MOST))));
        }
    }
    Ok(collected)
}

/// One bundle, or why it does not count.
async fn look(
    place: Place<'_>,
    referrer: &Referrer,
    key: &dyn VerifyingKey,
    left: &mut u64,
) -> Result<Result<Trusted, &'static str>> {
    let manifest = referrer.manifest.digest;
    let found = place.registry.manifest(place.repository, &ManifestLocator::Digest(manifest)).await?;
    let Some(document) = found else { return Ok(Err("its manifest is not there")) };
    if document.digest() != manifest {
        return Ok(Err("its manifest is not what its digest says"));
    }
    if document.bytes.len() as u64 != referrer.manifest.size {
        return Ok(Err("its manifest has another length than the registry's list says"));
    }
    let described = match bundle_of(&document, place.image) {
        Ok(described) => described,
        Err(reason) => return Ok(Err(reason)),
    };
    *left = left.saturating_sub(described.size);
    if *left == 0 {
        return Ok(Err("it was not read any more"));
    }
    let bytes = read::blob(place.registry, place.repository, &described).await?;
    Ok(trust(&bytes, place.image, key).map(|(predicate_type, predicate)| Trusted {
        manifest,
        predicate_type,
        predicate,
    }))
}

/// The type and the predicate of a bundle's statement, if the key has signed it and it is about the image.
pub(super) fn trust(bytes: &[u8], image: &Digest, key: &dyn VerifyingKey) -> Result<(String, Value), &'static str> {
    let bundle = Bundle::read(bytes)?;
    if !bundle.is_signed_by(key) {
        return Err(if bundle.hint == key.hint() {
            "it names the key, and its signature is none of the key"
        } else {
            "it is signed with another key"
        });
    }
    let mut document =
        strict::parse(&bundle.payload).map_err(|_| "its payload is no JSON that has one reading only")?;
    statement::about(&mut document, image)
}
