//! `poetry.lock` and `pyproject.toml` (PEP 621, and the tables that Poetry had before it).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::listing::{Asked, base_name, denied};
use super::requirement::{Requirement, checked_version};
use crate::model::RequirementsFile;
use crate::{Error, Result, text};

/// What to do about what is not read here.
const EXPORT: &str = "export the list as requirements.txt, and name that file in chalk.yaml";

#[derive(Deserialize)]
struct LockFile {
    #[serde(default)]
    package: Vec<Package>,
    #[serde(default)]
    metadata: LockMetadata,
}

#[derive(Deserialize, Default)]
struct LockMetadata {
    /// Where locks before version 2 had the files.
    #[serde(default)]
    files: BTreeMap<String, Vec<LockedFile>>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    optional: bool,
    category: Option<String>,
    groups: Option<Vec<String>>,
    markers: Option<Markers>,
    #[serde(default)]
    files: Vec<LockedFile>,
    source: Option<Source>,
}

/// One for all groups, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Markers {
    All(String),
    Each(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct LockedFile {
    file: String,
    hash: String,
}

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
}

/// The packages of a `poetry.lock` that belong to the main group.
pub(super) fn lock(file: &RequirementsFile, asked: &mut Asked) -> Result<()> {
    let read: LockFile = parse(file)?;
    let mut has_groups = true;
    for package in read.package {
        let refused = |why: &str| refusal(file, &package.name, why);
        let is_main = match (&package.groups, &package.category) {
            (Some(groups), _) => groups.iter().any(|group| group == "main"),
            (None, Some(category)) => category == "main",
            (None, None) => {
                has_groups = false;
                true
            }
        };
        if package.optional || !is_main {
            continue;
        }
        // `legacy` is an index of the project's choice: the service's is asked, for the same hashes.
        if package.source.as_ref().is_some_and(|source| source.kind != "legacy") {
            return Err(refused("it comes from elsewhere than an index"));
        }
        let files =
            if package.files.is_empty() { read.metadata.files.get(&package.name) } else { Some(&package.files) };
        let files = files.map(Vec::as_slice).unwrap_or_default();
        if is_for_another_system(files) {
            let name = text::line(&package.name, 60);
            asked.notes.push(format!("`{name}` has files for other systems only, and is left out"));
            continue;
        }
        checked_version(&package.version).ok_or_else(|| refused("its version is none"))?;
        let marker = match &package.markers {
            Some(Markers::All(marker)) => Some(marker),
            Some(Markers::Each(markers)) => markers.get("main"),
            None => None,
        };
        let marker = marker.filter(|marker| !marker.trim().is_empty());
        let marker = marker.map(|marker| format!(" ; {marker}")).unwrap_or_default();
        let mut requirement =
            Requirement::parse(&format!("{}=={}{marker}", package.name, package.version)).map_err(refused)?;
        for locked in files {
            requirement.hashes.insert(locked.hash.parse().map_err(|_| refused("its hash is no `sha256:`"))?);
        }
        asked.add(requirement).map_err(refused)?;
    }
    if !has_groups {
        asked.notes.push("the lock does not tell the groups apart, so all of them are installed".to_owned());
    }
    Ok(())
}

/// Whether there are wheels, and neither one that Linux could take nor the source.
fn is_for_another_system(files: &[LockedFile]) -> bool {
    let platform = |file: &LockedFile| Some(file.file.strip_suffix(".whl")?.rsplit('-').next()?.to_owned());
    let platforms: Vec<_> = files.iter().map(platform).collect();
    !files.is_empty()
        && platforms.iter().all(|platform| {
            platform.as_ref().is_some_and(|platform| !platform.contains("any") && !platform.contains("linux"))
        })
}

#[derive(Deserialize)]
struct ProjectFile {
    project: Option<ProjectTable>,
    tool: Option<ToolTable>,
}

#[derive(Deserialize)]
struct ProjectTable {
    dependencies: Option<Vec<String>>,
    #[serde(default)]
    dynamic: Vec<String>,
}

#[derive(Deserialize)]
struct ToolTable {
    poetry: Option<PoetryTable>,
}

