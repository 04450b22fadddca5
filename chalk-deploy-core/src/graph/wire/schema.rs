//! What each field of the contract means to this library: where paths stand, where source text stands, and what a
//! field is called.
//!
//! Only messages with a path, a text or a name somewhere in them are listed. Everything else is
//! [`Role::Opaque`]: carried along, and searched for paths below the project's root.

/// A message of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::graph) enum Shape {
    Export,
    Graph,
    Cron,
    FailedImport,
    ValidationLog,
    Lsp,
    LspFile,
    LspDiagnostic,
    LspRelated,
    LspAction,
    LspEdit,
    LspFileEdit,
    LspLog,
    Location,
    /// A message whose only field of interest is field 1, a path.
    PathFirst,
    ChalkError,
    ChalkException,
    FeatureSet,
    FeatureType,
    Scalar,
    HasOne,
    HasMany,
    FeatureTime,
    Windowed,
    GroupBy,
    Resolver,
    Schedule,
    CronFilter,
    Converted,
    ConversionError,
    Function,
    Captured,
    CapturedFunction,
    CapturedValue,
    ValueReference,
    StreamResolver,
    SinkResolver,
    NamedQuery,
    ModelReference,
    OnlineStore,
    FeatureView,
    SourceReference,
    DatabaseSource,
    StreamSource,
    SourceGroup,
    Chart,
    CdcSource,
    AggregateBackfill,
}

/// What a field means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::graph) enum Role {
    /// A message.
    Message(Shape),
    /// A message that says where a definition stands, and is no part of it.
    Place(Shape),
    /// A path or a file URI: where a definition stands, and no part of it.
    Path,
    /// A number that says where a definition stands.
    Line,
    /// Text for people, with paths among the words.
    Text,
    /// Source code and what people wrote: never touched.
    Source,
    /// The id of a captured value: the digest of its bytes.
    ValueId,
    /// Anything else.
    Opaque,
}

impl Shape {
    /// What a field of this message means.
    pub(in crate::graph) const fn role(self, number: u32) -> Role {
        match self {
            Self::Export => match number {
                1 => Role::Message(Self::Graph),
                2 | 12 => Role::Message(Self::Cron),
                7 => Role::Message(Self::FailedImport),
                8 => Role::Message(Self::ValidationLog),
                9 => Role::Message(Self::Lsp),
                10 => Role::Message(Self::ChalkError),
                _ => Role::Opaque,
            },
            Self::Graph => match number {
                1 => Role::Message(Self::FeatureSet),
                2 => Role::Message(Self::Resolver),
                3 => Role::Message(Self::StreamResolver),
                4 => Role::Message(Self::SinkResolver),
                7 => Role::Message(Self::NamedQuery),
                11 => Role::Message(Self::ModelReference),
                12 => Role::Message(Self::OnlineStore),
                13 => Role::Message(Self::CapturedValue),
                15 => Role::Message(Self::FeatureView),
                _ => Role::Opaque,
            },
            Self::FeatureSet => match number {
                2 => Role::Message(Self::FeatureType),
                7 => Role::Source,
                9 => Role::Path,
                11 => Role::Place(Self::SourceReference),
                _ => Role::Opaque,
            },
            Self::FeatureType => match number {
                1 => Role::Message(Self::Scalar),
                2 => Role::Message(Self::HasOne),
                3 => Role::Message(Self::HasMany),
                4 => Role::Message(Self::FeatureTime),
                5 => Role::Message(Self::Windowed),
                6 => Role::Message(Self::GroupBy),
                _ => Role::Opaque,
            },
            Self::Scalar => match number {
                16 => Role::Source,
                30 => Role::Place(Self::Location),
                _ => Role::Opaque,
            },
            Self::Resolver => match number {
                10 => Role::Source,
                13 => Role::Message(Self::Schedule),
                15 => Role::Message(Self::CronFilter),
                16 => Role::Message(Self::Function),
                33 => Role::Message(Self::Converted),
                _ => Role::Opaque,
            },
            Self::StreamResolver => match number {
                13 => Role::Source,
                15 => Role::Message(Self::Function),
                _ => Role::Opaque,
            },
            Self::SinkResolver => match number {
                10 => Role::Source,
                14 => Role::Message(Self::Function),
                _ => Role::Opaque,
            },
            Self::NamedQuery => match number {
                6 => Role::Source,
                11 => Role::Path,
                13 => Role::Place(Self::SourceReference),
                _ => Role::Opaque,
            },
            Self::Function => match number {
                3 => Role::Path,
                4 => Role::Source,
                5 => Role::Line,
                6 => Role::Message(Self::Captured),
                _ => Role::Opaque,
            },
            Self::Captured => match number {
                6 => Role::Message(Self::CapturedFunction),
                9 => Role::Place(Self::SourceReference),
                12 => Role::Message(Self::ValueReference),
                _ => Role::Opaque,
            },
            Self::CapturedFunction => match number {
                1 => Role::Source,
                2 => Role::Message(Self::Captured),
                _ => Role::Opaque,
            },
            Self::CapturedValue => match number {
                1 => Role::ValueId,
                2 => Role::Message(Self::Captured),
                _ => Role::Opaque,
            },
            Self::ValueReference => match number {
                1 => Role::ValueId,
                _ => Role::Opaque,
            },
            _ => self.role_of_a_small_message(number),
        }
    }

