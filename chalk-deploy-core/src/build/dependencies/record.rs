//! A dependency layer as it is remembered: by what decides it, with what it was resolved to and what came of it.
//!
//! ```text
//! bucket  dependencies/<hex of the key>   the record, written once: whoever comes first decides what was resolved
//!         layers/<hex of the layer>       the layer, written once
//! folder  dependencies/<hex of the key>   the same record
//!         contents/<hex of the layer>     the same layer
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::lock::Lock;
use super::target::PythonVersion;
use crate::build::image;
use crate::image::Layer;
use crate::model::{Descriptor, Digest, ObjectKey};
use crate::{Error, ErrorCode, Result};

/// Raised whenever the same packages come to another layer.
pub(super) const FORMAT: u32 = 1;
/// The longest record.
pub(in crate::build) const RECORD_MOST: u64 = 4 << 20;

/// A dependency layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyRecord {
    /// The version of this form.
    pub format: u32,
    /// What it is found by: the digest of all that decides it.
    pub key: Digest,
    /// The Python that it is for.
    pub python: PythonVersion,
    /// The platform that it is for, such as `linux/amd64`.
    pub platform: String,
    /// The base images that it is for.
    pub bases: BTreeSet<Digest>,
    /// What was asked for.
    pub requirements: Vec<String>,
    /// What it was resolved to.
    pub lock: Lock,
    /// The layer; none where the base images bring all that is needed.
    pub layer: Option<LayerRecord>,
    /// What is in the layer, by name.
    pub packages: Vec<InstalledPackage>,
    /// The program that installed it, with its version.
    pub tool: String,
}

/// What an image says of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The packed layer.
    pub descriptor: Descriptor,
    /// The digest of the unpacked one.
    pub diff: Digest,
    /// The length of the unpacked one.
    pub unpacked: u64,
    /// How many files and folders it has.
    pub entries: u64,
}

/// A package of a dependency layer, as the label [`PACKAGES`](super::PACKAGES) lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// As PEP 503 normalizes it.
    pub name: String,
    /// As PEP 440 writes it.
    pub version: String,
    /// The digest of the wheel, in hexadecimal digits, where it is known which one it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What decides a dependency layer.
#[derive(Debug)]
pub(super) struct KeyParts<'a> {
    pub(super) requirements: &'a [String],
    pub(super) provided: &'a BTreeSet<String>,
    pub(super) python: PythonVersion,
    pub(super) platform: &'a str,
    pub(super) bases: &'a BTreeSet<Digest>,
    pub(super) media_type: &'a str,
}

impl KeyParts<'_> {
    pub(super) fn digest(&self) -> Digest {
        let Self { requirements, provided, python, platform, bases, media_type } = self;
        Digest::of(image::bytes(&json!({
            "format": FORMAT,
            "requirements": requirements,
            "provided": provided,
            "python": python.to_string(),
            "platform": platform,
            "bases": bases,
            "mediaType": media_type,
        })))
    }
}

impl LayerRecord {
    pub(super) fn of(layer: &Layer) -> Self {
        Self {
            descriptor: layer.descriptor().clone(),
            diff: layer.diff(),
            unpacked: layer.unpacked(),
            entries: layer.entries(),
        }
    }
}

impl DependencyRecord {
    /// Where the record of a key lies in a bucket.
    pub(in crate::build) fn key_in_bucket(key: &Digest) -> Result<ObjectKey> {
        ObjectKey::new(format!("dependencies/{}", key.hex()))
    }

    /// Where a layer lies in a bucket.
    pub(in crate::build) fn layer_in_bucket(layer: &Digest) -> Result<ObjectKey> {
        ObjectKey::new(format!("layers/{}", layer.hex()))
    }

    /// Reads a record, if it is one of this key and of this version. It may come from anyone who can write there.
    pub(in crate::build) fn read(bytes: &[u8], key: &Digest) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        let is_layer = |layer: &LayerRecord| {
            layer.descriptor.media_type.starts_with("application/vnd.oci.image.layer.v1.tar+")
                && layer.descriptor.size > 0
        };
        let is_sound = record.format == FORMAT
            && record.key == *key
            && record.lock.is_sound()
            && record.layer.as_ref().is_none_or(is_layer);
        is_sound.then_some(record)
    }

    pub(in crate::build) fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| {
            Error::new(ErrorCode::Internal, "a dependency layer's record cannot be written").caused_by(error)
        })
    }

    /// The label that lists the packages.
    pub(in crate::build) fn label(&self) -> String {
        // Plain data: it cannot fail.
        serde_json::to_string(&self.packages).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_key_changes_it_and_nothing_else_does() {
        let (none, some) = (BTreeSet::new(), BTreeSet::from(["numpy".to_owned()]));
        let (base, bases) =
            (BTreeSet::from([Digest::of("base")]), BTreeSet::from([Digest::of("base"), Digest::of("x")]));
        let (python, newer) = ("3.11".parse().expect("one"), "3.12".parse().expect("one"));
        let (asked, more) = (["a==1".to_owned()], ["a==1".to_owned(), "b".to_owned()]);
        let parts = || KeyParts {
            requirements: &asked,
            provided: &none,
            python,
            platform: "linux/amd64",
            bases: &base,
            media_type: "tar+gzip",
        };
        let keys: BTreeSet<_> = [
            parts(),
            KeyParts { requirements: &more, ..parts() },
            KeyParts { provided: &some, ..parts() },
            KeyParts { python: newer, ..parts() },
            KeyParts { platform: "linux/arm64", ..parts() },
            KeyParts { bases: &bases, ..parts() },
            KeyParts { media_type: "tar+zstd", ..parts() },
        ]
        .iter()
        .map(KeyParts::digest)
        .collect();
        assert_eq!(keys.len(), 7);
        assert_eq!(parts().digest(), parts().digest());
    }

    #[test]
    fn a_record_that_is_anothers_or_no_record_is_not_believed() {
        let key = Digest::of("key");
        let record = DependencyRecord {
            format: FORMAT,
            key,
            python: "3.11".parse().expect("one"),
            platform: "linux/amd64".to_owned(),
            bases: BTreeSet::new(),
            requirements: vec!["a".to_owned()],
            lock: Lock::default(),
            layer: None,
            packages: vec![InstalledPackage { name: "a".to_owned(), version: "1".to_owned(), sha256: None }],
            tool: "uv 1".to_owned(),
        };
        let bytes = record.to_bytes().expect("written");
        assert_eq!(record.label(), "[{\"name\":\"a\",\"version\":\"1\"}]");
        assert_eq!(DependencyRecord::read(&bytes, &key), Some(record.clone()));
        assert_eq!(DependencyRecord::read(&bytes, &Digest::of("other")), None);
        let newer = DependencyRecord { format: FORMAT + 1, ..record.clone() }.to_bytes().expect("written");
        let text = String::from_utf8(bytes)
            .expect("JSON")
            .replace("\"lock\":[]", "\"lock\":[{\"name\":\"a\",\"version\":\"1 --index-url x\",\"hashes\":[]}]");
        for bytes in [newer, text.into_bytes(), b"{}".to_vec(), Vec::new()] {
            assert_eq!(DependencyRecord::read(&bytes, &key), None);
        }
    }
}
