//! A bucket of Cloud Storage in the process, as far as the adapter speaks the JSON API and the XML API.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_testkit::simulated::http::{Server, Severed, empty, full, read_body};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

const LONGEST: usize = 64 << 20;

#[derive(Debug, Clone, Default)]
struct Object {
    bytes: Bytes,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Upload {
    name: String,
    object: Object,
    only_if_free: bool,
}

/// One bucket. It wants a token, whichever.
#[derive(Debug)]
pub(crate) struct Storage {
    bucket: String,
    objects: Mutex<BTreeMap<String, Object>>,
    uploads: Mutex<BTreeMap<String, Upload>>,
    begun: AtomicU32,
}

impl Storage {
    pub(crate) fn new(bucket: &str) -> Self {
        Self {
            bucket: bucket.to_owned(),
            objects: Mutex::default(),
            uploads: Mutex::default(),
            begun: AtomicU32::new(0),
        }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.objects().keys().cloned().collect()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().expect("not poisoned")
    }

    fn store(&self, name: String, object: Object, only_if_free: bool) -> Response<ByteStream> {
        let mut objects = self.objects();
        if only_if_free && objects.contains_key(&name) {
            return refused(412, "conditionNotMet");
        }
        let resource = resource(&name, &object);
        objects.insert(name, object);
        document(&resource)
    }

    fn dispatch(&self, parts: &Parts, body: &Bytes) -> Response<ByteStream> {
        let query: BTreeMap<_, _> =
            url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let asked = |name: &str| query.get(name).map(String::as_str);
        let only_if_free = asked("ifGenerationMatch") == Some("0");
        let path: Vec<String> = parts.uri.path().trim_start_matches('/').split('/').map(decoded).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let own = self.bucket.as_str();
        match (parts.method.as_str(), &path[..]) {
            ("POST", ["upload", "storage", "v1", "b", bucket, "o"]) if *bucket == own => {
                if asked("uploadType") == Some("multipart") {
                    let Some((name, object)) = multipart(parts, body) else { return refused(400, "parseError") };
                    return self.store(name, object, only_if_free);
                }
                let Some((name, metadata)) = named(body) else { return refused(400, "parseError") };
                let mut uploads = self.uploads.lock().expect("not poisoned");
                let id = format!("u{}", self.begun.fetch_add(1, Ordering::Relaxed));
                let object = Object { metadata, ..Object::default() };
                uploads.insert(id.clone(), Upload { name, object, only_if_free });
                let mut response = document(&json!({}));
                let address = format!(
                    "https://storage.googleapis.com/upload/storage/v1/b/{own}/o?uploadType=resumable&upload_id={id}"
                );
                response.headers_mut().insert(LOCATION, address.parse().expect("a header"));
                response
            }
            ("PUT", ["upload", "storage", "v1", "b", _, "o"]) => self.go_on(asked("upload_id"), parts, body),
            ("DELETE", ["upload", "storage", "v1", "b", _, "o"]) => {
                let mut uploads = self.uploads.lock().expect("not poisoned");
                let was_there = asked("upload_id").and_then(|id| uploads.remove(id)).is_some();
                // "Client closed request": how Google confirms it.
                if was_there { refused(499, "clientClosedRequest") } else { refused(404, "notFound") }
            }
            ("GET", ["storage", "v1", "b", bucket, "o"]) if *bucket == own => {
                let (prefix, start) = (asked("prefix").unwrap_or_default(), asked("startOffset").unwrap_or_default());
                let most = asked("maxResults").and_then(|most| most.parse().ok()).unwrap_or(1000);
                let objects = self.objects();
                let found = objects.iter().filter(|(name, _)| name.starts_with(prefix) && name.as_str() >= start);
                let items: Vec<_> = found.take(most).map(|(name, object)| resource(name, object)).collect();
                document(&json!({"items": items}))
            }
            ("POST", ["storage", "v1", "b", _, "o", from, "rewriteTo", "b", bucket, "o", to]) if *bucket == own => {
                let Some(object) = self.objects().get(*from).cloned() else { return refused(404, "notFound") };
                let stored = self.store((*to).to_owned(), object, only_if_free);
                if stored.status().is_success() { document(&json!({"done": true})) } else { stored }
            }
            (method, ["storage", "v1", "b", bucket, "o", name]) if *bucket == own => {
                let mut objects = self.objects();
                match (method, objects.get(*name)) {
                    (_, None) => refused(404, "notFound"),
                    ("GET", Some(object)) => document(&resource(name, object)),
                    ("DELETE", Some(_)) => {
                        objects.remove(*name);
                        answer(StatusCode::NO_CONTENT)
                    }
                    _ => refused(405, "methodNotAllowed"),
                }
            }
            ("GET", [bucket, name @ ..]) if *bucket == own => match self.objects().get(&name.join("/")) {
                Some(object) => media(object),
                None => refused(404, "notFound"),
            },
            _ => refused(404, "notFound"),
        }
    }

