//! The messages of `chalk.artifacts.v1.Export` and `chalk.graph.v1.Graph` that this library reads, written by hand.
//!
//! Field numbers and types are those of the descriptors in chalkpy 2.166.1 (the generated modules of its wheel). This
//! is a subset: fields that are missing here are skipped by a decode and live on in the bytes of the
//! [`FeatureGraph`](super::FeatureGraph), which are what is stored and forwarded. Expressions, Arrow types and values
//! are kept as wire bytes ([`bytes::Bytes`]): they are handed on and compared, not interpreted, and an expression may
//! be nested deeper than one decode allows. Chalk adds to the contract about monthly and renumbers nothing.

mod artifacts;
mod feature;
mod language_server;
mod resolver;
mod source;

pub use artifacts::{
    ChalkError, ChalkException, ChalkpyInfo, CronAggregateBackfill, CronQuery, EnvironmentSettings, Export, FailedImport, Graph,
    MetadataSettings, MetadataSettingsList, ModelReference, ModelRelation, NamedQuery, ProjectSettings, ValidationLog, ValidationLogSeverity,
    ValidationSettings,
};
pub use feature::{
    FeatureSet, FeatureTimeFeatureType, FeatureType, GroupByFeatureType, HasManyFeatureType, HasOneFeatureType,
    ScalarFeatureType, WindowedFeatureType, feature_type,
};
pub use language_server::{
    Diagnostic, DiagnosticSeverity, Location, LogMessage, Lsp, Position, PublishDiagnosticsParams, Range,
};
pub use resolver::{
    CapturedFunction, CapturedGlobal, CapturedGlobalValue, CronFilterWithFeatureArgs, DataFrameType, FeatureInput,
    FeatureReference, FunctionReference, Resolver, ResolverInput, ResolverKind, ResolverOutput, Schedule, SinkResolver,
    StreamResolver, ValueReference, resolver_input, resolver_output, schedule,
};
pub use source::{
    DatabaseSource, DatabaseSourceGroup, DatabaseSourceReference, SourceFileReference, StreamSource,
    StreamSourceReference,
};

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
