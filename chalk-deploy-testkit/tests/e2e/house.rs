//! A deployer on the testbed.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::build::BuildFolder;
use chalk_deploy_core::cloud::{Payload, RouteReference, Selector};
use chalk_deploy_core::machine::Outcome;
use chalk_deploy_core::model::{
    DataPlane, DeploymentId, DeploymentPolicy, DeploymentStatus, EnvironmentId, Namespace, ProjectName,
    SingleEnvironment, TrafficSplit,
};
use chalk_deploy_core::store::{DeploymentStore, MemoryStore};
use chalk_deploy_core::{ApplyRequest, Deployer};
use chalk_deploy_testkit::sample;
use chalk_deploy_testkit::testbed::{Identity, Parts, Testbed};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Mutex, OnceCell};

/// Every test holds it: the node has room for few pods, and what one test disturbs others would see.
pub(crate) static TESTBED: Mutex<()> = Mutex::const_new(());

/// The running testbed.
pub(crate) async fn testbed() -> Testbed {
    static RUNNING: OnceCell<Testbed> = OnceCell::const_new();
    let start = || async {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testbed");
        Testbed::start(folder).await.expect("the testbed comes up; see the message")
    };
    RUNNING.get_or_init(start).await.clone()
}

/// Not so patient as in production: what does not come within this time in a testbed does not come.
pub(crate) fn policy() -> DeploymentPolicy {
    DeploymentPolicy {
        ready_within: Duration::from_secs(25),
        stable_for: Duration::from_secs(1),
        drain: Duration::from_secs(5),
        attempts: 4,
        ..DeploymentPolicy::default()
    }
}

/// An environment of its own, with a deployer that has the pipeline's role in it.
pub(crate) struct House {
    pub(crate) testbed: Testbed,
    pub(crate) plane: DataPlane,
    store: Arc<dyn DeploymentStore>,
    pub(crate) deployer: Deployer,
}

impl House {
    /// On this base image, a value of the testbed. The environment is named after what is given and this process: the
    /// tokens of an earlier run's store would be newer than those of this one's.
    pub(crate) async fn on(name: &str, base_image: &str) -> Self {
        let testbed = testbed().await;
        make_room(&testbed).await;
        let environment = EnvironmentId::new(format!("{name}-{}", std::process::id())).expect("a name");
        testbed.environment(&environment).await.expect("an environment");
        let builds = BuildFolder::temporary().expect("a temporary folder");
        let parts = Parts { base_image: base_image.to_owned(), policy: policy(), builds };
        let plane = testbed.data_plane(&environment, Identity::Pipeline, parts).expect("a data plane");
        let store: Arc<dyn DeploymentStore> = MemoryStore::new();
        let deployer = deployer(&plane, &store);
        Self { testbed, plane, store, deployer }
    }

    /// Takes the data plane as it was changed.
    pub(crate) fn reopen(&mut self) {
        self.deployer = deployer(&self.plane, &self.store);
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.plane.namespace
    }

    pub(crate) fn route(&self) -> RouteReference {
        RouteReference { environment: self.plane.environment.clone(), namespace: self.plane.namespace.clone() }
    }

    /// Deploys these files and waits for the end.
    pub(crate) async fn apply(&self, files: &[(&str, &str)]) -> (DeploymentId, Outcome) {
        let handle = self.deployer.apply(self.request(files)).await.expect("the request is admitted");
        let outcome = handle.wait().await.expect("the deployment ends");
        (handle.id().clone(), outcome)
    }

    /// Deploys what must succeed.
    pub(crate) async fn deploy(&self, content: &str) -> DeploymentId {
        let (id, outcome) = self.apply(&[("features.py", &format!("# {content}\n"))]).await;
        assert_eq!(outcome.status, DeploymentStatus::Success, "{:?} {:?}", outcome.error, outcome.residue);
        id
    }

    pub(crate) fn request(&self, files: &[(&str, &str)]) -> ApplyRequest {
        let archive = archive(files);
        let fingerprint = sample::fingerprint(&archive).expect("an archive");
        let payload = Payload::from_bytes(archive);
        let project = ProjectName::new("fraud").expect("a valid name");
        let graph = sample::graph().expect("the sample graph");
        ApplyRequest::new(self.plane.environment.clone(), project, fingerprint, payload, graph)
    }

    pub(crate) async fn split(&self) -> TrafficSplit {
        self.plane.cloud.traffic.observe(&self.route()).await.expect("the route can be read").split
    }

    /// What serves: the division, and the objects with their uids.
    pub(crate) async fn production(&self) -> (TrafficSplit, BTreeSet<String>) {
        let selector = Selector { environment: self.plane.environment.clone(), deployment: None };
        let live = self.plane.cloud.cluster.list(self.namespace(), &selector).await.expect("the cluster can be read");
        (self.split().await, live.into_iter().map(|object| object.identity.to_string()).collect())
    }

    /// Which deployment answers at the gateway.
    pub(crate) async fn answering(&self) -> DeploymentId {
        let probe = self.plane.cloud.traffic.probe().expect("the gateway can be asked");
        probe.ask(&self.route()).await.expect("someone answers")
    }

    /// kubectl as the administrator, in the environment's namespace. What it says.
    pub(crate) async fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        kubectl(&self.testbed, self.namespace(), arguments, input).await
    }
}

/// Removes what earlier tests have deployed, without waiting for it to drain.
pub(crate) async fn make_room(testbed: &Testbed) {
    let anywhere = Namespace::new("default").expect("a name");
    let environments = ["get", "namespaces", "-o", "name", "-l", "chalk.ai/environment,chalk.ai/environment!=default"];
    let found = kubectl(testbed, &anywhere, &environments, "").await;
    for name in found.lines().filter_map(|line| line.strip_prefix("namespace/")) {
        let namespace = Namespace::new(name).expect("a name");
        kubectl(testbed, &namespace, &["delete", "deployments", "--all", "--wait=false"], "").await;
        kubectl(testbed, &namespace, &["delete", "pods", "--all", "--force", "--grace-period=0"], "").await;
        // An earlier test's may have been on its way out, and gone by now.
        let leave = ["delete", "namespace", name, "--wait=false", "--ignore-not-found"];
        kubectl(testbed, &anywhere, &leave, "").await;
    }
}

pub(crate) async fn kubectl(testbed: &Testbed, namespace: &Namespace, arguments: &[&str], input: &str) -> String {
    let mut child = tokio::process::Command::new(testbed.value("KUBECTL").expect("a path"))
        .args(["--kubeconfig", testbed.value("KUBECONFIG").expect("a path"), "--namespace", namespace.as_str()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).await.expect("it reads");
    drop(stdin);
    let ended = child.wait_with_output().await.expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "kubectl {arguments:?}: {said}");
    String::from_utf8(ended.stdout).expect("text")
}

fn deployer(plane: &DataPlane, store: &Arc<dyn DeploymentStore>) -> Deployer {
    let environments = Arc::new(SingleEnvironment::new(plane.clone()));
    Deployer::builder(environments, store.clone()).build().expect("a deployer")
}

/// A source archive of these files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut packed = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, content) in [("chalk.yaml", "project: fraud\n")].iter().chain(files) {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        packed.append_data(&mut header, path, content.as_bytes()).expect("memory takes all");
    }
    let mut packed = packed.into_inner().expect("memory takes all");
    packed.flush().expect("memory takes all");
    packed.finish().expect("memory takes all")
}
