//! Who we are to Azure: tokens of Entra ID, one for each scope, each kept until shortly before it ends.
//!
//! The chain, in order; a link that is set up is the last one that is asked, so that nobody becomes somebody else because
//! the first try was refused:
//!
//! 1. **Workload identity**, where `AZURE_FEDERATED_TOKEN_FILE` is set, with `AZURE_CLIENT_ID` and `AZURE_TENANT_ID`, as the
//!    webhook of Microsoft Entra Workload ID sets them in a pod.
//! 2. **Managed identity** of the machine, where its metadata service answers.
//! 3. **Developer tools**: whoever is logged in with `az`, else with `azd`.
//!
//! `azure_identity` makes the requests of the first two, over the one transport and without repetitions of its own, and
//! the command lines of the third, which are run here.

mod choice;
mod developer_tools;
mod managed_identity;
pub(crate) mod tenant;
mod wire;
mod workload_identity;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex as Lock, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource, Lender, Lent, Renewing};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::Transport;
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use futures::lock::Mutex;

pub use self::choice::CredentialChoice;
use self::developer_tools::{DeveloperTools, Programs, Tool};
use self::managed_identity::ManagedIdentity;
use self::tenant::Tenant;
use self::wire::{Seen, Wire};
use self::workload_identity::WorkloadIdentity;
use crate::api::Answer;
use crate::refusal::Refusal;
use crate::settings::Settings;

/// What tokens are for.
pub mod scope {
    /// Blobs and containers.
    pub const STORAGE: &str = "https://storage.azure.com/.default";
    /// Registries, as their own audience; Azure Government and China have others.
    pub const REGISTRY: &str = "https://containerregistry.azure.net/.default";
    /// The Kubernetes API of every AKS cluster that takes tokens of Entra ID: the id of the application "Azure Kubernetes
    /// Service AAD Server", which is the same in every tenant (kubelogin's documentation).
    pub const AKS: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";
}

/// Gives tokens of Entra ID.
#[async_trait]
pub trait TokenIssuer: fmt::Debug + Send + Sync + 'static {
    /// A token for a scope, such as [`scope::STORAGE`]. Nothing is kept here: [`Tokens`] does that.
    ///
    /// **Errors.** `PERMISSION_DENIED` when there is none to be had; `CLOUD_UNAVAILABLE` when there is none now.
    async fn issue(&self, scope: &str) -> Result<Lent<BearerToken>>;
}

/// The same token for everything, for as long as it lasts: that of a test or of an emulator.
#[async_trait]
impl TokenIssuer for BearerToken {
    async fn issue(&self, _: &str) -> Result<Lent<Self>> {
        Ok(Lent { value: self.clone(), expires: None })
    }
}

/// Tokens by scope: fetched once for any number of users, and anew in good time. Clones share them.
#[derive(Clone)]
pub struct Tokens(Arc<Kept>);

struct Kept {
    issuer: Arc<dyn TokenIssuer>,
    tenant: Option<Tenant>,
    runtime: Arc<dyn Runtime>,
    scopes: Lock<BTreeMap<String, ScopedTokens>>,
}

impl Tokens {
    /// Keeps what this gives. Nothing is fetched before it is wanted.
    pub(crate) fn new(issuer: Arc<dyn TokenIssuer>, tenant: Option<Tenant>, runtime: Arc<dyn Runtime>) -> Self {
        Self(Arc::new(Kept { issuer, tenant, runtime, scopes: Lock::default() }))
    }

    /// The tokens for a scope, such as [`scope::STORAGE`].
    pub fn of(&self, scope: &str) -> ScopedTokens {
        let mut scopes = self.0.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let Kept { issuer, tenant, .. } = &*self.0;
            let lender = ScopeLender { issuer: issuer.clone(), tenant: tenant.clone(), scope: scope.to_owned() };
            ScopedTokens(Renewing::new(lender, self.0.runtime.clone()))
        };
        scopes.entry(scope.to_owned()).or_insert_with(made).clone()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Tokens").field(&self.0.issuer).finish()
    }
}

/// The tokens for one scope.
#[derive(Debug, Clone)]
pub struct ScopedTokens(Renewing<BearerToken>);

#[async_trait]
impl BearerTokenSource for ScopedTokens {
    async fn token(&self) -> Result<BearerToken> {
        self.0.get().await
    }

    async fn refused(&self, token: &BearerToken) {
        self.0.refused(token).await;
    }
}

struct ScopeLender {
    issuer: Arc<dyn TokenIssuer>,
    tenant: Option<Tenant>,
    scope: String,
}

#[async_trait]
impl Lender<BearerToken> for ScopeLender {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        let lent = self.issuer.issue(&self.scope).await?;
        if let Some(tenant) = &self.tenant {
            tenant.check(&lent.value)?;
        }
        Ok(lent)
    }
}

impl fmt::Debug for ScopeLender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "token for `{}`", self.scope)
    }
}

/// One way to a token.
#[async_trait]
trait Link: fmt::Debug + Send + Sync + 'static {
    /// As errors name it.
    fn name(&self) -> &'static str;

    async fn issue(&self, scope: &str) -> Result<Lent<BearerToken>, LinkError>;
}

/// Why a link gives no token.
#[derive(Debug)]
enum LinkError {
    /// It is not set up here: the next one is asked.
    NotHere(Error),
    /// It is, and there was no token: that is the answer.
    Refused(Error),
}

