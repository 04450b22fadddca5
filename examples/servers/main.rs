//! `cargo run --release --example servers -- [--state DIR]`: the simulated servers on loopback, for foreign clients.
//!
//! Prints lines for a shell to evaluate when all are ready, and serves until SIGTERM or Ctrl-C:
//!
//! ```text
//! $ cargo run --release --example servers > servers.env &
//! $ . ./servers.env
//! $ crane push image.tar "$REGISTRY/team/image:1"
//! $ KUBECONFIG="$KUBECONFIG" kubectl create namespace team
//! ```
//!
//! They let everyone on this machine in: they are for trying things out, and hold nothing that is worth a password.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::simulated::plane::{BUCKET, PlaneSettings, SharedPlane, base_repository};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  servers                              on free ports, with their state in ./.chalk-deploy-servers
  servers --state DIR --first-port 7000    the same addresses at every start

Prints REGISTRY, KUBECONFIG, BUCKET and GATEWAY for a shell to evaluate, and BASE_IMAGE, a base image in that registry.

Exit codes: 0 stopped by SIGTERM or Ctrl-C    1 the servers could not be started    2 bad input";

/// Serves a simulated registry, Kubernetes API, bucket and gateway on loopback, until SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "servers", version, after_help = EXAMPLES, max_term_width = 120)]
struct Arguments {
    /// Where everything that the servers acknowledge is kept
    #[arg(long, value_name = "DIR", default_value = "./.chalk-deploy-servers")]
    state: PathBuf,

    /// Listen on this port and the following ones, instead of on free ones
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    first_port: u16,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let executor = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(executor) => executor,
        Err(error) => return failed(&Error::new(ErrorCode::Internal, "no threads can be started").caused_by(error)),
    };
    match executor.block_on(serve(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a script tells a person why it ends")]
fn failed(error: &Error) -> ExitCode {
    eprintln!("error: {} [{}]", error.sentence(), error.code());
    ExitCode::from(if error.code() == ErrorCode::ValueInvalid { 2 } else { 1 })
}

#[expect(clippy::print_stdout, reason = "the lines are what the script is for")]
async fn serve(arguments: &Arguments) -> Result<()> {
    let broken = |error| Error::new(ErrorCode::Internal, "signals cannot be received").caused_by(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;

    let runtime: Arc<dyn Runtime> = SystemRuntime::new();
    let plane = SharedPlane::open_at(&arguments.state, &runtime, arguments.first_port, |secrets| {
        PlaneSettings::default().knowing(secrets)
    })?;
    let addresses = plane.addresses().await?;
    if !plane.is_host().await? {
        return Err(Error::new(ErrorCode::CloudUnavailable, "another process serves this state already")
            .on(format!("{} (process {})", arguments.state.display(), addresses.process))
            .with_hint("end that process, or use another state directory"));
    }
    // The namespace of the environment that a project has unless it names others, and the base image.
    let base = plane.adapters().provision(&"default".parse()?).await?;
    let kubeconfig = write_kubeconfig(&arguments.state, &addresses.of("kubernetes")?.to_string())?;
    let registry = addresses.of("registry")?;
    let repository = base_repository()?.to_string();
    let path = repository.split_once('/').map_or("", |(_, path)| path);
    let lines = [
        ("REGISTRY", registry.to_string()),
        ("KUBECONFIG", kubeconfig.display().to_string()),
        ("BUCKET", format!("http://{}/{BUCKET}", addresses.of("bucket")?)),
        ("GATEWAY", format!("http://{}", addresses.of("gateway")?)),
        ("BASE_IMAGE", format!("{registry}/{path}@{base}")),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        text = format!("{text}{name}={}\n", quoted(&value));
    }
    // In one write, so that whoever reads it sees all or nothing.
    print!("{text}");
    std::io::Write::flush(&mut std::io::stdout())
        .map_err(|error| Error::new(ErrorCode::Internal, "the lines cannot be written").caused_by(error))?;

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A kubeconfig for the API server at this address, with its absolute path.
fn write_kubeconfig(state: &Path, address: &str) -> Result<PathBuf> {
    let path = state.join("kubeconfig");
    let failed = |error| {
        Error::new(ErrorCode::CloudUnavailable, "the kubeconfig cannot be written").on(path.display()).caused_by(error)
    };
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: simulated\n\
         clusters:\n- name: simulated\n  cluster:\n    server: http://{address}\n\
         contexts:\n- name: simulated\n  context:\n    cluster: simulated\n    user: simulated\n\
         users:\n- name: simulated\n  user: {{}}\n"
    );
    std::fs::write(&path, text).map_err(failed)?;
    path.canonicalize().map_err(failed)
}

/// A value as a POSIX shell reads it back.
fn quoted(value: &str) -> String {
    let is_plain = |symbol: char| symbol.is_ascii_alphanumeric() || "/:.@_-".contains(symbol);
    if value.chars().all(is_plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', "'\\''")) }
}
