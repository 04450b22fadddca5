//! Digests in the two algorithms that the image specification registers.

use std::fmt;

use chalk_deploy_core::model::Digest;
use sha2::Digest as _;

/// The algorithm of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn hex_digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A digest as it stands in paths and manifests: `sha256:` or `sha512:` and hex digits in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ContentDigest(String);

impl ContentDigest {
    /// Parses one; `None` for another algorithm or length, or upper case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, hex) = text.split_once(':')?;
        let algorithm = [Algorithm::Sha256, Algorithm::Sha512].into_iter().find(|known| known.name() == name)?;
        let valid =
            hex.len() == algorithm.hex_digits() && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Self(text.to_owned()))
    }

    /// The digest of some bytes.
    pub(super) fn of(bytes: &[u8], algorithm: Algorithm) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        if self.0.starts_with("sha512") { Algorithm::Sha512 } else { Algorithm::Sha256 }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As a part of a document's name: `sha256/…`.
    pub(super) fn path(&self) -> String {
        self.0.replacen(':', "/", 1)
    }

    /// From a part of a document's name.
    pub(super) fn from_path(path: &str) -> Option<Self> {
        Self::parse(&path.replacen('/', ":", 1))
    }

    /// In the type of the core, which knows SHA-256 alone.
    pub(super) fn sha256(&self) -> Option<Digest> {
        self.0.parse().ok()
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Hashes bytes as they pass. A clone goes on from where the original stands.
#[derive(Clone)]
pub(super) enum Hasher {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn finish(self) -> ContentDigest {
        ContentDigest(match self {
            Self::Sha256(hasher) => format!("sha256:{}", hex(&hasher.finalize())),
            Self::Sha512(hasher) => format!("sha512:{}", hex(&hasher.finalize())),
        })
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hasher")
    }
}

/// Bytes as hex digits in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_of_nothing_are_the_published_ones() {
        let sha256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let sha512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec\
                      2f63b931bd47417a81a538327af927da3e";
        assert_eq!(ContentDigest::of(b"", Algorithm::Sha256).as_str(), sha256);
        assert_eq!(ContentDigest::of(b"", Algorithm::Sha512).as_str(), sha512);
        for text in [sha256, sha512] {
            let digest = ContentDigest::parse(text).expect("a digest");
            assert_eq!(ContentDigest::from_path(&digest.path()), Some(digest));
        }
    }

    #[test]
    fn other_algorithms_lengths_and_upper_case_are_no_digests() {
        let long = format!("sha512:{}", "a".repeat(64));
        let upper = format!("sha256:{}", "A".repeat(64));
        for text in ["", ":", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", &long, &upper, "sha256:../../etc"] {
            assert_eq!(ContentDigest::parse(text), None, "{text}");
        }
    }
}
