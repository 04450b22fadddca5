//! Objects: inserted, downloaded, listed, copied and removed.

use bytes::Bytes;
use chalk_deploy_core::model::Digest;
use futures::StreamExt as _;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::error::GoogleError;
use super::{Answer, Call, GoogleBucketServer, METADATA, NAME_MOST};
use crate::simulated::bucket::object::{range_in, section};
use crate::simulated::bucket::store::{About, Object};
use crate::simulated::http::json as document;

/// The most metadata of an object ("Object metadata").
const METADATA_MOST: usize = 8 << 10;

impl GoogleBucketServer {
    /// An object of one request: its resource, and then its bytes (RFC 2387).
    pub(super) fn insert(&self, bucket: &str, call: &Call) -> Answer {
        let kind = call.header(CONTENT_TYPE).unwrap_or_default();
        let (resource, bytes) = related(kind, &call.body).ok_or_else(GoogleError::parse)?;
        let (name, about) = named(&serde_json::from_slice(resource).map_err(|_| GoogleError::parse())?)?;
        let object = Object {
            sha256: Digest::of(&bytes),
            size: bytes.len() as u64,
            tag: self.generation(),
            modified: self.runtime.now(),
            about,
        };
        self.store.put((bucket, &name), &bytes, &object, |there| self.may_replace(bucket, &name, there, call))?;
        Ok(document(StatusCode::OK, &self.described(bucket, &name, &object)?))
    }

    /// Whether what is at a name may be written over.
    pub(super) fn may_replace(
        &self,
        bucket: &str,
        name: &str,
        there: Option<&Object>,
        call: &Call,
    ) -> Result<(), GoogleError> {
        call.meets(there)?;
        self.may_go(bucket, name)
    }

    /// The bytes, as both APIs give them.
    pub(super) fn media(&self, bucket: &str, name: &str, call: &Call) -> Answer {
        let object = self.found(bucket, name)?;
        let whole = self.store.open(bucket, name, &object)?.ok_or_else(|| GoogleError::no_object(bucket, name))?;
        let range = call.header(RANGE).and_then(|range| range_in(range, object.size)).transpose();
        let (status, body, length) = match range.map_err(|_| GoogleError::range())? {
            None => (StatusCode::OK, whole, object.size),
            Some((from, to)) => (StatusCode::PARTIAL_CONTENT, section(whole, from, to - from), to - from),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, length.into());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let (StatusCode::PARTIAL_CONTENT, Some(Ok((from, to)))) =
            (status, call.header(RANGE).and_then(|range| range_in(range, object.size)))
            && let Ok(value) = format!("bytes {from}-{}/{}", to - 1, object.size).parse()
        {
            headers.insert(CONTENT_RANGE, value);
        }
        if let Ok(value) = object.tag.parse() {
            headers.insert("x-goog-generation", value);
        }
        for (name, value) in &object.about.0 {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                headers.insert(name, value);
            }
        }
        Ok(response)
    }

    /// A page of the objects whose names begin with a prefix.
    pub(super) fn list(&self, bucket: &str, call: &Call) -> Answer {
        self.has(bucket)?;
        if call.query("delimiter").is_some() || call.query("versions") == Some("true") {
            return Err(GoogleError::not_implemented());
        }
        let (prefix, start) = (call.query("prefix").unwrap_or_default(), call.query("startOffset").unwrap_or_default());
        let asked = call.query("maxResults").map_or(Ok(self.settings.list_most), str::parse);
        let most = asked.map_err(|_| GoogleError::invalid("Invalid unsigned integer value"))?;
        let most = most.clamp(1, self.settings.list_most);
        // The token is the last name that was listed.
        let after = call.query("pageToken");
        let mut names = self.store.keys(bucket, prefix)?;
        names.sort_unstable();
        names.retain(|name| name.as_str() >= start && after.is_none_or(|after| name.as_str() > after));
        let is_last = names.len() <= most;
        names.truncate(most);
        let mut items = Vec::with_capacity(names.len());
        for name in &names {
            if let Some(object) = self.store.object(bucket, name)? {
                items.push(self.described(bucket, name, &object)?);
            }
        }
        let mut page = json!({"kind": "storage#objects"});
        if !items.is_empty() {
            page["items"] = Value::Array(items);
        }
        if let (false, Some(last)) = (is_last, names.last()) {
            page["nextPageToken"] = json!(last);
        }
        Ok(document(StatusCode::OK, &page))
    }

    /// Copies an object with its metadata, in one call.
    pub(super) async fn rewrite(&self, from: (&str, &str), to: (&str, &str), call: &Call) -> Answer {
        let origin = self.found(from.0, from.1)?;
        let object = Object { tag: self.generation(), modified: self.runtime.now(), ..origin.clone() };
        check_name(to.1)?;
        let lost = || GoogleError::no_object(from.0, from.1);
        let may = |there: Option<&Object>| self.may_replace(to.0, to.1, there, call);
        if from == to {
            // The bytes stay.
            let bytes = self.store.open(from.0, from.1, &origin)?.ok_or_else(lost)?;
            let bytes = crate::simulated::http::read_body(bytes, usize::MAX).await.map_err(|_| lost())?;
            self.store.put(to, &bytes, &object, may)?;
        } else {
            let bytes = self.store.open(from.0, from.1, &origin)?.ok_or_else(lost)?;
            let received = self.store.receive(to, object.sha256, bytes).await?.ok_or_else(lost)?;
            self.store.put_received(to, received, &object, may)?;
        }
        let size = object.size.to_string();
        let resource = self.described(to.0, to.1, &object)?;
        let rewritten = json!({
            "kind": "storage#rewriteResponse", "done": true, "objectSize": size, "totalBytesRewritten": size,
            "resource": resource,
        });
        Ok(document(StatusCode::OK, &rewritten))
    }

    pub(super) fn delete(&self, bucket: &str, name: &str, call: &Call) -> Answer {
        let object = self.found(bucket, name)?;
        self.may_replace(bucket, name, Some(&object), call)?;
        self.store.delete(bucket, name)?;
        let mut response = Response::new(futures::stream::empty().boxed());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }
}

