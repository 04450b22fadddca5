//! Files of credentials, by the kind that they say they are.
//!
//! | `type` | who makes it |
//! |---|---|
//! | `service_account` | the console, for a key of a service account |
//! | `authorized_user` | `gcloud auth application-default login` |
//! | `impersonated_service_account` | the same with `--impersonate-service-account` |
//! | `external_account` | `gcloud iam workload-identity-pools create-cred-config` |

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, Lender as _, Lent};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use serde::Deserialize;

use super::Exchange;
use super::chain::Link;
use super::federation::{ExternalAccount, Federation};
use super::identity::AnyLender;
use super::impersonation::{ImpersonatedAccount, Impersonation};
use super::service_account::{ServiceAccount, ServiceAccountFile};
use super::user::{AuthorizedUser, User};

/// No file of credentials is longer.
const LONGEST: u64 = 64 << 10;

/// Whether a file has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Somebody has named it.
    Required,
    /// It is where such files usually lie.
    Optional,
}

/// A file of credentials, read anew for every token: whoever rotates it need not restart anything.
pub(crate) struct FileLink {
    path: PathBuf,
    presence: Presence,
    exchange: Exchange,
}

impl FileLink {
    pub(crate) fn new(path: impl Into<PathBuf>, presence: Presence, exchange: Exchange) -> Self {
        Self { path: path.into(), presence, exchange }
    }
}

#[async_trait]
impl Link for FileLink {
    fn name(&self) -> String {
        format!("credentials file {}", text::line(&self.path.display().to_string(), 200))
    }

    async fn lend(&self) -> Result<Option<Lent<BearerToken>>> {
        let text = match read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.presence == Presence::Optional => {
                return Ok(None);
            }
            Err(error) => {
                return Err(Error::new(ErrorCode::PermissionDenied, "the file cannot be read")
                    .on(self.name())
                    .with_hint("check the path and who may read it")
                    .caused_by(error));
            }
        };
        self.exchange.counted_for().find(quota_project(&text).as_deref());
        let account = parse(&text, &self.exchange).map_err(|error| {
            let place =
                if error.subject().is_empty() { self.name() } else { format!("{}: {}", self.name(), error.subject()) };
            error.on(place)
        })?;
        account.lend().await.map(Some)
    }
}

impl fmt::Debug for FileLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())
    }
}

#[derive(Deserialize)]
struct Kind {
    r#type: String,
    universe_domain: Option<String>,
}

/// The project that calls by a file's credentials are counted for, if it names one.
fn quota_project(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        quota_project_id: Option<String>,
    }
    serde_json::from_str::<Named>(text).ok()?.quota_project_id
}

/// The account that a file is about.
pub(crate) fn parse(text: &str, exchange: &Exchange) -> Result<AnyLender> {
    let kind: Kind = document(text, "a file of credentials")?;
    if kind.universe_domain.as_deref().is_some_and(|universe| universe != "googleapis.com") {
        return Err(Error::new(ErrorCode::ValueInvalid, "it is for another cloud than googleapis.com")
            .with_hint("use credentials of Google's public cloud"));
    }
    let exchange = exchange.clone();
    Ok(AnyLender(match kind.r#type.as_str() {
        "service_account" => Arc::new(ServiceAccount::new(
            document::<ServiceAccountFile>(text, "a key of a service account")?,
            text,
            exchange,
        )?),
        "authorized_user" => Arc::new(User::new(document::<AuthorizedUser>(text, "a user's login")?, exchange)),
        "external_account" => {
            Arc::new(Federation::new(document::<ExternalAccount>(text, "a configuration of federation")?, exchange)?)
        }
        "impersonated_service_account" => {
            let file: ImpersonatedAccount = document(text, "an impersonated service account")?;
            Arc::new(Impersonation::of_file(file, exchange)?)
        }
        other => {
            return Err(Error::new(
                ErrorCode::ValueInvalid,
                format!("it holds credentials of the type `{}`", text::line(other, 60)),
            )
            .with_hint(
                "use a service_account, an authorized_user, an impersonated_service_account or an external_account",
            ));
        }
    }))
}

/// Reads a document; the error shows nothing of it.
fn document<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(
            ErrorCode::ValueInvalid,
            format!("this is no {}", what.trim_start_matches("a ").trim_start_matches("an ")),
        )
        .on(format!("line {}", error.line()))
        .with_hint("take the file from Google's console or from gcloud, and leave it as it is")
    })
}

fn read(path: &Path) -> std::io::Result<String> {
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(std::io::Error::other(format!("it is longer than {}", text::bytes(LONGEST))));
    }
    Ok(text)
}
