//! A distribution registry: the OCI distribution specification 1.1, token authentication, and the quirks of the clouds'
//! registries as [settings](RegistrySettings).
//!
//! What it acknowledges lies in the room `distribution` of a [`World`] and outlives the process, unfinished uploads
//! included. Blobs are hashed and written as they arrive and are never whole in memory (but for a world that is).
//! Nothing in it runs by itself: time passes only in [the runtime](Runtime).

#![expect(clippy::result_large_err, reason = "a refusal is an answer, made once for a request")]

mod access;
mod account;
mod blobs;
mod digest;
mod grammar;
mod listing;
mod log;
mod manifests;
mod operator;
mod pull;
mod rate;
mod refusal;
mod route;
mod settings;
mod storage;
mod uploads;

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};

use self::access::{Signer, is_token_request};
pub use self::account::{Account, Action};
pub use self::log::{LoggedRequest, RequestKind, RequestLog};
pub use self::operator::Collected;
use self::rate::Rate;
use self::refusal::Answer;
use self::route::{Place, Query};
pub use self::settings::{
    Access, Deletions, Downloads, Mounts, RateLimit, RegistrySettings, TagRule, TokenSettings, UploadLocation,
    UploadSettings,
};
use self::storage::Storage;
use self::uploads::Hashers;
use super::http::{Server, Severed, empty};
use crate::world::World;

/// `Docker-Content-Digest`.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A distribution registry. Any number of them may stand on one world; they are the same registry.
#[derive(Debug)]
pub struct RegistryServer {
    storage: Storage,
    runtime: Arc<dyn Runtime>,
    settings: RegistrySettings,
    signer: Signer,
    hashers: Hashers,
    rate: Rate,
    log: log::Log,
}

impl RegistryServer {
    /// The registry that a world holds.
    pub fn new(world: &World, runtime: Arc<dyn Runtime>, settings: RegistrySettings) -> Self {
        let mut key = [0; 32];
        runtime.fill_random(&mut key);
        Self {
            storage: Storage { room: world.room("distribution") },
            runtime,
            settings,
            signer: Signer::new(key),
            hashers: Hashers::default(),
            rate: Rate::default(),
            log: log::Log::default(),
        }
    }

    async fn dispatch(&self, request: &Incoming, body: ByteStream) -> Answer {
        self.rate.admit(self.settings.rate_limit, self.runtime.monotonic())?;
        if is_token_request(&self.settings, &request.place) {
            return self.token(request, body).await;
        }
        let caller = self.admit(request)?;
        match (&request.place, request.method.as_str()) {
            (Place::Base, "GET" | "HEAD") => Ok(answer(StatusCode::OK)),
            (Place::Catalog, "GET") => self.catalog(request),
            (Place::Tags { repository }, "GET") => self.list_tags(request, repository),
            (Place::Referrers { repository, digest }, "GET") => self.list_referrers(request, repository, digest),
            (Place::Manifest { repository, name }, "GET" | "HEAD") => self.read_manifest(request, repository, name),
            (Place::Manifest { repository, name }, "PUT") => self.put_manifest(request, repository, name, body).await,
            (Place::Manifest { repository, name }, "DELETE") => self.delete_manifest(repository, name),
            (Place::Blob { repository, digest }, "GET" | "HEAD") => self.read_blob(request, repository, digest),
            (Place::Blob { repository, digest }, "DELETE") => self.delete_blob(repository, digest),
            (Place::Storage { repository, digest }, "GET" | "HEAD") => self.read_storage(request, repository, digest),
            (Place::Uploads { repository }, "POST") => self.begin_upload(request, &caller, repository, body).await,
            (Place::Upload { repository, id }, method) => match method {
                "GET" => self.upload_status(request, repository, id),
                "PATCH" => self.upload_chunk(request, repository, id, body).await,
                "PUT" => self.finish_upload(request, repository, id, body).await,
                "DELETE" => self.cancel_upload(repository, id),
                _ => Err(refusal::unsupported("an upload takes GET, PATCH, PUT and DELETE")),
            },
            (Place::Other(_), _) => Err(refusal::not_found("there is nothing at this path")),
            _ => Err(refusal::unsupported("this cannot be done here")),
        }
    }
}

#[async_trait]
impl Server for RegistryServer {
    fn name(&self) -> &'static str {
        "registry"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let method = parts.method.clone();
        let (kind, outcome) = match Incoming::of(parts) {
            Ok(incoming) => {
                let kind = if is_token_request(&self.settings, &incoming.place) {
                    RequestKind::Token
                } else {
                    RequestKind::of(&incoming.method, &incoming.place, &incoming.query)
                };
                (kind, self.dispatch(&incoming, body).await)
            }
            Err(refusal) => (RequestKind::Other, Err(refusal)),
        };
        let mut response = outcome.unwrap_or_else(refusal::Refusal::into_response);
        if method == Method::HEAD {
            *response.body_mut() = empty();
        }
        response.headers_mut().insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
        self.log.add(LoggedRequest { kind, method, path, status: response.status() });
        Ok(response)
    }
}

/// A request without its body.
#[derive(Debug)]
struct Incoming {
    method: Method,
    place: Place,
    query: Query,
    headers: HeaderMap,
    /// The scheme and the host under which the client knows the registry.
    origin: String,
}

impl Incoming {
    fn of(parts: http::request::Parts) -> Result<Self, refusal::Refusal> {
        Ok(Self {
            place: Place::of(parts.uri.path())?,
            query: Query::of(&parts.uri),
            origin: origin(&parts.uri, &parts.headers),
            method: parts.method,
            headers: parts.headers,
        })
    }

    /// A header as text; what is no text is as good as absent.
    fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn origin(uri: &Uri, headers: &HeaderMap) -> String {
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
        return format!("{scheme}://{}", authority.as_str());
    }
    // What a stranger calls us goes into headers of the answer: nothing but a host may.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.map_or_else(|| "http://localhost".to_owned(), |host| format!("http://{host}"))
}

impl RegistryServer {
    /// Where something stands, as this registry says it.
    fn place_of(&self, request: &Incoming, path: &str) -> String {
        if self.settings.uploads.location == UploadLocation::Absolute {
            format!("{}{path}", request.origin)
        } else {
            path.to_owned()
        }
    }
}

/// An answer without a body.
fn answer(status: StatusCode) -> Response<ByteStream> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// Sets a header, unless the value cannot stand in one.
fn set(response: &mut Response<ByteStream>, name: impl http::header::IntoHeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests;