/// The name and the metadata that a resource of an upload has.
pub(super) fn named(resource: &Value) -> Result<(String, About), GoogleError> {
    let name = resource["name"].as_str().ok_or_else(|| GoogleError::invalid("Required parameter: name"))?;
    check_name(name)?;
    let mut about = About::default();
    let mut size = 0;
    for (key, value) in resource["metadata"].as_object().into_iter().flatten() {
        let value = value.as_str().ok_or_else(GoogleError::parse)?;
        size += key.len() + value.len();
        about.0.insert(format!("{METADATA}{key}"), value.to_owned());
    }
    if size > METADATA_MOST {
        return Err(GoogleError::invalid("the metadata is larger than 8 KiB"));
    }
    Ok((name.to_owned(), about))
}

/// "Object name requirements" of Google's documentation, as far as the files of a world have names for it.
fn check_name(name: &str) -> Result<(), GoogleError> {
    let is_name = (1..=NAME_MOST).contains(&name.len())
        && !name.contains(['\r', '\n', '\0'])
        && !matches!(name, "." | "..")
        && !name.starts_with(".well-known/acme-challenge/");
    if is_name { Ok(()) } else { Err(GoogleError::invalid("the object's name is not allowed")) }
}

/// The two parts of a body: a resource, and bytes.
fn related<'body>(kind: &str, body: &'body Bytes) -> Option<(&'body [u8], Bytes)> {
    let (kind, boundary) = kind.split_once("boundary=")?;
    if !kind.trim_start().starts_with("multipart/related") {
        return None;
    }
    let boundary = format!("--{}", boundary.trim().trim_matches('"'));
    let find = |from: usize, text: &str| {
        let found = body.get(from..)?.windows(text.len()).position(|window| window == text.as_bytes());
        found.map(|found| from + found)
    };
    let first = find(0, "\r\n\r\n")? + 4;
    let end_of_first = find(first, &format!("\r\n{boundary}"))?;
    let second = find(end_of_first + 2, "\r\n\r\n")? + 4;
    let end = find(second, &format!("\r\n{boundary}--"))?;
    Some((&body[first..end_of_first], body.slice(second..end)))
}
