//! The statement that binds a document to an image (in-toto attestation framework, Statement v1).

use serde_json::{Value, json};

use crate::model::{Digest, Repository};

/// The `_type`.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// The most subjects that a stranger's statement may have.
const SUBJECTS_MOST: usize = 1000;

/// Says of an image what the predicate says.
pub fn statement(repository: &Repository, image: &Digest, predicate_type: &str, predicate: &Value) -> Value {
    json!({
        "_type": STATEMENT,
        "subject": [{"name": repository.as_str(), "digest": {"sha256": image.hex()}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    })
}

/// The type and the predicate of a statement about this image, or why it is none.
pub(super) fn about(statement: &mut Value, image: &Digest) -> Result<(String, Value), &'static str> {
    if statement.get("_type").and_then(Value::as_str) != Some(STATEMENT) {
        return Err("its payload is no in-toto statement of version 1");
    }
    let subjects = statement.get("subject").and_then(Value::as_array).ok_or("its statement has no subject")?;
    if subjects.is_empty() || subjects.len() > SUBJECTS_MOST {
        return Err("its statement has no subject, or more than are read");
    }
    let hex = image.hex();
    // The subject's name is no part of it: images are copied from registry to registry, and the digest stays.
    let names =
        |subject: &Value| subject.get("digest").and_then(|digest| digest.get("sha256")) == Some(&hex.as_str().into());
    if !subjects.iter().any(names) {
        return Err("its statement is about another image");
    }
    let kind = statement.get("predicateType").and_then(Value::as_str).ok_or("its statement has no predicate type")?;
    let kind = kind.to_owned();
    match statement.get_mut("predicate").map(Value::take) {
        Some(predicate @ Value::Object(_)) => Ok((kind, predicate)),
        _ => Err("its statement has no predicate"),
    }
}
