//! Reading an archive back, ours or a stranger's: every limit holds, nothing is written anywhere, and whatever two
//! programs could read differently is refused.

mod extension;
mod header;
mod input;

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::entry::{ArchiveEntry, EntryKind, ancestors, check_path, check_target, shown};
use super::fingerprint::SourceCodeHash;
use super::limits::ArchiveLimits;
use super::tree::{EXECUTABLE, PLAIN};
use super::writer::{BLOCK, padding};
use crate::cloud::ByteStream;
use crate::model::{Digest, DigestHasher, SourceFingerprint};
use crate::{Error, ErrorCode, Result};

use extension::Extensions;
use header::RawHeader;
use input::{Input, corrupt};

/// Zeros that may follow the end of the last entry; tar programs fill up their last record.
const LONGEST_END: u64 = 1 << 20;

/// Is shown each entry of an archive with its content. What it does not read is skipped.
pub trait ArchiveVisitor: Send + 'static {
    /// Called for each entry in the order of the archive. Only files have content.
    fn visit(&mut self, entry: &ArchiveEntry, content: &mut dyn Read) -> Result<()>;
}

impl<F: FnMut(&ArchiveEntry, &mut dyn Read) -> Result<()> + Send + 'static> ArchiveVisitor for F {
    fn visit(&mut self, entry: &ArchiveEntry, content: &mut dyn Read) -> Result<()> {
        self(entry, content)
    }
}

