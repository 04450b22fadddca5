//! `chalk.artifacts.v1`: the export as a whole, and the graph that it carries.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    CapturedGlobalValue, DatabaseSource, DatabaseSourceGroup, Duration, FeatureSet, Lsp, Resolver, SinkResolver,
    SourceFileReference, StreamResolver, StreamSource,
};

/// `chalk.artifacts.v1.Export`: what `chalkpy export --proto` writes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Export {
    /// The definitions. Absent when chalkpy could not even begin (then `failed` says why).
    #[prost(message, optional, tag = "1")]
    pub graph: Option<Graph>,
    /// Scheduled queries.
    #[prost(message, repeated, tag = "2")]
    pub crons: Vec<CronQuery>,
    /// `Chart`, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub charts: Vec<Bytes>,
    /// `CDCSource`, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub cdc_sources: Vec<Bytes>,
    /// What chalkpy read from chalk.yaml.
    #[prost(message, optional, tag = "5")]
    pub config: Option<ProjectSettings>,
    /// Which chalkpy made the export.
    #[prost(message, optional, tag = "6")]
    pub chalkpy: Option<ChalkpyInfo>,
    /// Files that could not be imported.
    #[prost(message, repeated, tag = "7")]
    pub failed: Vec<FailedImport>,
    /// What chalkpy's own validation found.
    #[prost(message, repeated, tag = "8")]
    pub logs: Vec<ValidationLog>,
    /// What an editor would show.
    #[prost(message, optional, tag = "9")]
    pub lsp: Option<Lsp>,
    /// Definitions that chalkpy could not convert.
    #[prost(message, repeated, tag = "10")]
    pub conversion_errors: Vec<ChalkError>,
    /// `GlobalVariablesInfo`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "11")]
    pub captured_global_variables: Option<Bytes>,
    /// `CronAggregateBackfill`, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "12")]
    pub cron_aggregate_backfills: Vec<Bytes>,
}

/// `chalk.graph.v1.Graph`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Graph {
    /// Feature classes.
    #[prost(message, repeated, tag = "1")]
    pub feature_sets: Vec<FeatureSet>,
    /// Online and offline resolvers.
    #[prost(message, repeated, tag = "2")]
    pub resolvers: Vec<Resolver>,
    /// Stream resolvers.
    #[prost(message, repeated, tag = "3")]
    pub stream_resolvers: Vec<StreamResolver>,
    /// Sink resolvers.
    #[prost(message, repeated, tag = "4")]
    pub sink_resolvers: Vec<SinkResolver>,
    /// `chalk.graph.v1.DatabaseSource` of older chalkpy, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub database_sources: Vec<Bytes>,
    /// `chalk.graph.v1.StreamSource` of older chalkpy, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub stream_sources: Vec<Bytes>,
    /// Named queries.
    #[prost(message, repeated, tag = "7")]
    pub named_queries: Vec<NamedQuery>,
    /// Databases.
    #[prost(message, repeated, tag = "8")]
    pub database_sources_v2: Vec<DatabaseSource>,
    /// Streams.
    #[prost(message, repeated, tag = "9")]
    pub stream_sources_v2: Vec<StreamSource>,
    /// Databases under one name, told apart by tags.
    #[prost(message, repeated, tag = "10")]
    pub database_source_groups: Vec<DatabaseSourceGroup>,
    /// Models, and which features they are fed with and make.
    #[prost(message, repeated, tag = "11")]
    pub model_references: Vec<ModelReference>,
    /// `OnlineStoreConfig`, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "12")]
    pub online_store_configs: Vec<Bytes>,
    /// What the functions of the graph use from their modules, each under the SHA-256 of its bytes.
    #[prost(message, repeated, tag = "13")]
    pub captured_global_values: Vec<CapturedGlobalValue>,
    /// `SymbolicValue`, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "14")]
    pub symbolic_value_explicits: Vec<Bytes>,
    /// `MaterializedFeatureView`, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "15")]
    pub materialized_feature_views: Vec<Bytes>,
}

