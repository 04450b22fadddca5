//! Single requests to Google Cloud Storage.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use object_store::Error as StoreError;
use object_store::path::Path;
use serde::de::DeserializeOwned;

use crate::bucket::connector::read;
use crate::bucket::encoding::encoded;
use crate::bucket::refusal::Refusal;
use crate::cloud::ByteStream;
use crate::credentials::{BearerToken, BearerTokenSource};
use crate::runtime::Runtime;
use crate::transport::{Repeatable, RequestBody, RetryPolicy, Transport};
use crate::{Error, ErrorCode};

pub(super) type StoreResult<T> = Result<T, StoreError>;

/// What a request is about: what its 404 and its 412 mean.
#[derive(Debug, Clone, Copy)]
pub(super) enum About<'path> {
    /// The bucket.
    Bucket,
    /// An object, which must be there.
    Object(&'path Path),
    /// A key, which is written.
    Key(&'path Path),
}

/// Sends requests about one bucket.
pub(super) struct Client {
    transport: Transport,
    pub(super) runtime: Arc<dyn Runtime>,
    credentials: Option<Arc<dyn BearerTokenSource>>,
    /// Scheme and host.
    base: String,
    bucket: String,
}

impl Client {
    pub(super) const fn new(
        transport: Transport,
        runtime: Arc<dyn Runtime>,
        credentials: Option<Arc<dyn BearerTokenSource>>,
        base: String,
        bucket: String,
    ) -> Self {
        Self { transport, runtime, credentials, base, bucket }
    }

    /// The path of the bucket's objects in the JSON API.
    pub(super) fn objects(&self) -> String {
        format!("/storage/v1/b/{}/o", self.bucket)
    }

    /// The path of an object in the JSON API.
    pub(super) fn object(&self, path: &Path) -> String {
        format!("{}/{}", self.objects(), encoded(path.as_ref(), false))
    }

    /// The path of an object in the XML API.
    pub(super) fn media(&self, path: &Path) -> String {
        format!("/{}/{}", self.bucket, encoded(path.as_ref(), false))
    }

    /// The path to which objects of the bucket are uploaded.
    pub(super) fn uploads(&self) -> String {
        format!("/upload{}", self.objects())
    }

    /// Sends a request that has the same effect when it is repeated, and repeats it where that helps.
    pub(super) async fn send(
        &self,
        method: Method,
        address: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> StoreResult<Response<ByteStream>> {
        let mut request = self.request(method, address, headers, body)?;
        request.extensions_mut().insert(Repeatable);
        self.shown(request).await
    }

    /// Sends a request once.
    pub(super) async fn once(
        &self,
        method: Method,
        address: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> StoreResult<Response<ByteStream>> {
        let request = self.request(method, address, headers, body)?;
        self.shown(request).await
    }

    /// Shows the token with a request. One that is refused is fetched anew once: it may have been revoked before its end,
    /// and what is refused has had no effect.
    async fn shown(&self, request: Request<RequestBody>) -> StoreResult<Response<ByteStream>> {
        let Some(source) = &self.credentials else { return self.sent(request).await };
        let token = source.token().await.map_err(broken)?;
        let response = self.sent(with_token(request.clone(), &token)?).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        source.refused(&token).await;
        let renewed = source.token().await.map_err(broken)?;
        if renewed == token {
            return Ok(response);
        }
        self.sent(with_token(request, &renewed)?).await
    }

    async fn sent(&self, request: Request<RequestBody>) -> StoreResult<Response<ByteStream>> {
        let sent = match request.extensions().get::<Repeatable>() {
            Some(_) => self.transport.send_with_retry(request, RetryPolicy::default(), &*self.runtime).await,
            None => self.transport.send(request).await,
        };
        sent.map_err(broken)
    }

    /// The answer if it is a success; otherwise what it means.
    pub(super) async fn successful(
        &self,
        response: Response<ByteStream>,
        about: About<'_>,
    ) -> StoreResult<Response<ByteStream>> {
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response, about).await) }
    }

    /// What a refusal means.
    pub(super) async fn refused(&self, response: Response<ByteStream>, about: About<'_>) -> StoreError {
        let (parts, body) = response.into_parts();
        // A refusal that breaks off is still a refusal.
        let body = read(body).await.unwrap_or_default();
        let mut refusal = Refusal::read(parts.status, &parts.headers, &body);
        match (parts.status, about) {
            // The JSON API has one reason for both; the words of the message differ.
            (StatusCode::NOT_FOUND, About::Object(path))
                if refusal.code != "NoSuchBucket" && !refusal.message.contains("bucket does not exist") =>
            {
                StoreError::NotFound { path: path.to_string(), source: "there is no such object".into() }
            }
            (StatusCode::NOT_FOUND, _) => {
                "NoSuchBucket".clone_into(&mut refusal.code);
                broken(refusal)
            }
            (StatusCode::PRECONDITION_FAILED, About::Object(path) | About::Key(path)) => {
                StoreError::AlreadyExists { path: path.to_string(), source: "the key is not free".into() }
            }
            _ => broken(refusal),
        }
    }

    fn request(
        &self,
        method: Method,
        address: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> StoreResult<Request<RequestBody>> {
        let body = if body.is_empty() { RequestBody::Empty } else { RequestBody::Bytes(body) };
        let request = Request::builder().method(method).uri(format!("{}{address}", self.base)).body(body);
        let mut request = request.map_err(|_| malformed("the key or the server's answer makes no address"))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("base", &self.base).field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

fn with_token(mut request: Request<RequestBody>, token: &BearerToken) -> StoreResult<Request<RequestBody>> {
    request.headers_mut().insert(AUTHORIZATION, token.authorization().map_err(broken)?);
    Ok(request)
}

/// Reads an answer in JSON.
pub(super) async fn document<T: DeserializeOwned>(response: Response<ByteStream>) -> StoreResult<T> {
    let body = read(response.into_body()).await.map_err(broken)?;
    serde_json::from_slice(&body).map_err(|_| malformed("the server answered with something else than its document"))
}

/// An error with its cause, which [`failure`](crate::bucket::failure) finds.
pub(super) fn broken(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Generic { store: "GCS", source: Box::new(cause) }
}

/// An answer that makes no sense.
pub(super) fn malformed(what: &str) -> StoreError {
    broken(Error::new(ErrorCode::CloudAnswerInvalid, what))
}
