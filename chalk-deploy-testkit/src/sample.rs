//! A request that can be deployed, for tests that do not care which.

use bytes::Bytes;
use chalk_deploy_core::cloud::Payload;
use chalk_deploy_core::graph::FeatureGraph;
use chalk_deploy_core::model::{EnvironmentId, ProjectName, SourceFingerprint};
use chalk_deploy_core::source::{ArchiveLimits, ArchiveReader};
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

/// A source archive of these files, a plain tar: the same bytes for the same files.
pub fn archive(files: &[(&str, &[u8])]) -> Bytes {
    const BLOCK: usize = 512;
    let mut tar = Vec::new();
    for (path, content) in files {
        let mut header = [0; BLOCK];
        let fields: [(usize, &[u8]); 7] = [
            (0, path.as_bytes()),
            (100, b"0000644"),
            (108, b"0000000"),
            (116, b"0000000"),
            (136, b"00000000000"),
            (148, b"        "),
            (156, b"0"),
        ];
        for (at, text) in fields {
            header[at..at + text.len()].copy_from_slice(text);
        }
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend_from_slice(&header);
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar.into()
}

/// The source of the requests here: an archive as it is; anything else as a file of one, beside a chalk.yaml.
pub fn source(content: impl Into<Bytes>) -> Payload {
    Payload::from_bytes(source_bytes(content.into()))
}

fn source_bytes(content: Bytes) -> Bytes {
    match fingerprint(&content) {
        Ok(found) if found.entries > 0 => content,
        _ => archive(&[("chalk.yaml", b"project: fraud\n"), ("content", &content)]),
    }
}

/// The fingerprint that an archive really has.
///
/// # Errors
/// Those of [`ArchiveReader`].
pub fn fingerprint(archive: &[u8]) -> Result<SourceFingerprint> {
    ArchiveReader::new(archive, ArchiveLimits::default())?.finish()
}

/// A request to deploy a [`source`] under the example project's graph. Another content is another source.
///
/// # Errors
/// None: all of its parts are valid.
pub fn request(content: impl Into<Bytes>) -> Result<ApplyRequest> {
    request_of("fraud", content)
}

/// The same request under another project's name, which the graph does not have.
///
/// # Errors
/// A name that no project can have.
pub fn request_of(project: &str, content: impl Into<Bytes>) -> Result<ApplyRequest> {
    let bytes = source_bytes(content.into());
    let (found, source) = (fingerprint(&bytes)?, Payload::from_bytes(bytes));
    Ok(ApplyRequest::new(environment()?, ProjectName::new(project)?, found, source, graph()?))
}
