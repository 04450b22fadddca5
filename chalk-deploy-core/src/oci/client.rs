//! Sends one call, with the credentials that it needs and to nobody else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use oci_distribution::secrets::RegistryAuth;
use url::Url;

use super::challenge::Challenge;
use super::credentials::{Asked, Credential};
use super::endpoint::Endpoint;
use super::flights::Flights;
use super::memory::RegistryMemory;
use super::refusal::Refusal;
use super::settings::OciSettings;
use super::token::{Access, Granted, Issuer, Scope, Tokens};
use super::trust;
use crate::cloud::ByteStream;
use crate::model::{Digest, Repository};
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::transport::{RequestBody, Transport, meter};
use crate::{Error, ErrorCode, Result};

/// What a refusal or a realm's answer may be long.
const LONGEST_WORDS: usize = 64 << 10;

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
    /// The whole body, if it has at most `most` bytes.
    pub(super) async fn bytes(&mut self, client: &Client, most: usize) -> Result<Bytes> {
        let broken = |message: String| Error::new(ErrorCode::CloudUnavailable, message).on(&self.host);
        let mut collected = Vec::new();
        loop {
            let piece = client.runtime.within(client.settings.patience, self.body.next()).await;
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

/// What we know of a registry's way to be convinced.
#[derive(Debug, Clone, Default)]
struct Known {
    challenge: Option<Challenge>,
    credential: Option<Credential>,
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

    /// Sends a call. One that is refused for its credentials is sent once more with renewed ones.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Answer> {
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

    /// What a call is sent with at first: what the registry is known to want.
    async fn authorization(&self, call: &Call<'_>) -> Result<Option<RegistryAuth>> {
        let known = self.known(call.endpoint);
        match known.challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(known.credential.as_ref().and_then(basic)),
            Some(Challenge::Bearer { realm, service }) => self.bearer(call, &realm, service).await,
        }
    }

    /// What a call is sent with after it was refused; `None` when there is nothing better than what was sent.
    async fn renewed(
        &self,
        call: &Call<'_>,
        headers: &HeaderMap,
        sent: Option<&RegistryAuth>,
    ) -> Result<Option<RegistryAuth>> {
        let known = self.known(call.endpoint);
        let Some(challenge) = Challenge::choose(headers).or(known.challenge) else { return Ok(None) };
        if let Challenge::Bearer { realm, .. } = &challenge {
            // Before anyone is asked for a credential: nothing of it may even come near a realm that is not trusted.
            trust::realm(call.endpoint, realm, &self.settings)?;
        }
        self.learn(call.endpoint, |known| known.challenge = Some(challenge.clone()));
        let renewed = match challenge {
            Challenge::Basic => {
                let asked = if sent.is_some() { Asked::Refused } else { Asked::First };
                basic(&self.credential(call.endpoint, asked).await?)
            }
            Challenge::Bearer { realm, service } => {
                if let Some(RegistryAuth::Bearer(refused)) = sent {
                    self.tokens().forget(refused);
                    if let Some(Credential::Bearer(direct)) = &known.credential
                        && direct.expose() == refused
                    {
                        self.credential(call.endpoint, Asked::Refused).await?;
                    }
                }
                self.bearer(call, &realm, service).await?
            }
        };
        Ok(renewed.filter(|renewed| sent != Some(renewed)))
    }

    /// A token for a call: one that is good, or a new one.
    async fn bearer(&self, call: &Call<'_>, realm: &str, service: Option<String>) -> Result<Option<RegistryAuth>> {
        // The registry is part of the key: two that name one realm and one service must not be sent each other's tokens.
        let issuer = Issuer { registry: call.endpoint.registry(), realm: realm.to_owned(), service };
        let cached = || {
            let tokens = self.tokens();
            let found = tokens.find(&issuer, &call.scopes, self.runtime.monotonic());
            found.map(|secret| RegistryAuth::Bearer(secret.expose().to_owned()))
        };
        if let Some(token) = cached() {
            return Ok(Some(token));
        }
        let mut fetched_at_depth = if let Ok(turn) = self.fetching.try_lock() {
            turn
        } else {
            let turn = self.fetching.lock().await;
            meter::has_waited_for(*turn);
            turn
        };
        if let Some(token) = cached() {
            return Ok(Some(token));
        }
        let realm = trust::realm(call.endpoint, realm, &self.settings)?;
        let mut credential = self.credential(call.endpoint, Asked::First).await?;
        if let Credential::Bearer(direct) = &credential {
            return Ok(Some(RegistryAuth::Bearer(direct.expose().to_owned())));
        }
        let mut answer = self.ask(call, &realm, issuer.service.as_deref(), &credential).await?;
        if is_refusal(answer.status) {
            let renewed = self.credential(call.endpoint, Asked::Refused).await?;
            if renewed != credential {
                credential = renewed;
                answer = self.ask(call, &realm, issuer.service.as_deref(), &credential).await?;
            }
        }
        let shown = trust::shown(&realm);
        if !answer.status.is_success() {
            return Err(self.no_token(answer, &shown).await);
        }
        let granted = Granted::read(&answer.bytes(self, LONGEST_WORDS).await?, &shown)?;
        let token = RegistryAuth::Bearer(granted.secret.expose().to_owned());
        self.tokens().keep(issuer, call.scopes.clone(), &granted, self.runtime.monotonic());
        *fetched_at_depth = meter::depth();
        Ok(Some(token))
    }

    async fn no_token(&self, answer: Answer, realm: &str) -> Error {
        let refusal = answer.refusal(self).await;
        let status = refusal.status;
        if refusal.is_temporary() || is_refusal(status) {
            return refusal.into_error("give a token", format!("realm {realm}"));
        }
        // Not followed anywhere, whatever it says: the credentials would go along.
        Error::new(
            ErrorCode::CloudAnswerInvalid,
            format!("the realm was asked for a token and answered with {}", status.as_u16()),
        )
        .on(format!("realm {realm}"))
    }

    /// Asks a realm for a token: by GET with a password or without, by POST with a refresh token.
    async fn ask(&self, call: &Call<'_>, realm: &Url, service: Option<&str>, with: &Credential) -> Result<Answer> {
        let mut url = realm.clone();
        let mut request = Request::builder().method(Method::GET);
        let mut body = RequestBody::Empty;
        let mut authorization = None;
        if let Credential::Identity(refresh) = with {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token").append_pair("client_id", "chalk-deploy");
            form.append_pair("refresh_token", refresh.expose());
            parameters(call, service, |name, value| {
                form.append_pair(name, value);
            });
            body = RequestBody::Bytes(form.finish().into());
            request = Request::builder()
                .method(Method::POST)
                .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        } else {
            let mut query = url.query_pairs_mut();
            parameters(call, service, |name, value| {
                query.append_pair(name, value);
            });
            drop(query);
            authorization = basic(with);
        }
        let mut request = request.uri(uri(&url)?).body(body).map_err(unwritable)?;
        let mut secrets = authorize(&mut request, authorization.as_ref())?;
        if let Credential::Identity(refresh) = with {
            secrets.push(refresh.expose().to_owned());
        }
        self.exchange(request, true, None, secrets, &url, true).await
    }

    /// Sends a call as it is, once or with the one bounded retry of the transport.
    pub(super) async fn transmit(&self, call: &Call<'_>, auth: Option<&RegistryAuth>) -> Result<Answer> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(uri(&call.url)?)
            .body(call.body.clone())
            .map_err(unwritable)?;
        request.headers_mut().extend(call.headers.clone());
        let secrets = authorize(&mut request, auth)?;
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

    /// The credential for a registry, as it was given or asked for anew.
    async fn credential(&self, endpoint: &Endpoint, asked: Asked) -> Result<Credential> {
        if asked == Asked::First
            && let Some(credential) = self.known(endpoint).credential
        {
            return Ok(credential);
        }
        let credential = self.settings.credentials.credential(endpoint.written(), asked).await?;
        self.learn(endpoint, |known| known.credential = Some(credential.clone()));
        Ok(credential)
    }

    fn known(&self, endpoint: &Endpoint) -> Known {
        self.knowledge().get(&origin(endpoint)).cloned().unwrap_or_default()
    }

    fn learn(&self, endpoint: &Endpoint, change: impl FnOnce(&mut Known)) {
        change(self.knowledge().entry(origin(endpoint)).or_default());
    }

    fn knowledge(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn origin(endpoint: &Endpoint) -> String {
    // What is written counts too: `docker.io` and `index.docker.io` are one origin, and have their own credentials.
    format!("{} {}", endpoint.base().origin().ascii_serialization(), endpoint.written())
}

fn basic(credential: &Credential) -> Option<RegistryAuth> {
    match credential {
        Credential::Basic { username, secret } => {
            Some(RegistryAuth::Basic(username.clone(), secret.expose().to_owned()))
        }
        _ => None,
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The scopes are our own, never those that the registry names: it cannot make us fetch a token for something else.
fn parameters(call: &Call<'_>, service: Option<&str>, mut append: impl FnMut(&str, &str)) {
    if let Some(service) = service {
        append("service", service);
    }
    for scope in &call.scopes {
        append("scope", &scope.text());
    }
}

/// Sets the header, and gives the texts that must not be shown.
fn authorize(request: &mut Request<RequestBody>, auth: Option<&RegistryAuth>) -> Result<Vec<String>> {
    let (value, mut secrets) = match auth {
        None | Some(RegistryAuth::Anonymous) => return Ok(Vec::new()),
        Some(RegistryAuth::Bearer(token)) => (format!("Bearer {token}"), vec![token.clone()]),
        Some(RegistryAuth::Basic(username, secret)) => {
            let encoded = STANDARD.encode(format!("{username}:{secret}"));
            (format!("Basic {encoded}"), vec![secret.clone(), encoded])
        }
    };
    let mut value = HeaderValue::from_str(&value).map_err(|_| {
        Error::new(ErrorCode::ValueInvalid, "the registry's credential holds what no header can carry")
            .with_hint("check where the credential comes from; a line break may have got into it")
    })?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    Ok(secrets)
}

fn uri(url: &Url) -> Result<Uri> {
    url.as_str().parse().map_err(unwritable)
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorCode::CloudAnswerInvalid, "the registry leads to an address that no request can name")
        .caused_by(error)
}
