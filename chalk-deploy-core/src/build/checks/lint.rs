//! Ruff's findings.
//!
//! Ruff runs no code of the project, and its settings may be the project's own. What they could reach beyond the checks
//! is taken from them: no fixes, no cache, no ignore files above the project, no other version of Python.

use serde::Deserialize;

use super::finding::Finding;
use super::scratch::Scratch;
use super::target::Target;
use super::tool::{Run, Tool};
use super::{Checks, Report};
use crate::runtime::Runtime;

#[derive(Deserialize)]
struct Entry {
    code: Option<String>,
    filename: String,
    #[serde(default)]
    location: Option<Location>,
    message: String,
}

#[derive(Deserialize)]
struct Location {
    row: u32,
    column: u32,
}

/// Runs Ruff over the project. Without one, or where it fails, the reason.
pub(super) async fn run(
    checks: &Checks,
    scratch: &Scratch,
    target: Option<Target>,
    runtime: &dyn Runtime,
) -> Result<Report, String> {
    let program = first(&checks.linter, "linter", &["ruff"])?;
    let mut arguments: Vec<_> =
        ["check", "--output-format=json", "--no-cache", "--no-fix", "--no-respect-gitignore", "--exit-zero", "--quiet"]
            .map(Into::into)
            .to_vec();
    if let Some(Target { minor }) = target {
        arguments.push(format!("--target-version=py3{minor}").into());
    }
    arguments.extend(["--".into(), ".".into()]);
    let (directory, home) = (scratch.source(), scratch.home());
    let run = Run {
        program: &program,
        arguments,
        directory: &directory,
        home: &home,
        input: Vec::new(),
        limit: checks.time_limit,
    };
    let ran = run.ended("ruff", runtime).await?;
    if ran.code != Some(0) {
        return Err(ran.failure("ruff"));
    }
    let entries: Vec<Entry> =
        serde_json::from_slice(&ran.output).map_err(|_| "ruff wrote something else than its findings".to_owned())?;
    let found = entries.iter().filter_map(|entry| {
        let file = scratch.relative(&entry.filename)?;
        let place = entry.location.as_ref().map_or((1, 1), |location| (location.row, location.column));
        Some(Finding::new(&file, place, &entry.message).with_rule(entry.code.as_deref()))
    });
    Ok(Report::new("ruff", found.collect()))
}

pub(super) fn first(tool: &Tool, what: &str, names: &[&str]) -> Result<std::path::PathBuf, String> {
    Ok(tool.candidates(what, names)?.swap_remove(0))
}
