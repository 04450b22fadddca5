//! A cluster that builds, and a builder outside of it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::build::argo::{ArgoBuilder, ArgoSettings, DockerfileSettings};
use chalk_deploy_core::cloud::{
    BuildEvent, BuildRequest, Builder, ByteStream, ObjectStore, Payload, PutMode, Registry,
};
use chalk_deploy_core::kubernetes::{ClusterAccess, Connection, Secret};
use chalk_deploy_core::model::{
    ArchiveReference, BaseImage, BuiltImage, Component, DeploymentId, Digest, ImageReference, Namespace, ObjectKey,
    ProjectSettings, Repository,
};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_testkit::conformance::Fresh;
use chalk_deploy_testkit::conformance::builder::BuilderHarness;
use chalk_deploy_testkit::fake::{FakeObjectStore, FakeRegistry};
use chalk_deploy_testkit::fault::{FaultyObjectStore, FaultyRegistry};
use chalk_deploy_testkit::following::follow;
use chalk_deploy_testkit::simulated::base_image;
use chalk_deploy_testkit::simulated::builder_image::SimulatedBuilderImage;
use chalk_deploy_testkit::simulated::fault::{ProtocolFaults, faulty};
use chalk_deploy_testkit::simulated::http::{Server, Severed, in_process};
use chalk_deploy_testkit::simulated::kubernetes::api::{ApiServer, ApiSettings};
use chalk_deploy_testkit::simulated::kubernetes::objects::{Key, Objects};
use chalk_deploy_testkit::simulated::kubernetes::resource::{NAMESPACE, POD, WORKFLOW};
use chalk_deploy_testkit::simulated::kubernetes::{Cluster, ClusterSettings};
use chalk_deploy_testkit::simulated::seam::{ImageSource, PulledImage, StepEnd, StepInvocation, StepProgram};
use chalk_deploy_testkit::{FaultPlan, VirtualRuntime, World};
use http::{Request, Response};
use serde_json::{Value, json};

/// The namespace of the builds.
pub(crate) const SPACE: &str = "builds";
/// A secret that the builder is told of.
pub(crate) const SECRET: &str = "hunter2-hunter2";

/// Everything outside of the process that builds.
#[derive(Debug)]
pub(crate) struct Yard {
    pub(crate) runtime: Arc<VirtualRuntime>,
    world: World,
    pub(crate) objects: Objects,
    pub(crate) cluster: Cluster,
    pub(crate) server: ApiServer,
    front: Arc<Front>,
    pub(crate) faults: Arc<ProtocolFaults>,
    pub(crate) bucket: FakeObjectStore,
    pub(crate) registry: Arc<dyn Registry>,
    bases: Vec<BaseImage>,
    /// What the metadata side asks of bucket and registry.
    pub(crate) plan: Arc<FaultPlan>,
}

impl Yard {
    /// A cluster whose build containers run our builder.
    pub(crate) async fn new() -> Self {
        let yard = Self::idle().await;
        yard.open();
        yard
    }

    /// A cluster whose build containers do as they are told.
    pub(crate) async fn idle() -> Self {
        let (world, runtime) = (World::memory(), VirtualRuntime::new(3));
        let registry: Arc<dyn Registry> = Arc::new(FakeRegistry::new(&world));
        let repository = Repository::new("registry.embedded/chalk/base").expect("a repository");
        let mut bases = Vec::new();
        for component in [Component::StreamWorker, Component::Engine] {
            bases.push(base_image::install(&*registry, &repository, component).await.expect("installed"));
        }
        let clock: Arc<dyn Runtime> = runtime.clone();
        let objects = Objects::open(&world, clock).expect("a world in memory");
        objects.create(&Key::new(NAMESPACE, "", SPACE), json!({})).expect("it is not there");
        let (cluster, server) = start(&objects);
        Self {
            bucket: FakeObjectStore::new(&world),
            runtime,
            world,
            objects,
            cluster,
            front: Arc::new(Front(Mutex::new(server.clone()))),
            server,
            faults: Arc::new(ProtocolFaults::new()),
            registry,
            bases,
            plan: Arc::new(FaultPlan::new()),
        }
    }

