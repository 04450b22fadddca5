//! From the project's directory to a request: everything that is checked before anything is created.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::build::check_requirements;
use chalk_deploy_core::graph::{self, ExportRequest, FeatureGraph, ObtainedGraph, Severity};
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

/// More findings in a graph than this are counted, not shown.
const MOST_FINDINGS: usize = 20;

/// A project and the environment that it goes to.
#[derive(Debug)]
pub(super) struct Input {
    project: Project,
    environment: ResolvedEnvironment,
}

/// What is to be deployed, checked.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The request.
    pub(super) request: ApplyRequest,
    /// Its feature graph.
    pub(super) graph: FeatureGraph,
    /// What is to be said of the graph.
    pub(super) remarks: Vec<String>,
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
        arguments.builder.admit(&environment.settings)?;
        if environment.settings.dockerfile.is_none() {
            check_requirements(&environment.requirements)?;
        }
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

    /// What the command line makes of the project.
    ///
    /// # Errors
    /// What is wrong with the graph or the source.
    pub(super) async fn request(
        &self,
        arguments: &Arguments,
        runtime: &Arc<dyn Runtime>,
        view: &mut dyn View,
    ) -> Result<Prepared> {
        let git: GitMetadata = git_metadata(self.project.directory(), runtime.as_ref()).await;
        let (graph, remarks) = self.graph(arguments, runtime).await?;
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
        request.check()?;
        Ok(Prepared { request, graph, remarks })
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

    /// The feature graph, with what is to be said of it.
    async fn graph(&self, arguments: &Arguments, runtime: &Arc<dyn Runtime>) -> Result<(FeatureGraph, Vec<String>)> {
        let request = ExportRequest::new(self.project.directory()).explicit(arguments.graph.clone());
        let ObtainedGraph { graph, origin, notes, .. } = graph::obtain(request, runtime.as_ref()).await?;
        let findings = graph::check(&graph)?;
        let mut remarks = if notes.is_empty() { vec![origin.to_string()] } else { notes };
        for remark in &mut remarks {
            *remark = format!("note: {}", text::printable(remark));
        }
        remarks.extend(findings.iter().take(MOST_FINDINGS).map(|finding| {
            let word = if finding.severity == Severity::Warning { "warning" } else { "note" };
            format!("{word}: {}", text::printable(&finding.to_string()))
        }));
        if findings.len() > MOST_FINDINGS {
            remarks.push(format!("note: {} further findings in the feature graph", findings.len() - MOST_FINDINGS));
        }
        Ok((graph, remarks))
    }
}
