//! What is shown.

use std::collections::BTreeMap;
use std::io::{Result, Write};

use chalk_deploy_core::graph::{Diagnostic, FeatureGraph, Review, Severity};

/// One object a line: diagnostics in the order of the checks, then changes.
pub(super) fn json(out: &mut impl Write, reviewed: &Review) -> Result<()> {
    for entry in reviewed.entries() {
        serde_json::to_writer(&mut *out, &entry)?;
        writeln!(out)?;
    }
    Ok(())
}

/// Findings by file, the worst first within each; then changes; then a line that sums up.
pub(super) fn text(
    out: &mut impl Write,
    graph: &FeatureGraph,
    reviewed: &Review,
    has_deployed: bool,
    has_colors: bool,
) -> Result<()> {
    let findings = &reviewed.diagnostics;
    let mut by_file: BTreeMap<&str, Vec<&Diagnostic>> = BTreeMap::new();
    for finding in findings {
        by_file.entry(finding.file.as_deref().unwrap_or("")).or_default().push(finding);
    }
    for (file, mut findings) in by_file {
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.line));
        writeln!(out, "{}", if file.is_empty() { "the graph as a whole" } else { file })?;
        for finding in findings {
            one(out, finding, has_colors)?;
        }
        writeln!(out)?;
    }
    if has_deployed && reviewed.changes.is_empty() {
        writeln!(out, "nothing changes from the deployed graph\n")?;
    } else if has_deployed {
        writeln!(out, "changes from the deployed graph")?;
        for line in reviewed.changes.to_string().lines() {
            writeln!(out, "  {line}")?;
        }
        writeln!(out)?;
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    writeln!(
        out,
        "{}, {}, {} in {}",
        counted(count(Severity::Error), "error"),
        counted(count(Severity::Warning), "warning"),
        counted(count(Severity::Info), "remark"),
        graph.summary()
    )
}

fn one(out: &mut impl Write, finding: &Diagnostic, has_colors: bool) -> Result<()> {
    let (color, end) = match (has_colors, finding.severity) {
        (false, _) => ("", ""),
        (true, Severity::Error) => ("\u{1b}[31m", "\u{1b}[0m"),
        (true, Severity::Warning) => ("\u{1b}[33m", "\u{1b}[0m"),
        (true, Severity::Info) => ("\u{1b}[36m", "\u{1b}[0m"),
    };
    let line = finding.line.map(|line| format!("{line}: ")).unwrap_or_default();
    let is_named = !finding.subject.is_empty() && finding.file.as_ref() != Some(&finding.subject);
    let subject = if is_named { format!("{}: ", finding.subject) } else { String::new() };
    let (severity, code, message) = (finding.severity, finding.code, &finding.message);
    writeln!(out, "  {line}{color}{severity}[{code}]{end} {subject}{message}")?;
    for (place, name) in finding.chain.iter().enumerate() {
        writeln!(out, "      {}{name}", if place == 0 { "" } else { "<- " })?;
    }
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
