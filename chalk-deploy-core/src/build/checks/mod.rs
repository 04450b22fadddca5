//! What a build finds out about a project before anything is pushed: its syntax, what a linter and a type checker say,
//! and the compiled form of its Python files.
//!
//! ```text
//!  source.tar.gz ── reader ──> each .py ── parsed in this process ──> syntax-check     errors end the build
//!                    └─ unpacked, if a tool is set up ─┬─ ruff ──────> lint             told, unless Checks says otherwise
//!                                                      ├─ mypy ──────> type-check       likewise
//!                                                      └─ python3.N ─> bytecode-compile into the source layer
//! ```
//!
//! No code of the project runs. Without a tool set up, nothing is unpacked and no process is started. A step that cannot
//! run says that it is skipped, and why.

mod bytecode;
mod finding;
mod lint;
mod python;
mod scratch;
mod target;
mod tool;
mod types;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::time::Duration;

use super::Workshop;
use super::base::Base;
use super::progress::{Running, breathe};
use crate::cloud::BuildRequest;
use crate::model::Component;
use crate::source::{ArchiveEntry, ArchiveReader, EntryKind, Extraction};
use crate::{Error, ErrorCode, Result, text};

pub use finding::{Finding, NoFinding};
pub use tool::Tool;

pub(super) use bytecode::{Compiled, Interpreter};

use python::Syntax;
use scratch::Scratch;
use target::Target;

/// The steps, by the names that their events carry.
pub const STEPS: [&str; 4] = [SYNTAX, LINT, TYPES, BYTECODE];

const SYNTAX: &str = "syntax-check";
const LINT: &str = "lint";
const TYPES: &str = "type-check";
const BYTECODE: &str = "bytecode-compile";

/// Findings of one step that are told; the others are counted.
const TOLD_MOST: usize = 100;
/// Findings that an error names.
const NAMED_MOST: usize = 10;
/// How many bytes of a project are looked at before others get their turn.
const TURN: usize = 256 << 10;

/// Which tools check a project, and what their findings mean. By default there are none: the syntax alone is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checks {
    /// Ruff.
    pub linter: Tool,
    /// mypy or pyright, known by its name.
    pub type_checker: Tool,
    /// The Python that compiles. It must be of the version that the project is for. Compiled files become part of the
    /// images, so this decides their digests: two builders whose digests are to be equal have the same interpreter here,
    /// or none.
    pub bytecode: Tool,
    /// What findings of the linter mean.
    pub lint_findings: OnFindings,
    /// What findings of the type checker mean.
    pub type_findings: OnFindings,
    /// How long each tool may take.
    pub time_limit: Duration,
}

/// What findings of a step mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFindings {
    /// They are told.
    #[default]
    Tell,
    /// The build fails.
    Fail,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            linter: Tool::Off,
            type_checker: Tool::Off,
            bytecode: Tool::Off,
            lint_findings: OnFindings::Tell,
            type_findings: OnFindings::Tell,
            time_limit: Duration::from_mins(2),
        }
    }
}

impl Checks {
    /// No tools.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whatever is installed on the `PATH` of this process.
    pub fn installed() -> Self {
        Self::default().with_linter(Tool::on_path()).with_type_checker(Tool::on_path()).with_bytecode(Tool::on_path())
    }

    /// Sets [`linter`](Self::linter).
    #[must_use]
    pub fn with_linter(mut self, tool: Tool) -> Self {
        self.linter = tool;
        self
    }

    /// Sets [`type_checker`](Self::type_checker).
    #[must_use]
    pub fn with_type_checker(mut self, tool: Tool) -> Self {
        self.type_checker = tool;
        self
    }

    /// Sets [`bytecode`](Self::bytecode).
    #[must_use]
    pub fn with_bytecode(mut self, python: Tool) -> Self {
        self.bytecode = python;
        self
    }

    /// Sets [`lint_findings`](Self::lint_findings).
    #[must_use]
    pub const fn with_lint_findings(mut self, meaning: OnFindings) -> Self {
        self.lint_findings = meaning;
        self
    }

