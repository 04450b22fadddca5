//! `chalk.graph.v2` sources, and where a definition stands in the project's files.

use bytes::Bytes;

use super::Range;

/// `chalk.graph.v2.DatabaseSource`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DatabaseSource {
    /// `postgres`, `snowflake` and so on.
    #[prost(string, tag = "1")]
    pub source_type: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// `google.protobuf.Value` under names, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub options: Vec<Bytes>,
    /// Tags that a caller must have.
    #[prost(string, repeated, tag = "4")]
    pub permission_tags: Vec<String>,
}

/// `chalk.graph.v2.DatabaseSourceGroup`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DatabaseSourceGroup {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The one that is used when no tag decides.
    #[prost(message, optional, tag = "2")]
    pub default_source: Option<DatabaseSourceReference>,
    /// `DatabaseSourceReference` under tags, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub tagged_sources: Vec<Bytes>,
}

/// `chalk.graph.v2.DatabaseSourceReference`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DatabaseSourceReference {
    /// `postgres`, `snowflake` and so on.
    #[prost(string, tag = "1")]
    pub source_type: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// `chalk.graph.v2.StreamSource`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StreamSource {
    /// `kafka`, `kinesis` or `pubsub`.
    #[prost(string, tag = "1")]
    pub source_type: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// `google.protobuf.Value` under names, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub options: Vec<Bytes>,
}

/// `chalk.graph.v2.StreamSourceReference`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StreamSourceReference {
    /// `kafka`, `kinesis` or `pubsub`.
    #[prost(string, tag = "1")]
    pub source_type: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// `chalk.graph.v1.SourceFileReference`: where a definition stands.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SourceFileReference {
    /// From where to where.
    #[prost(message, optional, tag = "1")]
    pub range: Option<Range>,
    /// The source itself.
    #[prost(string, optional, tag = "2")]
    pub code: Option<String>,
    /// The file.
    #[prost(string, tag = "3")]
    pub file_name: String,
}
