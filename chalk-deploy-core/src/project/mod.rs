//! A project on disk: its directory, its `chalk.yaml`, the environments in it, and the git repository around it.

mod config;
mod file;
mod git;
mod yaml;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use config::{EnvironmentConfig, MetadataRule, ProjectConfig, RUNTIMES, Severity, ValidationRules};
pub use git::git_metadata;

use crate::model::{EnvironmentId, ProjectSettings, RequirementsFile};
use crate::source::CollectOptions;
use crate::text;
use crate::{Error, ErrorCode, Result};

/// The names of the configuration file, in the order in which they are looked for.
pub const CONFIG_NAMES: [&str; 2] = ["chalk.yaml", "chalk.yml"];

/// The environment that always exists, and whose settings hold wherever another leaves something out.
pub const DEFAULT_ENVIRONMENT: &str = "default";

const DEFAULT_REQUIREMENTS: &str = "requirements.txt";

/// Something that is worth telling and stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectWarning {
    /// The stable code.
    pub code: ErrorCode,
    /// What it is about, naming file and field.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// A project: a directory with a valid `chalk.yaml`.
#[derive(Debug, Clone)]
pub struct Project {
    directory: PathBuf,
    config_file: PathBuf,
    config: ProjectConfig,
    warnings: Vec<ProjectWarning>,
}

/// An environment of a project, with everything about it that a deployment records.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResolvedEnvironment {
    /// The environment.
    pub id: EnvironmentId,
    /// Its settings, with those of `default` where it has none.
    pub settings: ProjectSettings,
    /// Its requirements file, if it has one; with a pyproject.toml, the poetry.lock beside it.
    pub requirements: Vec<RequirementsFile>,
    /// Its own ignore file, relative to the project.
    pub ignore_file: Option<String>,
}

impl ResolvedEnvironment {
    /// What the archive of the project is for this environment: the named files are always part of it.
    pub fn collect_options(&self) -> CollectOptions {
        let files = self.requirements.iter().map(|file| &file.filename).chain(&self.settings.dockerfile);
        let options = files.fold(CollectOptions::new(), CollectOptions::with_required);
        match &self.ignore_file {
            Some(path) => options.with_ignore_file(path),
            None => options,
        }
    }
}

impl Project {
    /// Finds the project that a directory belongs to: `chalk.yaml`, else `chalk.yml`, in it or in the nearest directory
    /// above it.
    ///
    /// **Errors.** `PROJECT_DIRECTORY_INVALID` for a path that is no directory, `PROJECT_CONFIG_MISSING`,
    /// `PROJECT_CONFIG_INVALID` naming the field.
    pub fn open(start: &Path) -> Result<Self> {
        let start = canonical_directory(start)?;
        for directory in start.ancestors() {
            for name in CONFIG_NAMES {
                match file::read_text(directory, name) {
                    Ok(text) => return Self::read(directory, name, &text),
                    Err(file::Refusal::Missing) => {}
                    Err(refusal) => {
                        let (message, remedy) = refusal.explain();
                        let error = Error::new(ErrorCode::ProjectConfigInvalid, format!("the file {message}"))
                            .on(text::line(&directory.join(name).to_string_lossy(), 200))
                            .with_hint(remedy);
                        return Err(match refusal.into_source() {
                            Some(source) => error.caused_by(source),
                            None => error,
                        });
                    }
                }
            }
        }
        Err(Error::new(ErrorCode::ProjectConfigMissing, "there is no chalk.yaml here or in a directory above")
            .on(text::line(&start.to_string_lossy(), 200)))
    }

    fn read(directory: &Path, name: &str, text: &str) -> Result<Self> {
        let config_file = directory.join(name);
        let shown = text::line(&config_file.to_string_lossy(), 200);
        let (mut config, warnings) = ProjectConfig::parse(text, &shown)?;
        if fs::symlink_metadata(directory.join(DEFAULT_REQUIREMENTS)).is_ok() {
            fill_requirements(&mut config);
        }
        Ok(Self { directory: directory.to_owned(), config_file, config, warnings })
    }

    /// The canonical directory that holds the configuration.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of the configuration.
    pub fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// The configuration.
    pub fn config(&self) -> &ProjectConfig {
        &self.config
    }

    /// What in the configuration is worth telling.
    pub fn warnings(&self) -> &[ProjectWarning] {
        &self.warnings
    }

    /// The environments that can be named: those of the configuration, and `default`.
    pub fn environments(&self) -> BTreeSet<&str> {
        self.config.environments.keys().map(String::as_str).chain([DEFAULT_ENVIRONMENT]).collect()
    }

