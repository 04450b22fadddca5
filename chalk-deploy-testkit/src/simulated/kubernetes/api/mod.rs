//! The API server: everything between a request and the [`Objects`], as kube-apiserver does it towards kubectl,
//! client-go and kube.
//!
//! A request is read (`call`, `path`, `query`, `accept`), its author is found (`authentication`) and may do it
//! or not (`authorization`). Reads (`read`, `watch`) are shown in the form that the client accepts
//! (`presentation`). Writes (`write`) are completed ([`defaults`]), held to the rules of the kind, admitted
//! ([`admission`]) and stored in one step, whatever else happens at the same time.
//!
//! How each of them behaves follows the API conventions and the reference of Kubernetes 1.33 (`reference/using-api`),
//! and what kubectl 1.35 and client-go expect in answer.

mod accept;
pub mod admission;
mod authentication;
mod authorization;
mod call;
pub mod defaults;
mod discovery;
mod log;
mod openapi;
mod path;
mod presentation;
mod query;
mod read;
mod review;
mod selector;
mod settings;
mod start;
mod watch;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chalk_deploy_core::cloud::ByteStream;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WARNING};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use self::call::Call;
use self::path::Path;
pub use self::settings::{Anonymous, ApiSettings, Denial, Overload, Token, User, WatchFaults};
use super::objects::Objects;
use super::status::Status;
use crate::simulated::http::{Server, Severed, empty, full, json, read_body};
use crate::simulated::seam::PodLogs;

/// What kube-apiserver takes at most.
const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// The API server of one cluster. Clones are the same server.
#[derive(Debug, Clone)]
pub struct ApiServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    objects: Objects,
    settings: Mutex<ApiSettings>,
    /// One write at a time, so that what admission has counted is still true when the object is stored.
    writing: Mutex<()>,
    logs: Mutex<Option<Arc<dyn PodLogs>>>,
}

impl ApiServer {
    /// A server in front of these objects. It makes the namespaces, the service account and the roles that every
    /// cluster begins with, where they are missing.
    pub fn new(objects: Objects, settings: ApiSettings) -> Self {
        start::create_built_ins(&objects);
        Self(Arc::new(Shared {
            objects,
            settings: Mutex::new(settings),
            writing: Mutex::new(()),
            logs: Mutex::new(None),
        }))
    }

    /// Shows the logs of these pods.
    #[must_use]
    pub fn with_logs(self, logs: Arc<dyn PodLogs>) -> Self {
        *self.0.logs.lock().unwrap_or_else(PoisonError::into_inner) = Some(logs);
        self
    }

    /// The objects behind it.
    pub fn objects(&self) -> &Objects {
        &self.0.objects
    }

    /// Changes the settings while the server runs.
    pub fn adjust(&self, change: impl FnOnce(&mut ApiSettings)) {
        change(&mut self.settings());
    }

    fn settings(&self) -> MutexGuard<'_, ApiSettings> {
        self.0.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn logs(&self) -> Option<Arc<dyn PodLogs>> {
        self.0.logs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn handle(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Status> {
        let (parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS {
            return Ok(options());
        }
        let user = self.authenticate(&parts.headers)?;
        self.hold_under_load()?;
        let call = Call::read(parts, user)?;
        match &call.path {
            Path::Other => {
                self.authorize_path(&call.user, call.verb_of_path(), &call.text)?;
                discovery::answer_other(&call)
            }
            Path::Review { namespace, plural } => {
                self.authorize_review(&call.user, namespace.as_deref(), plural)?;
                if call.method != Method::POST {
                    return Err(not_allowed());
                }
                let body = self::write::Body::read(&call, &whole(body).await?)?;
                self.review(&call, namespace.as_deref(), plural, body)
            }
            Path::Objects(place) => {
                let verb = call.verb(place)?;
                self.authorize(&call, place, verb)?;
                match verb {
                    "watch" => self.watch(&call, place),
                    "get" if place.subresource.as_deref() == Some("log") => self.log(&call, place),
                    "get" => self.get(&call, place),
                    "list" => self.list(&call, place),
                    _ => {
                        let body = whole(body).await?;
                        self.write(&call, place, verb, &body)
                    }
                }
            }
        }
    }

    fn hold_under_load(&self) -> Result<(), Status> {
        let mut settings = self.settings();
        let Some(overload) = &mut settings.overload else { return Ok(()) };
        let seconds = overload.retry_after_seconds;
        overload.requests = overload.requests.saturating_sub(1);
        if overload.requests == 0 {
            settings.overload = None;
        }
        let mut status =
            Status::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "too many requests, please try again later");
        status.retry_after_seconds = Some(seconds);
        Err(status)
    }
}

#[async_trait]
impl Server for ApiServer {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let head = request.method() == Method::HEAD;
        let mut response = self.handle(request).await.unwrap_or_else(|status| refusal(&status));
        if head {
            *response.body_mut() = empty();
        }
        Ok(response)
    }
}

async fn whole(body: ByteStream) -> Result<bytes::Bytes, Status> {
    read_body(body, LARGEST_BODY).await.map_err(|code| match code {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Status::new(code, "RequestEntityTooLarge", format!("Request entity too large: limit is {LARGEST_BODY}"))
        }
        _ => Status::bad_request("the body of the request broke off"),
    })
}

fn refusal(status: &Status) -> Response<ByteStream> {
    let mut response = json(status.code, &status.document());
    if let Some(seconds) = status.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status.code == StatusCode::UNAUTHORIZED {
        let realm = HeaderValue::from_static("Bearer realm=\"kubernetes\"");
        response.headers_mut().insert(http::header::WWW_AUTHENTICATE, realm);
    }
    response
}

fn options() -> Response<ByteStream> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"));
    response
}

fn text(words: &str) -> Response<ByteStream> {
    let mut response = Response::new(full(words.to_owned()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The warnings of an answer, as RFC 7234 writes them; kubectl shows them to people.
fn warn(response: &mut Response<ByteStream>, warnings: &[String]) {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

fn not_found() -> Status {
    Status::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
}

fn not_allowed() -> Status {
    Status::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    )
}

#[cfg(test)]
mod tests;
