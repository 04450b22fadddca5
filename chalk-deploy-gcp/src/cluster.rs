//! GKE: where a cluster that is known by name is, whom to trust there, and who we are
//! (`projects.locations.clusters.get` of the Kubernetes Engine API).
//!
//! The token of the API server is the access token itself. A cluster is asked for by the fields that are used, and so
//! never for the passwords and client certificates that old clusters have.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_core::credentials::BearerTokenSource;
use chalk_deploy_core::kubernetes::{ClusterAccess, ClusterLocator, Credentials, Trust};
use chalk_deploy_core::provision::{ClusterDescription, Endpoint};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use http::Method;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::permissions::CLUSTER_GET;
use crate::settings::ClusterPlace;

/// What is used of the answer.
const FIELDS: &str = "name,location,endpoint,status,statusMessage,currentMasterVersion,\
    masterAuth/clusterCaCertificate,masterAuthorizedNetworksConfig,\
    privateClusterConfig(enablePrivateEndpoint,privateEndpoint,publicEndpoint),controlPlaneEndpointsConfig";

/// What stands among the networks where every public address of Google Cloud is let in.
const GOOGLES: &str = "all public addresses of Google Cloud";
/// What stands there where no network is listed, which is not the same as no list.
const NOBODY: &str = "none but the cluster's own network";

/// By which of its addresses the API server of a cluster is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ControlPlane {
    /// By its public address: option A of seed 002.
    #[default]
    PublicAddress,
    /// By its address inside the network: option B of seed 002.
    PrivateAddress,
    /// By its name, under which Google's front end lets in whom IAM permits (`container.clusters.connect`).
    Name,
}

