//! A request, and somebody who answers it: a real server on loopback or a simulated one in the process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_testkit::simulated::http::{Server, full, read_body};
use serde::{Deserialize, Serialize};

/// A request. Its target, headers and body may hold references in double braces, which stand for what earlier answers
/// of the same sequence held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) target: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) body: String,
}

impl Ask {
    pub(crate) fn new(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.to_owned(), target: target.into(), headers: BTreeMap::new(), body: String::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn body(mut self, media_type: &str, body: impl Into<String>) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
    }

    /// The same with every reference replaced.
    pub(crate) fn resolved(&self, values: &BTreeMap<String, String>) -> Self {
        let resolve = |text: &str| resolve(text, values);
        Self {
            method: self.method.clone(),
            target: resolve(&self.target),
            headers: self.headers.iter().map(|(name, value)| (name.clone(), resolve(value))).collect(),
            body: resolve(&self.body),
        }
    }
}

/// A reference without a value stands for nothing that is there.
fn resolve(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("every reference ends");
        resolved.push_str(before);
        resolved.push_str(values.get(name).map_or("1", String::as_str));
        rest = after;
    }
    resolved + rest
}

/// What came back, as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// Somebody who answers.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    Real(reqwest::Client, String),
    Simulated(Arc<dyn Server>),
}

impl Peer {
    /// The server at the address that a variable of the environment names.
    pub(crate) fn real(variable: &str) -> Self {
        let address = std::env::var(variable).expect("testbed/record starts the server and names it");
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Self::Real(client.expect("a client"), address)
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Raw {
        match self {
            Self::Real(client, address) => {
                let method = ask.method.parse().expect("a method");
                let target = if ask.target.starts_with("http") {
                    ask.target.clone()
                } else {
                    format!("{address}{}", ask.target)
                };
                let mut request = client.request(method, target);
                for (name, value) in &ask.headers {
                    request = request.header(name, value);
                }
                let request = request.body(ask.body.clone());
                let mut response = request.try_clone().expect("plain text").send().await.expect("the server answers");
                // A server that has just learned of a kind opens its storage at the first request.
                for _ in 0..30 {
                    if response.status() != http::StatusCode::TOO_MANY_REQUESTS {
                        break;
                    }
                    chalk_deploy_core::runtime::Runtime::sleep(&*SystemRuntime::new(), Duration::from_secs(1)).await;
                    response = request.try_clone().expect("plain text").send().await.expect("the server answers");
                }
                let headers = texts(response.headers());
                let status = response.status().as_u16();
                Raw { status, headers, body: response.bytes().await.expect("a whole body").to_vec() }
            }
            Self::Simulated(server) => {
                let mut request = http::Request::builder().method(&*ask.method).uri(&ask.target);
                if !ask.body.is_empty() || matches!(&*ask.method, "POST" | "PUT" | "PATCH") {
                    request = request.header("content-length", ask.body.len());
                }
                for (name, value) in &ask.headers {
                    request = request.header(name, value);
                }
                let request = request.body(full(ask.body.clone())).expect("a request");
                let response = server.answer(request).await.expect("an answer");
                let headers = texts(response.headers());
                let status = response.status().as_u16();
                let body = read_body(response.into_body(), usize::MAX).await.expect("a whole body");
                Raw { status, headers, body: body.to_vec() }
            }
        }
    }
}

fn texts(headers: &http::HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
