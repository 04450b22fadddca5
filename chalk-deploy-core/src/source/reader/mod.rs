//! Reading an archive back, ours or a stranger's: every limit holds, nothing is written anywhere, and whatever two
//! programs could read differently is refused.

mod extension;
mod header;
mod input;
mod paths;

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::entry::{ArchiveEntry, EntryKind, check_path, check_target, shown};
use super::inspected::ArchiveRules;
use super::limits::ArchiveLimits;
use super::policy::{ArchiveFinding, ArchivePolicy, Examiner, SNIFFED};
use super::tree::{EXECUTABLE, PLAIN};
use super::writer::{BLOCK, padding};
use crate::cloud::ByteStream;
use crate::model::{Digest, DigestHasher, SourceFingerprint};
use crate::{Error, ErrorCode, Result};

use extension::Extensions;
use header::RawHeader;
use input::{Input, corrupt};
use paths::{Paths, mismatch, unexpected_content};

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
    stream: ByteStream,
    limits: ArchiveLimits,
    visitor: V,
) -> Result<(SourceFingerprint, V)> {
    let rules = ArchiveRules::new().with_limits(limits).with_policy(ArchivePolicy::form_only());
    let (fingerprint, _, visitor) = read_archive_within(stream, rules, visitor).await?;
    Ok((fingerprint, visitor))
}

/// As [`read_archive`], with what the archive must keep beyond its form, and what someone should look at.
///
/// **Errors.** As for [`read_archive`]; `PROJECT_CONFIG_MISSING`, `ARCHIVE_SECRET`, `ARCHIVE_DUPLICATE_PATH` by the policy.
pub async fn read_archive_within<V: ArchiveVisitor>(
    mut stream: ByteStream,
    rules: ArchiveRules,
    mut visitor: V,
) -> Result<(SourceFingerprint, Vec<ArchiveFinding>, V)> {
    let (sender, receiver) = mpsc::channel(4);
    let read = tokio::task::spawn_blocking(move || {
        let reader = ArchiveReader::new(ChannelReader::new(receiver), rules.limits)?;
        let mut reader = reader.with_policy(rules.policy);
        while let Some(entry) = reader.next_entry()? {
            visitor.visit(&entry, &mut reader)?;
        }
        let (fingerprint, findings) = reader.finish_with_findings()?;
        Ok((fingerprint, findings, visitor))
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

/// A stream of chunks, read in a thread.
pub(super) struct ChannelReader {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl ChannelReader {
    pub(super) const fn new(receiver: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { receiver, chunk: Bytes::new() }
    }
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

/// Reads a `.tar.gz`, a `.tar.zst` (feature `zstd`) or a plain tar, known by the first bytes, entry by entry. After
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
    paths: Paths,
    examiner: Examiner,
    current: Option<Current>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

/// The file whose content is being read.
#[derive(Debug)]
struct Current {
    path: Arc<str>,
    left: u64,
    padding: usize,
    hasher: DigestHasher,
    /// Its first bytes, until there are enough of them to be looked at.
    beginning: Vec<u8>,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads the first bytes to know whether the archive is packed. Looks at the form alone, until
    /// [`with_policy`](Self::with_policy) says more.
    pub fn new(input: R, limits: ArchiveLimits) -> Result<Self> {
        Ok(Self {
            input: Input::new(input, &limits)?,
            limits,
            paths: Paths::new(),
            examiner: Examiner::new(ArchivePolicy::form_only()),
            current: None,
            state: State::Reading,
        })
    }

    /// Sets what the archive must keep beyond its form. To be called before the first entry.
    #[must_use]
    pub fn with_policy(mut self, policy: ArchivePolicy) -> Self {
        self.examiner = Examiner::new(policy);
        self
    }

    /// What someone should look at, of what was read so far.
    pub fn findings(&self) -> &[ArchiveFinding] {
        self.examiner.findings()
    }

    /// The digest of a file whose content was read to its end or skipped.
    pub fn content_digest(&self, path: &str) -> Option<Digest> {
        self.paths.content(path)
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
    pub fn finish(self) -> Result<SourceFingerprint> {
        Ok(self.finish_with_findings()?.0)
    }

    /// As [`finish`](Self::finish), with what someone should look at.
    pub fn finish_with_findings(mut self) -> Result<(SourceFingerprint, Vec<ArchiveFinding>)> {
        while self.next_entry()?.is_some() {}
        let (sha256, size) = self.input.finish()?;
        let (unpacked_size, entries) = (self.paths.unpacked(), self.paths.entries());
        let source_code_hash = self.paths.into_code_hash();
        let fingerprint = SourceFingerprint { sha256, size, unpacked_size, entries, source_code_hash };
        Ok((fingerprint, self.examiner.take_findings()))
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
                self.examiner.finish()?;
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
            return Err(mismatch(&name));
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
            return Err(unexpected_content(path));
        }
        let target = utf8(extensions.link.unwrap_or(header.link))?;
        let kind = match header.kind {
            b'0' | 0 => EntryKind::File,
            b'5' => EntryKind::Directory,
            b'2' => {
                check_target(path, &target, &self.limits)?;
                EntryKind::Link { target }
            }
            b'1' => EntryKind::HardLink { target: self.paths.hard_link(path, &target)? },
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

    fn remember(&mut self, entry: &ArchiveEntry) -> Result<()> {
        if matches!(entry.kind, EntryKind::Link { .. } | EntryKind::HardLink { .. }) {
            self.examiner.policy().check_link(&entry.path)?;
        }
        let path = self.paths.enter(entry, &self.limits, &mut self.examiner)?;
        let is_file = entry.kind == EntryKind::File;
        self.examiner.entry(&path, is_file)?;
        if is_file {
            let (hasher, beginning) = (DigestHasher::new(), Vec::new());
            self.current = Some(Current { path, left: entry.size, padding: padding(entry.size), hasher, beginning });
        }
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
        if current.beginning.len() < SNIFFED {
            current.beginning.extend_from_slice(&buffer[..read.min(SNIFFED - current.beginning.len())]);
            if current.beginning.len() == SNIFFED || current.left == 0 {
                self.examiner.beginning(&current.path, &current.beginning)?;
                current.beginning.resize(SNIFFED, 0);
            }
        }
        Ok(read)
    }

    fn skip_content(&mut self) -> Result<()> {
        let mut buffer = vec![0; if self.current.is_some() { 64 << 10 } else { 0 }];
        while self.read_content(&mut buffer)? > 0 {}
        if let Some(current) = self.current.take() {
            self.input.fill(&mut [0; BLOCK][..current.padding])?;
            self.paths.finish_file(current.path, current.hasher.finish());
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

#[cfg(test)]
mod tests;
