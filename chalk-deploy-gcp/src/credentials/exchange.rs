//! One request to a token service.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource, Lent, Secret};
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::{RequestBody, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::quota::{QuotaProject, USER_PROJECT};
use crate::api::{JSON, exchange};
use crate::moment;
use crate::permissions::IMPERSONATE;
use crate::refusal::{Refusal, Shown};

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// No token lives longer ("Service account overview": twelve hours where an organization allows that).
const LIFE_MOST: u64 = 12 * 3600;
/// A token whose end is not told is asked for anew after this.
const LIFE_UNSAID: u64 = 300;

/// Sends requests to token services.
#[derive(Clone)]
pub(crate) struct Exchange {
    transport: Transport,
    runtime: Arc<dyn Runtime>,
    scopes: Arc<[String]>,
    counted_for: QuotaProject,
}

/// What a token service gives (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    expires_in: Option<u64>,
}

/// What `generateAccessToken` gives.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Generated {
    access_token: Secret,
    expire_time: String,
}

impl Exchange {
    pub(crate) fn new(
        transport: Transport,
        runtime: Arc<dyn Runtime>,
        scopes: impl Into<Arc<[String]>>,
        counted_for: QuotaProject,
    ) -> Self {
        Self { transport, runtime, scopes: scopes.into(), counted_for }
    }

    /// The scopes that are asked for.
    pub(crate) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The project that calls with what is given are counted for.
    pub(crate) const fn counted_for(&self) -> &QuotaProject {
        &self.counted_for
    }

    pub(crate) fn runtime(&self) -> &dyn Runtime {
        &*self.runtime
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.runtime.now()
    }

