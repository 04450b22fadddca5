//! A transport for tests: keeps what is sent, and answers from a list.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use http::{Request, Response};

use crate::cloud::ByteStream;
use crate::transport::{RequestBody, Transport};

/// An answer: status, headers and body.
pub(super) type Answer = (u16, Vec<(&'static str, String)>, String);

/// A request with its body.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) headers: http::HeaderMap,
    pub(super) body: bytes::Bytes,
}

impl Sent {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

#[derive(Clone)]
pub(super) struct Recorded {
    sent: Arc<Mutex<Vec<Sent>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Recorded {
    pub(super) fn answering(answers: Vec<Answer>) -> (Transport, Self) {
        let recorded = Self { sent: Arc::default(), answers: Arc::new(Mutex::new(answers.into())) };
        let answering = recorded.clone();
        (Transport::from_fn(move |request| ready(Ok(answering.answer(request)))), recorded)
    }

    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("no test panics with it").clone()
    }

    /// Method and path with query of every request.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |sent: Sent| {
            let uri: http::Uri = sent.uri.parse().expect("an address");
            format!("{} {}", sent.method, uri.path_and_query().map_or("", |place| place.as_str()))
        };
        self.sent().into_iter().map(line).collect()
    }

    fn answer(&self, request: Request<RequestBody>) -> Response<ByteStream> {
        let (parts, body) = request.into_parts();
        let body = match body {
            RequestBody::Bytes(bytes) => bytes,
            _ => bytes::Bytes::new(),
        };
        let sent = Sent { method: parts.method.to_string(), uri: parts.uri.to_string(), headers: parts.headers, body };
        self.sent.lock().expect("no test panics with it").push(sent);
        let (status, headers, body) =
            self.answers.lock().expect("no test panics with it").pop_front().expect("an answer is left");
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let body: ByteStream = futures::stream::iter([Ok(body.into())]).boxed();
        response.body(body).expect("a response")
    }
}
