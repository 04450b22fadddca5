//! The conformance suites, unchanged, against real servers.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::cloud::{
    ApplyOptions, ClusterApi, FencingToken, ImageManifest, ManifestLocator, Payload, Registry as _, RouteReference,
    TrafficShifter,
};
use chalk_deploy_core::kubernetes::KubernetesCluster;
use chalk_deploy_core::model::{DeploymentId, Digest, Namespace, ObjectReference, Repository};
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::conformance::cluster::{ClusterHarness, ImageBehaviour};
use chalk_deploy_testkit::conformance::registry::RegistryHarness;
use chalk_deploy_testkit::conformance::traffic::TrafficHarness;
use chalk_deploy_testkit::conformance::{Fresh, cluster, object_store, registry, traffic};
use chalk_deploy_testkit::testbed::{Identity, Testbed};
use serde_json::{Value, json};

use crate::engine::engine;
use crate::house::{TESTBED, kubectl, make_room, testbed};
use crate::patient::Patient;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_adapter_passes_on_the_distribution_registry() {
    let _alone = TESTBED.lock().await;
    let testbed = testbed().await;
    let base = Repository::new(format!("{}/conformance", testbed.registry_host().expect("a host"))).expect("a name");
    let harness = RegistryHarness { registry: Arc::new(testbed.registry().expect("a registry")), base };
    registry::suite(&harness, &run()).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bucket_adapter_passes_on_versitygw() {
    let _alone = TESTBED.lock().await;
    let bucket = testbed().await.bucket().expect("a bucket");
    // It keeps objects as files, so that `a` and `a/b` cannot both be there. No key of ours lies below another.
    object_store::suite(&bucket, &run()).await.assert_passed_except(&[
        ("deleting_removes_one_object_and_may_be_repeated", "ObjectParentIsFile"),
        ("unusual_keys_are_told_apart", "ObjectParentIsFile"),
    ]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bucket_adapter_passes_on_fake_gcs_server() {
    let _alone = TESTBED.lock().await;
    let bucket = testbed().await.gcs_bucket().expect("a bucket");
    object_store::suite(&bucket, &run()).await.assert_passed();
    object_store::suite(&bucket.with_limits(2, 300_000, 2), &format!("{}parts", run())).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bucket_adapter_passes_on_azurite() {
    let _alone = TESTBED.lock().await;
    let bucket = testbed().await.azure_bucket().expect("a container");
    object_store::suite(&bucket, &run()).await.assert_passed();
    object_store::suite(&bucket.with_limits(2, 300_000, 2), &format!("{}parts", run())).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_adapter_passes_on_kubernetes() {
    let _alone = TESTBED.lock().await;
    cluster::suite(&Real::new().await, &run()).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_traffic_adapter_passes_on_envoy_gateway() {
    let _alone = TESTBED.lock().await;
    traffic::suite(&Real::new().await, &run()).await.assert_passed();
}

fn run() -> String {
    format!("e2e{}", std::process::id())
}

/// The real cluster and gateway, as the suites want them.
#[derive(Debug)]
struct Real {
    testbed: Testbed,
    cluster: Arc<KubernetesCluster>,
    traffic: Arc<Patient>,
}

impl Real {
    async fn new() -> Self {
        let testbed = testbed().await;
        make_room(&testbed).await;
        // The environment that takes the requests of all others would answer for a route that is not there.
        let default = Namespace::new("ns-default").expect("a name");
        kubectl(&testbed, &default, &["delete", "httproutes", "--all"], "").await;
        let connection = testbed.connection(Identity::Administrator).expect("a connection");
        let traffic = testbed.traffic(Identity::Administrator, None).expect("a gateway");
        let traffic = Arc::new(Patient { traffic, runtime: SystemRuntime::new() });
        Self { testbed, cluster: Arc::new(KubernetesCluster::new(connection)), traffic }
    }

    /// A namespace from which the Gateway takes routes.
    async fn make_namespace(&self, name: &str) -> Result<Namespace> {
        let namespace = Namespace::new(name)?;
        let document = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"chalk.ai/environment": name}},
        });
        kubectl(&self.testbed, &namespace, &["apply", "-f", "-"], &document.to_string()).await;
        Ok(namespace)
    }

    /// The static image with another behaviour: another configuration over the same layers.
    async fn variant(&self, behaviour: &str) -> Result<String> {
        let base = self.testbed.value("STATIC_IMAGE")?;
        let registry = self.testbed.registry()?;
        let broken = |what: &str| Error::new(ErrorCode::CloudAnswerInvalid, format!("{what} is malformed")).on(base);
        let (repository, digest) = base.split_once('@').ok_or_else(|| broken("the reference"))?;
        let (repository, digest): (_, Digest) = (Repository::new(repository)?, digest.parse()?);
        let found = registry.manifest(&repository, &ManifestLocator::Digest(digest)).await?;
        let manifest = found.ok_or_else(|| broken("the registry"))?;
        let mut document: Value = serde_json::from_slice(&manifest.bytes).map_err(|_| broken("the manifest"))?;
        let config = document["config"]["digest"].as_str().ok_or_else(|| broken("the manifest"))?.parse()?;
        let mut config: Value = serde_json::from_slice(&read(&registry, &repository, &config).await?)
            .map_err(|_| broken("the configuration"))?;
        let variables = config["config"]["Env"].as_array_mut().ok_or_else(|| broken("the configuration"))?;
        variables.push(format!("CHALK_STAND_IN={behaviour}").into());
        let payload = Payload::from_bytes(config.to_string().into_bytes());
        registry.push_blob(&repository, &payload).await?;
        document["config"]["digest"] = payload.sha256().to_string().into();
        document["config"]["size"] = payload.size().into();
        let manifest = ImageManifest { media_type: manifest.media_type, bytes: document.to_string().into() };
        let digest = registry.put_manifest(&repository, &manifest, None).await?;
        Ok(format!("{repository}@{digest}"))
    }
}

async fn read(
    registry: &dyn chalk_deploy_core::cloud::Registry,
    repository: &Repository,
    digest: &Digest,
) -> Result<Bytes> {
    use futures::TryStreamExt as _;
    let stream = registry.pull_blob(repository, digest).await?;
    let pieces: Vec<Bytes> = stream
        .try_collect()
        .await
        .map_err(|error| Error::new(ErrorCode::CloudUnavailable, "a blob broke off").on(repository).caused_by(error))?;
    Ok(pieces.concat().into())
}

#[async_trait]
impl ClusterHarness for Real {
    fn cluster(&self) -> Arc<dyn ClusterApi> {
        self.cluster.clone()
    }

    async fn namespace(&self, fresh: &Fresh) -> Result<Namespace> {
        self.make_namespace(fresh.prefix()).await
    }

    async fn image(&self, behaviour: ImageBehaviour) -> Result<String> {
        match behaviour {
            ImageBehaviour::Runs => Ok(self.testbed.value("STATIC_IMAGE")?.to_owned()),
            ImageBehaviour::CannotBePulled => {
                Ok(format!("{}/nowhere@{}", self.testbed.registry_host()?, Digest::of("nothing")))
            }
            ImageBehaviour::Crashes => self.variant(r#"{"exit_after": 0}"#).await,
            ImageBehaviour::NeverReady => self.variant(r#"{"ready": false}"#).await,
        }
    }

    async fn edit_as(&self, manager: &str, object: &ObjectReference, pointer: &str, value: Value) -> Result<()> {
        let mut document =
            json!({"apiVersion": object.api_version, "kind": object.kind, "metadata": {"name": object.name}});
        let mut place = &mut document;
        for name in pointer.split('/').skip(1) {
            place = &mut place[name];
        }
        *place = value;
        let manager = format!("--field-manager={manager}");
        let arguments = ["apply", "--server-side", "--force-conflicts", &manager, "-f", "-"];
        kubectl(&self.testbed, &object.namespace, &arguments, &document.to_string()).await;
        Ok(())
    }
}

#[async_trait]
impl TrafficHarness for Real {
    fn traffic(&self) -> Arc<dyn TrafficShifter> {
        self.traffic.clone()
    }

    async fn route(&self, fresh: &Fresh) -> Result<RouteReference> {
        let namespace = self.make_namespace(&format!("{}-t", fresh.prefix())).await?;
        Ok(RouteReference { environment: fresh.environment("t")?, namespace })
    }

    async fn bring_up(&self, route: &RouteReference, deployment: &DeploymentId, ready: bool) -> Result<()> {
        let behaviour = if ready { ImageBehaviour::Runs } else { ImageBehaviour::NeverReady };
        let image = self.image(behaviour).await?;
        for manifest in engine(&route.environment, deployment, &image, 1) {
            self.cluster.apply(&route.namespace, &manifest, &ApplyOptions { token: FencingToken(1) }).await?;
        }
        for _ in 0..200 {
            let seen = self.cluster.observe(&route.namespace, deployment).await?;
            if !ready || seen.ready_endpoints == Some(1) {
                return Ok(());
            }
            self.cluster.changed(&route.namespace, deployment, &seen).await?;
        }
        Err(Error::new(ErrorCode::NeverReady, "the deployment of a test does not become ready").on(deployment))
    }

    async fn add_foreign_backend(&self, route: &RouteReference) -> Result<()> {
        let backend = json!({"name": "someone-elses-service", "port": 80, "weight": 1});
        let patch = json!([{"op": "add", "path": "/spec/rules/0/backendRefs/-", "value": backend}]).to_string();
        let name = format!("chalk-{}", route.environment);
        let arguments = ["patch", "httproute", &name, "--type=json", "-p", &patch];
        kubectl(&self.testbed, &route.namespace, &arguments, "").await;
        Ok(())
    }
}
