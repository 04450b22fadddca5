//! `fieldSelector`: `a=b`, `a==b`, `a!=b`, joined by commas, over the few fields that each kind can be selected by.

use serde_json::Value;

use crate::simulated::kubernetes::resource::Resource;
use crate::simulated::kubernetes::status::Status;

/// All requirements must hold. None: everything matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct FieldSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    field: String,
    equal: bool,
    value: String,
}

impl FieldSelector {
    /// # Errors
    /// 400, also for a field that objects of this kind cannot be selected by.
    pub(in super::super) fn parse(text: &str, resource: &Resource) -> Result<Self, Status> {
        let mut requirements = Vec::new();
        for part in split_unescaped(text).iter().filter(|part| !part.is_empty()) {
            let (field, equal, value) = part
                .split_once("!=")
                .map(|(field, value)| (field, false, value))
                .or_else(|| part.split_once("==").map(|(field, value)| (field, true, value)))
                .or_else(|| part.split_once('=').map(|(field, value)| (field, true, value)))
                .ok_or_else(|| Status::bad_request(format!("invalid selector: {text:?}; can't understand {part:?}")))?;
            if !is_known(field, resource) {
                return Err(Status::bad_request(format!("field label not supported: {field}")));
            }
            let value = value.replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\");
            requirements.push(Requirement { field: field.to_owned(), equal, value });
        }
        Ok(Self(requirements))
    }

    pub(in super::super) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|Requirement { field, equal, value }| (text_at(object, field) == *value) == *equal)
    }

    pub(in super::super) const fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// The one name that it asks for. Authorization looks at it: who may see one object may list and watch that one.
    pub(in super::super) fn name(&self) -> Option<&str> {
        self.0
            .iter()
            .find(|requirement| requirement.field == "metadata.name" && requirement.equal)
            .map(|requirement| requirement.value.as_str())
    }
}

fn is_known(field: &str, resource: &Resource) -> bool {
    let own: &[&str] = match (resource.group, resource.plural) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    };
    ["metadata.name", "metadata.namespace"].contains(&field) || own.contains(&field)
}

/// A field as text; one that is not set is what its type is without a value.
fn text_at(object: &Value, field: &str) -> String {
    let found = match field {
        "source" => &object["source"]["component"],
        "status.successful" => &object["status"]["succeeded"],
        _ => field.split('.').fold(object, |value, step| &value[step]),
    };
    match found {
        Value::Null if ["spec.hostNetwork", "spec.unschedulable"].contains(&field) => "false".to_owned(),
        Value::Null if ["status.replicas", "status.successful"].contains(&field) => "0".to_owned(),
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn split_unescaped(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut escaped, mut start) = (false, 0);
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                parts.push(&text[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulated::kubernetes::resource::{DEPLOYMENT, EVENT, POD};

    #[test]
    fn pods_are_selected_by_phase_and_node() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
        let matches = |text| FieldSelector::parse(text, &POD).expect("a selector").matches(&pod);
        assert!(matches("metadata.name=a,status.phase!=Failed,spec.nodeName==n,spec.hostNetwork=false"));
        assert!(matches(""));
        assert!(!matches("status.phase=Pending"));
        assert!(!matches("spec.nodeName="));
    }

    #[test]
    fn events_are_selected_by_what_they_are_about() {
        let event = json!({"involvedObject": {"kind": "Pod", "name": "a"}, "reason": "Failed", "type": "Warning"});
        let selector = "involvedObject.name=a,involvedObject.kind=Pod,type=Warning,reason=Failed,involvedObject.uid=";
        assert!(FieldSelector::parse(selector, &EVENT).expect("a selector").matches(&event));
    }

    #[test]
    fn a_field_that_a_kind_is_not_selected_by_is_refused() {
        for (text, resource) in [("status.phase=x", &DEPLOYMENT), ("spec.image=x", &POD), ("nonsense", &POD)] {
            assert_eq!(FieldSelector::parse(text, resource).expect_err("refused").code.as_u16(), 400);
        }
        assert_eq!(FieldSelector::parse("metadata.name=a", &DEPLOYMENT).expect("known").name(), Some("a"));
    }
}
