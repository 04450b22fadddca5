//! What the export itself says is wrong: files that could not be imported, definitions that could not be converted, the
//! logs of chalkpy's validation, and what chalkpy shows in an editor.
//!
//! None of it can be relied on: without `--lsp` half of it is not written, and a client can leave it out. So it only adds
//! to the checks. A finding that a check made too is not listed twice.

use std::collections::HashSet;

use super::super::catalog::Catalog;
use super::super::proto::{DiagnosticSeverity, FailedImport, Lsp, ValidationLog, ValidationLogSeverity};
use super::super::{Diagnostic, DiagnosticCode, Severity};
use super::places::one_based;

/// What was reported and is not among the findings.
pub(super) fn found(catalog: &Catalog<'_>, findings: &[Diagnostic]) -> Vec<Diagnostic> {
    let export = catalog.graph.export();
    let mut found: Vec<Diagnostic> = export.failed.iter().map(failed_import).collect();
    for error in &export.conversion_errors {
        let subject = error.resolver.as_deref().or(error.feature.as_deref()).unwrap_or_default();
        found.push(Diagnostic::error(DiagnosticCode::ConversionFailed, subject, &error.message));
    }
    let subjects: HashSet<(DiagnosticCode, &str)> =
        findings.iter().map(|finding| (finding.code, finding.subject.as_str())).collect();
    let codes: HashSet<DiagnosticCode> = findings.iter().map(|finding| finding.code).collect();
    for log in export.logs.iter().map(from_log) {
        let is_listed = match log.code {
            // Of these, one log stands for many findings.
            DiagnosticCode::MetadataMissing | DiagnosticCode::MetadataRuleInvalid => codes.contains(&log.code),
            _ => subjects.contains(&(log.code, log.subject.as_str())),
        };
        if !is_listed {
            found.push(log);
        }
    }
    let places: HashSet<(DiagnosticCode, Option<&str>)> =
        findings.iter().map(|finding| (finding.code, finding.file.as_deref())).collect();
    for shown in export.lsp.iter().flat_map(of_editor) {
        if !places.contains(&(shown.code, shown.file.as_deref())) {
            found.push(shown);
        }
    }
    found
}

fn failed_import(failed: &FailedImport) -> Diagnostic {
    let subject = if failed.module.is_empty() { &failed.file_name } else { &failed.module };
    let exception = failed.traceback.lines().map(str::trim).rfind(|line| !line.is_empty());
    let what = if subject.is_empty() { "the export failed" } else { "the import failed" };
    let message = match exception {
        Some(exception) => format!("{what}: {exception}"),
        None => format!("{what}, and the export does not say why"),
    };
    Diagnostic::error(DiagnosticCode::FailedImport, subject, &message)
        .at(&failed.file_name, line_of(&failed.traceback, &failed.file_name))
}

/// The last line of the file that a traceback names: the one that raised, or led to what raised.
fn line_of(traceback: &str, file: &str) -> Option<u32> {
    let frame = format!("File \"{file}\", line ");
    let (_, rest) = traceback.rsplit_once(&frame)?;
    let digits = rest.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..digits)?.parse().ok()
}

/// A log under the code of the check that finds the same, and the severity that the log has.
fn from_log(log: &ValidationLog) -> Diagnostic {
    let (code, subject) = of_header(&log.header, &log.subheader);
    let severity = match log.severity() {
        ValidationLogSeverity::Error => Severity::Error,
        ValidationLogSeverity::Warning => Severity::Warning,
        // chalkpy forgets the severity of this one log.
        ValidationLogSeverity::Unspecified if code == DiagnosticCode::NamespaceProtected => Severity::Error,
        ValidationLogSeverity::Info | ValidationLogSeverity::Unspecified => Severity::Info,
    };
    let more = log.subheader.lines().map(str::trim).find(|line| !line.is_empty());
    let message = match more {
        Some(more) => format!("{} ({more})", log.header.trim_end_matches('.')),
        None => log.header.trim_end_matches('.').to_owned(),
    };
    Diagnostic::error(code, subject, &message).with_severity(severity)
}

/// The check that a log of chalkpy's `ValidationLogs` stands for, and what it is about. The logs have no codes; their
/// headers are known.
fn of_header<'l>(header: &'l str, subheader: &'l str) -> (DiagnosticCode, &'l str) {
    let quoted = |text: &'l str| {
        let (_, rest) = text.split_once(['"', '\''])?;
        rest.split(['"', '\'']).next()
    };
    let (in_header, in_subheader) = (quoted(header).unwrap_or_default(), quoted(subheader).unwrap_or_default());
    for (beginning, part, code, subject) in [
        ("Duplicate feature names", "", DiagnosticCode::DuplicateFeature, in_subheader),
        ("Duplicate resolver names", "", DiagnosticCode::DuplicateResolver, in_subheader),
        ("Feature set ", "is missing a primary feature", DiagnosticCode::PrimaryMissing, in_header),
        ("Feature set ", "has too many primary features", DiagnosticCode::PrimaryAmbiguous, in_header),
        ("Invalid primary key type ", "", DiagnosticCode::PrimaryType, in_header),
        ("Missing max staleness for ", "", DiagnosticCode::StalenessMissing, in_header),
        ("Feature uses protected name", "", DiagnosticCode::NameProtected, last_quoted(subheader)),
        ("Feature class uses protected namespace", "", DiagnosticCode::NamespaceProtected, namespace_of(in_subheader)),
        ("Resolver ", "requires features from multiple namespaces", DiagnosticCode::InputNamespaces, in_header),
        ("Resolver ", "does not define outputs", DiagnosticCode::OutputMissing, in_header),
        ("Resolver ", "defines multiple DataFrames as output", DiagnosticCode::OutputFrames, in_header),
        ("Resolver ", "returns both relationships and scalar features", DiagnosticCode::OutputMixed, in_header),
        ("Feature times cannot be accepted as input", "", DiagnosticCode::InputFeatureTime, in_subheader),
        ("Resolver ", "requires an unknown feature", DiagnosticCode::InputUnknown, in_header),
        ("Found invalid ", "", DiagnosticCode::MetadataRuleInvalid, in_header),
        ("", "missing metadata", DiagnosticCode::MetadataMissing, in_header),
    ] {
        if header.starts_with(beginning) && header.contains(part) {
            return (code, subject);
        }
    }
    (DiagnosticCode::ExportLog, "")
}

fn last_quoted(text: &str) -> &str {
    text.rsplit(['"', '\'']).nth(1).unwrap_or_default()
}

/// The log names a feature of the namespace.
fn namespace_of(feature: &str) -> &str {
    feature.rsplit_once('.').map_or(feature, |(namespace, _)| namespace)
}

fn of_editor(lsp: &Lsp) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for file in &lsp.diagnostics {
        for shown in &file.diagnostics {
            let severity = match shown.severity() {
                DiagnosticSeverity::Error => Severity::Error,
                DiagnosticSeverity::Warning => Severity::Warning,
                _ => Severity::Info,
            };
            let number = shown.code.as_deref().and_then(|code| code.parse().ok());
            let code = number.map_or(DiagnosticCode::ExportLog, DiagnosticCode::of_chalkpy);
            let message = shown.message.trim_end().trim_end_matches('.');
            let line = shown.range.and_then(|range| one_based(range.start));
            found.push(Diagnostic::error(code, "", message).with_severity(severity).at(&file.uri, line));
        }
    }
    found
}
