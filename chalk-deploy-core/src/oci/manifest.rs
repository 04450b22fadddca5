//! Manifests and tags.
//!
//! # Removing a tag
//!
//! The specification lets a registry refuse to delete by tag (400 or 405), and many do; ECR answers 404 to a tag that
//! it has. Deleting the manifest instead would take every other tag of it along, and the image away from the nodes. So
//! where the tag stays, it is first pointed at a tombstone, a manifest that holds nothing and that no other tag points
//! to, and then that one is deleted by its digest, which takes the tag along. Before the tag is touched at all, a
//! tombstone without a tag shows whether the registry deletes anything by digest. Where it does not, the tag is left
//! as it is and `PERMISSION_DENIED` says so. Stopped anywhere in between, the tag points to the image or to the
//! tombstone; repeating the call goes on from there.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci_distribution::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
};
use serde_json::Value;

use super::blob::{CONTENT_DIGEST, same_digest};
use super::client::{Answer, Call, Client};
use super::endpoint::Endpoint;
use super::token::Access;
use super::upload;
use crate::cloud::{ImageManifest, ManifestLocator, Payload};
use crate::model::{Digest, ImageTag, Repository};
use crate::transport::RequestBody;
use crate::{Error, ErrorCode, Result};

/// The largest manifest that registries take (OCI distribution specification, *Pushing Manifests*).
pub(super) const LARGEST: usize = 4 << 20;

pub(super) async fn get(
    client: &Client,
    repository: &Repository,
    locator: &ManifestLocator,
) -> Result<Option<ImageManifest>> {
    let endpoint = client.endpoint(repository)?;
    let (reference, subject) = match locator {
        ManifestLocator::Digest(digest) => (digest.to_string(), format!("{repository}@{digest}")),
        ManifestLocator::Tag(tag) => (tag.to_string(), format!("{repository}:{tag}")),
    };
    let mut answer = client.send(&reading(&endpoint, Method::GET, &reference, Access::Pull)?).await?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        _ => return Err(answer.error(client, "hand out a manifest", subject).await),
    }
    if let Some(coding) = answer.headers.get(CONTENT_ENCODING).filter(|coding| *coding != "identity") {
        // Nobody asked for it, and the digest is that of the bytes before.
        let coding = crate::text::line(&String::from_utf8_lossy(coding.as_bytes()), 40);
        let message = format!("the registry sent a manifest in the coding `{coding}`, which was not asked for");
        return Err(Error::new(ErrorCode::CloudAnswerInvalid, message).on(subject));
    }
    let bytes = answer.bytes(client, LARGEST).await?;
    let manifest = identified(&answer.headers, bytes).map_err(|error| error.on(&subject))?;
    let digest = manifest.digest();
    match locator {
        ManifestLocator::Digest(asked) if *asked != digest => {
            return Err(Error::new(ErrorCode::ImageMismatch, format!("the registry sent {digest}")).on(subject));
        }
        ManifestLocator::Digest(_) => {}
        ManifestLocator::Tag(_) => same_digest(&answer.headers, &digest, repository)?,
    }
    Ok(Some(manifest))
}

pub(super) async fn put(
    client: &Client,
    repository: &Repository,
    manifest: &ImageManifest,
    tag: Option<&ImageTag>,
) -> Result<Digest> {
    let endpoint = client.endpoint(repository)?;
    check(manifest)?;
    if is_there(client, &endpoint, manifest, tag).await? {
        return Ok(manifest.digest());
    }
    store(client, &endpoint, repository, manifest, tag).await
}

/// Whether the repository has this manifest, under this tag if one is given. One request.
pub(super) async fn is_there(
    client: &Client,
    endpoint: &Endpoint,
    manifest: &ImageManifest,
    tag: Option<&ImageTag>,
) -> Result<bool> {
    is_at(client, endpoint, &reference(manifest, tag), manifest).await
}

fn reference(manifest: &ImageManifest, tag: Option<&ImageTag>) -> String {
    tag.map_or_else(|| manifest.digest().to_string(), ToString::to_string)
}

/// Refuses what no registry takes, before anything is sent.
fn check(manifest: &ImageManifest) -> Result<HeaderValue> {
    let invalid =
        |message: &str| Error::new(ErrorCode::ValueInvalid, message).on(format!("manifest {}", manifest.digest()));
    if manifest.bytes.len() > LARGEST {
        return Err(invalid("the manifest is larger than the 4 MiB that registries take"));
    }
    HeaderValue::from_str(&manifest.media_type).map_err(|_| invalid("the manifest's media type is none"))
}

