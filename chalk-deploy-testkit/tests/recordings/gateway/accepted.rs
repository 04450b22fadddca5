//! Differences that stay, each with its reason. The replay fails when one is no longer needed.

use super::replay::Difference;

/// A difference that stays.
pub(super) struct Accepted {
    pub(super) reason: &'static str,
    pub(super) is: fn(&Difference<'_>) -> bool,
}

pub(super) const ACCEPTED: &[Accepted] = &[];
