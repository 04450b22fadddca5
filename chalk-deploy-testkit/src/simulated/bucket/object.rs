//! Single objects: put, get, head, delete, copy; and the list of buckets.

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Digest;
use futures::StreamExt as _;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::body::md5_hex;
use super::error::S3Error;
use super::moment::http_date;
use super::request::{Call, decoded};
use super::store::{About, Object};
use super::xml::{self, text, wrap};
use super::{Answer, BucketServer, done};

/// The headers that an object gives back.
const KEPT: [&str; 5] = ["cache-control", "content-disposition", "content-language", "content-type", "expires"];

impl BucketServer {
    pub(super) fn buckets(&self) -> Answer {
        let mut content = String::new();
        for (name, made) in self.store.buckets()? {
            content += &wrap("Bucket", &(text("Name", name) + &text("CreationDate", made.to_string())));
        }
        let owner = wrap("Owner", &(text("ID", "owner") + &text("DisplayName", "owner")));
        Ok(xml::document("ListAllMyBucketsResult", &(owner + &wrap("Buckets", &content))))
    }

    #[expect(clippy::unused_async, reason = "as the other requests that bring bytes")]
    pub(super) async fn put_object(&self, bucket: &str, key: &str, call: &Call) -> Answer {
        let object = Object {
            sha256: Digest::of(&call.body),
            size: call.body.len() as u64,
            tag: md5_hex(&call.body),
            modified: self.runtime.now(),
            about: about(call)?,
        };
        self.store.put((bucket, key), &call.body, &object, |there| self.allowed(call, there))?;
        let mut response = done(StatusCode::OK, &[("etag", quoted(&object.tag))]);
        checksum_back(call, &mut response);
        Ok(response)
    }

    pub(super) fn get_object(&self, bucket: &str, key: &str, call: &Call) -> Answer {
        let object = self.store.object(bucket, key)?.ok_or_else(S3Error::no_such_key)?;
        if let Some(answer) = unchanged(call, &object)? {
            return Ok(answer);
        }
        let body = self.store.open(bucket, key, &object)?.ok_or_else(S3Error::no_such_key)?;
        let mut response = described(&object);
        let Some((from, to)) = call.header("range").and_then(|range| range_in(range, object.size)).transpose()? else {
            *response.body_mut() = body;
            return Ok(response);
        };
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        insert(&mut response, CONTENT_RANGE, &format!("bytes {from}-{}/{}", to - 1, object.size));
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(to - from));
        *response.body_mut() = section(body, from, to - from);
        Ok(response)
    }

    pub(super) fn head_object(&self, bucket: &str, key: &str, call: &Call) -> Answer {
        let object = self.store.object(bucket, key)?.ok_or_else(S3Error::no_such_key)?;
        Ok(unchanged(call, &object)?.unwrap_or_else(|| described(&object)))
    }

    pub(super) fn delete_object(&self, bucket: &str, key: &str) -> Answer {
        self.may_go(bucket, key)?;
        self.store.delete(bucket, key)?;
        Ok(done(StatusCode::NO_CONTENT, &[]))
    }

    pub(super) async fn copy_object(&self, bucket: &str, key: &str, call: &Call) -> Answer {
        let (origin, from) = self.origin(call)?;
        let replace = call.header("x-amz-metadata-directive") == Some("REPLACE");
        let about = if replace { about(call)? } else { origin.about.clone() };
        let tag = origin.tag.clone();
        let object = Object { modified: self.runtime.now(), about, ..origin.clone() };
        let lost = || S3Error::no_such_key();
        if (from.0.as_str(), from.1.as_str()) == (bucket, key) {
            if !replace {
                let message = "an object is copied to itself only with other metadata";
                return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidRequest", message));
            }
            // The bytes stay; only what is said about them changes.
            let bytes = self.store.open(bucket, key, &origin)?.ok_or_else(lost)?;
            let bytes = crate::simulated::http::read_body(bytes, usize::MAX).await.map_err(|_| lost())?;
            self.store.put((bucket, key), &bytes, &object, |there| self.allowed(call, there))?;
        } else {
            let bytes = self.store.open(&from.0, &from.1, &origin)?.ok_or_else(lost)?;
            let received = self.store.receive((bucket, key), object.sha256, bytes).await?.ok_or_else(lost)?;
            self.store.put_received((bucket, key), received, &object, |there| self.allowed(call, there))?;
        }
        let content = text("ETag", quoted(&tag)) + &text("LastModified", object.modified.to_string());
        Ok(xml::document("CopyObjectResult", &content))
    }

    /// The object that a copy begins from, if its conditions hold, and its place.
    pub(super) fn origin(&self, call: &Call) -> Result<(Object, (String, String)), S3Error> {
        let source = call.header("x-amz-copy-source").unwrap_or_default();
        let source = source.split_once("?versionId=").map_or(source, |(source, _)| source);
        let source = decoded(source)?;
        let (bucket, key) = source
            .strip_prefix('/')
            .unwrap_or(&source)
            .split_once('/')
            .ok_or_else(|| S3Error::invalid("the copy source names no bucket and key"))?;
        if !self.store.has_bucket(bucket)? {
            return Err(S3Error::no_such_bucket(bucket));
        }
        let object = self.store.object(bucket, key)?.ok_or_else(S3Error::no_such_key)?;
        let given = |name: &str| call.header(name).map(|tags| matches_tag(tags, &object.tag));
        let unmet = given("x-amz-copy-source-if-match") == Some(false)
            || given("x-amz-copy-source-if-none-match") == Some(true);
        if unmet { Err(S3Error::precondition()) } else { Ok((object, (bucket.to_owned(), key.to_owned()))) }
    }

    /// Whether a write may go over what is there.
    pub(super) fn allowed(&self, call: &Call, there: Option<&Object>) -> Result<(), S3Error> {
        if !self.settings.conditional_writes {
            return Ok(());
        }
        match (call.header("if-none-match"), call.header("if-match"), there) {
            (Some("*"), _, Some(_)) => Err(S3Error::precondition()),
            (Some(other), _, _) if other != "*" => Err(S3Error::not_implemented()),
            (_, Some(_), None) => Err(S3Error::no_such_key()),
            (_, Some(tags), Some(there)) if !matches_tag(tags, &there.tag) => Err(S3Error::precondition()),
            _ => Ok(()),
        }
    }
}

