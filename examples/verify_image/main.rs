//! `verify_image REF --key FILE [--json]`: whether an image has a provenance statement and a bill of materials about its
//! very digest, signed with a key. Whatever is in doubt is a no.
//!
//! ```text
//! $ cargo run --release --example verify_image -- 127.0.0.1:5000/chalk/engine-default:1 --key chalk.pub
//! 127.0.0.1:5000/chalk/engine-default@sha256:… is verified
//! provenance sha256:…: fraud by https://…#builder-in-process, for deployment c…, of archive sha256:…
//! bill of materials sha256:…: components 1, completeness unknown
//! ```

mod arguments;
mod report;

use std::process::ExitCode;

use chalk_deploy_core::cloud::{ManifestLocator, Registry as _};
use chalk_deploy_core::evidence::{Verified, verify};
use chalk_deploy_core::image::Pointer;
use chalk_deploy_core::oci::OciRegistry;
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_core::{Error, ErrorCode, Result};
use clap::Parser as _;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(verified) => {
            report::verified(&verified, arguments.json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            report::refused(&error, arguments.json);
            ExitCode::from(if error.code() == ErrorCode::ValueInvalid { 2 } else { 1 })
        }
    }
}

fn start(arguments: &Arguments) -> Result<Verified> {
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorCode::Internal, "no threads can be started").caused_by(error))?;
    executor.block_on(run(arguments))
}

async fn run(arguments: &Arguments) -> Result<Verified> {
    let key = arguments.key()?;
    let registry = OciRegistry::new(arguments.transport()?, SystemRuntime::new(), arguments.settings()?);
    let repository = &arguments.image.repository;
    let digest = match &arguments.image.pointer {
        Pointer::Digest(digest) => *digest,
        // What the tag points to may change; what is verified is what it points to now.
        Pointer::Tag(tag) => {
            let found = registry.manifest(repository, &ManifestLocator::Tag(tag.clone())).await?;
            let missing = || {
                Error::new(ErrorCode::ImageMismatch, "the registry does not have the image")
                    .on(&arguments.image)
                    .with_hint("check the name; nothing was verified")
            };
            found.ok_or_else(missing)?.digest()
        }
    };
    verify(&registry, repository, &digest, &key).await
}