/// Stores a manifest without asking whether it is there.
pub(super) async fn store(
    client: &Client,
    endpoint: &Endpoint,
    repository: &Repository,
    manifest: &ImageManifest,
    tag: Option<&ImageTag>,
) -> Result<Digest> {
    let digest = manifest.digest();
    let subject = tag.map_or_else(|| format!("{repository}@{digest}"), |tag| format!("{repository}:{tag}"));
    let media_type = check(manifest)?;
    let reference = reference(manifest, tag);
    let call = Call::new(endpoint, Method::PUT, address(endpoint, &reference)?, Access::Push)
        .header(CONTENT_TYPE, media_type)
        .header(CONTENT_LENGTH, HeaderValue::from(manifest.bytes.len()))
        .body(RequestBody::Bytes(manifest.bytes.clone()));
    let answer = match client.send(&call).await {
        Ok(answer) => answer,
        // The answer may be lost after the effect.
        Err(error) => {
            let there = is_at(client, endpoint, &reference, manifest).await.unwrap_or(false);
            return if there { Ok(digest) } else { Err(error) };
        }
    };
    if answer.status.is_success() {
        same_digest(&answer.headers, &digest, repository)?;
        return Ok(digest);
    }
    let refusal = answer.refusal(client).await;
    if refusal.is_temporary() && is_at(client, endpoint, &reference, manifest).await.unwrap_or(false) {
        return Ok(digest);
    }
    if refusal.names_missing_content() {
        return Err(Error::new(
            ErrorCode::ObjectMissing,
            format!("the repository does not hold all that the manifest names: {}", refusal.words),
        )
        .on(subject)
        .with_hint("push its blobs first"));
    }
    if let Some(tag) = tag
        && refusal.names_immutable_tag()
    {
        match tagged(client, endpoint, repository, tag).await? {
            Some(pointed) if pointed == digest => return Ok(digest),
            Some(elsewhere) => {
                return Err(Error::new(
                    ErrorCode::ObjectExists,
                    format!("the tag is immutable and points to {elsewhere}"),
                )
                .on(subject)
                .with_hint("use another tag, or let the repository's tags be moved; nothing was overwritten"));
            }
            None => {}
        }
    }
    Err(refusal.into_error("store a manifest", subject))
}

/// Removes a tag and nothing else; see the head of this file.
pub(super) async fn remove_tag(client: &Client, repository: &Repository, tag: &ImageTag) -> Result<()> {
    let endpoint = client.endpoint(repository)?;
    let subject = format!("{repository}:{tag}");
    let answer = delete(client, &endpoint, tag.as_str()).await?;
    let refusal = match answer.status {
        status if status.is_success() => return Ok(()),
        StatusCode::NOT_FOUND
        | StatusCode::BAD_REQUEST
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::NOT_IMPLEMENTED => answer.refusal(client).await,
        _ => return Err(answer.error(client, "remove a tag", subject).await),
    };
    if tagged(client, &endpoint, repository, tag).await?.is_none() {
        return Ok(());
    }
    tracing::debug!(status = refusal.status.as_u16(), "the registry does not delete by tag; the tag gets a tombstone");
    bury(client, &endpoint, repository, tag).await
}

async fn bury(client: &Client, endpoint: &Endpoint, repository: &Repository, tag: &ImageTag) -> Result<()> {
    let subject = format!("{repository}:{tag}");
    let refused = |words: &str| {
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        Error::new(ErrorCode::PermissionDenied, format!("the registry removes neither tags nor manifests{said}"))
            .on(&subject)
            .with_hint("remove the tag with the provider's own tools, or let a lifecycle rule do it")
    };
    let empty = Payload::from_bytes("{}");
    upload::push(client, repository, &empty, true, None).await?;
    let tombstone = tombstone(repository, tag, &empty);
    put(client, repository, &tombstone, None).await?;
    let answer = delete(client, endpoint, &tombstone.digest().to_string()).await?;
    if !answer.status.is_success() {
        let refusal = answer.refusal(client).await;
        return Err(if refusal.is_temporary() {
            refusal.into_error("remove a tag", subject)
        } else {
            refused(&refusal.words)
        });
    }
    put(client, repository, &tombstone, Some(tag.clone()).as_ref()).await?;
    let answer = delete(client, endpoint, &tombstone.digest().to_string()).await?;
    if !answer.status.is_success() && answer.status != StatusCode::NOT_FOUND {
        return Err(answer.error(client, "remove a tag", subject).await);
    }
    // A registry may keep the two apart, and the tag with it.
    match tagged(client, endpoint, repository, tag).await? {
        None => Ok(()),
        Some(_) => Err(refused("")),
    }
}