    /// Shows credentials, in a form.
    pub(crate) async fn form(
        &self,
        url: &Url,
        pairs: &[(&str, &str)],
        (shown, subject): (Shown, &str),
    ) -> Result<Lent<BearerToken>> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let (parts, body) = self.post(url, FORM, body, None, subject).await?;
        self.given(&parts, &body, shown, subject)
    }

    /// Shows credentials, in JSON.
    pub(crate) async fn json(
        &self,
        url: &Url,
        body: &Value,
        (shown, subject): (Shown, &str),
    ) -> Result<Lent<BearerToken>> {
        let (parts, body) = self.post(url, JSON, body.to_string(), None, subject).await?;
        self.given(&parts, &body, shown, subject)
    }

    /// Asks with JSON, as the holder of a token, for one that says when it ends. A token of the holder that is refused
    /// is fetched anew once.
    pub(crate) async fn generate(
        &self,
        url: &Url,
        body: &Value,
        holder: &dyn BearerTokenSource,
        subject: &str,
    ) -> Result<Lent<BearerToken>> {
        let token = holder.token().await?;
        let (mut parts, mut answer) = self.post(url, JSON, body.to_string(), Some(&token), subject).await?;
        if parts.status == StatusCode::UNAUTHORIZED {
            holder.refused(&token).await;
            let renewed = holder.token().await?;
            if renewed != token {
                (parts, answer) = self.post(url, JSON, body.to_string(), Some(&renewed), subject).await?;
            }
        }
        if !parts.status.is_success() {
            let refusal = Refusal::read(parts.status, &parts.headers, &answer, self.now());
            let error = refusal.error(subject, Some(IMPERSONATE));
            return Err(if error.code() == ErrorCode::ObjectMissing {
                error.with_hint("correct the address of the service account; it may have been removed")
            } else {
                error
            });
        }
        let Generated { access_token, expire_time } = serde_json::from_slice(&answer).map_err(|_| invalid(subject))?;
        let expires = moment::read(&expire_time).ok_or_else(|| invalid(subject))?;
        Ok(Lent { value: BearerToken::new(access_token.expose()), expires: Some(expires) })
    }

    /// Reads a document that is not a token service's, such as that of a provider of identities.
    pub(crate) async fn read(&self, url: &Url, headers: &[(String, String)], subject: &str) -> Result<String> {
        let wrong = || {
            Error::new(ErrorCode::ValueInvalid, "the address or the headers that are configured make no request")
                .on(subject)
        };
        let headers: Option<Vec<(HeaderName, HeaderValue)>> =
            headers.iter().map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?))).collect();
        let (parts, body) = self.get(url, &headers.ok_or_else(wrong)?, subject).await?;
        if !parts.status.is_success() {
            let passes = parts.status.is_server_error() || parts.status == StatusCode::TOO_MANY_REQUESTS;
            let code = if passes { ErrorCode::CloudUnavailable } else { ErrorCode::PermissionDenied };
            return Err(Error::new(code, format!("the provider of identities answered with {}", parts.status))
                .on(subject)
                .with_hint("check the provider, and that this machine may ask it"));
        }
        String::from_utf8(body.into()).map_err(|_| invalid(subject))
    }

    /// Asks by GET. Any status is an answer.
    pub(crate) async fn get(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        subject: &str,
    ) -> Result<(Parts, Bytes)> {
        let mut request = Request::get(url.as_str()).body(RequestBody::Empty).map_err(|_| invalid(subject))?;
        request.headers_mut().extend(headers.iter().cloned());
        exchange(&self.transport, &*self.runtime, request, subject).await
    }

    /// The token in an answer.
    pub(crate) fn granted(&self, body: &[u8], subject: &str) -> Result<Lent<BearerToken>> {
        // The error of a wrong document could hold the token.
        let Granted { access_token, expires_in } = serde_json::from_slice(body).map_err(|_| invalid(subject))?;
        let seconds = expires_in.unwrap_or(LIFE_UNSAID).min(LIFE_MOST);
        let expires = self.now().plus(Duration::from_secs(seconds));
        Ok(Lent { value: BearerToken::new(access_token.expose()), expires: Some(expires) })
    }

    fn given(&self, parts: &Parts, body: &[u8], shown: Shown, subject: &str) -> Result<Lent<BearerToken>> {
        if parts.status.is_success() {
            return self.granted(body, subject);
        }
        Err(Refusal::read(parts.status, &parts.headers, body, self.now()).of_token(subject, shown))
    }

    async fn post(
        &self,
        url: &Url,
        kind: HeaderValue,
        body: String,
        holder: Option<&BearerToken>,
        subject: &str,
    ) -> Result<(Parts, Bytes)> {
        let request = Request::post(url.as_str()).header(CONTENT_TYPE, kind);
        let mut request = request.body(RequestBody::Bytes(body.into())).map_err(|_| invalid(subject))?;
        if let Some(holder) = holder {
            request.headers_mut().insert(AUTHORIZATION, holder.authorization()?);
            if let Some(project) = self.counted_for.header() {
                request.headers_mut().insert(USER_PROJECT, project);
            }
        }
        exchange(&self.transport, &*self.runtime, request, subject).await
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exchange").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

fn invalid(subject: &str) -> Error {
    Error::new(ErrorCode::CloudAnswerInvalid, "the token service answered with something else than a token").on(subject)
}

/// An address to which secrets of a file may be sent: one of Google's.
pub(crate) fn of_google(address: &str, field: &str) -> Result<Url> {
    let refused = |why: &str| {
        Error::new(ErrorCode::ValueInvalid, format!("its `{field}` {why}"))
            .on(format!("address `{}`", text::line(address, 200)))
            .with_hint("nothing was sent; take the file from Google's console or from gcloud, and leave it as it is")
    };
    let url = Url::parse(address).map_err(|_| refused("is no address"))?;
    let host = url.host_str().unwrap_or_default();
    let is_googles = host == "accounts.google.com" || host.ends_with(".googleapis.com");
    if url.scheme() != "https" || !is_googles || url.port().is_some() {
        return Err(refused("is not one of Google's"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(refused("has more than a host and a path"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_to_google_and_nowhere_else() {
        for address in [
            "https://oauth2.googleapis.com/token",
            "https://accounts.google.com/o/oauth2/token",
            "https://sts.us-east1.rep.googleapis.com/v1/token",
        ] {
            of_google(address, "token_uri").expect(address);
        }
        for address in [
            "http://oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com.evil.example/token",
            "https://googleapis.com.evil.example/",
            "https://evilgoogleapis.com/token",
            "https://a@oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com:8443/token",
            "https://oauth2.googleapis.com/token?to=evil",
            "https://127.0.0.1/token",
            "oauth2.googleapis.com",
            "",
        ] {
            let error = of_google(address, "token_uri").expect_err(address);
            assert_eq!(error.code(), ErrorCode::ValueInvalid);
            assert!(error.message().contains("token_uri"), "{error}");
        }
    }
}