    const fn role_of_a_small_message(self, number: u32) -> Role {
        match (self, number) {
            (Self::Schedule, 3 | 4) | (Self::CronFilter, 1) => Role::Message(Self::Function),
            (Self::Converted, 2) => Role::Message(Self::ConversionError),
            (Self::Cron | Self::AggregateBackfill | Self::SourceReference, 3)
            | (Self::FailedImport | Self::LspFile | Self::Location | Self::PathFirst, 1)
            | (Self::ConversionError, 2) => Role::Path,
            (Self::ConversionError, 3..=6) => Role::Line,
            (Self::ModelReference, 5) | (Self::OnlineStore, 4) | (Self::FeatureView, 6) => {
                Role::Place(Self::SourceReference)
            }
            (Self::SourceReference, 2) => Role::Source,
            (Self::LspFile | Self::LspAction, 2) => Role::Message(Self::LspDiagnostic),
            (Self::Lsp, 1) => Role::Message(Self::LspFile),
            (Self::Lsp, 2) => Role::Message(Self::LspAction),
            (Self::Lsp, 3) => Role::Message(Self::LspLog),
            (Self::LspDiagnostic, 6) => Role::Message(Self::LspRelated),
            (Self::LspRelated, 1) => Role::Place(Self::Location),
            (Self::LspAction, 3) => Role::Message(Self::LspEdit),
            (Self::LspEdit, 1) => Role::Message(Self::LspFileEdit),
            (Self::LspFileEdit, 1) => Role::Message(Self::PathFirst),
            (Self::ChalkError, 103) => Role::Message(Self::ChalkException),
            (Self::FailedImport | Self::ChalkError, 3)
            | (Self::ValidationLog, 1 | 2)
            | (Self::LspLog, 2 | 3)
            | (Self::LspDiagnostic | Self::LspRelated, 2)
            | (Self::ChalkException, 2..=4)
            | (Self::ConversionError, 1) => Role::Text,
            _ => Role::Opaque,
        }
    }

