//! Blobs: reading, whole or in part, and deleting.

use chalk_deploy_core::cloud::ByteStream;
use futures::StreamExt as _;
use http::header::{ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{Method, Response, StatusCode};

use super::digest::ContentDigest;
use super::refusal::{self, Answer, Refusal};
use super::route::STORAGE;
use super::settings::Downloads;
use super::{CONTENT_DIGEST, Incoming, RegistryServer, answer, set, storage};

/// How long a redirect to the storage is good for, in seconds.
const REDIRECT_LIFETIME: u64 = 1200;

impl RegistryServer {
    pub(super) fn read_blob(&self, request: &Incoming, repository: &str, digest: &ContentDigest) -> Answer {
        let size = self.held_blob(repository, digest)?;
        match &self.settings.downloads {
            Downloads::Storage { host } if request.method == Method::GET => {
                let scheme = request.origin.split("://").next().unwrap_or("http");
                let origin = host.as_ref().map_or_else(|| request.origin.clone(), |host| format!("{scheme}://{host}"));
                let expires = self.runtime.now().as_millis() / 1000 + REDIRECT_LIFETIME;
                let signature = self.signer.sign(&permit(repository, digest, expires));
                let place = format!("{origin}/{STORAGE}/{repository}/{digest}?expires={expires}&signature={signature}");
                let mut response = answer(StatusCode::TEMPORARY_REDIRECT);
                set(&mut response, LOCATION, &place);
                Ok(response)
            }
            _ => self.send_blob(request, digest, size),
        }
    }

    /// The storage behind the registry: a signature is its only credential.
    pub(super) fn read_storage(&self, request: &Incoming, repository: &str, digest: &ContentDigest) -> Answer {
        // As S3 answers a presigned request that also carries a header. On the own host it is rightly sent along.
        let elsewhere = matches!(self.settings.downloads, Downloads::Storage { host: Some(_) });
        if elsewhere && request.headers.contains_key(AUTHORIZATION) {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "DENIED", "only one way to authenticate is allowed"));
        }
        let expires = request.query.get("expires").and_then(|text| text.parse().ok()).unwrap_or_default();
        let signature = request.query.get("signature").unwrap_or_default();
        let in_time = self.runtime.now().as_millis() / 1000 < expires;
        if !in_time || !self.signer.is_signed(&permit(repository, digest, expires), signature) {
            return Err(refusal::denied("the signature is wrong or too old"));
        }
        self.send_blob(request, digest, self.held_blob(repository, digest)?)
    }

    pub(super) fn delete_blob(&self, repository: &str, digest: &ContentDigest) -> Answer {
        if !self.settings.deletions.blobs {
            return Err(refusal::unsupported("blobs are not deleted here"));
        }
        self.held_blob(repository, digest)?;
        // The bytes stay for other repositories until garbage is collected.
        self.storage.room.exclusively(|writer| writer.remove(&storage::link(repository, digest)))?;
        Ok(answer(StatusCode::ACCEPTED))
    }

    /// The size of a blob that a repository holds.
    fn held_blob(&self, repository: &str, digest: &ContentDigest) -> Result<u64, Refusal> {
        if let Some(size) = self.storage.blob_size(repository, digest)? {
            return Ok(size);
        }
        if self.storage.has_repository(repository)? {
            Err(refusal::blob_unknown("the repository does not hold this blob")
                .detail(serde_json::json!({"digest": digest.as_str()})))
        } else {
            Err(refusal::name_unknown("there is no such repository"))
        }
    }

    fn send_blob(&self, request: &Incoming, digest: &ContentDigest, size: u64) -> Answer {
        let range = request.header(RANGE).filter(|_| request.method == Method::GET);
        let part = range.map_or(Part::Whole, |range| Part::of(range, size));
        let (status, first, length) = match part {
            Part::Whole => (StatusCode::OK, 0, size),
            Part::Bytes { first, length } => (StatusCode::PARTIAL_CONTENT, first, length),
            Part::Outside => {
                return Err(
                    refusal::range_invalid("the blob is shorter").header(CONTENT_RANGE, &format!("bytes */{size}"))
                );
            }
        };
        let bytes = self.storage.open_blob(digest)?.ok_or_else(|| refusal::blob_unknown("the blob is gone"))?;
        let mut response = Response::new(cut(bytes, first, length));
        *response.status_mut() = status;
        set(&mut response, CONTENT_LENGTH, &length.to_string());
        set(&mut response, CONTENT_TYPE, "application/octet-stream");
        set(&mut response, ACCEPT_RANGES, "bytes");
        set(&mut response, CONTENT_DIGEST, digest.as_str());
        if status == StatusCode::PARTIAL_CONTENT {
            set(&mut response, CONTENT_RANGE, &format!("bytes {first}-{}/{size}", first + length - 1));
        }
        Ok(response)
    }
}

