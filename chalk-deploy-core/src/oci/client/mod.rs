//! Sends one call, with the credentials that it needs and to nobody else.

mod authorization;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::header::{HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use oci_distribution::secrets::RegistryAuth;
use url::Url;

use super::creation::Creations;
use super::endpoint::Endpoint;
use super::flights::Flights;
use super::memory::RegistryMemory;
use super::refusal::Refusal;
use super::settings::OciSettings;
use super::token::{Access, Scope, Tokens};
use crate::cloud::ByteStream;
use crate::model::{Digest, Repository};
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::transport::{RequestBody, Transport};
use crate::{Error, ErrorCode, Result};

use authorization::{Known, authorize};

/// What a refusal or a realm's answer may be long.
pub(super) const LONGEST_WORDS: usize = 64 << 10;

/// How many times the patience an answer of a few bytes may take in all.
const WHOLE_ANSWER: u32 = 5;

/// One request about a repository.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) scopes: Vec<Scope>,
    pub(super) headers: HeaderMap,
    pub(super) body: RequestBody,
    /// Whether the transport may repeat it. An upload's body may not be: the session has taken in a part of it.
    pub(super) repeatable: bool,
    /// Whether it goes to the registry itself, and so with credentials.
    pub(super) to_registry: bool,
    /// Counts the bytes of the body that were taken, so that a slow upload is told from one that stands still.
    pub(super) taken: Option<Arc<AtomicU64>>,
}

impl<'a> Call<'a> {
    pub(super) fn new(endpoint: &'a Endpoint, method: Method, url: Url, access: Access) -> Self {
        let scopes = vec![Scope { path: endpoint.path().to_owned(), access }];
        Self {
            endpoint,
            method,
            url,
            scopes,
            headers: HeaderMap::new(),
            body: RequestBody::Empty,
            repeatable: true,
            to_registry: true,
            taken: None,
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    pub(super) fn body(mut self, body: RequestBody) -> Self {
        self.body = body;
        self
    }

    pub(super) const fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }

    pub(super) const fn trusted(mut self, to_registry: bool) -> Self {
        self.to_registry = to_registry;
        self
    }
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: ByteStream,
    /// What must not be shown of its body.
    secrets: Vec<String>,
    host: String,
    /// Whether it is the registry's own word, not that of a store that it sent us to.
    is_registrys: bool,
}

impl Answer {
    /// The whole body, if it has at most `most` bytes and comes within a few times the patience, however small its pieces.
    pub(super) async fn bytes(&mut self, client: &Client, most: usize) -> Result<Bytes> {
        let broken = |message: String| Error::new(ErrorCode::CloudUnavailable, message).on(&self.host);
        let mut collected = Vec::new();
        let (patience, began) = (client.settings.patience, client.runtime.monotonic());
        loop {
            let left =
                patience.saturating_mul(WHOLE_ANSWER).saturating_sub(client.runtime.monotonic().saturating_sub(began));
            let piece = client.runtime.within(patience.min(left), self.body.next()).await;
            match piece {
                None => return Err(broken("the registry's answer stopped in the middle".to_owned())),
                Some(None) => return Ok(collected.into()),
                Some(Some(Err(error))) => {
                    return Err(broken("the registry's answer broke off".to_owned()).caused_by(error));
                }
                Some(Some(Ok(piece))) if collected.len() + piece.len() > most => {
                    return Err(Error::new(
                        ErrorCode::CloudAnswerInvalid,
                        format!("the registry's answer is longer than {}", crate::text::bytes(most as u64)),
                    )
                    .on(&self.host));
                }
                Some(Some(Ok(piece))) => collected.extend_from_slice(&piece),
            }
        }
    }

    /// Takes it for a refusal. What cannot be read of its words is left out.
    pub(super) async fn refusal(mut self, client: &Client) -> Refusal {
        let words =
            if self.is_registrys { self.bytes(client, LONGEST_WORDS).await.unwrap_or_default() } else { Bytes::new() };
        Refusal::read(self.status, &words, &self.secrets, self.host)
    }

    /// The error of an operation that was answered like this.
    pub(super) async fn error(self, client: &Client, doing: &str, subject: impl std::fmt::Display) -> Error {
        self.refusal(client).await.into_error(doing, subject)
    }
}

/// Sends calls. Shared by all clones of the adapter.
pub(super) struct Client {
    transport: Transport,
    runtime: Arc<dyn Runtime>,
    settings: OciSettings,
    known: Mutex<BTreeMap<String, Known>>,
    tokens: Mutex<Tokens>,
    /// Held while a token is fetched, so that many calls do not fetch it at once. How many round trips led to the last.
    fetching: tokio::sync::Mutex<u64>,
    memory: Mutex<RegistryMemory>,
    flights: Flights,
    creations: Creations,
}

impl Client {
    pub(super) fn new(transport: Transport, runtime: Arc<dyn Runtime>, settings: OciSettings) -> Self {
        Self {
            transport,
            runtime,
            settings,
            known: Mutex::default(),
            tokens: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            memory: Mutex::default(),
            flights: Flights::default(),
            creations: Creations::default(),
        }
    }

