//! The credentials of the simulated servers of one state directory. Everybody on this machine can reach a loopback port;
//! only who may read the state directory gets an answer.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::{fs, io};

use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};

use super::host::{beside, failed, write_private};

const SECRETS: &str = "secrets.json";

/// One random secret for each server. They do not print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// The password of the registry's user.
    pub registry: String,
    /// The bearer token of the Kubernetes API's administrator.
    pub kubernetes: String,
    /// The secret access key of the bucket.
    pub bucket: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// New ones.
    pub fn random(runtime: &dyn Runtime) -> Self {
        let secret = || {
            let mut bytes = [0; 20];
            runtime.fill_random(&mut bytes);
            bytes.iter().fold(String::new(), |mut text, byte| {
                // Writing to a text cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        Self { registry: secret(), kubernetes: secret(), bucket: secret() }
    }

    /// Those of a directory. Of two processes that make them at once, one wins, and both use its.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when they can be neither read nor written.
    pub fn of(directory: &Path, runtime: &dyn Runtime) -> Result<Self> {
        fs::create_dir_all(directory).map_err(failed("make", directory))?;
        let path = directory.join(SECRETS);
        if !path.exists() {
            let offered = beside(&beside(&path));
            let bytes = serde_json::to_vec(&Self::random(runtime)).unwrap_or_default();
            write_private(&offered, &bytes).map_err(failed("write", &offered))?;
            // A link to a name that is taken fails; a rename would not.
            let linked = fs::hard_link(&offered, &path);
            let _ = fs::remove_file(&offered);
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("write", &path)(error));
                }
                _ => {}
            }
        }
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(ErrorCode::CloudAnswerInvalid, "the secrets of the simulated servers cannot be read")
                .on(path.display())
                .with_hint("start with an empty state directory")
                .caused_by(error)
        })
    }
}
