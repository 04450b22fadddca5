//! One request to a token service.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::credentials::{BearerToken, Lent, Secret};
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::{RequestBody, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::api::{JSON, exchange};
use crate::moment;
use crate::permissions::IMPERSONATE;
use crate::refusal::Refusal;

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
    pub(crate) fn new(transport: Transport, runtime: Arc<dyn Runtime>, scopes: impl Into<Arc<[String]>>) -> Self {
        Self { transport, runtime, scopes: scopes.into() }
    }

    /// The scopes that are asked for.
    pub(crate) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.runtime.now()
    }

    /// Asks with a form.
    pub(crate) async fn form(&self, url: &Url, pairs: &[(&str, &str)], subject: &str) -> Result<Lent<BearerToken>> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Ok(self.granted(self.send(url, FORM, body, None, subject).await?))
    }

    /// Asks with JSON.
    pub(crate) async fn json(&self, url: &Url, body: &Value, subject: &str) -> Result<Lent<BearerToken>> {
        Ok(self.granted(self.send(url, JSON, body.to_string(), None, subject).await?))
    }

    /// Asks with JSON, as the holder of a token, for one that says when it ends.
    pub(crate) async fn generate(
        &self,
        url: &Url,
        body: &Value,
        holder: &BearerToken,
        subject: &str,
    ) -> Result<Lent<BearerToken>> {
        let Generated { access_token, expire_time } =
            self.send(url, JSON, body.to_string(), Some(holder), subject).await?;
        let expires = moment::read(&expire_time).ok_or_else(|| invalid(subject))?;
        Ok(Lent { value: BearerToken::new(access_token.expose()), expires: Some(expires) })
    }

    /// Reads a document that is not a token service's, such as that of a provider of identities.
    pub(crate) async fn read(&self, url: &Url, headers: &[(String, String)], subject: &str) -> Result<String> {
        let mut request = Request::get(url.as_str());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(RequestBody::Empty).map_err(|_| {
            Error::new(ErrorCode::ValueInvalid, "the address or the headers that are configured make no request")
                .on(subject)
        })?;
        let (parts, body) = exchange(&self.transport, &*self.runtime, request, subject).await?;
        if !parts.status.is_success() {
            let error = Error::new(ErrorCode::PermissionDenied, format!("the provider answered with {}", parts.status));
            return Err(error
                .on(subject)
                .with_hint("check the provider of identities, and that this machine may ask it"));
        }
        String::from_utf8(body.into()).map_err(|_| invalid(subject))
    }

    fn granted(&self, granted: Granted) -> Lent<BearerToken> {
        let Granted { access_token, expires_in } = granted;
        let seconds = expires_in.unwrap_or(LIFE_UNSAID).min(LIFE_MOST);
        let expires = self.now().plus(Duration::from_secs(seconds));
        Lent { value: BearerToken::new(access_token.expose()), expires: Some(expires) }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        url: &Url,
        kind: HeaderValue,
        body: String,
        holder: Option<&BearerToken>,
        subject: &str,
    ) -> Result<T> {
        let mut request = Request::post(url.as_str()).header(CONTENT_TYPE, kind);
        if let Some(holder) = holder {
            request = request.header(AUTHORIZATION, holder.authorization()?);
        }
        let request = request.body(RequestBody::Bytes(body.into())).map_err(|_| invalid(subject))?;
        let (parts, body) = exchange(&self.transport, &*self.runtime, request, subject).await?;
        if !parts.status.is_success() {
            let refusal = Refusal::read(parts.status, &parts.headers, &body, self.now());
            return Err(match holder {
                Some(_) => refusal.error(subject, Some(IMPERSONATE)),
                None => refusal.of_token(subject),
            });
        }
        // The error of a wrong document could hold the token.
        serde_json::from_slice(&body).map_err(|_| invalid(subject))
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
