//! What points at a manifest (OCI distribution specification 1.1, *Listing Referrers* and *Referrers Tag Schema*).
//!
//! # Where the registry keeps no list
//!
//! Then clients keep it: an index under the tag `sha256-<hex>`, which each writer reads, adds to and writes back. No
//! request of the protocol writes a tag only if it is still what was read, so two writers can lose each other's entry.
//! Therefore a writer looks again when the other has had time to write, and adds what is gone:
//!
//! ```text
//! read ── ours are in it ──────────────────────────────────────────────> done, if nothing was written or it has settled
//!   │ not
//!   └─ add them ── PUT tag ── wait (longer than the others need from their reading to their writing) ── read …
//! ```
//!
//! What this cannot see is a writer that stands still for longer than the wait between the two. Its write takes an entry
//! away that was there already; whoever verifies then says that it is missing, and attaching it again adds it.

use std::collections::BTreeSet;
use std::time::Duration;

use http::header::LINK;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci_distribution::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OciImageIndex};
use serde_json::{Value, json};
use url::Url;

use super::client::{Call, Client};
use super::endpoint::{Endpoint, resolve};
use super::manifest::{self, LARGEST};
use super::token::Access;
use crate::build::image::bytes as ordered_bytes;
use crate::cloud::{ImageManifest, ManifestLocator, Referrer};
use crate::model::{Descriptor, Digest, ImageTag, Repository};
use crate::{Error, ErrorCode, Result, text};

/// The most referrers of one manifest, and the most pages on which they come.
const REFERRERS_MOST: usize = 2000;
const PAGES_MOST: usize = 100;
/// From a writer's reading of the index to its writing it takes less than this.
const SETTLE: Duration = Duration::from_secs(1);
/// How often entries are added that others have overwritten, and how often a list is read that lags behind.
const ATTEMPTS: u32 = 8;

pub(super) async fn list(client: &Client, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
    let endpoint = client.endpoint(repository)?;
    if let Some(listed) = ask(client, &endpoint, repository, subject).await? {
        return Ok(listed);
    }
    match index(client, repository, subject).await? {
        Some(index) => read(&index.bytes, repository, subject),
        None => Ok(Vec::new()),
    }
}

pub(super) async fn attach(
    client: &Client,
    repository: &Repository,
    subject: &Digest,
    manifests: &[ImageManifest],
) -> Result<()> {
    let endpoint = client.endpoint(repository)?;
    for manifest in manifests {
        check(manifest, subject)?;
        manifest::put(client, repository, manifest, None).await?;
    }
    let mut wait = client.settings().retry.backoff;
    for _ in 0..ATTEMPTS {
        let Some(listed) = ask(client, &endpoint, repository, subject).await? else {
            return add(client, &endpoint, repository, subject, manifests).await;
        };
        let listed: BTreeSet<_> = listed.into_iter().map(|referrer| referrer.manifest.digest).collect();
        if manifests.iter().all(|manifest| listed.contains(&manifest.digest())) {
            return Ok(());
        }
        client.pause(wait).await;
        wait = wait.saturating_mul(2);
    }
    Err(Error::new(ErrorCode::CloudUnavailable, "the registry stored what points at the image and does not list it")
        .on(format!("{repository}@{subject}")))
}

/// What the registry lists, page by page; `None` where it keeps no list.
async fn ask(
    client: &Client,
    endpoint: &Endpoint,
    repository: &Repository,
    subject: &Digest,
) -> Result<Option<Vec<Referrer>>> {
    let invalid =
        |message: String| Error::new(ErrorCode::CloudAnswerInvalid, message).on(format!("{repository}@{subject}"));
    let first = endpoint.at(&format!("referrers/{subject}"))?;
    let mut url = first.clone();
    let mut listed = Vec::new();
    for page in 0..PAGES_MOST {
        let mut answer = client.send(&Call::new(endpoint, Method::GET, url.clone(), Access::Pull)).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND
            | StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED
                if page == 0 =>
            {
                return Ok(None);
            }
            _ => {
                return Err(answer
                    .error(client, "list what points at a manifest", format!("{repository}@{subject}"))
                    .await);
            }
        }
        let bytes = answer.bytes(client, LARGEST).await?;
        listed.extend(read(&bytes, repository, subject)?);
        if listed.len() > REFERRERS_MOST {
            break;
        }
        let Some(next) = next_page(&url, &answer.headers) else { return Ok(Some(listed)) };
        // The path is ours, so that the list of another image or of another repository is not taken for this one's.
        if !endpoint.is_origin_of(&next) || next.path() != first.path() {
            return Err(invalid("the registry's list of referrers goes on elsewhere".to_owned()));
        }
        url = next;
    }
    Err(invalid(format!("more than {REFERRERS_MOST} manifests point at the image, or on too many pages"))
        .with_hint("remove those that are not needed from the repository, and find out who may push there"))
}

