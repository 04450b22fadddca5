//! The whole pipeline over a cloud's own adapters, wherever their servers are: what is the same for each cloud.
//!
//! - [`SimulatedCluster`]: API server, controllers, kubelet and gateway, which pull from any registry.
//! - [`Pulling`]: a registry of others as the place that they pull from.
//! - [`Stage`]: a deployer on a cloud's adapters, and what is deployed and asked there.
#![expect(clippy::missing_panics_doc, reason = "a check panics when the contract is broken; that is its purpose")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::bucket::Bucket;
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder};
use chalk_deploy_core::cloud::{
    Cloud, ManifestLocator, ObjectStore as _, Payload, Registry as _, RouteReference, TrafficShifter,
};
use chalk_deploy_core::machine::Outcome;
use chalk_deploy_core::model::{
    BaseImage, Boundary, Buckets, ClusterName, Component, DataPlane, DeploymentId, DeploymentPolicy, DeploymentStatus,
    Digest, EnvironmentId, Environments, Identities, Namespace, Platform, ProjectName, Repository, TrafficSplit,
};
use chalk_deploy_core::oci::OciRegistry;
use chalk_deploy_core::provision::Provider;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::store::MemoryStore;
use chalk_deploy_core::traffic::{GatewayProbe, GatewayReference, GatewayTraffic, RouteSettings};
use chalk_deploy_core::transport::{RequestBody, Transport};
use chalk_deploy_core::{ApplyRequest, Deployer, Result};
use futures::TryStreamExt as _;
use http::Request;
use serde_json::{Value, json};

use super::base_image::SimulatedBaseImage;
use super::gateway::{GatewaySettings, SimulatedGateway, ensure_gateway};
use super::http::in_process;
use super::kubernetes::api::{Anonymous, ApiServer, ApiSettings, Token};
use super::kubernetes::objects::Objects;
use super::kubernetes::{Cluster, ClusterSettings};
use super::plane::{GATEWAY, host};
use super::seam::{ImageSource, PulledImage};
use crate::{World, sample};

/// A cluster with its gateway. It lets in who shows one token, and nobody else.
#[derive(Debug)]
pub struct SimulatedCluster {
    api: ApiServer,
    gateway: SimulatedGateway,
    token: String,
    _cluster: Cluster,
}

impl SimulatedCluster {
    /// Starts it. Needs a tokio runtime to be running.
    pub fn start(images: Arc<dyn ImageSource>, token: &str, runtime: &Arc<dyn Runtime>) -> Self {
        let objects = Objects::open(&World::memory(), runtime.clone()).expect("an empty world opens");
        let cluster = Cluster::start(objects.clone(), images, ClusterSettings::default());
        let tokens = vec![Token::administrator(token)];
        let settings = ApiSettings { tokens, anonymous: Anonymous::Refused, ..ApiSettings::default() };
        let api = ApiServer::new(objects.clone(), settings).with_logs(Arc::new(cluster.clone()));
        ensure_gateway(&objects, GATEWAY.0, GATEWAY.1).expect("a gateway");
        let gateway = SimulatedGateway::start(objects, Arc::new(cluster.clone()), GatewaySettings::default());
        Self { api, gateway, token: token.to_owned(), _cluster: cluster }
    }

    /// The way to the API server.
    pub fn kubernetes(&self) -> Transport {
        in_process(Arc::new(self.api.clone()))
    }

    /// The way to the gateway.
    pub fn gateway(&self) -> Transport {
        in_process(Arc::new(self.gateway.clone()))
    }

    /// Makes the namespace of an environment, as the customer has done before anything is deployed.
    pub async fn make_namespace(&self, environment: &EnvironmentId) {
        make_namespace(&self.kubernetes(), &self.token, environment).await;
    }
}

/// Makes the namespace of an environment by whoever shows this token.
pub async fn make_namespace(kubernetes: &Transport, token: &str, environment: &EnvironmentId) {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(environment)}});
    let request = Request::post(format!("https://{}/api/v1/namespaces", host::KUBERNETES))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(RequestBody::Bytes(body.to_string().into()))
        .expect("a request");
    let status = kubernetes.send(request).await.expect("answered").status();
    assert!(status.is_success(), "the namespace was not made: {status}");
}