    /// Lets build containers run our builder.
    pub(crate) fn open(&self) {
        let program =
            SimulatedBuilderImage::new(Arc::new(self.bucket.clone()), self.registry.clone(), self.runtime.clone());
        self.cluster.set_step_program(Arc::new(program));
    }

    /// Controller, API server and kubelet are killed and start again on what is stored.
    pub(crate) fn restart(&mut self) {
        self.objects = Objects::open(&self.world, self.runtime.clone()).expect("the world opens again");
        (self.cluster, self.server) = start(&self.objects);
        *self.front.0.lock().unwrap_or_else(PoisonError::into_inner) = self.server.clone();
    }

    /// The API server, whichever process it is of.
    pub(crate) fn api(&self) -> Arc<dyn Server> {
        faulty(self.front.clone(), self.faults.clone(), self.runtime.clone())
    }

    pub(crate) fn connection(&self, access: ClusterAccess) -> Connection {
        self.connection_to(self.api(), access)
    }

    pub(crate) fn connection_to(&self, server: Arc<dyn Server>, access: ClusterAccess) -> Connection {
        Connection::new(in_process(server), access, self.runtime.clone())
    }

    /// A builder in a process of its own.
    pub(crate) fn builder(&self) -> ArgoBuilder {
        self.builder_over(self.connection(anonymous()))
    }

    pub(crate) fn builder_over(&self, connection: Connection) -> ArgoBuilder {
        self.builder_with(connection, settings())
    }

    pub(crate) fn builder_with(&self, connection: Connection, settings: ArgoSettings) -> ArgoBuilder {
        let bucket = FaultyObjectStore::new(Arc::new(self.bucket.clone()), self.plan.clone());
        let registry = FaultyRegistry::new(self.registry.clone(), self.plan.clone());
        ArgoBuilder::new(connection, settings, Arc::new(bucket), Arc::new(registry))
    }

    pub(crate) async fn request(&self, letter: char, content: &str) -> BuildRequest {
        let key = ObjectKey::new(format!("incoming/{letter}")).expect("a key");
        BuildRequest {
            deployment: DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("an id"),
            source: self.upload(&key, content).await.expect("uploaded"),
            repositories: self
                .bases
                .iter()
                .map(|base| Repository::new(format!("registry.embedded/chalk/{}-prod", base.component)))
                .collect::<Result<_>>()
                .expect("repositories"),
            base_images: self.bases.clone(),
            requirements: Vec::new(),
            settings: ProjectSettings::default(),
            platform: "linux/amd64".to_owned(),
            more_platforms: Vec::new(),
        }
    }

    /// A request for a project with a Dockerfile of its own.
    pub(crate) async fn with_dockerfile(&self, letter: char, dockerfile: &str) -> BuildRequest {
        let mut request = self.request(letter, "x").await;
        let key = ObjectKey::new(format!("incoming/{letter}-own")).expect("a key");
        request.source =
            self.upload_files(&key, &[("a.py", "x"), ("docker/Dockerfile", dockerfile)]).await.expect("uploaded");
        request.settings.dockerfile = Some("docker/Dockerfile".to_owned());
        request
    }

    /// The workflows, as they are stored.
    pub(crate) fn workflows(&self) -> Vec<Arc<Value>> {
        self.objects.list(WORKFLOW, Some(SPACE)).0
    }

    pub(crate) fn pods(&self) -> Vec<Arc<Value>> {
        self.objects.list(POD, Some(SPACE)).0
    }

    pub(crate) async fn seconds(&self, seconds: u64) {
        self.runtime.sleep(std::time::Duration::from_secs(seconds)).await;
    }
}

/// The address of the API server, behind which another process may stand later.
#[derive(Debug)]
struct Front(Mutex<ApiServer>);

#[async_trait]
impl Server for Front {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let server = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        server.answer(request).await
    }
}

