//! The way of `azure_core` to the network: the one transport, which also retries.
//!
//! `azure_identity` decides for itself what is tried again, in the clock of the operating system. Here an answer that is
//! no success comes back as an error of a kind that it does not repeat, and is kept, so that it can be read for a person.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use azure_core::credentials::AccessToken;
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, ClientOptions, HttpClient, Request, RetryOptions};
use azure_core::time::OffsetDateTime;
use chalk_deploy_core::credentials::{BearerToken, Lent};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::{Repeatable, RequestBody, RetryPolicy, Transport};
use chalk_deploy_core::{Error, ErrorCode};
use http::HeaderMap;
use serde_json::Value;

use crate::api::{Answer, read};

/// No answer of a token service is longer.
const ANSWER_MOST: usize = 256 << 10;
/// No token lives longer than a year, in seconds.
const LIFE_MOST: u64 = 366 * 24 * 3600;

/// The way for one fetch of a token.
#[derive(Clone)]
pub(super) struct Wire(Arc<Inner>);

struct Inner {
    transport: Transport,
    runtime: Arc<dyn Runtime>,
    seen: Mutex<Option<Seen>>,
}

/// Why there is no token.
pub(super) enum Seen {
    /// There was no answer.
    Unreached(Error),
    /// There was this one.
    Refused(Answer),
}

impl Wire {
    pub(super) fn new(transport: Transport, runtime: Arc<dyn Runtime>) -> Self {
        Self(Arc::new(Inner { transport, runtime, seen: Mutex::default() }))
    }

    /// The options that lead a credential here.
    pub(super) fn options(&self) -> ClientOptions {
        ClientOptions {
            transport: Some(azure_core::http::Transport::new(Arc::new(self.clone()))),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        }
    }

    /// What the last exchange was, if it gave no token.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn saw(&self, seen: Seen) -> azure_core::Error {
        *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        // Neither `Io` nor `Connection`, which are repeated.
        azure_core::Error::with_message(ErrorKind::Credential, "no token was given")
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let unsendable = |error: http::Error| {
            let error = Error::new(ErrorCode::Internal, "a request for a token cannot be made").caused_by(error);
            self.saw(Seen::Unreached(error))
        };
        let body = match request.body() {
            Body::Bytes(bytes) if bytes.is_empty() => RequestBody::Empty,
            Body::Bytes(bytes) => RequestBody::Bytes(bytes.clone()),
            Body::SeekableStream(_) => {
                let error = Error::new(ErrorCode::Internal, "a request for a token cannot be a stream");
                return Err(self.saw(Seen::Unreached(error)));
            }
        };
        let mut made = http::Request::builder()
            .method(request.method().as_str())
            .uri(request.url().as_str())
            // To be given a token twice does no harm.
            .extension(Repeatable);
        for (name, value) in request.headers().iter() {
            // The transport says it from the body.
            if name.as_str() != "content-length" {
                made = made.header(name.as_str(), value.as_str());
            }
        }
        let made = made.body(body).map_err(unsendable)?;
        let Inner { transport, runtime, .. } = &*self.0;
        let sent = transport.send_with_retry(made, RetryPolicy::default(), &**runtime).await;
        let (parts, body) = sent.map_err(|error| self.saw(Seen::Unreached(error.into())))?.into_parts();
        let body = read(body, ANSWER_MOST).await.map_err(|error| self.saw(Seen::Unreached(error)))?;
        if !parts.status.is_success() {
            return Err(self.saw(Seen::Refused(Answer { status: parts.status, headers: parts.headers, body })));
        }
        check(&body).map_err(|error| self.saw(Seen::Unreached(error)))?;
        let status = parts.status.as_u16().into();
        Ok(AsyncRawResponse::from_bytes(status, copied(&parts.headers), body))
    }
}

/// That an answer holds a token, with a life that can be added to a moment: `azure_identity` adds it unchecked.
fn check(body: &[u8]) -> chalk_deploy_core::Result<()> {
    let odd = |why: &str| Error::new(ErrorCode::CloudAnswerInvalid, why);
    // Nothing of the answer is shown: it may hold a token.
    let json: Value =
        serde_json::from_slice(body).map_err(|_| odd("the answer to a request for a token is no JSON"))?;
    if json.get("access_token").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(odd("the answer to a request for a token holds none"));
    }
    match json.get("expires_in") {
        Some(Value::Number(life)) if life.as_u64().is_none_or(|seconds| seconds > LIFE_MOST) => {
            Err(odd("the token that was given has a life that makes no sense"))
        }
        _ => Ok(()),
    }
}

fn copied(headers: &HeaderMap) -> Headers {
    let mut copied = Headers::new();
    for (name, value) in headers {
        if let Ok(value) = value.to_str() {
            copied.insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    copied
}

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Wire")
    }
}

/// A token as `azure_identity` gives it, which says by the clock of the operating system when it ends: what is left of its
/// life is what counts by ours.
pub(super) fn lent(token: &AccessToken, runtime: &dyn Runtime) -> Lent<BearerToken> {
    let left = token.expires_on - OffsetDateTime::now_utc();
    let left = left.try_into().unwrap_or_default();
    Lent { value: BearerToken::new(token.token.secret()), expires: Some(runtime.now().plus(left)) }
}
