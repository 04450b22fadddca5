//! The tower service under kube's client: address and credentials added, then our transport.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::TryStreamExt as _;
use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use kube::client::Body;

use super::located::{ClusterLocator, OpenTransport, Place, Whereabouts};
use super::{ClusterAccess, Failure};
use crate::cloud::ByteStream;
use crate::runtime::Runtime;
use crate::transport::{BoxedFuture, Delivery, RequestBody, RetryPolicy, Transport, TransportError};

const AGENT: &str = concat!("chalk-deploy/", env!("CARGO_PKG_VERSION"));

/// Answers kube's requests. Clones share the credentials.
#[derive(Clone)]
pub(super) struct Endpoint(Arc<Shared>);

struct Shared {
    whereabouts: Whereabouts,
    runtime: Arc<dyn Runtime>,
}

type Answered = Response<StreamBody<Frames>>;
type Frames = futures::stream::BoxStream<'static, std::io::Result<Frame<bytes::Bytes>>>;

impl Endpoint {
    pub(super) fn new(transport: Transport, access: ClusterAccess, runtime: Arc<dyn Runtime>) -> Self {
        let whereabouts = Whereabouts::Given(Place::new(transport, access, runtime.clone()));
        Self(Arc::new(Shared { whereabouts, runtime }))
    }

    pub(super) fn named(
        locator: Arc<dyn ClusterLocator>,
        transports: Arc<dyn OpenTransport>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let whereabouts = Whereabouts::named(locator, transports, runtime.clone());
        Self(Arc::new(Shared { whereabouts, runtime }))
    }

    /// For people.
    pub(super) fn server(&self) -> String {
        self.0.whereabouts.name()
    }

    pub(super) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.0.runtime
    }

    async fn answer(self, request: Request<Body>) -> Result<Answered, Failure> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| Failure::Unsendable(error.to_string()))?.to_bytes();
        let mut request =
            Request::from_parts(parts, if body.is_empty() { RequestBody::Empty } else { RequestBody::Bytes(body) });
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        let place = self.0.whereabouts.place().await.map_err(Failure::Credentials)?;
        match self.at(&place, &request).await? {
            Ok(answered) => Ok(answered),
            Err(unreached) if unreached.delivery == Delivery::NotSent => {
                // What goes wrong in looking for another address is less than that this one does not answer.
                match self.0.whereabouts.instead_of(&place).await {
                    Ok(Some(other)) => self.at(&other, &request).await?.map_err(|error| not_reached(&other, error)),
                    Ok(None) | Err(_) => Err(not_reached(&place, unreached)),
                }
            }
            Err(unreached) => Err(not_reached(&place, unreached)),
        }
    }

    /// The answer of one address, or why there is none.
    async fn at(
        &self,
        place: &Place,
        request: &Request<RequestBody>,
    ) -> Result<Result<Answered, TransportError>, Failure> {
        let mut request = request.clone();
        *request.uri_mut() = join(&place.base, request.uri())?;
        let shown = place.credentials.header().await?;
        let response = match self.send(place, &request, shown.as_ref()).await {
            Ok(response) if response.status() == StatusCode::UNAUTHORIZED => response,
            other => return Ok(other.map(|response| response.map(frames))),
        };
        // Nothing was done. If there are other credentials by now, the old ones had just expired.
        place.credentials.refused().await;
        let renewed = place.credentials.header().await?;
        if renewed == shown {
            return Ok(Ok(response.map(frames)));
        }
        Ok(self.send(place, &request, renewed.as_ref()).await.map(|response| response.map(frames)))
    }

    async fn send(
        &self,
        place: &Place,
        request: &Request<RequestBody>,
        credentials: Option<&HeaderValue>,
    ) -> Result<Response<ByteStream>, TransportError> {
        let mut request = request.clone();
        if let Some(credentials) = credentials {
            request.headers_mut().insert(AUTHORIZATION, credentials.clone());
        }
        place.transport.send_with_retry(request, RetryPolicy::default(), &*self.0.runtime).await
    }
}

impl tower_service::Service<Request<Body>> for Endpoint {
    type Response = Answered;
    type Error = Failure;
    type Future = BoxedFuture<Result<Answered, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

fn not_reached(place: &Place, error: TransportError) -> Failure {
    Failure::NotReached { server: place.server.clone(), source: Box::new(error) }
}

fn frames(body: ByteStream) -> StreamBody<Frames> {
    StreamBody::new(Box::pin(body.map_ok(Frame::data)))
}

/// The request's path and query under the address, whose own path comes first.
fn join(base: &Uri, asked: &Uri) -> Result<Uri, Failure> {
    let asked = asked.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    // kube's requests end in `?` where they have no query.
    let path = format!("{}{}", base.path().trim_end_matches('/'), asked.trim_end_matches('?'));
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(path.parse().map_err(|_| Failure::Unsendable("the path cannot be sent".to_owned()))?);
    Uri::from_parts(parts).map_err(|_| Failure::Unsendable("the address cannot be sent".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_address_comes_before_the_path_of_the_request() {
        for (base, asked, joined) in [
            ("https://h", "/api/v1/pods?", "https://h/api/v1/pods"),
            ("https://h:6443/", "/api?limit=1", "https://h:6443/api?limit=1"),
            ("https://h/k8s/clusters/c-1/", "/api", "https://h/k8s/clusters/c-1/api"),
        ] {
            let base: Uri = base.parse().expect("an address");
            assert_eq!(join(&base, &asked.parse().expect("a path")).expect("sendable").to_string(), joined);
        }
    }
}
