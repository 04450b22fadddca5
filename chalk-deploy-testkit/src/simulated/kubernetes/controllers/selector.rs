//! Label selectors.

use std::collections::BTreeMap;

use serde_json::Value;

use super::view;

/// Whether a `LabelSelector` takes an object with these labels. An empty selector takes all; a missing one none, and
/// so does one with an operator that there is not.
pub(crate) fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    if !selector.is_object() {
        return false;
    }
    let exact = selector.get("matchLabels").and_then(Value::as_object);
    let exact = exact.is_none_or(|wanted| includes(wanted, labels));
    exact && view::items(selector, "/matchExpressions").iter().all(|expression| fits(expression, labels))
}

/// Whether a plain map of labels, as services and node selectors have it, takes these labels. An empty one takes none.
pub(crate) fn selects_plainly(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    selector.as_object().is_some_and(|wanted| !wanted.is_empty() && includes(wanted, labels))
}

fn includes(wanted: &serde_json::Map<String, Value>, labels: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name).map(String::as_str) == value.as_str())
}

fn fits(expression: &Value, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(view::text(expression, "/key"));
    let among = || {
        let values = view::items(expression, "/values");
        value.is_some_and(|value| values.iter().any(|one| one.as_str() == Some(value)))
    };
    match view::text(expression, "/operator") {
        "In" => among(),
        "NotIn" => !among(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_takes_what_all_of_its_parts_take() {
        let labels = BTreeMap::from([("app".to_owned(), "engine".to_owned())]);
        let cases = [
            (json!({}), true),
            (json!(null), false),
            (json!({"matchLabels": {"app": "engine"}}), true),
            (json!({"matchLabels": {"app": 1}}), false),
            (json!({"matchLabels": {"app": "engine", "other": "x"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["engine", "x"]}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["engine"]}]}), false),
            (json!({"matchExpressions": [{"key": "other", "operator": "NotIn", "values": ["engine"]}]}), true),
            (json!({"matchExpressions": [{"key": "other", "operator": "DoesNotExist"}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "Resembles"}]}), false),
        ];
        for (selector, expected) in cases {
            assert_eq!(selects(&selector, &labels), expected, "{selector}");
        }
        assert!(!selects_plainly(&json!({}), &labels) && selects_plainly(&json!({"app": "engine"}), &labels));
    }
}
