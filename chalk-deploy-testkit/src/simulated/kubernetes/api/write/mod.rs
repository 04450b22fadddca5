//! Everything that changes objects. One write at a time; each is one step in the store.

mod body;
mod create;
mod delete;
mod evict;
mod fields;
mod identity;
mod patch;
mod protobuf;
mod replace;
mod scale;

use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use http::{Response, StatusCode};
use serde_json::Value;

pub(super) use self::body::Body;
pub(super) use self::scale::scale_of;
use super::call::Call;
use super::path::Place;
use super::query::Validation;
use super::{ApiServer, not_allowed, presentation, warn};
use crate::simulated::kubernetes::ownership::Manager;
use crate::simulated::kubernetes::status::Status;

/// What holds for every write of a request.
#[derive(Debug)]
struct Order<'a> {
    call: &'a Call,
    place: &'a Place,
    dry_run: bool,
    validation: Validation,
    manager: Manager,
    /// The time of the write, for managed fields.
    now: String,
}

impl ApiServer {
    /// # Errors
    /// Everything that a server refuses writes with.
    pub(super) fn write(
        &self,
        call: &Call,
        place: &Place,
        verb: &str,
        bytes: &Bytes,
    ) -> Result<Response<ByteStream>, Status> {
        let manager = Manager {
            name: call.manager(place)?,
            api_version: place.resource.api_version(),
            subresource: place.subresource.clone(),
        };
        let order = Order {
            call,
            place,
            dry_run: call.query.dry_run()?,
            validation: call.query.validation()?,
            manager,
            now: crate::simulated::kubernetes::objects::timestamp(&**self.objects().runtime()),
        };
        match (verb, place.subresource.as_deref()) {
            ("create", None) => self.create(&order, Body::read(call, bytes)?),
            ("create", Some("eviction")) => self.evict(&order, Body::read(call, bytes)?),
            ("update", Some("scale")) => self.replace_scale(&order, Body::read(call, bytes)?),
            ("patch", Some("scale")) => self.patch_scale(&order, bytes),
            ("update", _) => self.replace(&order, Body::read(call, bytes)?),
            ("patch", _) => self.patch(&order, bytes),
            ("delete", None) => self.delete(&order, Body::read_optional(call, bytes)?),
            ("deletecollection", None) => self.delete_collection(&order, Body::read_optional(call, bytes)?),
            _ => Err(not_allowed()),
        }
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.0.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(
        &self,
        order: &Order<'_>,
        status: StatusCode,
        object: &Arc<Value>,
        warnings: &[String],
    ) -> Response<ByteStream> {
        let now = self.objects().runtime().now();
        let mut response = presentation::one(order.call, order.place.resource, status, object, now);
        warn(&mut response, warnings);
        response
    }
}
