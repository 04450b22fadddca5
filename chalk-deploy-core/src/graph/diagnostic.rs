//! Something found in a graph.

use std::borrow::Cow;
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
    ($($(#[$doc:meta])* $name:ident = $wire:literal;)*) => {
        /// What was found. Stable: what a code means never changes. A number is the one under which chalkpy shows the
        /// same finding in an editor; where chalkpy has none, the code is a name. The table of all codes, with what
        /// chalkpy says and which test project shows it, is docs/graph-checks.md.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DiagnosticCode {
            $($(#[$doc])* #[doc = concat!("`", $wire, "`")] $name,)*
            /// What chalkpy wrote into the export for an editor, under its own number.
            Chalkpy(u16),
        }

        impl DiagnosticCode {
            /// Every code of a check, in the order of the file.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it is called on the wire, in JSON and in documentation.
            pub fn as_str(self) -> Cow<'static, str> {
                match self {
                    $(Self::$name => Cow::Borrowed($wire),)*
                    Self::Chalkpy(number) => Cow::Owned(number.to_string()),
                }
            }
        }
    };
}

codes! {
    /// A file raised an exception while chalkpy imported it, or chalkpy could not begin.
    FailedImport = "FAILED_IMPORT";
    /// chalkpy could not convert a definition.
    ConversionFailed = "CONVERSION_FAILED";
    /// chalkpy's own validation found something that is no check of ours.
    ExportLog = "EXPORT_LOG";
    /// Two feature classes have one name, or a feature is in a namespace that is not its set's.
    NamespaceConflict = "14";
    /// Two features have one full name.
    DuplicateFeature = "28";
    /// Two resolvers have one name; their modules do not tell them apart.
    DuplicateResolver = "71";
    /// The name of a feature begins as the platform's own names do.
    NameProtected = "24";
    /// The name of a feature set begins as the platform's own names do.
    NamespaceProtected = "25";
    /// A feature set has no primary feature and is no singleton.
    PrimaryMissing = "PRIMARY_MISSING";
    /// A feature set has more than one primary feature.
    PrimaryAmbiguous = "51";
    /// A primary feature is neither an integer nor a string.
    PrimaryType = "23";
    /// What is loaded into the online store is stale at once.
    StalenessMissing = "STALENESS_MISSING";
    /// A feature or a resolver lacks what chalk.yaml asks of it.
    MetadataMissing = "METADATA_MISSING";
    /// chalk.yaml asks for metadata, or a severity, that there is not.
    MetadataRuleInvalid = "METADATA_RULE_INVALID";
    /// A has-one or has-many without a join.
    JoinMissing = "35";
    /// The two sides of a join have different types.
    JoinTypes = "42";
    /// A join is between other sets than the feature's own and the one that it leads to.
    JoinNamespaces = "43";
    /// A join names a feature that no feature set has, or leads to a set that there is not.
    JoinUnknown = "40";
    /// An expression names a feature that its set does not have.
    ExpressionUnknown = "701";
    /// An expression has another type than its feature.
    ExpressionType = "EXPRESSION_TYPE";
    /// An expression is not a whole message.
    ExpressionUnreadable = "EXPRESSION_UNREADABLE";
    /// Expressions need each other.
    ExpressionCycle = "EXPRESSION_CYCLE";
    /// A default value has another type than its feature.
    DefaultType = "DEFAULT_TYPE";
    /// A resolver takes features of several feature sets.
    InputNamespaces = "131";
    /// A resolver makes nothing.
    OutputMissing = "132";
    /// A resolver makes several frames of rows.
    OutputFrames = "133";
    /// A resolver makes a frame of rows and single features.
    OutputMixed = "134";
    /// A resolver takes a feature that no feature set has.
    InputUnknown = "135";
    /// A resolver that runs when a query asks takes the time of an observation.
    InputFeatureTime = "136";
    /// The rows that a resolver makes have columns of another feature set.
    OutputRows = "161";
    /// A resolver makes a feature that no feature set has.
    OutputUnknown = "OUTPUT_UNKNOWN";
    /// A resolver takes a feature that nothing produces.
    InputUnproduced = "INPUT_UNPRODUCED";
    /// Resolvers need each other, and nothing else produces a feature of the cycle.
    ResolverCycle = "RESOLVER_CYCLE";
    /// A named or scheduled query names a feature that no feature set has.
    QueryUnknown = "QUERY_UNKNOWN_FEATURE";
    /// The output of a named query cannot be produced from its input.
    QueryUnproducible = "QUERY_UNPRODUCIBLE";
    /// The output of a named query needs rows that nothing produces.
    QueryRowsUnproduced = "QUERY_ROWS_UNPRODUCED";
    /// A named query was not checked, because the others took too long.
    QueryUnchecked = "QUERY_UNCHECKED";
    /// Two named queries have one name and version.
    DuplicateQuery = "DUPLICATE_QUERY";
    /// Nothing produces a feature.
    FeatureUnreachable = "FEATURE_UNREACHABLE";
    /// A schedule does not say when something runs.
    ScheduleInvalid = "SCHEDULE_INVALID";
    /// A duration is negative or none at all.
    DurationInvalid = "DURATION_INVALID";
}

impl DiagnosticCode {
    /// The number under which chalkpy shows the same finding in an editor, where it has one.
    pub fn chalkpy_number(self) -> Option<u16> {
        self.as_str().parse().ok()
    }

    /// The check that chalkpy gives a number to; the number itself where no check here has it.
    pub(super) fn of_chalkpy(number: u16) -> Self {
        let known = Self::ALL.iter().find(|code| code.chalkpy_number() == Some(number));
        known.copied().unwrap_or(Self::Chalkpy(number))
    }
}

impl fmt::Display for DiagnosticCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.as_str())
    }
}