    /// What the contract calls a field of this message, where a difference is shown to people.
    pub(in crate::graph) fn field_name(self, number: u32) -> Option<&'static str> {
        let names: &[(u32, &str)] = match self {
            Self::FeatureSet => &FEATURE_SET,
            Self::Scalar => &SCALAR,
            Self::HasOne => &HAS_ONE,
            Self::HasMany => &HAS_MANY,
            Self::FeatureTime => &FEATURE_TIME,
            Self::Windowed => &WINDOWED,
            Self::GroupBy => &GROUP_BY,
            Self::Resolver => &RESOLVER,
            Self::StreamResolver => &STREAM_RESOLVER,
            Self::SinkResolver => &SINK_RESOLVER,
            Self::NamedQuery => &NAMED_QUERY,
            Self::Cron => &CRON,
            Self::DatabaseSource | Self::StreamSource => &SOURCE,
            Self::SourceGroup => &[(2, "default_source"), (3, "tagged_sources")],
            Self::AggregateBackfill => &AGGREGATE_BACKFILL,
            Self::Chart => {
                &[(2, "config"), (3, "entity_kind"), (4, "entity_id"), (5, "graph_generated"), (6, "is_virtual")]
            }
            Self::CdcSource => &[(2, "tables")],
            Self::ModelReference => &[(2, "version"), (3, "alias"), (4, "as_of"), (6, "relations"), (7, "resolvers")],
            Self::OnlineStore => &[(2, "lru_cache"), (3, "feature_namespaces")],
            Self::FeatureView => &FEATURE_VIEW,
            _ => &[],
        };
        names.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
    }
}

const FEATURE_SET: [(u32, &str); 8] = [
    (3, "max_staleness"),
    (4, "is_singleton"),
    (5, "tags"),
    (6, "owner"),
    (7, "doc"),
    (8, "etl_offline_to_online"),
    (10, "online_store_config"),
    (1, "name"),
];
const SCALAR: [(u32, &str); 28] = [
    (3, "is_autogenerated"),
    (4, "no_display"),
    (5, "is_primary"),
    (6, "is_nullable"),
    (7, "internal_version"),
    (8, "max_staleness"),
    (10, "offline_ttl"),
    (11, "type"),
    (12, "version"),
    (13, "window"),
    (14, "default_value"),
    (15, "tags"),
    (16, "description"),
    (17, "owner"),
    (18, "expression"),
    (19, "validations"),
    (20, "last_for"),
    (21, "etl_offline_to_online"),
    (22, "is_distance_pseudofeature"),
    (23, "attribute_name"),
    (24, "is_deprecated"),
    (25, "cache_strategy"),
    (26, "store_online"),
    (27, "store_offline"),
    (28, "unversioned_attribute_name"),
    (29, "rich_type"),
    (31, "offline_expression"),
    (32, "auxiliary_namespace"),
];
const HAS_ONE: [(u32, &str); 10] = [
    (3, "foreign_namespace"),
    (4, "join"),
    (5, "is_nullable"),
    (6, "is_autogenerated"),
    (7, "tags"),
    (8, "description"),
    (9, "owner"),
    (10, "attribute_name"),
    (11, "unversioned_attribute_name"),
    (12, "auxiliary_namespace"),
];
const HAS_MANY: [(u32, &str); 11] = [
    (3, "foreign_namespace"),
    (4, "join"),
    (5, "is_autogenerated"),
    (6, "max_staleness"),
    (7, "tags"),
    (8, "description"),
    (9, "owner"),
    (10, "attribute_name"),
    (11, "unversioned_attribute_name"),
    (12, "online_store_max_items"),
    (13, "auxiliary_namespace"),
];
const FEATURE_TIME: [(u32, &str); 5] =
    [(3, "is_autogenerated"), (4, "tags"), (5, "description"), (6, "owner"), (7, "attribute_name")];
