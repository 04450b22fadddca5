//! Object Lock ("Using S3 Object Lock" of the user guide; `PutObjectRetention`, `PutObjectLegalHold`, `GetObjectRetention`
//! and `GetObjectLegalHold` of the API reference).

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use object_store::Error as StoreError;
use object_store::client::HttpError;

use super::connector::Connector;
use crate::bucket::connector::{failed, in_memory, read};
use crate::bucket::encoding::encoded;
use crate::bucket::moment;
use crate::bucket::refusal::{Refusal, element};
use crate::bucket::retention::Locks;
use crate::cloud::{ByteStream, Retention, RetentionMode};
use crate::model::{Digest, ObjectKey, Timestamp};
use crate::{Error, ErrorCode};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// The locks of one bucket's objects.
#[derive(Debug)]
pub(super) struct S3Locks {
    connector: Connector,
    /// The bucket's address.
    base: String,
}

impl S3Locks {
    pub(super) const fn new(connector: Connector, base: String) -> Self {
        Self { connector, base }
    }

    /// The document about an object; `None` when there is none about it.
    async fn document(&self, key: &ObjectKey, about: &str) -> object_store::Result<Option<String>> {
        let response = match self.send(Method::GET, key, about, Bytes::new()).await {
            // AWS says so with 404, versitygw with 400.
            Err(error) if refusal_in(&error).is_some_and(is_unset) => return Ok(None),
            answered => answered.map_err(broken)?,
        };
        let (parts, body) = response.into_parts();
        let body = read(body).await.map_err(broken)?;
        if parts.status.is_success() {
            return Ok(Some(String::from_utf8_lossy(&body).into_owned()));
        }
        let refusal = Refusal::read(parts.status, &parts.headers, &body);
        match parts.status {
            _ if is_unset(&refusal) => Ok(None),
            StatusCode::NOT_FOUND => Err(missing(key)),
            _ => Err(broken(refusal)),
        }
    }

    async fn put(&self, key: &ObjectKey, about: &str, document: String) -> object_store::Result<()> {
        let response = self.send(Method::PUT, key, about, document.into()).await.map_err(broken)?;
        if response.status().is_success() { Ok(()) } else { Err(missing(key)) }
    }

    async fn send(
        &self,
        method: Method,
        key: &ObjectKey,
        about: &str,
        body: Bytes,
    ) -> Result<Response<ByteStream>, HttpError> {
        let address = format!("{}/{}?{about}", self.base, encoded(key.as_str(), true));
        let mut request = Request::builder().method(method).uri(address);
        if !body.is_empty() {
            // The reference wants a checksum of what locks an object.
            let checksum = STANDARD.encode(Digest::of(&body).as_bytes());
            request = request.header("x-amz-checksum-sha256", checksum);
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        }
        let (parts, ()) = request.body(()).map_err(failed)?.into_parts();
        self.connector.send(parts, in_memory(body)).await
    }
}

#[async_trait]
impl Locks for S3Locks {
    async fn read(&self, key: &ObjectKey) -> object_store::Result<Retention> {
        let until = match self.document(key, "retention").await? {
            Some(document) => {
                let until = element(&document, "RetainUntilDate").and_then(|until| moment::read(&until));
                let mode = match element(&document, "Mode").as_deref() {
                    Some("GOVERNANCE") => Some(RetentionMode::Governance),
                    Some("COMPLIANCE") => Some(RetentionMode::Compliance),
                    _ => None,
                };
                Some(until.zip(mode).ok_or_else(|| malformed("the server names a retention that is none"))?)
            }
            None => None,
        };
        let held = match self.document(key, "legal-hold").await? {
            Some(document) => element(&document, "Status").as_deref() == Some("ON"),
            None => false,
        };
        Ok(Retention { until, held })
    }

    async fn keep(&self, key: &ObjectKey, until: Timestamp, mode: RetentionMode) -> object_store::Result<()> {
        let mode = match mode {
            RetentionMode::Governance => "GOVERNANCE",
            RetentionMode::Compliance => "COMPLIANCE",
        };
        let until = moment::in_seconds(until);
        let document = format!(
            "<Retention xmlns=\"{NAMESPACE}\"><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
        );
        self.put(key, "retention", document).await
    }

    async fn hold(&self, key: &ObjectKey, held: bool) -> object_store::Result<()> {
        let status = if held { "ON" } else { "OFF" };
        let document = format!("<LegalHold xmlns=\"{NAMESPACE}\"><Status>{status}</Status></LegalHold>");
        self.put(key, "legal-hold", document).await
    }
}

/// Whether nothing was ever said about an object.
fn is_unset(refusal: &Refusal) -> bool {
    matches!(refusal.code.as_str(), "NoSuchObjectLockConfiguration" | "ObjectLockConfigurationNotFoundError")
}

/// The server's refusal, where it is the reason.
fn refusal_in(error: &HttpError) -> Option<&Refusal> {
    std::error::Error::source(error)?.downcast_ref()
}

fn missing(key: &ObjectKey) -> StoreError {
    StoreError::NotFound { path: key.to_string(), source: "there is no such object".into() }
}

fn broken(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Generic { store: "S3", source: Box::new(cause) }
}

fn malformed(what: &str) -> StoreError {
    broken(Error::new(ErrorCode::CloudAnswerInvalid, what))
}
