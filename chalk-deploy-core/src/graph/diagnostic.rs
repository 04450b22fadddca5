//! Something found in a graph.

use std::fmt;

use serde::Serialize;

use crate::text;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Deploys, and should be looked at.
    Warning,
    /// Must not be deployed.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $number:expr;)*) => {
        /// What was found. Stable: the wire name of a code never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[non_exhaustive]
        pub enum DiagnosticCode {
            $($(#[$doc])* #[serde(rename = $wire)] $name,)*
        }

        impl DiagnosticCode {
            /// Every code, in the order of the file.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name on the wire, in JSON and in documentation.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// The number under which chalkpy shows the same finding in an editor, where it has one.
            pub const fn chalkpy_number(self) -> Option<u16> {
                match self { $(Self::$name => $number,)* }
            }
        }
    };
}

codes! {
    /// A file raised an exception while chalkpy imported it.
    FailedImport = "FAILED_IMPORT", None;
    /// chalkpy could not convert a definition.
    ConversionFailed = "CONVERSION_FAILED", None;
    /// chalkpy's own validation found it.
    ExportLog = "EXPORT_LOG", None;
    /// Two features have one full name.
    DuplicateFeature = "DUPLICATE_FEATURE", Some(28);
    /// Two resolvers have one name; their modules do not tell them apart.
    DuplicateResolver = "DUPLICATE_RESOLVER", Some(71);
    /// A feature set has no primary feature and is no singleton.
    PrimaryMissing = "PRIMARY_MISSING", None;
    /// A feature set has more than one primary feature.
    PrimaryAmbiguous = "PRIMARY_AMBIGUOUS", Some(51);
    /// A resolver takes a feature that no feature set has.
    InputUnknown = "INPUT_UNKNOWN", Some(135);
}

impl fmt::Display for DiagnosticCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Something found in a graph. Its texts are safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostic {
    /// What was found.
    pub code: DiagnosticCode,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// The full name of what it is about, or a file; empty when the message says it all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The file, relative to the project, when the graph knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, counted from 1, when the graph knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// Full names are cut at so many characters where they are shown.
const LONGEST_NAME: usize = 200;
/// Messages are cut at so many characters where they are shown.
const LONGEST_MESSAGE: usize = 500;

impl Diagnostic {
    /// A finding that must not be deployed.
    pub(super) fn error(code: DiagnosticCode, subject: &str, message: &str) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: text::line(message, LONGEST_MESSAGE),
            subject: shown_name(subject),
            file: None,
            line: None,
        }
    }

    /// Adds where it stands. An empty file is none.
    pub(super) fn at(mut self, file: &str, line: Option<u32>) -> Self {
        if !file.is_empty() {
            self.file = Some(shown_name(file));
            self.line = line;
        }
        self
    }

    /// Replaces the severity.
    pub(super) fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

/// A name from a stranger, made safe to show.
pub(super) fn shown_name(name: &str) -> String {
    text::line(name, LONGEST_NAME)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(formatter, "{file}:")?;
            if let Some(line) = self.line {
                write!(formatter, "{line}:")?;
            }
            formatter.write_str(" ")?;
        }
        if !self.subject.is_empty() && self.file.as_ref() != Some(&self.subject) {
            write!(formatter, "{}: ", self.subject)?;
        }
        formatter.write_str(&self.message)
    }
}
