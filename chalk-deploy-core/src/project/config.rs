//! `chalk.yaml` as typed values.
//!
//! The rules are those of the Chalk client (`chalk/config/project_config.py` of chalkpy 2.166): wrong types are errors,
//! unknown keys are not. Here they are warnings, because a misspelt key is a setting that silently does nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ProjectWarning;
use super::yaml::{ScalarKind, Tree};
use crate::model::ProjectName;
use crate::text;
use crate::{Error, ErrorCode, Result};

/// The Python runtimes that Chalk has images for.
pub const RUNTIMES: [&str; 5] = ["python310", "python311", "python312", "python313", "python314"];

/// The content of a chalk.yaml.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectConfig {
    /// The project's name.
    pub project: ProjectName,
    /// The settings of each environment; those of `default` hold wherever another leaves something out.
    #[serde(default)]
    pub environments: BTreeMap<String, EnvironmentConfig>,
    /// What the feature graph is held to.
    #[serde(default)]
    pub validation: ValidationRules,
}

/// The settings of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EnvironmentConfig {
    /// The Python runtime, one of [`RUNTIMES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The requirements file, relative to the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<String>,
    /// The project's own Dockerfile, relative to the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The pinned version of Chalk's platform images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    /// An ignore file of this environment's own, relative to the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chalkignore: Option<String>,
}

impl EnvironmentConfig {
    /// These settings, with those of `default` where there is none.
    #[must_use]
    pub fn or(&self, default: &Self) -> Self {
        let pick = |own: &Option<String>, other: &Option<String>| own.clone().or_else(|| other.clone());
        Self {
            runtime: pick(&self.runtime, &default.runtime),
            requirements: pick(&self.requirements, &default.requirements),
            dockerfile: pick(&self.dockerfile, &default.dockerfile),
            platform_version: pick(&self.platform_version, &default.platform_version),
            chalkignore: pick(&self.chalkignore, &default.chalkignore),
        }
    }
}

/// The rules that features and resolvers are held to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ValidationRules {
    /// For features.
    #[serde(default)]
    pub feature: Vec<MetadataRule>,
    /// For resolvers.
    #[serde(default)]
    pub resolver: Vec<MetadataRule>,
}

/// What happens when a piece of metadata is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataRule {
    /// The metadata: `description`, `owner` or `tags`.
    pub name: String,
    /// How bad it is when it is missing.
    pub missing: Severity,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth changing.
    Warning,
    /// Refused.
    Error,
}

const METADATA: [&str; 3] = ["description", "owner", "tags"];

impl ProjectConfig {
    /// Reads the text of a chalk.yaml; `file` is its name, for messages.
    pub(super) fn parse(text: &str, file: &str) -> Result<(Self, Vec<ProjectWarning>)> {
        let tree = Tree::parse(text).map_err(|reason| {
            Error::new(ErrorCode::ProjectConfigInvalid, format!("it is not the YAML that was expected: {reason}"))
                .on(file)
                .with_hint("correct the line named and apply again")
        })?;
        let mut reader = Reader { file, warnings: Vec::new() };
        let config = reader.config(&tree)?;
        Ok((config, reader.warnings))
    }
}

struct Reader<'a> {
    file: &'a str,
    warnings: Vec<ProjectWarning>,
}

