//! A container of Blob Storage in the process, as far as the adapter speaks with it: blobs whole and in blocks, copies,
//! lists and conditions. It wants a token, whichever.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_testkit::simulated::http::{Server, Severed, empty, full, read_body};
use http::request::Parts;
use http::{Request, Response};

const LONGEST: usize = 64 << 20;
const MODIFIED: &str = "Fri, 21 Nov 2025 18:00:00 GMT";

#[derive(Debug, Clone, Default)]
struct Blob {
    bytes: Bytes,
    metadata: Vec<(String, String)>,
}

/// One container.
#[derive(Debug)]
pub(crate) struct BlobServer {
    container: String,
    blobs: Mutex<BTreeMap<String, Blob>>,
    /// Blocks that were not committed yet, by blob and id.
    blocks: Mutex<BTreeMap<(String, String), Bytes>>,
}

impl BlobServer {
    pub(crate) fn new(container: &str) -> Self {
        Self { container: container.to_owned(), blobs: Mutex::default(), blocks: Mutex::default() }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.blobs().keys().cloned().collect()
    }

    fn blobs(&self) -> MutexGuard<'_, BTreeMap<String, Blob>> {
        self.blobs.lock().expect("not poisoned")
    }

    fn store(&self, parts: &Parts, name: &str, blob: Blob, status: u16) -> Response<ByteStream> {
        let mut blobs = self.blobs();
        if parts.headers.contains_key("if-none-match") && blobs.contains_key(name) {
            return refused(409, "BlobAlreadyExists");
        }
        blobs.insert(name.to_owned(), blob);
        let mut response = answer(status, empty());
        response.headers_mut().insert("x-ms-copy-status", http::HeaderValue::from_static("success"));
        response
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Response<ByteStream> {
        let asked = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let most = asked("maxresults").parse().unwrap_or(5000);
        let (prefix, marker) = (asked("prefix"), asked("marker"));
        let blobs = self.blobs();
        let mut found = blobs.iter().filter(|(name, _)| name.starts_with(prefix) && name.as_str() >= marker);
        let mut document = "<?xml version=\"1.0\"?><EnumerationResults><Blobs>".to_owned();
        for (name, blob) in found.by_ref().take(most) {
            let _ = write!(
                document,
                "<Blob><Name>{}</Name><Properties><Last-Modified>{MODIFIED}</Last-Modified><Etag>0x1</Etag>\
                 <Content-Length>{}</Content-Length><Content-Type>x</Content-Type></Properties></Blob>",
                name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
                blob.bytes.len()
            );
        }
        let next = found.next().map_or(String::new(), |(name, _)| name.replace('&', "&amp;"));
        let _ = write!(document, "</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>");
        answer(200, full(document))
    }

    fn dispatch(&self, parts: &Parts, body: Bytes) -> Response<ByteStream> {
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let asked = |name: &str| query.get(name).map(String::as_str);
        let path = decoded(parts.uri.path());
        let path = path.trim_start_matches('/');
        let Some(name) = path.strip_prefix(&format!("{}/", self.container)) else {
            return match asked("comp") {
                Some("list") if path == self.container => self.list(&query),
                _ => refused(404, "ContainerNotFound"),
            };
        };
        let metadata = || {
            let own = parts.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-ms-meta-"));
            own.map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned())).collect::<Vec<_>>()
        };
        match (parts.method.as_str(), asked("comp")) {
            ("PUT", Some("block")) => {
                let id = asked("blockid").unwrap_or_default().to_owned();
                self.blocks.lock().expect("not poisoned").insert((name.to_owned(), id), body);
                answer(201, empty())
            }
            ("PUT", Some("blocklist")) => {
                let document = String::from_utf8_lossy(&body).into_owned();
                let mut blocks = self.blocks.lock().expect("not poisoned");
                let mut bytes = Vec::new();
                for part in document.split("<Uncommitted>").skip(1) {
                    let id = part.split("</Uncommitted>").next().unwrap_or_default().to_owned();
                    let Some(block) = blocks.get(&(name.to_owned(), id)) else {
                        return refused(400, "InvalidBlockList");
                    };
                    bytes.extend_from_slice(block);
                }
                blocks.retain(|(blob, _), _| blob != name);
                drop(blocks);
                self.store(parts, name, Blob { bytes: bytes.into(), metadata: metadata() }, 201)
            }
            ("PUT", None) => match parts.headers.get("x-ms-copy-source").and_then(|from| from.to_str().ok()) {
                Some(from) => {
                    let from = decoded(from.split_once(&format!("/{}/", self.container)).map_or("", |(_, name)| name));
                    let Some(blob) = self.blobs().get(&from).cloned() else {
                        return refused(404, "CannotVerifyCopySource");
                    };
                    self.store(parts, name, blob, 202)
                }
                None => self.store(parts, name, Blob { bytes: body, metadata: metadata() }, 201),
            },
            ("GET" | "HEAD", None) => match self.blobs().get(name) {
                None => refused(404, "BlobNotFound"),
                Some(blob) => {
                    let content = if parts.method == "HEAD" { empty() } else { full(blob.bytes.clone()) };
                    let mut response = answer(200, content);
                    response.headers_mut().insert("content-length", blob.bytes.len().into());
                    for (name, value) in &blob.metadata {
                        let name: http::HeaderName = name.parse().expect("a name");
                        response.headers_mut().insert(name, value.parse().expect("a value"));
                    }
                    response
                }
            },
            ("DELETE", None) => match self.blobs().remove(name) {
                None => refused(404, "BlobNotFound"),
                Some(_) => answer(202, empty()),
            },
            _ => refused(400, "InvalidQueryParameterValue"),
        }
    }
}

#[async_trait]
impl Server for BlobServer {
    fn name(&self) -> &'static str {
        "blob"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let (parts, body) = request.into_parts();
        let announced = parts.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        let Ok(body) = read_body(body, LONGEST).await else { return Err(Severed) };
        if announced.is_some_and(|length: usize| length != body.len()) {
            return Err(Severed);
        }
        let is_shown =
            parts.headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"Bearer token-"));
        if !is_shown || !parts.headers.contains_key("x-ms-version") {
            return Ok(refused(401, "NoAuthenticationInformation"));
        }
        Ok(self.dispatch(&parts, body))
    }
}

fn answer(status: u16, body: ByteStream) -> Response<ByteStream> {
    let response = Response::builder().status(status).header("etag", "\"0x1\"").header("last-modified", MODIFIED);
    response.body(body).expect("a valid answer")
}

fn refused(status: u16, code: &str) -> Response<ByteStream> {
    let mut response = answer(status, full(format!("<Error><Code>{code}</Code><Message>why</Message></Error>")));
    response.headers_mut().insert("x-ms-error-code", code.parse().expect("a header"));
    response
}

/// Percent-encoding alone: a plus sign in a path is one.
fn decoded(text: &str) -> String {
    let plain = text.replace('+', "%2B");
    url::form_urlencoded::parse(format!("x={}", plain.replace('&', "%26")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
