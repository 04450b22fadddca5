//! Containers of Azure Blob Storage.
//!
//! object_store makes the requests and reads the answers. Our connector authorizes them, by the runtime's clock and with
//! credentials that are asked for each time, and sends them through the one transport. An object of several blocks is
//! committed under the condition that its name is free.

mod connector;
mod credentials;
mod delegation;
mod presigner;
mod retention;
mod signature;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use object_store::RetryConfig;
use object_store::azure::MicrosoftAzureBuilder;

use self::connector::Connector;
use self::delegation::DelegatedPresigner;
use self::presigner::{Blobs, Presigner};
use self::retention::AzureLocks;
use self::signature::SignedBy;
use self::store::AzureStore;
use super::endpoint::{Endpoint, PathOf, is_word};
use super::retention::Keeper;
use super::{Bucket, BucketSettings, Paging};
use crate::cloud::{ObjectStoreCapabilities, PresignedDownload};
use crate::credentials::BearerTokenSource;
use crate::runtime::Runtime;
use crate::transport::Transport;
use crate::{Error, ErrorCode, Result};

pub use self::credentials::{AzureCredentials, AzureKeySource, AzureSharedKey};
pub use self::signature::AzureSigner;

/// The metadata that holds an object's digest. Azure wants names that C# takes as identifiers.
const STORED_DIGEST: &str = "chalk_sha256";

/// Where a container of Azure Blob Storage lies.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AzureSettings {
    /// The storage account.
    pub account: String,
    /// The name of the container.
    pub container: String,
    /// The server, such as `http://127.0.0.1:10000/devstoreaccount1`; `https://ACCOUNT.blob.core.windows.net` unless set.
    pub endpoint: Option<String>,
    /// Who authorizes requests.
    pub credentials: AzureCredentials,
}

impl AzureSettings {
    /// A container of an account of Azure.
    pub fn new(account: impl Into<String>, container: impl Into<String>) -> Self {
        Self {
            account: account.into(),
            container: container.into(),
            endpoint: None,
            credentials: AzureCredentials::Anonymous,
        }
    }

    /// Sets the server.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets who names the token.
    #[must_use]
    pub fn with_token(mut self, source: impl BearerTokenSource) -> Self {
        self.credentials = AzureCredentials::Bearer(Arc::new(source));
        self
    }

    /// Sets who names the account's key.
    #[must_use]
    pub fn with_shared_key(mut self, source: impl AzureKeySource) -> Self {
        self.credentials = AzureCredentials::SharedKey(Arc::new(source));
        self
    }
}

pub(super) fn open(transport: Transport, settings: AzureSettings, runtime: Arc<dyn Runtime>) -> Result<Bucket> {
    let AzureSettings { account, container, endpoint, credentials } = settings;
    let invalid = |what: &str, text: &str, rule: &str| {
        Error::new(ErrorCode::ValueInvalid, rule).on(format!("{what} `{}`", crate::text::line(text, 100)))
    };
    // Emulators take other accounts than Azure, which wants 3 to 24 small letters and digits.
    if !is_word(&account, 63) || account.contains('.') {
        return Err(invalid(
            "storage account",
            &account,
            "the name of an account is letters, digits or inner `-` or `_`",
        ));
    }
    // `$root`, `$web` and `$logs` are not for us.
    if !is_word(&container, 63) || container.contains('.') {
        return Err(invalid("container", &container, "the name of a container is letters, digits or inner `-` or `_`"));
    }
    let endpoint = endpoint.unwrap_or_else(|| format!("https://{account}.blob.core.windows.net"));
    let Endpoint { scheme, authority, path } = Endpoint::parse(&endpoint, PathOf::Account)?;
    let server = format!("{scheme}://{authority}{path}");
    let signer = Arc::new(AzureSigner::new(account.clone(), credentials, runtime.clone()));
    let connector = Connector::new(transport, signer.clone(), runtime);
    let builder = MicrosoftAzureBuilder::new()
        .with_account(&account)
        .with_container_name(&container)
        .with_endpoint(server.clone())
        // Which hosts may be asked over plain HTTP is the transport's to say.
        .with_allow_http(true)
        .with_skip_signature(true)
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_disable_tagging(true)
        .with_http_connector(connector.clone());
    let inner = builder.build().map_err(|error| {
        Error::new(ErrorCode::ValueInvalid, "the settings of the bucket are not usable")
            .on(format!("container `{container}`"))
            .caused_by(crate::text::line(&error.to_string(), 300))
    })?;
    let base = format!("{server}/{container}");
    let presigned = signer.signs_addresses().map(|signed_by| {
        let blobs = Blobs { base: base.clone(), path: format!("/{container}"), signer };
        match signed_by {
            SignedBy::AccountKey => Arc::new(Presigner::new(blobs)) as Arc<dyn PresignedDownload>,
            SignedBy::DelegatedKey => Arc::new(DelegatedPresigner::new(blobs, server.clone(), connector.clone())),
        }
    });
    let name = format!("container `{container}` of `{account}` at {authority}");
    let locks = AzureLocks::new(connector.clone(), base.clone());
    let store = Arc::new(AzureStore { inner, connector, base });
    let capabilities = ObjectStoreCapabilities::none().with_conditional_put(true).with_stored_digest(true);
    Ok(Bucket {
        pages: Some(store.clone()),
        paging: Paging::ByToken,
        presigned,
        retention: Some(Arc::new(Keeper::new(locks, name.clone()))),
        digest_name: STORED_DIGEST,
        conditional_parts: true,
        conditional_copies: true,
        streams: true,
        ..Bucket::new(&name, store, BucketSettings::new(capabilities))
    })
}
