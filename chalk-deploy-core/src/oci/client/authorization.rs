//! What a call is sent with: nothing, a password, or a token that the registry's realm gave for it.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use oci_distribution::secrets::RegistryAuth;
use url::Url;

use super::{Answer, Call, Client, LONGEST_WORDS, unwritable, uri};
use crate::oci::challenge::Challenge;
use crate::oci::credentials::{Asked, Credential};
use crate::oci::endpoint::Endpoint;
use crate::oci::token::{Granted, Issuer, Tokens};
use crate::oci::trust;
use crate::transport::{RequestBody, meter};
use crate::{Error, ErrorCode, Result};

/// What we know of a registry's way to be convinced.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    challenge: Option<Challenge>,
    credential: Option<Credential>,
}

impl Client {
    /// What of a registry's credential must not be shown, the longest text first.
    pub(super) fn secrets(&self, endpoint: &Endpoint) -> Vec<String> {
        match self.known(endpoint).credential {
            Some(Credential::Basic { username, secret }) => {
                vec![encoded(&username, secret.expose()), secret.expose().to_owned()]
            }
            Some(Credential::Bearer(secret) | Credential::Identity(secret)) => vec![secret.expose().to_owned()],
            Some(Credential::Anonymous) | None => Vec::new(),
        }
    }

    /// What a call is sent with at first: what the registry is known to want.
    pub(super) async fn authorization(&self, call: &Call<'_>) -> Result<Option<RegistryAuth>> {
        let known = self.known(call.endpoint);
        match known.challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(known.credential.as_ref().and_then(basic)),
            Some(Challenge::Bearer { realm, service }) => self.bearer(call, &realm, service).await,
        }
    }

    /// What a call is sent with after it was refused; `None` when there is nothing better than what was sent.
    pub(super) async fn renewed(
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
            Challenge::Basic => self.password(call.endpoint, sent).await?,
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

    /// A password that was not sent yet. Of many who were refused at once one asks for it, and the others take what was given.
    async fn password(&self, endpoint: &Endpoint, sent: Option<&RegistryAuth>) -> Result<Option<RegistryAuth>> {
        let mut fetched_at_depth = self.turn_to_fetch().await;
        let asked = if sent.is_some() { Asked::Refused } else { Asked::First };
        let known = self.known(endpoint).credential.as_ref().and_then(basic);
        if let Some(newer) = known.filter(|known| sent.is_some_and(|sent| sent != known)) {
            return Ok(Some(newer));
        }
        let given = basic(&self.credential(endpoint, asked).await?);
        *fetched_at_depth = meter::depth();
        Ok(given)
    }

    /// The right to ask for credentials, which one has at a time. It holds how many round trips led to what was fetched last.
    async fn turn_to_fetch(&self) -> tokio::sync::MutexGuard<'_, u64> {
        if let Ok(turn) = self.fetching.try_lock() {
            return turn;
        }
        let turn = self.fetching.lock().await;
        meter::has_waited_for(*turn);
        turn
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
        let mut fetched_at_depth = self.turn_to_fetch().await;
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

fn encoded(username: &str, secret: &str) -> String {
    STANDARD.encode(format!("{username}:{secret}"))
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
pub(super) fn authorize(request: &mut Request<RequestBody>, auth: Option<&RegistryAuth>) -> Result<Vec<String>> {
    let (value, mut secrets) = match auth {
        None | Some(RegistryAuth::Anonymous) => return Ok(Vec::new()),
        Some(RegistryAuth::Bearer(token)) => (format!("Bearer {token}"), vec![token.clone()]),
        Some(RegistryAuth::Basic(username, secret)) => {
            let encoded = encoded(username, secret);
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
