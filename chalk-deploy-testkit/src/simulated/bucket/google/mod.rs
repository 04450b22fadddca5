//! A bucket server: the part of Cloud Storage that the adapter speaks, the JSON API and downloads by the XML API.
//!
//! Objects with metadata and preconditions on their generation, in one request or by resumable uploads; downloads with
//! ranges; rewrites; lists in pages; the retention of single objects and temporary holds, where their bucket was made for
//! it. Of a resumable upload a request that is not the last keeps whole quanta of 256 KiB, as Google may. Buckets are made,
//! listed and changed; their settings are kept, and only that of retention has an effect. Versions, folders, access control
//! and uploads without metadata are answered with `notImplemented`.
//!
//! What it has answered is in its [`World`] and outlives the process. The body of one request is held in memory.

mod bucket;
mod error;
mod object;
mod retention;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use self::error::GoogleError;
use super::request::{decoded, pairs};
use super::store::{Object, Store};
use crate::World;
use crate::simulated::http::{Server, Severed, json as document, read_body};

/// The longest body of a request.
const BODY_MOST: usize = 256 << 20;
/// The longest name of an object ("Object naming").
const NAME_MOST: usize = 1024;
/// What metadata is called in what is kept, and in answers of the XML API.
const METADATA: &str = "x-goog-meta-";

type Answer = Result<Response<ByteStream>, GoogleError>;

/// What a bucket server of Google is like.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GoogleBucketSettings {
    /// The buckets that are there.
    pub buckets: Vec<String>,
    /// The access tokens that are let in. With none at all everyone is, and nothing is looked at.
    pub tokens: BTreeSet<String>,
    /// Whether single objects of these buckets can be retained. One that is made later can if it is made so.
    pub object_retention: bool,
    /// The longest list in one answer.
    pub list_most: usize,
}

impl GoogleBucketSettings {
    /// One bucket, open to everyone.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self { buckets: vec![bucket.into()], tokens: BTreeSet::new(), object_retention: false, list_most: 1000 }
    }

    /// Lets in the holder of this token, and from then on nobody without one.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.tokens.insert(token.into());
        self
    }

    /// Sets [`object_retention`](Self::object_retention).
    #[must_use]
    pub const fn with_object_retention(mut self, has: bool) -> Self {
        self.object_retention = has;
        self
    }

    /// Sets [`list_most`](Self::list_most).
    #[must_use]
    pub const fn with_list_most(mut self, most: usize) -> Self {
        self.list_most = most;
        self
    }
}

/// The server. Clones are the same server.
#[derive(Clone)]
pub struct GoogleBucketServer {
    store: Store,
    settings: Arc<GoogleBucketSettings>,
    runtime: Arc<dyn Runtime>,
    /// How many objects were written, so that no two generations are the same.
    written: Arc<AtomicU64>,
}

/// A request, read.
struct Call {
    parts: Parts,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    fn json(&self) -> Result<Value, GoogleError> {
        serde_json::from_slice(&self.body).map_err(|_| GoogleError::parse())
    }

    /// Whether what is at a name is what the precondition asks for: no object for the generation 0.
    fn meets(&self, there: Option<&Object>) -> Result<(), GoogleError> {
        let Some(asked) = self.query("ifGenerationMatch") else { return Ok(()) };
        let generation = there.map_or("0", |object| object.tag.as_str());
        if asked == generation { Ok(()) } else { Err(GoogleError::condition()) }
    }
}

impl GoogleBucketServer {
    /// The server of a world, with the buckets that its settings name.
    ///
    /// # Errors
    /// [`CloudUnavailable`](chalk_deploy_core::ErrorCode::CloudUnavailable) when the world cannot be written.
    pub fn new(world: &World, runtime: Arc<dyn Runtime>, settings: GoogleBucketSettings) -> Result<Self> {
        let store = Store::of_google(world);
        for bucket in &settings.buckets {
            store.make_bucket(bucket, runtime.now())?;
        }
        Ok(Self { store, settings: Arc::new(settings), runtime, written: Arc::default() })
    }

    /// The names of a bucket's objects, in order.
    ///
    /// # Errors
    /// [`CloudUnavailable`](chalk_deploy_core::ErrorCode::CloudUnavailable) when the world cannot be read.
    pub fn names(&self, bucket: &str) -> Result<Vec<String>> {
        self.store.keys(bucket, "")
    }

