//! Bytes that are written once and then read as often as needed: in memory while they are few, else in a file without a
//! name, which goes with the last reader however the process ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use crate::Result;
use crate::cloud::{ByteStream, PayloadSource};

/// What stays in memory.
const IN_MEMORY: usize = 8 << 20;
const PIECE: usize = 256 << 10;

/// Where the bytes are written to.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
}

impl Spool {
    /// Puts what is too much for the memory into a file of this folder.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), memory: Vec::new(), file: None }
    }

    /// All that was written.
    pub(super) fn finish(mut self) -> io::Result<Arc<dyn PayloadSource>> {
        if let Some(mut file) = self.file.take() {
            file.write_all(&self.memory)?;
            return Ok(Arc::new(Spilled(Arc::new(file))));
        }
        Ok(Arc::new(Kept(self.memory.into())))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = if self.file.is_some() { PIECE } else { IN_MEMORY };
        if self.memory.len() + bytes.len() > most {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile_in(&self.folder)?),
            };
            file.write_all(&self.memory)?;
            if self.memory.capacity() > 2 * PIECE {
                self.memory = Vec::with_capacity(PIECE);
            }
            self.memory.clear();
        }
        self.memory.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Kept(Bytes);

#[async_trait]
impl PayloadSource for Kept {
    async fn open(&self) -> Result<ByteStream> {
        let mut left = self.0.clone();
        let pieces = std::iter::from_fn(move || (!left.is_empty()).then(|| Ok(left.split_to(left.len().min(PIECE)))));
        Ok(futures::stream::iter(pieces).boxed())
    }
}

struct Spilled(Arc<File>);

#[async_trait]
impl PayloadSource for Spilled {
    async fn open(&self) -> Result<ByteStream> {
        // Each read takes as long as the page cache does: the file was written a moment ago.
        Ok(futures::stream::unfold(Some((self.0.clone(), 0)), |state| async move {
            let (file, position) = state?;
            let mut piece = BytesMut::zeroed(PIECE);
            match file.read_at(&mut piece, position) {
                Ok(0) => None,
                Ok(read) => {
                    piece.truncate(read);
                    Some((Ok(piece.freeze()), Some((file, position + read as u64))))
                }
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed())
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn few_bytes_and_many_are_read_back_as_often_as_asked_and_leave_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        for (length, step) in [(0, 7), (1000, 7), (IN_MEMORY, 999_999), (IN_MEMORY + 1, 4096), (IN_MEMORY * 2, 300_001)]
        {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at * 7 % 251).expect("small")).collect();
            let mut spool = Spool::new(folder.path());
            for part in bytes.chunks(step) {
                spool.write_all(part).expect("written");
            }
            let source = spool.finish().expect("finished");
            for _ in 0..2 {
                let pieces: Vec<Bytes> = source.open().await.expect("opened").try_collect().await.expect("read");
                assert!(pieces.concat() == bytes, "{length}");
                assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
            }
            assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        }
    }
}
