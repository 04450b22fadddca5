//! `chalk.lsp.v1`: places in source files, and what an editor would show there.

use bytes::Bytes;

/// `chalk.lsp.v1.LSP`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Lsp {
    /// Findings by file.
    #[prost(message, repeated, tag = "1")]
    pub diagnostics: Vec<PublishDiagnosticsParams>,
    /// `CodeAction`, as wire bytes: what an editor could change.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub actions: Vec<Bytes>,
    /// What chalkpy logged for the editor.
    #[prost(message, repeated, tag = "3")]
    pub logs: Vec<LogMessage>,
}

/// `chalk.lsp.v1.PublishDiagnosticsParams`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PublishDiagnosticsParams {
    /// The file. chalkpy writes plain paths here.
    #[prost(string, tag = "1")]
    pub uri: String,
    /// Its findings.
    #[prost(message, repeated, tag = "2")]
    pub diagnostics: Vec<Diagnostic>,
}

/// `chalk.lsp.v1.Diagnostic`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Diagnostic {
    /// Where.
    #[prost(message, optional, tag = "1")]
    pub range: Option<Range>,
    /// What.
    #[prost(string, tag = "2")]
    pub message: String,
    /// How bad.
    #[prost(enumeration = "DiagnosticSeverity", tag = "3")]
    pub severity: i32,
    /// chalkpy's number for it.
    #[prost(string, optional, tag = "4")]
    pub code: Option<String>,
    /// Where the finding is described.
    #[prost(message, optional, tag = "5")]
    pub code_description: Option<CodeDescription>,
    /// Other places that have to do with it.
    #[prost(message, repeated, tag = "6")]
    pub related_information: Vec<DiagnosticRelatedInformation>,
}

/// `chalk.lsp.v1.CodeDescription`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CodeDescription {
    /// The page.
    #[prost(string, tag = "1")]
    pub href: String,
}

/// `chalk.lsp.v1.DiagnosticRelatedInformation`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DiagnosticRelatedInformation {
    /// Where.
    #[prost(message, optional, tag = "1")]
    pub location: Option<Location>,
    /// What is to be said of it.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// `chalk.lsp.v1.DiagnosticSeverity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum DiagnosticSeverity {
    /// Not said.
    Unspecified = 0,
    /// Must be corrected.
    Error = 1,
    /// Should be looked at.
    Warning = 2,
    /// Good to know.
    Information = 3,
    /// A suggestion.
    Hint = 4,
}

/// `chalk.lsp.v1.LogMessage`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LogMessage {
    /// A number of `chalk.lsp.v1.LogMessageSeverity`.
    #[prost(int32, tag = "1")]
    pub severity: i32,
    /// What was logged.
    #[prost(string, tag = "2")]
    pub message: String,
    /// The traceback, if there was one.
    #[prost(string, tag = "3")]
    pub traceback: String,
}

/// `chalk.lsp.v1.Location`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Location {
    /// The file. chalkpy writes plain paths here.
    #[prost(string, tag = "1")]
    pub uri: String,
    /// Where in it.
    #[prost(message, optional, tag = "2")]
    pub range: Option<Range>,
}

/// `chalk.lsp.v1.Range`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Range {
    /// The first place.
    #[prost(message, optional, tag = "1")]
    pub start: Option<Position>,
    /// The place after the last.
    #[prost(message, optional, tag = "2")]
    pub end: Option<Position>,
}

/// `chalk.lsp.v1.Position`, counted from 0 as the Language Server Protocol does.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Position {
    /// The line.
    #[prost(int32, optional, tag = "1")]
    pub line: Option<i32>,
    /// The character in the line.
    #[prost(int32, optional, tag = "2")]
    pub character: Option<i32>,
}
