//! Single blobs: put, get, head, delete, copy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Digest;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use md5::{Digest as _, Md5};

use super::answer::{Refused, described, done, insert};
use super::request::Call;
use super::{Answer, AzureBucketServer};
use crate::simulated::bucket::object::{matches_tag, range_in, section};
use crate::simulated::bucket::request::decoded;
use crate::simulated::bucket::store::{About, Object};

/// What is said of a blob when it is written, by the name that it is given back under ("Put Blob", request headers).
const KEPT: [(&str, &str); 5] = [
    ("x-ms-blob-cache-control", "cache-control"),
    ("x-ms-blob-content-disposition", "content-disposition"),
    ("x-ms-blob-content-encoding", "content-encoding"),
    ("x-ms-blob-content-language", "content-language"),
    ("x-ms-blob-content-type", "content-type"),
];
/// How long all metadata may be.
const METADATA_MOST: usize = 8 << 10;

impl AzureBucketServer {
    pub(super) fn put(&self, call: &Call, name: &str) -> Answer {
        if call.header("x-ms-blob-type") != Some("BlockBlob") {
            return Err(Refused::header());
        }
        if call.header("content-md5").is_some_and(|declared| declared != STANDARD.encode(Md5::digest(&call.body))) {
            let message = "the MD5 of the body is not the one that was declared";
            return Err(Refused::new(StatusCode::BAD_REQUEST, "Md5Mismatch", message));
        }
        self.store(call, name, &call.body)
    }

    /// Stores bytes with what the request says of them.
    pub(super) fn store(&self, call: &Call, name: &str, bytes: &[u8]) -> Answer {
        let object = Object {
            sha256: Digest::of(bytes),
            size: bytes.len() as u64,
            tag: self.tag(),
            modified: self.runtime.now(),
            about: about(call)?,
        };
        self.store.put((&call.container, name), bytes, &object, |there| allowed(call, there))?;
        // What was uploaded and not committed goes with the old blob ("Put Blob", remarks).
        self.blocks.forget(&call.container, name)?;
        Ok(done(StatusCode::CREATED, Some(&object)))
    }

