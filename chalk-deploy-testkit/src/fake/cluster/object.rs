//! An object as the fake cluster stores it.

use std::collections::BTreeMap;

use chalk_deploy_core::cloud::{FencingToken, LiveObject, TOKEN_ANNOTATION, label};
use chalk_deploy_core::model::{Digest, Manifest, Namespace, ObjectIdentity, ObjectReference};
use chalk_deploy_core::text::printable;
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// More pods than this are never shown, whatever a document asks for.
const MOST_REPLICAS: u64 = 1000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredObject {
    pub(super) identity: ObjectIdentity,
    pub(super) resource_version: u64,
    pub(super) token: FencingToken,
    /// The document as it was applied, the token left out.
    pub(super) applied: Value,
    /// The fields that another manager has set, by JSON pointer.
    #[serde(default)]
    pub(super) foreign: BTreeMap<String, ForeignField>,
    /// Set by the first write of a removal; the second one removes the object.
    #[serde(default)]
    pub(super) deleting: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ForeignField {
    pub(super) manager: String,
    pub(super) value: Value,
}

impl StoredObject {
    /// The document as a reader sees it.
    pub(super) fn live(&self) -> LiveObject {
        let mut document = self.applied.clone();
        for (pointer, field) in &self.foreign {
            set(&mut document, pointer, field.value.clone());
        }
        let version = self.resource_version.to_string();
        set(&mut document, "/metadata/namespace", Value::String(self.identity.reference.namespace.to_string()));
        set(&mut document, "/metadata/uid", Value::String(self.identity.uid.clone()));
        set(&mut document, "/metadata/resourceVersion", Value::String(version.clone()));
        let annotation = format!("/metadata/annotations/{}", TOKEN_ANNOTATION.replace('/', "~1"));
        set(&mut document, &annotation, Value::String(self.token.to_string()));
        if self.deleting {
            // The world keeps no times; that there is one is what readers look at.
            set(&mut document, "/metadata/deletionTimestamp", Value::String("1970-01-01T00:00:00Z".to_owned()));
        }
        LiveObject { identity: self.identity.clone(), resource_version: version, labels: self.labels(), document }
    }

    /// Refuses a document that would change what another manager has set.
    pub(super) fn refuse_conflict(&self, wanted: &Value) -> Result<()> {
        for (pointer, field) in &self.foreign {
            if wanted.pointer(pointer).is_some_and(|value| *value != field.value) {
                let manager = printable(&field.manager);
                return Err(Error::new(
                    ErrorCode::ObjectConflict,
                    format!(
                        "the field `{}` is owned by `{manager}`, which has set it to another value",
                        printable(pointer)
                    ),
                )
                .on(&self.identity.reference));
            }
        }
        Ok(())
    }

    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        texts(self.applied.pointer("/metadata/labels"))
    }

    pub(super) fn label(&self, name: &str) -> String {
        self.labels().remove(name).unwrap_or_default()
    }

    pub(super) fn belongs_to(&self, deployment: &str) -> bool {
        self.label(label::DEPLOYMENT) == deployment
    }

    pub(super) fn is_workload(&self) -> bool {
        is_workload(&self.identity.reference.kind)
    }

    /// The labels of the pods that a workload makes.
    pub(super) fn pod_labels(&self) -> BTreeMap<String, String> {
        texts(self.applied.pointer("/spec/template/metadata/labels"))
    }

    /// What a service selects; empty for one that selects nothing, and for every other object.
    pub(super) fn selector(&self) -> BTreeMap<String, String> {
        if self.identity.reference.kind == "Service" {
            texts(self.applied.pointer("/spec/selector"))
        } else {
            BTreeMap::new()
        }
    }

    /// The image of the first container.
    pub(super) fn image(&self) -> &str {
        image(&self.applied)
    }

    pub(super) fn replicas(&self) -> u32 {
        let wanted = self.applied.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
        u32::try_from(wanted.min(MOST_REPLICAS)).unwrap_or_default()
    }

    /// The least replicas that a `ScaledObject` holds a workload of this name at; `None` for one that has another target,
    /// and for every other object.
    pub(super) fn least_replicas_of(&self, workload: &str) -> Option<u32> {
        let scales = self.identity.reference.kind == "ScaledObject"
            && self.applied.pointer("/spec/scaleTargetRef/name").and_then(Value::as_str) == Some(workload);
        let least = self.applied.pointer("/spec/minReplicaCount").and_then(Value::as_u64).filter(|_| scales)?;
        u32::try_from(least.min(MOST_REPLICAS)).ok()
    }

    /// What tells the pods of this template from those of an earlier one.
    pub(super) fn template(&self) -> Digest {
        Digest::of(self.applied.pointer("/spec/template").map(Value::to_string).unwrap_or_default())
    }
}

pub(super) fn is_workload(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet")
}

pub(super) fn image(document: &Value) -> &str {
    document.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str).unwrap_or_default()
}

/// The label of a document that may not be stored yet.
pub(super) fn label_of(document: &Value, name: &str) -> String {
    texts(document.pointer("/metadata/labels")).remove(name).unwrap_or_default()
}

/// What is stored of a manifest: checked as the API server would, the token left out.
pub(super) fn admit(manifest: &Manifest, namespace: &Namespace) -> Result<(ObjectReference, Value)> {
    let reference = manifest.reference(namespace);
    let refused = |message: String| Error::new(ErrorCode::ObjectRefused, message).on(printable(&reference.to_string()));
    if !is_object_name(&reference.name) {
        return Err(refused("`metadata.name` is no lower-case DNS name".to_owned()));
    }
    let mut document = manifest.document().clone();
    if document.pointer("/metadata/namespace").is_some_and(|own| own.as_str() != Some(namespace.as_str())) {
        return Err(refused("`metadata.namespace` is another one than the object is applied to".to_owned()));
    }
    for (field, pointer) in [("labels", "/metadata/labels"), ("annotations", "/metadata/annotations")] {
        let texts_only = |map: &Map<String, Value>| map.values().all(Value::is_string);
        if document.pointer(pointer).is_some_and(|map| !map.as_object().is_some_and(texts_only)) {
            return Err(refused(format!("`metadata.{field}` is no map of texts")));
        }
    }
    if let Some(annotations) = document.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(TOKEN_ANNOTATION);
    }
    Ok((reference, document))
}

/// The uid of the object that was created at some version of its namespace, in the shape of a UUID.
pub(super) fn uid(reference: &ObjectReference, version: u64) -> String {
    let hex = Digest::of(format!("{}\n{}\n{}\n{version}", reference.kind, reference.namespace, reference.name)).hex();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-")
}

/// RFC 1123, *DNS subdomain*, which is the rule for the names of the kinds that are applied here.
fn is_object_name(name: &str) -> bool {
    let holds = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(inner)
    };
    name.len() <= 253 && name.split('.').all(holds)
}

fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Sets a field, making the maps on the way to it. A pointer through something that is no map sets nothing.
fn set(document: &mut Value, pointer: &str, value: Value) {
    let mut at = document;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Object(map) => map.entry(token).or_insert_with(|| Value::Object(Map::new())),
            Value::Array(items) => match token.parse().ok().and_then(|index: usize| items.get_mut(index)) {
                Some(item) => item,
                None => return,
            },
            _ => return,
        };
    }
    *at = value;
}
