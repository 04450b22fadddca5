//! The registry, asked in the process.

mod access;
mod lists;
mod manifests;
mod nodes;
mod presets;
mod uploads;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};

use super::digest::{Algorithm, ContentDigest};
use super::{RegistryServer, RegistrySettings};
use crate::simulated::http::{Server as _, empty, full, read_body};
use crate::{VirtualRuntime, World};

pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An answer with its body.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(super) fn location(&self) -> &str {
        self.header("location")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The status and the code of the error.
    pub(super) fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
    }

    #[track_caller]
    pub(super) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    #[expect(clippy::wrong_self_convention, reason = "as `is`, it hands the answer on")]
    pub(super) fn is_refused(self, status: u16, code: &str) -> Self {
        assert_eq!(self.refusal(), (status, code.to_owned()), "{self:?}");
        self
    }
}

/// Sends a request with headers and a stream as its body.
pub(super) async fn send(
    registry: &RegistryServer,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: ByteStream,
) -> Reply {
    let mut request = Request::builder().method(method).uri(target).header("host", "registry.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body).expect("a request");
    let response = registry.answer(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = read_body(body, 1 << 30).await.expect("a whole body");
    Reply { status: parts.status, headers: parts.headers, body }
}

pub(super) async fn ask(registry: &RegistryServer, method: &str, target: &str) -> Reply {
    send(registry, method, target, &[], empty()).await
}

pub(super) async fn give(registry: &RegistryServer, method: &str, target: &str, bytes: &[u8]) -> Reply {
    let length = bytes.len().to_string();
    send(registry, method, target, &[("content-length", &length)], full(bytes.to_vec())).await
}

/// A chunk with its range.
pub(super) async fn chunk(registry: &RegistryServer, target: &str, first: usize, bytes: &[u8]) -> Reply {
    let range = format!("{first}-{}", first + bytes.len() - 1);
    let length = bytes.len().to_string();
    send(registry, "PATCH", target, &[("content-range", &range), ("content-length", &length)], full(bytes.to_vec()))
        .await
}

pub(super) async fn put_manifest(registry: &RegistryServer, place: &str, media_type: &str, document: &Value) -> Reply {
    let body = full(document.to_string());
    send(registry, "PUT", &format!("/v2/{place}"), &[("content-type", media_type)], body).await
}

/// Pushes a blob in two requests, which every registry takes.
pub(super) async fn push(registry: &RegistryServer, repository: &str, bytes: &[u8]) -> Value {
    let digest = digest(bytes);
    let begun = ask(registry, "POST", &format!("/v2/{repository}/blobs/uploads/")).await.is(202);
    give(registry, "PUT", &with_digest(begun.location(), &digest), bytes).await.is(201);
    json!({"mediaType": "application/octet-stream", "digest": digest, "size": bytes.len()})
}

/// An image of one layer, whose blobs are pushed.
pub(super) async fn image(registry: &RegistryServer, repository: &str, note: &str) -> Value {
    let config = push(registry, repository, &config_bytes(note)).await;
    let layer = push(registry, repository, note.as_bytes()).await;
    json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer]})
}

pub(super) fn config_bytes(note: &str) -> Vec<u8> {
    json!({"os": "linux", "architecture": "amd64", "config": {"Entrypoint": ["run"], "Cmd": [note], "Env": ["A=b"]}})
        .to_string()
        .into_bytes()
}

pub(super) fn digest(bytes: &[u8]) -> String {
    ContentDigest::of(bytes, Algorithm::Sha256).to_string()
}

/// A location with the digest after what its query holds already.
pub(super) fn with_digest(location: &str, digest: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

pub(super) fn registry(settings: RegistrySettings) -> RegistryServer {
    RegistryServer::new(&World::memory(), VirtualRuntime::new(1), settings)
}

pub(super) fn plain() -> RegistryServer {
    registry(RegistrySettings::plain())
}

pub(super) fn on(world: &World, seed: u64) -> RegistryServer {
    RegistryServer::new(world, VirtualRuntime::new(seed), RegistrySettings::plain())
}

pub(super) fn shared(settings: RegistrySettings) -> (Arc<VirtualRuntime>, RegistryServer) {
    let runtime = VirtualRuntime::new(1);
    let registry = RegistryServer::new(&World::memory(), runtime.clone(), settings);
    (runtime, registry)
}

pub(super) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}
