//! Differences that stay, each with its reason. The replay fails when one is no longer needed.

use serde_json::Value;

use super::Difference;

/// A difference that stays.
pub(super) struct Accepted {
    pub(super) reason: &'static str,
    pub(super) is: fn(&Difference<'_>) -> bool,
    /// Whether the objects are different from there on, so that the rest of the sequence says nothing.
    pub(super) ends: bool,
}

const fn stays(reason: &'static str, is: fn(&Difference<'_>) -> bool) -> Accepted {
    Accepted { reason, is, ends: false }
}

const fn ends(reason: &'static str, is: fn(&Difference<'_>) -> bool) -> Accepted {
    Accepted { reason, is, ends: true }
}

fn says(value: &Value, words: &str) -> bool {
    value.as_str().is_some_and(|text| text.contains(words))
}

pub(super) const ACCEPTED: &[Accepted] = &[
    stays("an apply under another name is refused before and not after conflicts and types are looked at", |found| {
        found.path == "status" && says(&found.simulated, "does not match the name on the URL")
    }),
    stays(
        "the causes of an invalid custom resource: rules of CEL that could not run, and a type of cause of its own",
        |found| {
            found.path.starts_with(".causes")
                && (found.ask.target.contains("httproutes") || found.ask.target.contains("scaledobjects"))
        },
    ),
    ends(
        "a cluster without IPv6 refuses a service that gets a selector after it had none; ours has no such cluster",
        |found| found.path == "status" && says(&found.real, "not configured for dual-stack"),
    ),
    ends("KEDA's webhook, which is not there in the recording, refuses fewer at most than at least", |found| {
        found.path == "status" && says(&found.simulated, "must not be greater than maxReplicaCount")
    }),
    ends(
        "a custom resource keeps an empty map of annotations or labels that was applied until the next write drops it, \
         which is a change; ours are dropped at once",
        |found| found.path == ".metadata.resourceVersion" && found.ask.target.contains("scaledobjects"),
    ),
    stays("values of a wrong type are refused in another step, with another code and never accepted", |found| {
        found.path == "status" && (says(&found.real, "patch: Invalid value") || says(&found.real, "failed to c"))
    }),
];
