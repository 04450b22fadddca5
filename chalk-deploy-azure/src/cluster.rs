//! Azure Kubernetes Service: a cluster by name ("Managed Clusters - Get" and "List Cluster User Credentials", version
//! 2024-09-01).
//!
//! Its certificate authority stands in the kubeconfig that Azure gives to users. The program that this file wants to have
//! run (kubelogin) is not: its part is the token of Entra ID that we have. Local accounts are never used.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_core::kubernetes::{ClusterAccess, ClusterLocator, Credentials, Kubeconfig, KubeconfigPolicy};
use chalk_deploy_core::provision::{ClusterDescription, Endpoint};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use http::Method;
use serde_json::Value;

use crate::api::{Api, Call};
use crate::credentials::ScopedTokens;
use crate::credentials::tenant::Tenant;
use crate::permissions;
use crate::settings::ResourceGroup;

/// The version of the API.
pub(crate) const VERSION: &str = "2024-09-01";

/// No list of addresses that may ask is longer (AKS takes 200).
const RANGES_MOST: usize = 1_000;

/// One cluster.
#[derive(Debug, Clone)]
pub(crate) struct AksCluster {
    pub(crate) name: String,
    pub(crate) group: ResourceGroup,
    /// Where Resource Manager is.
    pub(crate) management: String,
    /// Calls to it.
    pub(crate) api: Api,
    /// For the Kubernetes API.
    pub(crate) tokens: ScopedTokens,
    pub(crate) tenant: Option<Tenant>,
}

/// What matters of a managed cluster.
#[derive(Debug)]
struct Described {
    description: ClusterDescription,
    /// The hosts that are its.
    hosts: Vec<String>,
}

impl AksCluster {
    /// What Azure says of it.
    ///
    /// # Errors
    /// `OBJECT_MISSING` when there is none, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`, also when it is stopped.
    pub(crate) async fn describe(&self) -> Result<ClusterDescription> {
        self.look().await.map(|described| described.description)
    }

    async fn look(&self) -> Result<Described> {
        let call = Call::new(Method::GET, self.address(""), self.name()).needing(permissions::CLUSTER_READ.name);
        let cluster = self.api.send(&call).await?.json(&call.subject)?;
        self.read(&cluster)
    }

    fn read(&self, cluster: &Value) -> Result<Described> {
        let fault = |code, message: String, hint: &str| Error::new(code, message).on(self.name()).with_hint(hint);
        let properties = cluster.get("properties").unwrap_or(&Value::Null);
        let word = |pointer: &str| properties.pointer(pointer).and_then(Value::as_str).filter(|word| !word.is_empty());
        if word("/powerState/code").is_some_and(|code| code.eq_ignore_ascii_case("stopped")) {
            let hint = format!("start it: `az aks start --name {} --resource-group {}`", self.name, self.group.name);
            return Err(fault(ErrorCode::CloudUnavailable, "the cluster is stopped".to_owned(), &hint));
        }
        if properties.get("aadProfile").is_none_or(Value::is_null) {
            let message = "the cluster takes no tokens of Entra ID, and its local accounts are not used".to_owned();
            let hint = format!(
                "integrate it: `az aks update --enable-aad --name {} --resource-group {}`",
                self.name, self.group.name
            );
            return Err(fault(ErrorCode::RequestInvalid, message, &hint));
        }
        if let (Some(tenant), Some(theirs)) = (&self.tenant, word("/aadProfile/tenantID"))
            && tenant.differs(theirs)
        {
            let message = format!(
                "the cluster takes tokens of tenant {}, and tenant {tenant} is configured",
                text::line(theirs, 40)
            );
            return Err(fault(
                ErrorCode::PermissionDenied,
                message,
                "correct AZURE_TENANT_ID, or name another cluster",
            ));
        }
        let private = properties.pointer("/apiServerAccessProfile/enablePrivateCluster") == Some(&Value::Bool(true));
        let (public_name, private_name) = (word("/fqdn"), word("/privateFQDN"));
        let hosts: Vec<String> =
            [public_name, private_name].into_iter().flatten().filter(|host| is_host(host)).map(str::to_owned).collect();
        let shown = if private { private_name.or(public_name) } else { public_name };
        let Some(host) = shown.filter(|host| is_host(host)) else {
            let state = text::line(word("/provisioningState").unwrap_or("unknown"), 40);
            let message = format!("Azure names no address of the cluster, whose state is {state}");
            return Err(fault(
                ErrorCode::CloudUnavailable,
                message,
                "wait until the cluster is provisioned, then resume",
            ));
        };
        let endpoint = if private {
            Endpoint::Private
        } else {
            let ranges = properties.pointer("/apiServerAccessProfile/authorizedIPRanges").and_then(Value::as_array);
            let ranges = ranges.into_iter().flatten().take(RANGES_MOST).filter_map(Value::as_str);
            Endpoint::Public { allowed: ranges.map(|range| text::line(range, 50)).collect() }
        };
        let version = word("/currentKubernetesVersion").or_else(|| word("/kubernetesVersion")).unwrap_or("unknown");
        let server = format!("https://{host}:443");
        let description = ClusterDescription::new(self.name.clone(), server, text::line(version, 30), endpoint);
        Ok(Described { description, hosts })
    }

