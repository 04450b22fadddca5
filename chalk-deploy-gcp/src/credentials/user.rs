//! A user who has logged in with gcloud: a refresh token is changed for a token (RFC 6749, section 6).

use std::fmt;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, Lender, Lent, Secret};
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde::Deserialize;

use super::Exchange;
use super::exchange::of_google;
use crate::refusal::Shown;

/// Where refresh tokens of users are changed. The file names no address.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// The file.
#[derive(Deserialize)]
pub(crate) struct AuthorizedUser {
    client_id: String,
    client_secret: Secret,
    refresh_token: Secret,
}

/// A user.
pub(crate) struct User {
    file: AuthorizedUser,
    exchange: Exchange,
}

impl User {
    pub(crate) const fn new(file: AuthorizedUser, exchange: Exchange) -> Self {
        Self { file, exchange }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("login of a user")
    }
}

#[async_trait]
impl Lender<BearerToken> for User {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        let AuthorizedUser { client_id, client_secret, refresh_token } = &self.file;
        if refresh_token.expose().is_empty() {
            return Err(Error::new(ErrorCode::ValueInvalid, "it holds no refresh token").on(format!("{self:?}")));
        }
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", client_id.as_str()),
            ("client_secret", client_secret.expose()),
            ("refresh_token", refresh_token.expose()),
        ];
        let url = of_google(TOKEN_URI, "token_uri")?;
        self.exchange.form(&url, &form, (Shown::Login, &format!("{self:?}"))).await
    }
}
