//! `push_image --base REF --layer DIR=/path --target REF [--platform OS/ARCH]… [--cache DIR] [--json]`: layers folders on a base image and
//! pushes the result, and says what that cost.
//!
//! ```text
//! $ cargo run --release --example push_image -- \
//!     --base registry.example/python@sha256:… --layer src=/app --target registry.example/team/app:1 --cache ./cache
//! registry.example/team/app:1@sha256:…
//! 5 requests in 3 round trips, 912.4 KiB sent, 0.031 s of CPU
//! ```

mod arguments;
mod cost;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use chalk_deploy_core::cloud::Registry;
use chalk_deploy_core::image::{BaseImage, Delivered, Delivery, ImageCache, PackingLayer, Pointer};
use chalk_deploy_core::oci::{Credential, OciRegistry, OciSettings, Secret, StaticCredentials, UploadMode};
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_core::transport::meter::{Meter, branch};
use chalk_deploy_core::transport::{NetworkTransport, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result};
use clap::Parser as _;
use futures::join;

use arguments::{Arguments, Place};
use cost::Cost;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread for what waits for the registry; what is computed has threads of its own.
    let executor = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(executor) => executor,
        Err(error) => return failed(&Error::new(ErrorCode::Internal, "no threads can be started").caused_by(error)),
    };
    match executor.block_on(run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a script tells a person why it ends")]
fn failed(error: &Error) -> ExitCode {
    eprintln!("error: {} [{}]", error.sentence(), error.code());
    ExitCode::from(if arguments::is_bad_input(error.code()) { 2 } else { 1 })
}

async fn run(arguments: &Arguments) -> Result<()> {
    let began = Cost::begin();
    let runtime = SystemRuntime::new();
    let cache = arguments.cache.as_deref().map(ImageCache::open).transpose()?;
    let meter = Meter::new();
    let transport = meter.around(transport(arguments)?);
    let registry = Arc::new(OciRegistry::new(transport, runtime, settings(arguments)?));
    if let Some(cache) = &cache {
        registry.remember(cache.memory());
    }
    let remembered = registry.memory();
    let delivered = meter.watch(push(arguments, &registry, cache.as_ref())).await?;
    if let Some(cache) = &cache
        && registry.memory() != remembered
    {
        cache.keep_memory(&registry.memory())?;
    }
    began.end(meter.reading()).print(arguments, &delivered)
}

async fn push(arguments: &Arguments, registry: &Arc<OciRegistry>, cache: Option<&ImageCache>) -> Result<Delivered> {
    let Pointer::Tag(tag) = &arguments.target.pointer else {
        return Err(Error::new(
            ErrorCode::ValueInvalid,
            "an image cannot be pushed to a digest that is not its own yet",
        )
        .on(format!("target `{}`", arguments.target))
        .with_hint("name the target by a tag"));
    };
    let spill = cache.map_or_else(std::env::temp_dir, |cache| cache.folder().to_owned());
    let source: Arc<dyn Registry> = registry.clone();
    let (layers, bases) = join!(
        read(arguments, &spill),
        branch(BaseImage::read_all(&source, &arguments.base, &arguments.platforms, cache))
    );
    // A folder that is not there is the caller's to mend, whatever the registry says.
    let layers = layers?;
    let (repository, tag) = (arguments.target.repository.clone(), Some(tag.clone()));
    Delivery { registry: registry.clone(), repository, tag }.run(&bases?, layers).await
}

/// Reads the folders. On a thread of its own, so that a signal can still end the process as it should.
async fn read(arguments: &Arguments, spill: &Path) -> Result<Vec<(String, PackingLayer)>> {
    let (places, compression, spill) = (arguments.layers.clone(), arguments.compression, spill.to_owned());
    let read = move |place: Place| -> Result<(String, PackingLayer)> {
        let layer = PackingLayer::of_folder(&place.folder, &place.path, compression, &spill)?;
        Ok((place.path, layer))
    };
    let read = tokio::task::spawn_blocking(move || places.into_iter().map(read).collect());
    read.await.map_err(|error| Error::new(ErrorCode::Internal, "the layers were not read").caused_by(error))?
}

fn transport(arguments: &Arguments) -> Result<Transport> {
    let mut builder = NetworkTransport::builder();
    for host in &arguments.plain_http {
        builder = builder.allow_plain_http(host.split(':').next().unwrap_or(host));
    }
    builder.build()
}

fn settings(arguments: &Arguments) -> Result<OciSettings> {
    let mut settings = OciSettings::default().with_upload(UploadMode::Learned);
    for host in &arguments.plain_http {
        settings = settings.with_plain_http(host.as_str());
    }
    let mut credentials = StaticCredentials::new();
    for login in &arguments.logins {
        let secret = std::fs::read_to_string(&login.password_file).map_err(|error| {
            Error::new(ErrorCode::ValueInvalid, "the file with the password cannot be read")
                .on(login.password_file.display())
                .with_hint("name a readable file that holds the password and nothing else")
                .caused_by(error)
        })?;
        let secret = Secret::new(secret.trim_end_matches(['\r', '\n']));
        let credential = Credential::Basic { username: login.user.clone(), secret };
        credentials = credentials.with(login.host.clone(), credential);
    }
    Ok(settings.with_credentials(Arc::new(credentials)))
}
