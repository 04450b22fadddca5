//! `cargo run --release --example rebuild -- DEPLOYMENT`: makes the images of a past deployment again, from what its
//! bucket keeps, and says whether they are the same. Nothing is deployed, and no index of packages is asked.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use chalk_deploy_core::build::{BUILDER, BuildHistory, BuildRecord, Checks, Rebuilt};
use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::model::DeploymentId;
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use chalk_deploy_examples::data_plane::DataPlanes;
use chalk_deploy_examples::data_plane::builder::BuilderArguments;
use chalk_deploy_examples::data_plane::target::TargetArguments;
use chalk_deploy_examples::terminal::{self, INTERRUPTED, print, say};
use clap::Parser;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  rebuild cmg3a9k1f0000000000000000                  the images of a deployment on the simulated servers
  rebuild cmg3a9k1f0000000000000000 --json | jq .images

Exit codes:
  0 the images are the same, byte for byte    1 they are not, or cannot be made    2 bad input
  130 interrupted";

/// Makes the images of a past deployment again, and compares them.
///
/// The bucket keeps the source, what its requirements were resolved to, and the layer that was installed then; the base
/// images are read by their digests. Deployed with `apply`, with the same flags for where things are.
#[derive(Debug, Parser)]
#[command(name = "rebuild", version, after_help = EXAMPLES, max_term_width = 120)]
struct Arguments {
    /// The id of the deployment
    #[arg(value_name = "DEPLOYMENT", value_parser = deployment)]
    deployment: DeploymentId,

    /// Where deployments and the embedded cloud are kept
    #[arg(long, value_name = "DIR", default_value = "./.chalk-deploy")]
    state: PathBuf,

    /// Print one JSON object on stdout, and words on stderr
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: TargetArguments,
}

fn deployment(given: &str) -> Result<DeploymentId, String> {
    DeploymentId::new(given).map_err(|error| error.message().to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match terminal::run(run(&arguments)) {
        Ok(Some((record, rebuilt))) => {
            show(&record, &rebuilt, arguments.json);
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::from(INTERRUPTED),
        Err(error) => refuse(&error, arguments.json),
    }
}

async fn run(arguments: &Arguments) -> Result<(BuildRecord, Rebuilt)> {
    arguments.target.check()?;
    let runtime: Arc<dyn Runtime> = SystemRuntime::new();
    let checkpoints: Arc<dyn Checkpoints> = Arc::new(NoCheckpoints);
    if !arguments.target.is_real() && !arguments.state.is_dir() {
        return Err(Error::new(ErrorCode::RequestInvalid, "there is no state folder, and so no past deployment")
            .on(text::line(&arguments.state.to_string_lossy(), 200))
            .with_hint("name the folder that `apply` was given with --state"));
    }
    let (target, checks) = (&arguments.target, Checks::installed());
    let planes =
        DataPlanes::open(target, &BuilderArguments::default(), checks, &arguments.state, &runtime, &checkpoints)?;
    let (bucket, builder) = planes.builds().await?;
    let record = BuildHistory::new(bucket).find(&arguments.deployment).await?;
    say(&format!("built by {}, {} images, base {}", record.builder, record.images.len(), bases(&record)));
    let rebuilt = builder.rebuild(&record).await?;
    for event in &rebuilt.events {
        say(&format!("{}: {}", text::line(&event.step, 60), text::line(&event.line, 300)));
    }
    Ok((record, rebuilt))
}

fn bases(record: &BuildRecord) -> String {
    let mut bases: Vec<_> = record.base_images.iter().map(|base| base.digest.to_string()).collect();
    bases.dedup();
    bases.join(", ")
}

fn show(record: &BuildRecord, rebuilt: &Rebuilt, as_json: bool) {
    if let Some(other) = &rebuilt.other_builder {
        say(&format!("note: it was built by {}, and this is {BUILDER}", text::line(other, 100)));
    }
    if as_json {
        let object = json!({
            "deployment": record.deployment,
            "images": record.images,
            "source": record.source,
            "dependencies": record.dependencies,
            "builder": record.builder,
            "rebuilt_by": BUILDER,
            "same": true,
        });
        print(&object.to_string());
        return;
    }
    for (component, digest) in &record.images {
        print(&format!("{component}  {digest}  the same"));
    }
}

/// Tells why there is nothing to show. What is wrong with the arguments is bad input, everything else a failure.
fn refuse(error: &Error, as_json: bool) -> ExitCode {
    terminal::refuse(error, as_json, matches!(error.code(), ErrorCode::RequestInvalid | ErrorCode::ValueInvalid))
}
