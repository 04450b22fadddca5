//! object_store's way to the network: signs a request, and sends it through the transport.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use http::header::{CONTENT_LENGTH, DATE, HeaderName, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};

use super::signature::Signer;
use crate::bucket::connector::{carried, failed, passes, queried, read, send, streamed};
use crate::bucket::refusal::{Refusal, element};
use crate::bucket::upload::OntoFreeKey;
use crate::cloud::ByteStream;
use crate::model::Digest;
use crate::runtime::Runtime;
use crate::transport::{RequestBody, Transport};
use crate::{Error, ErrorCode};

const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
/// S3 refuses what says another account than the bucket's.
const OWNER: HeaderName = HeaderName::from_static("x-amz-expected-bucket-owner");

/// Makes the one client of a bucket.
#[derive(Clone)]
pub(super) struct Connector {
    transport: Transport,
    signer: Arc<Signer>,
    owner: Option<HeaderValue>,
    runtime: Arc<dyn Runtime>,
    /// The uploads in parts that may only be completed onto a free key.
    onto_free_keys: Arc<Mutex<BTreeSet<String>>>,
}

impl Connector {
    pub(super) fn new(
        transport: Transport,
        signer: Arc<Signer>,
        owner: Option<HeaderValue>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        Self { transport, signer, owner, runtime, onto_free_keys: Arc::default() }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut parts, body) = request.into_parts();
        let body = carried(&parts, body).await?;
        let begins = parts.method == Method::POST && queried(&parts, "uploads").is_some();
        let onto_free_key = begins && parts.extensions.get::<OntoFreeKey>().is_some();
        let upload = if begins { None } else { queried(&parts, "uploadId") };
        if let (&Method::POST, Some(upload)) = (&parts.method, &upload)
            && self.uploads().contains(upload)
        {
            parts.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let ends = upload.filter(|_| matches!(parts.method, Method::POST | Method::DELETE));
        let expected = expected_document(&parts);
        let response = self.send(parts, body).await?;
        if let Some(upload) = ends {
            self.uploads().remove(&upload);
        }
        let Some(expected) = expected.filter(|_| response.status().is_success()) else {
            return Ok(streamed(response));
        };
        let (parts, body) = response.into_parts();
        let body = read(body).await?;
        if let Some(refusal) = Refusal::within(&body) {
            return Err(failed(refusal));
        }
        let text = String::from_utf8_lossy(&body);
        if !text.contains(&format!("<{expected}")) {
            let message = format!("the server answered with something else than a {expected}");
            return Err(failed(Error::new(ErrorCode::CloudAnswerInvalid, message)));
        }
        if onto_free_key && let Some(upload) = element(&text, "UploadId") {
            self.uploads().insert(upload);
        }
        Ok(Response::from_parts(parts, body.into()))
    }
}

impl Connector {
    pub(super) async fn send(&self, mut parts: Parts, body: RequestBody) -> Result<Response<ByteStream>, HttpError> {
        let checksum = parts.headers.get_mut(CHECKSUM);
        if let (RequestBody::Payload(payload), Some(checksum)) = (&body, checksum) {
            // That of what object_store was given instead.
            *checksum = HeaderValue::from_str(&STANDARD.encode(payload.sha256().as_bytes())).map_err(failed)?;
        }
        // object_store has hashed what it sends with a checksum.
        let hashed = parts.headers.get(CHECKSUM).and_then(|value| STANDARD.decode(value).ok());
        let sha256 = match (hashed.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()), &body) {
            (_, RequestBody::Payload(payload)) => payload.sha256(),
            (Some(bytes), _) => Digest::from_bytes(bytes),
            (None, RequestBody::Bytes(bytes)) => Digest::of(bytes),
            (None, RequestBody::Empty) => Digest::of(b""),
        };
        parts.headers.remove(CONTENT_LENGTH);
        if let Some(owner) = &self.owner {
            parts.headers.insert(OWNER, owner.clone());
        }
        let mut is_first = true;
        let (parts, body, refusal) = loop {
            let mut sent = parts.clone();
            let credentials = self.signer.sign(&parts.method, &parts.uri, &mut sent.headers, sha256).await;
            let credentials = credentials.map_err(failed)?;
            let dated = sent.headers.get("x-amz-date").cloned();
            let response = send(&self.transport, &*self.runtime, sent, body.clone()).await.map_err(failed)?;
            if passes(response.status()) {
                return Ok(response);
            }
            let (answered, words) = response.into_parts();
            // A refusal that breaks off is still a refusal.
            let words = read(words).await.unwrap_or_default();
            let refusal = Refusal::read(answered.status, &answered.headers, &words);
            let refusal = refusal.with_clocks(dated.as_ref(), answered.headers.get(DATE));
            // What was refused was not done, so that it may be sent again whatever it is.
            if is_first
                && refusal.may_be_ended_session()
                && let Some(credentials) = credentials
                && self.signer.has_others_than(&credentials).await.map_err(failed)?
            {
                is_first = false;
                continue;
            }
            break (answered, words, refusal);
        };
        if parts.status == StatusCode::NOT_FOUND && refusal.code != "NoSuchBucket" {
            return Ok(Response::from_parts(parts, futures::stream::iter([Ok(body)]).boxed()));
        }
        Err(failed(refusal))
    }

    fn uploads(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.onto_free_keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The document that answers a request, where it is answered with one. object_store takes any other XML for an empty
/// list, and the body of a copy for nothing.
fn expected_document(parts: &Parts) -> Option<&'static str> {
    match parts.method {
        Method::POST if queried(parts, "uploads").is_some() => Some("InitiateMultipartUploadResult"),
        Method::POST => Some("CompleteMultipartUploadResult"),
        Method::PUT if parts.headers.contains_key("x-amz-copy-source") => Some("CopyObjectResult"),
        Method::GET if queried(parts, "list-type").is_some() => Some("ListBucketResult"),
        _ => None,
    }
}
