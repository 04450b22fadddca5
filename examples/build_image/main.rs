//! The program of the build containers on Argo Workflows: reads a source archive, builds the images of a request on
//! their base images, and pushes them by digest; or does what comes before and after the commands of a project's own
//! Dockerfile.
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
use chalk_deploy_core::build::dockerfile::{self, BasePolicy, ImagePolicy};
use chalk_deploy_core::build::report::{BuildLine, BuildReport};
use chalk_deploy_core::build::{BuildFolder, DependencySettings, InProcessBuilder, container, docker_config, envelope};
use chalk_deploy_core::model::Repository;
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::source::ArchiveLimits;
use chalk_deploy_core::transport::{NetworkTransport, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};
use clap::{Args, Parser, Subcommand};

/// What uv may see of the container's environment: the index and whom to trust, which the embedder sets.
const INSTALLER_SEES: [&str; 6] =
    ["UV_DEFAULT_INDEX", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "NO_PROXY"];

/// Does a container's part of a build on Argo Workflows
#[derive(Debug, Parser)]
#[command(name = "build-image", version)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Builds the images of a request on their base images, and pushes them
    Build {
        /// The request, as the builder outside has sealed it
        #[arg(long, value_name = "WORD")]
        request: String,
        /// The source bucket
        #[arg(long, value_name = "URL")]
        bucket: String,
        #[command(flatten)]
        common: Common,
    },
    /// Unpacks the source of a request, and judges its Dockerfile
    Unpack {
        /// The request, as the builder outside has sealed it
        #[arg(long, value_name = "WORD")]
        request: String,
        /// The source bucket
        #[arg(long, value_name = "URL")]
        bucket: String,
        /// Where the source and what the executor is given go
        #[arg(long, value_name = "DIR")]
        project: PathBuf,
        /// A repository whose tags a Dockerfile may name; may be given more than once
        #[arg(long, value_name = "REPOSITORY")]
        allow_tags_of: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Verifies the images that an executor has made of a Dockerfile, and pushes them
    Push {
        /// A file with the request, as the builder outside has sealed it
        #[arg(long, value_name = "FILE")]
        request_file: PathBuf,
        /// Where the executor has left the images
        #[arg(long, value_name = "DIR")]
        images: PathBuf,
        /// Takes images whose user is root
        #[arg(long)]
        allow_root: bool,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// Where the report is left; may be given more than once
    #[arg(long = "report", value_name = "FILE")]
    reports: Vec<PathBuf>,

    /// A host that may be reached without TLS; may be given more than once
    #[arg(long, value_name = "HOST")]
    plain_http: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { part } = Arguments::parse();
    let report = match run(&part).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {}", error.sentence());
            Some(BuildReport::Error(error.record()))
        }
    };
    let mut code = u8::from(matches!(report, Some(BuildReport::Error(_))));
    let written = report.map(|report| report.to_json()).unwrap_or_default();
    for file in &part.common().reports {
        if let Err(error) = std::fs::write(file, &written) {
            eprintln!("error: the report cannot be left in {}: {error}", file.display());
            code = 1;
        }
    }
    ExitCode::from(code)
}

/// Does the part. There is no report of what only prepares.
async fn run(part: &Part) -> Result<Option<BuildReport>> {
    let servers = Servers::new(&part.common().plain_http)?;
    match part {
        Part::Build { request, bucket, .. } => {
            let request = envelope::open(request)?;
            let (bucket, folder) = (servers.bucket(bucket)?, BuildFolder::temporary()?);
            let registry = servers.registry.clone();
            let builder = InProcessBuilder::new(Arc::new(bucket), registry.clone(), folder, servers.runtime.clone())
                .with_dependencies(installation());
            Ok(Some(container::run(&request, &builder, &*registry, &mut print).await))
        }
        Part::Unpack { request, bucket, project, allow_tags_of, .. } => {
            let mut policy = BasePolicy::by_digest();
            for repository in allow_tags_of {
                policy = policy.allowing_tags_of(&Repository::new(repository)?);
            }
            let (request, bucket) = (envelope::open(request)?, servers.bucket(bucket)?);
            let limits = ArchiveLimits::default();
            let done = dockerfile::unpack(&request, &bucket, limits, &policy, project, &mut say).await;
            Ok(done.err().map(|error| container::report(Err(error), &mut print)))
        }
        Part::Push { request_file, images, allow_root, .. } => {
            let word = std::fs::read_to_string(request_file).map_err(|error| {
                let message = "the request cannot be read";
                Error::new(ErrorCode::StoreUnavailable, message).on(request_file.display()).caused_by(error)
            })?;
            let request = envelope::open(&word)?;
            let policy = ImagePolicy { allows_root: *allow_root };
            let pushed = dockerfile::push(&request, &*servers.registry, policy, images, &mut say).await;
            Ok(Some(container::report(pushed, &mut print)))
        }
    }
}

impl Part {
    const fn common(&self) -> &Common {
        match self {
            Self::Build { common, .. } | Self::Unpack { common, .. } | Self::Push { common, .. } => common,
        }
    }
}

fn say(step: &str, line: String) {
    print(BuildLine { step: step.to_owned(), line }.to_json());
}

fn print(mut line: String) {
    line.push('\n');
    let mut output = std::io::stdout().lock();
    // Whoever reads the lines may be gone; the build goes on.
    let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
}

/// What a part talks to.
struct Servers {
    runtime: Arc<dyn Runtime>,
    network: Transport,
    registry: Arc<OciRegistry>,
}

impl Servers {
    fn new(plain_http: &[String]) -> Result<Self> {
        let runtime: Arc<dyn Runtime> = SystemRuntime::new();
        let mut network = NetworkTransport::builder().runtime(runtime.clone());
        let mut settings = OciSettings::default();
        for host in plain_http {
            network = network.allow_plain_http(without_port(host));
            settings = settings.with_plain_http(host.clone());
        }
        if let Some(credentials) = registry_credentials()? {
            settings = settings.with_credentials(Arc::new(credentials));
        }
        let network = network.build()?;
        let registry = Arc::new(OciRegistry::new(network.clone(), runtime.clone(), settings));
        Ok(Self { runtime, network, registry })
    }

    fn bucket(&self, url: &str) -> Result<Bucket> {
        Bucket::from_url(url, self.network.clone(), bucket_credentials(), self.runtime.clone())
    }
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
