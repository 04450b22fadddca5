//! Acting as a service account ("Create short-lived credentials for a service account" of Google's documentation). The
//! account is a setting of the tenant, never a part of a request.

use std::fmt;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, Lender, Lent};
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
    source: Box<dyn Lender<BearerToken>>,
    url: Url,
    account: String,
    delegates: Vec<String>,
    lifetime: String,
    exchange: Exchange,
}

impl Impersonation {
    /// Acts as this account, by tokens of the source.
    pub(crate) fn new(source: Box<dyn Lender<BearerToken>>, account: &str, exchange: Exchange) -> Result<Self> {
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
        source: Box<dyn Lender<BearerToken>>,
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
        Self::at(source, &file.service_account_impersonation_url, file.delegates, exchange)
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
        // Its own end matters to nobody: it is used at once.
        let holder = self.source.lend().await?.value;
        let mut body = json!({"scope": self.exchange.scopes(), "lifetime": self.lifetime});
        if !self.delegates.is_empty() {
            body["delegates"] = json!(self.delegates);
        }
        self.exchange.generate(&self.url, &body, &holder, &format!("{self:?}")).await
    }
}
