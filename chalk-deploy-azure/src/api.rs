//! One call to Azure: authorized, bounded, and renewed once when its token had expired.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chalk_deploy_core::bucket::AzureSigner;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::{Repeatable, RequestBody, RetryPolicy, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use futures::StreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use serde_json::Value;

use crate::refusal::Refusal;

/// No answer of a control plane is longer.
const ANSWER_MOST: usize = 4 << 20;

/// Sends calls.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) transport: Transport,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) authorization: Authorization,
}

/// What a call is sent with.
#[derive(Debug, Clone)]
pub(crate) enum Authorization {
    /// Nothing.
    None,
    /// A token.
    Token(Arc<dyn BearerTokenSource>),
    /// The signature of an account, or a token for it.
    Signer(Arc<AzureSigner>),
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) address: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<(&'static str, Bytes)>,
    /// Whether it may be repeated whatever its method, because it only reads.
    pub(crate) reads: bool,
    /// What it is about, as errors name it.
    pub(crate) subject: String,
    /// The permission that it takes.
    pub(crate) needs: Option<&'static str>,
}

impl Call {
    pub(crate) fn new(method: Method, address: String, subject: impl Into<String>) -> Self {
        let (headers, subject) = (Vec::new(), subject.into());
        Self { method, address, headers, body: None, reads: false, subject, needs: None }
    }

    pub(crate) const fn needing(mut self, permission: &'static str) -> Self {
        self.needs = Some(permission);
        self
    }

    pub(crate) const fn reading(mut self) -> Self {
        self.reads = true;
        self
    }

    pub(crate) fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn with_json(mut self, body: &Value) -> Self {
        self.body = Some(("application/json", body.to_string().into()));
        self
    }

    pub(crate) fn with_xml(mut self, body: String) -> Self {
        self.body = Some(("application/xml", body.into()));
        self
    }

    pub(crate) fn with_form(mut self, fields: &[(&str, &str)]) -> Self {
        let pair = |(name, value): &(&str, &str)| format!("{}={}", escaped(name), escaped(value));
        let form = fields.iter().map(pair).collect::<Vec<_>>().join("&");
        self.body = Some(("application/x-www-form-urlencoded", form.into()));
        self
    }

    fn request(&self) -> Result<Request<RequestBody>> {
        let unsendable = |why: String| {
            Error::new(ErrorCode::ValueInvalid, "the request cannot be written").on(&self.subject).caused_by(why)
        };
        let uri: Uri = self.address.parse().map_err(|error: http::uri::InvalidUri| unsendable(error.to_string()))?;
        let mut request = Request::builder().method(self.method.clone()).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = match &self.body {
            None => RequestBody::Empty,
            Some((kind, bytes)) => {
                request = request.header(CONTENT_TYPE, HeaderValue::from_static(kind));
                RequestBody::Bytes(bytes.clone())
            }
        };
        if self.reads {
            request = request.extension(Repeatable);
        }
        request.body(body).map_err(|error| unsendable(error.to_string()))
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`ErrorCode::CloudAnswerInvalid`] for anything else.
    pub(crate) fn json(&self, subject: &str) -> Result<Value> {
        // The parser's words may quote what it has read.
        serde_json::from_slice(&self.body)
            .map_err(|_| Error::new(ErrorCode::CloudAnswerInvalid, "the answer of Azure is no JSON").on(subject))
    }
}

impl Api {
    /// Sends a call, once more with another token if the first had expired, and gives whatever the answer is.
    ///
    /// # Errors
    /// The credentials'; `CLOUD_UNAVAILABLE` when there is no answer.
    pub(crate) async fn exchange(&self, call: &Call) -> Result<Answer> {
        let mut renewed = false;
        loop {
            let mut request = call.request()?;
            let shown = self.authorize(&mut request).await?;
            let sent = self.transport.send_with_retry(request, RetryPolicy::default(), &*self.runtime).await;
            let (parts, body) = sent.map_err(|error| Error::from(error).on(&call.subject))?.into_parts();
            let body = read(body, ANSWER_MOST).await.map_err(|error| error.on(&call.subject))?;
            let answer = Answer { status: parts.status, headers: parts.headers, body };
            // Nothing was done. If there is another token by now, the old one had just expired.
            if answer.status != StatusCode::UNAUTHORIZED || renewed || !self.renews(&shown).await {
                return Ok(answer);
            }
            renewed = true;
        }
    }

    /// Sends a call. An answer that is no success is an error.
    ///
    /// # Errors
    /// Those of [`Refusal`], and of [`exchange`](Self::exchange).
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer> {
        let answer = self.exchange(call).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refused(call, &answer)) }
    }

    /// Sends a call that reads something, which may not be there.
    ///
    /// # Errors
    /// As for [`send`](Self::send), but for 404 that is about this very thing.
    pub(crate) async fn find(&self, call: &Call, absent: &[&str]) -> Result<Option<Answer>> {
        let answer = self.exchange(call).await?;
        if answer.status.is_success() {
            return Ok(Some(answer));
        }
        let is_absent = answer.status == StatusCode::NOT_FOUND && absent.contains(&Refusal::read(&answer).code());
        if is_absent { Ok(None) } else { Err(self.refused(call, &answer)) }
    }

    /// The error that an answer is.
    pub(crate) fn refused(&self, call: &Call, answer: &Answer) -> Error {
        Refusal::read(answer).into_error(&call.subject, call.needs, self.runtime.now())
    }

    async fn authorize(&self, request: &mut Request<RequestBody>) -> Result<HeaderMap> {
        match &self.authorization {
            Authorization::None => {}
            Authorization::Token(source) => {
                let value = source.token().await?.authorization()?;
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            Authorization::Signer(signer) => {
                let (method, uri, length) = (request.method().clone(), request.uri().clone(), request.body().length());
                signer.authorize(&method, &uri, request.headers_mut(), length).await?;
            }
        }
        Ok(request.headers().clone())
    }

    /// Tells the source that its token was refused; whether there may be another one.
    async fn renews(&self, shown: &HeaderMap) -> bool {
        match &self.authorization {
            Authorization::None => false,
            Authorization::Signer(signer) => signer.refused(shown).await,
            Authorization::Token(source) => {
                let text = shown.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
                let Some(token) = text.and_then(|text| text.strip_prefix("Bearer ")) else { return false };
                let refused = BearerToken::new(token);
                source.refused(&refused).await;
                source.token().await.is_ok_and(|token| token != refused)
            }
        }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Api").field("authorization", &self.authorization).finish_non_exhaustive()
    }
}

/// Reads a whole answer of at most so many bytes.
///
/// # Errors
/// `CLOUD_UNAVAILABLE` when it breaks off, `CLOUD_ANSWER_INVALID` when it is longer.
pub(crate) async fn read(mut body: ByteStream, most: usize) -> Result<Bytes> {
    let mut collected = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| {
            let cause = text::line(&error.to_string(), 200);
            Error::new(ErrorCode::CloudUnavailable, "the answer of Azure broke off").caused_by(cause)
        })?;
        if collected.len() + piece.len() > most {
            return Err(Error::new(
                ErrorCode::CloudAnswerInvalid,
                "the answer of Azure is longer than any that makes sense",
            ));
        }
        collected.extend_from_slice(&piece);
    }
    Ok(collected.into())
}

/// As one segment of a path or a value of a query: all but the unreserved characters of RFC 3986 are encoded.
pub(crate) fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