/// Reads an archive to its end, shows its entries to a visitor, and gives the fingerprint that the archive really has
/// together with the visitor.
///
/// **Errors.** As for [`ArchiveReader`]; `CLOUD_UNAVAILABLE` when the stream breaks; the error that the stream carries,
/// and the visitor's own.
pub async fn read_archive<V: ArchiveVisitor>(
    mut stream: ByteStream,
    limits: ArchiveLimits,
    mut visitor: V,
) -> Result<(SourceFingerprint, V)> {
    let (sender, receiver) = mpsc::channel(4);
    let read = tokio::task::spawn_blocking(move || {
        let mut reader = ArchiveReader::new(ChannelReader { receiver, chunk: Bytes::new() }, limits)?;
        while let Some(entry) = reader.next_entry()? {
            visitor.visit(&entry, &mut reader)?;
        }
        Ok((reader.finish()?, visitor))
    });
    let pump = async move {
        loop {
            let chunk = tokio::select! {
                chunk = stream.next() => chunk,
                () = sender.closed() => break,
            };
            let Some(chunk) = chunk else { break };
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
    };
    let ((), read) = tokio::join!(pump, read);
    read.map_err(|error| Error::new(ErrorCode::Internal, "reading the archive panicked").caused_by(error))?
}

struct ChannelReader {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>) => {
                    return Err(error);
                }
                // A broken connection is no damage of the archive, whatever kind of error it shows as.
                Some(Err(error)) => {
                    let broken = Error::new(ErrorCode::CloudUnavailable, "the archive's body broke off");
                    return Err(io::Error::other(broken.caused_by(error)));
                }
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Reads a `.tar.gz` (known by its first two bytes) or a plain tar entry by entry. After
/// [`next_entry`](Self::next_entry) the reader itself is the entry's content. In memory it keeps a buffer and the
/// names, which [`ArchiveLimits::names`] bounds.
///
/// **Errors.** `ARCHIVE_PATH_ESCAPE`, `ARCHIVE_LINK_ESCAPE`, `ARCHIVE_ENTRY_TYPE`, `ARCHIVE_ENTRY_NAME` and
/// `ARCHIVE_DUPLICATE_PATH` name the entry; `ARCHIVE_TOO_LARGE` names the limit; `ARCHIVE_CORRUPT` is for everything
/// cut short, damaged or ambiguous. After an error the reader gives no further entry.
#[derive(Debug)]
pub struct ArchiveReader<R: Read> {
    input: Input<R>,
    limits: ArchiveLimits,
    seen: HashMap<Arc<str>, Seen>,
    current: Option<Current>,
    state: State,
    entries: u64,
    names: u64,
    unpacked: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

/// What an earlier entry made of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Only the parent of something, so far.
    Implied,
    Directory,
    Link,
    File(Digest),
}

/// The file whose content is being read.
#[derive(Debug)]
struct Current {
    path: Arc<str>,
    left: u64,
    padding: usize,
    hasher: DigestHasher,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads the first bytes to know whether the archive is packed.
    pub fn new(input: R, limits: ArchiveLimits) -> Result<Self> {
        Ok(Self {
            input: Input::new(input, &limits)?,
            limits,
            seen: HashMap::new(),
            current: None,
            state: State::Reading,
            entries: 0,
            names: 0,
            unpacked: 0,
        })
    }

    /// The next entry; `None` after the last one. Skips what is left of the previous entry's content.
    pub fn next_entry(&mut self) -> Result<Option<ArchiveEntry>> {
        match self.state {
            State::Ended => return Ok(None),
            State::Failed => return Err(corrupt("the archive failed before")),
            State::Reading => {}
        }
        let entry = self.advance();
        self.state = match &entry {
            Ok(Some(_)) => State::Reading,
            Ok(None) => State::Ended,
            Err(_) => State::Failed,
        };
        entry
    }

    /// Reads whatever is left, and gives the fingerprint of what was read.
    pub fn finish(mut self) -> Result<SourceFingerprint> {
        while self.next_entry()?.is_some() {}
        let (sha256, size) = self.input.finish()?;
        let mut code = SourceCodeHash::new();
        for (path, seen) in self.seen {
            if let Seen::File(content) = seen {
                code.add(&*path, content);
            }
        }
        Ok(SourceFingerprint {
            sha256,
            size,
            unpacked_size: self.unpacked,
            entries: self.entries,
            source_code_hash: code.finish(),
        })
    }

    fn advance(&mut self) -> Result<Option<ArchiveEntry>> {
        self.skip_content()?;
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else {
                if !extensions.is_empty() {
                    return Err(corrupt("the archive ends where an entry was announced"));
                }
                self.end()?;
                return Ok(None);
            };
            match header.kind {
                b'x' => extensions.pax(&self.extension(header.size)?)?,
                b'g' => extension::check_global(&self.extension(header.size)?)?,
                b'L' => extensions.long_name(self.extension(header.size)?)?,
                b'K' => extensions.long_link(self.extension(header.size)?)?,
                _ => {
                    let entry = self.entry(header, std::mem::take(&mut extensions))?;
                    if entry.is_some() {
                        return Ok(entry);
                    }
                }
            }
        }
    }

    fn header(&mut self) -> Result<Option<RawHeader>> {
        let mut block = [0; BLOCK];
        self.input.fill(&mut block)?;
        RawHeader::parse(&block)
    }

    /// The content of an extension, padding removed.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > extension::LONGEST {
            return Err(corrupt("an extension header is too long"));
        }
        let length = usize::try_from(size).unwrap_or_default();
        let mut content = vec![0; length + padding(size)];
        self.input.fill(&mut content)?;
        content.truncate(length);
        Ok(content)
    }

    /// Behind the first block of zeros: a second one, and zeros to the end.
    fn end(&mut self) -> Result<()> {
        let mut block = [0; BLOCK];
        self.input.fill(&mut block)?;
        let mut rest = 0;
        loop {
            if block.iter().any(|byte| *byte != 0) {
                return Err(corrupt("something follows the end of the archive"));
            }
            match self.input.read(&mut block)? {
                0 => return Ok(()),
                read => rest += read as u64,
            }
            if rest > LONGEST_END {
                return Err(corrupt("the archive is followed by too many zeros"));
            }
        }
    }

    /// Checks an entry and remembers it. `None` for the tree's own directory, which some programs write as `./`.
    fn entry(&mut self, header: RawHeader, extensions: Extensions) -> Result<Option<ArchiveEntry>> {
        let name = utf8(extensions.path.unwrap_or(header.name))?;
        if extensions.size.is_some_and(|size| size != header.size) {
            return Err(corrupt("the PAX record and the header state different sizes").on(shown(&name)));
        }
        let is_directory = header.kind == b'5';
        let path = name.strip_prefix("./").unwrap_or(&name);
        let bare = path.strip_suffix('/').filter(|bare| is_directory && !bare.is_empty());
        let path = bare.unwrap_or(path);
        if is_directory && matches!(path, "" | ".") && !name.is_empty() && !name.starts_with('/') {
            return if header.size == 0 { Ok(None) } else { Err(corrupt("a directory has content")) };
        }
        check_path(path, &self.limits)?;
        let is_file = matches!(header.kind, b'0' | 0);
        if !is_file && header.size != 0 {
            return Err(corrupt("something that is no file has content").on(shown(path)));
        }
        let target = utf8(extensions.link.unwrap_or(header.link))?;
        let kind = match header.kind {
            b'0' | 0 => EntryKind::File,
            b'5' => EntryKind::Directory,
            b'2' => {
                check_target(path, &target, &self.limits)?;
                EntryKind::Link { target }
            }
            b'1' => EntryKind::HardLink { target: self.hard_link(path, &target)? },
            _ => {
                return Err(Error::new(ErrorCode::ArchiveEntryType, "it is neither file nor directory nor link")
                    .on(shown(path)));
            }
        };
        let executable = is_directory || matches!(kind, EntryKind::Link { .. }) || header.mode & 0o100 != 0;
        let mode = if executable { EXECUTABLE } else { PLAIN };
        let entry = ArchiveEntry { path: path.to_owned(), kind, size: header.size, mode };
        self.remember(&entry)?;
        Ok(Some(entry))
    }

    /// The file that a hard link names: one that stands before it.
    fn hard_link(&self, path: &str, target: &str) -> Result<String> {
        let target = target.strip_prefix("./").unwrap_or(target);
        if matches!(self.seen.get(target), Some(Seen::File(_))) {
            return Ok(target.to_owned());
        }
        Err(Error::new(
            ErrorCode::ArchiveLinkEscape,
            format!("the hard link leads to `{}`, which is no earlier file of the archive", shown(target)),
        )
        .on(shown(path))
        .with_hint("make the archive again without hard links"))
    }

    fn remember(&mut self, entry: &ArchiveEntry) -> Result<()> {
        self.entries += 1;
        self.limits.check_entries(self.entries)?;
        self.unpacked = self.unpacked.saturating_add(entry.size);
        self.limits.check_unpacked(self.unpacked)?;
        for above in ancestors(&entry.path) {
            match self.seen.get(above) {
                Some(Seen::Implied | Seen::Directory) => {}
                Some(Seen::Link) => {
                    return Err(Error::new(
                        ErrorCode::ArchiveLinkEscape,
                        format!("the path goes through the link `{}`", shown(above)),
                    )
                    .on(shown(&entry.path))
                    .with_hint("make the archive again without the link"));
                }
                Some(Seen::File(_)) => return Err(duplicate(above)),
                None => self.insert(above, Seen::Implied)?,
            }
        }
        let seen = match &entry.kind {
            EntryKind::Directory => Seen::Directory,
            EntryKind::Link { .. } => Seen::Link,
            // The digest follows when the content was read.
            EntryKind::File => Seen::File(Digest::from_bytes([0; 32])),
            EntryKind::HardLink { target } => *self.seen.get(target.as_str()).unwrap_or(&Seen::Link),
        };
        match (self.seen.get(entry.path.as_str()), seen) {
            (None, _) | (Some(Seen::Implied), Seen::Directory) => self.insert(&entry.path, seen)?,
            _ => return Err(duplicate(&entry.path)),
        }
        if entry.kind == EntryKind::File {
            let path = Arc::from(entry.path.as_str());
            let padding = padding(entry.size);
            self.current = Some(Current { path, left: entry.size, padding, hasher: DigestHasher::new() });
        }
        Ok(())
    }

    fn insert(&mut self, path: &str, seen: Seen) -> Result<()> {
        self.names += path.len() as u64;
        self.limits.check_names(self.names)?;
        self.seen.insert(Arc::from(path), seen);
        Ok(())
    }

    fn read_content(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(current) = &mut self.current else { return Ok(0) };
        let most = usize::try_from(current.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.input.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(corrupt("the archive is cut short").on(shown(&current.path)));
        }
        current.left -= read as u64;
        current.hasher.update(&buffer[..read]);
        Ok(read)
    }

    fn skip_content(&mut self) -> Result<()> {
        let mut buffer = vec![0; if self.current.is_some() { 64 << 10 } else { 0 }];
        while self.read_content(&mut buffer)? > 0 {}
        if let Some(current) = self.current.take() {
            self.input.fill(&mut [0; BLOCK][..current.padding])?;
            self.seen.insert(current.path, Seen::File(current.hasher.finish()));
        }
        Ok(())
    }
}

impl<R: Read> Read for ArchiveReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.state == State::Failed {
            return Err(io::Error::other(corrupt("the archive failed before")));
        }
        self.read_content(buffer).map_err(|error| {
            self.state = State::Failed;
            io::Error::other(error)
        })
    }
}

fn utf8(name: Vec<u8>) -> Result<String> {
    String::from_utf8(name).map_err(|error| {
        Error::new(ErrorCode::ArchiveEntryName, "the name is not UTF-8")
            .on(shown(&String::from_utf8_lossy(error.as_bytes())))
    })
}

fn duplicate(path: &str) -> Error {
    Error::new(ErrorCode::ArchiveDuplicatePath, "two entries have this path").on(shown(path))
}

#[cfg(test)]
mod tests;
