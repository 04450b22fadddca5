//! Uploads in parts.

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Digest;
use futures::StreamExt as _;
use http::StatusCode;

use super::authentication::hex;
use super::body::md5_hex;
use super::error::S3Error;
use super::object::{about, checksum_back, quoted};
use super::request::Call;
use super::store::{Object, Part, Upload};
use super::xml::{self, element, elements, text, wrap};
use super::{Answer, BucketServer, done};
use crate::simulated::http::read_body;

/// S3 numbers parts up to this.
const PARTS_MOST: u16 = 10_000;

impl BucketServer {
    pub(super) fn begin_upload(&self, bucket: &str, key: &str, call: &Call) -> Answer {
        let mut random = [0; 16];
        self.runtime.fill_random(&mut random);
        let id = hex(&random);
        let upload = Upload { key: key.to_owned(), begun: self.runtime.now(), about: about(call)? };
        self.store.begin_upload(bucket, &id, &upload)?;
        let content = text("Bucket", bucket) + &text("Key", key) + &text("UploadId", id);
        Ok(xml::document("InitiateMultipartUploadResult", &content))
    }

    pub(super) async fn put_part(&self, bucket: &str, key: &str, id: &str, call: &Call) -> Answer {
        self.upload_of(bucket, key, id)?;
        let number = call.query("partNumber").and_then(|number| number.parse().ok());
        let number: u16 = number
            .filter(|number| (1..=PARTS_MOST).contains(number))
            .ok_or_else(|| S3Error::invalid("a part has a number from 1 to 10000"))?;
        let is_copy = call.header("x-amz-copy-source").is_some();
        let copied;
        let bytes = if is_copy {
            let (origin, from) = self.origin(call)?;
            let stream = self.store.open(&from.0, &from.1, &origin)?.ok_or_else(S3Error::no_such_key)?;
            copied = read_body(stream, super::body::BODY_MOST)
                .await
                .map_err(|_| S3Error::invalid("the part to copy is too large"))?;
            copied_section(&copied, call)?
        } else {
            &call.body
        };
        let part = Part { sha256: Digest::of(bytes), size: bytes.len() as u64, tag: md5_hex(bytes) };
        if !self.store.put_part(bucket, id, number, &part, bytes)? {
            return Err(S3Error::no_such_upload());
        }
        if is_copy {
            let modified = self.runtime.now().to_string();
            let content = text("ETag", quoted(&part.tag)) + &text("LastModified", modified);
            return Ok(xml::document("CopyPartResult", &content));
        }
        let mut response = done(StatusCode::OK, &[("etag", quoted(&part.tag))]);
        checksum_back(call, &mut response);
        Ok(response)
    }

    pub(super) async fn complete_upload(&self, bucket: &str, key: &str, id: &str, call: &Call) -> Answer {
        let upload = self.upload_of(bucket, key, id)?;
        let parts = self.named_parts(bucket, id, call.xml()?)?;
        let mut streams = Vec::new();
        let (mut tags, mut digests) = (Vec::new(), Vec::new());
        for (number, part) in &parts {
            streams.push(self.store.open_part(bucket, id, *number, part)?.ok_or_else(S3Error::no_such_upload)?);
            digests.extend_from_slice(part.sha256.as_bytes());
            tags.extend((0..32).step_by(2).filter_map(|at| u8::from_str_radix(part.tag.get(at..at + 2)?, 16).ok()));
        }
        let object = Object {
            // A name for the bytes, which nobody is told.
            sha256: Digest::of(&digests),
            size: parts.iter().map(|(_, part)| part.size).sum(),
            tag: format!("{}-{}", md5_hex(&tags), parts.len()),
            modified: self.runtime.now(),
            about: upload.about,
        };
        let bytes: ByteStream = futures::stream::iter(streams).flatten().boxed();
        let received = self.store.receive((bucket, key), object.sha256, bytes).await?;
        let received = received.ok_or_else(S3Error::no_such_upload)?;
        self.store.put_received((bucket, key), received, &object, |there| {
            self.allowed(call, there)?;
            // Another completion of the same upload may have been faster.
            self.upload_of(bucket, key, id).map(drop)
        })?;
        self.store.end_upload(bucket, id)?;
        let content = text("Bucket", bucket) + &text("Key", key) + &text("ETag", quoted(&object.tag));
        Ok(xml::document("CompleteMultipartUploadResult", &content))
    }

