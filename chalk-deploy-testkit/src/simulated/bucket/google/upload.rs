//! Resumable uploads ("Resumable uploads" of Google's documentation): a session, to which bytes go in their order.

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Digest;
use futures::StreamExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HOST, LOCATION, RANGE};
use http::{Response, StatusCode};
use serde_json::json;

use super::error::GoogleError;
use super::object::named;
use super::{Answer, Call, GoogleBucketServer};
use crate::simulated::bucket::authentication::hex;
use crate::simulated::bucket::store::{Object, Part, Upload};
use crate::simulated::http::{empty, json as document};

/// What a request that is not the last keeps is a multiple of this.
const QUANTUM: u64 = 256 << 10;
/// What is kept with a session beside the metadata: its precondition, and that it has ended.
const CONDITION: &str = "if-generation-match";
const COMPLETE: &str = "complete";

/// `Content-Range`: where the bytes begin, and how many there are in all, if that is said.
struct Sent {
    from: Option<u64>,
    total: Option<u64>,
}

impl GoogleBucketServer {
    pub(super) fn begin(&self, bucket: &str, call: &Call) -> Answer {
        let (key, mut about) = named(&call.json()?)?;
        if let Some(generation) = call.query("ifGenerationMatch") {
            call.meets(self.store.object(bucket, &key)?.as_ref())?;
            about.0.insert(CONDITION.to_owned(), generation.to_owned());
        }
        let mut random = [0; 16];
        self.runtime.fill_random(&mut random);
        let id = hex(&random);
        self.store.begin_upload(bucket, &id, &Upload { key, begun: self.runtime.now(), about })?;
        // An address at the host that was asked, as Google gives one.
        let host = call.header(HOST).unwrap_or("storage.googleapis.com");
        let scheme = call.parts.uri.scheme_str().unwrap_or("http");
        let address = format!("{scheme}://{host}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={id}");
        let mut response = document(StatusCode::OK, &json!({}));
        let address = address.parse().map_err(|_| GoogleError::invalid("the host makes no address"))?;
        response.headers_mut().insert(LOCATION, address);
        Ok(response)
    }

    pub(super) async fn go_on(&self, bucket: &str, id: &str, call: &Call) -> Answer {
        let upload = self.session(bucket, id)?;
        if upload.about.0.contains_key(COMPLETE) {
            return Ok(document(StatusCode::OK, &self.resource(bucket, &upload.key)?));
        }
        let sent = sent(call.header(CONTENT_RANGE), call.body.len() as u64)?;
        let mut kept = self.kept(bucket, id)?;
        // What begins after a gap is not kept; what was kept already is not kept twice.
        if let Some(skipped) = sent.from.and_then(|from| kept.checked_sub(from)) {
            let begin = usize::try_from(skipped).unwrap_or(usize::MAX).min(call.body.len());
            let mut bytes = call.body.slice(begin..);
            let is_last = sent.total == Some(kept + bytes.len() as u64);
            if !is_last {
                let whole = bytes.len() as u64 / QUANTUM * QUANTUM;
                bytes.truncate(usize::try_from(whole).unwrap_or_default());
            }
            kept += self.keep(bucket, id, &bytes)?;
        }
        if sent.total == Some(kept) {
            return self.complete(bucket, id, upload, call).await;
        }
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(CONTENT_LENGTH, 0.into());
        if let (Some(last), headers) = (kept.checked_sub(1), response.headers_mut())
            && let Ok(range) = format!("bytes=0-{last}").parse()
        {
            headers.insert(RANGE, range);
        }
        Ok(response)
    }

    pub(super) fn give_up(&self, bucket: &str, id: &str) -> Answer {
        self.session(bucket, id)?;
        self.store.end_upload(bucket, id)?;
        Err(GoogleError::given_up())
    }

    fn session(&self, bucket: &str, id: &str) -> Result<Upload, GoogleError> {
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found = if is_id { self.store.upload(bucket, id)? } else { None };
        found.ok_or_else(GoogleError::no_upload)
    }

    fn kept(&self, bucket: &str, id: &str) -> Result<u64, GoogleError> {
        Ok(self.store.parts(bucket, id)?.values().map(|part| part.size).sum())
    }

    fn keep(&self, bucket: &str, id: &str, bytes: &Bytes) -> Result<u64, GoogleError> {
        let size = bytes.len() as u64;
        if size == 0 {
            return Ok(0);
        }
        let number = u16::try_from(self.store.parts(bucket, id)?.len())
            .map_err(|_| GoogleError::invalid("the upload has too many parts"))?;
        let part = Part { sha256: Digest::of(bytes), size, tag: String::new() };
        if self.store.put_part(bucket, id, number, &part, bytes)? { Ok(size) } else { Err(GoogleError::no_upload()) }
    }

    async fn complete(&self, bucket: &str, id: &str, mut upload: Upload, call: &Call) -> Answer {
        let condition = upload.about.0.remove(CONDITION);
        let parts = self.store.parts(bucket, id)?;
        let mut streams = Vec::with_capacity(parts.len());
        let mut digests = Vec::new();
        for (number, part) in &parts {
            streams.push(self.store.open_part(bucket, id, *number, part)?.ok_or_else(GoogleError::no_upload)?);
            digests.extend_from_slice(part.sha256.as_bytes());
        }
        let object = Object {
            // A name for the bytes, which nobody is told.
            sha256: Digest::of(&digests),
            size: parts.values().map(|part| part.size).sum(),
            tag: self.generation(),
            modified: self.runtime.now(),
            about: upload.about.clone(),
        };
        let bytes: ByteStream = futures::stream::iter(streams).flatten().boxed();
        let received = self.store.receive((bucket, &upload.key), object.sha256, bytes).await?;
        let received = received.ok_or_else(GoogleError::no_upload)?;
        let stored = self.store.put_received((bucket, &upload.key), received, &object, |there| {
            let generation = there.map_or("0", |object| object.tag.as_str());
            if condition.as_ref().is_some_and(|asked| asked != generation) {
                return Err(GoogleError::condition());
            }
            self.may_replace(bucket, &upload.key, there, call)
        });
        self.store.end_upload(bucket, id)?;
        stored?;
        // Whoever has missed the answer asks again.
        upload.about.0.insert(COMPLETE.to_owned(), String::new());
        self.store.begin_upload(bucket, id, &upload)?;
        Ok(document(StatusCode::OK, &self.described(bucket, &upload.key, &object)?))
    }
}

/// `bytes 0-9/10`, `bytes 0-9/*`, `bytes */10` or `bytes */*`; all of the body without the header.
fn sent(header: Option<&str>, length: u64) -> Result<Sent, GoogleError> {
    let Some(header) = header else { return Ok(Sent { from: Some(0), total: Some(length) }) };
    let wrong = || GoogleError::invalid("Failed to parse Content-Range header.");
    let (span, total) = header.strip_prefix("bytes ").and_then(|it| it.split_once('/')).ok_or_else(wrong)?;
    let total = if total == "*" { None } else { Some(total.parse().map_err(|_| wrong())?) };
    if span == "*" {
        return if length == 0 { Ok(Sent { from: None, total }) } else { Err(wrong()) };
    }
    let (from, last) = span.split_once('-').ok_or_else(wrong)?;
    let (from, last): (u64, u64) = (from.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    let is_whole = last.checked_sub(from).and_then(|it| it.checked_add(1)) == Some(length);
    if is_whole && total.is_none_or(|total| last < total) { Ok(Sent { from: Some(from), total }) } else { Err(wrong()) }
}
