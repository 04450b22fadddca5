//! The program of our builder's image, as a program of a simulated step: the very build that the container does, on
//! whatever bucket and registry it is given in the place of those that its arguments name.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::build::report::BuildReport;
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder, container, envelope};
use chalk_deploy_core::cloud::{ObjectStore, Registry};
use chalk_deploy_core::runtime::Runtime;

use super::seam::{StepEnd, StepInvocation, StepProgram};

/// Builds what the argument `--request` asks for. Clones are the same program.
#[derive(Debug, Clone)]
pub struct SimulatedBuilderImage {
    bucket: Arc<dyn ObjectStore>,
    registry: Arc<dyn Registry>,
    runtime: Arc<dyn Runtime>,
}

impl SimulatedBuilderImage {
    /// The program of a container whose identity reaches this bucket and this registry.
    pub fn new(bucket: Arc<dyn ObjectStore>, registry: Arc<dyn Registry>, runtime: Arc<dyn Runtime>) -> Self {
        Self { bucket, registry, runtime }
    }

    async fn report(&self, invocation: &StepInvocation, say: &(dyn Fn(String) + Send + Sync)) -> BuildReport {
        let arguments = &invocation.arguments;
        let at = arguments.iter().position(|argument| argument == "--request");
        let word = at.and_then(|at| arguments.get(at + 1)).map(String::as_str).unwrap_or_default();
        let prepared = envelope::open(word).and_then(|request| Ok((request, BuildFolder::temporary()?)));
        let (request, folder) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return BuildReport::Error(error.record()),
        };
        let builder = InProcessBuilder::new(self.bucket.clone(), self.registry.clone(), folder, self.runtime.clone());
        container::run(&request, &builder, &*self.registry, &mut |line| say(line)).await
    }
}

#[async_trait]
impl StepProgram for SimulatedBuilderImage {
    async fn run(&self, invocation: StepInvocation, say: &(dyn Fn(String) + Send + Sync)) -> StepEnd {
        let report = self.report(&invocation, say).await;
        StepEnd { code: u8::from(matches!(report, BuildReport::Error(_))), message: report.to_json() }
    }
}
