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
#[cfg(feature = "gcp-auth")]
use super::gcloud::GcloudProgram;
use super::impersonation::{Holder, Impersonation};
use super::metadata::MetadataServer;
use super::{Exchange, QuotaProject, SCOPE, Tokens};
use crate::builder::MetadataHost;

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
    pub(crate) metadata_host: MetadataHost,
    /// The project that calls by the credentials are counted for.
    pub(crate) counted_for: QuotaProject,
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
        let exchange =
            |scopes: Vec<String>| Exchange::new(transport.clone(), runtime.clone(), scopes, self.counted_for.clone());
        // Whoever acts as somebody else needs the scope that this takes, and asks for the others there.
        let own = if self.impersonated.is_some() { vec![SCOPE.to_owned()] } else { self.scopes.clone() };
        let file = |path, presence| Box::new(FileLink::new(path, presence, exchange(own.clone()))) as Box<dyn Link>;
        let lender = match self.identity {
            Identity::Source(source) => {
                return Ok(match self.impersonated {
                    None => source,
                    Some(account) => {
                        let acting = Impersonation::new(source, &account, exchange(self.scopes))?;
                        Arc::new(Tokens::new(acting, runtime.clone()))
                    }
                });
            }
            Identity::Lender(lender) => AnyLender(lender),
            Identity::File(path) => AnyLender(Arc::new(Chain::new(vec![file(path, Presence::Required)]))),
            Identity::Chain | Identity::Variable(_) => {
                let mut links = Vec::new();
                if let Identity::Variable(path) = self.identity {
                    links.push(file(path, Presence::Required));
                }
                if let Some(folder) = self.login_folder {
                    links.push(file(folder.join(LOGIN), Presence::Optional));
                }
                links.push(Box::new(MetadataServer::new(self.metadata_host, exchange(own.clone()))));
                #[cfg(feature = "gcp-auth")]
                if self.asks_programs {
                    links.push(Box::new(GcloudProgram(runtime.clone())));
                }
                AnyLender(Arc::new(Chain::new(links)))
            }
        };
        let Some(account) = self.impersonated else { return Ok(Arc::new(Tokens::new(lender, runtime.clone()))) };
        let acting = Impersonation::new(Holder::each_time(lender), &account, exchange(self.scopes))?;
        Ok(Arc::new(Tokens::new(acting, runtime.clone())))
    }
}

/// A lender that was given as a value of any type.
#[derive(Debug)]
pub(crate) struct AnyLender(pub(crate) Arc<dyn Lender<BearerToken>>);

#[async_trait]
impl Lender<BearerToken> for AnyLender {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        self.0.lend().await
    }
}
