//! A cluster of EKS by its name: where it is, and tokens for it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource, Lender, Lent, Renewing};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::kubernetes::{ClusterAccess, ClusterLocator, Credentials, Trust};
use chalk_deploy_core::provision::{ClusterDescription, Endpoint};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use http::Method;
use serde::Deserialize;

use crate::api::{Api, Ask};
use crate::credentials::{AccessKeys, AwsCredentials};
use crate::settings::Service;

/// What a token begins with (aws-iam-authenticator, "API Authorization from Outside a Cluster").
const PREFIX: &str = "k8s-aws-v1.";
/// The signed header that binds a token to one cluster.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
/// What the signature says of its own life. The authenticator takes a token for 15 minutes after its date whatever it
/// says, and refuses one that says more than 15.
const PRESIGNED_FOR: Duration = Duration::from_mins(1);
/// How long a token is used: a minute less than it is taken.
const TOKEN_LIFE: Duration = Duration::from_mins(14);

/// Finds a cluster of EKS. Cheap to clone; clones share the token.
#[derive(Clone)]
pub(crate) struct EksCluster {
    api: Api,
    name: String,
    tokens: Tokens,
}

#[derive(Deserialize)]
struct Described {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    #[serde(default)]
    status: String,
    #[serde(default)]
    version: String,
    endpoint: Option<String>,
    certificate_authority: Option<Authority>,
    resources_vpc_config: Option<Network>,
}

#[derive(Deserialize)]
struct Authority {
    data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    #[serde(default)]
    endpoint_public_access: bool,
    #[serde(default)]
    public_access_cidrs: Vec<String>,
}

impl EksCluster {
    pub(crate) fn new(api: Api, credentials: AwsCredentials, name: String) -> Self {
        let runtime = api.ways().runtime.clone();
        let signed = Arc::default();
        let lender = TokenLender {
            api: api.clone(),
            credentials: credentials.clone(),
            cluster: name.clone(),
            signed: Arc::clone(&signed),
        };
        Self { api, name, tokens: Tokens { held: Renewing::new(lender, runtime), credentials, signed } }
    }

    /// The cluster as EKS describes it.
    pub(crate) async fn describe(&self) -> Result<ClusterDescription> {
        let (cluster, server) = self.active().await?;
        self.access(&server)?;
        let endpoint = match cluster.resources_vpc_config {
            Some(Network { endpoint_public_access: true, public_access_cidrs }) => {
                Endpoint::Public { allowed: public_access_cidrs }
            }
            _ => Endpoint::Private,
        };
        Ok(ClusterDescription::new(&self.name, server, text::line(&cluster.version, 40), endpoint))
    }

    /// The way there, if it is one that may be shown a token.
    fn access(&self, server: &str) -> Result<ClusterAccess> {
        let access = ClusterAccess::anonymous(server).map_err(|error| error.on(self.name()))?;
        if !server.starts_with("https://") {
            // The token would be readable on the way.
            return Err(self.nonsense("an address of the cluster that is not `https://`"));
        }
        Ok(access)
    }

    fn nonsense(&self, what: &str) -> Error {
        Error::new(ErrorCode::CloudAnswerInvalid, format!("EKS names {what}")).on(self.name())
    }

    /// The cluster and the address of its API server, if it has one by now.
    async fn active(&self) -> Result<(Cluster, String)> {
        let subject = self.name();
        let ask = Ask::new(Service::Eks, Method::GET, format!("/clusters/{}", self.name), "")
            .doing("eks:DescribeCluster", &subject);
        let answer = self.api.ask(ask).await?.accepted()?;
        let described: Described =
            serde_json::from_value(answer.json()?).map_err(|_| answer.nonsense("describes no cluster"))?;
        let cluster = described.cluster;
        match (cluster.status.as_str(), cluster.endpoint.clone()) {
            ("ACTIVE" | "UPDATING", Some(server)) => Ok((cluster, server)),
            ("CREATING" | "PENDING" | "UPDATING", _) => Err(Error::new(
                ErrorCode::CloudUnavailable,
                format!("the cluster is not ready; EKS says {}", text::line(&cluster.status, 40)),
            )
            .on(subject)
            .with_hint("resume when EKS says that it is ACTIVE")),
            (status, _) => Err(Error::new(
                ErrorCode::ObjectMissing,
                format!("the cluster serves nobody; EKS says {}", text::line(status, 40)),
            )
            .on(subject)
            .with_hint("repair the cluster, or name another one")
            .with_retry(Retry::Permanent)),
        }
    }
}

#[async_trait]
impl ClusterLocator for EksCluster {
    fn name(&self) -> String {
        format!("EKS cluster `{}` in {}", self.name, self.api.region().as_str())
    }

    async fn locate(&self) -> Result<ClusterAccess> {
        let (cluster, server) = self.active().await?;
        let nonsense = |what: &str| self.nonsense(what);
        let authority = cluster.certificate_authority.and_then(|authority| authority.data);
        let authority = authority.ok_or_else(|| nonsense("no certificate authority of the cluster"))?;
        let authority = STANDARD.decode(authority.trim()).ok().and_then(|pem| String::from_utf8(pem).ok());
        let authority = authority.filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----"));
        let authority = authority.ok_or_else(|| nonsense("a certificate authority that is none"))?;
        Ok(self
            .access(&server)?
            .with_trust(Trust { authority: Some(authority), ..Trust::default() })
            .with_credentials(Credentials::Source(Arc::new(self.tokens.clone()))))
    }
}

impl fmt::Debug for EksCluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&ClusterLocator::name(self))
    }
}

/// The last token, and the keys that have signed it.
type Signed = Arc<Mutex<Option<(BearerToken, AccessKeys)>>>;

/// Tokens of one cluster.
#[derive(Debug, Clone)]
struct Tokens {
    held: Renewing<BearerToken>,
    credentials: AwsCredentials,
    signed: Signed,
}

#[async_trait]
impl BearerTokenSource for Tokens {
    async fn token(&self) -> Result<BearerToken> {
        self.held.get().await
    }

    async fn refused(&self, token: &BearerToken) {
        // The session that has signed it may have ended early, and would only sign another one that is refused.
        let signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(last, _)| last == token);
        if let Some((_, keys)) = signed {
            self.credentials.refused(&keys).await;
        }
        self.held.refused(token).await;
    }
}

/// Makes tokens: an address of STS, signed, at which the cluster's authenticator asks who we are. Nothing is sent for it.
struct TokenLender {
    api: Api,
    credentials: AwsCredentials,
    cluster: String,
    signed: Signed,
}

#[async_trait]
impl Lender<BearerToken> for TokenLender {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        let keys = self.credentials.keys().await?;
        let address = self.api.presigned_identity(&keys, (CLUSTER_HEADER, &self.cluster), PRESIGNED_FOR)?;
        let token = BearerToken::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(address)));
        let end = self.api.ways().runtime.now().plus(TOKEN_LIFE);
        // A token ends with the session that has signed it.
        let end = keys.expires().map_or(end, |expires| end.min(expires));
        *self.signed.lock().unwrap_or_else(PoisonError::into_inner) = Some((token.clone(), keys));
        Ok(Lent { value: token, expires: Some(end) })
    }
}

impl fmt::Debug for TokenLender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "tokens of EKS cluster `{}`", self.cluster)
    }
}
