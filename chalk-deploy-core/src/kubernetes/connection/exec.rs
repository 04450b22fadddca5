//! Credential plugins: programs that a kubeconfig wants run. A kubeconfig comes from strangers, so none is run that the
//! caller has not allowed by its absolute path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::Secret;
use crate::model::Timestamp;
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::{Error, ErrorCode, Result, text};

/// What a plugin may write.
const OUTPUT_MOST: u64 = 256 << 10;
/// A credential is renewed this long before it expires.
const EARLY: Duration = Duration::from_mins(1);

/// Which programs a kubeconfig may have run. By default none.
#[derive(Debug, Clone, Default)]
pub struct ExecPolicy {
    allowed: Vec<PathBuf>,
    variables: Vec<String>,
    limit: Option<Duration>,
}

impl ExecPolicy {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// Allows one more program. A kubeconfig that names it without a path means this one.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when the path is not absolute.
    pub fn allow(mut self, program: impl Into<PathBuf>) -> Result<Self> {
        let program = program.into();
        if !program.is_absolute() {
            return Err(Error::new(ErrorCode::ValueInvalid, "a credential plugin is allowed by its absolute path")
                .on(program.display()));
        }
        self.allowed.push(program);
        Ok(self)
    }

    /// Lets the programs see this variable of our environment (`PATH`, `HOME`, `AWS_PROFILE`). They see nothing else
    /// but what the kubeconfig gives them.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>) -> Self {
        self.variables.push(name.into());
        self
    }

    /// How long a program may run; 30 seconds unless said otherwise.
    #[must_use]
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    fn program(&self, command: &str) -> Option<&Path> {
        let wanted = Path::new(command);
        let same = |program: &&PathBuf| {
            if command.contains(['/', '\\']) {
                **program == wanted
            } else {
                program.file_name() == Some(wanted.as_os_str())
            }
        };
        self.allowed.iter().find(same).map(PathBuf::as_path)
    }
}

/// The `exec` of a user in a kubeconfig.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExecSection {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    env: Option<Vec<Variable>>,
}

#[derive(Clone, Deserialize)]
struct Variable {
    name: String,
    value: String,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}=…", self.name)
    }
}

/// An allowed program with what it is called with. Its arguments and variables may be secret and are not shown.
pub struct ExecPlugin {
    program: PathBuf,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    inherited: Vec<String>,
    api_version: String,
    limit: Duration,
}

impl std::fmt::Debug for ExecPlugin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ExecPlugin({})", self.program.display())
    }
}

/// When a credential must be asked for anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// When it is refused.
    Never,
    /// When it expires.
    At(Timestamp),
}

impl Renewal {
    pub(super) fn is_due(self, now: Timestamp) -> bool {
        match self {
            Self::Never => false,
            Self::At(expiry) => now.plus(EARLY) >= expiry,
        }
    }
}

impl ExecPlugin {
    pub(super) fn allowed(section: ExecSection, policy: &ExecPolicy) -> Result<Self> {
        let command = section.command.unwrap_or_default();
        let shown = text::line(&command, 200);
        let Some(program) = policy.program(&command) else {
            return Err(Error::new(
                ErrorCode::PermissionDenied,
                "the kubeconfig wants a program run, and it is not allowed",
            )
            .on(format!("credential plugin `{shown}`"))
            .with_hint("allow it by its absolute path, or use a kubeconfig with a token"));
        };
        let api_version = section.api_version.unwrap_or_default();
        if !matches!(api_version.as_str(), "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1") {
            return Err(Error::new(
                ErrorCode::ValueInvalid,
                "the credential plugin speaks a version that is not known",
            )
            .on(format!("credential plugin `{shown}`"))
            .with_hint("make the kubeconfig again with a newer tool; `client.authentication.k8s.io/v1` is known"));
        }
        let variables = section.env.unwrap_or_default();
        Ok(Self {
            program: program.to_owned(),
            arguments: section.args.unwrap_or_default(),
            variables: variables.into_iter().map(|variable| (variable.name, variable.value)).collect(),
            inherited: policy.variables.clone(),
            api_version,
            limit: policy.limit.unwrap_or(Duration::from_secs(30)),
        })
    }

    /// Runs it once.
    pub(super) async fn run(&self, server: &str, runtime: &dyn Runtime) -> Result<(Secret, Renewal)> {
        let failed = |what: String| {
            Error::new(ErrorCode::PermissionDenied, what)
                .on(format!("credential plugin {}", self.program.display()))
                .with_hint("run it by hand and correct what it reports")
        };
        let Some(ran) = runtime.within(self.limit, self.output(server)).await else {
            return Err(failed(format!("it did not end within {} s, and was stopped", self.limit.as_secs())));
        };
        let output = ran.map_err(|error| failed(format!("it cannot be run: {error}")))?;
        if !output.success {
            let words = text::line(output.errors.lines().next().unwrap_or_default(), 200);
            return Err(failed(if words.is_empty() { "it failed".to_owned() } else { format!("it failed: {words}") }));
        }
        if output.bytes.len() as u64 > OUTPUT_MOST {
            return Err(failed(format!("it wrote more than {}", text::bytes(OUTPUT_MOST))));
        }
        self.read(&output.bytes).map_err(failed)
    }

    fn read(&self, bytes: &[u8]) -> Result<(Secret, Renewal), String> {
        // The parser's own words could hold a piece of the secret.
        let credential: ExecCredential =
            serde_json::from_slice(bytes).map_err(|_| "what it wrote is no ExecCredential".to_owned())?;
        if credential.kind != "ExecCredential" || credential.api_version != self.api_version {
            return Err(format!("what it wrote is no ExecCredential of {}", self.api_version));
        }
        let status = credential.status.ok_or("it wrote no credential")?;
        if status.client_certificate_data.is_some() {
            return Err("it gives a client certificate; only tokens are taken from a plugin".to_owned());
        }
        let token = status.token.filter(|token| !token.expose().trim().is_empty()).ok_or("it wrote no token")?;
        let renewal = status.expiration_timestamp.map_or(Renewal::Never, |Time(expiry)| {
            Renewal::At(Timestamp::from_millis(u64::try_from(expiry.as_millisecond()).unwrap_or_default()))
        });
        Ok((token, renewal))
    }

    async fn output(&self, server: &str) -> std::io::Result<Output> {
        let info = json!({
            "apiVersion": self.api_version, "kind": "ExecCredential",
            "spec": {"interactive": false, "cluster": {"server": server}},
        });
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.inherited.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(&self.variables)
            .env("KUBERNETES_EXEC_INFO", info.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut bytes, mut errors) = (Vec::new(), Vec::new());
        let read = async {
            if let Some(stdout) = stdout {
                stdout.take(OUTPUT_MOST + 1).read_to_end(&mut bytes).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let read_errors = async {
            if let Some(stderr) = stderr {
                stderr.take(OUTPUT_MOST).read_to_end(&mut errors).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        futures::try_join!(read, read_errors)?;
        let success = if bytes.len() as u64 > OUTPUT_MOST {
            // It would wait for a reader that is gone.
            child.start_kill()?;
            true
        } else {
            child.wait().await?.success()
        };
        Ok(Output { success, bytes, errors: String::from_utf8_lossy(&errors).into_owned() })
    }
}

struct Output {
    success: bool,
    bytes: Vec<u8>,
    errors: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    status: Option<ExecStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecStatus {
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    client_certificate_data: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    expiration_timestamp: Option<Time>,
}
