//! Acting as a service account ("Create short-lived credentials for a service account" of Google's documentation). The
//! account is a setting of the tenant, never a part of a request.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource, Lender, Lent};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::Exchange;
use super::exchange::of_google;
use super::file::parse;

/// The life of a token: the longest that needs no exception of the organization.
const LIFE: &str = "3600s";
const SUFFIX: &str = ":generateAccessToken";

/// The file that `gcloud auth application-default login --impersonate-service-account` writes.
#[derive(Deserialize)]
pub(crate) struct ImpersonatedAccount {
    service_account_impersonation_url: String,
    #[serde(default)]
    delegates: Vec<String>,
    source_credentials: Value,
}

/// A service account that others may act as.
pub(crate) struct Impersonation {
    source: Arc<dyn BearerTokenSource>,
    url: Url,
    account: String,
    delegates: Vec<String>,
    lifetime: String,
    exchange: Exchange,
}

impl Impersonation {
    /// Acts as this account, by tokens of the source.
    pub(crate) fn new(source: Arc<dyn BearerTokenSource>, account: &str, exchange: Exchange) -> Result<Self> {
        let is_usable = account.contains('@')
            && account.len() <= 200
            && account.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@.-_".contains(&byte));
        if !is_usable {
            return Err(Error::new(ErrorCode::ValueInvalid, "this is no service account")
                .on(format!("account `{}`", text::line(account, 100)))
                .with_hint("name it by its address, such as deployer@project.iam.gserviceaccount.com"));
        }
        let address = format!("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}{SUFFIX}");
        Self::at(source, &address, Vec::new(), exchange)
    }

    /// Acts as the account of an address.
    pub(crate) fn at(
        source: Arc<dyn BearerTokenSource>,
        address: &str,
        delegates: Vec<String>,
        exchange: Exchange,
    ) -> Result<Self> {
        let url = of_google(address, "service_account_impersonation_url")?;
        let account = url.path().strip_suffix(SUFFIX).and_then(|path| path.rsplit_once("/serviceAccounts/"));
        let Some((_, account)) = account.filter(|(_, account)| account.contains('@') && !account.contains('/')) else {
            return Err(Error::new(
                ErrorCode::ValueInvalid,
                "its `service_account_impersonation_url` names no account",
            ));
        };
        let account = text::line(account, 200);
        Ok(Self { source, url, account, delegates, lifetime: LIFE.to_owned(), exchange })
    }

    /// The account of a file, with the credentials in it as the source.
    pub(crate) fn of_file(file: ImpersonatedAccount, exchange: Exchange) -> Result<Self> {
        if file.source_credentials["type"] == "impersonated_service_account" {
            return Err(Error::new(ErrorCode::ValueInvalid, "it acts as an account that acts as another one")
                .with_hint("name the accounts between in `delegates`"));
        }
        let source = parse(&file.source_credentials.to_string(), &exchange)?;
        Self::at(Holder::each_time(source), &file.service_account_impersonation_url, file.delegates, exchange)
    }

    /// Asks for tokens of this life.
    pub(crate) fn with_lifetime(mut self, seconds: u64) -> Self {
        self.lifetime = format!("{seconds}s");
        self
    }
}

impl fmt::Debug for Impersonation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "service account {}", self.account)
    }
}

#[async_trait]
impl Lender<BearerToken> for Impersonation {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        let mut body = json!({"scope": self.exchange.scopes(), "lifetime": self.lifetime});
        if !self.delegates.is_empty() {
            body["delegates"] = json!(self.delegates);
        }
        self.exchange.generate(&self.url, &body, &*self.source, &format!("{self:?}")).await
    }
}

/// Whoever acts as the account, with a token of its own each time: it is used at once, so that its end matters to nobody.
#[derive(Debug)]
pub(crate) struct Holder<L>(L);

impl<L: Lender<BearerToken>> Holder<L> {
    pub(crate) fn each_time(lender: L) -> Arc<dyn BearerTokenSource> {
        Arc::new(Self(lender))
    }
}

#[async_trait]
impl<L: Lender<BearerToken>> BearerTokenSource for Holder<L> {
    async fn token(&self) -> Result<BearerToken> {
        Ok(self.0.lend().await?.value)
    }
}
