//! Stage 2: source and dependencies layered on the platform's base images; the objects that run them generated.
//!
//! *Takes* the [`ArchiveReference`](crate::model::ArchiveReference). *Hands on* the [`BuiltRelease`]. *Idempotent* by
//! deployment id; equal inputs give equal digests. *Undone* by stopping the build.

use std::collections::BTreeMap;
use std::time::Duration;

use super::context::StepContext;
use crate::cloud::BuildRequest;
use crate::machine::StepOutput;
use crate::manifests::{self, WorkloadSettings};
use crate::model::{BuiltImage, BuiltRelease, ImageReference};
use crate::{Error, ErrorCode, Result, text};

/// Between two questions, when the builder had no news.
const POLL: Duration = Duration::from_millis(200);

/// Submits the build, or finds it again, and follows it to its end.
pub(super) async fn build_images(context: &StepContext) -> Result<StepOutput> {
    let builder = &context.plane.cloud.builder;
    let plan = context.plan();
    context.plane.boundary.permits(builder.place(&plan.settings)?)?;
    builder.submit(&request(context)?).await?;
    let mut seen = 0;
    loop {
        let (events, end) = builder.state(&plan.id, seen).await?.into_parts();
        let quiet = events.is_empty();
        for event in events {
            seen = seen.max(event.number);
            context.reporter.line(&format!("{}: {}", text::line(&event.step, 60), event.line));
        }
        match end {
            Some(images) => return Ok(StepOutput::Release(release(context, images?)?)),
            None if quiet => context.runtime.sleep(POLL).await,
            None => {}
        }
    }
}

/// Stops the build, if it still runs.
pub(super) async fn stop_build(context: &StepContext) -> Result<StepOutput> {
    context.plane.cloud.builder.stop(&context.plan().id).await?;
    Ok(StepOutput::Nothing)
}

fn request(context: &StepContext) -> Result<BuildRequest> {
    let (plane, plan) = (&context.plane, context.plan());
    let repositories: Result<Vec<_>> = plane.base_images.iter().map(|base| plane.repository(base.component)).collect();
    let (platform, more) = plane.platforms.split_first().ok_or_else(|| {
        Error::new(ErrorCode::RequestInvalid, "the environment names no platform to build for")
            .on(format!("environment `{}`", plane.environment))
    })?;
    Ok(BuildRequest {
        deployment: plan.id.clone(),
        source: context.archive()?.clone(),
        base_images: plane.base_images.clone(),
        repositories: repositories?,
        requirements: plan.requirements.clone(),
        settings: plan.settings.clone(),
        platform: platform.to_string(),
        more_platforms: more.to_vec(),
    })
}

fn release(context: &StepContext, mut images: Vec<BuiltImage>) -> Result<BuiltRelease> {
    images.sort_by_key(|image| image.component);
    let mut references = BTreeMap::new();
    for image in &images {
        let repository = context.plane.repository(image.component)?;
        let reference = ImageReference { repository, digest: image.manifest.digest };
        if references.insert(image.component, reference).is_some() {
            return Err(Error::new(ErrorCode::CloudAnswerInvalid, "the builder made two images of one component")
                .on(image.component));
        }
    }
    let manifests = manifests::generate(context.plan(), &references, &WorkloadSettings::of(&context.plane))?;
    Ok(BuiltRelease { images, manifests })
}
