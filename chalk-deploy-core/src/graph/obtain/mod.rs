//! Gets the export of a project: from the file that was named, from chalkpy, or from the one that lies in the project.

mod chalkpy;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;

use super::FeatureGraph;
use crate::runtime::Runtime;
use crate::{Error, ErrorCode, Result, text};

/// The file beside chalk.yaml that holds an export for machines without chalkpy.
pub const COMMITTED_EXPORT: &str = "chalk.export.pb";

/// How an export is asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExportRequest {
    /// The directory of the project.
    pub project_directory: PathBuf,
    /// The export that was named by hand (`--graph FILE`).
    pub explicit: Option<PathBuf>,
    /// How long chalkpy may take: it imports all of the project.
    pub time_limit: Duration,
    /// Where chalkpy is looked for.
    pub search_path: SearchPath,
}

impl ExportRequest {
    /// The export of a project, with a minute for chalkpy and the search path of this process.
    pub fn new(project_directory: impl Into<PathBuf>) -> Self {
        Self {
            project_directory: project_directory.into(),
            explicit: None,
            time_limit: Duration::from_mins(1),
            search_path: SearchPath::of_environment(),
        }
    }

    /// Names an export; then nothing is run.
    #[must_use]
    pub fn explicit(mut self, export: Option<PathBuf>) -> Self {
        self.explicit = export;
        self
    }

    /// Bounds chalkpy's time.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Looks for chalkpy elsewhere.
    #[must_use]
    pub fn search_path(mut self, search_path: SearchPath) -> Self {
        self.search_path = search_path;
        self
    }
}

/// Where chalkpy is looked for, besides the project's own virtual environments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPath {
    /// The virtual environment that is active; its chalkpy comes first.
    pub virtual_environment: Option<PathBuf>,
    /// Directories of programs, in order; they come last.
    pub directories: Vec<PathBuf>,
}

impl SearchPath {
    /// What `VIRTUAL_ENV` and `PATH` say.
    pub fn of_environment() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            virtual_environment: std::env::var_os("VIRTUAL_ENV").filter(|home| !home.is_empty()).map(PathBuf::from),
            directories: std::env::split_paths(&path).filter(|directory| directory.is_absolute()).collect(),
        }
    }
}

/// Where a graph came from. `Display` is a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
#[non_exhaustive]
pub enum GraphOrigin {
    /// The file that was named.
    File {
        /// The file, as it was named.
        file: PathBuf,
    },
    /// chalkpy was run.
    Chalkpy {
        /// Its version, when the export says it.
        version: Option<String>,
    },
    /// The export that lies in the project.
    Committed {
        /// The version of chalkpy that made it.
        version: Option<String>,
    },
}

impl fmt::Display for GraphOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |version: &Option<String>| version.as_ref().map(|version| format!(" {}", text::line(version, 40)));
        match self {
            Self::File { file } => {
                write!(formatter, "the feature graph was read from {}", text::line(&file.to_string_lossy(), 200))
            }
            Self::Chalkpy { version } => {
                write!(formatter, "the feature graph was exported by chalkpy{}", said(version).unwrap_or_default())
            }
            Self::Committed { version } => write!(
                formatter,
                "the feature graph was read from {COMMITTED_EXPORT}, made by chalkpy{}",
                said(version).unwrap_or_default()
            ),
        }
    }
}

/// A graph, and how it was obtained.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ObtainedGraph {
    /// The graph.
    pub graph: FeatureGraph,
    /// Where it came from.
    pub origin: GraphOrigin,
    /// What a person should know about it, a sentence each.
    pub notes: Vec<String>,
}

/// Obtains the graph of a project: the file named, else what chalkpy exports (that of the active virtual environment, of
/// the project's own `.venv` or `venv`, of `PATH`), else [`COMMITTED_EXPORT`]. It is decoded, not validated.
///
/// chalkpy imports the project's code, with the rights of this process. It gets no input, and it is killed when the
/// limit is over or the future is dropped.
///
/// # Errors
/// [`ErrorCode::GraphMissing`] without any of them; [`ErrorCode::GraphExportFailed`] with chalkpy's output when it
/// fails or takes too long; [`ErrorCode::GraphUndecodable`] for bytes that are no export.
pub async fn obtain(request: ExportRequest, runtime: &dyn Runtime) -> Result<ObtainedGraph> {
    if let Some(file) = &request.explicit {
        let bytes = read(file).await?.ok_or_else(|| {
            Error::new(ErrorCode::GraphMissing, "there is no such file")
                .on(shown(file))
                .with_hint("name an export made by `chalkpy export FILE --proto`")
        })?;
        let graph = decode(bytes, &request.project_directory, file)?;
        return Ok(with_notes(graph, GraphOrigin::File { file: file.clone() }, Vec::new()));
    }
    let committed = request.project_directory.join(COMMITTED_EXPORT);
    if let Some(program) = chalkpy::find(&request.project_directory, &request.search_path).await {
        let bytes = chalkpy::export(&program, &request.project_directory, request.time_limit, runtime).await?;
        let graph = FeatureGraph::decode(bytes, Some(&request.project_directory)).map_err(|error| {
            Error::new(ErrorCode::GraphExportFailed, "chalkpy ended well, and wrote no export of a graph")
                .on(shown(&program))
                .caused_by(error)
        })?;
        let version = graph.chalkpy_version().map(str::to_owned);
        return Ok(with_notes(graph, GraphOrigin::Chalkpy { version }, Vec::new()));
    }
    let Some(bytes) = read(&committed).await? else {
        return Err(Error::new(
            ErrorCode::GraphMissing,
            format!("there is no chalkpy to export the feature graph, and no {COMMITTED_EXPORT}"),
        )
        .on(shown(&request.project_directory)));
    };
    let graph = decode(bytes, &request.project_directory, &committed)?;
    let version = graph.chalkpy_version().map(str::to_owned);
    let note = format!(
        "chalkpy was not found, so {COMMITTED_EXPORT} was used as it is (made by chalkpy {}); whether it is older than the \
         sources cannot be told",
        text::line(version.as_deref().unwrap_or("of an unknown version"), 40)
    );
    Ok(with_notes(graph, GraphOrigin::Committed { version }, vec![note]))
}

fn with_notes(graph: FeatureGraph, origin: GraphOrigin, notes: Vec<String>) -> ObtainedGraph {
    ObtainedGraph { graph, origin, notes }
}

fn decode(bytes: Bytes, project_directory: &Path, file: &Path) -> Result<FeatureGraph> {
    FeatureGraph::decode(bytes, Some(project_directory)).map_err(|error| error.on(shown(file)))
}

fn shown(path: &Path) -> String {
    text::printable(&path.to_string_lossy()).into_owned()
}

/// Reads a file, never more of it than an export may have. `None` when there is none.
async fn read(file: &Path) -> Result<Option<Bytes>> {
    let unreadable = |error: std::io::Error| {
        Error::new(ErrorCode::GraphUndecodable, "the export cannot be read")
            .on(shown(file))
            .with_hint("name a file that this user can read")
            .caused_by(error)
    };
    let opened = match tokio::fs::File::open(file).await {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that the decode sees that it is too much.
    let most = FeatureGraph::MOST_BYTES as u64 + 1;
    opened.take(most).read_to_end(&mut bytes).await.map_err(unreadable)?;
    Ok(Some(bytes.into()))
}

#[cfg(all(test, unix))]
mod tests;
