//! The first container: the source into a folder, and the Dockerfile into a plan for each component.

use std::io::{Cursor, Read};
use std::path::Path;

use super::instructions::FILE_MOST;
use super::plan::{self, BasePolicy};
use super::{PLAN, PLANNED_REQUEST, SOURCE, planned_dockerfile};
use crate::build::envelope;
use crate::cloud::{BuildRequest, ObjectStore};
use crate::source::{ArchiveEntry, ArchiveLimits, ArchiveVisitor, EntryKind, Extraction, read_archive};
use crate::{Error, ErrorCode, Result, text};

/// Unpacks the source of a request below a folder, and writes what the executor is given of its Dockerfile beside it.
/// `say` hears a step and a line.
///
/// # Errors
/// Those of the bucket and of the archive's reader; [`ErrorCode::DigestMismatch`] for another archive than was submitted;
/// [`ErrorCode::RequestInvalid`] for a Dockerfile that is not taken; [`ErrorCode::StoreUnavailable`] for the disk.
pub async fn unpack(
    request: &BuildRequest,
    bucket: &dyn ObjectStore,
    limits: ArchiveLimits,
    policy: &BasePolicy,
    project: &Path,
    say: &mut (dyn FnMut(&str, String) + Send),
) -> Result<()> {
    let name = request.settings.dockerfile.as_deref().unwrap_or_default();
    let object = format!("object `{}`", request.source.key);
    let body = bucket.get(&request.source.key).await?.body;
    let visitor =
        Unpacking { extraction: Extraction::begin(project.join(SOURCE))?, wanted: name.to_owned(), dockerfile: None };
    let (found, unpacked) = read_archive(body, limits, visitor).await?;
    if found.sha256 != request.source.sha256 || found.size != request.source.size {
        let message =
            format!("the source archive is {} with {} bytes, and another was declared", found.sha256, found.size);
        return Err(Error::new(ErrorCode::DigestMismatch, message).on(object));
    }
    unpacked.extraction.finish()?;
    let unpacked_size = text::bytes(found.unpacked_size);
    say("fetch", format!("the source archive is {}, {}", text::bytes(found.size), found.sha256));
    say("unpack", format!("{} entries with {unpacked_size} are unpacked", found.entries));
    let dockerfile = unpacked.dockerfile.ok_or_else(|| {
        Error::new(ErrorCode::RequestInvalid, "the source archive has no such file")
            .on(format!("Dockerfile `{}`", text::line(name, 100)))
            .with_hint("correct `dockerfile` in chalk.yaml, or let no ignore file leave it out")
    })?;
    let folder = project.join(PLAN);
    std::fs::create_dir_all(&folder).map_err(|error| unwritten(&folder, error))?;
    for base in &request.base_images {
        let plan = plan::plan(name, &dockerfile, base, &request.platform, policy)?;
        write(&folder.join(planned_dockerfile(base.component)), plan.text.as_bytes())?;
        for image in plan.images {
            say("plan", format!("{} is built from {image}", base.component));
        }
    }
    write(&folder.join(PLANNED_REQUEST), envelope::seal(request)?.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|error| unwritten(path, error))
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorCode::StoreUnavailable, "the disk of the build does not take it")
        .on(path.display())
        .caused_by(error)
}

/// Unpacks, and keeps what the Dockerfile says on its way.
struct Unpacking {
    extraction: Extraction,
    wanted: String,
    dockerfile: Option<Vec<u8>>,
}

impl ArchiveVisitor for Unpacking {
    fn visit(&mut self, entry: &ArchiveEntry, content: &mut dyn Read) -> Result<()> {
        if entry.path != self.wanted {
            return self.extraction.entry(entry, content);
        }
        let refused = |message: &str| {
            Error::new(ErrorCode::RequestInvalid, message)
                .on(format!("Dockerfile `{}`", text::line(&entry.path, 100)))
                .with_hint("name a text file of the project with `dockerfile` in chalk.yaml")
        };
        if entry.kind != EntryKind::File {
            return Err(refused("it is no plain file"));
        }
        if entry.size > FILE_MOST as u64 {
            return Err(refused(&format!("it is longer than {}", text::bytes(FILE_MOST as u64))));
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|error| {
            crate::cloud::error_in_stream(error).unwrap_or_else(|error| {
                Error::new(ErrorCode::ArchiveCorrupt, "the Dockerfile cannot be read").on(&entry.path).caused_by(error)
            })
        })?;
        self.extraction.entry(entry, &mut Cursor::new(&bytes))?;
        self.dockerfile = Some(bytes);
        Ok(())
    }
}
