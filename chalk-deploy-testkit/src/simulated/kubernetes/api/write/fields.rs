//! Objects against their schemas: fields that the kind does not have, and who owns which field.

use serde_json::Value;

use super::Order;
use super::body::Body;
use crate::simulated::kubernetes::api::query::Validation;
use crate::simulated::kubernetes::ownership;
use crate::simulated::kubernetes::schema::{self, Schema};
use crate::simulated::kubernetes::status::Status;

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
        let duplicates = body.duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
        let object = body.into_object()?;
        self.check(object, duplicates, warnings)
    }

    /// # Errors
    /// 400.
    pub(super) fn check(
        &self,
        mut object: Value,
        mut doubts: Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Result<Value, Status> {
        let found = schema::validate(self.place.resource, &mut object)?;
        doubts.extend(found);
        if doubts.is_empty() {
            return Ok(object);
        }
        match self.validation {
            Validation::Strict => {
                Err(Status::bad_request(format!("strict decoding error: {}", doubts.join(", "))))
            }
            Validation::Warn => {
                warnings.extend(doubts);
                Ok(object)
            }
            Validation::Ignore => Ok(object),
        }
    }

    /// Records who wrote what changed.
    pub(super) fn owned(&self, live: Option<&Value>, next: Value) -> Value {
        ownership::update(self.schema(), live, next, &self.manager, &self.now)
    }
}