    /// Sets [`type_findings`](Self::type_findings).
    #[must_use]
    pub const fn with_type_findings(mut self, meaning: OnFindings) -> Self {
        self.type_findings = meaning;
        self
    }

    /// Sets [`time_limit`](Self::time_limit).
    #[must_use]
    pub const fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    fn needs_tree(&self) -> bool {
        [&self.linter, &self.type_checker, &self.bytecode].into_iter().any(|tool| *tool != Tool::Off)
    }
}

/// What a step found.
#[derive(Debug)]
struct Report {
    tool: &'static str,
    findings: Vec<Finding>,
}

impl Report {
    fn new(tool: &'static str, mut findings: Vec<Finding>) -> Self {
        findings.sort();
        Self { tool, findings }
    }
}

/// Whether an entry is a compiled file that came with the source. Those never reach an image: Python could take them for
/// the source's, and nobody can read what they do.
pub(super) fn is_foreign_bytecode(path: &str) -> bool {
    path.split('/').any(|component| component == "__pycache__")
}

/// Checks the project in an archive, whose digest somebody else compares. Gives what was compiled for its image.
///
/// # Errors
/// `BUILD_FAILED` with the first findings; those of [`ArchiveReader`].
pub(super) async fn run(
    workshop: &Workshop,
    archive: &File,
    request: &BuildRequest,
    bases: &[(Component, Base)],
    running: &Running,
) -> Result<Option<Compiled>> {
    let checks = &workshop.checks;
    let target = Target::of(&request.settings, bases.iter().map(|(_, base)| base));
    let scratch = if checks.needs_tree() { Some(Scratch::begin(workshop.folder.work_directory()?)?) } else { None };
    let files = read(workshop, archive, target, scratch.as_ref(), running).await?;
    let runtime = &*workshop.runtime;
    let skip = |step: &str, reason: &str| running.say(step, format!("skipped: {reason}"));
    let Some(scratch) = scratch.filter(|_| !files.is_empty()) else {
        let reason = if files.is_empty() { "there is no Python file" } else { "it is not set up" };
        for step in [LINT, TYPES, BYTECODE] {
            skip(step, reason);
        }
        return Ok(None);
    };
    // Side by side, and told in one order.
    let (lint, types, bytecode) = futures::join!(
        lint::run(checks, &scratch, target, runtime),
        types::run(checks, &scratch, target, runtime),
        bytecode::run(checks, &scratch, &files, target, runtime),
    );
    let mut failure = None;
    for (step, report, meaning) in [(LINT, lint, checks.lint_findings), (TYPES, types, checks.type_findings)] {
        match report {
            Err(reason) => skip(step, &reason),
            Ok(Report { tool, findings }) => {
                tell(running, step, &findings);
                running.say(step, format!("{tool}: {}", counted(findings.len(), "finding")));
                if meaning == OnFindings::Fail && !findings.is_empty() {
                    failure = failure.or(Some(failed(step, &findings)));
                }
            }
        }
    }
    let compiled = match bytecode {
        Err(reason) => {
            skip(BYTECODE, &reason);
            None
        }
        Ok(mut outcome) => {
            outcome.wrong.sort();
            tell(running, BYTECODE, &outcome.wrong);
            if !outcome.wrong.is_empty() {
                return Err(failed(BYTECODE, &outcome.wrong));
            }
            for (path, reason) in outcome.skipped.iter().take(TOLD_MOST) {
                running.say(BYTECODE, format!("{} is left to Python: {reason}", text::line(path, 300)));
            }
            if let Some(interpreter) = &outcome.interpreter {
                running.say(BYTECODE, format!("{} compiled, {interpreter}", counted(outcome.compiled.len(), "file")));
            }
            outcome.keep(scratch)
        }
    };
    failure.map_or(Ok(compiled), Err)
}

