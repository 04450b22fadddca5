//! What every [`Builder`] does.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::cloud::{BuildEvent, BuildRequest, Builder};
use chalk_deploy_core::model::{
    ArchiveReference, BaseImage, BuiltImage, DeploymentId, Digest, ImageLocation, ObjectKey, ProjectSettings,
    Repository,
};
use chalk_deploy_core::{ErrorCode, Result};
use serde_json::Value;

use super::{Fresh, Verdict, Violation, ensure, refused, suite};

suite! { "builder", dyn BuilderHarness;
    a_build_ends_with_one_image_for_each_base_image,
    events_are_numbered_from_one_without_gaps_and_told_once,
    equal_content_gives_equal_images,
    another_archive_gives_other_images,
    submitting_again_starts_no_second_build,
    an_archive_that_is_not_there_is_refused_and_nothing_is_built,
    a_project_that_cannot_be_built_is_refused,
    a_build_that_was_never_submitted_is_lost,
    stopping_forgets_the_build_and_may_be_repeated,
    the_images_are_what_their_digests_say,
}

/// The builder under test.
#[async_trait]
pub trait BuilderHarness: fmt::Debug + Send + Sync {
    /// The builder.
    fn builder(&self) -> Arc<dyn Builder>;

    /// Puts an archive of a small project, which differs with `content`, where the builder reads its sources.
    async fn upload(&self, key: &ObjectKey, content: &str) -> Result<ArchiveReference>;

    /// Base images that the builder can build on.
    fn base_images(&self) -> Vec<BaseImage>;

    /// The repository that the images of a check are for.
    fn repository(&self, fresh: &Fresh) -> Result<Repository>;
}

/// A build ends with one image for each base image, ordered by component.
pub async fn a_build_ends_with_one_image_for_each_base_image(harness: &dyn BuilderHarness, fresh: &Fresh) -> Verdict {
    let request = request(harness, fresh, "a", "content").await?;
    harness.builder().submit(&request).await?;
    let (_, images) = finish(harness, &request.deployment).await?;
    let mut expected: Vec<_> = request.base_images.iter().map(|base| base.component).collect();
    expected.sort_unstable();
    let built: Vec<_> = images.iter().map(|image| image.component).collect();
    ensure!(built == expected, "built {built:?}, expected {expected:?}");
    Ok(())
}

/// Events are numbered from one without gaps, and a number asked for is not told again.
pub async fn events_are_numbered_from_one_without_gaps_and_told_once(
    harness: &dyn BuilderHarness,
    fresh: &Fresh,
) -> Verdict {
    let request = request(harness, fresh, "a", "content").await?;
    harness.builder().submit(&request).await?;
    let (events, _) = finish(harness, &request.deployment).await?;
    ensure!(!events.is_empty(), "the build has said nothing");
    let numbers: Vec<_> = events.iter().map(|event| event.number).collect();
    ensure!(numbers.iter().copied().eq(1..=events.len() as u64), "the events are numbered {numbers:?}");
    let (late, _) = finish(harness, &request.deployment).await?;
    ensure!(late == events, "a late listener hears something else: {late:?}");
    let (rest, end) = harness.builder().state(&request.deployment, events.len() as u64).await?.into_parts();
    ensure!(rest.is_empty() && end.is_some(), "after the last event the builder still says {rest:?}");
    Ok(())
}

/// Equal content gives equal images, whatever the deployment.
pub async fn equal_content_gives_equal_images(harness: &dyn BuilderHarness, fresh: &Fresh) -> Verdict {
    let mut digests = Vec::new();
    for name in ["a", "b"] {
        let request = request(harness, fresh, name, "content").await?;
        harness.builder().submit(&request).await?;
        let (_, images) = finish(harness, &request.deployment).await?;
        digests.push(images.iter().map(|image| image.manifest.digest).collect::<Vec<_>>());
    }
    ensure!(digests[0] == digests[1], "the images are {digests:?}");
    Ok(())
}

/// Another archive gives other images.
pub async fn another_archive_gives_other_images(harness: &dyn BuilderHarness, fresh: &Fresh) -> Verdict {
    let mut digests = Vec::new();
    for (name, content) in [("a", "content"), ("b", "other_content")] {
        let request = request(harness, fresh, name, content).await?;
        harness.builder().submit(&request).await?;
        let (_, images) = finish(harness, &request.deployment).await?;
        digests.extend(images.first().map(|image| image.manifest.digest));
    }
    ensure!(digests[0] != digests[1], "both archives give {}", digests[0]);
    Ok(())
}

/// Submitting again, before the end and after it, starts no second build.
pub async fn submitting_again_starts_no_second_build(harness: &dyn BuilderHarness, fresh: &Fresh) -> Verdict {
    let request = request(harness, fresh, "a", "content").await?;
    harness.builder().submit(&request).await?;
    harness.builder().submit(&request).await?;
    let first = finish(harness, &request.deployment).await?;
    harness.builder().submit(&request).await?;
    let second = finish(harness, &request.deployment).await?;
    ensure!(first == second, "the build has run again");
    Ok(())
}

