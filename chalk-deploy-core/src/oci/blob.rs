//! Reading blobs.

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_LENGTH, LOCATION, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::client::{Answer, Call, Client};
use super::download;
use super::endpoint::Endpoint;
use super::token::Access;
use super::trust;
use crate::cloud::ByteStream;
use crate::model::{Digest, Repository};
use crate::{Error, ErrorCode, Result};

/// The header in which a registry says what it holds.
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";

const REDIRECTS_MOST: usize = 5;

pub(super) async fn has(client: &Client, repository: &Repository, digest: &Digest) -> Result<bool> {
    let endpoint = client.endpoint(repository)?;
    is_there(client, &endpoint, repository, digest, None, Access::Pull).await
}

/// Asks with this access, so that what comes next needs no other token. What is there must have the digest and, where
/// one is expected, the length.
pub(super) async fn is_there(
    client: &Client,
    endpoint: &Endpoint,
    repository: &Repository,
    digest: &Digest,
    expected: Option<u64>,
    access: Access,
) -> Result<bool> {
    let answer = fetch(client, endpoint, Method::HEAD, digest, access, 0).await?;
    match answer.status {
        StatusCode::OK | StatusCode::NO_CONTENT => {
            same_digest(&answer.headers, digest, repository)?;
            same_length(&answer.headers, digest, expected, repository)?;
            Ok(true)
        }
        StatusCode::NOT_FOUND => Ok(false),
        _ => Err(answer.error(client, "look for a blob", format!("{repository}@{digest}")).await),
    }
}

pub(super) async fn pull(client: &Arc<Client>, repository: &Repository, digest: &Digest) -> Result<ByteStream> {
    let endpoint = client.endpoint(repository)?;
    let answer = fetch(client, &endpoint, Method::GET, digest, Access::Pull, 0).await?;
    match answer.status {
        StatusCode::OK => {
            same_digest(&answer.headers, digest, repository)?;
            Ok(download::stream(client.clone(), endpoint, *digest, answer.body))
        }
        _ => Err(answer.error(client, "hand out a blob", format!("{repository}@{digest}")).await),
    }
}

/// Reads a blob from this byte on, wherever the registry keeps it. Registries send readers on to a store with a signed
/// address.
pub(super) async fn fetch(
    client: &Client,
    endpoint: &Endpoint,
    method: Method,
    digest: &Digest,
    access: Access,
    from: u64,
) -> Result<Answer> {
    let url = endpoint.at(&format!("blobs/{digest}"))?;
    let mut call = Call::new(endpoint, method, url, access).header(ACCEPT, HeaderValue::from_static("*/*"));
    if from > 0 {
        let range = HeaderValue::from_str(&format!("bytes={from}-"));
        call = call.header(RANGE, range.unwrap_or(HeaderValue::from_static("bytes=0-")));
    }
    for _ in 0..=REDIRECTS_MOST {
        let answer = client.send(&call).await?;
        if !is_redirect(answer.status) {
            return Ok(answer);
        }
        call.url = trust::redirect(endpoint, &call.url, answer.headers.get(LOCATION))?;
        // Whoever has left the registry comes back to it as a stranger.
        call.to_registry &= endpoint.is_origin_of(&call.url);
    }
    Err(Error::new(ErrorCode::CloudAnswerInvalid, "the registry sends us from one address to the next")
        .on(format!("blob {digest} at {}", endpoint.host())))
}

const fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Refuses an answer that says it is about something else.
pub(super) fn same_digest(headers: &HeaderMap, digest: &Digest, repository: &Repository) -> Result<()> {
    let Some(said) = headers.get(CONTENT_DIGEST) else { return Ok(()) };
    if said.to_str().is_ok_and(|said| said == digest.to_string()) {
        return Ok(());
    }
    let said = crate::text::line(&String::from_utf8_lossy(said.as_bytes()), 100);
    Err(Error::new(ErrorCode::ImageMismatch, format!("the registry says that it is `{said}`"))
        .on(format!("{repository}@{digest}")))
}

/// Refuses what is there with another length. A registry that does not say it is believed.
fn same_length(headers: &HeaderMap, digest: &Digest, expected: Option<u64>, repository: &Repository) -> Result<()> {
    let said = headers.get(CONTENT_LENGTH).and_then(|said| said.to_str().ok()?.trim().parse::<u64>().ok());
    match (said.filter(|said| *said > 0), expected) {
        (Some(said), Some(expected)) if said != expected => {
            let message = format!("the registry says that it has {said} bytes, and it has {expected}");
            Err(Error::new(ErrorCode::ImageMismatch, message).on(format!("{repository}@{digest}")))
        }
        _ => Ok(()),
    }
}