/// Pulls images by our adapter, as a node with the rights of its cluster.
#[derive(Debug)]
pub struct Pulling(pub Arc<OciRegistry>);

#[async_trait]
impl ImageSource for Pulling {
    async fn pull(&self, reference: &str) -> Result<PulledImage, String> {
        let failed = |why: &str| format!("failed to pull image \"{reference}\": {why}");
        // Whatever is deployed is named by its digest.
        let (repository, digest) = reference.split_once('@').ok_or_else(|| failed("it is named by no digest"))?;
        let repository = Repository::new(repository).map_err(|error| failed(error.message()))?;
        let digest: Digest = digest.parse().map_err(|_| failed("invalid reference format"))?;
        let manifest = self.0.manifest(&repository, &ManifestLocator::Digest(digest)).await;
        let manifest = manifest.map_err(|error| failed(error.message()))?.ok_or_else(|| failed("not found"))?;
        let manifest: Value = serde_json::from_slice(&manifest.bytes).map_err(|error| failed(&error.to_string()))?;
        let named = |descriptor: &Value| descriptor["digest"].as_str().and_then(|digest| digest.parse::<Digest>().ok());
        for layer in manifest["layers"].as_array().ok_or_else(|| failed("it is no image"))? {
            let layer = named(layer).ok_or_else(|| failed("invalid digest"))?;
            let is_there = self.0.has_blob(&repository, &layer).await.map_err(|error| failed(error.message()))?;
            if !is_there {
                return Err(failed(&format!("{layer}: not found")));
            }
        }
        let config = named(&manifest["config"]).ok_or_else(|| failed("invalid digest"))?;
        let config = self.0.pull_blob(&repository, &config).await.map_err(|error| failed(error.message()))?;
        let config: Vec<bytes::Bytes> = config.try_collect().await.map_err(|error| failed(&error.to_string()))?;
        PulledImage::read(digest, &config.concat()).map_err(|why| failed(&why))
    }
}

/// What a cloud does not say of itself.
#[derive(Debug)]
pub struct Names {
    /// The name of the source bucket.
    pub bucket: String,
    /// Under which the registry's repositories lie.
    pub repositories: Repository,
    /// The way to the cluster's gateway.
    pub gateway: Transport,
}

/// A deployer on a cloud's adapters, for one environment.
#[derive(Debug)]
pub struct Stage {
    /// The deployer.
    pub deployer: Deployer,
    /// Its environment.
    pub environment: EnvironmentId,
    traffic: Arc<dyn TrafficShifter>,
    bucket: Arc<Bucket>,
    registry: Arc<OciRegistry>,
    repositories: Repository,
}

impl Stage {
    /// A deployer on a cloud's adapters. Asks for nothing but the base image, which is put where it belongs unless it is
    /// there.
    ///
    /// # Errors
    /// What was not named when the cloud was built; those of the registry.
    pub async fn open(cloud: &dyn Provider, names: Names, runtime: &Arc<dyn Runtime>) -> Result<Self> {
        let repository = Repository::new(format!("{}/engine-base", names.repositories))?;
        let digest = SimulatedBaseImage::new().install(&cloud.registry()?, &repository).await?;
        let base = BaseImage { component: Component::Engine, repository, digest };
        Self::on_base(cloud, names, base, runtime)
    }

    /// The same on a base image that is there: asks for nothing.
    ///
    /// # Errors
    /// What was not named when the cloud was built.
    pub fn on_base(cloud: &dyn Provider, names: Names, base: BaseImage, runtime: &Arc<dyn Runtime>) -> Result<Self> {
        let (bucket, registry) = (Arc::new(cloud.bucket()?), Arc::new(cloud.registry()?));
        let builder =
            InProcessBuilder::new(bucket.clone(), registry.clone(), BuildFolder::temporary()?, runtime.clone());
        let probe = GatewayProbe::new(names.gateway, &format!("http://{}", host::GATEWAY), runtime.clone())?;
        let reference = GatewayReference { namespace: GATEWAY.0.to_owned(), name: GATEWAY.1.to_owned(), section: None };
        let settings = RouteSettings::engine_behind(reference);
        let traffic: Arc<dyn TrafficShifter> =
            Arc::new(GatewayTraffic::new(cloud.connection()?, settings).with_probe(probe));
        let bundle = cloud.bundle(Arc::new(builder), traffic.clone())?;
        let environment = sample::environment()?;
        let repositories = names.repositories;
        let environments =
            OneEnvironment { cloud: bundle, base, repositories: repositories.clone(), bucket_name: names.bucket };
        let deployer = Deployer::builder(Arc::new(environments), MemoryStore::new()).with_runtime(runtime.clone());
        Ok(Self { deployer: deployer.build()?, environment, traffic, bucket, registry, repositories })
    }

