//! The builder of a [`Cloud`]: settings, and how they are put together.

use std::fmt;
use std::sync::Arc;

use chalk_deploy_core::bucket::{Bucket, S3Settings};
use chalk_deploy_core::kubernetes::{Connection, NetworkTransports, OpenTransport};
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};

use crate::api::Api;
use crate::buckets::S3Keeper;
use crate::cloud::{Cloud, Inner};
use crate::cluster::EksCluster;
use crate::credentials::{AccessKeySource, AssumedRole, AwsCredentials, Chain, Place, TenantRoles, Variables, Ways};
use crate::queues::QueueKeeper;
use crate::registry::{Ecr, RepositorySettings};
use crate::settings::{Endpoints, Region, RegistryName, Service, account_id, cluster_name};

/// Where the sources of credentials may be asked over plain HTTP: the metadata service and the agents of ECS and EKS, by
/// the older and the newer form of addresses.
const LINK_LOCAL: [&str; 5] =
    ["169.254.169.254", "[fd00:ec2::254]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// Gathers what a [`Cloud`] is made of. Whatever is wrong is told by [`build`](Self::build).
#[derive(Default)]
pub struct CloudBuilder {
    variables: Variables,
    region: Option<String>,
    account: Option<String>,
    profile: Option<String>,
    given: Option<AwsCredentials>,
    tenant: Option<(Arc<dyn TenantRoles>, String)>,
    bucket: Option<String>,
    registry: Option<String>,
    repositories: RepositorySettings,
    cluster: Option<String>,
    endpoints: Vec<(Option<Service>, String)>,
    transport: Option<Transport>,
    cluster_transports: Option<Box<dyn OpenTransport>>,
    runtime: Option<Arc<dyn Runtime>>,
}

impl CloudBuilder {
    /// Takes the variables of the process that AWS has names for: of the region, of endpoints, of credentials.
    #[must_use]
    pub fn from_env(self) -> Self {
        self.from_variables(|name| std::env::var(name).ok())
    }

    /// Takes the same variables from somewhere else.
    #[must_use]
    pub fn from_variables(mut self, reader: impl Fn(&str) -> Option<String>) -> Self {
        self.variables = Variables::read(reader);
        self
    }

    /// Sends all requests but those to the cluster through this transport.
    #[must_use]
    pub fn with_transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Opens the way to the cluster, which has an authority of its own, with this. A [`Transport`] is one that leads to
    /// every cluster.
    #[must_use]
    pub fn with_cluster_transports(mut self, transports: impl OpenTransport) -> Self {
        self.cluster_transports = Some(Box::new(transports));
        self
    }

    /// Takes time and randomness from this runtime.
    #[must_use]
    pub fn with_runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Signs with keys of this source, and asks no other.
    #[must_use]
    pub fn with_credentials(mut self, source: impl AccessKeySource) -> Self {
        self.given = Some(AwsCredentials::given(source));
        self
    }

    /// Signs with what this profile of the shared files says, whatever the variables do.
    #[must_use]
    pub fn with_profile(mut self, name: impl Into<String>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Acts as the role of this tenant, which is looked up where the tenant's setup has stored it, with the external id
    /// that was made for them. The keys found by the chain sign for it.
    #[must_use]
    pub fn with_tenant(mut self, roles: Arc<dyn TenantRoles>, tenant: impl Into<String>) -> Self {
        self.tenant = Some((roles, tenant.into()));
        self
    }

    /// The region; else that of `AWS_REGION` or `AWS_DEFAULT_REGION`.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The account, by its twelve digits. Requests to buckets are refused then where another account owns them, and no queue
    /// is made in another one.
    #[must_use]
    pub fn with_account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// The source bucket.
    #[must_use]
    pub fn with_bucket(mut self, name: impl Into<String>) -> Self {
        self.bucket = Some(name.into());
        self
    }

    /// The registry, `<account>.dkr.ecr.<region>.amazonaws.com`. With an endpoint of one's own for ECR any host is taken,
    /// such as that of an emulator.
    #[must_use]
    pub fn with_registry(mut self, host: impl Into<String>) -> Self {
        self.registry = Some(host.into());
        self
    }

    /// How repositories are made.
    #[must_use]
    pub fn with_repositories(mut self, settings: RepositorySettings) -> Self {
        self.repositories = settings;
        self
    }

    /// The cluster, by its name.
    #[must_use]
    pub fn with_cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// Another endpoint for all services, such as that of an emulator.
    #[must_use]
    pub fn with_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((None, url.into()));
        self
    }

    /// Another endpoint for S3. Buckets then stand in the path.
    #[must_use]
    pub fn with_bucket_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((Some(Service::S3), url.into()));
        self
    }

    /// Another endpoint for ECR, the service; the registry itself is where its host says.
    #[must_use]
    pub fn with_registry_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((Some(Service::Ecr), url.into()));
        self
    }

    /// Another endpoint for EKS, the service; the API server is where EKS says.
    #[must_use]
    pub fn with_cluster_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((Some(Service::Eks), url.into()));
        self
    }

    /// Another endpoint for STS.
    #[must_use]
    pub fn with_token_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((Some(Service::Sts), url.into()));
        self
    }

    /// Another endpoint for SQS.
    #[must_use]
    pub fn with_queue_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push((Some(Service::Sqs), url.into()));
        self
    }

    /// Puts it together. Sends nothing and reads no file.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for the first setting that is none, [`ErrorCode::RequestInvalid`] for settings that
    /// contradict each other; both name the method or the variable.
    pub fn build(self) -> Result<Cloud> {
        let region =
            match self.region.as_deref().or_else(|| self.variables.first(&["AWS_REGION", "AWS_DEFAULT_REGION"])) {
                Some(region) => Region::new(region)?,
                None => {
                    return Err(Error::new(ErrorCode::RequestInvalid, "no region was named")
                        .on("cloud AWS")
                        .with_hint("set AWS_REGION and call `from_env`, or name one with `with_region`"));
                }
            };
        let endpoints = self.endpoints()?;
        let account = self.account.as_deref().or_else(|| self.variables.get("AWS_ACCOUNT_ID"));
        let account = account.map(account_id).transpose().map_err(|error| {
            error.with_hint("correct what `with_account` or AWS_ACCOUNT_ID says: twelve digits, without hyphens")
        })?;
        let runtime = self.runtime.clone().unwrap_or_else(|| SystemRuntime::new());
        let transport = match &self.transport {
            Some(transport) => transport.clone(),
            None => network(&endpoints, &runtime)?,
        };
        let ways = Ways::new(&transport, runtime.clone());
        let credentials = self.signer(&ways, &region, &endpoints)?;
        let api = Api::new(ways, credentials.clone(), region.clone(), endpoints.clone());
        let bucket = self.bucket.as_deref().map(|name| {
            let settings = bucket_settings(name, &region, &endpoints).with_credentials(credentials.clone());
            let settings = match &account {
                Some(account) => settings.with_owner(account),
                None => settings,
            };
            Bucket::s3(transport.clone(), settings, runtime.clone())
        });
        let registry = self.registry.as_deref().map(|host| {
            let name = registry_name(host, &region, &endpoints)?;
            let ecr = Ecr::new(api.clone(), name, self.repositories.clone());
            let settings = OciSettings::default()
                .with_credentials(Arc::new(ecr.clone()))
                .with_repository_creator(Arc::new(ecr.clone()));
            Ok::<_, Error>((ecr, OciRegistry::new(transport.clone(), runtime.clone(), settings)))
        });
        let cluster = match self.cluster.as_deref() {
            None => None,
            Some(name) => {
                let cluster = EksCluster::new(api.clone(), credentials.clone(), cluster_name(name)?);
                let transports =
                    self.cluster_transports.unwrap_or_else(|| Box::new(NetworkTransports::new(runtime.clone())));
                let connection = Connection::named(cluster.clone(), Boxed(transports), runtime.clone());
                Some((cluster, connection))
            }
        };
        Ok(Cloud::of(Inner {
            buckets: Arc::new(S3Keeper::new(api.clone(), account.clone())),
            queues: QueueKeeper::new(api, account),
            bucket: bucket.transpose()?,
            registry: registry.transpose()?,
            cluster,
            region,
            credentials,
            runtime,
        }))
    }

    fn endpoints(&self) -> Result<Endpoints> {
        let mut endpoints = Endpoints::default();
        if self.variables.is_true("AWS_USE_FIPS_ENDPOINT") && !self.names_all_endpoints() {
            return Err(Error::new(ErrorCode::RequestInvalid, "the endpoints of FIPS are not known here")
                .on("variable AWS_USE_FIPS_ENDPOINT")
                .with_hint(
                    "name those of S3, ECR, EKS, STS and SQS with the AWS_ENDPOINT_URL_… variables, or unset it",
                ));
        }
        if let Some(url) = self.variables.get("AWS_ENDPOINT_URL") {
            endpoints.set_all(url).map_err(|error| error.on("variable AWS_ENDPOINT_URL"))?;
        }
        for service in Service::ALL {
            let variable = service.endpoint_variable();
            if let Some(url) = self.variables.get(variable) {
                endpoints.set(service, url).map_err(|error| error.on(format!("variable {variable}")))?;
            }
        }
        // What the code says goes before what the variables say.
        for (service, url) in &self.endpoints {
            match service {
                None => endpoints.set_all(url).map_err(|error| error.on("`with_endpoint`"))?,
                Some(service) => endpoints.set(*service, url).map_err(|error| error.on(method_of(*service)))?,
            }
        }
        Ok(endpoints)
    }

    /// Whether each service has an endpoint that was named for it.
    fn names_all_endpoints(&self) -> bool {
        Service::ALL.into_iter().all(|service| {
            let by_method = self.endpoints.iter().any(|(of, _)| *of == Some(service));
            by_method || self.variables.get(service.endpoint_variable()).is_some()
        })
    }

    fn signer(&self, ways: &Ways, region: &Region, endpoints: &Endpoints) -> Result<AwsCredentials> {
        let runtime = ways.runtime.clone();
        let own = match (&self.given, &self.profile) {
            (Some(_), Some(_)) => {
                return Err(Error::new(ErrorCode::RequestInvalid, "credentials and a profile were both named")
                    .on("cloud AWS")
                    .with_hint("call `with_credentials` or `with_profile`, not both"));
            }
            (Some(given), None) => given.clone(),
            (None, profile) => {
                let sts = endpoints.given(Service::Sts).map(str::to_owned);
                let place = Place { region: region.clone(), sts };
                let chain = Chain::new(self.variables.clone(), profile.clone(), place, ways.clone());
                AwsCredentials::lent(chain, runtime.clone())
            }
        };
        let Some((roles, tenant)) = &self.tenant else { return Ok(own) };
        let sts = Api::new(ways.clone(), own, region.clone(), endpoints.clone());
        Ok(AwsCredentials::lent(AssumedRole { sts, roles: roles.clone(), tenant: tenant.clone() }, runtime))
    }
}

