//! One requirement, as PEP 508 writes it and nothing more: a name, extras, versions, a marker, and the hashes that pip
//! adds. It comes from strangers and ends on a file that a program reads, so what is written there is written anew from
//! parts that were understood: no option, no address, no path and no variable gets through.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::Digest;

/// Longer names are none.
const NAME_MOST: usize = 100;
const VERSION_MOST: usize = 100;
const MARKER_MOST: usize = 500;
const LIST_MOST: usize = 50;
/// A version of a large project has a few hundred files.
const HASHES_MOST: usize = 2000;

/// What a marker may speak of (PEP 508, *Environment Markers*).
const VARIABLES: &[&str] = &[
    "python_version",
    "python_full_version",
    "os_name",
    "sys_platform",
    "platform_release",
    "platform_system",
    "platform_version",
    "platform_machine",
    "platform_python_implementation",
    "implementation_name",
    "implementation_version",
    "extra",
    "and",
    "or",
    "not",
    "in",
];

/// Comparisons, the longer ones first.
const OPERATORS: &[&str] = &["===", "==", "!=", "<=", ">=", "~=", "<", ">"];

/// A requirement that was understood as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::build) struct Requirement {
    /// As PEP 503 normalizes it.
    pub(in crate::build) name: String,
    pub(super) extras: BTreeSet<String>,
    /// Such as `>=2`, sorted.
    pub(super) versions: BTreeSet<String>,
    pub(super) marker: Option<String>,
    /// What a file of it may be. Empty: anything that the index has.
    pub(super) hashes: BTreeSet<Digest>,
}

impl Requirement {
    /// Reads one. The error says what about it is not understood, as the end of a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (bare, hashes) = split_hashes(text)?;
        let (bare, marker) = match bare.split_once(';') {
            Some((bare, marker)) => (bare, Some(marker_of(marker)?)),
            None => (bare, None),
        };
        let bare = bare.trim();
        let end = bare.find(|symbol: char| !is_of_name(symbol)).unwrap_or(bare.len());
        let name = checked_name(&bare[..end]).ok_or("it does not begin with the name of a distribution")?;
        let rest = bare[end..].trim_start();
        let (extras, rest) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (inner, rest) = inner.split_once(']').ok_or("its extras do not end")?;
                (extras_of(inner)?, rest.trim())
            }
            None => (BTreeSet::new(), rest.trim()),
        };
        if rest.starts_with('@') {
            return Err("it names an address, and only an index is asked");
        }
        let versions = rest.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(rest);
        Ok(Self { name, extras, versions: versions_of(versions)?, marker, hashes })
    }

    /// The one version that it names, if it names exactly one.
    #[cfg(test)]
    pub(super) fn pinned(&self) -> Option<&str> {
        let mut versions = self.versions.iter();
        let only = versions.next()?.strip_prefix("==")?;
        (versions.next().is_none() && !only.contains('*')).then_some(only)
    }
}

/// As it is written for an installer, without its hashes.
impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if !self.extras.is_empty() {
            let extras: Vec<_> = self.extras.iter().map(String::as_str).collect();
            write!(formatter, "[{}]", extras.join(","))?;
        }
        let versions: Vec<_> = self.versions.iter().map(String::as_str).collect();
        formatter.write_str(&versions.join(","))?;
        self.marker.as_ref().map_or(Ok(()), |marker| write!(formatter, " ; {marker}"))
    }
}

/// A name as PEP 503 normalizes it, if it is one (PEP 508, *Names*).
pub(in crate::build) fn checked_name(text: &str) -> Option<String> {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let holds = text.chars().all(is_of_name) && edge(text.bytes().next()) && edge(text.bytes().last());
    (holds && text.len() <= NAME_MOST).then(|| normal(text))
}

/// A version as PEP 440 writes it, as far as its letters go.
pub(super) fn checked_version(text: &str) -> Option<&str> {
    let holds = |byte: u8| byte.is_ascii_alphanumeric() || b".!+-_".contains(&byte);
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    (begins && text.len() <= VERSION_MOST && text.bytes().all(holds)).then_some(text)
}

/// Runs of `-`, `_` and `.` are one `-`, and capitals are small (PEP 503).
pub(in crate::build) fn normal(name: &str) -> String {
    let mut normal = String::new();
    for symbol in name.trim().chars() {
        match symbol {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            symbol => normal.extend(symbol.to_lowercase()),
        }
    }
    normal
}

fn is_of_name(symbol: char) -> bool {
    symbol.is_ascii_alphanumeric() || "._-".contains(symbol)
}

fn split_hashes(text: &str) -> Result<(&str, BTreeSet<Digest>), &'static str> {
    let Some(at) = text.find(" --") else { return Ok((text, BTreeSet::new())) };
    let mut hashes = BTreeSet::new();
    let mut words = text[at..].split_whitespace();
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--hash") {
            Some("") => words.next(),
            Some(value) => value.strip_prefix('='),
            None => None,
        };
        let value = value.ok_or("it carries an option other than `--hash`")?;
        hashes.insert(value.parse().map_err(|_| "its hash is no `sha256:` with 64 digits")?);
        if hashes.len() > HASHES_MOST {
            return Err("it has too many hashes");
        }
    }
    Ok((&text[..at], hashes))
}

