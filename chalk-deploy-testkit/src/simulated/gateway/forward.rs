//! One request on its way through the data plane.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::{Runtime, RuntimeExt as _};
use futures::StreamExt as _;
use http::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderName, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};

use super::Shared;
use super::configuration::{self, Action, BackendConfiguration, RetryConfiguration, RuleConfiguration};
use super::hostname::without_port;
use super::matching::Asked;
use super::observer::{AnsweredBy, RequestOutcome};
use super::path::{Normalized, normalize};
use super::plane::{Engaged, draw, random};
use crate::simulated::http::{empty, full, read_body};

/// The longest body that is kept, to be sent again or to a mirror too.
const KEPT_BODY: usize = 1 << 20;
/// Every client's address: nothing tells a server in the process where a request comes from.
const CLIENT: HeaderValue = HeaderValue::from_static("127.0.0.1");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What concerns one connection only, and is not passed on (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What a client reads where nothing listened.
const CONNECTION_FAILED: &str = "upstream connect error or disconnect/reset before headers. reset reason: remote \
                                 connection failure";

/// Answers a request, and notes what became of it.
pub(super) async fn answer(shared: &Arc<Shared>, request: Request<ByteStream>) -> Response<ByteStream> {
    let (parts, body) = request.into_parts();
    let mut outcome = RequestOutcome {
        at: shared.runtime.now(),
        host: host_of(&parts).unwrap_or_default(),
        path: parts.uri.path().to_owned(),
        route: None,
        backend: None,
        endpoint: None,
        ready_in_cluster: None,
        status: 0,
        answered_by: AnsweredBy::Pod,
    };
    let (response, answered_by) = route(shared, parts, body, &mut outcome).await;
    outcome.status = response.status().as_u16();
    outcome.answered_by = answered_by;
    shared.observer.request(outcome);
    response
}

async fn route(
    shared: &Arc<Shared>,
    mut parts: Parts,
    body: ByteStream,
    outcome: &mut RequestOutcome,
) -> (Response<ByteStream>, AnsweredBy) {
    let Some(host) = host_of(&parts) else {
        return (plain(StatusCode::BAD_REQUEST, ""), AnsweredBy::BadRequest);
    };
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let with_query = |path: &str| if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let path = match normalize(parts.uri.path()) {
        Some(Normalized::Path(path)) => path,
        Some(Normalized::Elsewhere(path)) => {
            let location = with_query(&path);
            return (redirect(StatusCode::TEMPORARY_REDIRECT, &location), AnsweredBy::Redirect);
        }
        None => return (plain(StatusCode::BAD_REQUEST, ""), AnsweredBy::BadRequest),
    };
    shared.settle();
    let asked = Asked { path: &path, query: &query, method: &parts.method, headers: &parts.headers };
    let Some(found) = shared.plane.find(&without_port(&host), &asked) else {
        return (plain(StatusCode::NOT_FOUND, ""), AnsweredBy::NoRoute);
    };
    outcome.route = Some((found.name.clone(), found.route.generation));
    let rule = found.rule();
    let matched = found.matcher().prefix();
    let (mut response, answered_by) = match &rule.action {
        Action::Answer(status) => (plain(*status, ""), AnsweredBy::InvalidRule),
        Action::Redirect(wanted) => {
            let port = found.route.listener_port;
            let location = wanted.location(&host, port, &with_query(&path), matched);
            (redirect(wanted.status, &location), AnsweredBy::Redirect)
        }
        Action::Forward(backends) => {
            let target = match &rule.rewrite.path {
                Some(rewrite) => rewrite.apply(&path, matched),
                None => path.clone(),
            };
            match with_query(&target).parse::<Uri>() {
                Ok(uri) => parts.uri = uri,
                Err(_) => return (plain(StatusCode::BAD_REQUEST, ""), AnsweredBy::BadRequest),
            }
            prepare(&mut parts.headers, rule.rewrite.hostname.as_deref().unwrap_or(&host), &*shared.runtime);
            if rule.rewrite.hostname.is_some()
                && let Ok(asked) = HeaderValue::from_str(&host)
            {
                parts.headers.insert(FORWARDED_HOST, asked);
            }
            forward(shared, rule, backends, parts, body, outcome).await
        }
    };
    rule.response.apply(response.headers_mut());
    (response, answered_by)
}

/// Sends a request to the backend that is drawn for it.
async fn forward(
    shared: &Arc<Shared>,
    rule: &RuleConfiguration,
    backends: &[BackendConfiguration],
    mut parts: Parts,
    body: ByteStream,
    outcome: &mut RequestOutcome,
) -> (Response<ByteStream>, AnsweredBy) {
    let Some(backend) = draw(backends, &*shared.runtime) else {
        return (plain(StatusCode::INTERNAL_SERVER_ERROR, ""), AnsweredBy::InvalidRule);
    };
    outcome.backend = Some(backend.backend.clone());
    if backend.invalid {
        return (plain(StatusCode::INTERNAL_SERVER_ERROR, ""), AnsweredBy::InvalidBackend);
    }
    outcome.ready_in_cluster = Some(configuration::ready_endpoints(&shared.objects, &backend.backend.service));
    if !shared.plane.has_ready(backend) {
        let alone = !backends.iter().any(|other| !other.invalid && shared.plane.has_ready(other));
        let unavailable = alone && !rule.has_invalid_backend;
        let status = if unavailable { StatusCode::SERVICE_UNAVAILABLE } else { shared.settings.empty_share };
        // Without any endpoint the controller has set the answer, else the data plane finds none that is healthy.
        let text = if shared.plane.is_empty(backend) { "" } else { "no healthy upstream" };
        return (plain(status, text), AnsweredBy::NoEndpoint);
    }
    rule.request.apply(&mut parts.headers);
    backend.request.apply(&mut parts.headers);
    let limit = Some(rule.timeout.unwrap_or(shared.settings.request_timeout)).filter(|limit| !limit.is_zero());
    let body = if rule.retry.is_some() || !rule.mirrors.is_empty() {
        match read_body(body, KEPT_BODY).await {
            Ok(bytes) => Body::Kept(bytes),
            Err(status) => return (plain(status, ""), AnsweredBy::BadRequest),
        }
    } else {
        Body::Once(body)
    };
    if let Body::Kept(bytes) = &body {
        mirror(shared, rule, &parts, bytes);
    }
    let until = limit.map(|limit| shared.runtime.monotonic() + limit);
    let attempt = attempts(shared, rule.retry.as_ref(), backend, &parts, body, outcome);
    let attempted = match limit {
        Some(limit) => shared.runtime.within(limit, attempt).await,
        None => Some(attempt.await),
    };
    match attempted {
        Some((mut response, answered_by, engaged)) => {
            backend.response.apply(response.headers_mut());
            (response.map(|body| bounded(body, engaged, until, shared.runtime.clone())), answered_by)
        }
        None => (plain(StatusCode::GATEWAY_TIMEOUT, "upstream request timeout"), AnsweredBy::Timeout),
    }
}

enum Body {
    Once(ByteStream),
    Kept(Bytes),
}

/// One attempt, or with a retry policy several: where nothing listened, and where the answer has a status that the
/// policy names.
async fn attempts(
    shared: &Arc<Shared>,
    retry: Option<&RetryConfiguration>,
    backend: &BackendConfiguration,
    parts: &Parts,
    mut body: Body,
    outcome: &mut RequestOutcome,
) -> (Response<ByteStream>, AnsweredBy, Option<Engaged>) {
    let mut tried = Vec::new();
    loop {
        shared.settle();
        let Some(engaged) = shared.plane.pick(backend, &tried, &*shared.runtime) else {
            let response = plain(StatusCode::SERVICE_UNAVAILABLE, "no healthy upstream");
            return (response, AnsweredBy::NoEndpoint, None);
        };
        let endpoint = engaged.endpoint.clone();
        outcome.endpoint = Some((endpoint.address.clone(), endpoint.port));
        let content = match &mut body {
            Body::Kept(bytes) => full(bytes.clone()),
            // Only a kept body is sent twice.
            Body::Once(stream) => std::mem::replace(stream, empty()),
        };
        let request = Request::from_parts(parts.clone(), content);
        let answered = shared.pods.request(&endpoint.address, endpoint.port, request).await;
        let again = retry.is_some_and(|retry| {
            tried.len() < retry.attempts as usize
                && answered.as_ref().map_or(true, |response| retry.codes.contains(&response.status().as_u16()))
        });
        if again && let Some(retry) = retry {
            drop(engaged);
            tried.push(endpoint);
            shared.runtime.sleep(retry.backoff).await;
            continue;
        }
        let Ok(mut response) = answered else {
            let response = plain(StatusCode::SERVICE_UNAVAILABLE, CONNECTION_FAILED);
            return (response, AnsweredBy::ConnectionRefused, None);
        };
        remove_hop_by_hop(response.headers_mut());
        return (response, AnsweredBy::Pod, Some(engaged));
    }
}

/// Sends copies to the mirrors. Their answers are read and thrown away.
fn mirror(shared: &Arc<Shared>, rule: &RuleConfiguration, parts: &Parts, body: &Bytes) {
    for mirror in &rule.mirrors {
        let (of, all) = mirror.share;
        let drawn = random(&*shared.runtime).checked_rem(u64::from(all)).is_some_and(|at| at < u64::from(of));
        if mirror.backend.invalid || !drawn {
            continue;
        }
        let Some(engaged) = shared.plane.pick(&mirror.backend, &[], &*shared.runtime) else { continue };
        let mut parts = parts.clone();
        // As Envoy marks what is mirrored.
        if let Some(host) = parts.headers.get(HOST).and_then(|host| host.to_str().ok())
            && let Ok(shadow) = HeaderValue::from_str(&format!("{host}-shadow"))
        {
            parts.headers.insert(HOST, shadow);
        }
        let request = Request::from_parts(parts, full(body.clone()));
        let (pods, runtime, limit) = (shared.pods.clone(), shared.runtime.clone(), shared.settings.request_timeout);
        shared.in_the_background(async move {
            let exchange = async {
                let endpoint = &engaged.endpoint;
                if let Ok(response) = pods.request(&endpoint.address, endpoint.port, request).await {
                    let mut body = response.into_body();
                    while let Some(Ok(_)) = body.next().await {}
                }
            };
            let limit = if limit.is_zero() { Duration::MAX } else { limit };
            runtime.within(limit, exchange).await;
        });
    }
}

/// A body that ends with an error when the time of its request is up, and until its end counts as work of its endpoint.
fn bounded(
    body: ByteStream,
    engaged: Option<Engaged>,
    until: Option<Duration>,
    runtime: Arc<dyn Runtime>,
) -> ByteStream {
    let Some(engaged) = engaged else { return body };
    futures::stream::unfold(Some((body, engaged, runtime)), move |state| async move {
        let (mut body, engaged, runtime) = state?;
        let piece = match until {
            Some(until) => {
                let left = until.saturating_sub(runtime.monotonic());
                runtime.within(left, body.next()).await
            }
            None => Some(body.next().await),
        };
        match piece {
            Some(Some(Ok(bytes))) => Some((Ok(bytes), Some((body, engaged, runtime)))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            None => Some((Err(std::io::Error::from(std::io::ErrorKind::TimedOut)), None)),
        }
    })
    .boxed()
}

/// The headers of a request as a backend gets them.
fn prepare(headers: &mut HeaderMap, host: &str, runtime: &dyn Runtime) {
    remove_hop_by_hop(headers);
    if let Ok(host) = HeaderValue::from_str(host) {
        headers.insert(HOST, host);
    }
    let before = headers.get(FORWARDED_FOR).and_then(|before| before.to_str().ok());
    let forwarded = before.and_then(|before| HeaderValue::from_str(&format!("{before},127.0.0.1")).ok());
    headers.insert(FORWARDED_FOR, forwarded.unwrap_or(CLIENT));
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    if !headers.contains_key(REQUEST_ID) {
        let (high, low) = (random(runtime), random(runtime));
        let hex = format!("{high:016x}{low:016x}");
        let id = format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..]);
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, id);
        }
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // What the request is about cannot be declared to concern one connection.
        .filter(|name| *name != HOST)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn host_of(parts: &Parts) -> Option<String> {
    let of_uri = parts.uri.authority().map(|authority| authority.as_str().to_owned());
    let of_header = || parts.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    of_uri.or_else(of_header).filter(|host| !host.is_empty())
}

fn plain(status: StatusCode, text: &'static str) -> Response<ByteStream> {
    let mut response = Response::new(if text.is_empty() { empty() } else { full(text) });
    *response.status_mut() = status;
    if !text.is_empty() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    response
}

fn redirect(status: StatusCode, location: &str) -> Response<ByteStream> {
    match HeaderValue::from_str(location) {
        Ok(location) => {
            let mut response = plain(status, "");
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(_) => plain(StatusCode::BAD_REQUEST, ""),
    }
}
