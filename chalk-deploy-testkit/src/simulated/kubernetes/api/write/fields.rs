//! Objects against their schemas: what the kind does not have, what it does not allow, and who owns which field.

use serde_json::Value;

use super::Order;
use super::body::Body;
use crate::simulated::kubernetes::api::query::Validation;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::ownership;
use crate::simulated::kubernetes::schema::{self, Problem, ProblemKind, Schema};
use crate::simulated::kubernetes::status::{About, Status};

impl Order<'_> {
    pub(super) fn schema(&self) -> &'static Schema {
        schema::schema_of(self.place.resource)
    }

    /// Takes the object of a body. Values of a wrong type are refused; unknown fields and fields that stand twice are
    /// refused, warned of or ignored, as the request says.
    ///
    /// # Errors
    /// 400.
    pub(super) fn decode(&self, body: Body, warnings: &mut Vec<String>) -> Result<Value, Status> {
        let duplicates = body.duplicates.clone();
        self.check(body.into_object()?, duplicates, warnings)
    }

    /// Takes the document of an apply. Only fields that stand twice are a matter of the request: what is unknown or of
    /// a wrong type has no place in the typed value that ownership is worked out on, and is refused there.
    ///
    /// # Errors
    /// 400.
    pub(super) fn decode_applied(&self, body: Body, warnings: &mut Vec<String>) -> Result<Value, Status> {
        let duplicates = body.duplicates.clone();
        let object = body.into_object()?;
        if !duplicates.is_empty() && self.validation == Validation::Strict {
            return Err(schema::unreadable(self.place.resource, &duplicates));
        }
        if self.validation == Validation::Warn {
            warnings.extend(duplicates.into_iter().map(|doubt| doubt.message));
        }
        Ok(object)
    }

    /// As [`decode`](Self::decode), for an object that a patch has made.
    ///
    /// # Errors
    /// 400.
    pub(super) fn check(
        &self,
        mut object: Value,
        mut doubts: Vec<Problem>,
        warnings: &mut Vec<String>,
    ) -> Result<Value, Status> {
        let problems = schema::validate(self.place.resource, &object);
        let broken: Vec<_> =
            problems.iter().filter(|problem| problem.kind == ProblemKind::WrongType).cloned().collect();
        if !broken.is_empty() {
            return Err(schema::unreadable(self.place.resource, &broken));
        }
        let unknown = problems.into_iter().filter(Problem::is_strict);
        doubts.extend(unknown);
        if doubts.is_empty() {
            return Ok(object);
        }
        if self.validation == Validation::Strict {
            return Err(schema::unreadable(self.place.resource, &doubts));
        }
        if self.validation == Validation::Warn {
            warnings.extend(doubts.into_iter().map(|doubt| doubt.message));
        }
        prune(self.schema(), &mut object);
        Ok(object)
    }

    /// Records who wrote what changed.
    pub(super) fn owned(&self, live: Option<&Value>, next: Value) -> Value {
        ownership::update(self.schema(), live, next, &self.manager, &self.now)
    }
}

/// # Errors
/// 422 for an object that breaks the rules of its kind.
pub(super) fn check_new(key: &Key, object: &Value) -> Result<(), Status> {
    refuse(key, schema::validate(&key.resource, object))
}

/// # Errors
/// 422 for an object that breaks the rules of its kind, or changes what may not change.
pub(super) fn check_change(key: &Key, live: &Value, next: &Value) -> Result<(), Status> {
    let mut problems = schema::validate(&key.resource, next);
    problems.extend(schema::validate_change(&key.resource, live, next));
    refuse(key, problems)
}

fn refuse(key: &Key, problems: Vec<Problem>) -> Result<(), Status> {
    // What is unknown was dealt with when the object was read; what the server keeps itself is none of the author's.
    let problems: Vec<_> = problems.into_iter().filter(|problem| !problem.is_strict()).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let mut status = schema::invalid(&key.resource, &key.name, &problems);
    status.about = Some(Box::new(About {
        group: key.resource.group.to_owned(),
        kind: key.resource.kind.to_owned(),
        name: key.name.clone(),
    }));
    Err(status)
}

/// Takes away the fields that a kind does not have.
fn prune(schema: &Schema, value: &mut Value) {
    match (schema, value) {
        (Schema::Object(object), Value::Object(map)) => {
            map.retain(|name, _| object.field(name).is_some());
            for (name, value) in map.iter_mut() {
                if let Some(field) = object.field(name) {
                    prune(&field.schema, value);
                }
            }
        }
        (Schema::Map { values, .. }, Value::Object(map)) => map.values_mut().for_each(|value| prune(values, value)),
        (Schema::List(list), Value::Array(items)) => items.iter_mut().for_each(|item| prune(list.items, item)),
        _ => {}
    }
}