    fn go_on(&self, id: Option<&str>, parts: &Parts, body: &Bytes) -> Response<ByteStream> {
        let mut uploads = self.uploads.lock().expect("not poisoned");
        let Some(upload) = id.and_then(|id| uploads.get_mut(id)) else { return refused(404, "notFound") };
        let range = parts.headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
        let (span, total) = range.trim_start_matches("bytes ").split_once('/').unwrap_or_default();
        if let Some((from, _)) = span.split_once('-')
            && from.parse() == Ok(upload.object.bytes.len())
        {
            upload.object.bytes = [upload.object.bytes.clone(), body.clone()].concat().into();
        }
        let kept = upload.object.bytes.len();
        if total.parse() == Ok(kept) {
            let Upload { name, object, only_if_free } =
                uploads.remove(id.unwrap_or_default()).expect("it was found above");
            return self.store(name, object, only_if_free);
        }
        let mut response = answer(StatusCode::PERMANENT_REDIRECT);
        if kept > 0 {
            let range = format!("bytes=0-{}", kept - 1);
            response.headers_mut().insert(RANGE, range.parse().expect("a header"));
        }
        response
    }
}

#[async_trait]
impl Server for Storage {
    fn name(&self) -> &'static str {
        "storage"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let (parts, body) = request.into_parts();
        let Ok(body) = read_body(body, LONGEST).await else { return Ok(refused(413, "uploadTooLarge")) };
        let has_token = parts
            .headers
            .get(AUTHORIZATION)
            .is_some_and(|value| value.to_str().is_ok_and(|value| value.starts_with("Bearer token-")));
        Ok(if has_token { self.dispatch(&parts, &body) } else { refused(401, "required") })
    }
}

fn answer(status: StatusCode) -> Response<ByteStream> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

fn document(value: &Value) -> Response<ByteStream> {
    let mut response = Response::new(full(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("a header"));
    response
}

fn refused(status: u16, reason: &str) -> Response<ByteStream> {
    let error = json!({"error": {"code": status, "message": reason, "errors": [{"reason": reason}]}});
    let mut response = document(&error);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn media(object: &Object) -> Response<ByteStream> {
    let mut response = Response::new(full(object.bytes.clone()));
    response.headers_mut().insert(CONTENT_LENGTH, object.bytes.len().into());
    for (name, value) in &object.metadata {
        let name: http::HeaderName = format!("x-goog-meta-{name}").parse().expect("a header");
        response.headers_mut().insert(name, value.parse().expect("a value"));
    }
    response
}

fn resource(name: &str, object: &Object) -> Value {
    json!({"name": name, "size": object.bytes.len().to_string(), "metadata": object.metadata})
}

fn named(body: &[u8]) -> Option<(String, BTreeMap<String, String>)> {
    let resource: Value = serde_json::from_slice(body).ok()?;
    let metadata = serde_json::from_value(resource["metadata"].clone()).unwrap_or_default();
    Some((resource["name"].as_str()?.to_owned(), metadata))
}

fn multipart(parts: &Parts, body: &Bytes) -> Option<(String, Object)> {
    let kind = parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let boundary = format!("--{}", kind.split_once("boundary=")?.1);
    let find = |from: usize, text: &str| {
        body[from..].windows(text.len()).position(|window| window == text.as_bytes()).map(|found| from + found)
    };
    let first = find(0, "\r\n\r\n")? + 4;
    let second = find(first, &boundary)?;
    let content = find(second, "\r\n\r\n")? + 4;
    let end = find(content, &format!("\r\n{boundary}--"))?;
    let (name, metadata) = named(&body[first..second])?;
    Some((name, Object { bytes: body.slice(content..end), metadata }))
}

fn decoded(text: &str) -> String {
    let plus = text.replace('+', "%2B");
    url::form_urlencoded::parse(plus.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}
