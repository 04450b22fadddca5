//! What is asked for.

use std::path::PathBuf;
use std::str::FromStr;

use chalk_deploy_core::image::{Compression, ImageName};
use chalk_deploy_core::model::Platform;
use chalk_deploy_core::{Error, ErrorCode};
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  push_image --base 127.0.0.1:5000/python:3.11 --layer src=/app --target 127.0.0.1:5000/app:1
  push_image --base r.example/python@sha256:… --layer deps=/opt/deps --layer src=/app --target r.example/app:1 \\
             --cache ~/.cache/push_image --login r.example=robot:password.txt --json
  push_image --base r.example/python:3.11 --layer src=/app --target r.example/app:1 \\
             --platform linux/amd64 --platform linux/arm64

Plain http is spoken to this machine only, unless a host is named with --plain-http.

With --cache the base image's manifest and config, and what was learned of the registries, are kept between processes:
a base image named by its digest then costs no request, and an image that is there already costs one.

Exit codes: 0 the image is there    1 it is not    2 bad input";

/// Layers folders on a base image, pushes the result, and says what that cost.
#[derive(Debug, Parser)]
#[command(name = "push_image", version, after_help = EXAMPLES, max_term_width = 120)]
pub(crate) struct Arguments {
    /// The base image, by digest or by tag
    #[arg(long, value_name = "REF")]
    pub(crate) base: ImageName,

    /// A folder, and where in the image it lies; may be given again, each is a layer
    #[arg(long = "layer", value_name = "DIR=/path", required = true)]
    pub(crate) layers: Vec<Place>,

    /// Where the image goes, with its tag
    #[arg(long, value_name = "REF")]
    pub(crate) target: ImageName,

    /// Keep what the next run need not ask for in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,

    /// How layers are packed: `zstd`, or `gzip` for runtimes older than containerd 1.5 and Docker 23
    #[arg(long, value_name = "KIND", default_value = "zstd")]
    pub(crate) compression: Compression,

    /// The platform of the image; given again, the image is an index with one image for each, and so must the base be
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]", default_value = "linux/amd64", value_parser = platform)]
    pub(crate) platforms: Vec<Platform>,

    /// Log in to a registry with the password in a file; may be given again
    #[arg(long = "login", value_name = "HOST=USER:FILE")]
    pub(crate) logins: Vec<Login>,

    /// Speak plain http to this host, too; may be given again
    #[arg(long, value_name = "HOST")]
    pub(crate) plain_http: Vec<String>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A platform as it is given, or what is wrong with it; the value itself is shown by clap.
fn platform(given: &str) -> Result<Platform, String> {
    given.parse().map_err(|error: Error| format!("{}; {}", error.message(), error.hint()))
}

/// A folder, and where in the image it lies.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) path: String,
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.rsplit_once('=') {
            Some((folder, path)) if !folder.is_empty() && path.starts_with('/') => {
                Ok(Self { folder: folder.into(), path: path.to_owned() })
            }
            _ => Err(Error::new(ErrorCode::ValueInvalid, "a layer is written as DIR=/path")),
        }
    }
}

/// Who we are to a registry.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) password_file: PathBuf,
}

impl FromStr for Login {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts = text.split_once('=').and_then(|(host, rest)| Some((host, rest.split_once(':')?)));
        match parts {
            Some((host, (user, file))) if !host.is_empty() && !user.is_empty() && !file.is_empty() => {
                Ok(Self { host: host.to_owned(), user: user.to_owned(), password_file: file.into() })
            }
            _ => Err(Error::new(ErrorCode::ValueInvalid, "a login is written as HOST=USER:FILE")),
        }
    }
}

/// Whether the person must change what they gave.
pub(crate) const fn is_bad_input(code: ErrorCode) -> bool {
    use ErrorCode as Code;
    matches!(
        code,
        Code::ValueInvalid
            | Code::SourceUnreadable
            | Code::SourceChanged
            | Code::StoreUnavailable
            | Code::ArchiveEntryName
            | Code::ArchiveEntryType
            | Code::ArchiveLinkEscape
    )
}
