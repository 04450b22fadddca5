//! Which tools check a project, and what compiles it.

use std::path::PathBuf;
use std::str::FromStr;

use chalk_deploy_core::build::Checks;
use chalk_deploy_core::build::checks::{OnFindings, Tool};
use clap::Args;

/// The flags of the checks.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Checks, before anything is pushed")]
pub(super) struct CheckArguments {
    /// Ruff: `auto` for the one on the PATH if there is one, `off`, or its path
    #[arg(long, value_name = "auto|off|PATH", default_value = "auto")]
    lint: Choice,

    /// mypy or pyright, chosen in the same way; no settings of the project are read
    #[arg(long, value_name = "auto|off|PATH", default_value = "auto")]
    type_check: Choice,

    /// The Python that compiles the source for its image, which must be of the project's version, chosen in the same way
    #[arg(long, value_name = "auto|off|PATH", default_value = "auto")]
    bytecode: Choice,

    /// Findings of ruff and of the type checker fail the build
    #[arg(long)]
    strict_checks: bool,
}

impl CheckArguments {
    /// What the builder is told.
    pub(super) fn checks(&self) -> Checks {
        let meaning = if self.strict_checks { OnFindings::Fail } else { OnFindings::Tell };
        Checks::new()
            .with_linter(self.lint.tool())
            .with_type_checker(self.type_check.tool())
            .with_bytecode(self.bytecode.tool())
            .with_lint_findings(meaning)
            .with_type_findings(meaning)
    }
}

/// How a tool is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Choice {
    #[default]
    Auto,
    Off,
    At(PathBuf),
}

impl Choice {
    fn tool(&self) -> Tool {
        match self {
            Self::Auto => Tool::on_path(),
            Self::Off => Tool::Off,
            Self::At(path) => Tool::At(path.clone()),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        match given {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            path => {
                let path = std::path::absolute(path).map_err(|error| error.to_string())?;
                if path.is_file() { Ok(Self::At(path)) } else { Err("there is no such program".to_owned()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_named_or_switched_off() {
        assert_eq!("auto".parse(), Ok(Choice::Auto));
        assert_eq!("off".parse(), Ok(Choice::Off));
        assert_eq!("/bin/sh".parse(), Ok(Choice::At("/bin/sh".into())));
        assert!(Choice::from_str("no/such/ruff").is_err());
        let off =
            CheckArguments { lint: Choice::Off, type_check: Choice::Off, bytecode: Choice::Off, strict_checks: false };
        assert_eq!(off.checks(), Checks::new());
        let strict = CheckArguments { strict_checks: true, ..off };
        assert_eq!(strict.checks().lint_findings, OnFindings::Fail);
    }
}
