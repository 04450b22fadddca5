//! What a builder may install with, and from where. None of it is ever taken from a project.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::image::Compression;
use crate::{Error, ErrorCode, Result, text};

/// From resolving to the last file.
const LIMIT: Duration = Duration::from_mins(10);

/// How a builder installs requirements.
#[derive(Debug, Clone)]
pub struct DependencySettings {
    pub(super) search_path: Vec<PathBuf>,
    pub(super) tool: Option<InstallTool>,
    pub(super) origin: PackageOrigin,
    pub(super) variables: Vec<(OsString, OsString)>,
    pub(super) compression: Compression,
    pub(super) limit: Duration,
    pub(super) unpacked_most: u64,
}

/// A program that installs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstallTool {
    /// uv, by its path.
    Uv(PathBuf),
    /// The pip (23.0 or newer) of a Python, by the Python's path.
    Pip(PathBuf),
}

/// Where packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackageOrigin {
    /// The tool's own default index.
    Public,
    /// This index, and no other.
    Index(PackageIndex),
    /// A folder with wheels, and no index.
    Folder(PathBuf),
}

/// An index of packages (PEP 503, or PEP 691).
#[derive(Clone, PartialEq, Eq)]
pub struct PackageIndex {
    url: String,
    credential: Option<(String, String)>,
}

impl DependencySettings {
    /// Looks for `uv`, else for a `python3` with pip, in these folders; absolute ones only.
    pub fn new(search_path: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            search_path: search_path.into_iter().filter(|folder| folder.is_absolute()).collect(),
            tool: None,
            origin: PackageOrigin::Public,
            variables: Vec::new(),
            compression: Compression::Gzip,
            limit: LIMIT,
            unpacked_most: 8 << 30,
        }
    }

    /// Installs with this program, instead of the first that is found.
    #[must_use]
    pub fn with_tool(mut self, tool: InstallTool) -> Self {
        self.tool = Some(tool);
        self
    }

    /// Takes packages from there.
    #[must_use]
    pub fn with_origin(mut self, origin: PackageOrigin) -> Self {
        self.origin = origin;
        self
    }

    /// Lets the program see a variable, such as the file of the authorities that are trusted, or a proxy. It sees
    /// nothing else of our environment.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// How the layer is packed: gzip unless set. It is part of the layer's key.
    #[must_use]
    pub const fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// How long installing may take: ten minutes unless set.
    #[must_use]
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// How many bytes may be installed: 8 GiB unless set.
    #[must_use]
    pub const fn with_unpacked_most(mut self, bytes: u64) -> Self {
        self.unpacked_most = bytes;
        self
    }
}

impl PackageIndex {
    /// The index at this address.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for what is no address of http or https, or holds credentials: they would be shown.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        let url = url.into();
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || authority.is_none_or(|authority| authority.is_empty() || authority.contains('@')) {
            let shown = url.rsplit('@').next().unwrap_or_default();
            return Err(Error::new(ErrorCode::ValueInvalid, "an index is named by an address of http or https")
                .on(format!("index `{}`", text::line(shown, 200)))
                .with_hint("give a user and a password by themselves"));
        }
        Ok(Self { url, credential: None })
    }

    /// Who we are there. Never shown, and handed to the program out of sight of other processes' arguments.
    #[must_use]
    pub fn with_credential(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credential = Some((user.into(), password.into()));
        self
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address with the credential in it, for the program's environment.
    pub(super) fn with_authority(&self) -> String {
        let Some((user, password)) = &self.credential else { return self.url.clone() };
        let at = self.url.find("://").map_or(0, |at| at + 3);
        format!("{}{}:{}@{}", &self.url[..at], percent(user), percent(password), &self.url[at..])
    }

    /// What must not be shown.
    pub(super) fn secrets(&self) -> Vec<String> {
        let Some((_, password)) = &self.credential else { return Vec::new() };
        let mut secrets = vec![percent(password), password.clone()];
        secrets.retain(|secret| !secret.is_empty());
        secrets
    }
}

impl fmt::Debug for PackageIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PackageIndex({})", self.url)
    }
}

impl PackageOrigin {
    pub(super) fn secrets(&self) -> Vec<String> {
        match self {
            Self::Index(index) => index.secrets(),
            Self::Public | Self::Folder(_) => Vec::new(),
        }
    }
}

fn percent(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut written, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(written, "%{byte:02X}");
        }
        written
    })
}

/// The programs in a search path, in its order.
pub(super) fn candidates<'a>(search_path: &'a [PathBuf], name: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    search_path.iter().map(move |folder| folder.join(name)).filter(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_into_the_address_for_the_program_and_nowhere_else() {
        let index = PackageIndex::new("https://packages.example/simple/").expect("an address");
        let index = index.with_credential("who", "p@ss/w:rd");
        assert_eq!(index.with_authority(), "https://who:p%40ss%2Fw%3Ard@packages.example/simple/");
        let settings = DependencySettings::new([]).with_origin(PackageOrigin::Index(index));
        let shown = format!("{settings:?}");
        assert!(!shown.contains("p@ss") && !shown.contains("p%40ss"), "{shown}");
        assert_eq!(settings.origin.secrets(), ["p%40ss%2Fw%3Ard", "p@ss/w:rd"]);
    }

    #[test]
    fn an_address_with_a_user_in_it_or_of_another_kind_is_refused_without_showing_the_user() {
        for url in ["https://u:secret@x.example/", "ftp://x.example", "https://", "x", "https://x.example/ --flag", ""]
        {
            let error = PackageIndex::new(url).expect_err(url);
            assert!(!error.sentence().contains("secret"), "{error:?}");
        }
    }
}
