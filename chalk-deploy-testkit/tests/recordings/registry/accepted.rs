//! Differences that stay, each with its reason. The replay fails when one is no longer needed.

use super::Difference;

/// A difference that stays.
pub(super) struct Accepted {
    pub(super) reason: &'static str,
    pub(super) is: fn(&Difference<'_>) -> bool,
}

fn of(found: &Difference<'_>, words: &str) -> bool {
    found.ask.target.contains(words)
}

pub(super) const ACCEPTED: &[Accepted] = &[
    Accepted {
        reason: "a refused HEAD tells the length of the body that a GET would have had",
        is: |found| found.ask.method == "HEAD" && found.path == ".headers.content-length" && found.simulated.is_null(),
    },
    Accepted {
        reason: "lists of tags: distribution looks whether its folder of tags is there, so that a repository of blobs \
                 alone is unknown, and an unknown one has an empty page; it links a next page after a full one, be \
                 there more or not",
        is: |found| of(found, "/tags/list"),
    },
    Accepted {
        reason: "what no route takes is refused in plain text there and in the form of the specification here",
        is: |found| of(found, "/referrers/") || of(found, "not*a*tag") || of(found, "UPPER") || of(found, "sha256:abc"),
    },
    Accepted {
        reason: "only the first missing part of a manifest is named",
        is: |found| found.ask.method == "PUT" && found.path == ".body.codes" && found.real[0] == found.simulated[0],
    },
    Accepted {
        reason: "a chunk in the wrong place is refused with how far the upload is, as the specification asks, and with \
                 its code for uploads",
        is: |found| {
            found.ask.method == "PATCH" && (found.path == ".body.codes[0]" || found.path.starts_with(".headers."))
        },
    },
    Accepted {
        reason: "an unknown repository is told from an unknown blob or manifest in it, as the specification has it",
        is: |found| found.path == ".body.codes[0]" && found.simulated == "NAME_UNKNOWN",
    },
    Accepted {
        reason: "an answer without a body says so by its length",
        is: |found| found.ask.method == "DELETE" && found.path == ".headers.content-length",
    },
    Accepted {
        reason: "ranges of a HEAD, which the specification does not ask for, are not looked at",
        is: |found| found.ask.method == "HEAD" && found.ask.headers.contains_key("range"),
    },
    Accepted {
        reason: "a manifest that is broken and has another digest: what is looked at first",
        is: |found| found.simulated == "DIGEST_INVALID" && found.real == "MANIFEST_INVALID",
    },
    Accepted {
        reason: "a range that cannot be had is refused in plain text there",
        is: |found| found.ask.headers.get("range").is_some_and(|range| range == "bytes=900-"),
    },
    Accepted { reason: "the base is answered without a body", is: |found| found.ask.target == "/v2/" },
];
