//! Differences that stay, each with its reason. The replay fails when one is no longer needed.

use super::replay::Difference;

/// A difference that stays.
pub(super) struct Accepted {
    pub(super) reason: &'static str,
    pub(super) is: fn(&Difference<'_>) -> bool,
}

pub(super) const ACCEPTED: &[Accepted] = &[Accepted {
    reason: "endpoints that are not ready get nothing here, on purpose: Envoy takes their share to the others, or \
                 sends requests to them all the same where less than half of the hosts are ready",
    is: |found| found.answers.iter().any(|answer| answer["text"] == "no healthy upstream"),
}];
