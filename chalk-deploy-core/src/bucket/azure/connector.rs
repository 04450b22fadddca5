//! object_store's way to Azure: adds what it leaves out, authorizes a request, and sends it through the transport.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use http::header::{CONTENT_LENGTH, DATE, HeaderMap, HeaderName, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};

use super::signature::AzureSigner;
use crate::bucket::connector::{carried, failed, passes, queried, read, send, streamed};
use crate::bucket::encoding::encoded;
use crate::bucket::refusal::Refusal;
use crate::bucket::upload::OntoFreeKey;
use crate::cloud::ByteStream;
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::transport::{RequestBody, Transport};
use crate::{Error, ErrorCode};

const COPY_SOURCE: HeaderName = HeaderName::from_static("x-ms-copy-source");
const COPY_STATUS: HeaderName = HeaderName::from_static("x-ms-copy-status");

/// A copy within an account is done at once as a rule; where it is not, it is waited for about as long as this.
const COPY_LOOKS_MOST: u32 = 600;
const COPY_PAUSE: Duration = Duration::from_millis(500);

/// Asks the connector to list under a prefix. object_store leaves out the object whose name is the prefix itself where
/// it knows of the prefix.
#[derive(Debug, Clone)]
pub(super) struct UnderPrefix(pub(super) String);

/// Makes the one client of a container.
#[derive(Clone)]
pub(super) struct Connector {
    transport: Transport,
    signer: Arc<AzureSigner>,
    runtime: Arc<dyn Runtime>,
}

impl Connector {
    pub(super) fn new(transport: Transport, signer: Arc<AzureSigner>, runtime: Arc<dyn Runtime>) -> Self {
        Self { transport, signer, runtime }
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
        if parts.extensions.get::<OntoFreeKey>().is_some() {
            parts.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        if let Some(UnderPrefix(prefix)) = parts.extensions.get() {
            let address = format!("{}&prefix={}", parts.uri, encoded(prefix, false));
            parts.uri = address.parse().map_err(failed)?;
        }
        let copies = parts.headers.contains_key(COPY_SOURCE);
        let lists = queried(&parts, "comp").as_deref() == Some("list");
        let uri = parts.uri.clone();
        let response = self.exchange(parts, body).await?;
        if !response.status().is_success() {
            return Ok(streamed(response));
        }
        if copies {
            self.wait_for_copy(&uri, response.headers().clone()).await?;
        }
        if !lists {
            return Ok(streamed(response));
        }
        let (parts, body) = response.into_parts();
        let body = read(body).await?;
        // object_store takes any other XML for an empty list.
        if !String::from_utf8_lossy(&body).contains("<EnumerationResults") {
            let message = "the server answered with something else than a list of blobs";
            return Err(failed(Error::new(ErrorCode::CloudAnswerInvalid, message)));
        }
        Ok(Response::from_parts(parts, body.into()))
    }
}

impl Connector {
    /// Removes the blob at an address. Whether it was there.
    pub(super) async fn delete(&self, uri: &Uri) -> Result<bool, HttpError> {
        let request = Request::delete(uri).body(()).map_err(failed)?;
        let response = self.exchange(request.into_parts().0, RequestBody::Empty).await?;
        Ok(response.status() != StatusCode::NOT_FOUND)
    }

    async fn wait_for_copy(&self, uri: &Uri, mut headers: HeaderMap) -> Result<(), HttpError> {
        let ended = |code, message: &str| Err(failed(Error::new(code, message)));
        for _ in 0..COPY_LOOKS_MOST {
            match headers.get(COPY_STATUS).map(HeaderValue::as_bytes) {
                None | Some(b"success") => return Ok(()),
                Some(b"pending") => {}
                Some(_) => return ended(ErrorCode::CloudUnavailable, "the server has given up a copy"),
            }
            self.runtime.sleep(self.runtime.jittered(COPY_PAUSE)).await;
            let request = Request::head(uri).body(()).map_err(failed)?;
            let response = self.exchange(request.into_parts().0, RequestBody::Empty).await?;
            if !response.status().is_success() {
                return ended(ErrorCode::CloudUnavailable, "what was copied is not there");
            }
            headers = response.into_parts().0.headers;
        }
        ended(ErrorCode::CloudUnavailable, "the server does not come to the end of a copy")
    }

    /// Sends a request. What object_store tells apart by its status comes back, the rest is a [`Refusal`].
    pub(super) async fn exchange(
        &self,
        mut parts: Parts,
        body: RequestBody,
    ) -> Result<Response<ByteStream>, HttpError> {
        parts.headers.remove(CONTENT_LENGTH);
        let method = parts.method.clone();
        let mut response = self.authorized(&mut parts, &body).await?;
        // Nothing was done. If there is another token by now, the old one had just expired.
        if response.status() == StatusCode::UNAUTHORIZED && self.signer.refused(&parts.headers).await {
            response = self.authorized(&mut parts, &body).await?;
        }
        if passes(response.status()) {
            return Ok(response);
        }
        let sent = parts.headers.remove("x-ms-date");
        let (parts, body) = response.into_parts();
        // A refusal that breaks off is still a refusal.
        let body = read(body).await.unwrap_or_default();
        let refusal = Refusal::read(parts.status, &parts.headers, &body);
        let refusal = refusal.with_clocks(sent.as_ref(), parts.headers.get(DATE));
        let understood = match parts.status {
            StatusCode::NOT_FOUND => {
                matches!(refusal.code.as_str(), "BlobNotFound" | "ResourceNotFound" | "CannotVerifyCopySource")
                    || (refusal.code.is_empty() && method == Method::HEAD)
            }
            StatusCode::CONFLICT => refusal.code == "BlobAlreadyExists",
            _ => false,
        };
        if understood {
            return Ok(Response::from_parts(parts, futures::stream::iter([Ok(body)]).boxed()));
        }
        Err(failed(refusal))
    }

    async fn authorized(&self, parts: &mut Parts, body: &RequestBody) -> Result<Response<ByteStream>, HttpError> {
        let authorized = self.signer.authorize(&parts.method, &parts.uri, &mut parts.headers, body.length());
        authorized.await.map_err(failed)?;
        send(&self.transport, &*self.runtime, parts.clone(), body.clone()).await.map_err(failed)
    }
}
