//! The program of our builder's image, as a program of simulated steps: the very build that the containers do, on
//! whatever bucket and registry it is given in the place of those that its arguments name. Beside it a stand-in for the
//! executor of Dockerfiles, which runs none of their commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chalk_deploy_core::build::dockerfile::{self, BasePolicy, ImagePolicy};
use chalk_deploy_core::build::report::{BuildLine, BuildReport};
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder, container, envelope};
use chalk_deploy_core::cloud::{BuildRequest, ObjectStore, Registry};
use chalk_deploy_core::model::Repository;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::source::ArchiveLimits;
use chalk_deploy_core::{Error, ErrorCode, Result};
use tempfile::TempDir;

use super::executor;
use super::seam::{StepEnd, StepInvocation, StepProgram};

/// Does what the first argument says: `build`, `unpack` or `push`. Clones are the same program.
#[derive(Debug, Clone)]
pub struct SimulatedBuilderImage {
    bucket: Arc<dyn ObjectStore>,
    registry: Arc<dyn Registry>,
    runtime: Arc<dyn Runtime>,
    /// The volumes of each pod.
    volumes: Arc<Mutex<BTreeMap<String, Arc<TempDir>>>>,
}

impl SimulatedBuilderImage {
    /// The program of a container whose identity reaches this bucket and this registry.
    pub fn new(bucket: Arc<dyn ObjectStore>, registry: Arc<dyn Registry>, runtime: Arc<dyn Runtime>) -> Self {
        Self { bucket, registry, runtime, volumes: Arc::default() }
    }

    fn volumes(&self, pod: &str) -> Result<Arc<TempDir>> {
        let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = volumes.get(pod) {
            return Ok(folder.clone());
        }
        let folder = tempfile::tempdir().map_err(|error| {
            Error::new(ErrorCode::StoreUnavailable, "there is no room for the volumes of a pod").caused_by(error)
        })?;
        Ok(volumes.entry(pod.to_owned()).or_insert(Arc::new(folder)).clone())
    }

    /// What the container leaves: nothing where it only prepares.
    async fn part(
        &self,
        invocation: &StepInvocation,
        say: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Option<BuildReport>> {
        let folder = self.volumes(&invocation.pod)?;
        let at = |flag: &str| place(folder.path(), &value(invocation, flag));
        let mut tell = |step: &str, line: String| say(BuildLine { step: step.to_owned(), line }.to_json());
        match invocation.arguments.first().map(String::as_str) {
            Some("unpack") => {
                let mut policy = BasePolicy::by_digest();
                for repository in values(invocation, "--allow-tags-of") {
                    policy = policy.allowing_tags_of(&Repository::new(repository)?);
                }
                let (request, limits) = (envelope::open(&value(invocation, "--request"))?, ArchiveLimits::default());
                dockerfile::unpack(&request, &*self.bucket, limits, &policy, &at("--project"), &mut tell).await?;
                Ok(None)
            }
            Some("push") => {
                let word = std::fs::read_to_string(at("--request-file")).map_err(|error| {
                    Error::new(ErrorCode::StoreUnavailable, "the request is not there").caused_by(error)
                })?;
                let policy =
                    ImagePolicy { allows_root: invocation.arguments.iter().any(|word| word == "--allow-root") };
                let (request, images) = (envelope::open(&word)?, at("--images"));
                let images = dockerfile::push(&request, &*self.registry, policy, &images, &mut tell).await?;
                Ok(Some(BuildReport::Images(images)))
            }
            _ => self.build(&envelope::open(&value(invocation, "--request"))?, say).await.map(Some),
        }
    }

    async fn build(&self, request: &BuildRequest, say: &(dyn Fn(String) + Send + Sync)) -> Result<BuildReport> {
        let folder = BuildFolder::temporary()?;
        let builder = InProcessBuilder::new(self.bucket.clone(), self.registry.clone(), folder, self.runtime.clone());
        Ok(container::run(request, &builder, &*self.registry, &mut |line| say(line)).await)
    }
}

/// The values of a flag.
fn values<'words>(invocation: &'words StepInvocation, flag: &'words str) -> impl Iterator<Item = &'words str> {
    let pairs = invocation.arguments.iter().zip(invocation.arguments.iter().skip(1));
    pairs.filter(move |(name, _)| *name == flag).map(|(_, value)| value.as_str())
}

fn value(invocation: &StepInvocation, flag: &str) -> String {
    values(invocation, flag).next().unwrap_or_default().to_owned()
}

/// Where a path of a container lies here.
pub(super) fn place(volumes: &Path, path: &str) -> PathBuf {
    volumes.join(path.trim_start_matches('/'))
}

#[async_trait]
impl StepProgram for SimulatedBuilderImage {
    async fn run(&self, invocation: StepInvocation, say: &(dyn Fn(String) + Send + Sync)) -> StepEnd {
        if invocation.container.starts_with("dockerfile-") {
            return match self.volumes(&invocation.pod) {
                Ok(folder) => executor::run(folder.path(), &invocation, say),
                Err(error) => StepEnd { code: 1, message: error.sentence() },
            };
        }
        let report = match self.part(&invocation, say).await {
            Ok(report) => report,
            Err(error) => Some(container::report(Err(error), &mut |line| say(line))),
        };
        let code = u8::from(matches!(report, Some(BuildReport::Error(_))));
        StepEnd { code, message: report.map(|report| report.to_json()).unwrap_or_default() }
    }
}