    async fn respond(&self, request: Request<ByteStream>) -> Answer {
        let (parts, body) = request.into_parts();
        let path: Vec<String> = parts
            .uri
            .path()
            .trim_start_matches('/')
            .split('/')
            .map(decoded)
            .collect::<Result<_, _>>()
            .map_err(|_| GoogleError::invalid("the path cannot be decoded"))?;
        self.admit(&parts)?;
        let query = pairs(parts.uri.query().unwrap_or_default());
        let body = read_body(body, BODY_MOST).await.map_err(GoogleError::body)?;
        let call = Call { parts, query, body };
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (call.parts.method.as_str(), &path[..]) {
            (method, ["upload", "storage", "v1", "b", bucket, "o"]) => {
                self.has(bucket)?;
                match (method, call.query("uploadType"), call.query("upload_id")) {
                    ("POST", Some("multipart"), _) => self.insert(bucket, &call),
                    ("POST", Some("resumable"), None) => self.begin(bucket, &call),
                    ("PUT", _, Some(id)) => self.go_on(bucket, id, &call).await,
                    ("DELETE", _, Some(id)) => self.give_up(bucket, id),
                    _ => Err(GoogleError::not_implemented()),
                }
            }
            ("GET", ["storage", "v1", "b"]) => self.buckets(&call),
            ("POST", ["storage", "v1", "b"]) => self.make_bucket(&call),
            ("GET", ["storage", "v1", "b", bucket]) => self.bucket(bucket),
            ("PATCH", ["storage", "v1", "b", bucket]) => self.change_bucket(bucket, &call),
            ("GET", ["storage", "v1", "b", bucket, "o"]) => self.list(bucket, &call),
            ("POST", ["storage", "v1", "b", bucket, "o", from, "rewriteTo", "b", to, "o", name]) => {
                self.has(bucket)?;
                self.has(to)?;
                self.rewrite((bucket, from), (to, name), &call).await
            }
            (method, ["storage", "v1", "b", bucket, "o", name]) => {
                self.has(bucket)?;
                match method {
                    "GET" if call.query("alt") == Some("media") => self.media(bucket, name, &call),
                    "GET" => Ok(document(StatusCode::OK, &self.resource(bucket, name)?)),
                    "PATCH" => self.patch(bucket, name, &call),
                    "DELETE" => self.delete(bucket, name, &call),
                    _ => Err(GoogleError::not_implemented()),
                }
            }
            ("GET", [bucket, name @ ..]) if !name.is_empty() && *bucket != "storage" && *bucket != "upload" => {
                self.has(bucket)?;
                self.media(bucket, &name.join("/"), &call)
            }
            _ => Err(GoogleError::not_implemented()),
        }
    }

    fn admit(&self, parts: &Parts) -> Result<(), GoogleError> {
        let shown = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        match shown {
            _ if self.settings.tokens.is_empty() => Ok(()),
            Some(token) if self.settings.tokens.contains(token) => Ok(()),
            Some(_) => Err(GoogleError::unauthorized("authError", "Invalid Credentials")),
            None => Err(GoogleError::unauthorized("required", "Anonymous caller does not have access to the bucket.")),
        }
    }

    fn has(&self, bucket: &str) -> Result<(), GoogleError> {
        if super::request::is_bucket(bucket) && self.store.has_bucket(bucket)? {
            Ok(())
        } else {
            Err(GoogleError::no_bucket())
        }
    }

    fn found(&self, bucket: &str, name: &str) -> Result<Object, GoogleError> {
        self.store.object(bucket, name)?.ok_or_else(|| GoogleError::no_object(bucket, name))
    }

    /// A new generation: microseconds, as Google has them.
    fn generation(&self) -> String {
        let count = self.written.fetch_add(1, Ordering::Relaxed) % 1000;
        self.runtime.now().as_millis().saturating_mul(1000).saturating_add(count).to_string()
    }

    /// An object as the JSON API describes it.
    fn described(&self, bucket: &str, name: &str, object: &Object) -> Result<Value, GoogleError> {
        let metadata: BTreeMap<_, _> =
            object.about.0.iter().filter_map(|(name, value)| Some((name.strip_prefix(METADATA)?, value))).collect();
        let mut resource = json!({
            "kind": "storage#object",
            "bucket": bucket,
            "name": name,
            "size": object.size.to_string(),
            "generation": object.tag,
            "metageneration": "1",
            "updated": object.modified.to_string(),
        });
        if !metadata.is_empty() {
            resource["metadata"] = json!(metadata);
        }
        self.describe_lock(bucket, name, &mut resource)?;
        Ok(resource)
    }

    fn resource(&self, bucket: &str, name: &str) -> Result<Value, GoogleError> {
        let object = self.found(bucket, name)?;
        self.described(bucket, name, &object)
    }
}

#[async_trait]
impl Server for GoogleBucketServer {
    fn name(&self) -> &'static str {
        "bucket"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let is_xml = !["/storage/v1/b", "/upload/storage/v1/b"].iter().any(|api| request.uri().path().starts_with(api));
        Ok(self.respond(request).await.unwrap_or_else(|error| error.response(is_xml)))
    }
}

impl fmt::Debug for GoogleBucketServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GoogleBucketServer").field("buckets", &self.settings.buckets).finish_non_exhaustive()
    }
}
