//! One call of an API of Google: with a token, through the one transport, bounded, and in JSON both ways.
//!
//! A call is repeated where it was throttled or broke off; each of this crate has the same effect twice, because it
//! says under which condition it writes. A token that is refused is fetched anew once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::credentials::BearerTokenSource;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::runtime::{Runtime, RuntimeExt as _};
use chalk_deploy_core::transport::{Repeatable, RequestBody, RetryPolicy, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};
use futures::TryStreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::form_urlencoded;

use crate::credentials::{QuotaProject, USER_PROJECT};
use crate::permissions::Permission;
use crate::refusal::Refusal;

/// No answer is longer: a page of a thousand images has less than a tenth of it.
const ANSWER_MOST: usize = 8 << 20;
/// No call takes longer, its repetitions included.
const PATIENCE: Duration = Duration::from_mins(2);
/// The type of a body in JSON.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");

/// An API of Google, or its emulator.
#[derive(Clone)]
pub(crate) struct Api {
    transport: Transport,
    runtime: Arc<dyn Runtime>,
    /// Nobody's, where an emulator asks for none.
    tokens: Option<Arc<dyn BearerTokenSource>>,
    /// Scheme and host.
    base: String,
    counted_for: QuotaProject,
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    subject: &'a str,
    permission: Option<Permission>,
}

impl<'a> Call<'a> {
    /// A call about something, for people.
    pub(crate) fn new(method: Method, path: impl Into<String>, subject: &'a str) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body: None, subject, permission: None }
    }

    /// Adds a parameter.
    pub(crate) fn query(mut self, name: &'static str, value: &str) -> Self {
        self.query.push((name, value.to_owned()));
        self
    }

    /// Sets the body.
    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Says which permission it needs.
    pub(crate) const fn needs(mut self, permission: Permission) -> Self {
        self.permission = Some(permission);
        self
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    subject: String,
    permission: Option<Permission>,
    received: Timestamp,
}

impl Answer {
    /// The refusal that it is.
    pub(crate) fn refusal(&self) -> Refusal {
        Refusal::read(self.status, &self.headers, &self.body, self.received)
    }

    /// Its document, or the error that it is.
    pub(crate) fn document<T: DeserializeOwned>(&self) -> Result<T> {
        if !self.status.is_success() {
            return Err(self.refusal().error(&self.subject, self.permission));
        }
        // An array could stand for an object whose fields all have defaults; Google sends none.
        let document = self.body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(&self.body));
        document.and_then(Result::ok).ok_or_else(|| {
            // The document may hold what is not to be shown.
            Error::new(ErrorCode::CloudAnswerInvalid, "Google answered with something else than its document")
                .on(&self.subject)
        })
    }
}

impl Api {
    pub(crate) fn new(
        transport: Transport,
        runtime: Arc<dyn Runtime>,
        tokens: Option<Arc<dyn BearerTokenSource>>,
        base: impl Into<String>,
    ) -> Self {
        Self { transport, runtime, tokens, base: base.into(), counted_for: QuotaProject::default() }
    }

    /// Has calls counted for this project.
    pub(crate) fn counted_for(mut self, project: QuotaProject) -> Self {
        self.counted_for = project;
        self
    }

    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// Sends a call. Any status is an answer.
    pub(crate) async fn ask(&self, call: Call<'_>) -> Result<Answer> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(call.query).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        let address = format!("{}{}{mark}{query}", self.base, call.path);
        let body = call.body.map_or(RequestBody::Empty, |body| RequestBody::Bytes(body.to_string().into()));
        let mut request = Request::builder().method(call.method).uri(address).body(body).map_err(|error| {
            Error::new(ErrorCode::Internal, "the call makes no address").on(call.subject).caused_by(error)
        })?;
        if request.body().length() > 0 {
            request.headers_mut().insert(CONTENT_TYPE, JSON);
        }
        let Some(tokens) = &self.tokens else { return self.once(request, call.subject, call.permission).await };
        let token = tokens.token().await?;
        // A login names it, and was read for the token.
        if let Some(project) = self.counted_for.header() {
            request.headers_mut().insert(USER_PROJECT, project);
        }
        request.headers_mut().insert(AUTHORIZATION, token.authorization()?);
        let answer = self.once(request.clone(), call.subject, call.permission).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        tokens.refused(&token).await;
        let renewed = tokens.token().await?;
        if renewed == token {
            return Ok(answer);
        }
        request.headers_mut().insert(AUTHORIZATION, renewed.authorization()?);
        self.once(request, call.subject, call.permission).await
    }

    async fn once(
        &self,
        request: Request<RequestBody>,
        subject: &str,
        permission: Option<Permission>,
    ) -> Result<Answer> {
        let (parts, body) = exchange(&self.transport, &*self.runtime, request, subject).await?;
        let received = self.runtime.now();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
            subject: subject.to_owned(),
            permission,
            received,
        })
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Sends a request that has the same effect twice, and reads the answer.
pub(crate) async fn exchange(
    transport: &Transport,
    runtime: &dyn Runtime,
    mut request: Request<RequestBody>,
    subject: &str,
) -> Result<(http::response::Parts, Bytes)> {
    request.extensions_mut().insert(Repeatable);
    let answered = runtime.within(PATIENCE, async {
        let sent = transport.send_with_retry(request, RetryPolicy::default(), runtime).await;
        let (parts, body) = sent.map_err(|error| Error::from(error).on(subject))?.into_parts();
        Ok((parts, read(body, subject).await?))
    });
    answered.await.unwrap_or_else(|| {
        Err(Error::new(ErrorCode::CloudUnavailable, format!("no answer came in {PATIENCE:?}")).on(subject))
    })
}

async fn read(mut body: ByteStream, subject: &str) -> Result<Bytes> {
    let broken = |error| Error::new(ErrorCode::CloudUnavailable, "the answer broke off").on(subject).caused_by(error);
    let mut collected = Vec::new();
    while let Some(piece) = body.try_next().await.map_err(broken)? {
        if collected.len() + piece.len() > ANSWER_MOST {
            let most = chalk_deploy_core::text::bytes(ANSWER_MOST as u64);
            return Err(
                Error::new(ErrorCode::CloudAnswerInvalid, format!("the answer is longer than {most}")).on(subject)
            );
        }
        collected.extend_from_slice(&piece);
    }
    Ok(collected.into())
}
