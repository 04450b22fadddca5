//! One request over a socket.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, Uri};
use reqwest::{Client, Url};

use super::body::{Upload, download};
use super::{IdleTimeout, NetworkTransport, failure};
use crate::cloud::ByteStream;
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::transport::{BoxedFuture, Delivery, RequestBody, TransportError};
use crate::{Error, ErrorCode};

impl tower_service::Service<Request<RequestBody>> for NetworkTransport {
    type Response = Response<ByteStream>;
    type Error = TransportError;
    type Future = BoxedFuture<Result<Response<ByteStream>, TransportError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        Box::pin(self.clone().exchange(request))
    }
}

impl NetworkTransport {
    async fn exchange(self, request: Request<RequestBody>) -> Result<Response<ByteStream>, TransportError> {
        let (parts, body) = request.into_parts();
        let url = self.url(&parts.uri)?;
        let host = host_of(&parts.uri);
        let client = self.client(&parts.uri)?.clone();
        let idle = parts.extensions.get::<IdleTimeout>().map_or(self.idle_timeout, |limit| limit.0);
        let turn = self.runtime.within(idle, self.connections.clone().acquire_owned()).await;
        let Some(Ok(turn)) = turn else {
            let message = format!("no connection to {host} became free in {}", seconds(idle));
            return Err(TransportError::new(Delivery::NotSent, message));
        };
        let mut outgoing = reqwest::Request::new(parts.method, url);
        *outgoing.headers_mut() = parts.headers;
        let upload = Arc::new(Upload::default());
        match body {
            RequestBody::Empty => {
                // Where a body is expected, its absence is said (RFC 9110, section 8.6).
                if matches!(*outgoing.method(), Method::POST | Method::PUT | Method::PATCH) {
                    outgoing.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
                }
            }
            RequestBody::Bytes(bytes) => *outgoing.body_mut() = Some(bytes.into()),
            RequestBody::Payload(payload) => {
                let stream = payload.open().await.map_err(|error| failure::of_payload(Delivery::NotSent, error))?;
                outgoing.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(payload.size()));
                let stream = upload.clone().stream(stream, payload.size());
                *outgoing.body_mut() = Some(reqwest::Body::wrap_stream(stream));
            }
        }
        let answer = while_moving(&*self.runtime, idle, &upload, client.execute(outgoing)).await;
        // The payload's own reason comes first: what the connection says of it is only that it ended.
        if let Some(error) = upload.failure() {
            return Err(failure::of_payload(Delivery::MaybeSent, error));
        }
        let mut answer = match answer {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => return Err(failure::of_request(&error, &host)),
            None => {
                let message = format!("{host} did not answer: nothing moved for {}", seconds(idle));
                return Err(TransportError::new(Delivery::MaybeSent, message));
            }
        };
        let mut response = Response::new(());
        *response.status_mut() = answer.status();
        *response.version_mut() = answer.version();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response.map(|()| download(answer, host, idle, self.runtime, turn)))
    }

    fn client(&self, uri: &Uri) -> Result<&Client, TransportError> {
        self.clients.of(uri.scheme().unwrap_or(&Scheme::HTTPS)).map_err(|error| {
            let message = error.message().to_owned();
            TransportError { delivery: Delivery::NotSent, message, source: Some(Box::new(error)) }
        })
    }

    /// The address as reqwest wants it; refused where it is no address for this transport.
    fn url(&self, uri: &Uri) -> Result<Url, TransportError> {
        let refused = |message: String, hint: &str| {
            let error = Error::new(ErrorCode::RequestInvalid, message.clone()).with_hint(hint);
            TransportError { delivery: Delivery::NotSent, message, source: Some(Box::new(error)) }
        };
        let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
            return Err(refused("the address of a request names no host".to_owned(), "give the whole address"));
        };
        if authority.as_str().contains('@') {
            let message = format!("the address of {} holds credentials", host_of(uri));
            return Err(refused(message, "give the credentials apart from the address"));
        }
        let encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        if !encrypted && uri.scheme() != Some(&Scheme::HTTP) {
            let message = format!("the address of {} is neither https nor http", host_of(uri));
            return Err(refused(message, "correct the address"));
        }
        if !encrypted && !is_loopback(host) && !self.plain_http.contains(&host.to_ascii_lowercase()) {
            let message = format!("{} would be asked over plain http, which anyone on the way can read", host_of(uri));
            return Err(refused(message, "use https, or allow plain http to this host"));
        }
        let url = Url::parse(&uri.to_string())
            .map_err(|error| refused(format!("the address of {} does not parse: {error}", host_of(uri)), ""))?;
        // A path that is tidied up on its way is another path, and no longer the one that was signed.
        if url.path() != uri.path() || url.query() != uri.query() {
            let message = format!("the path of a request to {} is not in its normal form", host_of(uri));
            return Err(refused(message, "leave out `.` and `..`, and encode what a path cannot hold"));
        }
        Ok(url)
    }
}

/// Waits for the answer for as long as the request's body moves, and then for the time that it may stand still.
async fn while_moving<F>(runtime: &dyn Runtime, idle: Duration, upload: &Upload, answer: F) -> Option<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    let mut answer = pin!(answer);
    let mut seen = upload.moved();
    loop {
        if let Some(output) = runtime.within(idle, answer.as_mut()).await {
            return Some(output);
        }
        let moved = upload.moved();
        if moved == seen {
            return None;
        }
        seen = moved;
    }
}

/// Host and port, as errors name them.
fn host_of(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    let shown = match uri.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    crate::text::line(&shown, 200)
}

fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A duration in words.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
