//! The build that a container does: the in-process builder's, and the images pushed from there.
//!
//! `examples/build_image` is this as a program. It holds what the container's identity gives it (the source bucket for
//! reading, the base images' registry for reading, the environment's repositories for writing), and nothing goes back
//! to whoever started it but lines and a [`BuildReport`].

use super::report::{BuildLine, BuildReport, ReportedImage};
use crate::cloud::{BuildEvent, BuildRequest, Builder, ImageContents, ImageManifest, Registry};
use crate::model::{BuiltImage, Repository};
use crate::{Error, ErrorCode, Result, text};

/// The whole of such a container: what it writes line by line, and what it leaves at its end.
pub async fn run(
    request: &BuildRequest,
    builder: &dyn Builder,
    registry: &dyn Registry,
    write: &mut (dyn FnMut(String) + Send),
) -> BuildReport {
    let mut say = |event: &BuildEvent| {
        write(BuildLine { step: event.step.clone(), line: event.line.clone() }.to_json());
    };
    match build_and_push(request, builder, registry, &mut say).await {
        Ok(images) => BuildReport::Images(images),
        Err(error) => {
            write(BuildLine { step: "error".to_owned(), line: error.sentence() }.to_json());
            BuildReport::Error(error.record())
        }
    }
}

/// Builds what a request asks for, and pushes each image by digest into its repository, without a tag. What the
/// registry holds is not sent again. Every line goes to `say` as it comes.
///
/// # Errors
/// The builder's and the registry's.
pub async fn build_and_push(
    request: &BuildRequest,
    builder: &dyn Builder,
    registry: &dyn Registry,
    say: &mut (dyn FnMut(&BuildEvent) + Send),
) -> Result<Vec<ReportedImage>> {
    builder.submit(request).await?;
    let mut seen = 0;
    let images = loop {
        let (events, end) = builder.state(&request.deployment, seen).await?.into_parts();
        for event in events {
            seen = seen.max(event.number);
            say(&event);
        }
        if let Some(end) = end {
            break end?;
        }
    };
    let contents = builder.contents().ok_or_else(|| {
        Error::new(ErrorCode::Internal, "the builder holds no images").on(format!("build of {}", request.deployment))
    })?;
    let mut reported = Vec::new();
    for image in &images {
        let repository = repository(request, image)?;
        let sent = push(registry, &*contents, repository, image).await?;
        let digest = image.manifest.digest;
        seen += 1;
        let line = format!("{} is {repository}@{digest}, with {} sent", image.component, text::bytes(sent));
        say(&BuildEvent { number: seen, step: "push".to_owned(), line });
        reported.push(ReportedImage { component: image.component, digest });
    }
    Ok(reported)
}

/// The repository that a request names for an image.
fn repository<'request>(request: &'request BuildRequest, image: &BuiltImage) -> Result<&'request Repository> {
    let pairs = request.base_images.iter().zip(&request.repositories);
    let found = pairs.into_iter().find(|(base, _)| base.component == image.component);
    found.map(|(_, repository)| repository).ok_or_else(|| {
        Error::new(ErrorCode::RequestInvalid, "the request names no repository for it")
            .on(format!("image of {}", image.component))
    })
}

/// Pushes an image, blobs first. How many bytes were sent.
async fn push(
    registry: &dyn Registry,
    contents: &dyn ImageContents,
    repository: &Repository,
    image: &BuiltImage,
) -> Result<u64> {
    let mut sent = 0;
    for blob in &image.blobs {
        if !registry.has_blob(repository, &blob.digest).await? {
            registry.push_blob(repository, &contents.blob(blob).await?).await?;
            sent += blob.size;
        }
    }
    let bytes = contents.manifest(&image.manifest).await?;
    let manifest = ImageManifest { media_type: image.manifest.media_type.clone(), bytes };
    let stored = registry.put_manifest(repository, &manifest, None).await?;
    if stored == image.manifest.digest {
        return Ok(sent);
    }
    Err(Error::new(ErrorCode::ImageMismatch, format!("the registry stored {stored}, not {}", image.manifest.digest))
        .on(repository))
}
