//! An upload on its way: its parts as documents, and how far it is.
//!
//! A part becomes durable in two steps: its bytes, then the session that counts them. A process that is killed between
//! them leaves bytes that are not counted, and the client is told the offset before them. The next part overwrites them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::ByteStream;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use crate::simulated::registry::digest::{Algorithm, ContentDigest, Hasher};
use crate::world::{Room, Writer};

/// An upload may have so many parts; ECR allows 4,200.
pub(super) const MOST_PARTS: usize = 10_000;

/// Of how many uploads the hash is kept as it stands. The others are hashed again at their end.
const MOST_HASHERS: usize = 256;

/// What is known of an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) repository: String,
    /// The lengths of the parts so far.
    pub(super) parts: Vec<u64>,
    /// How many `PATCH` requests there were.
    pub(super) chunks: usize,
}

impl Session {
    pub(super) const fn new(repository: String) -> Self {
        Self { repository, parts: Vec::new(), chunks: 0 }
    }

    /// How many bytes have arrived.
    pub(super) fn offset(&self) -> u64 {
        self.parts.iter().sum()
    }

    pub(super) fn read(room: &Room, id: &str) -> Result<Option<Self>> {
        room.read_json(&document(id))
    }

    pub(super) fn write(&self, writer: &Writer<'_>, id: &str) -> Result<()> {
        writer.write_json(&document(id), self)
    }

    /// Forgets an upload. What a kill leaves of it is garbage to be collected.
    pub(super) fn remove(&self, writer: &Writer<'_>, id: &str) -> Result<()> {
        writer.remove(&document(id))?;
        (0..self.parts.len()).try_for_each(|part| writer.remove(&part_document(id, part)))
    }

    /// All its bytes so far, or `None` when a part is gone.
    pub(super) fn open(&self, room: &Room, id: &str) -> Result<Option<ByteStream>> {
        let mut streams = Vec::with_capacity(self.parts.len());
        for part in 0..self.parts.len() {
            let name = part_document(id, part);
            if !room.holds(&name)? {
                return Ok(None);
            }
            let room = room.clone();
            // Opened one after another: an upload of many parts must not hold a descriptor for each.
            streams.push(move || match room.open(&name) {
                Ok(Some(stream)) => stream,
                Ok(None) => futures::stream::iter([Err(std::io::ErrorKind::NotFound.into())]).boxed(),
                Err(error) => futures::stream::iter([Err(std::io::Error::other(error))]).boxed(),
            });
        }
        Ok(Some(futures::stream::iter(streams).flat_map(|open| open()).boxed()))
    }
}

/// The document of an upload.
pub(super) fn document(id: &str) -> String {
    format!("uploads/{id}/session")
}

/// The document of one part of an upload.
pub(super) fn part_document(id: &str, part: usize) -> String {
    format!("uploads/{id}/{part}")
}

/// The SHA-256 of the uploads as far as they are, so that their bytes are read once.
#[derive(Debug, Default)]
pub(in crate::simulated::registry) struct Hashers(Mutex<BTreeMap<String, (u64, Hasher)>>);

impl Hashers {
    /// The hasher of an upload at an offset, if it is known.
    pub(super) fn at(&self, id: &str, offset: u64) -> Option<Hasher> {
        if offset == 0 {
            return Some(Hasher::new(Algorithm::Sha256));
        }
        let hashers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hashers.get(id).filter(|(at, _)| *at == offset).map(|(_, hasher)| hasher.clone())
    }

    pub(super) fn keep(&self, id: &str, offset: u64, hasher: Option<Hasher>) {
        let mut hashers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hashers.remove(id);
        if let Some(hasher) = hasher {
            if hashers.len() >= MOST_HASHERS {
                hashers.pop_first();
            }
            hashers.insert(id.to_owned(), (offset, hasher));
        }
    }
}

/// The digest of all of a stream.
pub(super) async fn digest_of(mut bytes: ByteStream, algorithm: Algorithm) -> std::io::Result<ContentDigest> {
    let mut hasher = Hasher::new(algorithm);
    while let Some(piece) = bytes.next().await {
        hasher.update(&piece?);
    }
    Ok(hasher.finish())
}