impl Reader<'_> {
    fn config(&mut self, tree: &Tree) -> Result<ProjectConfig> {
        if *tree == Tree::Null {
            return Err(self.invalid("project", "the file is empty", "write `project: <name>` in it"));
        }
        let root = self.mapping(tree, "")?;
        self.warn_unknown(root, "", &["project", "environments", "validation"]);
        let name = match get(root, "project") {
            Tree::Null => return Err(self.invalid("project", "it is missing", "write `project: <name>` in the file")),
            tree => self.string(tree, "project")?,
        };
        let project = ProjectName::new(name).map_err(|error| {
            self.invalid("project", &format!("the name is not usable: {}", error.message()), "choose another name")
        })?;
        let mut environments = BTreeMap::new();
        if let tree @ (Tree::Map(_) | Tree::Scalar { .. } | Tree::List(_)) = get(root, "environments") {
            for (name, tree) in self.mapping(tree, "environments")? {
                environments.insert(name.clone(), self.environment(tree, name)?);
            }
        }
        let validation = match get(root, "validation") {
            Tree::Null => ValidationRules::default(),
            tree => self.validation(tree)?,
        };
        Ok(ProjectConfig { project, environments, validation })
    }

    fn environment(&mut self, tree: &Tree, name: &str) -> Result<EnvironmentConfig> {
        let path = format!("environments.{}", text::line(name, 60));
        crate::model::EnvironmentId::new(name)
            .map_err(|error| self.invalid(&path, error.message(), "rename the environment"))?;
        let map = self.mapping(tree, &path)?;
        let known = ["runtime", "requirements", "dockerfile", "platform_version", "chalkignore", "requires_packages"];
        self.warn_unknown(map, &path, &known);
        let field = |key: &str| self.optional_string(map, &path, key);
        let config = EnvironmentConfig {
            runtime: field("runtime")?,
            requirements: field("requirements")?,
            dockerfile: field("dockerfile")?,
            platform_version: field("platform_version")?,
            chalkignore: field("chalkignore")?,
        };
        if let Some(runtime) = config.runtime.as_deref().filter(|runtime| !RUNTIMES.contains(runtime)) {
            let message = format!("there is no runtime `{}`", text::line(runtime, 60));
            return Err(self.invalid(&format!("{path}.runtime"), &message, &one_of(&RUNTIMES)));
        }
        Ok(config)
    }

    fn validation(&mut self, tree: &Tree) -> Result<ValidationRules> {
        let map = self.mapping(tree, "validation")?;
        self.warn_unknown(map, "validation", &["feature", "resolver"]);
        Ok(ValidationRules { feature: self.rules(map, "feature")?, resolver: self.rules(map, "resolver")? })
    }

    fn rules(&mut self, validation: &[(String, Tree)], kind: &str) -> Result<Vec<MetadataRule>> {
        let path = format!("validation.{kind}");
        let tree = get(validation, kind);
        if *tree == Tree::Null {
            return Ok(Vec::new());
        }
        let map = self.mapping(tree, &path)?;
        self.warn_unknown(map, &path, &["metadata"]);
        let path = format!("{path}.metadata");
        match get(map, "metadata") {
            Tree::Null => Ok(Vec::new()),
            Tree::List(rules) => {
                rules.iter().enumerate().map(|(at, rule)| self.rule(rule, &format!("{path}[{at}]"))).collect()
            }
            other => {
                Err(self.wrong_type(other, &path, "a list", "write `- name: owner` below it, with `missing: error`"))
            }
        }
    }

    fn rule(&mut self, tree: &Tree, path: &str) -> Result<MetadataRule> {
        let map = self.mapping(tree, path)?;
        self.warn_unknown(map, path, &["name", "missing"]);
        let name_path = format!("{path}.name");
        let name = self.string(get(map, "name"), &name_path)?;
        if !METADATA.contains(&name.as_str()) {
            let message =
                format!("{name_path}: no metadata is called `{}`, the rule has no effect", text::line(&name, 60));
            self.warn(&message, one_of(&METADATA));
        }
        let missing_path = format!("{path}.missing");
        let missing = match self.string(get(map, "missing"), &missing_path)?.as_str() {
            "info" => Severity::Info,
            "warning" => Severity::Warning,
            "error" => Severity::Error,
            other => {
                let message = format!("there is no severity `{}`", text::line(other, 60));
                return Err(self.invalid(&missing_path, &message, &one_of(&["info", "warning", "error"])));
            }
        };
        Ok(MetadataRule { name, missing })
    }

    fn mapping<'t>(&self, tree: &'t Tree, path: &str) -> Result<&'t [(String, Tree)]> {
        match tree {
            Tree::Map(entries) => Ok(entries),
            other if path.is_empty() => {
                Err(self.wrong_type(other, "the document", "a mapping", "begin the file with `project: <name>`"))
            }
            Tree::Null => Err(self.wrong_type(tree, path, "a mapping", "write its keys below it, or `{}` for none")),
            other => Err(self.wrong_type(other, path, "a mapping", "write `key: value` lines below it")),
        }
    }

    fn optional_string(&self, map: &[(String, Tree)], path: &str, key: &str) -> Result<Option<String>> {
        match get(map, key) {
            Tree::Null => Ok(None),
            tree => self.string(tree, &format!("{path}.{key}")).map(Some),
        }
    }

    fn string(&self, tree: &Tree, path: &str) -> Result<String> {
        match tree {
            Tree::Scalar { text, kind: ScalarKind::String } if text.trim().is_empty() => {
                Err(self.invalid(path, "it is empty", "give it a value, or remove the key"))
            }
            Tree::Scalar { text, kind: ScalarKind::String } => Ok(text.clone()),
            Tree::Scalar { text, .. } => {
                Err(self.wrong_type(tree, path, "a string", &format!("put it in quotes, \"{}\"", text::line(text, 60))))
            }
            other => Err(self.wrong_type(other, path, "a string", "write one value behind the colon")),
        }
    }

    fn wrong_type(&self, tree: &Tree, path: &str, wanted: &str, remedy: &str) -> Error {
        self.invalid(path, &format!("it must be {wanted} and is {}", tree.describe()), remedy)
    }

    fn invalid(&self, path: &str, message: &str, remedy: &str) -> Error {
        Error::new(ErrorCode::ProjectConfigInvalid, format!("`{path}`: {message}")).on(self.file).with_hint(remedy)
    }

    fn warn_unknown(&mut self, map: &[(String, Tree)], path: &str, known: &[&str]) {
        for (key, _) in map.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let dot = if path.is_empty() { "" } else { "." };
            let hint = nearest(key, known)
                .map_or_else(|| "remove it".to_owned(), |nearest| format!("did you mean `{nearest}`?"));
            self.warn(&format!("the key `{path}{dot}{}` is not known and has no effect", text::line(key, 60)), hint);
        }
    }

    fn warn(&mut self, message: &str, hint: String) {
        let message = format!("{}: {message}", self.file);
        self.warnings.push(ProjectWarning { code: ErrorCode::ProjectConfigUnknownKey, message, hint });
    }
}