const WINDOWED: [(u32, &str); 7] = [
    (3, "is_autogenerated"),
    (4, "windows"),
    (5, "attribute_name"),
    (6, "unversioned_attribute_name"),
    (7, "auxiliary_namespace"),
    (8, "no_display"),
    (9, "version"),
];
const GROUP_BY: [(u32, &str); 13] = [
    (3, "is_nullable"),
    (4, "internal_version"),
    (5, "type"),
    (6, "aggregation"),
    (7, "windows"),
    (8, "expression"),
    (9, "default_value"),
    (10, "tags"),
    (11, "description"),
    (12, "owner"),
    (13, "validations"),
    (14, "attribute_name"),
    (15, "unversioned_attribute_name"),
];
const RESOLVER: [(u32, &str); 34] = [
    (2, "kind"),
    (3, "inputs"),
    (4, "outputs"),
    (5, "is_generator"),
    (6, "data_sources"),
    (7, "machine_type"),
    (8, "tags"),
    (9, "owner"),
    (10, "doc"),
    (11, "environments"),
    (12, "timeout"),
    (13, "schedule"),
    (14, "when"),
    (15, "cron_filter"),
    (16, "function"),
    (17, "resource_hint"),
    (18, "is_static"),
    (19, "is_total"),
    (20, "unique_on"),
    (21, "partitioned_by"),
    (22, "data_sources"),
    (23, "static_operation"),
    (24, "sql_settings"),
    (25, "resource_group"),
    (26, "output_row_order"),
    (27, "venv"),
    (28, "postprocessing"),
    (29, "postprocessing"),
    (30, "static_operation"),
    (31, "accelerate_python"),
    (32, "incremental_settings"),
    (33, "converted"),
    (35, "handle_duplicate_outputs"),
    (36, "max_batch_size"),
];
const STREAM_RESOLVER: [(u32, &str); 26] = [
    (2, "inputs"),
    (3, "outputs"),
    (4, "explicit_schema"),
    (5, "keys"),
    (6, "source"),
    (7, "parse"),
    (8, "mode"),
    (9, "environments"),
    (10, "timeout"),
    (11, "timestamp_attribute_name"),
    (12, "owner"),
    (13, "doc"),
    (14, "machine_type"),
    (15, "function"),
    (16, "source"),
    (17, "updates_materialized_aggregations"),
    (18, "feature_expressions"),
    (19, "message_producer"),
    (20, "skip_online"),
    (21, "skip_offline"),
    (22, "update_aggregates"),
    (23, "message_format"),
    (24, "header_filters"),
    (25, "resource_group"),
    (27, "deduplication_strategy"),
    (30, "source"),
];
const SINK_RESOLVER: [(u32, &str); 15] = [
    (2, "inputs"),
    (3, "buffer_size"),
    (4, "debounce"),
    (5, "max_delay"),
    (6, "upsert"),
    (7, "integration"),
    (8, "integration"),
    (9, "machine_type"),
    (10, "doc"),
    (11, "owner"),
    (12, "environments"),
    (13, "timeout"),
    (14, "function"),
    (15, "integration"),
    (16, "integration"),
];
const NAMED_QUERY: [(u32, &str); 12] = [
    (3, "input"),
    (4, "output"),
    (5, "tags"),
    (6, "description"),
    (7, "owner"),
    (8, "meta"),
    (9, "staleness"),
    (10, "planner_options"),
    (14, "additional_logged_features"),
    (15, "valid_plan_not_required"),
    (16, "resource_groups"),
    (17, "output_expressions"),
];
const CRON: [(u32, &str); 9] = [
    (2, "schedule"),
    (4, "output"),
    (5, "max_samples"),
    (6, "recompute"),
    (9, "tags"),
    (10, "required_resolver_tags"),
    (11, "store_online"),
    (12, "store_offline"),
    (13, "incremental_sources"),
];
const SOURCE: [(u32, &str); 3] = [(1, "source_type"), (3, "options"), (4, "permission_tags")];
const AGGREGATE_BACKFILL: [(u32, &str); 6] =
    [(2, "schedule"), (4, "features"), (5, "resolvers"), (6, "query_tags"), (7, "target"), (8, "resource_group")];
const FEATURE_VIEW: [(u32, &str); 9] = [
    (2, "time_resolution"),
    (3, "update_cadence"),
    (4, "lower_bound"),
    (5, "lookback_retention_period"),
    (7, "observation_sampling_strategy"),
    (8, "background_compaction"),
    (9, "features"),
    (10, "queryable"),
    (11, "resource_group"),
];
