//! Servers of a few lines: a closure from what was asked to what is answered, and ways that lead to servers by their hosts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::transport::{Delivery, Transport, TransportError};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};

use super::http::{Server, Severed, full, in_process, read_body, text};

/// No request to a closure is longer.
const LONGEST: usize = 16 << 20;

/// Leads to servers by their hosts. Another host is as a name that DNS does not know, unless there is a way for it. A host
/// is `name[:port]`, without the port that its scheme has anyway.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    known: BTreeMap<String, Transport>,
    others: Option<Transport>,
}

impl Hosts {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leads to one more.
    #[must_use]
    pub fn with(mut self, host: &str, transport: Transport) -> Self {
        self.known.insert(host.to_owned(), transport);
        self
    }

    /// Leads to all other hosts by this way.
    #[must_use]
    pub fn otherwise(mut self, transport: Transport) -> Self {
        self.others = Some(transport);
        self
    }

    /// The way to them.
    pub fn transport(self) -> Transport {
        let hosts = Arc::new(self);
        Transport::from_fn(move |request| {
            let authority = request.uri().authority().map(http::uri::Authority::as_str).unwrap_or_default();
            let usual = if request.uri().scheme_str() == Some("http") { ":80" } else { ":443" };
            let known = hosts.known.get(authority.strip_suffix(usual).unwrap_or(authority));
            let found = known.or(hosts.others.as_ref()).cloned();
            async move {
                let Some(transport) = found else {
                    let why = format!("no host of the test: {} {}", request.method(), request.uri());
                    return Err(TransportError::new(Delivery::NotSent, why));
                };
                transport.send(request).await
            }
        })
    }
}

/// A request with its whole body.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method, address and headers.
    pub parts: Parts,
    /// What it brought.
    pub body: Bytes,
}

impl Seen {
    /// The method.
    pub fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// Method, host and path, as one line.
    pub fn line(&self) -> String {
        let host = self.parts.uri.host().unwrap_or_else(|| self.header("host"));
        format!("{} {host}{}", self.method(), self.path())
    }

    /// The text of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The bearer token that it shows; empty where it shows none.
    pub fn token(&self) -> &str {
        self.header(AUTHORIZATION.as_str()).strip_prefix("Bearer ").unwrap_or_default()
    }

    /// The query, by names.
    pub fn query(&self) -> BTreeMap<String, String> {
        pairs(self.parts.uri.query().unwrap_or_default().as_bytes())
    }

    /// The body as a form.
    pub fn form(&self) -> BTreeMap<String, String> {
        pairs(&self.body)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn pairs(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// What a closure answers.
#[derive(Debug, Clone)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Reply {
    /// A status and a body.
    ///
    /// # Panics
    /// For a number that is no status.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// A document in JSON.
    #[expect(clippy::needless_pass_by_value, reason = "documents are made where they are given")]
    pub fn json(status: u16, body: impl ToString) -> Self {
        Self::new(status, body.to_string()).with("content-type", "application/json")
    }

    /// With one more header.
    ///
    /// # Panics
    /// For a name or a value that no header can have.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header's value")));
        self
    }
}

/// A server that is a closure, and what it was asked. Clones are one server.
#[derive(Clone)]
pub struct Answering {
    answer: Arc<dyn Fn(&Seen) -> Reply + Send + Sync>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Answering {
    /// Answers by this closure.
    pub fn by(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), seen: Arc::default() }
    }

    /// The way to it, in the process.
    pub fn transport(&self) -> Transport {
        in_process(Arc::new(self.clone()))
    }

    /// All that it was asked, in that order.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().clone()
    }

    /// Method, host and path of each request.
    pub fn lines(&self) -> Vec<String> {
        self.lock().iter().map(Seen::line).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Server for Answering {
    fn name(&self) -> &'static str {
        "closure"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let (parts, body) = request.into_parts();
        let body = match read_body(body, LONGEST).await {
            Ok(body) => body,
            Err(status) => return Ok(text(status, "longer than a closure is asked, or cut off".to_owned())),
        };
        let seen = Seen { parts, body };
        self.lock().push(seen.clone());
        // A network lets others run.
        tokio::task::yield_now().await;
        let reply = (self.answer)(&seen);
        let mut response = Response::new(full(reply.body));
        *response.status_mut() = reply.status;
        response.headers_mut().extend(reply.headers);
        Ok(response)
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Answering").field("seen", &self.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::transport::RequestBody;
    use futures::TryStreamExt as _;

    use super::*;

    fn request(uri: &str) -> Request<RequestBody> {
        let body = RequestBody::Bytes("a=b+c".into());
        Request::post(uri).header("authorization", "Bearer t").body(body).expect("a request")
    }

    #[tokio::test]
    async fn a_closure_answers_what_it_sees_and_only_its_host_leads_to_it() {
        let server = Answering::by(|seen| match seen.path() {
            "/there" => Reply::json(201, format!("{:?}", seen.form()["a"])).with("x-a", "b"),
            _ => Reply::new(404, "no"),
        });
        let hosts = Hosts::new().with("known.example", server.transport()).transport();
        let response = hosts.send(request("https://known.example:443/there?q=1")).await.expect("answered");
        assert_eq!(
            (response.status(), &response.headers()["x-a"]),
            (StatusCode::CREATED, &"b".parse().expect("a value"))
        );
        let body: Vec<Bytes> = response.into_body().try_collect().await.expect("a body");
        assert_eq!(body.concat(), b"\"b c\"");
        let error = hosts.send(request("https://other.example/there")).await.err().expect("leads nowhere");
        assert_eq!((error.delivery, error.message.contains("other.example")), (Delivery::NotSent, true));
        let seen = server.seen();
        assert_eq!((seen.len(), seen[0].token(), seen[0].query()["q"].as_str()), (1, "t", "1"));
        assert_eq!(server.lines(), ["POST known.example/there"]);
    }
}