    /// Deploys a source of one module, and waits for the end.
    pub async fn deploy(&self, source: &str) -> (DeploymentId, Outcome) {
        let packed = sample::archive(&[("chalk.yaml", b"project: fraud\n"), ("features.py", source.as_bytes())]);
        let fingerprint = sample::fingerprint(&packed).expect("an archive");
        let project = ProjectName::new("fraud").expect("a name");
        let graph = sample::graph().expect("the sample graph");
        let request =
            ApplyRequest::new(self.environment.clone(), project, fingerprint, Payload::from_bytes(packed), graph);
        let handle = self.deployer.apply(request).await.expect("admitted");
        let outcome = handle.wait().await.expect("it ends");
        (handle.id().clone(), outcome)
    }

    /// Deploys two versions, one after the other, and holds each to what it promises: success with nothing left over, all of
    /// the traffic, and the gateway's word for who answers.
    pub async fn assert_deploys_and_replaces(&self) -> [DeploymentId; 2] {
        let mut deployed = Vec::new();
        for source in ["one = 1\n", "two = 2\n"] {
            let (id, outcome) = self.deploy(source).await;
            assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
            assert!(outcome.residue.is_empty(), "{:?}", outcome.residue);
            let route =
                RouteReference { environment: self.environment.clone(), namespace: namespace(&self.environment) };
            let split = self.traffic.observe(&route).await.expect("the route can be read").split;
            assert_eq!(split, TrafficSplit::all_to(id.clone()));
            let answered = self.traffic.probe().expect("the gateway can be asked").ask(&route).await;
            assert_eq!(answered.expect("an answer"), id);
            deployed.push(id);
        }
        deployed.try_into().expect("two")
    }

    /// Holds what lies in the bucket and in the registry to what was deployed: an archive and a tagged image each.
    pub async fn assert_keeps(&self, deployed: &[DeploymentId]) {
        let engine = Repository::new(format!("{}/{}-{}", self.repositories, Component::Engine, self.environment));
        let engine = engine.expect("a repository");
        for id in deployed {
            let tag = ManifestLocator::Tag(id.to_string().parse().expect("a tag"));
            assert!(self.registry.manifest(&engine, &tag).await.expect("readable").is_some(), "{id}");
        }
        let archives = self.bucket.list("archives/", None, 1000).await.expect("listed");
        assert_eq!(archives.len(), deployed.len(), "{archives:?}");
    }
}

/// The one environment of a [`Stage`].
#[derive(Debug)]
struct OneEnvironment {
    cloud: Cloud,
    base: BaseImage,
    repositories: Repository,
    bucket_name: String,
}

#[async_trait]
impl Environments for OneEnvironment {
    async fn resolve(&self, environment: &EnvironmentId) -> Result<Arc<DataPlane>> {
        Ok(Arc::new(DataPlane {
            environment: environment.clone(),
            cluster: ClusterName::new("chalk")?,
            namespace: namespace(environment),
            registry: self.repositories.clone(),
            buckets: Buckets { source: self.bucket_name.clone() },
            identities: Identities { workload: "default".to_owned(), ..Identities::default() },
            boundary: Boundary::default().allowing_this_process(),
            base_images: vec![self.base.clone()],
            platforms: vec![Platform::linux_amd64()],
            // No request is under way that lasts longer than a pod's grace, and pods that are ready stay so.
            policy: DeploymentPolicy {
                drain: Duration::ZERO,
                stable_for: Duration::ZERO,
                ..DeploymentPolicy::default()
            },
            cloud: self.cloud.clone(),
        }))
    }
}

fn namespace(environment: &EnvironmentId) -> Namespace {
    Namespace::new(format!("ns-{environment}")).expect("an environment's name is short enough")
}