    pub(super) fn get(&self, call: &Call, name: &str) -> Answer {
        let object = self.found(call, name)?;
        let body = self.store.open(&call.container, name, &object)?.ok_or(Refused::no_blob())?;
        let mut response = described(&object);
        let range = call.header("x-ms-range").or_else(|| call.header("range"));
        let Some(range) = range.and_then(|range| range_in(range, object.size)) else {
            *response.body_mut() = body;
            return Ok(response);
        };
        let (from, to) = range.map_err(|_| {
            let message = "the range holds no byte of the blob";
            Refused::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", message)
        })?;
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        insert(&mut response, CONTENT_RANGE, &format!("bytes {from}-{}/{}", to - 1, object.size));
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(to - from));
        *response.body_mut() = section(body, from, to - from);
        Ok(response)
    }

    pub(super) fn head(&self, call: &Call, name: &str) -> Answer {
        self.found(call, name).map(|object| described(&object))
    }

    pub(super) fn delete(&self, call: &Call, name: &str) -> Answer {
        self.found(call, name)?;
        self.store.delete(&call.container, name)?;
        self.blocks.forget(&call.container, name)?;
        Ok(done(StatusCode::ACCEPTED, None))
    }

    /// Copies from the same account, which is done at once.
    pub(super) async fn copy(&self, call: &Call, name: &str) -> Answer {
        let lost = || {
            let message = "the source of the copy cannot be read";
            Refused::new(StatusCode::NOT_FOUND, "CannotVerifyCopySource", message)
        };
        let (container, from) = self.origin(call)?;
        let origin = self.store.object(&container, &from)?.ok_or_else(lost)?;
        let given = about(call)?;
        // Metadata that the request brings stands in place of the origin's; what describes the bytes is the origin's.
        let is_metadata = |name: &String| name.starts_with("x-ms-meta-");
        let mut kept = origin.about.clone();
        if given.0.keys().any(is_metadata) {
            kept.0.retain(|name, _| !is_metadata(name));
            kept.0.extend(given.0.into_iter().filter(|(name, _)| is_metadata(name)));
        }
        let object = Object { tag: self.tag(), modified: self.runtime.now(), about: kept, ..origin.clone() };
        let bytes = self.store.open(&container, &from, &origin)?.ok_or_else(lost)?;
        let place = (call.container.as_str(), name);
        let received = self.store.receive(place, origin.sha256, bytes).await?.ok_or_else(lost)?;
        self.store.put_received(place, received, &object, |there| allowed(call, there))?;
        let mut response = done(StatusCode::ACCEPTED, Some(&object));
        copied(&mut response, &object);
        Ok(response)
    }

    /// The container and the blob that a copy begins from.
    fn origin(&self, call: &Call) -> Result<(String, String), Refused> {
        let refused = || Refused::new(StatusCode::BAD_REQUEST, "InvalidHeaderValue", "the copy has no source here");
        let source = call.header("x-ms-copy-source").unwrap_or_default();
        let source: http::Uri = source.parse().map_err(|_| refused())?;
        let path = source.path().strip_prefix('/').unwrap_or_default();
        let path = match &self.settings.account_in_path {
            Some(account) => path.strip_prefix(account.as_str()).and_then(|rest| rest.strip_prefix('/')),
            None => Some(path),
        };
        let (container, blob) = path.and_then(|path| path.split_once('/')).ok_or_else(refused)?;
        Ok((container.to_owned(), decoded(blob).map_err(|_| refused())?))
    }

    fn found(&self, call: &Call, name: &str) -> Result<Object, Refused> {
        let object = self.store.object(&call.container, name)?.ok_or(Refused::no_blob())?;
        let given = |header: &str| call.header(header).map(|tags| matches_tag(tags, &object.tag));
        if given("if-match") == Some(false) {
            return Err(Refused::condition());
        }
        if given("if-none-match") == Some(true) {
            return Err(Refused::new(StatusCode::NOT_MODIFIED, "ConditionNotMet", "the blob is what it was"));
        }
        Ok(object)
    }
}

/// Whether a write may go over what is there ("Specifying conditional headers for Blob service operations").
fn allowed(call: &Call, there: Option<&Object>) -> Result<(), Refused> {
    let given = |header: &str| call.header(header).zip(there).map(|(tags, there)| matches_tag(tags, &there.tag));
    match call.header("if-none-match") {
        Some("*") if there.is_some() => return Err(Refused::exists()),
        Some(_) if given("if-none-match") == Some(true) => return Err(Refused::condition()),
        _ => {}
    }
    match (call.header("if-match"), given("if-match")) {
        (Some(_), None | Some(false)) => Err(Refused::condition()),
        _ => Ok(()),
    }
}

/// What a request says of a blob.
fn about(call: &Call) -> Result<About, Refused> {
    let mut about = About::default();
    let mut length = 0;
    for (name, value) in &call.headers {
        let value = value.to_str().map_err(|_| Refused::header())?;
        if name.as_str().starts_with("x-ms-meta-") {
            length += name.as_str().len() + value.len();
            about.0.insert(name.to_string(), value.to_owned());
        }
        // Put Blob takes the plain header too.
        let kept = KEPT.iter().find(|(given, _)| *given == name.as_str());
        let plain = (name == "content-type" && call.query("comp").is_none()).then_some("content-type");
        match (kept, plain) {
            (Some((_, back)), _) => _ = about.0.insert((*back).to_owned(), value.to_owned()),
            (None, Some(back)) => _ = about.0.entry(back.to_owned()).or_insert_with(|| value.to_owned()),
            (None, None) => {}
        }
    }
    if length > METADATA_MOST {
        let message = "the metadata is larger than 8 KiB";
        return Err(Refused::new(StatusCode::BAD_REQUEST, "MetadataTooLarge", message));
    }
    Ok(about)
}

fn copied(response: &mut Response<ByteStream>, object: &Object) {
    insert(response, HeaderName::from_static("x-ms-copy-id"), &object.tag);
    response.headers_mut().insert("x-ms-copy-status", HeaderValue::from_static("success"));
}
