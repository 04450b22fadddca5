//! Conditions of a status.

use serde_json::{Value, json};

/// What the controller finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Condition {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Condition {
    pub(super) fn holds(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, holds: true, reason, message: message.into() }
    }

    pub(super) fn fails(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, holds: false, reason, message: message.into() }
    }
}

/// The conditions as they are stored: a time of transition changes only with what it is about.
pub(in super::super) fn merge_conditions(old: &Value, new: &[Condition], generation: u64, now: &str) -> Vec<Value> {
    let old: Vec<&Value> = old.as_array().into_iter().flatten().collect();
    let written = new.iter().map(|condition| {
        let status = if condition.holds { "True" } else { "False" };
        let before = old.iter().find(|old| old["type"] == condition.kind && old["status"] == status);
        let since = before.and_then(|before| before["lastTransitionTime"].as_str()).unwrap_or(now);
        json!({
            "type": condition.kind,
            "status": status,
            "reason": condition.reason,
            "message": condition.message,
            "observedGeneration": generation,
            "lastTransitionTime": since,
        })
    });
    written.collect()
}