pub(super) fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

pub(super) fn about(call: &Call) -> Result<About, S3Error> {
    let mut about = About::default();
    let mut size = 0;
    for (name, value) in &call.headers {
        let name = name.as_str();
        let is_metadata = name.starts_with("x-amz-meta-");
        if !is_metadata && !KEPT.contains(&name) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if is_metadata {
            size += name.len() + value.len();
        }
        about.0.insert(name.to_owned(), value);
    }
    // The limit of S3 for metadata.
    if size > 2048 {
        let message = "the metadata is larger than 2 KB";
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "MetadataTooLarge", message));
    }
    Ok(about)
}

/// Gives back the checksums that were compared, as S3 does.
pub(super) fn checksum_back(call: &Call, response: &mut Response<ByteStream>) {
    for name in ["x-amz-checksum-sha256", "x-amz-checksum-crc32"] {
        if let Some(value) = call.headers.get(name) {
            response.headers_mut().insert(HeaderName::from_static(name), value.clone());
        }
    }
}

fn described(object: &Object) -> Response<ByteStream> {
    let mut response = done(StatusCode::OK, &[]);
    for (name, value) in &object.about.0 {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            insert(&mut response, name, value);
        }
    }
    response.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("binary/octet-stream"));
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(object.size));
    insert(&mut response, ETAG, &quoted(&object.tag));
    insert(&mut response, LAST_MODIFIED, &http_date(object.modified));
    response
}

fn insert(response: &mut Response<ByteStream>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        response.headers_mut().insert(name, value);
    }
}

/// 304 or 412 when the conditions of a read say so.
fn unchanged(call: &Call, object: &Object) -> Result<Option<Response<ByteStream>>, S3Error> {
    if call.header("if-match").is_some_and(|tags| !matches_tag(tags, &object.tag)) {
        return Err(S3Error::precondition());
    }
    let is_same = call.header("if-none-match").is_some_and(|tags| matches_tag(tags, &object.tag));
    Ok(is_same.then(|| done(StatusCode::NOT_MODIFIED, &[("etag", quoted(&object.tag))])))
}

pub(super) fn matches_tag(tags: &str, tag: &str) -> bool {
    tags.split(',').map(|given| given.trim().trim_matches('"')).any(|given| given == "*" || given == tag)
}

/// The half-open range that a header asks for; `None` for one that is not understood, which asks for everything.
pub(super) fn range_in(header: &str, size: u64) -> Option<Result<(u64, u64), S3Error>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let range = if first.is_empty() {
        let last: u64 = last.parse().ok()?;
        (size.saturating_sub(last), size)
    } else {
        let first: u64 = first.parse().ok()?;
        let end = if last.is_empty() { size } else { last.parse::<u64>().ok()?.saturating_add(1).min(size) };
        (first, end)
    };
    if range.0 < range.1 {
        return Some(Ok(range));
    }
    let message = "the range holds no byte of the object";
    Some(Err(S3Error::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", message)))
}

/// A section of a stream.
pub(super) fn section(body: ByteStream, skip: u64, take: u64) -> ByteStream {
    let pieces = body.scan((skip, take), |(skip, take), piece| {
        let piece = piece.map(|mut piece| {
            let length = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
            let skipped = length(*skip).min(piece.len());
            let mut kept = piece.split_off(skipped);
            *skip -= skipped as u64;
            kept.truncate(length(*take));
            *take -= kept.len() as u64;
            kept
        });
        futures::future::ready(Some(piece))
    });
    pieces.filter(|piece| futures::future::ready(piece.as_ref().map_or(true, |piece| !piece.is_empty()))).boxed()
}
