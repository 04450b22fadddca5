//! Kubernetes objects as the pipeline sees them: a document to apply, and the identity of one that exists.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::name::Namespace;
use crate::{Error, ErrorCode};

/// A Kubernetes object to be applied. The document holds `apiVersion`, `kind` and `metadata.name`; the namespace is
/// that of the environment and is added when it is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest(Value);

impl Manifest {
    /// Checks that the document names its kind and itself.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] with the field that is missing.
    pub fn new(document: Value) -> Result<Self, Error> {
        for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
            if document.pointer(pointer).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(Error::new(ErrorCode::ValueInvalid, format!("a manifest has no text at `{pointer}`")));
            }
        }
        Ok(Self(document))
    }

    /// The whole document.
    pub const fn document(&self) -> &Value {
        &self.0
    }

    /// Its `apiVersion`.
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// Its `kind`.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Its `metadata.name`.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// What it is called in a namespace.
    pub fn reference(&self, namespace: &Namespace) -> ObjectReference {
        ObjectReference {
            api_version: self.api_version().to_owned(),
            kind: self.kind().to_owned(),
            namespace: namespace.clone(),
            name: self.name().to_owned(),
        }
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// What names one object in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectReference {
    /// Group and version, `apps/v1`.
    pub api_version: String,
    /// The kind, `Deployment`.
    pub kind: String,
    /// The namespace.
    pub namespace: Namespace,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// One object that exists: its name and the uid that tells it from a later one of the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectIdentity {
    /// What names it.
    #[serde(flatten)]
    pub reference: ObjectReference,
    /// The `metadata.uid`.
    pub uid: String,
}

impl fmt::Display for ObjectIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (uid {})", self.reference, self.uid)
    }
}
