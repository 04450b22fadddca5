//! `chalk.graph.v1` resolvers: what they take, what they make, when they run and which function does it.

use bytes::Bytes;

use super::{DatabaseSourceReference, Duration, SourceFileReference};

/// `chalk.graph.v1.Resolver`: an online or offline resolver.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Resolver {
    /// `<module>.<function>`.
    #[prost(string, tag = "1")]
    pub fqn: String,
    /// Online or offline.
    #[prost(enumeration = "ResolverKind", tag = "2")]
    pub kind: i32,
    /// What it takes.
    #[prost(message, repeated, tag = "3")]
    pub inputs: Vec<ResolverInput>,
    /// What it makes.
    #[prost(message, repeated, tag = "4")]
    pub outputs: Vec<ResolverOutput>,
    /// Whether it yields.
    #[prost(bool, tag = "5")]
    pub is_generator: bool,
    /// `chalk.graph.v1.DatabaseSourceReference` of older chalkpy, as wire bytes.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub data_sources: Vec<Bytes>,
    /// The machines that it runs on.
    #[prost(string, optional, tag = "7")]
    pub machine_type: Option<String>,
    /// Tags that queries choose it by.
    #[prost(string, repeated, tag = "8")]
    pub tags: Vec<String>,
    /// Who answers for it.
    #[prost(string, optional, tag = "9")]
    pub owner: Option<String>,
    /// The function's docstring.
    #[prost(string, optional, tag = "10")]
    pub doc: Option<String>,
    /// The environments that it runs in; all, when empty.
    #[prost(string, repeated, tag = "11")]
    pub environments: Vec<String>,
    /// How long it may take.
    #[prost(message, optional, tag = "12")]
    pub timeout_duration: Option<Duration>,
    /// When it runs by itself.
    #[prost(message, optional, tag = "13")]
    pub schedule: Option<Schedule>,
    /// `chalk.expression.v1.LogicalExprNode`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "14")]
    pub when: Option<Bytes>,
    /// Which rows a scheduled run takes.
    #[prost(message, optional, tag = "15")]
    pub cron_filter: Option<CronFilterWithFeatureArgs>,
    /// The function.
    #[prost(message, optional, tag = "16")]
    pub function: Option<FunctionReference>,
    /// A number of `ResourceHint`.
    #[prost(int32, tag = "17")]
    pub resource_hint: i32,
    /// Whether it is replaced by an expression when the graph is loaded.
    #[prost(bool, tag = "18")]
    pub is_static: bool,
    /// Whether it has a row for every key.
    #[prost(bool, optional, tag = "19")]
    pub is_total: Option<bool>,
    /// Full names of the features that tell its rows apart.
    #[prost(string, repeated, tag = "20")]
    pub unique_on: Vec<String>,
    /// Full names of the features that its rows are partitioned by.
    #[prost(string, repeated, tag = "21")]
    pub partitioned_by: Vec<String>,
    /// The databases that it reads.
    #[prost(message, repeated, tag = "22")]
    pub data_sources_v2: Vec<DatabaseSourceReference>,
    /// `chalk.expression.v1.LogicalExprNode`, as wire bytes: what replaces it.
    #[prost(bytes = "bytes", optional, tag = "23")]
    pub static_operation: Option<Bytes>,
    /// `SQLResolverSettings`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "24")]
    pub sql_settings: Option<Bytes>,
    /// The pods that it runs in.
    #[prost(string, optional, tag = "25")]
    pub resource_group: Option<String>,
    /// The order of its rows.
    #[prost(string, optional, tag = "26")]
    pub output_row_order: Option<String>,
    /// The virtual environment that it runs in.
    #[prost(string, optional, tag = "27")]
    pub venv: Option<String>,
    /// `chalk.expression.v1.LogicalExprNode`, as wire bytes: what is done with its output.
    #[prost(bytes = "bytes", optional, tag = "28")]
    pub underscore_expr: Option<Bytes>,
    /// `chalk.expression.v1.LogicalExprNode`, as wire bytes: what is done with its output.
    #[prost(bytes = "bytes", optional, tag = "29")]
    pub lazyframe_expr: Option<Bytes>,
    /// `chalk.dataframe.v1.DataFramePlan`, as wire bytes: what replaces it.
    #[prost(bytes = "bytes", optional, tag = "30")]
    pub static_operation_dataframe: Option<Bytes>,
    /// A number of `AcceleratePython`.
    #[prost(int32, tag = "31")]
    pub accelerate_python: i32,
    /// `IncrementalSettings`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "32")]
    pub incremental_settings: Option<Bytes>,
    /// `ResolverAsSymbolicValue`, as wire bytes: the function as an expression.
    #[prost(bytes = "bytes", optional, tag = "33")]
    pub converted: Option<Bytes>,
    /// What it expects of its runtime.
    #[prost(string, optional, tag = "34")]
    pub runtime_contract: Option<String>,
    /// What is done with rows of one key.
    #[prost(string, optional, tag = "35")]
    pub handle_duplicate_outputs: Option<String>,
    /// At most so many rows at once.
    #[prost(int64, optional, tag = "36")]
    pub max_batch_size: Option<i64>,
}

