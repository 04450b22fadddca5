//! TEMPORARY: a front of the fake.
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::cloud::{ByteStream, ImageManifest, ManifestLocator, Payload, Registry as _};
use chalk_deploy_core::model::{Digest, ImageTag, Repository};
use chalk_deploy_core::runtime::Runtime;
use http::{Method, Request, Response, StatusCode};

use super::http::{Server, Severed, empty, full, json, read_body};
use super::seam::{ImageSource, PulledImage};
use crate::fake::FakeRegistry;
use crate::world::World;

/// x
#[derive(Debug, Clone, Default)]
pub struct RegistrySettings {}
impl RegistrySettings {
    /// x
    pub fn plain() -> Self {
        Self {}
    }
    /// x
    pub fn with_basic_user(self, _: impl Into<String>, _: impl Into<String>) -> Self {
        self
    }
}

/// x
#[derive(Debug)]
pub struct RegistryServer(FakeRegistry);

impl RegistryServer {
    /// x
    pub fn new(world: &World, _: Arc<dyn Runtime>, _: RegistrySettings) -> Self {
        Self(FakeRegistry::new(world))
    }
    /// x
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let repository = Repository::new(format!("registry.embedded/{repository}")).expect("valid");
        self.0.tags(&repository).expect("readable").into_keys().collect::<Vec<_>>()
    }
}

fn response(status: u16) -> Response<ByteStream> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::from_u16(status).expect("valid");
    response
}