impl fmt::Debug for CloudBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CloudBuilder").field("variables", &self.variables).finish_non_exhaustive()
    }
}

/// A way to clusters that was handed over.
#[derive(Debug)]
struct Boxed(Box<dyn OpenTransport>);

impl OpenTransport for Boxed {
    fn open(&self, access: &chalk_deploy_core::kubernetes::ClusterAccess) -> Result<Transport> {
        self.0.open(access)
    }
}

const fn method_of(service: Service) -> &'static str {
    match service {
        Service::S3 => "`with_bucket_endpoint`",
        Service::Ecr => "`with_registry_endpoint`",
        Service::Eks => "`with_cluster_endpoint`",
        Service::Sts => "`with_token_endpoint`",
        Service::Sqs => "`with_queue_endpoint`",
    }
}

/// Sockets. Plain HTTP leads to the sources of credentials beside the machine, and where an endpoint says so itself.
fn network(endpoints: &Endpoints, runtime: &Arc<dyn Runtime>) -> Result<Transport> {
    let mut network = NetworkTransport::builder().runtime(runtime.clone());
    for host in LINK_LOCAL {
        network = network.allow_plain_http(host);
    }
    for service in Service::ALL {
        let plain = endpoints.given(service).and_then(|url| url.strip_prefix("http://"));
        if let Some(authority) = plain {
            let host = authority.parse().ok().map(|authority: http::uri::Authority| authority.host().to_owned());
            network = network.allow_plain_http(host.unwrap_or_default());
        }
    }
    network.build()
}

