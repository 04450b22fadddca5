//! Which credentials were asked for, and the source of tokens that they make.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource, Lender, Lent};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::Transport;

use super::chain::{Chain, Link};
use super::file::{FileLink, Presence};
use super::impersonation::Impersonation;
#[cfg(feature = "gcp-auth")]
use super::machine::{GcloudProgram, MetadataServer};
use super::{Exchange, SCOPE, Tokens};

/// Where gcloud keeps the file of a login, below its folder.
const LOGIN: &str = "application_default_credentials.json";

/// Who we are, before anybody acts as somebody else.
#[derive(Default)]
pub(crate) enum Identity {
    /// What the chain finds.
    #[default]
    Chain,
    /// The file that a variable names, as the first of the chain.
    Variable(PathBuf),
    /// This file alone.
    File(PathBuf),
    /// Whoever this source says.
    Source(Arc<dyn BearerTokenSource>),
    /// Whoever this lender says.
    Lender(Arc<dyn Lender<BearerToken>>),
}

/// What a builder was told about credentials.
pub(crate) struct Wanted {
    pub(crate) identity: Identity,
    /// The folder of gcloud.
    pub(crate) login_folder: Option<PathBuf>,
    /// Whether the gcloud program may be asked.
    #[cfg_attr(not(feature = "gcp-auth"), expect(dead_code, reason = "it is asked by gcp_auth"))]
    pub(crate) asks_programs: bool,
    pub(crate) impersonated: Option<String>,
    pub(crate) scopes: Vec<String>,
}

impl Wanted {
    /// The source of tokens. Nothing is read or asked for yet.
    pub(crate) fn tokens(
        self,
        transport: &Transport,
        runtime: &Arc<dyn Runtime>,
    ) -> Result<Arc<dyn BearerTokenSource>> {
        let exchange = |scopes: Vec<String>| Exchange::new(transport.clone(), runtime.clone(), scopes);
        // Whoever acts as somebody else needs the scope that this takes, and asks for the others there.
        let own = if self.impersonated.is_some() { vec![SCOPE.to_owned()] } else { self.scopes.clone() };
        let file = |path, presence| Box::new(FileLink::new(path, presence, exchange(own.clone()))) as Box<dyn Link>;
        let lender: Arc<dyn Lender<BearerToken>> = match self.identity {
            Identity::Source(source) if self.impersonated.is_none() => return Ok(source),
            Identity::Source(source) => Arc::new(Borrowed(source)),
            Identity::Lender(lender) => lender,
            Identity::File(path) => Arc::new(Chain::new(vec![file(path, Presence::Required)])),
            Identity::Chain | Identity::Variable(_) => {
                let mut links = Vec::new();
                if let Identity::Variable(path) = self.identity {
                    links.push(file(path, Presence::Required));
                }
                if let Some(folder) = self.login_folder {
                    links.push(file(folder.join(LOGIN), Presence::Optional));
                }
                #[cfg(feature = "gcp-auth")]
                {
                    links.push(Box::new(MetadataServer(runtime.clone())));
                    if self.asks_programs {
                        links.push(Box::new(GcloudProgram(runtime.clone())));
                    }
                }
                Arc::new(Chain::new(links))
            }
        };
        let Some(account) = self.impersonated else {
            return Ok(Arc::new(Tokens::new(AnyLender(lender), runtime.clone())));
        };
        let acting = Impersonation::new(Box::new(AnyLender(lender)), &account, exchange(self.scopes))?;
        Ok(Arc::new(Tokens::new(acting, runtime.clone())))
    }
}

/// A lender that was given as a value of any type.
#[derive(Debug)]
struct AnyLender(Arc<dyn Lender<BearerToken>>);

#[async_trait]
impl Lender<BearerToken> for AnyLender {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        self.0.lend().await
    }
}

/// A source whose tokens are used at once, so that their end matters to nobody.
#[derive(Debug)]
struct Borrowed(Arc<dyn BearerTokenSource>);

#[async_trait]
impl Lender<BearerToken> for Borrowed {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        Ok(Lent { value: self.0.token().await?, expires: None })
    }
}
