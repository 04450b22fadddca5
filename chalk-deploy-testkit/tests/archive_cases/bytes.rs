//! Archives byte by byte, as a hostile program writes them: whatever is asked for, with a right checksum.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

pub(crate) const BLOCK: usize = 512;

/// One entry, or what stands before one.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) target: String,
    /// What the header states, which need not be the content's length.
    pub(crate) size: u64,
    pub(crate) content: Vec<u8>,
}

pub(crate) fn entry(name: impl Into<Vec<u8>>, kind: u8, content: impl Into<Vec<u8>>) -> Entry {
    let content = content.into();
    Entry { name: name.into(), kind, mode: 0o644, target: String::new(), size: content.len() as u64, content }
}

pub(crate) fn file(name: &str, content: impl Into<Vec<u8>>) -> Entry {
    entry(name, b'0', content)
}

pub(crate) fn config() -> Entry {
    file("chalk.yaml", "project: fraud\n")
}

pub(crate) fn link(name: &str, kind: u8, target: &str) -> Entry {
    Entry { target: target.to_owned(), ..entry(name, kind, "") }
}

pub(crate) fn pax(record: &str) -> Entry {
    entry("PaxHeader", b'x', record)
}

impl Entry {
    pub(crate) fn with_mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// States another length than the content has.
    pub(crate) fn stating(mut self, size: u64) -> Self {
        self.size = size;
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        put(0, &self.name);
        put(100, format!("{:07o}", self.mode).as_bytes());
        put(108, b"0000000");
        put(116, b"0000000");
        if self.size < 1 << 33 {
            put(124, format!("{:011o}", self.size).as_bytes());
        } else {
            // GNU tar's numbers of base 256.
            put(124, &[0x80, 0, 0, 0]);
            put(128, &self.size.to_be_bytes());
        }
        put(136, b"00000000000");
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, self.target.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block.extend_from_slice(&self.content);
        block.resize(block.len().next_multiple_of(BLOCK), 0);
        block
    }
}

pub(crate) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(Entry::to_bytes).collect();
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// So many zeros, packed.
pub(crate) fn bomb(start: &[u8], mebibytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(start).expect("memory takes all");
    let zeros = vec![0; 1 << 20];
    for _ in 0..mebibytes {
        encoder.write_all(&zeros).expect("memory takes all");
    }
    encoder.finish().expect("memory takes all")
}