fn bucket_settings(name: &str, region: &Region, endpoints: &Endpoints) -> S3Settings {
    let settings = S3Settings::new(name, region.as_str());
    match endpoints.given(Service::S3) {
        Some(url) => settings.with_endpoint(url),
        // The core knows the domain of most regions.
        None if region.domain() == "amazonaws.com" => settings,
        None => settings
            .with_endpoint(endpoints.of(Service::S3, region))
            .with_path_style(false)
            .with_conditional_copies(true),
    }
}

fn registry_name(host: &str, region: &Region, endpoints: &Endpoints) -> Result<RegistryName> {
    match RegistryName::new(host, region, false) {
        // A host of ECR is none of an emulator, whatever its region.
        Err(_) if endpoints.given(Service::Ecr).is_some() && !host.to_ascii_lowercase().contains(".dkr.ecr.") => {
            RegistryName::new(host, region, true)
        }
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::AGENTS;

    #[test]
    fn every_agent_that_lends_credentials_may_be_asked_over_plain_http() {
        for agent in AGENTS {
            // As addresses of requests write it.
            let host = if agent.contains(':') { format!("[{agent}]") } else { agent.to_owned() };
            assert!(LINK_LOCAL.contains(&host.as_str()), "{host}");
        }
    }

    #[test]
    fn endpoints_of_fips_are_those_that_were_named_and_no_silence() {
        let variables = |also: &'static str| {
            Cloud::builder().with_region("us-east-1").from_variables(move |name| match name {
                "AWS_USE_FIPS_ENDPOINT" => Some("true".to_owned()),
                name if !also.is_empty() && name.starts_with(also) => Some("https://fips.example".to_owned()),
                _ => None,
            })
        };
        let error = variables("").build().expect_err("nothing was named");
        assert_eq!(error.code(), ErrorCode::RequestInvalid);
        assert!(error.subject().contains("AWS_USE_FIPS_ENDPOINT"), "{}", error.sentence());
        variables("AWS_ENDPOINT_URL_").build().expect("each was named");
        variables("AWS_ENDPOINT_URL_S").build().expect_err("those of ECR and EKS were not");
    }

    #[test]
    fn a_registry_of_another_region_is_none_of_an_emulator() {
        let emulated = || Cloud::builder().with_region("us-east-1").with_registry_endpoint("http://127.0.0.1:5000");
        emulated().with_registry("localhost:5001").build().expect("an emulator's");
        let elsewhere = emulated().with_registry("123456789012.dkr.ecr.eu-west-1.amazonaws.com");
        assert_eq!(elsewhere.build().expect_err("another region").code(), ErrorCode::ValueInvalid);
    }
}
