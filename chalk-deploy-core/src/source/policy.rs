//! What an archive must keep beyond its form: the files that it must have, and what someone should look at.

use std::collections::{BTreeSet, HashMap, hash_map};
use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use super::entry::shown;
use crate::project::CONFIG_NAMES;
use crate::{Error, ErrorCode, Result};

/// Findings that are kept; of an archive with more, the others are only counted.
const FINDINGS_MOST: usize = 200;
/// How much of a file's beginning is looked at.
pub(super) const SNIFFED: usize = 256;

/// What an archive must keep beyond its form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchivePolicy {
    /// Whether there must be a `chalk.yaml` (or `chalk.yml`) at the root.
    pub requires_config: bool,
    /// Further files that may never be links, by path. `chalk.yaml` and the files that name dependencies never may.
    pub never_links: BTreeSet<String>,
    /// What is done about files that look like secrets.
    pub secrets: Reaction,
    /// What is done about two names that are one on file systems that fold case or normalise Unicode.
    pub twins: Reaction,
}

/// What is done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing.
    Ignore,
    /// It is told.
    Warn,
    /// The archive is refused.
    Refuse,
}

impl Default for ArchivePolicy {
    /// What is deployed: with a `chalk.yaml`; findings are told.
    fn default() -> Self {
        Self { requires_config: true, never_links: BTreeSet::new(), secrets: Reaction::Warn, twins: Reaction::Warn }
    }
}

impl ArchivePolicy {
    /// The form alone: any tree, whatever is in it.
    pub const fn form_only() -> Self {
        Self {
            requires_config: false,
            never_links: BTreeSet::new(),
            secrets: Reaction::Ignore,
            twins: Reaction::Ignore,
        }
    }

    /// Sets [`requires_config`](Self::requires_config).
    #[must_use]
    pub const fn with_config_required(mut self, required: bool) -> Self {
        self.requires_config = required;
        self
    }

    /// Adds one to [`never_links`](Self::never_links).
    #[must_use]
    pub fn with_never_link(mut self, path: impl Into<String>) -> Self {
        self.never_links.insert(path.into());
        self
    }

    /// Sets [`secrets`](Self::secrets).
    #[must_use]
    pub const fn with_secrets(mut self, reaction: Reaction) -> Self {
        self.secrets = reaction;
        self
    }

    /// Sets [`twins`](Self::twins).
    #[must_use]
    pub const fn with_twins(mut self, reaction: Reaction) -> Self {
        self.twins = reaction;
        self
    }

    /// Checks that a file which must be itself is no link.
    pub(super) fn check_link(&self, path: &str) -> Result<()> {
        if !never_links(path) && !self.never_links.contains(path) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::ArchiveLinkEscape, "this file may not be a link")
            .on(shown(path))
            .with_hint("replace the link by the file itself"))
    }
}

/// The configuration, and the files that name dependencies, wherever they lie: what a link put in their place would have
/// read is installed or sent along (the pattern of CVE-2025-53547).
pub(super) fn never_links(path: &str) -> bool {
    const NAMES: [&str; 6] = ["pyproject.toml", "poetry.lock", "uv.lock", "Pipfile", "Pipfile.lock", "setup.cfg"];
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_list = name.strip_suffix(".txt").or_else(|| name.strip_suffix(".in"));
    CONFIG_NAMES.contains(&path)
        || NAMES.contains(&name)
        || is_list.is_some_and(|name| name.starts_with("requirements"))
}

/// Something in an archive that someone should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveFinding {
    /// What it is.
    pub kind: FindingKind,
    /// The path of the entry.
    pub path: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A name under which secrets are kept: `.env`, `credentials.json`, a key of SSH.
    SecretName,
    /// A file that begins like a private key.
    PrivateKey,
    /// Something of a git directory, whose configuration may hold a token.
    GitDirectory,
    /// Another entry has the same name where case is folded or Unicode is normalised.
    Twin {
        /// The path of the other one.
        of: String,
    },
}

