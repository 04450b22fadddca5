//! The program of the build container on Argo Workflows: reads a source archive, builds the images of a request on
//! their base images, and pushes them by digest.
//!
//! It is told what to build by one word (`chalk_deploy_core::build::envelope`), writes a JSON object a line to stdout, and
//! leaves a report in the files that it is given (`chalk_deploy_core::build::report`). Who it is at the bucket and at the
//! registries, it learns from its surroundings: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, and
//! `config.json` in the folder `DOCKER_CONFIG`. Neither ever gets into a line or a report. What a project requires is
//! installed with the uv on its `PATH`.

#![expect(clippy::print_stderr, reason = "a container is read by its output")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use chalk_deploy_core::bucket::{Bucket, S3CredentialSource, S3Credentials};
use chalk_deploy_core::build::report::BuildReport;
use chalk_deploy_core::build::{
    BuildFolder, DependencySettings, InProcessBuilder, container, docker_config, envelope,
};
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::NetworkTransport;
use chalk_deploy_core::{Error, ErrorCode, Result};
use clap::Parser;

/// What uv may see of the container's environment: the index and whom to trust, which the embedder sets.
const INSTALLER_SEES: [&str; 6] =
    ["UV_DEFAULT_INDEX", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "NO_PROXY"];

/// Builds and pushes the images of one build request
#[derive(Debug, Parser)]
#[command(name = "build-image", version)]
struct Arguments {
    /// The request, as the builder outside has sealed it
    #[arg(long, value_name = "WORD")]
    request: String,

    /// The source bucket
    #[arg(long, value_name = "URL")]
    bucket: String,

    /// Where the report is left; may be given more than once
    #[arg(long = "report", value_name = "FILE")]
    reports: Vec<PathBuf>,

    /// A host that may be reached without TLS; may be given more than once
    #[arg(long, value_name = "HOST")]
    plain_http: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = match build(&arguments).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {}", error.sentence());
            BuildReport::Error(error.record())
        }
    };
    let written = report.to_json();
    let mut code = u8::from(matches!(report, BuildReport::Error(_)));
    for file in &arguments.reports {
        if let Err(error) = std::fs::write(file, &written) {
            eprintln!("error: the report cannot be left in {}: {error}", file.display());
            code = 1;
        }
    }
    ExitCode::from(code)
}

async fn build(arguments: &Arguments) -> Result<BuildReport> {
    let request = envelope::open(&arguments.request)?;
    let runtime: Arc<dyn Runtime> = SystemRuntime::new();
    let mut network = NetworkTransport::builder().runtime(runtime.clone());
    let mut settings = OciSettings::default();
    for host in &arguments.plain_http {
        network = network.allow_plain_http(without_port(host));
        settings = settings.with_plain_http(host.clone());
    }
    if let Some(credentials) = registry_credentials()? {
        settings = settings.with_credentials(Arc::new(credentials));
    }
    let network = network.build()?;
    let bucket = Bucket::from_url(&arguments.bucket, network.clone(), bucket_credentials(), runtime.clone())?;
    let registry = Arc::new(OciRegistry::new(network, runtime.clone(), settings));
    let builder = InProcessBuilder::new(Arc::new(bucket), registry.clone(), BuildFolder::temporary()?, runtime.clone())
        .with_dependencies(installation());
    let mut write = |line: String| {
        let mut output = std::io::stdout().lock();
        // Whoever reads the lines may be gone; the build goes on.
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    };
    Ok(container::run(&request, &builder, &*registry, &mut write).await)
}

/// uv, from the index that the container is told of.
fn installation() -> DependencySettings {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let settings = DependencySettings::new(std::env::split_paths(&path));
    INSTALLER_SEES.iter().fold(settings, |settings, name| match std::env::var_os(name) {
        Some(value) => settings.with_variable(name, value),
        None => settings,
    })
}

fn registry_credentials() -> Result<Option<chalk_deploy_core::oci::StaticCredentials>> {
    let Some(folder) = variable("DOCKER_CONFIG") else { return Ok(None) };
    let path = Path::new(&folder).join("config.json");
    let document = std::fs::read(&path).map_err(|error| {
        Error::new(ErrorCode::PermissionDenied, "the credentials of the registries cannot be read")
            .on(path.display())
            .caused_by(error)
    })?;
    docker_config::read(&document).map(Some)
}

/// The variables that every client of S3 reads.
fn bucket_credentials() -> Option<Arc<dyn S3CredentialSource>> {
    let credentials = S3Credentials::new(variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    Some(Arc::new(match variable("AWS_SESSION_TOKEN") {
        Some(token) => credentials.with_session_token(token),
        None => credentials,
    }))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn without_port(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}
