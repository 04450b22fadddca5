//! An export that was decoded, with the bytes that it was decoded from.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use super::portable::portable;
use super::proto::{Export, Graph};
use super::wire::{Fields, Value};
use crate::model::Digest;
use crate::{Error, ErrorCode, Result};

/// The last field of `chalk.artifacts.v1.Export` that this library knows. All up to it are messages.
const LAST_KNOWN_FIELD: u32 = 12;
/// `Export.graph`, `config`, `chalkpy`, `lsp` and `captured_global_variables`, which stand at most once.
const SINGULAR_FIELDS: [u32; 5] = [1, 5, 6, 9, 11];

/// The feature graph of a project, as an export that is the same wherever it was made.
///
/// It keeps the exact bytes: fields that this library does not know are still there when the graph is stored or
/// forwarded. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct FeatureGraph {
    bytes: Bytes,
    digest: Digest,
    export: Arc<Export>,
}

impl FeatureGraph {
    /// A larger export is refused.
    pub const MOST_BYTES: usize = 100 << 20;

    /// Decodes an export as `chalkpy export FILE --proto` writes it, and makes it portable: paths become relative to
    /// the project, and random ids become numbers. The directory is where the project lies on this machine; an export
    /// from another machine is recognised by its own content.
    ///
    /// An export that chalkpy could not begin has no graph, only the failure; it decodes to an empty graph with an
    /// error in it. A cut at the exact end of a field after `chalkpy` cannot be told from an export that had no more.
    ///
    /// # Errors
    /// [`ErrorCode::GraphUndecodable`] for anything else: empty, cut short, another message, too large or nested too
    /// deep.
    pub fn decode(bytes: Bytes, project_directory: Option<&Path>) -> Result<Self> {
        check_outline(&bytes)?;
        let made = portable(&bytes, project_directory).map_err(|error| not_an_export().caused_by(error))?;
        let bytes = made.unwrap_or(bytes);
        let mut export = Export::decode(bytes.clone()).map_err(|error| not_an_export().caused_by(error))?;
        export.graph.get_or_insert_default();
        Ok(Self { digest: Digest::of(&bytes), bytes, export: Arc::new(export) })
    }

    /// The bytes, as they are stored and forwarded.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The digest of the bytes. Two exports of one project have the same.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The export, decoded.
    pub fn export(&self) -> &Export {
        &self.export
    }

    /// The graph in the export.
    pub fn graph(&self) -> &Graph {
        static NONE: Graph = Graph {
            feature_sets: Vec::new(),
            resolvers: Vec::new(),
            stream_resolvers: Vec::new(),
            sink_resolvers: Vec::new(),
            database_sources: Vec::new(),
            stream_sources: Vec::new(),
            named_queries: Vec::new(),
            database_sources_v2: Vec::new(),
            stream_sources_v2: Vec::new(),
            database_source_groups: Vec::new(),
            model_references: Vec::new(),
            online_store_configs: Vec::new(),
            captured_global_values: Vec::new(),
            symbolic_value_explicits: Vec::new(),
            materialized_feature_views: Vec::new(),
        };
        self.export.graph.as_ref().unwrap_or(&NONE)
    }

    /// The project's name, as chalkpy read it from chalk.yaml.
    pub fn project(&self) -> Option<&str> {
        self.export.config.as_ref().map(|config| config.project.as_str())
    }

    /// The version of chalkpy that made the export.
    pub fn chalkpy_version(&self) -> Option<&str> {
        self.export.chalkpy.as_ref().map(|chalkpy| chalkpy.version.as_str())
    }
}

/// Looks at the outermost fields before anything is decoded. Protobuf carries no name of its message, and most messages
/// decode as most others; an export is told by the fields that it must have and those that it cannot have.
fn check_outline(bytes: &[u8]) -> Result<()> {
    let refused = |why: String| Err(Error::new(ErrorCode::GraphUndecodable, why));
    if bytes.is_empty() {
        return refused("the export is empty".to_owned());
    }
    if bytes.len() > FeatureGraph::MOST_BYTES {
        // A reader stops behind the limit, so that how large it is may not be known.
        let most = crate::text::bytes(FeatureGraph::MOST_BYTES as u64);
        return refused(format!("the export is larger than {most}, the most that is read"));
    }
    let mut seen = [false; LAST_KNOWN_FIELD as usize + 1];
    for field in Fields::of(bytes) {
        let field = field.map_err(|error| not_an_export().caused_by(error))?;
        let Some(seen) = seen.get_mut(field.number as usize) else { continue };
        if matches!(field.value, Value::Number) || (*seen && SINGULAR_FIELDS.contains(&field.number)) {
            return Err(not_an_export());
        }
        *seen = true;
    }
    let [_, graph, _, _, _, _, chalkpy, failed, ..] = seen;
    // What chalkpy writes when it could not begin holds a failure and nothing of the project.
    if (graph && chalkpy) || (!graph && failed) {
        return Ok(());
    }
    if graph {
        refused("it does not say which chalkpy made it, so it is cut short or another message".to_owned())
    } else {
        Err(not_an_export())
    }
}

fn not_an_export() -> Error {
    Error::new(
        ErrorCode::GraphUndecodable,
        "the bytes are no whole export of a feature graph (chalk.artifacts.v1.Export)",
    )
}