/// A program that writes these lines and ends like this.
#[derive(Debug)]
pub(crate) struct Ends(pub(crate) Vec<String>, pub(crate) StepEnd);

#[async_trait]
impl StepProgram for Ends {
    async fn run(&self, _: StepInvocation, say: &(dyn Fn(String) + Send + Sync)) -> StepEnd {
        self.0.iter().cloned().for_each(say);
        self.1.clone()
    }
}

fn start(objects: &Objects) -> (Cluster, ApiServer) {
    let cluster = Cluster::start(objects.clone(), Arc::new(NoImages), ClusterSettings::realistic());
    let server = ApiServer::new(objects.clone(), ApiSettings::default()).with_logs(Arc::new(cluster.clone()));
    (cluster, server)
}

pub(crate) fn anonymous() -> ClusterAccess {
    ClusterAccess::anonymous("https://kubernetes.embedded").expect("an address")
}

pub(crate) fn settings() -> ArgoSettings {
    let repository = Repository::new("registry.embedded/chalk/builder").expect("a repository");
    let image = ImageReference { repository, digest: Digest::of("the builder") };
    let mut settings = ArgoSettings::new(Namespace::new(SPACE).expect("a namespace"), image, "s3://embedded-source");
    settings.secrets = vec![Secret::new(SECRET)];
    settings
}

/// Those of a builder that builds Dockerfiles, too.
pub(crate) fn with_executor() -> ArgoSettings {
    let repository = Repository::new("registry.embedded/chalk/kaniko").expect("a repository");
    let image = ImageReference { repository, digest: Digest::of("the executor") };
    ArgoSettings { dockerfiles: Some(DockerfileSettings::new(image)), ..settings() }
}

/// Follows a build to its end.
pub(crate) async fn finish(
    builder: &dyn Builder,
    deployment: &DeploymentId,
) -> (Vec<BuildEvent>, Result<Vec<BuiltImage>>) {
    let (seen, end) = follow(builder, deployment).await;
    assert!(seen.iter().map(|event| event.number).eq(1..=seen.len() as u64), "{seen:?}");
    (seen, end)
}

/// Everything that was said, as `step: line`.
pub(crate) fn said(events: &[BuildEvent]) -> Vec<String> {
    events.iter().map(|event| format!("{}: {}", event.step, event.line)).collect()
}

/// The steps of a build in workflows are not pulled.
#[derive(Debug)]
struct NoImages;

#[async_trait]
impl ImageSource for NoImages {
    async fn pull(&self, _: &str) -> Result<PulledImage, String> {
        Err("manifest unknown".to_owned())
    }
}

/// As the suite wants it.
#[derive(Debug)]
pub(crate) struct Harness {
    pub(crate) yard: Yard,
    pub(crate) builder: ArgoBuilder,
}

#[async_trait]
impl BuilderHarness for Harness {
    fn builder(&self) -> Arc<dyn Builder> {
        Arc::new(self.builder.clone())
    }

    async fn upload(&self, key: &ObjectKey, content: &str) -> Result<ArchiveReference> {
        self.yard.upload(key, content).await
    }

    fn base_images(&self) -> Vec<BaseImage> {
        self.yard.bases.clone()
    }

    fn repository(&self, fresh: &Fresh) -> Result<Repository> {
        Repository::new(format!("registry.embedded/{}", fresh.prefix()))
    }
}

impl Yard {
    pub(crate) async fn upload(&self, key: &ObjectKey, content: &str) -> Result<ArchiveReference> {
        self.upload_files(key, &[("a.py", content)]).await
    }

    async fn upload_files(&self, key: &ObjectKey, files: &[(&str, &str)]) -> Result<ArchiveReference> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content.as_bytes()).expect("memory takes all");
        }
        let payload = Payload::from_bytes(archive.into_inner().expect("memory takes all"));
        self.bucket.put(key, &payload, PutMode::WriteOnce).await?;
        Ok(ArchiveReference { key: key.clone(), sha256: payload.sha256(), size: payload.size() })
    }
}
