//! The key of a service account: an assertion that it signs is changed for a token ("Using OAuth 2.0 for Server to
//! Server Applications" of Google's documentation; RFC 7523).

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chalk_deploy_core::Result;
use chalk_deploy_core::bucket::{GcsServiceAccountKey, GcsUrlSigner as _};
use chalk_deploy_core::credentials::{BearerToken, Lender, Lent};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::Exchange;
use super::exchange::of_google;
use crate::refusal::Shown;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest life that Google takes.
const LIFE: Duration = Duration::from_hours(1);

/// What is used of the file, beside the key itself.
#[derive(Deserialize)]
pub(crate) struct ServiceAccountFile {
    token_uri: String,
    private_key_id: Option<String>,
}

/// A service account whose key is at hand.
pub(crate) struct ServiceAccount {
    key: GcsServiceAccountKey,
    key_id: Option<String>,
    token_uri: Url,
    exchange: Exchange,
}

impl ServiceAccount {
    pub(crate) fn new(file: ServiceAccountFile, text: &str, exchange: Exchange) -> Result<Self> {
        let key = GcsServiceAccountKey::from_json(text)?;
        let token_uri = of_google(&file.token_uri, "token_uri")?;
        Ok(Self { key, key_id: file.private_key_id, token_uri, exchange })
    }

    async fn assertion(&self) -> Result<String> {
        let issued = self.exchange.now().as_millis() / 1000;
        let mut head = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.key_id {
            head["kid"] = json!(id);
        }
        let claims = json!({
            "iss": self.key.account(),
            "scope": self.exchange.scopes().join(" "),
            "aud": self.token_uri.as_str(),
            "iat": issued,
            "exp": issued + LIFE.as_secs(),
        });
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encoded(&head.to_string()), encoded(&claims.to_string()));
        let signature = self.key.sign(signed.as_bytes()).await?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "service account {}", self.key.account())
    }
}

#[async_trait]
impl Lender<BearerToken> for ServiceAccount {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        let assertion = self.assertion().await?;
        let form = [("grant_type", GRANT), ("assertion", assertion.as_str())];
        self.exchange.form(&self.token_uri, &form, (Shown::Key, &format!("{self:?}"))).await
    }
}
