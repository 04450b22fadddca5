//! The smallest service that links the library: `cargo run --release --example embed -- [PROJECT_DIR]`.
//!
//! It builds one `Deployer` at start-up, goes on with whatever a killed process left unfinished, applies a project, and
//! hands the events to two listeners. What it runs on are the embedded stand-ins of the testkit; a real service brings
//! its own `Environments` and takes the rest as it is here. Kill it at any moment and start it again.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a script talks to the person who started it")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use chalk_deploy_core::checkpoint::NoCheckpoints;
use chalk_deploy_core::graph::{self, ExportRequest};
use chalk_deploy_core::model::DeploymentStatus;
use chalk_deploy_core::observe::EventKind;
use chalk_deploy_core::project::{Project, git_metadata};
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_core::source::SourceArchive;
use chalk_deploy_core::store::SqliteStore;
use chalk_deploy_core::{ApplyRequest, Deployer, Error, Result};
use chalk_deploy_testkit::{EmbeddedEnvironments, EmbeddedWorld};
use futures::StreamExt as _;

#[tokio::main]
async fn main() -> ExitCode {
    let project = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("examples/projects/fraud"), PathBuf::from);
    match serve(&project, Path::new(".chalk-deploy-embed")).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What failed, on what, why, and what to do about it.
            eprintln!("error: {}", error.sentence());
            ExitCode::FAILURE
        }
    }
}

async fn serve(project: &Path, state: &Path) -> Result<()> {
    // Once, at start-up: where journals live, where environments lead to, and the deployer on both.
    let store = SqliteStore::open(state).await?;
    let world = EmbeddedWorld::open(state.join("world"), Arc::new(NoCheckpoints))?;
    let deployer = Deployer::builder(Arc::new(EmbeddedEnvironments::any(world)), store).build()?;

    // What another process left in the middle goes on where it stood. Nothing is done twice.
    for unfinished in deployer.resume_unfinished().await? {
        println!("resumed   {} -> {}", unfinished.id(), unfinished.wait().await?.status);
    }

    // A request, which elsewhere arrives over the network: project, environment, feature graph, source.
    let handle = deployer.apply(request(project, state).await?).await?;

    // A listener that comes late, or is the second one, sees everything from the start.
    let first = async {
        let events: Vec<_> = handle.events().collect().await;
        println!("followed  {} events as they came", events.len());
    };
    let outcome = async {
        let outcome = handle.wait().await?;
        let mut late = deployer.events(handle.id()).await?;
        while let Some(event) = late.next().await {
            match event.kind {
                EventKind::StageStarted { stage } => println!("{}  {stage} started", event.at),
                EventKind::StageFinished { stage, elapsed_ms } => println!("{}  {stage} {elapsed_ms} ms", event.at),
                EventKind::Log { line, .. } => println!("{}  {line}", event.at),
                _ => {}
            }
        }
        Ok::<_, Error>(outcome)
    };
    let ((), outcome) = tokio::join!(first, outcome);
    let outcome = outcome?;
    println!("{}  {}", handle.id(), outcome.status);
    for (component, image) in outcome.images {
        println!("{component}  {image}");
    }
    match outcome.error {
        Some(error) if outcome.status != DeploymentStatus::Success => Err(error.into()),
        _ => Ok(()),
    }
}

async fn request(directory: &Path, state: &Path) -> Result<ApplyRequest> {
    let project = Project::open(directory)?;
    let environment = project.environment(None)?;
    let runtime = SystemRuntime::new();
    let exported = graph::obtain(ExportRequest::new(project.directory()), runtime.as_ref()).await?;
    let options = environment.collect_options().with_excluded(state);
    let archive = SourceArchive::collect(project.directory(), options).await?;
    let (name, fingerprint) = (project.config().project.clone(), archive.fingerprint().clone());
    Ok(ApplyRequest::new(environment.id, name, fingerprint, archive.payload(), exported.graph)
        .with_git(git_metadata(project.directory(), runtime.as_ref()).await)
        .with_requirements(environment.requirements)
        .with_settings(environment.settings))
}
