//! A payload that the reader examines while it passes: whoever stores it never stores what the reader refuses.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::limits::ArchiveLimits;
use super::policy::{ArchiveFinding, ArchivePolicy};
use super::reader::{ArchiveReader, ChannelReader};
use crate::cloud::{ByteStream, Payload, PayloadSource};
use crate::model::SourceFingerprint;
use crate::{Error, ErrorCode, Result};

/// What is examined in place; a larger archive has a thread of its own. Even one that expands as far as the default
/// limits let it takes a moment only.
const IN_PLACE_MOST: u64 = 256 << 10;
/// Chunks that may wait for the reader.
const AHEAD: usize = 4;

/// What an archive must keep: its limits, and what it must have beyond its form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ArchiveRules {
    /// What it may be at most.
    pub limits: ArchiveLimits,
    /// What it must keep beyond its form.
    pub policy: ArchivePolicy,
}

impl ArchiveRules {
    /// The default limits and the default policy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub fn with_limits(mut self, limits: ArchiveLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`policy`](Self::policy).
    #[must_use]
    pub fn with_policy(mut self, policy: ArchivePolicy) -> Self {
        self.policy = policy;
        self
    }
}

/// An archive whose bytes are examined on their way, each time it is opened. The last bytes are held back until the
/// reader has seen all of them; the stream of one that is refused ends in an error that carries the reader's
/// ([`error_in_stream`](crate::cloud::error_in_stream)), so it is never taken for whole.
///
/// Nothing but a few chunks is in memory, and each byte is read from its source once.
#[derive(Clone)]
pub struct InspectedArchive(Arc<Inner>);

struct Inner {
    payload: Payload,
    expected: Option<SourceFingerprint>,
    rules: ArchiveRules,
    verdict: Mutex<Option<Verdict>>,
}

/// What an archive turned out to be.
pub type Verdict = (SourceFingerprint, Vec<ArchiveFinding>);

impl InspectedArchive {
    /// An archive that has to keep these rules.
    pub fn new(payload: Payload, rules: ArchiveRules) -> Self {
        Self(Arc::new(Inner { payload, expected: None, rules, verdict: Mutex::default() }))
    }

    /// One that must have this fingerprint, too; else it is a `DIGEST_MISMATCH`.
    pub fn expecting(payload: Payload, expected: SourceFingerprint, rules: ArchiveRules) -> Self {
        Self(Arc::new(Inner { payload, expected: Some(expected), rules, verdict: Mutex::default() }))
    }

    /// The archive as a payload of the same digest and length.
    pub fn payload(&self) -> Payload {
        Payload::new(self.0.payload.sha256(), self.0.payload.size(), Arc::new(self.clone()))
    }

    /// What it turned out to be, once it was read to its end.
    pub fn verdict(&self) -> Option<Verdict> {
        self.0.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for InspectedArchive {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("InspectedArchive").field(&self.0.payload).finish()
    }
}

#[async_trait]
impl PayloadSource for InspectedArchive {
    async fn open(&self) -> Result<ByteStream> {
        let stream = self.0.payload.open().await?;
        let passing = Passing { stream, held: None, examiner: Examiner::begin(&self.0), archive: Arc::clone(&self.0) };
        let stream = futures::stream::try_unfold(Some(passing), |passing| async move {
            match passing {
                Some(passing) => passing.next().await.map_err(io::Error::other),
                None => Ok(None),
            }
        });
        Ok(stream.boxed())
    }
}

/// A reading under way.
struct Passing {
    stream: ByteStream,
    /// The chunk that is let go when the next one is there, or the verdict.
    held: Option<Bytes>,
    examiner: Examiner,
    archive: Arc<Inner>,
}

enum Examiner {
    InPlace(Vec<u8>),
    Thread { sender: mpsc::Sender<io::Result<Bytes>>, verdict: JoinHandle<Result<Verdict>> },
}

impl Examiner {
    fn begin(archive: &Inner) -> Self {
        if archive.payload.size() <= IN_PLACE_MOST {
            return Self::InPlace(Vec::new());
        }
        let (sender, receiver) = mpsc::channel(AHEAD);
        let rules = archive.rules.clone();
        let verdict = tokio::task::spawn_blocking(move || examine(ChannelReader::new(receiver), rules));
        Self::Thread { sender, verdict }
    }

    /// Whether it wants more: a reader that has refused what it saw does not.
    async fn take(&mut self, chunk: &Bytes, most: u64) -> Result<bool> {
        match self {
            Self::InPlace(kept) if (kept.len() + chunk.len()) as u64 > most => {
                Err(Error::new(ErrorCode::DigestMismatch, "the archive is longer than was declared")
                    .on("source archive"))
            }
            Self::InPlace(kept) => {
                kept.extend_from_slice(chunk);
                Ok(true)
            }
            Self::Thread { sender, .. } => Ok(sender.send(Ok(chunk.clone())).await.is_ok()),
        }
    }

