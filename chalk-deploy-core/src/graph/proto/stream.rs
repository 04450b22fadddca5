//! `chalk.graph.v1` resolvers of streams, and sinks.

use bytes::Bytes;

use super::{
    DatabaseSourceReference, Duration, FunctionReference, ResolverInput, ResolverOutput, StreamSource,
    StreamSourceReference,
};

/// `chalk.graph.v1.StreamResolver`.
#[derive(Clone, PartialEq, prost::Message)]
#[expect(clippy::struct_excessive_bools, reason = "the contract has them")]
pub struct StreamResolver {
    /// `<module>.<function>`.
    #[prost(string, tag = "1")]
    pub fqn: String,
    /// `StreamResolverParam`, as wire bytes: what the function takes.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub params: Vec<Bytes>,
    /// What it makes.
    #[prost(message, repeated, tag = "3")]
    pub outputs: Vec<ResolverOutput>,
    /// `chalk.arrow.v1.ArrowType`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub explicit_schema: Option<Bytes>,
    /// `StreamKey`, as wire bytes: the features that messages are keyed by.
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub keys: Vec<Bytes>,
    /// `chalk.graph.v1.StreamSourceReference` of older chalkpy, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub source: Option<Bytes>,
    /// `ParseInfo`, as wire bytes: how a message is read.
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub parse_info: Option<Bytes>,
    /// A number of `WindowMode`.
    #[prost(int32, tag = "8")]
    pub mode: i32,
    /// The environments that it runs in; all, when empty.
    #[prost(string, repeated, tag = "9")]
    pub environments: Vec<String>,
    /// How long it may take.
    #[prost(message, optional, tag = "10")]
    pub timeout_duration: Option<Duration>,
    /// The attribute of a message that says when it was observed.
    #[prost(string, optional, tag = "11")]
    pub timestamp_attribute_name: Option<String>,
    /// Who answers for it.
    #[prost(string, optional, tag = "12")]
    pub owner: Option<String>,
    /// The function's docstring.
    #[prost(string, optional, tag = "13")]
    pub doc: Option<String>,
    /// The machines that it runs on.
    #[prost(string, optional, tag = "14")]
    pub machine_type: Option<String>,
    /// The function.
    #[prost(message, optional, tag = "15")]
    pub function: Option<FunctionReference>,
    /// The stream that it reads.
    #[prost(message, optional, tag = "16")]
    pub source_v2: Option<StreamSourceReference>,
    /// Whether it updates aggregations that are kept.
    #[prost(bool, tag = "17")]
    pub updates_materialized_aggregations: bool,
    /// `FeatureExpression` under names of features, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "18")]
    pub feature_expressions: Vec<Bytes>,
    /// `StreamResolverMessageProducerParsed`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "19")]
    pub message_producer: Option<Bytes>,
    /// Whether the online store is left out.
    #[prost(bool, tag = "20")]
    pub skip_online: bool,
    /// Whether the offline store is left out.
    #[prost(bool, tag = "21")]
    pub skip_offline: bool,
    /// Whether it updates aggregations.
    #[prost(bool, tag = "22")]
    pub update_aggregates: bool,
    /// A number of `StreamMessageFormat`.
    #[prost(int32, tag = "23")]
    pub message_format: i32,
    /// `StreamHeaderFilter`, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "24")]
    pub header_filters: Vec<Bytes>,
    /// The pods that it runs in.
    #[prost(string, optional, tag = "25")]
    pub resource_group: Option<String>,
    /// `DeduplicationStrategy`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "27")]
    pub deduplication_strategy: Option<Bytes>,
    /// Tags of its metrics.
    #[prost(string, repeated, tag = "28")]
    pub customer_metrics_tags: Vec<String>,
    /// Full names of the aggregations that it does not update.
    #[prost(string, repeated, tag = "29")]
    pub excluded_aggregation_fqns: Vec<String>,
    /// The stream with its options.
    #[prost(message, optional, tag = "30")]
    pub source_full: Option<StreamSource>,
}

/// `chalk.graph.v1.SinkResolver`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SinkResolver {
    /// `<module>.<function>`.
    #[prost(string, tag = "1")]
    pub fqn: String,
    /// What it takes.
    #[prost(message, repeated, tag = "2")]
    pub inputs: Vec<ResolverInput>,
    /// How many rows are gathered.
    #[prost(uint64, optional, tag = "3")]
    pub buffer_size: Option<u64>,
    /// How long it waits for more.
    #[prost(message, optional, tag = "4")]
    pub debounce_duration: Option<Duration>,
    /// How long it waits at most.
    #[prost(message, optional, tag = "5")]
    pub max_delay_duration: Option<Duration>,
    /// Whether rows replace those of their key.
    #[prost(bool, tag = "6")]
    pub upsert: bool,
    /// `chalk.graph.v1.StreamSourceReference` of older chalkpy, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub stream_source: Option<Bytes>,
    /// `chalk.graph.v1.DatabaseSourceReference` of older chalkpy, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub database_source: Option<Bytes>,
    /// The machines that it runs on.
    #[prost(string, optional, tag = "9")]
    pub machine_type: Option<String>,
    /// The function's docstring.
    #[prost(string, optional, tag = "10")]
    pub doc: Option<String>,
    /// Who answers for it.
    #[prost(string, optional, tag = "11")]
    pub owner: Option<String>,
    /// The environments that it runs in; all, when empty.
    #[prost(string, repeated, tag = "12")]
    pub environments: Vec<String>,
    /// How long it may take.
    #[prost(message, optional, tag = "13")]
    pub timeout_duration: Option<Duration>,
    /// The function.
    #[prost(message, optional, tag = "14")]
    pub function: Option<FunctionReference>,
    /// The stream that it writes to.
    #[prost(message, optional, tag = "15")]
    pub stream_source_v2: Option<StreamSourceReference>,
    /// The database that it writes to.
    #[prost(message, optional, tag = "16")]
    pub database_source_v2: Option<DatabaseSourceReference>,
}