fn extras_of(text: &str) -> Result<BTreeSet<String>, &'static str> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty()).take(LIST_MOST);
    parts.map(|part| checked_name(part).ok_or("an extra is no name")).collect()
}

fn versions_of(text: &str) -> Result<BTreeSet<String>, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(BTreeSet::new());
    }
    if text.split(',').count() > LIST_MOST {
        return Err("it names too many versions");
    }
    text.split(',').map(str::trim).map(version_of).collect()
}

fn version_of(text: &str) -> Result<String, &'static str> {
    const UNKNOWN: &str = "what follows the name is no version";
    let operator = OPERATORS.iter().find(|operator| text.starts_with(**operator)).ok_or(UNKNOWN)?;
    let version = text[operator.len()..].trim();
    let bare = if matches!(*operator, "==" | "!=") { version.strip_suffix(".*").unwrap_or(version) } else { version };
    checked_version(bare).ok_or(UNKNOWN)?;
    Ok(format!("{operator}{version}"))
}

/// A marker, if it is made of what markers are made of. Whether it makes sense, the installer says.
fn marker_of(text: &str) -> Result<String, &'static str> {
    const UNKNOWN: &str = "what follows the semicolon is no marker";
    let mut words: Vec<String> = Vec::new();
    let mut rest = text.trim();
    if rest.len() > MARKER_MOST {
        return Err("its marker is too long");
    }
    while let Some(first) = rest.chars().next() {
        let length = if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
            operator.len()
        } else if "()".contains(first) {
            1
        } else if "'\"".contains(first) {
            let end = rest[1..].find(first).ok_or(UNKNOWN)?;
            let holds = |byte: u8| byte.is_ascii_alphanumeric() || b" .,_+*-".contains(&byte);
            if !rest[1..=end].bytes().all(holds) {
                return Err(UNKNOWN);
            }
            end + 2
        } else {
            let end = rest.find(|symbol: char| !(symbol.is_ascii_alphanumeric() || symbol == '_'));
            let end = end.unwrap_or(rest.len());
            if !VARIABLES.contains(&&rest[..end]) {
                return Err(UNKNOWN);
            }
            end
        };
        words.push(rest[..length].replace('\'', "\""));
        rest = rest[length..].trim_start();
    }
    if words.is_empty() { Err(UNKNOWN) } else { Ok(words.join(" ")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_requirement_is_written_anew_from_its_parts() {
        let hash = "a".repeat(64);
        for (text, written) in [
            ("Num_Py", "num-py"),
            ("chalkpy[runtime, AI] >= 2.0, <3", "chalkpy[ai,runtime]<3,>=2.0"),
            ("a (==1.0.*)", "a==1.0.*"),
            (
                "a~=1!2.0+local ; python_version>'3.10' and (sys_platform == \"linux\")",
                "a~=1!2.0+local ; python_version > \"3.10\" and ( sys_platform == \"linux\" )",
            ),
            (&format!("a==1 --hash=sha256:{hash} --hash sha256:{hash}"), "a==1"),
        ] {
            let read = Requirement::parse(text).expect(text);
            assert_eq!(read.to_string(), written);
            assert_eq!(Requirement::parse(written).expect(written).to_string(), written);
        }
        let pinned = Requirement::parse("a==1.0").expect("pinned");
        assert_eq!(pinned.pinned(), Some("1.0"));
        assert_eq!(Requirement::parse("a==1.*").expect("not pinned").pinned(), None);
    }

    #[test]
    fn what_is_more_than_a_requirement_is_refused() {
        for text in [
            "",
            "-e .",
            "--index-url=x",
            "./a.whl",
            "/etc/passwd",
            "a @ https://x.example/a.whl",
            "https://x.example/a.whl",
            "git+https://x.example/a",
            "a; rm -rf /",
            "a ; python_version > '$(id)'",
            "a ; python_version > '3",
            "a ;",
            "a==1 --global-option=x",
            "a==1 --hash=md5:00",
            "a==1 --hash=sha256:00",
            "a==${HOME}",
            "a==`id`",
            "a b",
            "a==1 b",
            "a[",
            "a[b c]",
            "-a",
            "a-",
            "ä",
            "a==1\nb",
        ] {
            Requirement::parse(text).expect_err(text);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_harmless_and_reads_back(text in "[a-zA-Z0-9 =<>~!;,@$(){}`'\"/\\\\\\[\\].:*+#|&_-]{0,60}") {
            if let Ok(read) = Requirement::parse(&text) {
                let written = read.to_string();
                prop_assert!(!written.contains(['$', '`', '\\', '@', '/', '\n', '#', ':', '|', '&', '{']), "{}", written);
                prop_assert!(!written.starts_with('-'), "{}", written);
                prop_assert_eq!(Requirement::parse(&written).expect("its own form").to_string(), written);
            }
        }
    }
}