#[derive(Deserialize)]
struct PoetryTable {
    #[serde(default)]
    dependencies: BTreeMap<String, PoetryDependency>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PoetryDependency {
    Versions(String),
    Table(DependencyTable),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DependencyTable {
    version: String,
    #[serde(default)]
    extras: Vec<String>,
    markers: Option<String>,
    #[serde(default)]
    optional: bool,
    #[serde(default, rename = "source")]
    _source: Option<String>,
    #[serde(default, rename = "allow-prereleases")]
    _allow_prereleases: bool,
}

/// The dependencies of a `pyproject.toml`.
pub(super) fn project(file: &RequirementsFile, asked: &mut Asked) -> Result<()> {
    let read: ProjectFile = parse(file)?;
    let poetry = read.tool.and_then(|tool| tool.poetry);
    if let Some(ProjectTable { dependencies: Some(dependencies), .. }) = &read.project {
        for dependency in dependencies {
            let refused = |why: &str| refusal(file, dependency, why);
            asked.add(Requirement::parse(dependency).map_err(refused)?).map_err(refused)?;
        }
        return Ok(());
    }
    let is_dynamic = read.project.is_some_and(|project| project.dynamic.iter().any(|name| name == "dependencies"));
    match poetry {
        None if is_dynamic => {
            Err(denied(&file.filename, "its dependencies are made by its build, which is not run".to_owned())
                .with_hint(EXPORT))
        }
        None => Ok(()),
        Some(poetry) => {
            for (name, dependency) in poetry.dependencies {
                if name == "python" {
                    continue;
                }
                let refused = |why: &str| refusal(file, &name, why);
                if let Some(requirement) = of_poetry(&name, dependency).map_err(refused)? {
                    asked.add(requirement).map_err(refused)?;
                }
            }
            Ok(())
        }
    }
}

fn of_poetry(name: &str, dependency: PoetryDependency) -> Result<Option<Requirement>, &'static str> {
    let (versions, extras, marker) = match dependency {
        PoetryDependency::Versions(versions) => (versions, Vec::new(), None),
        PoetryDependency::Table(table) if table.optional => return Ok(None),
        PoetryDependency::Table(table) => (table.version, table.extras, table.markers),
        PoetryDependency::Other(_) => return Err("it asks for more than versions from an index"),
    };
    let versions = pep_440(&versions)?;
    let marker = marker.map(|marker| format!(" ; {marker}")).unwrap_or_default();
    Requirement::parse(&format!("{name}[{}]{versions}{marker}", extras.join(","))).map(Some)
}

/// Poetry's versions (`^1.2`, `~1.2`, `1.2`, `*`) as PEP 440 writes them.
fn pep_440(text: &str) -> Result<String, &'static str> {
    const UNKNOWN: &str = "its version is written in a way that is not read";
    if text.trim() == "*" {
        return Ok(String::new());
    }
    if text.contains('|') {
        return Err(UNKNOWN);
    }
    let mut versions = Vec::new();
    for part in text.split(',').map(str::trim) {
        if let Some(version) = part.strip_prefix('^') {
            let numbers = numbers(version)?;
            // The first number that is not zero may not change; of zeros alone, the last one.
            let at = numbers.iter().position(|number| *number > 0).unwrap_or(numbers.len() - 1);
            versions.push(range(version, &numbers[..=at]));
        } else if let Some(version) = part.strip_prefix('~').filter(|version| !version.starts_with('=')) {
            let numbers = numbers(version)?;
            versions.push(range(version, &numbers[..numbers.len().min(2)]));
        } else if part.starts_with(|symbol: char| symbol.is_ascii_digit()) {
            versions.push(format!("=={part}"));
        } else {
            versions.push(part.to_owned());
        }
    }
    Ok(versions.join(","))
}

fn range(least: &str, kept: &[u64]) -> String {
    let mut next: Vec<_> = kept.to_vec();
    if let Some(last) = next.last_mut() {
        *last = last.saturating_add(1);
    }
    let next: Vec<_> = next.iter().map(ToString::to_string).collect();
    format!(">={},<{}", least.trim(), next.join("."))
}

fn numbers(version: &str) -> Result<Vec<u64>, &'static str> {
    let numbers: Result<Vec<_>, _> = version.trim().split('.').map(str::parse).collect();
    numbers.map_err(|_| "`^` and `~` are read only before numbers")
}

fn parse<T: for<'de> Deserialize<'de>>(file: &RequirementsFile) -> Result<T> {
    toml::from_str(&file.contents).map_err(|error| {
        let name = base_name(&file.filename);
        // The parser's own words show the line, which comes from a stranger.
        denied(&file.filename, format!("it is no `{name}`: {}", text::line(error.message(), 200))).with_hint(EXPORT)
    })
}