/// `chalk.graph.v1.ResolverKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ResolverKind {
    /// Not said.
    Unspecified = 0,
    /// Runs when a query asks.
    Online = 1,
    /// Runs in bulk.
    Offline = 2,
}

/// `chalk.graph.v1.ResolverInput`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResolverInput {
    /// What kind of input; absent when it is newer than this library.
    #[prost(oneof = "resolver_input::Annotation", tags = "1, 2, 3")]
    pub annotation: Option<resolver_input::Annotation>,
}

/// The kinds of [`ResolverInput`].
pub mod resolver_input {
    /// The oneof `annotation` of `chalk.graph.v1.ResolverInput`.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Annotation {
        /// A feature.
        #[prost(message, tag = "1")]
        Feature(super::FeatureInput),
        /// Rows.
        #[prost(message, tag = "2")]
        DataFrame(super::DataFrameType),
        /// `ResolverState`, as wire bytes.
        #[prost(bytes, tag = "3")]
        State(Vec<u8>),
    }
}

/// `chalk.graph.v1.ResolverOutput`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResolverOutput {
    /// What kind of output; absent when it is newer than this library.
    #[prost(oneof = "resolver_output::Annotation", tags = "1, 2")]
    pub annotation: Option<resolver_output::Annotation>,
}

/// The kinds of [`ResolverOutput`].
pub mod resolver_output {
    /// The oneof `annotation` of `chalk.graph.v1.ResolverOutput`.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Annotation {
        /// A feature.
        #[prost(message, tag = "1")]
        Feature(super::FeatureReference),
        /// Rows.
        #[prost(message, tag = "2")]
        DataFrame(super::DataFrameType),
    }
}

/// `chalk.graph.v1.FeatureInput`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FeatureInput {
    /// The feature.
    #[prost(message, optional, tag = "1")]
    pub feature: Option<FeatureReference>,
    /// `chalk.arrow.v1.ScalarValue`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub default_value: Option<Bytes>,
}

/// `chalk.graph.v1.FeatureReference`: a feature, and the way to it through joins.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FeatureReference {
    /// The name within the namespace.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The feature set.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// The joins that lead to it, the first one being of the root's set.
    #[prost(message, repeated, tag = "3")]
    pub path: Vec<Self>,
    /// For a has-many, the columns taken.
    #[prost(message, optional, tag = "4")]
    pub df: Option<DataFrameType>,
}

/// `chalk.graph.v1.DataFrameType`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DataFrameType {
    /// The feature set of its rows.
    #[prost(string, tag = "1")]
    pub root_namespace: String,
    /// Columns that must be there.
    #[prost(message, repeated, tag = "2")]
    pub required_columns: Vec<FeatureReference>,
    /// Columns that may be there.
    #[prost(message, repeated, tag = "3")]
    pub optional_columns: Vec<FeatureReference>,
    /// `chalk.expression.v1.LogicalExprNode`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub filter: Option<Bytes>,
    /// At most so many rows.
    #[prost(uint64, optional, tag = "5")]
    pub limit: Option<u64>,
}