    /// The environment of that name, or `default`, with the files that it names.
    ///
    /// **Errors.** `ENVIRONMENT_UNKNOWN` lists the known ones; `PROJECT_FILE_MISSING` and `PROJECT_CONFIG_INVALID` name
    /// file and field; `ARCHIVE_LINK_ESCAPE` for a file that is, or lies behind, a link.
    pub fn environment(&self, name: Option<&str>) -> Result<ResolvedEnvironment> {
        let name = name.unwrap_or(DEFAULT_ENVIRONMENT);
        let known = self.environments();
        if !known.contains(name) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Error::new(
                ErrorCode::EnvironmentUnknown,
                format!("{} knows no such environment", self.shown()),
            )
            .on(format!("environment `{}`", text::line(name, 60)))
            .with_hint(format!("name one of: {known}")));
        }
        let none = EnvironmentConfig::default();
        let default = self.config.environments.get(DEFAULT_ENVIRONMENT).unwrap_or(&none);
        let own = self.config.environments.get(name).unwrap_or(default);
        let mut merged = own.or(default);
        let field = |key: &str, own: bool| {
            let environment = if own { name } else { DEFAULT_ENVIRONMENT };
            format!("environments.{environment}.{key}")
        };
        let mut requirements = Vec::new();
        if merged.requirements.is_none() && self.has_default_requirements() {
            merged.requirements = Some(DEFAULT_REQUIREMENTS.to_owned());
        }
        if let Some(path) = &merged.requirements {
            let field = field("requirements", own.requirements.is_some());
            let read = |path: &str| file::read_text(&self.directory, path);
            let contents = self.named_file(path, &field, read)?;
            // What a pyproject.toml asks for, the lock beside it names exactly.
            let lock = contents.0.strip_suffix("pyproject.toml").map(|folder| format!("{folder}poetry.lock"));
            let lock = lock.filter(|lock| fs::symlink_metadata(self.directory.join(lock)).is_ok());
            requirements.push(contents);
            if let Some(lock) = lock {
                requirements.push(self.named_file(&lock, &field, read)?);
            }
        }
        let requirements =
            requirements.into_iter().map(|(filename, contents)| RequirementsFile { filename, contents }).collect();
        let exists = |path: &str| file::open(&self.directory, path).map(drop);
        let dockerfile = merged
            .dockerfile
            .map(|path| self.named_file(&path, &field("dockerfile", own.dockerfile.is_some()), exists))
            .transpose()?
            .map(|(path, ())| path);
        let ignore_file = merged
            .chalkignore
            .map(|path| self.named_file(&path, &field("chalkignore", own.chalkignore.is_some()), exists))
            .transpose()?
            .map(|(path, ())| path);
        Ok(ResolvedEnvironment {
            id: EnvironmentId::new(name)?,
            settings: ProjectSettings {
                runtime: merged.runtime,
                dockerfile,
                platform_version: merged.platform_version,
            },
            requirements,
            ignore_file,
        })
    }

    fn has_default_requirements(&self) -> bool {
        fs::symlink_metadata(self.directory.join(DEFAULT_REQUIREMENTS)).is_ok()
    }

    /// Opens a file that a field names. Gives its path as it stands in the archive with what `open` gave.
    fn named_file<T>(
        &self,
        path: &str,
        field: &str,
        open: impl Fn(&str) -> Result<T, file::Refusal>,
    ) -> Result<(String, T)> {
        let Some(normal) = normal_path(path) else {
            return Err(Error::new(
                ErrorCode::ProjectConfigInvalid,
                format!("`{field}`: the path `{}` leaves the project or is no usable path", text::line(path, 100)),
            )
            .on(self.shown())
            .with_hint("name a file below the directory of chalk.yaml by a relative path"));
        };
        let refusal = match open(&normal) {
            Ok(opened) => return Ok((normal, opened)),
            Err(refusal) => refusal,
        };
        let code = match refusal {
            file::Refusal::Missing => ErrorCode::ProjectFileMissing,
            file::Refusal::Link => ErrorCode::ArchiveLinkEscape,
            file::Refusal::Unreadable(_) => ErrorCode::SourceUnreadable,
            _ => ErrorCode::ProjectConfigInvalid,
        };
        let (message, remedy) = refusal.explain();
        let sentence = format!("`{field}`: the file `{}` {message}", text::line(path, 100));
        let remedy = format!("{remedy} (`{field}` in {})", self.config_name());
        let error = Error::new(code, sentence).on(self.shown()).with_hint(remedy);
        Err(match refusal.into_source() {
            Some(source) => error.caused_by(source),
            None => error,
        })
    }

    fn config_name(&self) -> String {
        text::line(&self.config_file.file_name().unwrap_or_default().to_string_lossy(), 60)
    }

    fn shown(&self) -> String {
        text::line(&self.config_file.to_string_lossy(), 200)
    }
}

/// As the client does: an environment without `requirements` takes the requirements.txt beside chalk.yaml, unless
/// `default` names another file.
fn fill_requirements(config: &mut ProjectConfig) {
    let default = config.environments.get(DEFAULT_ENVIRONMENT).and_then(|default| default.requirements.clone());
    let requirements = default.unwrap_or_else(|| DEFAULT_REQUIREMENTS.to_owned());
    for environment in config.environments.values_mut() {
        environment.requirements.get_or_insert_with(|| requirements.clone());
    }
}

/// A relative path without `.`, `..` and empty components; `None` where there is no such path. A `.` in front is
/// dropped.
fn normal_path(path: &str) -> Option<String> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let usable = !path.is_empty()
        && path.len() <= 4096
        && !path.chars().any(char::is_control)
        && path.split('/').all(|component| !matches!(component, "" | "." | ".."));
    usable.then(|| path.to_owned())
}

/// The canonical form of a path that must be a directory.
pub(crate) fn canonical_directory(path: &Path) -> Result<PathBuf> {
    let invalid = |message: &str| {
        Error::new(ErrorCode::ProjectDirectoryInvalid, message).on(text::line(&path.to_string_lossy(), 200))
    };
    let canonical = fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => invalid("there is no such directory"),
        _ => invalid("the directory cannot be reached").caused_by(error),
    })?;
    let metadata =
        fs::metadata(&canonical).map_err(|error| invalid("the directory cannot be read").caused_by(error))?;
    if metadata.is_dir() { Ok(canonical) } else { Err(invalid("it is a file, not a directory")) }
}

#[cfg(test)]
mod tests;