fn refusal(file: &RequirementsFile, what: &str, why: &str) -> Error {
    denied(&file.filename, format!("`{}` is refused: {why}", text::line(what, 100))).with_hint(EXPORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn read(filename: &str, contents: &str) -> Result<Asked> {
        super::super::listing::read(&[RequirementsFile {
            filename: filename.to_owned(),
            contents: contents.to_owned(),
        }])
    }

    fn names(filename: &str, contents: &str) -> Vec<String> {
        read(filename, contents).expect("understood").requirements.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_lock_gives_exact_versions_with_hashes_of_the_main_group_for_this_system() {
        let (one, other) = ("1".repeat(64), "2".repeat(64));
        let text = format!(
            r#"
            [[package]]
            name = "Requests"
            version = "2.34.2"
            optional = false
            groups = ["main", "dev"]
            markers = "python_version >= '3.9'"
            files = [{{file = "requests-2.34.2-py3-none-any.whl", hash = "sha256:{one}"}},
                     {{file = "requests-2.34.2.tar.gz", hash = "sha256:{other}"}}]
            [package.dependencies]
            idna = ">=2.5"
            [[package]]
            name = "pytest"
            version = "8"
            groups = ["dev"]
            [[package]]
            name = "socks"
            version = "1"
            optional = true
            groups = ["main"]
            [[package]]
            name = "pywin32"
            version = "306"
            groups = ["main"]
            files = [{{file = "pywin32-306-cp311-cp311-win_amd64.whl", hash = "sha256:{one}"}}]
            [metadata]
            lock-version = "2.1"
            "#
        );
        assert_eq!(names("poetry.lock", &text), ["requests==2.34.2 ; python_version >= \"3.9\""]);
        let asked = read("poetry.lock", &text).expect("understood");
        let hashes: Vec<_> =
            asked.requirements.iter().flat_map(|one| &one.hashes).map(crate::model::Digest::hex).collect();
        assert_eq!(hashes, [one, other]);
        assert_eq!(asked.notes, ["`pywin32` has files for other systems only, and is left out"]);
    }

    #[test]
    fn an_old_lock_has_its_files_at_the_end_and_tells_groups_by_category() {
        let hash = "3".repeat(64);
        let text = format!(
            "[[package]]\nname = \"a\"\nversion = \"1\"\ncategory = \"main\"\n[[package]]\nname = \"b\"\nversion = \"1\"\n\
             category = \"dev\"\n[metadata.files]\na = [{{file = \"a-1-py3-none-any.whl\", hash = \"sha256:{hash}\"}}]\n"
        );
        let asked = read("poetry.lock", &text).expect("understood");
        assert_eq!(asked.requirements.len(), 1);
        assert!(asked.requirements.iter().all(|one| one.name == "a" && one.hashes.len() == 1));
    }

    #[test]
    fn a_lock_that_leads_elsewhere_or_lies_is_refused() {
        let package = |more: &str| format!("[[package]]\nname = \"a\"\nversion = \"1\"\n{more}\n");
        for text in [
            package("[package.source]\ntype = \"git\"\nurl = \"https://x.example\""),
            package("files = [{file = \"a-1-py3-none-any.whl\", hash = \"md5:00\"}]"),
            package("markers = \"$(id)\""),
            package("").replace("\"1\"", "\"1; rm -rf\""),
            package("").replace("\"a\"", "\"--index-url\""),
            "[[package]\n".to_owned(),
        ] {
            let error = read("poetry.lock", &text).expect_err(&text);
            assert_eq!(error.code(), ErrorCode::RequirementDenied, "{text}");
        }
    }

    #[test]
    fn a_projects_dependencies_are_read_in_both_forms() {
        let standard =
            "[project]\nname = \"x\"\ndependencies = [\"numpy>=2\", \"a[b]==1 ; sys_platform == 'linux'\"]\n";
        assert_eq!(names("sub/pyproject.toml", standard), ["a[b]==1 ; sys_platform == \"linux\"", "numpy>=2"]);
        let poetry = "[tool.poetry.dependencies]\npython = \"^3.11\"\na = \"^1.2.3\"\nb = \"~1.2.3\"\nc = \"*\"\n\
                      d = \"1.2.*\"\ne = {version = \"^0.2\", extras = [\"x\"], markers = \"os_name == 'posix'\"}\n\
                      f = {version = \"1\", optional = true}\ng = \">=1,<3\"\nh = \"^0.0.3\"\n";
        assert_eq!(
            names("pyproject.toml", poetry),
            [
                "a<2,>=1.2.3",
                "b<1.3,>=1.2.3",
                "c",
                "d==1.2.*",
                "e[x]<0.3,>=0.2 ; os_name == \"posix\"",
                "g<3,>=1",
                "h<0.0.4,>=0.0.3"
            ]
        );
        for refused in [
            "[project]\nname = \"x\"\ndynamic = [\"dependencies\"]\n",
            "[project]\nname = \"x\"\ndependencies = [\"a @ https://x.example\"]\n",
            "[tool.poetry.dependencies]\na = {git = \"https://x.example\"}\n",
            "[tool.poetry.dependencies]\na = {version = \"1\", path = \"../a\"}\n",
            "[tool.poetry.dependencies]\na = \"^1 || ^2\"\n",
            "[tool.poetry.dependencies]\na = [{version = \"1\"}]\n",
        ] {
            read("pyproject.toml", refused).expect_err(refused);
        }
    }
}