/// `chalk.graph.v1.NamedQuery`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NamedQuery {
    /// The name that clients call it by.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A semantic version.
    #[prost(string, optional, tag = "2")]
    pub query_version: Option<String>,
    /// Full names of the features given.
    #[prost(string, repeated, tag = "3")]
    pub input: Vec<String>,
    /// Full names of the features asked for.
    #[prost(string, repeated, tag = "4")]
    pub output: Vec<String>,
    /// Tags that choose resolvers.
    #[prost(string, repeated, tag = "5")]
    pub tags: Vec<String>,
    /// For people.
    #[prost(string, optional, tag = "6")]
    pub description: Option<String>,
    /// Who answers for it.
    #[prost(string, optional, tag = "7")]
    pub owner: Option<String>,
    /// Free metadata.
    #[prost(btree_map = "string, string", tag = "8")]
    pub meta: BTreeMap<String, String>,
    /// How stale a feature may be.
    #[prost(btree_map = "string, message", tag = "9")]
    pub staleness: BTreeMap<String, Duration>,
    /// Options of the planner.
    #[prost(btree_map = "string, string", tag = "10")]
    pub planner_options: BTreeMap<String, String>,
    /// Where it is defined.
    #[prost(string, tag = "11")]
    pub file_name: String,
    /// The deployment that it is of, where the platform wrote it.
    #[prost(string, optional, tag = "12")]
    pub deployment_id: Option<String>,
    /// Where exactly.
    #[prost(message, optional, tag = "13")]
    pub source_file_reference: Option<SourceFileReference>,
    /// Features that are logged beyond the output.
    #[prost(string, repeated, tag = "14")]
    pub additional_logged_features: Vec<String>,
    /// Whether the query may be deployed without a plan.
    #[prost(bool, optional, tag = "15")]
    pub valid_plan_not_required: Option<bool>,
    /// `NamedQueryResourceGroups` under keys, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "16")]
    pub resource_groups: Vec<Bytes>,
    /// `NamedQueryOutputExpression`, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "17")]
    pub output_expressions: Vec<Bytes>,
}

/// `chalk.artifacts.v1.CronQuery`: a query that runs on a schedule.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CronQuery {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// When it runs.
    #[prost(string, tag = "2")]
    pub cron: String,
    /// Where it is defined.
    #[prost(string, tag = "3")]
    pub file_name: String,
    /// Full names of the features that it computes.
    #[prost(string, repeated, tag = "4")]
    pub output: Vec<String>,
    /// At most so many rows.
    #[prost(int64, optional, tag = "5")]
    pub max_samples: Option<i64>,
    /// `RecomputeSettings`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub recompute: Option<Bytes>,
    /// `google.protobuf.Timestamp`, as wire bytes: the first time that counts.
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub lower_bound: Option<Bytes>,
    /// `google.protobuf.Timestamp`, as wire bytes: the last time that counts.
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub upper_bound: Option<Bytes>,
    /// Tags that choose resolvers.
    #[prost(string, repeated, tag = "9")]
    pub tags: Vec<String>,
    /// Tags that a resolver must have to be chosen.
    #[prost(string, repeated, tag = "10")]
    pub required_resolver_tags: Vec<String>,
    /// Whether the results go to the online store.
    #[prost(bool, tag = "11")]
    pub store_online: bool,
    /// Whether the results go to the offline store.
    #[prost(bool, tag = "12")]
    pub store_offline: bool,
    /// Sources that are read from where the last run ended.
    #[prost(string, repeated, tag = "13")]
    pub incremental_sources: Vec<String>,
    /// The pods that it runs in.
    #[prost(string, optional, tag = "14")]
    pub resource_group: Option<String>,
    /// Options of the planner.
    #[prost(btree_map = "string, string", tag = "15")]
    pub planner_options: BTreeMap<String, String>,
    /// When it must be done.
    #[prost(message, optional, tag = "16")]
    pub completion_deadline: Option<Duration>,
    /// Into how many parts it is divided.
    #[prost(int32, optional, tag = "17")]
    pub num_shards: Option<i32>,
    /// How many run at once.
    #[prost(int32, optional, tag = "18")]
    pub num_workers: Option<i32>,
    /// The query that gives the input.
    #[prost(string, optional, tag = "19")]
    pub input_sql: Option<String>,
    /// `chalk.common.v1.UnloadResolverSpec`, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "20")]
    pub unload_resolvers: Vec<Bytes>,
    /// How often it is tried again.
    #[prost(int32, optional, tag = "21")]
    pub max_retries: Option<i32>,
    /// `chalk.common.v1.ResourceRequests`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "22")]
    pub resources: Option<Bytes>,
    /// The environment that it runs in, instead of the deployed one.
    #[prost(string, optional, tag = "23")]
    pub environment_override: Option<String>,
    /// The dataset that the results go to.
    #[prost(string, optional, tag = "24")]
    pub dataset_name: Option<String>,
    /// `chalk.common.v1.OfflineQueryWriteTo`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "25")]
    pub write_to: Option<Bytes>,
    /// The first time of observation that counts.
    #[prost(string, optional, tag = "26")]
    pub observed_at_lower_bound: Option<String>,
    /// The last time of observation that counts.
    #[prost(string, optional, tag = "27")]
    pub observed_at_upper_bound: Option<String>,
    /// Checks of the results.
    #[prost(string, repeated, tag = "28")]
    pub data_quality_check_specs: Vec<String>,
    /// Variables of the environment.
    #[prost(btree_map = "string, string", tag = "29")]
    pub env_overrides: BTreeMap<String, String>,
    /// Whether the planner of planners is used.
    #[prost(bool, optional, tag = "30")]
    pub use_metaplanner: Option<bool>,
}