fn permit(repository: &str, digest: &ContentDigest, expires: u64) -> String {
    format!("{repository} {digest} {expires}")
}

/// What a `Range` header asks for (RFC 9110, section 14).
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// All: there is no range, or one that a server ignores because it cannot read it or it is several.
    Whole,
    /// At least one byte.
    Bytes { first: u64, length: u64 },
    /// Nothing of it is there.
    Outside,
}

impl Part {
    fn of(header: &str, size: u64) -> Self {
        let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return Self::Whole;
        };
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
        let (first, last) = match (first, last) {
            ("", last) => match number(last) {
                Some(0) => return Self::Outside,
                Some(count) => (size.saturating_sub(count), size.saturating_sub(1)),
                None => return Self::Whole,
            },
            (first, "") => match number(first) {
                Some(first) => (first, size.saturating_sub(1)),
                None => return Self::Whole,
            },
            (first, last) => match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
                _ => return Self::Whole,
            },
        };
        if first >= size { Self::Outside } else { Self::Bytes { first, length: last - first + 1 } }
    }
}

/// A part of a stream.
fn cut(bytes: ByteStream, first: u64, length: u64) -> ByteStream {
    let end = first + length;
    bytes
        .scan(0_u64, move |position, piece| {
            let start = *position;
            let piece = piece.map(|piece| {
                *position += piece.len() as u64;
                let within =
                    |place: u64| usize::try_from(place.saturating_sub(start)).unwrap_or(usize::MAX).min(piece.len());
                piece.slice(within(first)..within(end))
            });
            futures::future::ready((start < end).then_some(piece))
        })
        .filter(|piece| futures::future::ready(!matches!(piece, Ok(piece) if piece.is_empty())))
        .boxed()
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, TryStreamExt as _};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let bytes = |first, length| Part::Bytes { first, length };
        for (header, size, expected) in [
            ("bytes=0-0", 10, bytes(0, 1)),
            ("bytes=2-", 10, bytes(2, 8)),
            ("bytes=-3", 10, bytes(7, 3)),
            ("bytes=-30", 10, bytes(0, 10)),
            ("bytes=5-99", 10, bytes(5, 5)),
            ("bytes=10-", 10, Part::Outside),
            ("bytes=-0", 10, Part::Outside),
            ("bytes=0-", 0, Part::Outside),
            ("bytes=5-2", 10, Part::Whole),
            ("bytes=0-1,3-4", 10, Part::Whole),
            ("bytes=+1-2", 10, Part::Whole),
            ("lines=1-2", 10, Part::Whole),
            ("bytes=99999999999999999999-", 10, Part::Whole),
        ] {
            assert_eq!(Part::of(header, size), expected, "{header} of {size}");
        }
    }

    proptest! {
        #[test]
        fn a_part_of_a_stream_is_that_of_its_bytes(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..8), at in 0_usize..20, length in 0_usize..20,
        ) {
            let whole = pieces.concat();
            let first = at.min(whole.len());
            let length = length.min(whole.len() - first);
            let stream = futures::stream::iter(pieces.into_iter().map(|piece| Ok(piece.into()))).boxed();
            let part = cut(stream, first as u64, length as u64).try_collect::<Vec<bytes::Bytes>>();
            let part = part.now_or_never().expect("nothing waits").expect("nothing fails");
            prop_assert_eq!(part.concat(), &whole[first..first + length]);
        }
    }
}
