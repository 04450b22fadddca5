//! How the simulated servers reach each other inside the process: the kubelet pulls from the registry, the gateway
//! sends requests to pods.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::{Digest, Timestamp};
use http::{Request, Response};
use serde_json::Value;

/// The command of the simulated base image. The kubelet knows it and answers for it inside the process; no foreign
/// binary is ever run.
pub const SIMULATED_ENGINE: &str = "/chalk/simulated-engine";

/// Where a kubelet pulls images from.
#[async_trait]
pub trait ImageSource: fmt::Debug + Send + Sync + 'static {
    /// The image that a reference such as `registry.embedded/chalk/engine@sha256:…` or `…/engine:tag` names. The pull
    /// is whole: manifest, configuration and every layer must be there.
    ///
    /// # Errors
    /// In the words of a kubelet's event: `manifest unknown`, `unauthorized`.
    async fn pull(&self, reference: &str) -> Result<PulledImage, String>;
}

/// An image on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    /// The digest of its manifest.
    pub digest: Digest,
    /// `Entrypoint` and `Cmd` of its configuration, joined.
    pub command: Vec<String>,
    /// `Env` of its configuration, as `NAME=value`.
    pub environment: Vec<String>,
}

impl PulledImage {
    /// What the configuration of an image (OCI image specification, `config.md`) says of how it is run.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn read(digest: Digest, config: &[u8]) -> Result<Self, String> {
        let config: Value = serde_json::from_slice(config).map_err(|error| format!("invalid config: {error}"))?;
        let texts = |name: &str| {
            let values = config["config"][name].as_array().map(Vec::as_slice).unwrap_or_default();
            values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        Ok(Self { digest, command: [texts("Entrypoint"), texts("Cmd")].concat(), environment: texts("Env") })
    }
}

/// The network between pods.
#[async_trait]
pub trait PodNetwork: fmt::Debug + Send + Sync + 'static {
    /// Sends a request to a pod's address and port.
    ///
    /// # Errors
    /// When nothing listens there: no such pod, a container that does not run, a port that is not its own.
    async fn request(
        &self,
        address: &str,
        port: u16,
        request: Request<ByteStream>,
    ) -> Result<Response<ByteStream>, ConnectionRefused>;
}

/// Nothing listens at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionRefused;

/// What containers have written. The kubelet knows it; the API server shows it.
pub trait PodLogs: fmt::Debug + Send + Sync + 'static {
    /// Every line of one container so far, oldest first. The API server cuts them to what was asked for, and asks again
    /// when a client follows the log.
    ///
    /// # Errors
    /// In the words of a kubelet, when there is nothing to read yet or any more: `container "engine" in pod "x" is
    /// waiting to start: ContainerCreating`, `previous terminated container "engine" in pod "x" not found`.
    fn lines(&self, log: &ContainerLog) -> Result<Vec<LogLine>, String>;
}

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerLog {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid: another pod may have had the name.
    pub uid: String,
    /// The container's name.
    pub container: String,
    /// Whether the run before the current one is meant.
    pub previous: bool,
}

/// The programs of the steps of workflows. Whoever tests what a workflow does hands in what its images would run.
#[async_trait]
pub trait StepProgram: fmt::Debug + Send + Sync + 'static {
    /// Runs a container of a step. Lines go to `say` as they come. The future is dropped when the container is
    /// killed.
    async fn run(&self, invocation: StepInvocation, say: &(dyn Fn(String) + Send + Sync)) -> StepEnd;
}

/// What a container is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInvocation {
    /// The uid of its pod, whose volumes it shares with the pod's other containers.
    pub pod: String,
    /// The name of the container: `main`, or that of one before it.
    pub container: String,
    /// The image.
    pub image: String,
    /// The arguments, the variables of the workflow in them replaced.
    pub arguments: Vec<String>,
    /// The environment, as far as it stands in the container.
    pub environment: std::collections::BTreeMap<String, String>,
}

/// How a container has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepEnd {
    /// The exit code.
    pub code: u8,
    /// What it has left as its termination message.
    pub message: String,
}

/// A line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub time: Timestamp,
    /// What, without the end of the line.
    pub text: Bytes,
}