impl Serialize for DiagnosticCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.as_str())
    }
}

/// Something found in a graph. Its texts are safe to show. As JSON it always has all fields: what is not known is
/// null, empty text or an empty list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub code: DiagnosticCode,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// The full name of what it is about, or a file; empty when the message says it all.
    pub subject: String,
    /// The full names that lead to it, each feature followed by the resolver or the expression that makes it from the
    /// next one. A cycle ends with the name that it begins with.
    pub chain: Vec<String>,
    /// The file, relative to the project, when the graph knows it.
    pub file: Option<String>,
    /// The line, counted from 1, when the graph knows it.
    pub line: Option<u32>,
}

/// Full names are cut at so many characters where they are shown.
const LONGEST_NAME: usize = 200;
/// Chains are cut at so many names where they are shown.
pub(super) const LONGEST_CHAIN: usize = 200;
/// Messages are cut at so many characters where they are shown.
const LONGEST_MESSAGE: usize = 500;

impl Diagnostic {
    /// A finding that must not be deployed.
    pub(super) fn error(code: DiagnosticCode, subject: &str, message: &str) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: text::line(message, LONGEST_MESSAGE),
            subject: shown_name(subject),
            chain: Vec::new(),
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

    /// A finding that deploys, and should be looked at.
    pub(super) fn warning(code: DiagnosticCode, subject: &str, message: &str) -> Self {
        Self::error(code, subject, message).with_severity(Severity::Warning)
    }

    /// Adds the names that lead to it. Of a long chain the middle is left out.
    pub(super) fn through(mut self, chain: impl IntoIterator<Item = String>) -> Self {
        self.chain = chain.into_iter().map(|name| shown_name(&name)).collect();
        if let Some(excess) = self.chain.len().checked_sub(LONGEST_CHAIN + 1) {
            let hidden = LONGEST_CHAIN / 2..LONGEST_CHAIN / 2 + excess + 2;
            self.chain.splice(hidden, [format!("... {} more", excess + 2)]);
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
        formatter.write_str(&self.message)?;
        if self.chain.len() > 1 {
            write!(formatter, " ({})", self.chain.join(" <- "))?;
        }
        Ok(())
    }
}