#[async_trait]
impl Server for RegistryServer {
    fn name(&self) -> &'static str {
        "registry"
    }
    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().trim_start_matches("/v2/").to_owned();
        if path.is_empty() {
            return Ok(response(200));
        }
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let repository = |name: &str| Repository::new(format!("registry.embedded/{name}")).expect("valid");
        if let Some((name, _)) = path.split_once("/blobs/uploads/") {
            if parts.method == Method::POST {
                if let Some(mount) = query.split('&').find_map(|p| p.strip_prefix("mount=")) {
                    let from =
                        query.split('&').find_map(|p| p.strip_prefix("from=")).unwrap_or_default().replace("%2F", "/");
                    let digest: Digest = mount.replace("%3A", ":").parse().expect("d");
                    if let Ok(blob) = self.0.pull_blob(&repository(&from), &digest).await {
                        let bytes = read_body(blob, 1 << 30).await.expect("x");
                        self.0.push_blob(&repository(name), &Payload::from_bytes(bytes)).await.expect("x");
                        let mut r = response(201);
                        r.headers_mut().insert("docker-content-digest", digest.to_string().parse().expect("h"));
                        r.headers_mut().insert("location", format!("/v2/{name}/blobs/{digest}").parse().expect("h"));
                        return Ok(r);
                    }
                }
                let mut r = response(202);
                r.headers_mut().insert("location", format!("/v2/{name}/blobs/uploads/1").parse().expect("h"));
                return Ok(r);
            }
            let bytes = read_body(body, 1 << 30).await.map_err(|_| Severed)?;
            let digest = Digest::of(&bytes);
            let asked =
                query.split('&').find_map(|p| p.strip_prefix("digest=")).unwrap_or_default().replace("%3A", ":");
            if asked != digest.to_string() {
                return Ok(json(StatusCode::BAD_REQUEST, &serde_json::json!({"errors":[{"code":"DIGEST_INVALID"}]})));
            }
            self.0.push_blob(&repository(name), &Payload::from_bytes(bytes)).await.expect("x");
            let mut r = response(201);
            r.headers_mut().insert("docker-content-digest", digest.to_string().parse().expect("h"));
            return Ok(r);
        }
        if let Some((name, digest)) = path.split_once("/blobs/") {
            let digest: Digest = digest.parse().expect("d");
            if !self.0.has_blob(&repository(name), &digest).await.expect("x") {
                return Ok(response(404));
            }
            let bytes =
                read_body(self.0.pull_blob(&repository(name), &digest).await.expect("x"), 1 << 30).await.expect("x");
            let mut r = response(200);
            r.headers_mut().insert("content-length", bytes.len().to_string().parse().expect("h"));
            r.headers_mut().insert("docker-content-digest", digest.to_string().parse().expect("h"));
            if parts.method == Method::GET {
                *r.body_mut() = full(bytes);
            }
            return Ok(r);
        }
        if let Some((name, reference)) = path.split_once("/manifests/") {
            let locator = match reference.parse::<Digest>() {
                Ok(digest) => ManifestLocator::Digest(digest),
                Err(_) => ManifestLocator::Tag(ImageTag::new(reference).expect("tag")),
            };
            if parts.method == Method::DELETE {
                let ManifestLocator::Tag(tag) = locator else { return Ok(response(405)) };
                self.0.remove_tag(&repository(name), &tag).await.expect("x");
                return Ok(response(202));
            }
            if parts.method == Method::PUT {
                let bytes = read_body(body, 4 << 20).await.map_err(|_| Severed)?;
                let manifest =
                    ImageManifest { media_type: parts.headers["content-type"].to_str().expect("h").to_owned(), bytes };
                let tag = match locator {
                    ManifestLocator::Tag(tag) => Some(tag),
                    ManifestLocator::Digest(_) => None,
                };
                return Ok(match self.0.put_manifest(&repository(name), &manifest, tag).await {
                    Ok(digest) => {
                        let mut r = response(201);
                        r.headers_mut().insert("docker-content-digest", digest.to_string().parse().expect("h"));
                        r
                    }
                    Err(_) => {
                        json(StatusCode::NOT_FOUND, &serde_json::json!({"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}))
                    }
                });
            }
            let Some(manifest) = self.0.manifest(&repository(name), &locator).await.expect("x") else {
                return Ok(json(StatusCode::NOT_FOUND, &serde_json::json!({"errors":[{"code":"MANIFEST_UNKNOWN"}]})));
            };
            let mut r = response(200);
            r.headers_mut().insert("content-type", manifest.media_type.parse().expect("h"));
            r.headers_mut().insert("content-length", manifest.bytes.len().to_string().parse().expect("h"));
            r.headers_mut().insert("docker-content-digest", manifest.digest().to_string().parse().expect("h"));
            if parts.method == Method::GET {
                *r.body_mut() = full(manifest.bytes);
            }
            return Ok(r);
        }
        Ok(response(404))
    }
}

#[async_trait]
impl ImageSource for RegistryServer {
    async fn pull(&self, reference: &str) -> Result<PulledImage, String> {
        let (repository, digest) = reference.split_once('@').ok_or("by digest")?;
        let digest: Digest = digest.parse().map_err(|_| "digest")?;
        let repository = Repository::new(repository).map_err(|_| "name")?;
        let manifest = self
            .0
            .manifest(&repository, &ManifestLocator::Digest(digest))
            .await
            .map_err(|e| e.sentence())?
            .ok_or("manifest unknown")?;
        let value: serde_json::Value = serde_json::from_slice(&manifest.bytes).map_err(|e| e.to_string())?;
        let config: Digest = value["config"]["digest"].as_str().unwrap_or_default().parse().map_err(|_| "config")?;
        let bytes = read_body(self.0.pull_blob(&repository, &config).await.map_err(|e| e.sentence())?, 1 << 20)
            .await
            .map_err(|_| "x")?;
        let config: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
        let texts = |v: &serde_json::Value| {
            v.as_array()
                .map(|a| a.iter().filter_map(|x| x.as_str().map(str::to_owned)).collect::<Vec<_>>())
                .unwrap_or_default()
        };
        let config = &config["config"];
        Ok(PulledImage {
            digest,
            command: [texts(&config["Entrypoint"]), texts(&config["Cmd"])].concat(),
            environment: texts(&config["Env"]),
        })
    }
}
