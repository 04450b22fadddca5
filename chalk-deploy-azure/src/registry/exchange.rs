//! A token of Entra ID is changed for a refresh token of the registry, which the registry's realm changes for a token of
//! each request ("Azure Container Registry: Exchange AAD Access Token For An ACR Refresh Token", the page AAD-OAuth of
//! the registry's documentation).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource, Lender, Lent, Renewing, Secret};
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::oci::{Asked, Credential, RegistryCredentials};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::Transport;
use chalk_deploy_core::{Error, ErrorCode, Result};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::api::{Answer, Api, Authorization, Call};
use crate::credentials::ScopedTokens;
use crate::credentials::tenant::{Tenant, claims};
use crate::settings::RegistryName;

/// How long a token is used that does not say when it ends. Refresh tokens last three hours, access tokens 75 minutes.
const UNSAID: Duration = Duration::from_mins(10);
/// No token is longer.
const TOKEN_MOST: usize = 16 << 10;

/// Refresh tokens of one registry. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct RefreshTokens(Renewing<Secret>);

impl RefreshTokens {
    pub(crate) fn new(
        registry: RegistryName,
        tenant: Option<Tenant>,
        tokens: ScopedTokens,
        transport: Transport,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let api = Api { transport, runtime: runtime.clone(), authorization: Authorization::None };
        Self(Renewing::new(Exchange { registry, tenant, tokens, api }, runtime))
    }

    /// Access tokens for one scope, such as `repository:chalk/engine:metadata_read`.
    pub(crate) fn access(&self, registry: &RegistryName, scope: String, api: &Api) -> AccessTokens {
        let lender = Access { registry: registry.clone(), scope, refresh: self.0.clone(), api: api.clone() };
        AccessTokens(Renewing::new(lender, api.runtime.clone()))
    }
}

/// What the OCI client shows to the registry.
#[derive(Debug)]
pub(crate) struct AcrCredentials {
    host: String,
    refresh: RefreshTokens,
    /// What was given last.
    given: Mutex<Option<Secret>>,
}

impl AcrCredentials {
    pub(crate) fn new(host: String, refresh: RefreshTokens) -> Self {
        Self { host, refresh, given: Mutex::default() }
    }
}

#[async_trait]
impl RegistryCredentials for AcrCredentials {
    async fn credential(&self, host: &str, asked: Asked) -> Result<Credential> {
        // Nobody else is shown anything.
        if host != self.host {
            return Ok(Credential::Anonymous);
        }
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Asked::Refused, Some(given)) = (asked, given) {
            self.refresh.0.refused(&given).await;
        }
        let secret = self.refresh.0.get().await?;
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret.clone());
        Ok(Credential::Identity(secret))
    }
}

struct Exchange {
    registry: RegistryName,
    tenant: Option<Tenant>,
    tokens: ScopedTokens,
    api: Api,
}

impl Exchange {
    async fn ask(&self, token: &BearerToken) -> Result<(Call, Answer)> {
        let RegistryName { host, endpoint } = &self.registry;
        let mut form = vec![("grant_type", "access_token"), ("service", host)];
        if let Some(tenant) = &self.tenant {
            form.push(("tenant", tenant.as_str()));
        }
        form.push(("access_token", token.expose()));
        let call = Call::new(Method::POST, format!("{endpoint}/oauth2/exchange"), format!("registry `{host}`"))
            .with_form(&form)
            .reading();
        let answer = self.api.exchange(&call).await?;
        Ok((call, answer))
    }
}

#[async_trait]
impl Lender<Secret> for Exchange {
    async fn lend(&self) -> Result<Lent<Secret>> {
        let token = self.tokens.token().await?;
        let (mut call, mut answer) = self.ask(&token).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            // It may have expired on its way.
            self.tokens.refused(&token).await;
            let renewed = self.tokens.token().await?;
            if renewed != token {
                (call, answer) = self.ask(&renewed).await?;
            }
        }
        if !answer.status.is_success() {
            return Err(self.api.refused(&call, &answer));
        }
        granted(&answer, "refresh_token", &call.subject, self.api.runtime.now())
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "token of registry `{}`", self.registry.host)
    }
}

/// Access tokens for one scope.
#[derive(Debug, Clone)]
pub(crate) struct AccessTokens(Renewing<BearerToken>);

#[async_trait]
impl BearerTokenSource for AccessTokens {
    async fn token(&self) -> Result<BearerToken> {
        self.0.get().await
    }

    async fn refused(&self, token: &BearerToken) {
        self.0.refused(token).await;
    }
}

struct Access {
    registry: RegistryName,
    scope: String,
    refresh: Renewing<Secret>,
    api: Api,
}

#[async_trait]
impl Lender<BearerToken> for Access {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        let RegistryName { host, endpoint } = &self.registry;
        let api = Api { authorization: Authorization::None, ..self.api.clone() };
        let mut refresh = self.refresh.get().await?;
        let mut renewed_once = false;
        loop {
            let form = [
                ("grant_type", "refresh_token"),
                ("service", host.as_str()),
                ("scope", &self.scope),
                ("refresh_token", refresh.expose()),
            ];
            let call = Call::new(Method::POST, format!("{endpoint}/oauth2/token"), format!("registry `{host}`"))
                .with_form(&form)
                .reading();
            let answer = api.exchange(&call).await?;
            if answer.status == StatusCode::UNAUTHORIZED && !renewed_once {
                renewed_once = true;
                self.refresh.refused(&refresh).await;
                let renewed = self.refresh.get().await?;
                if renewed != refresh {
                    refresh = renewed;
                    continue;
                }
            }
            if !answer.status.is_success() {
                return Err(api.refused(&call, &answer));
            }
            let Lent { value, expires } = granted(&answer, "access_token", &call.subject, api.runtime.now())?;
            return Ok(Lent { value: BearerToken::new(value.expose()), expires });
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "token for `{}` of registry `{}`", self.scope, self.registry.host)
    }
}

/// The token in an answer. Both kinds say when they end.
fn granted(answer: &Answer, field: &str, subject: &str, now: Timestamp) -> Result<Lent<Secret>> {
    let json = answer.json(subject)?;
    let token = json.get(field).and_then(Value::as_str).unwrap_or_default();
    if token.is_empty() || token.len() > TOKEN_MOST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::new(ErrorCode::CloudAnswerInvalid, "the registry answered with no token").on(subject));
    }
    let said = claims(token).and_then(|claims| claims.get("exp")?.as_u64());
    let ends = said.map_or_else(|| now.plus(UNSAID), |seconds| Timestamp::from_millis(seconds.saturating_mul(1000)));
    Ok(Lent { value: Secret::new(token), expires: Some(ends) })
}
