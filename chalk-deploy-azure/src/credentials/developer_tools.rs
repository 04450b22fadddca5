//! Whom a person is logged in as: in the Azure CLI (`az`), else in the Azure Developer CLI (`azd`). Azure PowerShell is not
//! asked.
//!
//! These are programs and no requests, so the transport has no part in them. They are asked for the pinned tenant.
//!
//! `azure_identity` has `/bin/sh` look for them in the folders of `PATH`, from `/bin`, so that a program in the current
//! folder is not taken for one of them. Whoever may write to a folder of `PATH` decides what is run and whose token is
//! shown: a service that has an identity of its own switches this link off ([`Deployed`](super::CredentialChoice::Deployed)).

use std::ffi::OsStr;
use std::io;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential as _};
use azure_core::error::ErrorKind;
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential, AzureDeveloperCliCredentialOptions,
    Executor,
};
use chalk_deploy_core::credentials::{BearerToken, Lent};
use chalk_deploy_core::runtime::{Runtime, RuntimeExt as _};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::tenant::Tenant;
use super::wire::lent;
use super::{Link, LinkError};
use crate::refusal::{AadCode, Refusal};

/// `az` is started, loads itself and asks Entra ID; where it has to ask a person it never ends.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a tool writes at most: a token, or why there is none.
const WRITTEN_MOST: u64 = 1 << 20;

/// The tools of a developer.
#[derive(Debug)]
pub(super) struct DeveloperTools {
    /// Which are asked, in order.
    pub(super) tools: &'static [Tool],
    pub(super) tenant: Option<Tenant>,
    pub(super) runtime: Arc<dyn Runtime>,
    /// What starts programs.
    pub(super) executor: Arc<dyn Executor>,
}

#[async_trait]
impl Link for DeveloperTools {
    fn name(&self) -> &'static str {
        "developer tools"
    }

    async fn issue(&self, scope: &str) -> Result<Lent<BearerToken>, LinkError> {
        let mut reasons = Vec::new();
        for &tool in self.tools {
            match self.ask(tool, scope).await {
                Ok(token) => return Ok(lent(&token, &*self.runtime)),
                Err(LinkError::NotHere(error)) => reasons.push(format!("{}: {}", tool.name(), error.message())),
                Err(refused) => return Err(refused),
            }
        }
        Err(LinkError::NotHere(
            Error::new(ErrorCode::PermissionDenied, reasons.join("; ")).on("developer tools").with_hint(self.login()),
        ))
    }
}

/// A program that knows who is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// The Azure CLI.
    Az,
    /// The Azure Developer CLI.
    Azd,
}

impl Tool {
    const fn name(self) -> &'static str {
        match self {
            Self::Az => "az",
            Self::Azd => "azd",
        }
    }
}

impl DeveloperTools {
    /// What a person can do.
    fn login(&self) -> String {
        let of = |flag: &str| self.tenant.as_ref().map_or_else(String::new, |tenant| format!(" {flag} {tenant}"));
        match self.tools {
            [Tool::Azd] => format!("run `azd auth login{}`", of("--tenant-id")),
            _ => format!("run `az login{}`", of("--tenant")),
        }
    }

    async fn ask(&self, tool: Tool, scope: &str) -> Result<AccessToken, LinkError> {
        let scopes = [scope];
        let fetched = async {
            let tenant_id = self.tenant.as_ref().map(|tenant| tenant.as_str().to_owned());
            let executor: Option<Arc<dyn Executor>> = Some(Arc::new(Quiet(self.executor.clone())));
            match tool {
                Tool::Az => {
                    let options = AzureCliCredentialOptions { tenant_id, executor, ..Default::default() };
                    AzureCliCredential::new(Some(options))?.get_token(&scopes, None).await
                }
                Tool::Azd => {
                    let options = AzureDeveloperCliCredentialOptions { tenant_id, executor };
                    AzureDeveloperCliCredential::new(Some(options))?.get_token(&scopes, None).await
                }
            }
        };
        let Some(token) = self.runtime.within(PATIENCE, fetched).await else {
            return Err(LinkError::NotHere(Error::new(ErrorCode::CloudUnavailable, "it does not end")));
        };
        token.map_err(|error| self.judged(tool, &error))
    }

    /// What a tool's failure means. Its words are shown, what it has given never is.
    fn judged(&self, tool: Tool, error: &azure_core::Error) -> LinkError {
        let words = words(error);
        let subject = format!("`{}`", tool.name());
        match AadCode::within(&words) {
            Some(code) => {
                let refusal = Refusal::of_entra(Some(code), &words);
                LinkError::Refused(refusal.into_error(&subject, None, self.runtime.now()))
            }
            None => LinkError::NotHere(Error::new(ErrorCode::PermissionDenied, text::line(&words, 200)).on(subject)),
        }
    }
}

/// The innermost words: what stands around them names the tool once more, and a page of troubleshooting.
fn words(error: &azure_core::Error) -> String {
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    // What cannot be parsed is quoted by parsers, and may be a token.
    let is_parsed = |error: &azure_core::Error| matches!(error.kind(), ErrorKind::DataConversion);
    let parsed =
        innermost.downcast_ref::<azure_core::Error>().map_or_else(|| innermost.is::<serde_json::Error>(), is_parsed);
    if parsed { "its answer is no token; use a newer version of it".to_owned() } else { innermost.to_string() }
}

/// Starts programs, which read nothing, write a bounded text, and end with whoever waits for them.
#[derive(Debug)]
pub(super) struct Programs;

#[async_trait]
impl Executor for Programs {
    async fn run(&self, program: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = futures::try_join!(written(stdout), written(stderr))?;
        Ok(Output { status: child.wait().await?, stdout, stderr })
    }
}

async fn written(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut written = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(WRITTEN_MOST + 1).read_to_end(&mut written).await?;
    }
    if written.len() as u64 > WRITTEN_MOST {
        return Err(io::Error::other("it writes without an end"));
    }
    Ok(written)
}

/// Takes what a program has written only when it went well.
#[derive(Debug)]
struct Quiet(Arc<dyn Executor>);

#[async_trait]
impl Executor for Quiet {
    async fn run(&self, program: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
        let mut output = self.0.run(program, arguments).await?;
        if !output.status.success() {
            output.stdout.clear();
        }
        Ok(output)
    }
}