/// `chalk.graph.v1.Schedule`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Schedule {
    /// Which rows a run takes.
    #[prost(message, optional, tag = "3")]
    pub filter: Option<FunctionReference>,
    /// Which keys a run takes.
    #[prost(message, optional, tag = "4")]
    pub sample: Option<FunctionReference>,
    /// When.
    #[prost(oneof = "schedule::When", tags = "1, 2")]
    pub when: Option<schedule::When>,
}

/// The kinds of [`Schedule`].
pub mod schedule {
    /// The oneof `schedule` of `chalk.graph.v1.Schedule`.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum When {
        /// A crontab line.
        #[prost(string, tag = "1")]
        Crontab(String),
        /// Every so often.
        #[prost(message, tag = "2")]
        Duration(super::Duration),
    }
}

/// `chalk.graph.v1.CronFilterWithFeatureArgs`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CronFilterWithFeatureArgs {
    /// The function that says whether a row is taken.
    #[prost(message, optional, tag = "1")]
    pub filter: Option<FunctionReference>,
    /// What it looks at.
    #[prost(message, repeated, tag = "2")]
    pub args: Vec<FeatureReference>,
}

/// `chalk.graph.v1.FunctionReference`: a function of the project, with its source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FunctionReference {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its module's dotted name.
    #[prost(string, tag = "2")]
    pub module: String,
    /// Its file.
    #[prost(string, tag = "3")]
    pub file_name: String,
    /// Its source.
    #[prost(string, tag = "4")]
    pub function_definition: String,
    /// The line that it begins on, counted from 1.
    #[prost(int32, optional, tag = "5")]
    pub source_line: Option<i32>,
    /// What it uses from its module.
    #[prost(message, repeated, tag = "6")]
    pub captured_globals: Vec<CapturedGlobal>,
}

/// `chalk.graph.v1.FunctionReferenceCapturedGlobal`: what a function uses from its module.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CapturedGlobal {
    /// `FunctionGlobalCapturedBuiltin`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub builtin: Option<Bytes>,
    /// `FunctionGlobalCapturedFeatureClass`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub feature_class: Option<Bytes>,
    /// The name that the function uses.
    #[prost(string, tag = "3")]
    pub global_name: String,
    /// `FunctionGlobalCapturedEnum`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub enumeration: Option<Bytes>,
    /// `FunctionGlobalCapturedModule`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub module: Option<Bytes>,
    /// Another function.
    #[prost(message, optional, tag = "6")]
    pub function: Option<CapturedFunction>,
    /// `FunctionGlobalCapturedModuleMember`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub module_member: Option<Bytes>,
    /// `FunctionGlobalCapturedStruct`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub structure: Option<Bytes>,
    /// Where it stands.
    #[prost(message, optional, tag = "9")]
    pub source_reference: Option<SourceFileReference>,
    /// `FunctionGlobalCapturedVariable`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "10")]
    pub variable: Option<Bytes>,
    /// `FunctionGlobalCapturedProto`, as wire bytes.
    #[prost(bytes = "bytes", optional, tag = "11")]
    pub proto: Option<Bytes>,
    /// One of [`Graph::captured_global_values`](super::Graph::captured_global_values).
    #[prost(message, optional, tag = "12")]
    pub value_ref: Option<ValueReference>,
}

/// `chalk.graph.v1.FunctionGlobalCapturedFunction`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CapturedFunction {
    /// Its source.
    #[prost(string, tag = "1")]
    pub source: String,
    /// What it uses in turn.
    #[prost(message, repeated, tag = "2")]
    pub captured_globals: Vec<CapturedGlobal>,
    /// Its module's dotted name.
    #[prost(string, optional, tag = "3")]
    pub module: Option<String>,
    /// Its name.
    #[prost(string, tag = "4")]
    pub name: String,
}

/// `chalk.graph.v1.FunctionGlobalCapturedValueRef`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ValueReference {
    /// The id of the value.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// `chalk.graph.v1.CapturedGlobalValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CapturedGlobalValue {
    /// The SHA-256 of the value's bytes, in hex.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<CapturedGlobal>,
}