impl LinkError {
    fn into_error(self) -> Error {
        match self {
            Self::NotHere(error) | Self::Refused(error) => error,
        }
    }
}

/// The links, in order. The first that has given a token is the one that is asked from then on, for every scope.
#[derive(Debug)]
pub(crate) struct Chain {
    links: Vec<Box<dyn Link>>,
    proven: OnceLock<usize>,
    /// Held by whoever looks for the first: two who look at once could become two different identities.
    looking: Mutex<()>,
}

/// How long the metadata service is waited for where another link follows, and where none does.
const SHORT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(30);

impl Chain {
    /// The links that the settings switch on. Nothing is read or asked yet.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] when workload identity is switched on alone, or begun, and lacks what it takes. Half of
    /// it is not passed over: the next link would make the pod its node.
    pub(crate) fn new(settings: &Settings, transport: &Transport, runtime: &Arc<dyn Runtime>) -> Result<Self> {
        use CredentialChoice as Choice;
        let choice = &settings.choice;
        let mut links: Vec<Box<dyn Link>> = Vec::new();
        let alone = matches!(choice, Choice::WorkloadIdentity);
        if alone || settings.federated_token_file.is_some() && matches!(choice, Choice::Chain | Choice::Deployed) {
            links.push(Box::new(WorkloadIdentity::new(settings, transport, runtime)?));
        }
        if matches!(choice, Choice::Chain | Choice::Deployed | Choice::ManagedIdentity) {
            // A developer's machine has no metadata service, and is not to wait for one for long.
            let patience = if matches!(choice, Choice::Chain) { SHORT } else { LONG };
            links.push(Box::new(ManagedIdentity {
                client: settings.client.clone(),
                patience,
                transport: transport.clone(),
                runtime: runtime.clone(),
            }));
        }
        let tools = tools_of(choice);
        if !tools.is_empty() {
            links.push(Box::new(DeveloperTools {
                tools,
                tenant: settings.tenant.clone(),
                runtime: runtime.clone(),
                executor: Arc::new(Programs),
            }));
        }
        Ok(Self::of(links))
    }

    fn of(links: Vec<Box<dyn Link>>) -> Self {
        Self { links, proven: OnceLock::new(), looking: Mutex::default() }
    }

    /// The link that has given a token before.
    fn proven(&self) -> Option<&dyn Link> {
        self.links.get(*self.proven.get()?).map(Box::as_ref)
    }

    /// Asks one link after another, and remembers the first that gives a token.
    async fn look(&self, scope: &str) -> Result<Lent<BearerToken>> {
        if let [only] = self.links.as_slice() {
            // There is no other to be asked, so what it says is the answer, which need not be a refusal.
            let token = only.issue(scope).await.map_err(LinkError::into_error)?;
            self.proven.get_or_init(|| 0);
            return Ok(token);
        }
        let mut reasons = Vec::new();
        let mut hint = String::new();
        for (place, link) in self.links.iter().enumerate() {
            match link.issue(scope).await {
                Ok(token) => {
                    self.proven.get_or_init(|| place);
                    return Ok(token);
                }
                Err(LinkError::Refused(error)) => return Err(error),
                Err(LinkError::NotHere(error)) => {
                    reasons.push(format!("{}: {}", link.name(), error.message()));
                    error.hint().clone_into(&mut hint);
                }
            }
        }
        Err(Error::new(ErrorCode::PermissionDenied, format!("there are no credentials; {}", reasons.join("; ")))
            .on("Azure")
            .with_hint(hint))
    }
}

const fn tools_of(choice: &CredentialChoice) -> &'static [Tool] {
    use CredentialChoice as Choice;
    match choice {
        Choice::Chain | Choice::DeveloperTools => &[Tool::Az, Tool::Azd],
        Choice::AzureCli => &[Tool::Az],
        Choice::AzureDeveloperCli => &[Tool::Azd],
        _ => &[],
    }
}

#[async_trait]
impl TokenIssuer for Chain {
    async fn issue(&self, scope: &str) -> Result<Lent<BearerToken>> {
        if self.proven().is_none() {
            let _looking = self.looking.lock().await;
            if self.proven().is_none() {
                return self.look(scope).await;
            }
        }
        match self.proven() {
            Some(link) => link.issue(scope).await.map_err(LinkError::into_error),
            None => self.look(scope).await,
        }
    }
}

/// The error for a request that gave no token.
fn failed(wire: &Wire, error: &azure_core::Error, subject: String, runtime: &dyn Runtime) -> Error {
    match wire.seen() {
        Some(Seen::Unreached(error)) => error.on(subject),
        Some(Seen::Refused(answer)) => refused(&answer, &subject, runtime),
        // What cannot be parsed is quoted by parsers, and may be a token.
        None if matches!(error.kind(), azure_core::error::ErrorKind::Credential)
            && error.downcast_ref::<azure_core::Error>().is_none() =>
        {
            Error::new(ErrorCode::PermissionDenied, text::line(&error.to_string(), 300)).on(subject)
        }
        None => Error::new(ErrorCode::CloudAnswerInvalid, "what Entra ID answered is no token").on(subject),
    }
}

fn refused(answer: &Answer, subject: &str, runtime: &dyn Runtime) -> Error {
    Refusal::read(answer).into_error(subject, None, runtime.now())
}