/// An archive that is not there is refused, and nothing is built.
pub async fn an_archive_that_is_not_there_is_refused_and_nothing_is_built(
    harness: &dyn BuilderHarness,
    fresh: &Fresh,
) -> Verdict {
    let mut request = request(harness, fresh, "a", "content").await?;
    request.source.key = fresh.key("nothing")?;
    refused(harness.builder().submit(&request).await, ErrorCode::ObjectMissing, "building nothing")?;
    let state = harness.builder().state(&request.deployment, 0).await;
    refused(state, ErrorCode::BuildLost, "asking about the refused build").map(drop)
}

/// A project that cannot be built is refused.
pub async fn a_project_that_cannot_be_built_is_refused(harness: &dyn BuilderHarness, fresh: &Fresh) -> Verdict {
    let mut request = request(harness, fresh, "a", "content").await?;
    request.base_images.clear();
    request.repositories.clear();
    refused(harness.builder().submit(&request).await, ErrorCode::RequestInvalid, "building on nothing").map(drop)
}

/// A build that was never submitted is lost.
pub async fn a_build_that_was_never_submitted_is_lost(harness: &dyn BuilderHarness, fresh: &Fresh) -> Verdict {
    let state = harness.builder().state(&fresh.deployment("never")?, 0).await;
    refused(state, ErrorCode::BuildLost, "asking about it").map(drop)
}

/// Stopping forgets the build, and may be repeated.
pub async fn stopping_forgets_the_build_and_may_be_repeated(harness: &dyn BuilderHarness, fresh: &Fresh) -> Verdict {
    let request = request(harness, fresh, "a", "content").await?;
    let builder = harness.builder();
    builder.stop(&request.deployment).await?;
    builder.submit(&request).await?;
    for _ in 0..2 {
        builder.stop(&request.deployment).await?;
        refused(builder.state(&request.deployment, 0).await, ErrorCode::BuildLost, "asking about a stopped build")?;
    }
    builder.submit(&request).await?;
    finish(harness, &request.deployment).await.map(drop)
}

/// The images are what their digests say: the manifest names exactly the blobs, in the order of the image.
pub async fn the_images_are_what_their_digests_say(harness: &dyn BuilderHarness, fresh: &Fresh) -> Verdict {
    let request = request(harness, fresh, "a", "content").await?;
    let builder = harness.builder();
    builder.submit(&request).await?;
    let (_, images) = finish(harness, &request.deployment).await?;
    for image in &images {
        let Some(contents) = builder.contents() else {
            ensure!(matches!(image.location, ImageLocation::Registry(_)), "nobody holds the image");
            continue;
        };
        ensure!(image.location == ImageLocation::Builder, "the image is at {:?}", image.location);
        let bytes = contents.manifest(&image.manifest).await?;
        ensure!(Digest::of(&bytes) == image.manifest.digest, "the manifest is not {}", image.manifest.digest);
        ensure!(bytes.len() as u64 == image.manifest.size, "the manifest has {} bytes", bytes.len());
        let manifest: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Violation::new(format!("the manifest is no JSON: {error}")))?;
        let layers = manifest["layers"].as_array().into_iter().flatten();
        let named: Vec<_> = [&manifest["config"]].into_iter().chain(layers).map(|blob| &blob["digest"]).collect();
        let blobs: Vec<_> = image.blobs.iter().map(|blob| Value::from(blob.digest.to_string())).collect();
        ensure!(named == blobs.iter().collect::<Vec<_>>(), "the manifest names {named:?}, the image {blobs:?}");
        for blob in &image.blobs {
            let payload = contents.blob(blob).await?;
            ensure!(payload.sha256() == blob.digest && payload.size() == blob.size, "the blob is {payload:?}");
            payload.bytes().await?;
        }
    }
    Ok(())
}

async fn request(harness: &dyn BuilderHarness, fresh: &Fresh, name: &str, content: &str) -> Result<BuildRequest> {
    let base_images = harness.base_images();
    let repository = harness.repository(fresh)?;
    Ok(BuildRequest {
        deployment: fresh.deployment(name)?,
        source: harness.upload(&fresh.key(name)?, content).await?,
        repositories: vec![repository; base_images.len()],
        base_images,
        requirements: Vec::new(),
        settings: ProjectSettings::default(),
        platform: "linux/amd64".to_owned(),
        more_platforms: Vec::new(),
    })
}

async fn finish(
    harness: &dyn BuilderHarness,
    deployment: &DeploymentId,
) -> Result<(Vec<BuildEvent>, Vec<BuiltImage>), Violation> {
    let (events, images) = crate::following::follow(&*harness.builder(), deployment).await;
    Ok((events, images?))
}