/// Finds one cluster.
#[derive(Clone)]
pub(crate) struct GkeLocator {
    api: Api,
    place: ClusterPlace,
    control_plane: ControlPlane,
    /// Nobody's, where an emulator says where the cluster is and is trusted with no token.
    tokens: Option<Arc<dyn BearerTokenSource>>,
    /// Whether the answers come from this machine: those may name a port of it.
    is_emulated: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Cluster {
    endpoint: String,
    status: String,
    status_message: String,
    current_master_version: String,
    master_auth: MasterAuth,
    master_authorized_networks_config: Option<AuthorizedNetworks>,
    private_cluster_config: PrivateCluster,
    control_plane_endpoints_config: Endpoints,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct MasterAuth {
    cluster_ca_certificate: String,
}

#[derive(Deserialize, Default, Clone)]
#[serde(rename_all = "camelCase", default)]
struct AuthorizedNetworks {
    enabled: bool,
    cidr_blocks: Vec<Block>,
    gcp_public_cidrs_access_enabled: bool,
}

#[derive(Deserialize, Default, Clone)]
#[serde(rename_all = "camelCase", default)]
struct Block {
    cidr_block: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "the names are Google's")]
struct PrivateCluster {
    enable_private_endpoint: bool,
    private_endpoint: String,
    public_endpoint: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Endpoints {
    dns_endpoint_config: Name,
    ip_endpoints_config: Addresses,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Name {
    endpoint: String,
    allow_external_traffic: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Addresses {
    authorized_networks_config: Option<AuthorizedNetworks>,
    private_endpoint: String,
    public_endpoint: String,
}

impl GkeLocator {
    pub(crate) const fn new(
        api: Api,
        place: ClusterPlace,
        control_plane: ControlPlane,
        tokens: Option<Arc<dyn BearerTokenSource>>,
    ) -> Self {
        Self { api, place, control_plane, tokens, is_emulated: false }
    }

    /// Takes an address of this machine with a port, which GKE has none of.
    pub(crate) const fn at_an_emulator(mut self, is_emulated: bool) -> Self {
        self.is_emulated = is_emulated;
        self
    }

    /// The cluster as Google describes it.
    pub(crate) async fn describe(&self) -> Result<ClusterDescription> {
        let cluster = self.ask().await?;
        let server = self.server(&cluster)?;
        let networks = cluster
            .control_plane_endpoints_config
            .ip_endpoints_config
            .authorized_networks_config
            .or(cluster.master_authorized_networks_config)
            // Everyone may try otherwise.
            .filter(|networks| networks.enabled);
        let endpoint = match self.control_plane {
            ControlPlane::PublicAddress => {
                Endpoint::Public { allowed: networks.as_ref().map_or_else(Vec::new, allowed) }
            }
            ControlPlane::Name if cluster.control_plane_endpoints_config.dns_endpoint_config.allow_external_traffic => {
                Endpoint::Public { allowed: Vec::new() }
            }
            ControlPlane::PrivateAddress | ControlPlane::Name => Endpoint::Private,
        };
        let version = text::line(&cluster.current_master_version, 60);
        Ok(ClusterDescription::new(self.place.name.clone(), server, version, endpoint))
    }

    async fn ask(&self) -> Result<Cluster> {
        let ClusterPlace { project, location, name } = &self.place;
        let subject = self.name();
        let path = format!("/v1/projects/{project}/locations/{location}/clusters/{name}");
        let call = Call::new(Method::GET, path, &subject).query("fields", FIELDS).needs(CLUSTER_GET);
        let answer = self.api.ask(call).await?;
        let cluster: Cluster = answer.document().map_err(|error| match error.code() {
            ErrorCode::ObjectMissing => {
                error.with_hint("correct the name; a zonal cluster lies in its zone and a regional one in its region")
            }
            _ => error,
        })?;
        let said = text::line(&cluster.status_message, 200);
        let state = |code, what: &str| {
            let colon = if said.is_empty() { "" } else { ": " };
            Error::new(code, format!("the cluster is {what}{colon}{said}")).on(&subject)
        };
        match cluster.status.as_str() {
            "PROVISIONING" => {
                Err(state(ErrorCode::CloudUnavailable, "being made").with_hint("resume when it is running"))
            }
            "STOPPING" => Err(state(ErrorCode::ObjectMissing, "being removed").with_hint("name another cluster")),
            "ERROR" => Err(state(ErrorCode::RequestInvalid, "unusable, and Google will remove it")
                .with_hint("name another cluster")),
            // One that is DEGRADED answers mostly; what it does not do is seen there.
            _ => Ok(cluster),
        }
    }

    fn server(&self, cluster: &Cluster) -> Result<String> {
        let endpoints = &cluster.control_plane_endpoints_config;
        let old = &cluster.private_cluster_config;
        let lacks = |what: &str, hint: &str| {
            Error::new(ErrorCode::RequestInvalid, format!("the cluster has no {what}")).on(self.name()).with_hint(hint)
        };
        let first = |candidates: &[&str]| candidates.iter().find(|it| !it.is_empty()).map(ToString::to_string);
        match self.control_plane {
            ControlPlane::PublicAddress => {
                let only = if old.enable_private_endpoint { "" } else { cluster.endpoint.as_str() };
                // `endpoint` is the private address where that is the only one.
                let only = if only == endpoints.ip_endpoints_config.private_endpoint { "" } else { only };
                let found = first(&[&endpoints.ip_endpoints_config.public_endpoint, &old.public_endpoint, only])
                    .filter(|_| !old.enable_private_endpoint);
                let hint = "choose its private address or its name as the control plane";
                self.address(&found.ok_or_else(|| lacks("public address", hint))?)
            }
            ControlPlane::PrivateAddress => {
                let found = first(&[&endpoints.ip_endpoints_config.private_endpoint, &old.private_endpoint]);
                let hint = "choose its public address or its name as the control plane";
                self.address(&found.ok_or_else(|| lacks("private address", hint))?)
            }
            ControlPlane::Name => {
                let name = &endpoints.dns_endpoint_config.endpoint;
                if name.is_empty() {
                    return Err(lacks("name", "choose one of its addresses as the control plane"));
                }
                let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
                // A token is sent there, and the system's authorities vouch for it: it must be one of Google's names.
                if name.len() > 253 || !name.ends_with(".gke.goog") || !name.bytes().all(named) {
                    return Err(self.invalid("a name that is not below gke.goog"));
                }
                Ok(format!("https://{name}"))
            }
        }
    }

    fn address(&self, endpoint: &str) -> Result<String> {
        let near = || endpoint.parse().ok().filter(|it: &SocketAddr| self.is_emulated && it.ip().is_loopback());
        match endpoint.parse() {
            Ok(IpAddr::V4(address)) => Ok(format!("https://{address}")),
            Ok(IpAddr::V6(address)) => Ok(format!("https://[{address}]")),
            Err(_) => match near() {
                Some(address) => Ok(format!("https://{address}")),
                None => Err(self.invalid("an endpoint that is no address")),
            },
        }
    }

    fn authority(&self, cluster: &Cluster) -> Result<Option<String>> {
        if self.control_plane == ControlPlane::Name {
            // Its certificate is Google's own.
            return Ok(None);
        }
        let invalid = || self.invalid("a certificate authority that is none");
        let pem = STANDARD.decode(&cluster.master_auth.cluster_ca_certificate).map_err(|_| invalid())?;
        let pem = String::from_utf8(pem).map_err(|_| invalid())?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(invalid());
        }
        Ok(Some(pem))
    }

    fn invalid(&self, what: &str) -> Error {
        Error::new(ErrorCode::CloudAnswerInvalid, format!("Google's answer names {what}")).on(self.name())
    }
}

#[async_trait]
impl ClusterLocator for GkeLocator {
    fn name(&self) -> String {
        format!("GKE cluster `{}` in {}", self.place.name, self.place.location)
    }

    async fn locate(&self) -> Result<ClusterAccess> {
        let cluster = self.ask().await?;
        let authority = self.authority(&cluster)?;
        let access = ClusterAccess::anonymous(&self.server(&cluster)?)?;
        Ok(access
            .with_trust(Trust { authority, ..Trust::default() })
            .with_credentials(self.tokens.clone().map_or(Credentials::None, Credentials::Source)))
    }
}

/// Who may reach the public address, where that is limited ("Authorized networks" of GKE's documentation).
fn allowed(networks: &AuthorizedNetworks) -> Vec<String> {
    let blocks = networks.cidr_blocks.iter().map(|block| text::line(&block.cidr_block, 60));
    let mut allowed: Vec<_> = blocks.collect();
    if networks.gcp_public_cidrs_access_enabled {
        // No list of blocks: whoever has a machine there.
        allowed.push(GOOGLES.to_owned());
    }
    if allowed.is_empty() {
        allowed.push(NOBODY.to_owned());
    }
    allowed
}

impl fmt::Debug for GkeLocator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())
    }
}
