//! Real servers on this machine, for tests: the commands of the folder `testbed/` as an API.
//!
//! ```no_run
//! # async fn example() -> chalk_deploy_core::Result<()> {
//! use chalk_deploy_testkit::testbed::{Identity, Testbed};
//!
//! let testbed = Testbed::start("testbed").await?;
//! let namespace = testbed.environment(&"staging".parse()?).await?;
//! let cluster = testbed.connection(Identity::Pipeline)?;
//! # drop((namespace, cluster));
//! testbed.stop().await
//! # }
//! ```
//!
//! What it starts runs in a network namespace of its own without a way out, and needs root. Two that start it are on the
//! same one; it stays up until someone stops it.

mod command;
mod fault;
mod plane;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chalk_deploy_core::model::{EnvironmentId, Namespace};
use chalk_deploy_core::{Error, ErrorCode, Result, text};

pub use self::fault::{End, Part};
pub use self::plane::{Identity, Parts};

/// The running testbed. Clones are the same one.
#[derive(Clone)]
pub struct Testbed {
    commands: PathBuf,
    values: Arc<BTreeMap<String, String>>,
}

impl fmt::Debug for Testbed {
    /// Among the values are secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Testbed").field("commands", &self.commands).finish_non_exhaustive()
    }
}

impl Testbed {
    /// Brings it up by the commands in this folder, unless it is up; builds it if that was never done, which takes a
    /// quarter of an hour.
    ///
    /// **Idempotency.** The same testbed, if it is up.
    ///
    /// # Errors
    /// [`ErrorCode::PermissionDenied`] where the machine lacks a right or a tool, which it names;
    /// [`ErrorCode::CloudUnavailable`] with what the command said last.
    pub async fn start(commands: impl Into<PathBuf>) -> Result<Self> {
        let commands = commands.into();
        let said = command::run(&commands, "up", &[]).await?;
        let values = said.lines().map(read_line).collect::<Result<_>>()?;
        Ok(Self { commands, values: Arc::new(values) })
    }

    /// Takes it down, whoever brought it up.
    ///
    /// **Idempotency.** Nothing happens where it is down.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn stop(&self) -> Result<()> {
        self.run("down", &[]).await.map(drop)
    }

    /// What `up` says under this name, such as `GATEWAY`.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] if it says nothing.
    pub fn value(&self, name: &str) -> Result<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| Error::new(ErrorCode::ValueInvalid, "the testbed has no such value").on(format!("`{name}`")))
    }

    /// All that `up` says, for the environment of a program. Some are secrets.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Makes an environment: its namespace, with the role of the pipeline in it.
    ///
    /// **Idempotency.** Nothing happens where it is there.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn environment(&self, environment: &EnvironmentId) -> Result<Namespace> {
        self.run("environment", &[environment.as_str()]).await?;
        Namespace::new(format!("ns-{environment}"))
    }

    /// Puts the images of a folder of OCI layouts, by their folders' names, into the registry. What was pushed, by name:
    /// references by digest.
    ///
    /// **Idempotency.** What is there is not sent again.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn load_images(&self, layouts: &Path) -> Result<BTreeMap<String, String>> {
        let layouts = layouts.display().to_string();
        let said = self.run("images/push", &["--layouts", &layouts, "--registry", self.value("REGISTRY")?]).await?;
        let pair = |line: &str| line.split_once('=').map(|(name, reference)| (name.to_owned(), reference.to_owned()));
        Ok(said.lines().filter_map(pair).collect())
    }

    /// Makes the image of the build container around the program `build_image` (an example of this workspace, built for
    /// this machine), and puts it into the registry. What is made lies in this folder. The reference, by digest.
    ///
    /// **Idempotency.** What is made of the same program is there already, and is not sent again.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn load_builder(&self, program: &Path, folder: &Path) -> Result<String> {
        let (program, out) = (program.display().to_string(), folder.display().to_string());
        // `--binaries` is for the images of the cluster, which are not made here.
        self.run("images/build", &["--binaries", &out, "--builder", &program, "--out", &out, "builder"]).await?;
        let mut images = self.load_images(folder).await?;
        images.remove("builder").ok_or_else(|| Error::new(ErrorCode::Internal, "the image was made, and not pushed"))
    }

    async fn run(&self, command: &str, arguments: &[&str]) -> Result<String> {
        command::run(&self.commands, command, arguments).await
    }
}

/// `NAME='value'`.
fn read_line(line: &str) -> Result<(String, String)> {
    let pair = line.split_once('=').and_then(|(name, value)| {
        let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let is_sound = !name.is_empty() && name.bytes().all(is_name) && !value.contains('\'');
        is_sound.then(|| (name.to_owned(), value.to_owned()))
    });
    pair.ok_or_else(|| {
        Error::new(ErrorCode::CloudAnswerInvalid, "the testbed says what is no NAME='value'").on(text::line(line, 60))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_up_says_is_read_and_nothing_else() {
        let read = read_line("GATEWAY='http://10.0.0.1:80'").expect("a line");
        assert_eq!(read, ("GATEWAY".to_owned(), "http://10.0.0.1:80".to_owned()));
        for line in ["", "words", "a='b'", "A=b", "A='b", "A='b'c'", "='b'"] {
            read_line(line).expect_err(line);
        }
    }

    #[test]
    fn its_secrets_are_not_printed() {
        let values = BTreeMap::from([("AWS_SECRET_ACCESS_KEY".to_owned(), "hush".to_owned())]);
        let testbed = Testbed { commands: PathBuf::from("testbed"), values: Arc::new(values) };
        assert!(!format!("{testbed:?}").contains("hush"));
    }
}