    pub(super) fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> Answer {
        self.upload_of(bucket, key, id)?;
        self.store.end_upload(bucket, id)?;
        Ok(done(StatusCode::NO_CONTENT, &[]))
    }

    pub(super) fn parts(&self, bucket: &str, key: &str, id: &str) -> Answer {
        self.upload_of(bucket, key, id)?;
        let mut content = text("Bucket", bucket) + &text("Key", key) + &text("UploadId", id);
        content += &text("IsTruncated", "false");
        for (number, part) in self.store.parts(bucket, id)? {
            let about = text("PartNumber", number.to_string()) + &text("ETag", quoted(&part.tag));
            content += &wrap("Part", &(about + &text("Size", part.size.to_string())));
        }
        Ok(xml::document("ListPartsResult", &content))
    }

    pub(super) fn uploads(&self, bucket: &str, call: &Call) -> Answer {
        let prefix = call.query("prefix").unwrap_or_default();
        let mut content = text("Bucket", bucket) + &text("IsTruncated", "false");
        for (id, upload) in self.store.uploads(bucket)? {
            if upload.key.starts_with(prefix) {
                let about = text("Key", &upload.key) + &text("UploadId", id);
                content += &wrap("Upload", &(about + &text("Initiated", upload.begun.to_string())));
            }
        }
        Ok(xml::document("ListMultipartUploadsResult", &content))
    }

    fn upload_of(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, S3Error> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(S3Error::no_such_upload());
        }
        self.store.upload(bucket, id)?.filter(|upload| upload.key == key).ok_or_else(S3Error::no_such_upload)
    }

    /// The parts that a completion names, in its order, which must be rising.
    fn named_parts(&self, bucket: &str, id: &str, body: &str) -> Result<Vec<(u16, Part)>, S3Error> {
        let there = self.store.parts(bucket, id)?;
        let mut named: Vec<(u16, Part)> = Vec::new();
        for content in elements(body, "Part") {
            let number = element(content, "PartNumber").and_then(|number| number.trim().parse().ok());
            let (number, tag): (u16, _) = number.zip(element(content, "ETag")).ok_or_else(S3Error::malformed_xml)?;
            if named.last().is_some_and(|(last, _)| *last >= number) {
                let message = "the parts are not in rising order";
                return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidPartOrder", message));
            }
            let part = there.get(&number).filter(|part| part.tag == tag.trim().trim_matches('"'));
            let part = part.ok_or_else(|| {
                S3Error::new(StatusCode::BAD_REQUEST, "InvalidPart", format!("part {number} is not the one named"))
            })?;
            named.push((number, part.clone()));
        }
        let Some((_, all_but_last)) = named.split_last() else { return Err(S3Error::malformed_xml()) };
        if all_but_last.iter().any(|(_, part)| part.size < self.settings.part_least) {
            let message = "a part that is not the last is smaller than allowed";
            return Err(S3Error::new(StatusCode::BAD_REQUEST, "EntityTooSmall", message));
        }
        Ok(named)
    }
}

fn copied_section<'bytes>(bytes: &'bytes [u8], call: &Call) -> Result<&'bytes [u8], S3Error> {
    let Some(range) = call.header("x-amz-copy-source-range") else { return Ok(bytes) };
    let bounds = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let bounds = bounds.and_then(|(first, last)| Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?)));
    bounds
        .and_then(|(first, last)| bytes.get(first..last.checked_add(1)?))
        .ok_or_else(|| S3Error::invalid("the range to copy is not within the object"))
}
