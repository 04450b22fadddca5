//! The testbed as a data plane behind our adapters.

use std::path::Path;
use std::sync::Arc;

use chalk_deploy_core::bucket::{AzureSettings, AzureSharedKey, Bucket, GcsSettings, S3Credentials};
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder};
use chalk_deploy_core::cloud::{Cloud, Registry};
use chalk_deploy_core::kubernetes::{
    Connection, Kubeconfig, KubeconfigPolicy, KubernetesCluster, LogRequest, PodLogs as _,
};
use chalk_deploy_core::model::{
    BaseImage, Boundary, Buckets, ClusterName, Component, DataPlane, DeploymentPolicy, EnvironmentId, Identities,
    Namespace, Platform, Repository,
};
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::traffic::{GatewayProbe, GatewayReference, GatewayTraffic, RouteSettings};
use chalk_deploy_core::transport::{NetworkTransport, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};

use super::Testbed;

/// The Gateway of the testbed.
const GATEWAY: (&str, &str) = ("chalk-system", "chalk");

/// Who talks to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// May do everything: for setting up.
    Administrator,
    /// Has the role that the pipeline runs under.
    Pipeline,
}

/// What a data plane is made of beyond the servers.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The base image of the engine: a value of the testbed that is a reference by digest, such as `STATIC_IMAGE`.
    pub base_image: String,
    /// The policy.
    pub policy: DeploymentPolicy,
    /// Where the in-process builder keeps its work.
    pub builds: BuildFolder,
}

impl Testbed {
    /// A connection to the API server.
    ///
    /// # Errors
    /// What is wrong with the kubeconfig.
    pub fn connection(&self, identity: Identity) -> Result<Connection> {
        let name = match identity {
            Identity::Administrator => "KUBECONFIG",
            Identity::Pipeline => "PIPELINE_KUBECONFIG",
        };
        let access = Kubeconfig::read(Path::new(self.value(name)?))?.access(None, &KubeconfigPolicy::default())?;
        Connection::open(access, runtime())
    }

    /// The registry.
    ///
    /// # Errors
    /// A value that is not there.
    pub fn registry(&self) -> Result<OciRegistry> {
        let settings = OciSettings::default().with_plain_http(self.registry_host()?);
        Ok(OciRegistry::new(self.network()?, runtime(), settings))
    }

    /// `host:port` of the registry.
    ///
    /// # Errors
    /// A value that is not there.
    pub fn registry_host(&self) -> Result<String> {
        Ok(self.value("REGISTRY")?.trim_start_matches("http://").trim_end_matches('/').to_owned())
    }

    /// The bucket that speaks S3.
    ///
    /// # Errors
    /// A value that is not there.
    pub fn bucket(&self) -> Result<Bucket> {
        let credentials = S3Credentials::new(self.value("AWS_ACCESS_KEY_ID")?, self.value("AWS_SECRET_ACCESS_KEY")?);
        Bucket::from_url(self.value("BUCKET")?, self.network()?, Some(Arc::new(credentials)), runtime())
    }

    /// The bucket that speaks like Google Cloud Storage.
    ///
    /// # Errors
    /// A value that is not there.
    pub fn gcs_bucket(&self) -> Result<Bucket> {
        let settings = GcsSettings::new(self.value("GCS_BUCKET")?).with_endpoint(self.value("GCS_ENDPOINT")?);
        Bucket::gcs(self.network()?, settings, runtime())
    }

    /// The container that speaks like Azure Blob Storage.
    ///
    /// # Errors
    /// A value that is not there.
    pub fn azure_bucket(&self) -> Result<Bucket> {
        let settings = AzureSettings::new(self.value("AZURE_STORAGE_ACCOUNT")?, self.value("AZURE_CONTAINER")?)
            .with_endpoint(self.value("AZURE_ENDPOINT")?)
            .with_shared_key(AzureSharedKey::new(self.value("AZURE_STORAGE_KEY")?)?);
        Bucket::azure(self.network()?, settings, runtime())
    }

    /// The gateway, whose answers are asked for at its address. Requests that name no environment go to this one, if one
    /// is given.
    ///
    /// # Errors
    /// A value that is not there.
    pub fn traffic(&self, identity: Identity, unnamed: Option<&EnvironmentId>) -> Result<GatewayTraffic> {
        let gateway = GatewayReference { namespace: GATEWAY.0.to_owned(), name: GATEWAY.1.to_owned(), section: None };
        let mut settings = RouteSettings::engine_behind(gateway);
        settings.default_environment = unnamed.cloned();
        let probe = GatewayProbe::new(self.network()?, self.value("GATEWAY")?, runtime())?;
        Ok(GatewayTraffic::new(self.connection(identity)?, settings).with_probe(probe))
    }

    /// The data plane of an environment, as the pipeline sees it. The environment must have been
    /// [made](Testbed::environment). Requests must name it.
    ///
    /// # Errors
    /// A value that is not there.
    pub fn data_plane(&self, environment: &EnvironmentId, identity: Identity, parts: Parts) -> Result<DataPlane> {
        let registry: Arc<dyn Registry> = Arc::new(self.registry()?);
        let bucket = Arc::new(self.bucket()?);
        let builder = InProcessBuilder::new(bucket.clone(), registry.clone(), parts.builds, runtime());
        let connection = self.connection(identity)?;
        let cloud = Cloud {
            object_store: bucket,
            registry,
            cluster: Arc::new(KubernetesCluster::new(connection)),
            builder: Arc::new(builder),
            traffic: Arc::new(self.traffic(identity, None)?),
        };
        let base = self.value(&parts.base_image)?;
        let malformed = || {
            Error::new(ErrorCode::ValueInvalid, "it is no reference by digest")
                .on(format!("value {}", parts.base_image))
        };
        let (repository, digest) = base.split_once('@').ok_or_else(malformed)?;
        Ok(DataPlane {
            environment: environment.clone(),
            cluster: ClusterName::new("testbed")?,
            namespace: Namespace::new(format!("ns-{environment}"))?,
            registry: Repository::new(format!("{}/chalk", self.registry_host()?))?,
            buckets: Buckets { source: "chalk".to_owned() },
            identities: Identities { workload: "default".to_owned(), ..Identities::default() },
            boundary: Boundary::of_a_terminal(),
            base_images: vec![BaseImage {
                component: Component::Engine,
                repository: Repository::new(repository)?,
                digest: digest.parse()?,
            }],
            platforms: vec![Platform::linux_amd64()],
            policy: parts.policy,
            cloud,
        })
    }

    /// The last lines of a pod's only container.
    ///
    /// # Errors
    /// The API server's.
    pub async fn pod_logs(&self, namespace: &Namespace, pod: &str, lines: u32) -> Result<Vec<String>> {
        let cluster = KubernetesCluster::new(self.connection(Identity::Administrator)?);
        let request =
            LogRequest { namespace: namespace.clone(), pod: pod.to_owned(), container: None, previous: false, lines };
        cluster.tail(&request).await
    }

    /// A way to the testbed's addresses, which are plain.
    ///
    /// # Errors
    /// A value that is not there.
    pub fn network(&self) -> Result<Transport> {
        let host = self.registry_host()?;
        let host = host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host);
        NetworkTransport::builder().runtime(runtime()).allow_plain_http(host).build()
    }
}

fn runtime() -> Arc<dyn Runtime> {
    SystemRuntime::new()
}
