//! From the project's directory to a request: everything that is checked before anything is created.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::graph::{self, FeatureGraph};
use chalk_deploy_core::model::{EnvironmentId, GitMetadata};
use chalk_deploy_core::project::{Project, ResolvedEnvironment, git_metadata};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::source::SourceArchive;
use chalk_deploy_core::{ApplyRequest, Error, ErrorCode, Result, text};
use tokio::sync::watch;

use super::arguments::Arguments;
use super::view::{Collecting, View};

/// Between two looks at how far collecting is; the first one tells that it takes long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A project and the environment that it goes to.
#[derive(Debug)]
pub(super) struct Input {
    project: Project,
    environment: ResolvedEnvironment,
}

impl Input {
    /// Opens the project and finds the environment.
    ///
    /// # Errors
    /// What is wrong with either.
    pub(super) fn open(arguments: &Arguments, view: &mut dyn View) -> Result<Self> {
        let project = Project::open(&arguments.project)?;
        for warning in project.warnings() {
            view.note(&format!(
                "warning: {}; {} [{}]",
                text::printable(&warning.message),
                text::printable(&warning.hint),
                warning.code
            ));
        }
        let environment = project.environment(arguments.environment.as_deref())?;
        Ok(Self { project, environment })
    }

    /// The environment.
    pub(super) const fn environment(&self) -> &EnvironmentId {
        &self.environment.id
    }

    /// Every environment that the project knows.
    pub(super) fn environments(&self) -> Vec<EnvironmentId> {
        self.project.environments().into_iter().filter_map(|name| EnvironmentId::new(name).ok()).collect()
    }

    /// The request that the command line makes of the project, with the graph that it brings.
    ///
    /// # Errors
    /// What is wrong with the graph or the source.
    pub(super) async fn request(
        &self,
        arguments: &Arguments,
        runtime: &Arc<dyn Runtime>,
        view: &mut dyn View,
    ) -> Result<(ApplyRequest, FeatureGraph)> {
        let git: GitMetadata = git_metadata(self.project.directory(), runtime.as_ref()).await;
        let graph = self.graph(arguments).await?;
        let archive = self.source(&arguments.state, runtime, view).await?;
        let request = ApplyRequest::new(
            self.environment.id.clone(),
            self.project.config().project.clone(),
            archive.fingerprint().clone(),
            archive.payload(),
            graph.clone(),
        )
        .with_git(git)
        .with_requirements(self.environment.requirements.clone())
        .with_settings(self.environment.settings.clone())
        .with_strategy(arguments.strategy())
        .with_promotion(arguments.promotion());
        let request = arguments.tags.iter().cloned().fold(request, ApplyRequest::with_tag);
        let request = match &arguments.idempotency_key {
            Some(key) => request.with_idempotency_key(key.clone()),
            None => request,
        };
        Ok((request, graph))
    }

    /// Collects the source, without the state folder, and tells how far it is when that takes long.
    ///
    /// # Errors
    /// What is wrong with the source.
    pub(super) async fn source(
        &self,
        state: &Path,
        runtime: &Arc<dyn Runtime>,
        view: &mut dyn View,
    ) -> Result<SourceArchive> {
        let state = std::path::absolute(state).map_err(|error| {
            Error::new(ErrorCode::RequestInvalid, "this is no usable path")
                .on(format!("--state {}", text::line(&state.to_string_lossy(), 200)))
                .caused_by(error)
        })?;
        let (tell, told) = watch::channel(None);
        let options = self.environment.collect_options().with_excluded(state).with_progress(move |progress| {
            tell.send_replace(Some(progress));
        });
        let began = runtime.monotonic();
        let mut collecting = std::pin::pin!(SourceArchive::collect(self.project.directory(), options));
        let collected = loop {
            tokio::select! {
                biased;
                collected = &mut collecting => break collected,
                () = runtime.sleep(LOOK_EVERY) => {
                    let progress = *told.borrow();
                    if let Some(progress) = progress {
                        let elapsed = runtime.monotonic().saturating_sub(began);
                        view.collecting(Some(Collecting { done: progress.done, total: progress.total, elapsed }));
                    }
                }
            }
        };
        view.collecting(None);
        collected
    }

    async fn graph(&self, arguments: &Arguments) -> Result<FeatureGraph> {
        let file = arguments.graph.clone().unwrap_or_else(|| self.project.directory().join("chalk.export.pb"));
        let bytes = std::fs::read(file)
            .map_err(|error| Error::new(ErrorCode::GraphMissing, "cannot be read").caused_by(error))?;
        let graph = FeatureGraph::decode(bytes.into(), None)?;
        graph::check(&graph)?;
        Ok(graph)
    }
}
