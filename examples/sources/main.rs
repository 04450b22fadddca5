//! `cargo run --release --example sources -- list|inspect|extract|url`: the sources of past deployments, from the bucket
//! that they were archived in.
//!
//! - [`arguments`]: the command line.
//! - [`output`]: what is shown, for people and for programs.

mod arguments;
mod output;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::bucket::{Bucket, S3CredentialSource, S3Credentials};
use chalk_deploy_core::cloud::ObjectStore;
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::source::SourceHistory;
use chalk_deploy_core::transport::NetworkTransport;
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use chalk_deploy_examples::terminal;
use chalk_deploy_testkit::simulated::plane::{PlaneSettings, SharedPlane};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use self::arguments::{Arguments, Command};
use self::output::Output;

/// Records that are asked for at once.
const PAGE: usize = 100;
/// For what still blocks a thread when the end is known.
const PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::new(arguments.json);
    let executor = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(executor) => executor,
        Err(error) => {
            return output.refuse(&Error::new(ErrorCode::Internal, "no threads can be started").caused_by(error));
        }
    };
    let ended = executor.block_on(until_stopped(&arguments, &mut output));
    executor.shutdown_timeout(PATIENCE);
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(130),
        Err(error) => output.refuse(&error),
    }
}

/// Runs the command; false when a signal came first. What was unpacked so far is removed then.
async fn until_stopped(arguments: &Arguments, output: &mut Output) -> Result<bool> {
    let broken = |error| Error::new(ErrorCode::Internal, "signals cannot be received").caused_by(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    tokio::select! {
        ended = run(arguments, output) => ended.map(|()| true),
        _ = terminate.recv() => Ok(false),
        _ = interrupt.recv() => Ok(false),
    }
}

async fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let runtime: Arc<dyn Runtime> = SystemRuntime::new();
    // The simulated servers live as long as this.
    let (bucket, _plane) = open(arguments, &runtime)?;
    let sources = SourceHistory::new(bucket);
    match &arguments.command {
        Command::List { after, limit } => {
            let (mut after, mut left) = (after.clone(), *limit);
            while left > 0 {
                let page = sources.list(after.as_ref(), left.min(PAGE)).await?;
                for record in &page {
                    output.record(record);
                }
                left -= page.len().min(left);
                match page.last() {
                    Some(last) if page.len() == PAGE => after = Some(last.deployment.clone()),
                    _ => break,
                }
            }
            output.end_of_list();
        }
        Command::Inspect { deployment } => {
            let record = sources.find(deployment).await?;
            output.inspection(&record, &sources.inspect(&record).await?);
        }
        Command::Extract { deployment, directory } => {
            let record = sources.find(deployment).await?;
            sources.extract(&record, directory).await?;
            output.extracted(&record, directory);
        }
        Command::Url { deployment, expires } => {
            output.url(deployment, &sources.download_url(deployment, *expires).await?);
            if arguments.bucket.is_none() {
                terminal::say("note: the simulated bucket is reached from its own processes alone");
            }
        }
    }
    Ok(())
}

fn open(arguments: &Arguments, runtime: &Arc<dyn Runtime>) -> Result<(Arc<dyn ObjectStore>, Option<SharedPlane>)> {
    if let Some(url) = &arguments.bucket {
        if let Some(directory) = url.strip_prefix("file://").filter(|directory| directory.starts_with('/'))
            && !directory.contains('%')
            && !std::path::Path::new(directory).is_dir()
        {
            return Err(Error::new(ErrorCode::RequestInvalid, "there is no such directory")
                .on(format!("--bucket {}", text::line(url, 200)))
                .with_hint("name the directory of the bucket"));
        }
        let network = NetworkTransport::builder().runtime(runtime.clone()).build()?;
        let bucket = Bucket::from_url(url, network, credentials(), runtime.clone())?;
        return Ok((Arc::new(bucket), None));
    }
    // Nothing is made where there is nothing to be read.
    if !arguments.state.is_dir() {
        return Err(Error::new(ErrorCode::RequestInvalid, "there is no state folder, and no bucket was named")
            .on(text::line(&arguments.state.to_string_lossy(), 200))
            .with_hint("name one with --bucket, or the state folder of `apply` with --state"));
    }
    let plane = SharedPlane::open(&arguments.state, runtime, |secrets| PlaneSettings::default().guarded_by(secrets))?;
    Ok((plane.adapters().cloud().object_store.clone(), Some(plane)))
}

/// From the variables that every client of S3 reads.
fn credentials() -> Option<Arc<dyn S3CredentialSource>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let credentials = S3Credentials::new(variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    Some(Arc::new(match variable("AWS_SESSION_TOKEN") {
        Some(token) => credentials.with_session_token(token),
        None => credentials,
    }))
}
