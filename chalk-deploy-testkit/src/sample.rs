//! A request that can be deployed, for tests that do not care which.

use bytes::Bytes;
use chalk_deploy_core::cloud::Payload;
use chalk_deploy_core::graph::FeatureGraph;
use chalk_deploy_core::model::{EnvironmentId, ProjectName, SourceFingerprint};
use chalk_deploy_core::{ApplyRequest, Result};

/// The export of the example project: real bytes, as `chalkpy` writes them.
pub const EXPORT: &[u8] = include_bytes!("../../examples/projects/fraud/chalk.export.pb");

/// The environment that the request is for.
///
/// # Errors
/// None: the name is valid.
pub fn environment() -> Result<EnvironmentId> {
    EnvironmentId::new("default")
}

/// The feature graph of the example project.
///
/// # Errors
/// None: the example project's own tests decode it.
pub fn graph() -> Result<FeatureGraph> {
    FeatureGraph::decode(Bytes::from_static(EXPORT), None)
}

/// A request to deploy this source under the example project's graph. The pipeline hands the source on without looking
/// into it, so any bytes will do; other bytes are another source.
///
/// # Errors
/// None: all of its parts are valid.
pub fn request(source: impl Into<Bytes>) -> Result<ApplyRequest> {
    request_of("fraud", source)
}

/// The same request under another project's name, which the graph does not have.
///
/// # Errors
/// A name that no project can have.
pub fn request_of(project: &str, source: impl Into<Bytes>) -> Result<ApplyRequest> {
    let source = Payload::from_bytes(source);
    let fingerprint = SourceFingerprint {
        sha256: source.sha256(),
        size: source.size(),
        unpacked_size: source.size(),
        entries: 1,
        source_code_hash: source.sha256(),
    };
    Ok(ApplyRequest::new(environment()?, ProjectName::new(project)?, fingerprint, source, graph()?))
}
