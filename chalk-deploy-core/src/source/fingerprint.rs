//! The hash over a tree's content that does not depend on how it is packed.

use std::sync::Arc;

use crate::model::{Digest, DigestHasher};

/// Collects the regular files of a tree and hashes them: `Deployment.source_code_hash` of the published contract, "an
/// order-independent content hash over every regular file".
///
/// The hash is the SHA-256 of one line for every regular file, `<hex SHA-256 of the content>`, two spaces, `<path>`,
/// line feed, with the lines sorted by their bytes. So anyone can check it in an unpacked archive:
/// `find . -type f -printf '%P\0' | xargs -0 sha256sum | LC_ALL=C sort | sha256sum`
/// (but for names with a backslash, which `sha256sum` escapes). Links, directories and permissions do not count.
#[derive(Debug, Default)]
pub struct SourceCodeHash(Vec<(Digest, Arc<str>)>);

impl SourceCodeHash {
    /// A hash over no file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a regular file. The order of the calls does not matter.
    pub fn add(&mut self, path: impl Into<Arc<str>>, content: Digest) {
        self.0.push((content, path.into()));
    }

    /// The hash.
    pub fn finish(mut self) -> Digest {
        self.0.sort_unstable();
        let mut hasher = DigestHasher::new();
        for (content, path) in &self.0 {
            hasher.update(content.hex().as_bytes());
            hasher.update(b"  ");
            hasher.update(path.as_bytes());
            hasher.update(b"\n");
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_sha256sum_and_sort_give() {
        let mut hash = SourceCodeHash::new();
        hash.add("b", Digest::of("two"));
        hash.add("a/c", Digest::of("one"));
        let mut lines = [format!("{}  b\n", Digest::of("two").hex()), format!("{}  a/c\n", Digest::of("one").hex())];
        lines.sort();
        assert_eq!(hash.finish(), Digest::of(lines.concat()));
    }

    #[test]
    fn order_does_not_count_but_path_and_content_do() {
        let hash = |files: &[(&str, &str)]| {
            let mut hash = SourceCodeHash::new();
            for (path, content) in files {
                hash.add(*path, Digest::of(content));
            }
            hash.finish()
        };
        let reference = hash(&[("a", "1"), ("b", "2")]);
        assert_eq!(hash(&[("b", "2"), ("a", "1")]), reference);
        assert_ne!(hash(&[("a", "2"), ("b", "1")]), reference);
        assert_ne!(hash(&[("a", "1")]), reference);
        assert_eq!(hash(&[]), Digest::of(""));
    }
}
