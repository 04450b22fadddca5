//! What of an export says where it was made: modules, functions and files.
//!
//! These messages hold nothing else, so that the export is decoded once only, after it was made portable: what is not
//! named here is skipped unread. The numbers are those of [`proto`](super::super::proto).

use super::super::proto::FailedImport;

/// `Export`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Outline {
    #[prost(message, optional, tag = "1")]
    pub(super) graph: Option<Graph>,
    #[prost(message, repeated, tag = "2")]
    pub(super) crons: Vec<Cron>,
    #[prost(message, repeated, tag = "7")]
    pub(super) failed: Vec<FailedImport>,
}

/// `Graph`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) feature_sets: Vec<FeatureSet>,
    #[prost(message, repeated, tag = "2")]
    pub(super) resolvers: Vec<Resolver>,
    #[prost(message, repeated, tag = "3")]
    pub(super) stream_resolvers: Vec<StreamResolver>,
    #[prost(message, repeated, tag = "4")]
    pub(super) sink_resolvers: Vec<SinkResolver>,
    #[prost(message, repeated, tag = "7")]
    pub(super) named_queries: Vec<NamedQuery>,
}

/// `FeatureSet`, without its features.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FeatureSet {
    #[prost(string, optional, tag = "9")]
    pub(super) class_path: Option<String>,
    #[prost(message, optional, tag = "11")]
    pub(super) source_file_reference: Option<Place>,
}

/// `Resolver`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Resolver {
    #[prost(message, optional, tag = "13")]
    pub(super) schedule: Option<Schedule>,
    #[prost(message, optional, tag = "15")]
    pub(super) cron_filter: Option<CronFilter>,
    #[prost(message, optional, tag = "16")]
    pub(super) function: Option<Function>,
}

/// `Schedule`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Schedule {
    #[prost(message, optional, tag = "3")]
    pub(super) filter: Option<Function>,
    #[prost(message, optional, tag = "4")]
    pub(super) sample: Option<Function>,
}

/// `CronFilterWithFeatureArgs`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CronFilter {
    #[prost(message, optional, tag = "1")]
    pub(super) filter: Option<Function>,
}

/// `StreamResolver`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StreamResolver {
    #[prost(message, optional, tag = "15")]
    pub(super) function: Option<Function>,
}

/// `SinkResolver`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SinkResolver {
    #[prost(message, optional, tag = "14")]
    pub(super) function: Option<Function>,
}

/// `NamedQuery`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NamedQuery {
    #[prost(string, tag = "11")]
    pub(super) file_name: String,
}

/// `CronQuery`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Cron {
    #[prost(string, tag = "3")]
    pub(super) file_name: String,
}

/// `FunctionReference`, without its source.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Function {
    #[prost(string, tag = "2")]
    pub(super) module: String,
    #[prost(string, tag = "3")]
    pub(super) file_name: String,
}

/// `SourceFileReference`, without the source.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Place {
    #[prost(string, tag = "3")]
    pub(super) file_name: String,
}
