//! A bucket server: the part of S3 that object_store, boto3 and the AWS command line speak.
//!
//! Objects with metadata, ranges and conditions; copies; uploads in parts; lists; many deletions in one request;
//! signatures of version 4 in headers, in presigned addresses and of bodies in chunks; checksums; retention and legal
//! holds, where its settings say so. Bucket policies, versions, tags, encryption and the first form of lists are answered
//! with `NotImplemented`. Buckets are addressed by path, or by a host of AWS.
//!
//! [`GoogleBucketServer`] and [`AzureBucketServer`] are its sisters for the other two clouds.
//!
//! What it has answered is in its [`World`] and outlives the process. The body of one request is held in memory.

mod authentication;
mod azure;
mod body;
mod error;
mod google;
mod list;
mod lock;
mod moment;
mod multipart;
mod object;
mod request;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod xml;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::{Error, Result};
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use self::authentication::hex;
use self::error::S3Error;
use self::request::Call;
use self::store::Store;
use super::http::{Server, Severed, empty};
use crate::World;

pub use self::azure::{AzureBucketServer, AzureBucketSettings};
pub use self::google::{GoogleBucketServer, GoogleBucketSettings};
pub use self::settings::{AccessKey, BucketSettings};

type Answer = Result<Response<ByteStream>, S3Error>;

/// The server. Clones are the same server.
#[derive(Clone)]
pub struct BucketServer {
    store: Store,
    settings: Arc<BucketSettings>,
    runtime: Arc<dyn Runtime>,
    /// The second that is being counted, and its requests.
    rate: Arc<Mutex<(u64, u32)>>,
}

impl BucketServer {
    /// The server of a world, with the buckets that its settings name.
    ///
    /// # Errors
    /// [`CloudUnavailable`](chalk_deploy_core::ErrorCode::CloudUnavailable) when the world cannot be written.
    pub fn new(world: &World, runtime: Arc<dyn Runtime>, settings: BucketSettings) -> Result<Self> {
        let store = Store::new(world);
        for bucket in &settings.buckets {
            store.make_bucket(bucket, runtime.now())?;
        }
        Ok(Self { store, settings: Arc::new(settings), runtime, rate: Arc::default() })
    }

    async fn respond(&self, request: Request<ByteStream>) -> Answer {
        self.keep_rate()?;
        let call = Call::read(request, &self.settings, &*self.runtime).await?;
        match (&call.bucket, &call.key) {
            (None, _) if call.method == Method::GET => self.buckets(),
            (Some(bucket), None) => self.bucket(bucket, &call),
            (Some(bucket), Some(key)) => {
                if !self.store.has_bucket(bucket)? {
                    return Err(S3Error::no_such_bucket(bucket));
                }
                self.object(bucket, key, &call).await
            }
            _ => Err(S3Error::not_implemented()),
        }
    }

    fn keep_rate(&self) -> Result<(), S3Error> {
        let Some(most) = self.settings.requests_per_second else { return Ok(()) };
        let second = self.runtime.monotonic().as_secs();
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        if rate.0 != second {
            *rate = (second, 0);
        }
        rate.1 += 1;
        if rate.1 > most { Err(S3Error::slow_down()) } else { Ok(()) }
    }

    fn bucket(&self, bucket: &str, call: &Call) -> Answer {
        if call.method == Method::PUT && !call.has_subresource() {
            return if self.store.make_bucket(bucket, self.runtime.now())? {
                Ok(done(StatusCode::OK, &[("location", format!("/{bucket}"))]))
            } else {
                Err(S3Error::bucket_exists(bucket))
            };
        }
        if !self.store.has_bucket(bucket)? {
            return Err(S3Error::no_such_bucket(bucket));
        }
        match call.method {
            Method::HEAD => Ok(done(StatusCode::OK, &[("x-amz-bucket-region", self.settings.region.clone())])),
            Method::DELETE if !call.has_subresource() => {
                if !self.store.remove_bucket(bucket)? {
                    return Err(S3Error::bucket_not_empty(bucket));
                }
                Ok(done(StatusCode::NO_CONTENT, &[]))
            }
            Method::GET if call.query("location").is_some() => Ok(xml::location(&self.settings.region)),
            Method::GET if call.query("versioning").is_some() => Ok(xml::empty("VersioningConfiguration")),
            Method::GET if call.query("uploads").is_some() => self.uploads(bucket, call),
            Method::GET if call.query("list-type") == Some("2") => self.list(bucket, call),
            Method::POST if call.query("delete").is_some() => self.delete_many(bucket, call),
            _ => Err(S3Error::not_implemented()),
        }
    }

    async fn object(&self, bucket: &str, key: &str, call: &Call) -> Answer {
        let upload = call.query("uploadId");
        match (&call.method, upload) {
            (&Method::POST, None) if call.query("uploads").is_some() => self.begin_upload(bucket, key, call),
            (&Method::PUT, Some(upload)) => self.put_part(bucket, key, upload, call).await,
            (&Method::POST, Some(upload)) => self.complete_upload(bucket, key, upload, call).await,
            (&Method::DELETE, Some(upload)) => self.abort_upload(bucket, key, upload),
            (&Method::GET, Some(upload)) => self.parts(bucket, key, upload),
            _ if call.query("retention").is_some() || call.query("legal-hold").is_some() => {
                self.lock(bucket, key, call)
            }
            _ if call.has_subresource() => Err(S3Error::not_implemented()),
            (&Method::PUT, None) if call.header("x-amz-copy-source").is_some() => {
                self.copy_object(bucket, key, call).await
            }
            (&Method::PUT, None) => self.put_object(bucket, key, call).await,
            (&Method::GET, None) => self.get_object(bucket, key, call),
            (&Method::HEAD, None) => self.head_object(bucket, key, call),
            (&Method::DELETE, None) => self.delete_object(bucket, key),
            _ => Err(S3Error::not_implemented()),
        }
    }
}

#[async_trait]
impl Server for BucketServer {
    fn name(&self) -> &'static str {
        "bucket"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let is_head = request.method() == Method::HEAD;
        let path = request.uri().path().to_owned();
        let mut response = match self.respond(request).await {
            Ok(response) => response,
            Err(error) => error.response(&path),
        };
        if is_head && !response.headers().contains_key("etag") {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        if is_head {
            *response.body_mut() = empty();
        }
        if let Ok(id) = HeaderValue::from_str(&request_id(&*self.runtime)) {
            response.headers_mut().insert("x-amz-request-id", id);
        }
        Ok(response)
    }
}

impl fmt::Debug for BucketServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BucketServer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// An answer without a body.
fn done(status: StatusCode, headers: &[(&'static str, String)]) -> Response<ByteStream> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(0));
    }
    response
}

fn request_id(runtime: &dyn Runtime) -> String {
    let mut random = [0; 8];
    runtime.fill_random(&mut random);
    hex(&random).to_uppercase()
}

/// How long a client is asked to wait.
const PAUSE: Duration = Duration::from_secs(1);

impl S3Error {
    fn response(&self, resource: &str) -> Response<ByteStream> {
        let mut response = xml::error(self, resource);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(PAUSE.as_secs()));
        }
        response
    }
}

/// The world failed: S3 would call that an internal error.
impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        tracing::warn!(%error, "the world of the bucket server failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "We encountered an internal error.")
    }
}
