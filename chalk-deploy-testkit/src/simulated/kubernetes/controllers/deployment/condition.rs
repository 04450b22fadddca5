//! The conditions of a deployment. They carry a second time beside the last transition: the last update, from which
//! the progress deadline counts.

use serde_json::{Value, json};

use crate::simulated::kubernetes::controllers::pass::Pass;
use crate::simulated::kubernetes::controllers::view;

/// Sets a condition. One that says the same stays as it is.
pub(super) fn set(conditions: &mut Vec<Value>, pass: &Pass<'_>, kind: &str, status: &str, reason: &str, message: &str) {
    let same = conditions.iter().any(|old| old["type"] == kind && old["status"] == status && old["reason"] == reason);
    if same {
        return;
    }
    update(conditions, pass, kind, status, reason, message);
}

/// Sets a condition and the time of its last update.
pub(super) fn update(
    conditions: &mut Vec<Value>,
    pass: &Pass<'_>,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
) {
    let now = pass.stamp();
    let condition = json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastUpdateTime": now,
    });
    view::set_condition(conditions, condition, &now);
}

/// Sets the condition `Progressing` of a stored deployment.
pub(super) fn progress(deployment: &mut Value, pass: &Pass<'_>, status: &str, reason: &str, message: &str) {
    let mut conditions = view::items(deployment, "/status/conditions").to_vec();
    update(&mut conditions, pass, "Progressing", status, reason, message);
    view::map(deployment, "status").insert("conditions".to_owned(), conditions.into());
}