impl ArchiveFinding {
    fn error(&self) -> Error {
        let code = match &self.kind {
            FindingKind::Twin { .. } => ErrorCode::ArchiveDuplicatePath,
            _ => ErrorCode::ArchiveSecret,
        };
        Error::new(code, self.kind.to_string()).on(shown(&self.path))
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretName => formatter.write_str("the file has a name under which secrets are kept"),
            Self::PrivateKey => formatter.write_str("the file begins like a private key"),
            Self::GitDirectory => formatter.write_str("it is part of a git directory, which may hold a token"),
            Self::Twin { of } => {
                write!(formatter, "its name is the one of `{}` where case or Unicode forms do not count", shown(of))
            }
        }
    }
}

impl fmt::Display for ArchiveFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", shown(&self.path), self.kind)
    }
}

/// Looks at the entries of one archive, one after the other.
#[derive(Debug)]
pub(super) struct Examiner {
    policy: ArchivePolicy,
    has_config: bool,
    findings: Vec<ArchiveFinding>,
    unkept: u64,
    /// The paths by the hash of what remains of them where case and Unicode forms do not count.
    folded: HashMap<u64, Arc<str>, BuildHasherDefault<DefaultHasher>>,
}

impl Examiner {
    pub(super) fn new(policy: ArchivePolicy) -> Self {
        Self { policy, has_config: false, findings: Vec::new(), unkept: 0, folded: HashMap::default() }
    }

    pub(super) const fn policy(&self) -> &ArchivePolicy {
        &self.policy
    }

    /// Takes in a path that was not there before, whether an entry or a directory above one.
    pub(super) fn path(&mut self, path: &Arc<str>) -> Result<()> {
        if self.policy.twins == Reaction::Ignore {
            return Ok(());
        }
        let key = folded(path);
        match self.folded.entry(self.folded.hasher().hash_one(&key)) {
            hash_map::Entry::Vacant(free) => {
                free.insert(path.clone());
                Ok(())
            }
            hash_map::Entry::Occupied(taken) => {
                let other = taken.get();
                // What lies below two directories that are twins is told with them.
                let parents_differ = |one: &str, other: &str| {
                    one.rsplit_once('/').map(|(above, _)| above) != other.rsplit_once('/').map(|(above, _)| above)
                };
                if parents_differ(path, other) || folded(other) != key {
                    return Ok(());
                }
                let kind = FindingKind::Twin { of: other.to_string() };
                self.found(self.policy.twins, ArchiveFinding { kind, path: path.to_string() })
            }
        }
    }

    /// Takes in a file, a link or a directory.
    pub(super) fn entry(&mut self, path: &str, is_file: bool) -> Result<()> {
        self.has_config |= is_file && CONFIG_NAMES.contains(&path);
        if self.policy.secrets == Reaction::Ignore {
            return Ok(());
        }
        if path.split('/').any(|component| component.eq_ignore_ascii_case(".git")) {
            // Told once, with the first of them.
            let told = self.findings.iter().any(|finding| finding.kind == FindingKind::GitDirectory);
            let found = ArchiveFinding { kind: FindingKind::GitDirectory, path: path.to_owned() };
            return if told { Ok(()) } else { self.found(self.policy.secrets, found) };
        }
        if is_file && is_secret_name(path) {
            let found = ArchiveFinding { kind: FindingKind::SecretName, path: path.to_owned() };
            return self.found(self.policy.secrets, found);
        }
        Ok(())
    }

    /// Takes in the first bytes of a file.
    pub(super) fn beginning(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        if self.policy.secrets == Reaction::Ignore || !is_private_key(bytes) {
            return Ok(());
        }
        self.found(self.policy.secrets, ArchiveFinding { kind: FindingKind::PrivateKey, path: path.to_owned() })
    }

    /// Whether it was all that it must be.
    pub(super) fn finish(&self) -> Result<()> {
        if self.policy.requires_config && !self.has_config {
            return Err(
                Error::new(ErrorCode::ProjectConfigMissing, "there is no chalk.yaml at its root").on("source archive")
            );
        }
        Ok(())
    }

    pub(super) fn findings(&self) -> &[ArchiveFinding] {
        &self.findings
    }

    pub(super) fn take_findings(&mut self) -> Vec<ArchiveFinding> {
        std::mem::take(&mut self.findings)
    }