/// The address behind `rel="next"` (RFC 8288, as registries write it).
fn next_page(from: &Url, headers: &HeaderMap) -> Option<Url> {
    headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|part| matches!(part.trim(), "rel=\"next\"" | "rel=next"));
        resolve(from, Some(&HeaderValue::from_str(target).ok()?)).filter(|_| is_next)
    })
}

fn read(bytes: &[u8], repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
    let invalid =
        |message: &str| Error::new(ErrorCode::CloudAnswerInvalid, message).on(format!("{repository}@{subject}"));
    let index: OciImageIndex = serde_json::from_slice(bytes)
        .map_err(|error| invalid("the registry's list of referrers is no index").caused_by(error))?;
    index
        .manifests
        .into_iter()
        .map(|entry| {
            let digest = entry.digest.parse().map_err(|_| invalid("a referrer has no sha256 digest"))?;
            let size = u64::try_from(entry.size).map_err(|_| invalid("a referrer has a negative size"))?;
            let manifest = Descriptor { media_type: text::line(&entry.media_type, 200), digest, size };
            Ok(Referrer { manifest, artifact_type: entry.artifact_type.map(|kind| text::line(&kind, 200)) })
        })
        .collect()
}

/// The tag under which clients keep the list.
fn tag(subject: &Digest) -> Result<ImageTag> {
    ImageTag::new(format!("sha256-{}", subject.hex()))
}

async fn index(client: &Client, repository: &Repository, subject: &Digest) -> Result<Option<ImageManifest>> {
    manifest::get(client, repository, &ManifestLocator::Tag(tag(subject)?)).await
}

/// Adds manifests to the index under the tag; see the head of this file.
async fn add(
    client: &Client,
    endpoint: &Endpoint,
    repository: &Repository,
    subject: &Digest,
    manifests: &[ImageManifest],
) -> Result<()> {
    let tag = tag(subject)?;
    for written in 0..ATTEMPTS {
        if written > 0 {
            // Two that write at the same moments would else go on doing so.
            client.runtime().sleep(SETTLE).await;
            client.pause(SETTLE).await;
        }
        let mut index = match index(client, repository, subject).await? {
            Some(found) => parse(&found, repository, &tag)?,
            None => json!({"schemaVersion": 2, "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE, "manifests": []}),
        };
        if !extend(&mut index, manifests) {
            return Ok(());
        }
        let bytes = ordered_bytes(&index).into();
        let manifest = ImageManifest { media_type: OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned(), bytes };
        manifest::store(client, endpoint, repository, &manifest, Some(&tag)).await?;
    }
    Err(Error::new(ErrorCode::ObjectConflict, "others keep writing the list of what points at the image")
        .on(format!("{repository}:{tag}"))
        .with_hint("resume when they are done; the evidence is stored, and not listed yet"))
}

/// The index as it is, with whatever it holds that is not known here.
fn parse(found: &ImageManifest, repository: &Repository, tag: &ImageTag) -> Result<Value> {
    let document: Value = serde_json::from_slice(&found.bytes).unwrap_or_default();
    let is_index = found.media_type == OCI_IMAGE_INDEX_MEDIA_TYPE;
    if is_index && document.get("manifests").is_some_and(Value::is_array) {
        return Ok(document);
    }
    Err(Error::new(ErrorCode::ObjectConflict, "the tag that stands for what points at the image holds something else")
        .on(format!("{repository}:{tag}"))
        .with_hint("remove the tag; nothing was overwritten"))
}

/// Adds the entries that are not there. False if there was nothing to add.
fn extend(index: &mut Value, manifests: &[ImageManifest]) -> bool {
    let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else { return false };
    let there: BTreeSet<String> =
        entries.iter().filter_map(|entry| entry.get("digest")?.as_str().map(str::to_owned)).collect();
    let before = entries.len();
    entries.extend(manifests.iter().filter(|manifest| !there.contains(&manifest.digest().to_string())).map(entry));
    entries.len() != before
}

/// The descriptor of a manifest among its subject's referrers.
fn entry(manifest: &ImageManifest) -> Value {
    let document: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    let mut entry = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest(),
        "size": manifest.bytes.len(),
    });
    // Where a manifest names no artifact type, its config's media type stands for it.
    let kind = document.get("artifactType").or_else(|| document.get("config")?.get("mediaType"));
    for (name, value) in [("artifactType", kind), ("annotations", document.get("annotations"))] {
        if let Some(value) = value {
            entry[name] = value.clone();
        }
    }
    entry
}

/// Refuses a manifest that points at something else: it would be listed nowhere, or where it does not belong.
fn check(manifest: &ImageManifest, subject: &Digest) -> Result<()> {
    let document: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    let named = document.get("subject").and_then(|subject| subject.get("digest")?.as_str());
    if named == Some(&subject.to_string()) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::ValueInvalid, "the manifest does not point at the image that it is to be attached to")
        .on(format!("manifest {}", manifest.digest())))
}