    async fn verdict(self, rules: &ArchiveRules) -> Result<Verdict> {
        match self {
            Self::InPlace(kept) => examine(kept.as_slice(), rules.clone()),
            Self::Thread { sender, verdict } => {
                drop(sender);
                verdict.await.map_err(|error| {
                    Error::new(ErrorCode::Internal, "examining the archive panicked").caused_by(error)
                })?
            }
        }
    }
}

impl Passing {
    async fn next(mut self) -> Result<Option<(Bytes, Option<Self>)>> {
        loop {
            let goes_on = match self.stream.next().await {
                Some(Ok(chunk)) if chunk.is_empty() => continue,
                Some(Ok(chunk)) => {
                    let wants_more = self.examiner.take(&chunk, self.archive.payload.size()).await?;
                    let before = self.held.replace(chunk);
                    match before {
                        Some(before) if wants_more => return Ok(Some((before, Some(self)))),
                        _ => wants_more,
                    }
                }
                Some(Err(error)) => {
                    return Err(crate::cloud::error_in_stream(error).unwrap_or_else(|error| {
                        Error::new(ErrorCode::CloudUnavailable, "the archive broke off").caused_by(error)
                    }));
                }
                None => false,
            };
            if !goes_on {
                let found = self.examiner.verdict(&self.archive.rules).await?;
                check(&found.0, self.archive.expected.as_ref())?;
                *self.archive.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                return Ok(self.held.map(|last| (last, None)));
            }
        }
    }
}

fn examine(input: impl io::Read, rules: ArchiveRules) -> Result<Verdict> {
    ArchiveReader::new(input, rules.limits)?.with_policy(rules.policy).finish_with_findings()
}

/// Compares what an archive is with what it was said to be.
fn check(found: &SourceFingerprint, expected: Option<&SourceFingerprint>) -> Result<()> {
    let Some(expected) = expected.filter(|expected| *expected != found) else { return Ok(()) };
    let message = if found.sha256 == expected.sha256 {
        "the archive holds other files than its fingerprint says".to_owned()
    } else {
        format!("the archive is {}, not {}", found.sha256, expected.sha256)
    };
    Err(Error::new(ErrorCode::DigestMismatch, message).on("source archive"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::source::{headers, padding};

    /// A plain tar with a chalk.yaml and a file of so many bytes.
    fn archive(name: &str, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, content) in [("chalk.yaml", b"project: a\n".to_vec()), (name, vec![b'x'; length])] {
            let size = content.len() as u64;
            bytes.extend_from_slice(&headers(tar::EntryType::Regular, name, None, size, 0o644));
            bytes.extend_from_slice(&content);
            bytes.resize(bytes.len() + padding(size), 0);
        }
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    /// Counts how often it is opened and how many bytes are taken from it.
    struct Counting(Bytes, Arc<AtomicUsize>, Arc<AtomicUsize>);

    #[async_trait]
    impl PayloadSource for Counting {
        async fn open(&self) -> Result<ByteStream> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let (bytes, taken) = (self.0.clone(), Arc::clone(&self.2));
            let starts = (0..bytes.len()).step_by(4096);
            let chunks: Vec<_> = starts.map(|at| bytes.slice(at..bytes.len().min(at + 4096))).collect();
            let count = move |chunk: &Bytes| {
                taken.fetch_add(chunk.len(), Ordering::Relaxed);
            };
            Ok(futures::stream::iter(chunks).inspect(count).map(Ok).boxed())
        }
    }

    fn counted(bytes: Vec<u8>) -> (Payload, Arc<AtomicUsize>, Arc<AtomicUsize>) {
        let whole = Payload::from_bytes(bytes.clone());
        let (opened, taken) = (Arc::default(), Arc::default());
        let source = Counting(bytes.into(), Arc::clone(&opened), Arc::clone(&taken));
        (Payload::new(whole.sha256(), whole.size(), Arc::new(source)), opened, taken)
    }

    #[tokio::test]
    async fn what_passes_is_what_was_sent_and_each_byte_is_read_once() {
        for length in [10, 3 << 20] {
            let bytes = archive("features.py", length);
            let (payload, opened, taken) = counted(bytes.clone());
            let inspected = InspectedArchive::new(payload, ArchiveRules::new());
            assert_eq!(inspected.verdict(), None);
            assert_eq!(inspected.payload().bytes().await.expect("accepted"), bytes);
            let count = (opened.load(Ordering::Relaxed), taken.load(Ordering::Relaxed));
            assert_eq!(count, (1, bytes.len()));
            let (fingerprint, findings) = inspected.verdict().expect("it was read");
            assert_eq!((fingerprint.entries, findings.len()), (2, 0));
            let again = InspectedArchive::expecting(Payload::from_bytes(bytes), fingerprint, ArchiveRules::new());
            again.payload().bytes().await.expect("the same");
        }
    }

    #[tokio::test]
    async fn what_is_refused_never_passes_whole_and_is_not_read_on() {
        for length in [10, 3 << 20] {
            let (payload, _, taken) = counted([archive("../x", length), vec![0; 8 << 20]].concat());
            let mut stream = InspectedArchive::new(payload.clone(), ArchiveRules::new()).open().await.expect("opens");
            let mut passed = 0;
            let error = loop {
                match stream.next().await.expect("it does not end well") {
                    Ok(chunk) => passed += chunk.len() as u64,
                    Err(error) => break crate::cloud::error_in_stream(error).expect("ours"),
                }
            };
            assert_eq!(error.code(), ErrorCode::ArchivePathEscape);
            assert!(passed < payload.size());
            assert!(taken.load(Ordering::Relaxed) < 1 << 20, "{taken:?}");
            assert!(stream.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn an_archive_that_is_not_what_it_was_said_to_be_is_refused() {
        let payload = Payload::from_bytes(archive("features.py", 10));
        let inspected = InspectedArchive::new(payload.clone(), ArchiveRules::new());
        inspected.payload().bytes().await.expect("accepted");
        let (mut said, _) = inspected.verdict().expect("it was read");
        said.entries += 1;
        let refused = InspectedArchive::expecting(payload, said, ArchiveRules::new()).payload().bytes().await;
        assert_eq!(refused.expect_err("one entry less").code(), ErrorCode::DigestMismatch);
    }
}
