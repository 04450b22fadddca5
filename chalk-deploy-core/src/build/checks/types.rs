//! The findings of a type checker.
//!
//! mypy's plugins are the project's code, and run when its settings name them. So no settings of the project are read:
//! neither mypy nor Pyright learns of any but ours. Packages that are not installed here are taken for untyped ones.

use std::ffi::OsString;

use serde::Deserialize;

use super::finding::Finding;
use super::scratch::Scratch;
use super::target::Target;
use super::tool::{Ran, Run, shown};
use super::{Checks, Report, lint};
use crate::runtime::Runtime;

const NAMES: [&str; 2] = ["mypy", "pyright"];

/// Runs the type checker over the project. Without one, or where it fails, the reason.
pub(super) async fn run(
    checks: &Checks,
    scratch: &Scratch,
    target: Option<Target>,
    runtime: &dyn Runtime,
) -> Result<Report, String> {
    let program = lint::first(&checks.type_checker, "type checker", &NAMES)?;
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let kind = if name.starts_with("mypy") {
        Kind::Mypy
    } else if name.starts_with("pyright") || name.starts_with("basedpyright") {
        Kind::Pyright
    } else {
        return Err(format!("{} is neither mypy nor pyright", shown(&program)));
    };
    let arguments =
        kind.arguments(scratch, target).map_err(|error| format!("its settings cannot be written: {error}"))?;
    let (directory, home) = (scratch.source(), scratch.home());
    let run = Run {
        program: &program,
        arguments,
        directory: &directory,
        home: &home,
        input: Vec::new(),
        limit: checks.time_limit,
    };
    let name = kind.name();
    let ran = run.ended(name, runtime).await?;
    // Both end with 1 when they have findings.
    if !matches!(ran.code, Some(0 | 1)) {
        return Err(kind.refusal(&ran, scratch));
    }
    let findings = kind.read(&ran, scratch).ok_or_else(|| format!("{name} wrote something else than its findings"))?;
    Ok(Report::new(name, findings))
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Mypy,
    Pyright,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Mypy => "mypy",
            Self::Pyright => "pyright",
        }
    }

    fn arguments(self, scratch: &Scratch, target: Option<Target>) -> std::io::Result<Vec<OsString>> {
        match self {
            Self::Mypy => {
                let mut arguments: Vec<OsString> = [
                    // Empty: no file at all, wherever one may lie.
                    "--config-file=",
                    "--cache-dir=/dev/null",
                    "--no-incremental",
                    "--no-site-packages",
                    "--ignore-missing-imports",
                    "--explicit-package-bases",
                    "--show-column-numbers",
                    "--show-error-codes",
                    "--no-pretty",
                    "--no-color-output",
                    "--no-error-summary",
                    "--hide-error-context",
                ]
                .map(Into::into)
                .to_vec();
                if let Some(target) = target {
                    arguments.push(format!("--python-version={target}").into());
                }
                arguments.extend(["--".into(), ".".into()]);
                Ok(arguments)
            }
            Self::Pyright => {
                let mut settings = serde_json::json!({
                    "include": [scratch.source()], "typeCheckingMode": "basic", "reportMissingImports": false,
                    "reportMissingModuleSource": false, "reportAttributeAccessIssue": "error",
                });
                if let Some(target) = target {
                    settings["pythonVersion"] = target.to_string().into();
                }
                let file = scratch.home().join("pyright.json");
                std::fs::write(&file, settings.to_string())?;
                Ok(vec!["--outputjson".into(), "--project".into(), file.into()])
            }
        }
    }

    fn read(self, ran: &Ran, scratch: &Scratch) -> Option<Vec<Finding>> {
        match self {
            Self::Mypy => {
                let output = String::from_utf8_lossy(&ran.output);
                Some(output.lines().filter_map(|line| mypy_line(line, scratch)).collect())
            }
            Self::Pyright => {
                let found: Diagnostics = serde_json::from_slice(&ran.output).ok()?;
                let errors = found.diagnostics.iter().filter(|diagnostic| diagnostic.severity == "error");
                Some(errors.filter_map(|diagnostic| diagnostic.finding(scratch)).collect())
            }
        }
    }

    /// Why it could not check; mypy says so where its findings would stand.
    fn refusal(self, ran: &Ran, scratch: &Scratch) -> String {
        let found = matches!(self, Self::Mypy).then(|| self.read(ran, scratch)).flatten().unwrap_or_default();
        match found.first() {
            Some(first) => format!("{} could not go on at {first}", self.name()),
            None => ran.failure(self.name()),
        }
    }
}

/// `file:line:column: error: message  [code]`; the column is not always there, and notes belong to an error before.
fn mypy_line(line: &str, scratch: &Scratch) -> Option<Finding> {
    let (place, message) = line.split_once(": error: ")?;
    let mut parts = place.rsplitn(3, ':');
    let (last, before, rest) = (parts.next()?, parts.next(), parts.next());
    let number = |text: &str| text.parse::<u32>().ok();
    let (file, place) = match (number(last), before.and_then(number), rest) {
        (Some(column), Some(line), Some(file)) => (file.to_owned(), (line, column)),
        (Some(line), ..) => (place.rsplit_once(':')?.0.to_owned(), (line, 1)),
        _ => (place.to_owned(), (1, 1)),
    };
    let (message, code) = match message.strip_suffix(']').and_then(|message| message.rsplit_once("  [")) {
        Some((message, code)) => (message, Some(code)),
        None => (message, None),
    };
    Some(Finding::new(&scratch.relative(&file)?, place, message).with_rule(code))
}

#[derive(Deserialize)]
struct Diagnostics {
    #[serde(rename = "generalDiagnostics")]
    diagnostics: Vec<Diagnostic>,
}

#[derive(Deserialize)]
struct Diagnostic {
    file: String,
    severity: String,
    message: String,
    rule: Option<String>,
    range: Option<Range>,
}

#[derive(Deserialize)]
struct Range {
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: u32,
    character: u32,
}

impl Diagnostic {
    fn finding(&self, scratch: &Scratch) -> Option<Finding> {
        let place = self
            .range
            .as_ref()
            .map_or((1, 1), |Range { start }| (start.line.saturating_add(1), start.character.saturating_add(1)));
        Some(Finding::new(&scratch.relative(&self.file)?, place, &self.message).with_rule(self.rule.as_deref()))
    }
}