/// `chalk.artifacts.v1.CronAggregateBackfill`: what fills the buckets of aggregations on a schedule.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CronAggregateBackfill {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// When it runs.
    #[prost(string, tag = "2")]
    pub schedule: String,
    /// Where it is defined.
    #[prost(string, tag = "3")]
    pub file_name: String,
    /// Full names of the features that it fills.
    #[prost(string, repeated, tag = "4")]
    pub features: Vec<String>,
    /// Full names of the resolvers that it runs.
    #[prost(string, repeated, tag = "5")]
    pub resolvers: Vec<String>,
    /// Tags that choose resolvers.
    #[prost(string, repeated, tag = "6")]
    pub query_tags: Vec<String>,
    /// A number of `CronAggregateBackfillTarget`.
    #[prost(int32, tag = "7")]
    pub target: i32,
    /// The pods that it runs in.
    #[prost(string, optional, tag = "8")]
    pub resource_group: Option<String>,
    /// `google.protobuf.Timestamp`, as wire bytes: the first time that counts.
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub lower_bound: Option<Bytes>,
    /// `google.protobuf.Timestamp`, as wire bytes: the last time that counts.
    #[prost(bytes = "bytes", optional, tag = "10")]
    pub upper_bound: Option<Bytes>,
    /// Whether a bucket may stay empty.
    #[prost(bool, optional, tag = "11")]
    pub allow_empty_tiles: Option<bool>,
    /// Numbers of `CronAggregateBackfillTarget`.
    #[prost(int32, repeated, tag = "12")]
    pub targets: Vec<i32>,
    /// The environment that it runs in.
    #[prost(string, optional, tag = "13")]
    pub environment: Option<String>,
    /// Options of the planner.
    #[prost(btree_map = "string, string", tag = "14")]
    pub planner_options: BTreeMap<String, String>,
    /// Into how many parts it is divided.
    #[prost(int32, optional, tag = "15")]
    pub num_shards: Option<i32>,
    /// Whether the bucket that is not over counts.
    #[prost(bool, optional, tag = "16")]
    pub include_partial_bucket: Option<bool>,
}

/// `chalk.graph.v1.ModelReference`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ModelReference {
    /// The model's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The version.
    #[prost(uint64, optional, tag = "2")]
    pub version: Option<u64>,
    /// The name of a version.
    #[prost(string, optional, tag = "3")]
    pub alias: Option<String>,
    /// `google.protobuf.Timestamp`, as wire bytes: the version of that time.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub as_of: Option<Bytes>,
    /// Where it is used.
    #[prost(message, optional, tag = "5")]
    pub source_file_reference: Option<SourceFileReference>,
    /// What it makes of what.
    #[prost(message, repeated, tag = "6")]
    pub relations: Vec<ModelRelation>,
    /// Full names of the resolvers that use it.
    #[prost(string, repeated, tag = "7")]
    pub resolvers: Vec<String>,
}

/// `chalk.graph.v1.ModelRelation`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ModelRelation {
    /// Full names of the features that the model is fed with.
    #[prost(string, repeated, tag = "1")]
    pub input_features: Vec<String>,
    /// The full name of the feature that it makes.
    #[prost(string, tag = "2")]
    pub output_feature: String,
}

/// `chalk.artifacts.v1.ProjectSettings`: chalk.yaml as chalkpy read it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ProjectSettings {
    /// The project's name.
    #[prost(string, tag = "1")]
    pub project: String,
    /// Its environments.
    #[prost(message, repeated, tag = "2")]
    pub environments: Vec<EnvironmentSettings>,
    /// What missing metadata costs.
    #[prost(message, optional, tag = "3")]
    pub validation: Option<ValidationSettings>,
}