/// A manifest that holds nothing and is the tombstone of this one tag.
fn tombstone(repository: &Repository, tag: &ImageTag, empty: &Payload) -> ImageManifest {
    const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    let descriptor = serde_json::json!({"mediaType": EMPTY, "digest": empty.sha256(), "size": empty.size()});
    let document = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_MEDIA_TYPE,
        "artifactType": "application/vnd.chalk.tombstone.v1",
        "config": descriptor,
        "layers": [descriptor],
        "annotations": {"chalk.ai/tombstone-of": format!("{repository}:{tag}")},
    });
    ImageManifest { media_type: OCI_IMAGE_MEDIA_TYPE.to_owned(), bytes: document.to_string().into() }
}

async fn delete(client: &Client, endpoint: &Endpoint, reference: &str) -> Result<Answer> {
    client.send(&Call::new(endpoint, Method::DELETE, address(endpoint, reference)?, Access::Delete)).await
}

/// Whether the registry has this manifest, with its media type, under this reference.
async fn is_at(client: &Client, endpoint: &Endpoint, reference: &str, manifest: &ImageManifest) -> Result<bool> {
    let answer = client.send(&reading(endpoint, Method::HEAD, reference, Access::Push)?).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(false);
    }
    if !answer.status.is_success() {
        return Err(answer.error(client, "look for a manifest", format!("{reference} at {}", endpoint.host())).await);
    }
    let said = answer.headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok());
    let same = said.map_or(reference == manifest.digest().to_string(), |said| said == manifest.digest().to_string());
    let typed = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Ok(same && typed.is_none_or(|typed| bare(typed) == manifest.media_type))
}

/// What a tag points to.
async fn tagged(
    client: &Client,
    endpoint: &Endpoint,
    repository: &Repository,
    tag: &ImageTag,
) -> Result<Option<Digest>> {
    let answer = client.send(&reading(endpoint, Method::HEAD, tag.as_str(), Access::Pull)?).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let said = answer.headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()?.parse().ok());
    match said {
        Some(digest) if answer.status.is_success() => Ok(Some(digest)),
        // A registry that does not say it, or not to HEAD.
        _ => {
            let manifest = get(client, repository, &ManifestLocator::Tag(tag.clone())).await?;
            Ok(manifest.map(|manifest| manifest.digest()))
        }
    }
}

fn reading<'a>(endpoint: &'a Endpoint, method: Method, reference: &str, access: Access) -> Result<Call<'a>> {
    let mut call = Call::new(endpoint, method, address(endpoint, reference)?, access);
    for media_type in [
        OCI_IMAGE_MEDIA_TYPE,
        OCI_IMAGE_INDEX_MEDIA_TYPE,
        IMAGE_MANIFEST_MEDIA_TYPE,
        IMAGE_MANIFEST_LIST_MEDIA_TYPE,
        // What we stored ourselves under another type is handed out too.
        "*/*",
    ] {
        call = call.header(ACCEPT, HeaderValue::from_static(media_type));
    }
    Ok(call)
}

fn address(endpoint: &Endpoint, reference: &str) -> Result<url::Url> {
    endpoint.at(&format!("manifests/{reference}"))
}

/// A manifest under the one name that it has. The media type is what the registry says; where that says nothing, what
/// the document says. A document that is an image and an index at once, or that calls itself another thing than the
/// registry does, is read by some as the one and by others as the other (CVE-2021-41190), and refused.
fn identified(headers: &HeaderMap, bytes: Bytes) -> Result<ImageManifest> {
    let ambiguous = |message: String| {
        Error::new(ErrorCode::ImageMismatch, message)
            .with_hint("push the image again, with a client that names it once")
    };
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(bare).unwrap_or_default();
    let says_nothing = matches!(said, "" | "application/json" | "application/octet-stream" | "text/plain");
    let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let own = document.get("mediaType").and_then(Value::as_str);
    if let Some(own) = own.filter(|own| !says_nothing && *own != said) {
        let (own, said) = (crate::text::line(own, 100), crate::text::line(said, 100));
        return Err(ambiguous(format!("the manifest says that it is `{own}`, and the registry that it is `{said}`")));
    }
    let is_index = document.get("manifests").is_some();
    if is_index && (document.get("config").is_some() || document.get("layers").is_some()) {
        return Err(ambiguous("the manifest is an image and an index at once".to_owned()));
    }
    let media_type = match (says_nothing, own) {
        (false, _) => said.to_owned(),
        (true, Some(own)) => crate::text::line(own, 200),
        (true, None) if is_index => OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned(),
        (true, None) => OCI_IMAGE_MEDIA_TYPE.to_owned(),
    };
    Ok(ImageManifest { media_type, bytes })
}

fn bare(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}
