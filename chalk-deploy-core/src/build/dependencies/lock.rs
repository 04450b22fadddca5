//! What was resolved: each distribution by its exact version and by the digests that its file may have.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::requirement::{checked_name, checked_version};
use crate::model::Digest;

/// No project has more.
const PINS_MOST: usize = 5000;

/// One distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pin {
    /// As PEP 503 normalizes it.
    pub name: String,
    /// As PEP 440 writes it.
    pub version: String,
    /// The file's digest; several where it was not seen which of them is installed.
    pub hashes: BTreeSet<Digest>,
}

impl Pin {
    /// One with this name and version, if they are a name and a version.
    pub(super) fn new(name: &str, version: &str, hashes: BTreeSet<Digest>) -> Option<Self> {
        Some(Self { name: checked_name(name)?, version: checked_version(version)?.to_owned(), hashes })
    }
}

/// All of them, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lock(pub(super) Vec<Pin>);

impl Lock {
    pub(super) fn new(mut pins: Vec<Pin>) -> Self {
        pins.sort();
        Self(pins)
    }

    /// The distributions.
    pub fn pins(&self) -> &[Pin] {
        &self.0
    }

    /// Whether it can be handed to an installer: names and versions are such, and each has a digest. A lock comes back
    /// from a bucket or a folder, which others may write to.
    pub(super) fn is_sound(&self) -> bool {
        let sound = |pin: &Pin| {
            checked_name(&pin.name).is_some_and(|name| name == pin.name)
                && checked_version(&pin.version).is_some()
                && !pin.hashes.is_empty()
        };
        self.0.len() <= PINS_MOST && self.0.iter().all(sound)
    }

    /// As a requirements file with hashes.
    pub fn to_requirements(&self) -> String {
        let mut text = String::new();
        for Pin { name, version, hashes } in &self.0 {
            // Writing into a string cannot fail.
            let _ = write!(text, "{name}=={version}");
            for hash in hashes {
                let _ = write!(text, " --hash={hash}");
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_written_as_requirements_with_hashes_and_is_sound_only_as_we_write_it() {
        let hashes: BTreeSet<_> = [Digest::of("a")].into();
        let pin = |name: &str, version: &str| Pin::new(name, version, hashes.clone());
        let lock = Lock::new(vec![pin("B_x", "2").expect("a pin"), pin("a", "1.0").expect("a pin")]);
        let hash = Digest::of("a").hex();
        assert_eq!(lock.to_requirements(), format!("a==1.0 --hash=sha256:{hash}\nb-x==2 --hash=sha256:{hash}\n"));
        assert!(lock.is_sound());
        assert!(pin("-r", "1").is_none() && pin("a", "1 --hash").is_none());
        for (name, version, hashes) in
            [("A", "1", hashes.clone()), ("a", "1\n-e .", hashes.clone()), ("a", "1", BTreeSet::new())]
        {
            let pin = Pin { name: name.to_owned(), version: version.to_owned(), hashes };
            assert!(!Lock(vec![pin.clone()]).is_sound(), "{pin:?}");
        }
    }
}
