//! The end of stage 4: what is in each image and where it came from is signed, attached to the image in its own registry,
//! and verified where that is asked for, before anything of it runs.
//!
//! *Takes* the images that were pushed and tagged. *Hands on* the digests of what was attached. *Idempotent* by what the
//! documents say: an image that has them gets nothing more. *Not undone*: evidence of an image that was pushed stays true,
//! whatever becomes of the rollout.

use std::collections::BTreeMap;

use super::context::StepContext;
use crate::Result;
use crate::evidence::{Inventory, Origin, attach, verify};
use crate::machine::StepOutput;

/// Attaches, then verifies; says which of both is not done.
pub(super) async fn attest_images(context: &StepContext) -> Result<StepOutput> {
    let policy = &context.evidence;
    if policy.signer.is_none() {
        let remark = if policy.key.is_some() { "" } else { "; it is not verified either" };
        context.reporter.line(&format!(
            "no evidence is attached to the images, because the deployer was given no signing key{remark}"
        ));
    }
    let registry = &*context.plane.cloud.registry;
    let mut evidence = BTreeMap::new();
    for (component, image) in context.images()? {
        if let Some(signer) = &policy.signer {
            let inventory = Inventory::read(registry, &image.repository, &image.digest).await?;
            let origin = Origin::of(context.plan(), &context.plane, *component, policy.builder.as_deref())?;
            let attached = attach(registry, &image.repository, &inventory, &origin, &**signer).await?;
            let packages = inventory.packages.as_ref().map_or_else(
                || "packages unknown: the image has no dependency layer".to_owned(),
                |packages| format!("{} packages", packages.len()),
            );
            context.reporter.line(&format!(
                "{component}: provenance and bill of materials ({packages}), {} of {} documents new",
                attached.new,
                attached.manifests.len()
            ));
            evidence.insert(*component, attached.manifests);
        }
        if let Some(key) = &policy.key {
            let verified = verify(registry, &image.repository, &image.digest, &**key).await?;
            context.reporter.line(&format!("{component}: the evidence of {} is verified", verified.image.digest));
        }
    }
    Ok(if policy.signer.is_some() { StepOutput::Evidence(evidence) } else { StepOutput::Nothing })
}
