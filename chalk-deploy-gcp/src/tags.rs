//! The mark on everything that is created, as Google can write it.
//!
//! The key of a label is at most 63 lower-case letters, digits, `_` and `-`, and begins with a letter ("Requirements
//! for labels" of Google's documentation). [`MANAGED_BY`] has a `.` and a `/`: on Google its key is
//! `chalk-ai_managed-by`, the value is the same. IAM has no condition on labels, so that a role cannot be bound to
//! them; see [`bucket_condition`](crate::permissions::bucket_condition).

use chalk_deploy_core::provision::MANAGED_BY;
use serde_json::{Map, Value, json};

/// The label that stands for [`MANAGED_BY`].
pub const LABEL: (&str, &str) = ("chalk-ai_managed-by", MANAGED_BY.1);

/// The labels of something that is created.
pub(crate) fn labels() -> Value {
    json!({LABEL.0: LABEL.1})
}

/// Whether something carries the label.
pub(crate) fn is_marked(labels: &Map<String, Value>) -> bool {
    labels.get(LABEL.0).and_then(Value::as_str) == Some(LABEL.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_is_the_mark_with_the_characters_that_labels_have() {
        assert_eq!(LABEL.0, MANAGED_BY.0.replace('.', "-").replace('/', "_"));
        assert_eq!(LABEL.1, MANAGED_BY.1);
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        assert!(LABEL.0.len() <= 63 && LABEL.0.bytes().chain(LABEL.1.bytes()).all(allowed));
        assert!(is_marked(labels().as_object().expect("an object")));
        assert!(!is_marked(&Map::new()));
    }
}
