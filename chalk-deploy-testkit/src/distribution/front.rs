//! What stands before the registry: pages of its own, and everything else passed on.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::transport::{NetworkTransport, RequestBody, Transport};
use futures::future::BoxFuture;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};

use crate::simulated::http::{Server, Severed, read_body, text};

/// No request of a test is longer.
const LONGEST: usize = 64 << 20;

/// The pages of a cloud that its registry's address has beside the registry.
pub trait Desk: fmt::Debug + Send + Sync + 'static {
    /// The answer, if this is for the desk.
    fn answer(&self, request: &Parts, body: &[u8]) -> Option<Response<ByteStream>>;
}

/// The text of a header; empty where there is none.
pub fn header<'a>(request: &'a Parts, name: &str) -> &'a str {
    request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A request that was passed on to the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Its method.
    pub method: Method,
    /// Its path, and its query without the state of uploads.
    pub path: String,
    /// How many bytes it brought.
    pub bytes: usize,
    /// What the registry answered.
    pub status: StatusCode,
}

impl Passed {
    /// Whether it ended the upload of a blob.
    pub fn ends_an_upload(&self) -> bool {
        ends_an_upload(&self.method, &self.path)
    }
}

pub(super) struct Front {
    behind: String,
    desk: std::sync::Arc<dyn Desk>,
    transport: Transport,
    passed: Mutex<Vec<Passed>>,
    held: Mutex<Option<Held>>,
}

struct Held {
    uploads_before: usize,
    happening: BoxFuture<'static, ()>,
}

impl Front {
    pub(super) fn new(behind: String, desk: std::sync::Arc<dyn Desk>) -> Self {
        let transport = NetworkTransport::builder().build().expect("a transport");
        Self { behind, desk, transport, passed: Mutex::default(), held: Mutex::default() }
    }

    pub(super) fn take_passed(&self) -> Vec<Passed> {
        std::mem::take(&mut *lock(&self.passed))
    }

    pub(super) fn hold(&self, number: usize, happening: BoxFuture<'static, ()>) {
        *lock(&self.held) = Some(Held { uploads_before: number.saturating_sub(1), happening });
    }

    /// What is to happen before this request, if it is the one.
    fn happening(&self, request: &Parts) -> Option<BoxFuture<'static, ()>> {
        if !ends_an_upload(&request.method, request.uri.path()) {
            return None;
        }
        let mut held = lock(&self.held);
        match held.as_mut()?.uploads_before.checked_sub(1) {
            Some(before) => {
                held.as_mut()?.uploads_before = before;
                None
            }
            None => held.take().map(|held| held.happening),
        }
    }

    async fn pass(&self, mut parts: Parts, body: Bytes) -> Result<Response<ByteStream>, Severed> {
        let path_and_query = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        let uri: Uri = format!("http://{}{path_and_query}", self.behind).parse().map_err(|_| Severed)?;
        // The program's own address is not the one that it was told to name.
        for name in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            parts.headers.remove(name);
        }
        let (method, bytes) = (parts.method.clone(), body.len());
        let path = path_and_query.split("_state=").next().unwrap_or_default().to_owned();
        parts.uri = uri;
        let has_a_body = bytes > 0 || [Method::PUT, Method::POST, Method::PATCH].contains(&method);
        let body = if has_a_body { RequestBody::Bytes(body) } else { RequestBody::Empty };
        let mut response = self.transport.send(Request::from_parts(parts, body)).await.map_err(|_| Severed)?;
        response.headers_mut().remove(CONNECTION);
        response.headers_mut().remove(TRANSFER_ENCODING);
        lock(&self.passed).push(Passed { method, path, bytes, status: response.status() });
        Ok(response)
    }
}

#[async_trait]
impl Server for Front {
    fn name(&self) -> &'static str {
        "front"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let (parts, body) = request.into_parts();
        let body = match read_body(body, LONGEST).await {
            Ok(body) => body,
            Err(status) => return Ok(text(status, "this cannot be passed on".to_owned())),
        };
        if let Some(answer) = self.desk.answer(&parts, &body) {
            return Ok(answer);
        }
        if let Some(happening) = self.happening(&parts) {
            happening.await;
        }
        self.pass(parts, body).await
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Front").field("behind", &self.behind).field("desk", &self.desk).finish_non_exhaustive()
    }
}

fn ends_an_upload(method: &Method, path: &str) -> bool {
    method == Method::PUT && path.contains("/blobs/uploads/")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