/// `chalk.artifacts.v1.EnvironmentSettings`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct EnvironmentSettings {
    /// The environment's name, or `default`.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The Python that it runs on.
    #[prost(string, optional, tag = "2")]
    pub runtime: Option<String>,
    /// Its requirements file.
    #[prost(string, optional, tag = "3")]
    pub requirements: Option<String>,
    /// Its Dockerfile.
    #[prost(string, optional, tag = "4")]
    pub dockerfile: Option<String>,
    /// Packages that it needs, in the way of older chalkpy.
    #[prost(string, repeated, tag = "5")]
    pub requires_packages: Vec<String>,
    /// The version of the platform that it is pinned to.
    #[prost(string, optional, tag = "6")]
    pub platform_version: Option<String>,
}

/// `chalk.artifacts.v1.ValidationSettings`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ValidationSettings {
    /// What features must carry.
    #[prost(message, optional, tag = "1")]
    pub feature: Option<MetadataSettingsList>,
    /// What resolvers must carry.
    #[prost(message, optional, tag = "2")]
    pub resolver: Option<MetadataSettingsList>,
}

/// `chalk.artifacts.v1.FeatureSettings` and `ResolverSettings`, which have the same fields.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct MetadataSettingsList {
    /// The rules.
    #[prost(message, repeated, tag = "1")]
    pub metadata: Vec<MetadataSettings>,
}

/// `chalk.artifacts.v1.MetadataSettings`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct MetadataSettings {
    /// `owner`, `tags` or `description`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// `info`, `warning` or `error`.
    #[prost(string, tag = "2")]
    pub missing: String,
}

/// `chalk.artifacts.v1.ChalkpyInfo`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ChalkpyInfo {
    /// The version of chalkpy.
    #[prost(string, tag = "1")]
    pub version: String,
    /// The version of Python.
    #[prost(string, optional, tag = "2")]
    pub python: Option<String>,
}

/// `chalk.artifacts.v1.FailedImport`: a file that raised while it was imported.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FailedImport {
    /// The file; empty when chalkpy itself failed.
    #[prost(string, tag = "1")]
    pub file_name: String,
    /// The module's dotted name.
    #[prost(string, tag = "2")]
    pub module: String,
    /// The traceback, which ends with the exception.
    #[prost(string, tag = "3")]
    pub traceback: String,
}

/// `chalk.artifacts.v1.ValidationLog`: a finding of chalkpy's own validation.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ValidationLog {
    /// What was found.
    #[prost(string, tag = "1")]
    pub header: String,
    /// More about it, often on several lines.
    #[prost(string, tag = "2")]
    pub subheader: String,
    /// How bad it is.
    #[prost(enumeration = "ValidationLogSeverity", tag = "3")]
    pub severity: i32,
}

/// `chalk.artifacts.v1.ValidationLogSeverity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ValidationLogSeverity {
    /// Not said.
    Unspecified = 0,
    /// Good to know.
    Info = 4,
    /// Deploys, and should be looked at.
    Warning = 8,
    /// Must not be deployed.
    Error = 12,
}

/// `chalk.common.v1.ChalkError`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ChalkError {
    /// A number of `chalk.common.v1.ErrorCode`.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// A number of `chalk.common.v1.ErrorCodeCategory`.
    #[prost(int32, tag = "2")]
    pub category: i32,
    /// What went wrong.
    #[prost(string, tag = "3")]
    pub message: String,
    /// The key of the row that it is about.
    #[prost(string, optional, tag = "101")]
    pub display_primary_key: Option<String>,
    /// The full name of that key.
    #[prost(string, optional, tag = "102")]
    pub display_primary_key_fqn: Option<String>,
    /// The exception behind it.
    #[prost(message, optional, tag = "103")]
    pub exception: Option<ChalkException>,
    /// The feature that it is about.
    #[prost(string, optional, tag = "104")]
    pub feature: Option<String>,
    /// The resolver that it is about.
    #[prost(string, optional, tag = "105")]
    pub resolver: Option<String>,
}

/// `chalk.common.v1.ChalkException`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ChalkException {
    /// The exception's class.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// Its message.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Its traceback.
    #[prost(string, tag = "3")]
    pub stacktrace: String,
    /// The platform's own traceback.
    #[prost(string, tag = "4")]
    pub internal_stacktrace: String,
}
