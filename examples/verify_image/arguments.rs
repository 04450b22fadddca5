//! What is asked for.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use chalk_deploy_core::evidence::VerificationKey;
use chalk_deploy_core::image::ImageName;
use chalk_deploy_core::oci::{Credential, OciSettings, Secret, StaticCredentials};
use chalk_deploy_core::transport::{NetworkTransport, Transport};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  verify_image 127.0.0.1:5000/chalk/engine-default:1 --key chalk.pub
  verify_image r.example/chalk/engine-prod@sha256:… --key chalk.pub --login r.example=robot:password.txt --json

The key is the public one, in PEM form: P-256 or Ed25519. Plain http is spoken to this machine only, unless a host is named
with --plain-http.

An image that has not both, a provenance statement and a bill of materials about its very digest, signed with the key, is
not verified. What is signed with other keys counts for nothing and hides nothing.

Exit codes: 0 verified    1 not verified, or it could not be found out    2 bad input";

/// No file with a key or a password is longer.
const LONGEST: u64 = 64 << 10;

/// Verifies where an image came from and what is in it, by the evidence that is attached to it in its registry.
#[derive(Debug, Parser)]
#[command(name = "verify_image", version, after_help = EXAMPLES, max_term_width = 120)]
pub(crate) struct Arguments {
    /// The image, by digest or by tag
    #[arg(value_name = "REF")]
    pub(crate) image: ImageName,

    /// The public key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// Log in to a registry with the password in a file; may be given again
    #[arg(long = "login", value_name = "HOST=USER:FILE")]
    logins: Vec<Login>,

    /// Speak plain http to this host, too; may be given again
    #[arg(long, value_name = "HOST")]
    plain_http: Vec<String>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who we are to a registry.
#[derive(Debug, Clone)]
struct Login {
    host: String,
    user: String,
    password_file: PathBuf,
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

impl Arguments {
    pub(crate) fn key(&self) -> Result<VerificationKey> {
        VerificationKey::from_pem(&read(&self.key, "key")?).map_err(|error| error.on(shown("key", &self.key)))
    }

    pub(crate) fn transport(&self) -> Result<Transport> {
        let mut builder = NetworkTransport::builder();
        for host in &self.plain_http {
            builder = builder.allow_plain_http(host.split(':').next().unwrap_or(host));
        }
        builder.build()
    }

    pub(crate) fn settings(&self) -> Result<OciSettings> {
        let mut settings = OciSettings::default();
        for host in &self.plain_http {
            settings = settings.with_plain_http(host.as_str());
        }
        let mut credentials = StaticCredentials::new();
        for login in &self.logins {
            let secret = read(&login.password_file, "password")?;
            let secret = Secret::new(secret.trim_end_matches(['\r', '\n']));
            let credential = Credential::Basic { username: login.user.clone(), secret };
            credentials = credentials.with(login.host.clone(), credential);
        }
        Ok(settings.with_credentials(Arc::new(credentials)))
    }
}

fn read(path: &Path, what: &str) -> Result<String> {
    let mut content = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut content));
    read.map_err(|error| {
        Error::new(ErrorCode::ValueInvalid, format!("the file with the {what} cannot be read"))
            .on(shown(what, path))
            .with_hint(format!("name a readable file that holds the {what} and nothing else"))
            .caused_by(error)
    })?;
    Ok(content)
}

fn shown(what: &str, path: &Path) -> String {
    text::line(&format!("{what} {}", path.display()), 300)
}
