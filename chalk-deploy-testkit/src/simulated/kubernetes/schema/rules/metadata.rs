//! Names, labels, annotations, owners.

use super::super::{Problem, names};
use super::Part;
use crate::simulated::kubernetes::resource::Resource;

/// As many bytes as all annotations of an object may have.
const MOST_ANNOTATED: usize = 256 << 10;

pub(in super::super) fn metadata(resource: &Resource, object: &serde_json::Value, problems: &mut Vec<Problem>) {
    let metadata = Part::root(object).at("metadata");
    name(resource, &metadata, problems);
    if resource.namespaced {
        let namespace = metadata.at("namespace");
        if namespace.text().is_some_and(|text| !text.is_empty() && !names::is_label(text)) {
            problems.push(namespace.invalid("must be a DNS label: lower case letters, digits and '-'"));
        }
    } else if !metadata.at("namespace").is_empty() {
        problems.push(Problem::forbidden("metadata.namespace", "not allowed on this type"));
    }
    labels(&metadata.at("labels"), problems);
    annotations(&metadata.at("annotations"), problems);
    for finalizer in metadata.at("finalizers").items() {
        if finalizer.text().is_some_and(|text| !names::is_qualified(text)) {
            problems.push(finalizer.invalid("name part must consist of letters, digits, '-', '_' and '.'"));
        }
    }
    let controllers = metadata.at("ownerReferences").items();
    let controllers = controllers.iter().filter(|owner| owner.at("controller").value == &serde_json::Value::Bool(true));
    if controllers.count() > 1 {
        let owners = metadata.at("ownerReferences");
        problems.push(owners.invalid("only one reference can have controller set to true"));
    }
}

fn name(resource: &Resource, metadata: &Part<'_>, problems: &mut Vec<Problem>) {
    let (valid, why): (fn(&str) -> bool, &str) = match (resource.group, resource.kind) {
        ("", "Namespace") => (names::is_label, "must be a DNS label: lower case letters, digits and '-'"),
        ("", "Service") => (names::is_service_label, "must be a DNS label that begins with a letter"),
        ("rbac.authorization.k8s.io", _) => (names::is_path_segment, "may not be '.' or '..' nor contain '/' or '%'"),
        _ => (
            names::is_subdomain,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
        ),
    };
    let name = metadata.at("name");
    let prefix = metadata.at("generateName");
    match (name.text().filter(|text| !text.is_empty()), prefix.text().filter(|text| !text.is_empty())) {
        (Some(text), _) if !valid(text) => problems.push(name.invalid(why)),
        (None, None) => problems.push(name.required("name or generateName is required")),
        // What is appended makes it end well.
        (None, Some(text)) if !valid(&format!("{text}x")) => problems.push(prefix.invalid(why)),
        _ => {}
    }
}

/// Labels, wherever they are given.
pub(super) fn labels(labels: &Part<'_>, problems: &mut Vec<Problem>) {
    for (key, value) in labels.map().into_iter().flatten() {
        if !names::is_qualified(key) {
            problems.push(Part { value: &key.as_str().into(), at: labels.at.clone() }.invalid(
                "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                 alphanumeric character",
            ));
        }
        if value.as_str().is_some_and(|text| !names::is_label_value(text)) {
            problems.push(Part { value, at: labels.at.clone() }.invalid(
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', at most 63",
            ));
        }
    }
}

fn annotations(annotations: &Part<'_>, problems: &mut Vec<Problem>) {
    let mut size = 0;
    for (key, value) in annotations.map().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        if !names::is_qualified(&key.to_lowercase()) {
            problems.push(
                Part { value: &key.as_str().into(), at: annotations.at.clone() }
                    .invalid("name part must consist of alphanumeric characters, '-', '_' or '.'"),
            );
        }
    }
    if size > MOST_ANNOTATED {
        let why = format!("Too long: may not be more than {MOST_ANNOTATED} bytes");
        problems.push(Problem::forbidden(annotations.at.as_str(), &why));
    }
}

/// A selector of labels.
pub(super) fn selector(selector: &Part<'_>, problems: &mut Vec<Problem>) {
    labels(&selector.at("matchLabels"), problems);
    for expression in selector.at("matchExpressions").items() {
        let (key, operator, values) = (expression.at("key"), expression.at("operator"), expression.at("values"));
        if key.text().is_some_and(|text| !names::is_qualified(text)) {
            problems.push(key.invalid("must be the key of a label"));
        }
        match operator.text() {
            Some("In" | "NotIn") if values.is_empty() => {
                problems.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
            }
            Some("Exists" | "DoesNotExist") if !values.is_empty() => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                problems.push(Problem::forbidden(values.at.as_str(), why));
            }
            Some("In" | "NotIn" | "Exists" | "DoesNotExist") | None => {}
            Some(_) => problems.push(operator.invalid("not a valid selector operator")),
        }
    }
}

/// Whether a selector selects these labels.
pub(super) fn selects(selector: &Part<'_>, labels: &Part<'_>) -> bool {
    let given = |key: &str| labels.value.get(key).and_then(serde_json::Value::as_str);
    let by_labels =
        selector.at("matchLabels").map().into_iter().flatten().all(|(key, value)| given(key) == value.as_str());
    let by_expressions = selector.at("matchExpressions").items().iter().all(|expression| {
        let value = given(expression.at("key").text().unwrap_or_default());
        let among = expression.at("values").items().iter().any(|item| item.text() == value && value.is_some());
        match expression.at("operator").text() {
            Some("In") => among,
            Some("NotIn") => !among,
            Some("Exists") => value.is_some(),
            Some("DoesNotExist") => value.is_none(),
            _ => false,
        }
    });
    by_labels && by_expressions
}