    fn found(&mut self, reaction: Reaction, finding: ArchiveFinding) -> Result<()> {
        match reaction {
            Reaction::Ignore => {}
            Reaction::Refuse => return Err(finding.error()),
            Reaction::Warn if self.findings.len() < FINDINGS_MOST => self.findings.push(finding),
            Reaction::Warn => self.unkept += 1,
        }
        Ok(())
    }
}

/// What remains of a path on a file system that folds case and normalises Unicode.
fn folded(path: &str) -> String {
    if path.is_ascii() {
        return path.to_ascii_lowercase();
    }
    if is_nfc_quick(path.chars()) == IsNormalized::Yes {
        return path.to_lowercase();
    }
    path.nfc().collect::<String>().to_lowercase()
}

fn is_secret_name(path: &str) -> bool {
    const NAMES: [&str; 11] = [
        ".env",
        ".netrc",
        ".npmrc",
        ".pgpass",
        ".pypirc",
        ".git-credentials",
        "credentials.json",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "id_rsa",
    ];
    const SAMPLES: [&str; 5] = ["example", "sample", "template", "dist", "defaults"];
    let name = path.rsplit('/').next().unwrap_or(path);
    let variant = name.strip_prefix(".env.").is_some_and(|kind| !SAMPLES.contains(&kind));
    variant || NAMES.contains(&name) || path.ends_with(".aws/credentials")
}

/// The first line of a private key in PEM (RFC 7468, section 10, and OpenSSH's own).
fn is_private_key(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.trim_ascii_start().strip_prefix(b"-----BEGIN ") else { return false };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.windows(b"PRIVATE KEY-----".len()).any(|part| part == b"PRIVATE KEY-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_and_their_samples_are_none() {
        for path in [".env", "a/.env.production", "id_rsa", "x/.aws/credentials", ".git-credentials"] {
            assert!(is_secret_name(path), "{path}");
        }
        for path in [".env.example", "environment.py", "a/.envrc.py", "id_rsa.pub", "credentials.py"] {
            assert!(!is_secret_name(path), "{path}");
        }
    }

    #[test]
    fn a_private_key_is_known_by_its_first_line() {
        for kind in ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "] {
            assert!(is_private_key(format!("\n-----BEGIN {kind}PRIVATE KEY-----\nMII").as_bytes()), "{kind}");
        }
        for text in
            ["-----BEGIN CERTIFICATE-----\n", "-----BEGIN PUBLIC KEY-----\n", "x -----BEGIN PRIVATE KEY-----", ""]
        {
            assert!(!is_private_key(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn twins_are_told_once_for_the_directory_and_not_for_what_lies_below() {
        let mut examiner = Examiner::new(ArchivePolicy::default());
        for path in ["Data", "Data/a", "data", "data/a", "data/b", "caf\u{e9}", "cafe\u{301}"] {
            examiner.path(&Arc::from(path)).expect("only told");
        }
        let found: Vec<_> = examiner.findings().iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(found, ["data", "cafe\u{301}"]);
        let mut strict = Examiner::new(ArchivePolicy::default().with_twins(Reaction::Refuse));
        strict.path(&Arc::from("A")).expect("the first");
        let error = strict.path(&Arc::from("a")).expect_err("its twin");
        assert_eq!((error.code(), error.subject()), (ErrorCode::ArchiveDuplicatePath, "a"));
    }

    #[test]
    fn a_thousand_secrets_are_not_all_kept() {
        let mut examiner = Examiner::new(ArchivePolicy::default());
        for number in 0..1000 {
            examiner.entry(&format!("{number}/.env"), true).expect("only told");
        }
        assert_eq!((examiner.findings().len(), examiner.unkept), (FINDINGS_MOST, 800));
    }

    #[test]
    fn files_that_name_dependencies_are_never_links_wherever_they_lie() {
        for path in
            ["chalk.yaml", "chalk.yml", "requirements.txt", "a/requirements-dev.txt", "b/uv.lock", "requirements.in"]
        {
            assert!(never_links(path), "{path}");
        }
        for path in ["a/chalk.yaml", "requirements.py", "my-requirements.txt", "requirements"] {
            assert!(!never_links(path), "{path}");
        }
    }
}
