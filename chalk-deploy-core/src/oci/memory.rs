//! What is remembered of registries: how they take uploads, and which repositories were seen to hold what.
//!
//! It only decides what is tried first. That a repository holds a blob is believed for a day, and then only by
//! [`OciRegistry::push_image`](super::OciRegistry::push_image), whose last request is the registry's own check of it: a
//! registry that does not hold what a manifest names refuses the manifest. It holds no credential and no token.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Digest, Timestamp};

/// For how long a repository is believed to hold what it was seen to hold. Registries collect what no image names.
const BELIEVED: Duration = Duration::from_hours(24);
/// How many holdings are remembered of one registry; the oldest are forgotten.
const MOST: usize = 8192;
const MOST_REGISTRIES: usize = 64;

/// What is remembered of registries. It can be kept as JSON between processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryMemory {
    #[serde(default)]
    registries: BTreeMap<String, Remembered>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Whether a POST with the whole blob is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    one_request: Option<bool>,
    /// Repositories by what they hold, with the time at which they were last seen to.
    #[serde(default)]
    holdings: BTreeMap<Digest, BTreeMap<String, Timestamp>>,
}

impl RegistryMemory {
    pub(super) fn takes_one_request(&self, registry: &str) -> Option<bool> {
        self.registries.get(registry)?.one_request
    }

    pub(super) fn learn_one_request(&mut self, registry: &str, taken: bool) {
        self.of(registry).one_request = Some(taken);
    }

    pub(super) fn holds(&self, registry: &str, path: &str, digest: &Digest, now: Timestamp) -> bool {
        let seen = self.registries.get(registry).and_then(|of| of.holdings.get(digest)?.get(path));
        seen.is_some_and(|seen| is_believed(*seen, now))
    }

    /// A repository, other than this one, that was last seen to hold it.
    pub(super) fn holder(&self, registry: &str, path: &str, digest: &Digest, now: Timestamp) -> Option<String> {
        let holders = self.registries.get(registry)?.holdings.get(digest)?;
        let others = holders.iter().filter(|(other, seen)| *other != path && is_believed(**seen, now));
        others.max_by_key(|(_, seen)| **seen).map(|(other, _)| other.clone())
    }

    pub(super) fn note(&mut self, registry: &str, path: &str, digest: Digest, now: Timestamp) {
        let of = self.of(registry);
        of.holdings.entry(digest).or_default().insert(path.to_owned(), now);
        if of.holdings.len() > MOST {
            of.forget_the_oldest();
        }
    }

    pub(super) fn forget(&mut self, registry: &str, path: &str, digest: &Digest) {
        let holdings = &mut self.of(registry).holdings;
        if let Some(holders) = holdings.get_mut(digest) {
            holders.remove(path);
            if holders.is_empty() {
                holdings.remove(digest);
            }
        }
    }

    /// Takes over what another memory holds and this one does not.
    pub(super) fn merge(&mut self, other: Self, now: Timestamp) {
        for (registry, remembered) in other.registries.into_iter().take(MOST_REGISTRIES) {
            let of = self.of(&registry);
            of.one_request = of.one_request.or(remembered.one_request);
            for (digest, holders) in remembered.holdings.into_iter().take(MOST) {
                for (path, seen) in holders.into_iter().filter(|(_, seen)| is_believed(*seen, now)) {
                    let own = of.holdings.entry(digest).or_default().entry(path).or_insert(seen);
                    *own = (*own).max(seen);
                }
            }
        }
    }

    fn of(&mut self, registry: &str) -> &mut Remembered {
        if self.registries.len() >= MOST_REGISTRIES && !self.registries.contains_key(registry) {
            self.registries.pop_first();
        }
        self.registries.entry(registry.to_owned()).or_default()
    }
}

impl Remembered {
    /// Drops the older half, so that it is done seldom.
    fn forget_the_oldest(&mut self) {
        let newest = |holders: &BTreeMap<String, Timestamp>| holders.values().max().copied().unwrap_or_default();
        let mut times: Vec<_> = self.holdings.values().map(newest).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        let mut left = times.len() / 2;
        self.holdings.retain(|_, holders| {
            let older = newest(holders) <= middle && left > 0;
            left -= usize::from(older);
            !older
        });
    }
}

/// A time that is yet to come is from a clock that went wrong.
fn is_believed(seen: Timestamp, now: Timestamp) -> bool {
    let age = now.as_millis().checked_sub(seen.as_millis());
    age.is_some_and(|age| u128::from(age) < BELIEVED.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_holding_is_believed_for_a_day_and_not_before_it_was_seen() {
        let (mut memory, digest) = (RegistryMemory::default(), Digest::of("x"));
        memory.note("r", "a", digest, at(100 * HOUR));
        assert!(memory.holds("r", "a", &digest, at(100 * HOUR)) && memory.holds("r", "a", &digest, at(123 * HOUR)));
        assert!(!memory.holds("r", "a", &digest, at(124 * HOUR)) && !memory.holds("r", "a", &digest, at(99 * HOUR)));
        assert!(!memory.holds("s", "a", &digest, at(100 * HOUR)) && !memory.holds("r", "b", &digest, at(100 * HOUR)));
        assert_eq!(memory.holder("r", "b", &digest, at(100 * HOUR)).as_deref(), Some("a"));
        assert_eq!(memory.holder("r", "a", &digest, at(100 * HOUR)), None);
        memory.forget("r", "a", &digest);
        assert_eq!(memory.holder("r", "b", &digest, at(100 * HOUR)), None);
    }

    #[test]
    fn it_survives_being_kept_and_what_is_old_is_not_taken_over() {
        let mut memory = RegistryMemory::default();
        memory.note("r", "a", Digest::of("new"), at(100 * HOUR));
        memory.note("r", "a", Digest::of("old"), at(10 * HOUR));
        memory.learn_one_request("r", true);
        let text = serde_json::to_string(&memory).expect("written");
        let mut other = RegistryMemory::default();
        other.merge(serde_json::from_str(&text).expect("read"), at(101 * HOUR));
        assert!(other.holds("r", "a", &Digest::of("new"), at(101 * HOUR)));
        assert_eq!(other.registries["r"].holdings.len(), 1);
        assert_eq!(other.takes_one_request("r"), Some(true));
    }

    #[test]
    fn it_does_not_grow_without_end_and_keeps_the_newest() {
        let mut memory = RegistryMemory::default();
        for number in 0..3 * MOST as u64 {
            memory.note("r", "a", Digest::of(number.to_be_bytes()), at(HOUR + number));
        }
        let last = Digest::of((3 * MOST as u64 - 1).to_be_bytes());
        assert!(memory.registries["r"].holdings.len() <= MOST);
        assert!(memory.holds("r", "a", &last, at(2 * HOUR)));
        for number in 0..3 * MOST_REGISTRIES {
            memory.learn_one_request(&format!("{number}"), true);
        }
        assert!(memory.registries.len() <= MOST_REGISTRIES);
    }
}