/// Reads the archive: checks the syntax of each Python file, and unpacks everything if a tool is to see it. Gives the
/// Python files.
async fn read(
    workshop: &Workshop,
    archive: &File,
    target: Option<Target>,
    scratch: Option<&Scratch>,
    running: &Running,
) -> Result<BTreeSet<String>> {
    let unreadable = |error: std::io::Error| {
        crate::cloud::error_in_stream(error).unwrap_or_else(|error| {
            Error::new(ErrorCode::CloudUnavailable, "the fetched source archive could not be read").caused_by(error)
        })
    };
    let mut archive = archive.try_clone().map_err(unreadable)?;
    archive.rewind().map_err(unreadable)?;
    let mut reader = ArchiveReader::new(archive, workshop.limits.clone())?;
    let mut extraction = scratch.map(|scratch| Extraction::begin(scratch.source())).transpose()?;
    let (mut files, mut wrong, mut unchecked, mut since_turn) = (BTreeSet::new(), Vec::new(), Vec::new(), 0);
    while let Some(entry) = reader.next_entry()? {
        if is_foreign_bytecode(&entry.path) {
            continue;
        }
        if let EntryKind::HardLink { target } = &entry.kind
            && is_foreign_bytecode(target)
        {
            let message = "it is a second name of a compiled file, which no image gets";
            return Err(Error::new(ErrorCode::ArchiveEntryType, message).on(text::line(&entry.path, 200)));
        }
        let is_python = is_python(&entry);
        if is_python {
            files.insert(entry.path.clone());
        }
        if is_python && entry.kind == EntryKind::File && entry.size <= python::FILE_MOST {
            let mut content = Vec::new();
            reader.read_to_end(&mut content).map_err(unreadable)?;
            match python::check(&entry.path, &content, target) {
                Syntax::Right => {}
                Syntax::Wrong(findings) => wrong.extend(findings),
                Syntax::Unchecked(reason) => unchecked.push((entry.path.clone(), reason)),
            }
            since_turn += content.len();
            if let Some(extraction) = &mut extraction {
                extraction.entry(&entry, &mut content.as_slice())?;
            }
        } else {
            if is_python && entry.kind == EntryKind::File {
                let reason = format!("it is larger than {}", text::bytes(python::FILE_MOST));
                unchecked.push((entry.path.clone(), reason));
            }
            if let Some(extraction) = &mut extraction {
                extraction.entry(&entry, &mut reader)?;
            }
        }
        since_turn += 4096;
        if since_turn >= TURN {
            since_turn = 0;
            breathe().await;
        }
    }
    reader.finish()?;
    if let Some(extraction) = extraction {
        extraction.finish()?;
    }
    wrong.sort();
    for (path, reason) in unchecked.iter().take(TOLD_MOST) {
        running.say(SYNTAX, format!("{} was not checked: {reason}", text::line(path, 300)));
    }
    tell(running, SYNTAX, &wrong);
    if !wrong.is_empty() {
        return Err(failed(SYNTAX, &wrong));
    }
    let version = target.map_or_else(|| "any version of Python 3".to_owned(), |target| format!("Python {target}"));
    let checked = files.len().saturating_sub(unchecked.len());
    running.say(SYNTAX, format!("{} checked for {version}", counted(checked, "file")));
    Ok(files)
}

/// Files, and second names of files. A link is another file's.
fn is_python(entry: &ArchiveEntry) -> bool {
    // Case counts, as it does for Python.
    let stem = entry.path.rsplit('/').next().and_then(|name| name.strip_suffix(".py"));
    matches!(entry.kind, EntryKind::File | EntryKind::HardLink { .. }) && stem.is_some_and(|stem| !stem.is_empty())
}

fn tell(running: &Running, step: &str, findings: &[Finding]) {
    for finding in findings.iter().take(TOLD_MOST) {
        running.say(step, finding.to_string());
    }
    if let Some(more) = findings.len().checked_sub(TOLD_MOST).filter(|more| *more > 0) {
        running.say(step, format!("and {more} more"));
    }
}

/// The error of a step with findings that the build may not have.
fn failed(step: &str, findings: &[Finding]) -> Error {
    let named: Vec<_> = findings.iter().take(NAMED_MOST).map(Finding::to_string).collect();
    let more = match findings.len().saturating_sub(NAMED_MOST) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let message = format!("{}: {}{more}", counted(findings.len(), "finding"), named.join("; "));
    Error::new(ErrorCode::BuildFailed, message)
        .on(format!("step {step}"))
        .with_hint("correct the files named, or list what need not be deployed in .chalkignore")
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests;
