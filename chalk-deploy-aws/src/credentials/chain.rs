//! The chain: the sources in their order, the first one that is configured decides.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{Lender, Lent};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::{RetryPolicy, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};

use super::{AccessKeys, Variables, container, environment};
use crate::settings::Region;
use crate::throttled;

/// How the sources and the services get their answers.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    pub(crate) transport: Transport,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) retry: RetryPolicy,
}

impl Ways {
    pub(crate) fn new(transport: &Transport, runtime: Arc<dyn Runtime>) -> Self {
        Self { transport: throttled::heard(transport), runtime, retry: RetryPolicy::default() }
    }
}

/// Where the sources that speak to AWS do so.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "aws-config"), expect(dead_code, reason = "only the sources of that feature speak to AWS"))]
pub(crate) struct Place {
    pub(crate) region: Region,
    /// Another endpoint of STS, if one was set.
    pub(crate) sts: Option<String>,
}

/// Asks one source after the other. Reads no file and sends nothing before it is asked.
pub(crate) struct Chain {
    variables: Variables,
    profile: Option<String>,
    #[cfg_attr(not(feature = "aws-config"), expect(dead_code, reason = "only the sources of that feature have one"))]
    place: Place,
    ways: Ways,
}

impl Chain {
    pub(crate) const fn new(variables: Variables, profile: Option<String>, place: Place, ways: Ways) -> Self {
        Self { variables, profile, place, ways }
    }

    /// The source that has keys, and them.
    async fn ask(&self) -> Result<Option<(&'static str, Lent<AccessKeys>)>> {
        let Self { variables, ways, .. } = self;
        // Whoever names a profile in the code means it.
        if self.profile.is_none()
            && let Some(lent) = environment::lend(variables)?
        {
            return Ok(Some(("the environment", lent)));
        }
        #[cfg(feature = "aws-config")]
        {
            let place = &self.place;
            if let Some(lent) = super::profile::lend(variables, self.profile.as_deref(), place, ways).await? {
                return Ok(Some(("a profile", lent)));
            }
            if let Some(lent) = super::web_identity::lend(variables, place, ways).await? {
                return Ok(Some(("a web identity", lent)));
            }
        }
        if let Some(lent) = container::lend(variables, ways).await? {
            return Ok(Some(("the container", lent)));
        }
        #[cfg(feature = "aws-config")]
        if let Some(lent) = super::instance::lend(variables, &self.place, ways).await? {
            return Ok(Some(("the instance", lent)));
        }
        Ok(None)
    }
}

#[async_trait]
impl Lender<AccessKeys> for Chain {
    async fn lend(&self) -> Result<Lent<AccessKeys>> {
        if let Some((source, lent)) = self.ask().await? {
            tracing::debug!(source, key = lent.value.id(), "credentials of AWS were found");
            return Ok(lent);
        }
        let asked = if cfg!(feature = "aws-config") {
            "the environment, the profiles of the shared files, a web identity, the container and the instance have none"
        } else {
            "the environment and the container have none, and the other sources are not compiled in (feature `aws-config`)"
        };
        Err(Error::new(ErrorCode::PermissionDenied, format!("no credentials were found: {asked}"))
            .on("credentials of AWS")
            .with_hint("set AWS_PROFILE or the AWS_ACCESS_KEY_ID variables, or give the pod or the instance a role"))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("credentials of AWS")
    }
}