    /// The kubeconfig that Azure gives to users, without its user.
    async fn kubeconfig(&self) -> Result<ClusterAccess> {
        let address = format!("{}&format=exec", self.address("/listClusterUserCredential"));
        let call = Call::new(Method::POST, address, self.name()).reading().needing(permissions::CLUSTER_USER.name);
        let answer = self.api.send(&call).await?.json(&call.subject)?;
        let odd = |why: &str| Error::new(ErrorCode::CloudAnswerInvalid, why).on(self.name());
        let encoded = answer.pointer("/kubeconfigs/0/value").and_then(Value::as_str);
        let encoded = encoded.ok_or_else(|| odd("Azure gives no kubeconfig to users of the cluster"))?;
        let bytes = STANDARD.decode(encoded).map_err(|_| odd("the kubeconfig of the cluster is no base64"))?;
        let file = String::from_utf8(bytes).map_err(|_| odd("the kubeconfig of the cluster is no text"))?;
        let file = Kubeconfig::parse(&file, &format!("of {}", self.name()), None)?;
        file.anonymous_access(None, &KubeconfigPolicy::default())
    }

    fn address(&self, tail: &str) -> String {
        let path = self.group.path(&format!("Microsoft.ContainerService/managedClusters/{}{tail}", self.name));
        format!("{}{path}?api-version={VERSION}", self.management)
    }
}

#[async_trait]
impl ClusterLocator for AksCluster {
    fn name(&self) -> String {
        format!("AKS cluster `{}` in {}", self.name, self.group.name)
    }

    async fn locate(&self) -> Result<ClusterAccess> {
        // Asked for at once. What the cluster says of itself is the better error: that it is stopped, or not there.
        let (described, access) = futures::join!(self.look(), self.kubeconfig());
        let (described, access) = (described?, access?);
        // Where the token goes is said twice, and has to be the same.
        let server = access.server();
        let uri: http::Uri = server.parse().unwrap_or_default();
        let is_its =
            described.hosts.iter().any(|host| uri.host().is_some_and(|named| named.eq_ignore_ascii_case(host)));
        if !is_its || uri.scheme_str() != Some("https") {
            let message =
                format!("its kubeconfig leads to `{}`, which is none of its addresses", text::line(&server, 200));
            return Err(Error::new(ErrorCode::CloudAnswerInvalid, message).on(self.name()));
        }
        if access.trust().authority.is_none() {
            let message = "its kubeconfig names no certificate authority";
            return Err(Error::new(ErrorCode::CloudAnswerInvalid, message).on(self.name()));
        }
        Ok(access.with_credentials(Credentials::Source(Arc::new(self.tokens.clone()))))
    }
}

/// A name of DNS.
fn is_host(host: &str) -> bool {
    host.len() <= 253 && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}
