//! What the tests of Google Cloud share: ways to servers by their hosts, servers as closures, and a bucket of the JSON
//! API.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod policy;
pub(crate) mod storage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::credentials::{BearerToken, Lender, Lent};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::{BoxedFuture, Delivery, RequestBody, Transport, TransportError};
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::recorded::Case;
use futures::StreamExt as _;
use http::request::Parts;
use http::{Request, Response};

/// Holds an error to its code, and to what a person is told.
#[track_caller]
pub(crate) fn assert_error(error: &Error, code: ErrorCode, words: &[&str]) {
    assert_eq!(error.code(), code, "{}", error.sentence());
    for word in words {
        assert!(error.sentence().contains(word), "`{word}` is not in: {}", error.sentence());
    }
}

/// The folder of the recorded cases of an API.
pub(crate) fn folder(api: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("recorded").join(api)
}

/// A recorded case.
pub(crate) fn case(api: &str, name: &str) -> Case {
    Case::read(&folder(api).join(format!("{name}.json"))).expect("a case")
}

/// Leads to servers by their hosts, and nowhere else.
#[derive(Clone, Default)]
pub(crate) struct Hosts(BTreeMap<String, Transport>);

impl Hosts {
    pub(crate) fn with(mut self, host: &str, transport: Transport) -> Self {
        self.0.insert(host.to_owned(), transport);
        self
    }

    pub(crate) fn transport(self) -> Transport {
        Transport::new(self)
    }
}

impl tower_service::Service<Request<RequestBody>> for Hosts {
    type Response = Response<ByteStream>;
    type Error = TransportError;
    type Future = BoxedFuture<Result<Self::Response, TransportError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), TransportError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let host = request.uri().authority().map(http::uri::Authority::as_str).unwrap_or_default().to_owned();
        let Some(transport) = self.0.get(&host).cloned() else {
            let why = format!("no host of the test: {} {}", request.method(), request.uri());
            return Box::pin(async { Err(TransportError::new(Delivery::NotSent, why)) });
        };
        Box::pin(async move { transport.send(request).await })
    }
}

/// What a closure answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Reply {
    #[expect(clippy::needless_pass_by_value, reason = "documents are made where they are given")]
    pub(crate) fn json(status: u16, body: impl ToString) -> Self {
        Self { status, headers: vec![("content-type", "application/json".to_owned())], body: body.to_string().into() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// One request as a closure sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) parts: Parts,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn token(&self) -> &str {
        let header = self.parts.headers.get("authorization").map(|value| value.to_str().expect("text"));
        header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
    }

    /// Method, host and path.
    pub(crate) fn line(&self) -> String {
        format!("{} {}{}", self.parts.method, self.parts.uri.host().unwrap_or_default(), self.parts.uri.path())
    }

    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }
}

/// A server that is a closure, and what it was asked.
#[derive(Clone)]
pub(crate) struct Answering {
    answer: Arc<dyn Fn(&Seen) -> Reply + Send + Sync>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Answering {
    pub(crate) fn by(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), seen: Arc::default() }
    }

    pub(crate) fn transport(&self) -> Transport {
        Transport::new(self.clone())
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }
}

impl tower_service::Service<Request<RequestBody>> for Answering {
    type Response = Response<ByteStream>;
    type Error = TransportError;
    type Future = BoxedFuture<Result<Self::Response, TransportError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), TransportError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let body = match body {
            RequestBody::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        };
        let seen = Seen { parts, body };
        self.seen.lock().expect("not poisoned").push(seen.clone());
        let answer = self.answer.clone();
        Box::pin(async move {
            // A network lets others run.
            tokio::task::yield_now().await;
            let reply = answer(&seen);
            let mut response = Response::builder().status(reply.status);
            for (name, value) in reply.headers {
                response = response.header(name, value);
            }
            let body = futures::stream::once(async move { Ok(reply.body) }).boxed();
            Ok(response.body(body).expect("a valid answer"))
        })
    }
}

/// Lends tokens `token-1`, `token-2`, … that live for a while, and counts them.
#[derive(Debug, Clone)]
pub(crate) struct Bank {
    pub(crate) lent: Arc<Mutex<u32>>,
    life: Option<std::time::Duration>,
    runtime: Arc<dyn Runtime>,
}

impl Bank {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, life: Option<std::time::Duration>) -> Self {
        Self { lent: Arc::default(), life, runtime }
    }

    pub(crate) fn count(&self) -> u32 {
        *self.lent.lock().expect("not poisoned")
    }
}

#[async_trait]
impl Lender<BearerToken> for Bank {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        tokio::task::yield_now().await;
        let mut lent = self.lent.lock().expect("not poisoned");
        *lent += 1;
        let expires = self.life.map(|life| self.runtime.now().plus(life));
        Ok(Lent { value: BearerToken::new(format!("token-{lent}")), expires })
    }
}
