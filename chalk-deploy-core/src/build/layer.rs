//! The layer with the project: the same bytes for the same archive, whoever makes them and when.
//!
//! The entries stand in the archive's order (ours are sorted by path) under [`SOURCE_DIRECTORY`], without owner and time
//! and with one of two modes, packed in the way that is set. Behind them stand the compiled files, if there are any,
//! sorted by path. Compiled files that the archive itself has are left out.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write};

use super::checks::{Compiled, Interpreter, is_foreign_bytecode};
use super::folder::failed;
use super::packing::Encoder;
use super::progress::breathe;
use super::{SOURCE_DIRECTORY, Workshop};
use crate::model::{Descriptor, Digest, DigestHasher};
use crate::source::{ArchiveEntry, ArchiveReader, BLOCK, EntryKind, headers, padding};
use crate::{Error, ErrorCode, Result, text};

const PIECE: usize = 64 << 10;
/// How much is packed before others get their turn.
const TURN: usize = 256 << 10;
const DIRECTORY: u32 = 0o755;
const PLAIN: u32 = 0o644;

/// A layer, in a file of its own.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) descriptor: Descriptor,
    /// The digest of the unpacked layer, as a config lists it.
    pub(super) diff: Digest,
    pub(super) entries: u64,
    pub(super) unpacked: u64,
    /// What compiled the files that stand beside the source.
    pub(super) interpreter: Option<Interpreter>,
    pub(super) file: tempfile::NamedTempFile,
}

/// Makes the layer of an archive, whose digest is compared, and of what was compiled of it.
pub(super) async fn make(
    workshop: &Workshop,
    archive: &File,
    sha256: &Digest,
    compiled: Option<&Compiled>,
) -> Result<Layer> {
    let mut archive = archive.try_clone().map_err(reading)?;
    archive.rewind().map_err(reading)?;
    let mut reader = ArchiveReader::new(archive, workshop.limits.clone())?;
    let file = workshop.folder.work_file()?;
    let path = file.path().to_owned();
    let writing = |error: io::Error| failed("write", &path)(error);
    let mut writer = Writer {
        encoder: Encoder::new(
            workshop.compression,
            Hashing { file: file.as_file().try_clone().map_err(writing)?, hasher: DigestHasher::new(), size: 0 },
        )
        .map_err(writing)?,
        diff: DigestHasher::new(),
        since_turn: 0,
    };
    let root = SOURCE_DIRECTORY.trim_start_matches('/');
    for (end, _) in root.match_indices('/').chain([(root.len(), "")]) {
        let name = format!("{}/", &root[..end]);
        writer.put(&headers(tar::EntryType::Directory, &name, None, 0, DIRECTORY)).map_err(writing)?;
    }
    let mut buffer = vec![0; PIECE];
    while let Some(entry) = reader.next_entry()? {
        check_name(&entry)?;
        if is_foreign_bytecode(&entry.path) {
            continue;
        }
        writer.put(&header(root, &entry)).map_err(writing)?;
        if entry.kind == EntryKind::File {
            loop {
                let read = reader.read(&mut buffer).map_err(reading)?;
                if read == 0 {
                    break;
                }
                writer.put(&buffer[..read]).map_err(writing)?;
                writer.turn().await;
            }
            writer.put(&[0; BLOCK][..padding(entry.size)]).map_err(writing)?;
        }
        writer.turn().await;
    }
    if let Some(compiled) = compiled {
        put_compiled(&mut writer, root, compiled).await.map_err(writing)?;
    }
    writer.put(&[0; 2 * BLOCK]).map_err(writing)?;
    let found = reader.finish()?;
    if found.sha256 != *sha256 {
        return Err(Error::new(ErrorCode::DigestMismatch, format!("the source archive is {}", found.sha256)).on(sha256));
    }
    let diff = writer.diff.finish();
    let sink = writer.encoder.finish().map_err(writing)?;
    let descriptor = Descriptor {
        media_type: workshop.compression.media_type().to_owned(),
        digest: sink.hasher.finish(),
        size: sink.size,
    };
    let interpreter = compiled.map(|compiled| compiled.interpreter.clone());
    Ok(Layer { descriptor, diff, entries: found.entries, unpacked: found.unpacked_size, interpreter, file })
}

/// The compiled files, each directory of them before its first.
async fn put_compiled(writer: &mut Writer, root: &str, compiled: &Compiled) -> io::Result<()> {
    let mut last = "";
    for path in compiled.paths() {
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        if above != last {
            writer.put(&headers(tar::EntryType::Directory, &format!("{root}/{above}/"), None, 0, DIRECTORY))?;
            last = above;
        }
        let (file, size) = compiled.open(path)?;
        let mut content = Vec::new();
        file.take(size).read_to_end(&mut content)?;
        let length = content.len() as u64;
        writer.put(&headers(tar::EntryType::Regular, &format!("{root}/{path}"), None, length, PLAIN))?;
        writer.put(&content)?;
        writer.put(&[0; BLOCK][..padding(length)])?;
        writer.turn().await;
    }
    Ok(())
}

fn header(root: &str, entry: &ArchiveEntry) -> Vec<u8> {
    let name = format!("{root}/{}", entry.path);
    match &entry.kind {
        EntryKind::Directory => headers(tar::EntryType::Directory, &format!("{name}/"), None, 0, entry.mode),
        // Relative, and it stays inside the tree: the reader has seen to that.
        EntryKind::Link { target } => headers(tar::EntryType::Symlink, &name, Some(target), 0, entry.mode),
        EntryKind::HardLink { target } => {
            headers(tar::EntryType::Link, &name, Some(&format!("{root}/{target}")), 0, entry.mode)
        }
        EntryKind::File => headers(tar::EntryType::Regular, &name, None, entry.size, entry.mode),
    }
}

/// In a layer, names that begin like this take away what lies below (OCI image specification, *Whiteouts*).
fn check_name(entry: &ArchiveEntry) -> Result<()> {
    if entry.path.split('/').any(|component| component.starts_with(".wh.")) {
        return Err(Error::new(
            ErrorCode::ArchiveEntryName,
            "a name that begins with `.wh.` removes files from an image",
        )
        .on(text::line(&entry.path, 200))
        .with_hint("rename the file, or list it in .chalkignore"));
    }
    Ok(())
}

fn reading(error: io::Error) -> Error {
    crate::cloud::error_in_stream(error).unwrap_or_else(|error| {
        Error::new(ErrorCode::CloudUnavailable, "the fetched source archive could not be read").caused_by(error)
    })
}

struct Writer {
    encoder: Encoder<Hashing>,
    diff: DigestHasher,
    since_turn: usize,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.diff.update(bytes);
        self.since_turn += bytes.len();
        self.encoder.write_all(bytes)
    }

    async fn turn(&mut self) {
        if self.since_turn >= TURN {
            self.since_turn = 0;
            breathe().await;
        }
    }
}

struct Hashing {
    file: File,
    hasher: DigestHasher,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
