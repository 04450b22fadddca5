//! What a dependency layer is made for: a Python, an architecture, and the C library that the nodes have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorCode, Result, text};

/// glibc 2.28, as on every image that still gets updates; wheels for older ones run there, too.
const GLIBC: u32 = 28;
/// The oldest that there are wheels for.
const GLIBC_LEAST: u32 = 5;

/// A minor version of Python, such as `3.11`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PythonVersion(u8);

impl PythonVersion {
    /// Of a runtime's name in chalk.yaml, such as `python311`.
    pub(in crate::build) fn of_runtime(runtime: &str) -> Option<Self> {
        let minor = runtime.strip_prefix("python3")?;
        minor.parse().ok().filter(|_| minor.len() == 2).map(Self)
    }
}

impl FromStr for PythonVersion {
    type Err = Error;

    /// `3.11`, or `3.11.7`.
    fn from_str(given: &str) -> Result<Self> {
        let mut parts = given.trim().split('.');
        let digits =
            |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u8>().ok()).flatten();
        let minor = match (parts.next(), parts.next().map(digits), parts.next().map(digits), parts.next()) {
            (Some("3"), Some(minor), None | Some(Some(_)), None) => minor,
            _ => None,
        };
        minor.filter(|minor| (8..=99).contains(minor)).map(Self).ok_or_else(|| {
            Error::new(ErrorCode::ValueInvalid, "a version of Python is written like 3.11")
                .on(format!("Python `{}`", text::line(given, 40)))
        })
    }
}

impl TryFrom<String> for PythonVersion {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<PythonVersion> for String {
    fn from(version: PythonVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "3.{}", self.0)
    }
}

/// What wheels are chosen for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::build) struct Target {
    pub(in crate::build) python: PythonVersion,
    /// As wheels name it: `x86_64` or `aarch64`.
    architecture: &'static str,
}

impl Target {
    /// Of an image's platform.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`] for one that there are no wheels for.
    pub(in crate::build) fn new(python: PythonVersion, platform: &str) -> Result<Self> {
        let architecture = match platform {
            "linux/amd64" => "x86_64",
            "linux/arm64" | "linux/arm64/v8" => "aarch64",
            other => {
                return Err(Error::new(ErrorCode::RequestInvalid, "requirements are installed for two platforms only")
                    .on(format!("platform `{}`", text::line(other, 40)))
                    .with_hint("build for linux/amd64 or linux/arm64"));
            }
        };
        Ok(Self { python, architecture })
    }

    /// The platform as uv names it, with all that it takes.
    pub(super) fn for_uv(&self) -> String {
        format!("{}-manylinux_2_{GLIBC}", self.architecture)
    }

    /// The platforms as pip wants them: every one that it may take, the newest first (PEP 600 and its forerunners).
    pub(super) fn for_pip(&self) -> Vec<String> {
        let mut platforms = Vec::new();
        for minor in (GLIBC_LEAST..=GLIBC).rev() {
            platforms.push(format!("manylinux_2_{minor}_{}", self.architecture));
            let alias = match minor {
                17 => "manylinux2014",
                12 => "manylinux2010",
                5 => "manylinux1",
                _ => continue,
            };
            platforms.push(format!("{alias}_{}", self.architecture));
        }
        platforms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_labels_and_runtimes_and_nothing_else_is_one() {
        assert_eq!("3.11".parse::<PythonVersion>().expect("one").to_string(), "3.11");
        assert_eq!(" 3.12.4".parse::<PythonVersion>().expect("one").to_string(), "3.12");
        assert_eq!(PythonVersion::of_runtime("python311").map(|version| version.to_string()).as_deref(), Some("3.11"));
        for text in ["", "3", "2.7", "3.x", "3.11.4.1", "3.11 --index-url", "4.0", "3.7", "3.+11"] {
            text.parse::<PythonVersion>().expect_err(text);
        }
        assert_eq!(PythonVersion::of_runtime("python3"), None);
        assert_eq!(PythonVersion::of_runtime("nodejs20"), None);
    }

    #[test]
    fn both_tools_are_told_the_same_platforms() {
        let target = Target::new("3.11".parse().expect("one"), "linux/arm64").expect("known");
        assert_eq!(target.for_uv(), "aarch64-manylinux_2_28");
        let platforms = target.for_pip();
        assert_eq!(platforms.first().map(String::as_str), Some("manylinux_2_28_aarch64"));
        assert!(platforms.contains(&"manylinux2014_aarch64".to_owned()) && platforms.len() == 27);
        let error = Target::new(target.python, "windows/amd64").expect_err("no wheels");
        assert_eq!(error.code(), ErrorCode::RequestInvalid);
    }
}
