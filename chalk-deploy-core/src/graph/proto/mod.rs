//! The messages of `chalk.artifacts.v1.Export` and `chalk.graph.v1.Graph` that this library reads, written by hand.
//!
//! Field numbers and types are those of the descriptors in chalkpy 2.166.1 (the generated modules of its wheel), and all
//! fields of the messages here are here (`missing_fields.py` says so). What only few checks look into, and what may be
//! nested deeper than prost decodes (expressions, Arrow types, values, settings of single kinds of resolvers), is kept as
//! wire bytes ([`bytes::Bytes`]). Chalk adds to the contract about monthly and renumbers nothing: fields that are newer are
//! skipped by a decode and live on in the bytes of the [`FeatureGraph`](super::FeatureGraph), which are what is stored and
//! forwarded.

mod artifacts;
mod feature;
mod language_server;
mod resolver;
mod source;
mod stream;

pub use artifacts::{
    ChalkError, ChalkException, ChalkpyInfo, CronAggregateBackfill, CronQuery, EnvironmentSettings, Export,
    FailedImport, Graph, MetadataSettings, MetadataSettingsList, ModelReference, ModelRelation, NamedQuery,
    ProjectSettings, ValidationLog, ValidationLogSeverity, ValidationSettings,
};
pub use feature::{
    FeatureSet, FeatureTimeFeatureType, FeatureType, GroupByFeatureType, HasManyFeatureType, HasOneFeatureType,
    ScalarFeatureType, WindowedFeatureType, feature_type,
};
pub use language_server::{
    CodeDescription, Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, LogMessage, Lsp, Position,
    PublishDiagnosticsParams, Range,
};
pub use resolver::{
    CapturedFunction, CapturedGlobal, CapturedGlobalValue, CronFilterWithFeatureArgs, DataFrameType, FeatureInput,
    FeatureReference, FunctionReference, Resolver, ResolverInput, ResolverKind, ResolverOutput, Schedule,
    ValueReference, resolver_input, resolver_output, schedule,
};
pub use source::{
    DatabaseSource, DatabaseSourceGroup, DatabaseSourceReference, SourceFileReference, StreamSource,
    StreamSourceReference,
};
pub use stream::{SinkResolver, StreamResolver};

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// The rest, of the same sign.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}