fn get<'t>(map: &'t [(String, Tree)], key: &str) -> &'t Tree {
    map.iter().find(|(name, _)| name == key).map_or(&Tree::Null, |(_, tree)| tree)
}

fn one_of(values: &[&str]) -> String {
    format!("use one of {}", values.join(", "))
}

/// The known key that a misspelt one most likely stands for: at most two letters apart, or a third of them.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    // A key that is much longer than all known ones is no misspelling, and not worth the square of its length.
    if key.chars().count() > 40 {
        return None;
    }
    known
        .iter()
        .map(|candidate| (distance(key, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, removals and replacements between two words (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (at, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(ProjectConfig, Vec<ProjectWarning>)> {
        ProjectConfig::parse(text, "chalk.yaml")
    }

    #[test]
    fn a_whole_file_becomes_typed_values() {
        let text = "
project: fraud
environments:
  default:
    runtime: python311
    requirements: requirements.txt
  prod:
    platform_version: v3.34.1
    dockerfile: docker/Dockerfile
    chalkignore: prod.ignore
validation:
  feature:
    metadata:
      - {name: owner, missing: error}
      - {name: tags, missing: info}
  resolver:
    metadata:
      - name: description
        missing: warning
";
        let (config, warnings) = parse(text).expect("a valid file");
        assert_eq!(warnings, []);
        assert_eq!(config.project.as_str(), "fraud");
        let prod = config.environments["prod"].or(&config.environments["default"]);
        assert_eq!(prod.runtime.as_deref(), Some("python311"));
        assert_eq!(prod.platform_version.as_deref(), Some("v3.34.1"));
        assert_eq!(prod.chalkignore.as_deref(), Some("prod.ignore"));
        assert_eq!(config.validation.feature[0].missing, Severity::Error);
        assert_eq!(config.validation.resolver[0].name, "description");
    }

    #[test]
    fn wrong_types_and_values_name_file_field_and_remedy() {
        let cases = [
            ("project: 123", "`project`: it must be a string and is the number `123`", "in quotes"),
            ("project: true", "`project`: it must be a string and is the boolean `true`", "in quotes"),
            ("project: [a]", "`project`: it must be a string and is a list", "one value"),
            ("project: ''", "`project`: it is empty", "give it a value"),
            ("project: ..", "`project`: the name is not usable", "another name"),
            ("project: a/b", "`project`: the name is not usable", "another name"),
            ("environments: {}", "`project`: it is missing", "project: <name>"),
            ("", "`project`: the file is empty", "project: <name>"),
            ("- a", "`the document`: it must be a mapping and is a list", "project: <name>"),
            ("just text", "`the document`: it must be a mapping", "project: <name>"),
            ("project: a\nenvironments: x", "`environments`: it must be a mapping", "key: value"),
            ("project: a\nenvironments: {x: }", "`environments.x`: it must be a mapping and is nothing", "`{}`"),
            ("project: a\nenvironments: {A b: {}}", "`environments.A b`: an environment is", "rename"),
            (
                "project: a\nenvironments: {default: {runtime: python39}}",
                "`environments.default.runtime`: there is no runtime `python39`",
                "python310, python311, python312, python313, python314",
            ),
            (
                "project: a\nenvironments: {default: {runtime: 3.11}}",
                "`environments.default.runtime`: it must be a string and is the number `3.11`",
                "\"3.11\"",
            ),
            (
                "project: a\nenvironments: {default: {requirements: [a, b]}}",
                "`environments.default.requirements`: it must be a string and is a list",
                "one value",
            ),
            ("project: a\nvalidation: 3", "`validation`: it must be a mapping", "key: value"),
            (
                "project: a\nvalidation: {feature: {metadata: x}}",
                "`validation.feature.metadata`: it must be a list",
                "-",
            ),
            (
                "project: a\nvalidation: {resolver: {metadata: [{name: owner, missing: fatal}]}}",
                "`validation.resolver.metadata[0].missing`: there is no severity `fatal`",
                "info, warning, error",
            ),
            (
                "project: a\nvalidation: {feature: {metadata: [{missing: error}]}}",
                "`validation.feature.metadata[0].name`: it must be a string and is nothing",
                "one value",
            ),
            ("project: a\nproject: b", "it is not the YAML that was expected", "line"),
        ];
        for (text, message, remedy) in cases {
            let error = parse(text).expect_err(text);
            assert_eq!(error.code(), ErrorCode::ProjectConfigInvalid, "{text}");
            assert_eq!(error.subject(), "chalk.yaml");
            assert!(error.message().contains(message), "{text}: {}", error.message());
            assert!(error.hint().contains(remedy), "{text}: {}", error.hint());
        }
    }

    #[test]
    fn words_that_old_yaml_takes_for_booleans_are_names_like_any_other() {
        let (config, _) = parse("project: no\nenvironments: {on: {platform_version: 1e3}}").expect("a valid file");
        assert_eq!(config.project.as_str(), "no");
        assert_eq!(config.environments["on"].platform_version.as_deref(), Some("1e3"));
    }

    #[test]
    fn an_unknown_key_is_a_warning_that_guesses_what_was_meant() {
        let text = "project: a\nenviroments: {}\nenvironments: {default: {run_time: x, zzz: 1}}\n\
            validation: {feature: {metadata: [{name: ownr, missing: error}]}}";
        let (_, warnings) = parse(text).expect("a valid file");
        let shown: Vec<_> = warnings.iter().map(|warning| (warning.message.as_str(), warning.hint.as_str())).collect();
        assert_eq!(shown.len(), 4, "{shown:?}");
        assert!(shown[0].0.contains("`enviroments`") && shown[0].1.contains("`environments`"), "{shown:?}");
        assert!(
            shown[1].0.contains("`environments.default.run_time`") && shown[1].1.contains("`runtime`"),
            "{shown:?}"
        );
        assert_eq!(shown[2].1, "remove it");
        assert!(shown[3].0.contains("ownr") && shown[3].1.contains("owner"), "{shown:?}");
        assert!(warnings.iter().all(|warning| warning.code == ErrorCode::ProjectConfigUnknownKey));
    }

    #[test]
    fn distances_are_counted_in_letters() {
        assert_eq!(distance("runtime", "runtime"), 0);
        assert_eq!(distance("runtme", "runtime"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
