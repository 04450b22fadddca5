//! The Python that a project will run on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::build::PYTHON;
use crate::build::base::Base;
use crate::model::ProjectSettings;

/// The variable in which the official images of Python name theirs.
const VARIABLE: &str = "PYTHON_VERSION=";

/// A minor version of Python 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) minor: u8,
}

impl Target {
    /// The runtime that chalk.yaml names, else what the base images say of themselves. Nothing, where they differ.
    pub(super) fn of<'a>(settings: &ProjectSettings, bases: impl Iterator<Item = &'a Base>) -> Option<Self> {
        if let Some(runtime) = &settings.runtime {
            return runtime.strip_prefix("python3").and_then(Self::minor);
        }
        let mut said = bases.map(|base| base.label(PYTHON).or_else(|| of_variable(base)).and_then(Self::version));
        let first = said.next()??;
        said.all(|other| other == Some(first)).then_some(first)
    }

    /// `3.11` or `3.11.9`.
    fn version(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.');
        parts.next().filter(|major| *major == "3")?;
        Self::minor(parts.next()?)
    }

    fn minor(text: &str) -> Option<Self> {
        text.parse().ok().filter(|minor| *minor < 100).map(|minor| Self { minor })
    }
}

fn of_variable(base: &Base) -> Option<&str> {
    let variables = base.config["config"]["Env"].as_array()?;
    variables.iter().find_map(|variable| variable.as_str()?.strip_prefix(VARIABLE))
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "3.{}", self.minor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Digest, Platform, Repository};

    fn base(config: &serde_json::Value) -> Base {
        Base {
            repository: Repository::new("registry.example/base").expect("a valid repository"),
            digest: Digest::of("base"),
            platform: Platform::linux_amd64(),
            layers: Vec::new(),
            config: json!({"config": config}),
        }
    }

    #[test]
    fn the_runtime_of_the_project_goes_before_what_the_base_image_says() {
        let label = base(&json!({"Labels": {PYTHON: "3.12"}, "Env": ["PYTHON_VERSION=3.10.1"]}));
        let variable = base(&json!({"Env": ["PATH=/bin", "PYTHON_VERSION=3.10.1"]}));
        let none = ProjectSettings::default();
        let named = ProjectSettings { runtime: Some("python311".to_owned()), ..ProjectSettings::default() };
        let of = |settings: &ProjectSettings, bases: &[&Base]| {
            Target::of(settings, bases.iter().copied()).map(|target| target.minor)
        };
        assert_eq!(of(&named, &[&label]), Some(11));
        assert_eq!(of(&none, &[&label, &label]), Some(12));
        assert_eq!(of(&none, &[&variable]), Some(10));
        assert_eq!(of(&none, &[&label, &variable]), None, "two versions are none");
        assert_eq!(of(&none, &[&base(&json!({"Env": ["PYTHON_VERSION=2.7"]}))]), None);
        assert_eq!(of(&none, &[]), None);
    }
}