    pub(super) const fn settings(&self) -> &OciSettings {
        &self.settings
    }

    pub(super) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// What is remembered of registries. Never held over an await.
    pub(super) fn memory(&self) -> MutexGuard<'_, RegistryMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blobs that are on their way from another registry.
    pub(super) const fn flights(&self) -> &Flights {
        &self.flights
    }

    /// The repositories that were made because a write found none.
    pub(super) const fn creations(&self) -> &Creations {
        &self.creations
    }

    /// Remembers that a repository holds a blob or a manifest.
    pub(super) fn saw(&self, endpoint: &Endpoint, digest: Digest) {
        let now = self.runtime.now();
        self.memory().note(&endpoint.registry(), endpoint.path(), digest, now);
    }

    /// Waits before something is tried again.
    pub(super) async fn pause(&self, wait: Duration) {
        let wait = self.runtime.jittered(wait).min(self.settings.retry.wait_most);
        self.runtime.sleep(wait).await;
    }

    pub(super) fn endpoint(&self, repository: &Repository) -> Result<Endpoint> {
        Endpoint::of(repository, &self.settings)
    }

    /// Sends a call. A write that finds no repository is sent once more when that was made.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Answer> {
        let began = self.runtime.monotonic();
        let answer = self.send_authorized(call).await?;
        let (answer, lacking) = self.lacks_repository(call, answer).await;
        if lacking && self.make_repository(call.endpoint, began).await? {
            return self.send_authorized(call).await;
        }
        Ok(answer)
    }

    /// Sends a call. One that is refused for its credentials is sent once more with renewed ones.
    async fn send_authorized(&self, call: &Call<'_>) -> Result<Answer> {
        if !call.to_registry {
            return self.transmit(call, None).await;
        }
        let sent = self.authorization(call).await?;
        let answer = self.transmit(call, sent.as_ref()).await?;
        let (answer, refused) = self.is_refused(answer).await;
        if !refused {
            return Ok(answer);
        }
        match self.renewed(call, &answer.headers, sent.as_ref()).await? {
            Some(renewed) => self.transmit(call, Some(&renewed)).await,
            None => Ok(answer),
        }
    }

    /// Whether other credentials could help. ECR says that a token has expired with 403.
    async fn is_refused(&self, mut answer: Answer) -> (Answer, bool) {
        if answer.status != StatusCode::FORBIDDEN {
            let refused = answer.status == StatusCode::UNAUTHORIZED;
            return (answer, refused);
        }
        let words = answer.bytes(self, LONGEST_WORDS).await.unwrap_or_default();
        let refusal = Refusal::read(answer.status, &words, &[], String::new());
        let expired = refusal.says(&["token has expired", "token is expired"]);
        answer.body = futures::stream::iter([Ok(words)]).boxed();
        (answer, expired)
    }

    /// Sends a call as it is, once or with the one bounded retry of the transport.
    pub(super) async fn transmit(&self, call: &Call<'_>, auth: Option<&RegistryAuth>) -> Result<Answer> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(uri(&call.url)?)
            .body(call.body.clone())
            .map_err(unwritable)?;
        request.headers_mut().extend(call.headers.clone());
        let mut secrets = authorize(&mut request, auth)?;
        // Who has the token of a realm may know what it was given for.
        secrets.extend(self.secrets(call.endpoint));
        let is_registrys = call.endpoint.is_origin_of(&call.url);
        self.exchange(request, call.repeatable, call.taken.as_deref(), secrets, &call.url, is_registrys).await
    }

    async fn exchange(
        &self,
        mut request: Request<RequestBody>,
        repeatable: bool,
        taken: Option<&AtomicU64>,
        secrets: Vec<String>,
        url: &Url,
        is_registrys: bool,
    ) -> Result<Answer> {
        const AGENT: HeaderValue = HeaderValue::from_static(concat!("chalk-deploy/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, AGENT);
        let host = super::endpoint::host_of(url);
        let sent = async {
            if repeatable {
                self.transport.send_with_retry(request, self.settings.retry, &*self.runtime).await
            } else {
                self.transport.send(request).await
            }
        };
        tokio::pin!(sent);
        let progress = || taken.map_or(0, |taken| taken.load(Ordering::Relaxed));
        let mut before = progress();
        let response = loop {
            if let Some(response) = self.runtime.within(self.settings.patience, &mut sent).await {
                break response;
            }
            let now = progress();
            if now == before {
                let seconds = self.settings.patience.as_secs();
                return Err(Error::new(
                    ErrorCode::CloudUnavailable,
                    format!("the registry did not answer within {seconds} s"),
                )
                .on(host));
            }
            before = now;
        };
        let response = response.map_err(|error| {
            let error = Error::from(error);
            if error.subject().is_empty() { error.on(&host) } else { error }
        })?;
        let (parts, body) = response.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body, secrets, host, is_registrys })
    }
}

fn uri(url: &Url) -> Result<Uri> {
    url.as_str().parse().map_err(unwritable)
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorCode::CloudAnswerInvalid, "the registry leads to an address that no request can name")
        .caused_by(error)
}
