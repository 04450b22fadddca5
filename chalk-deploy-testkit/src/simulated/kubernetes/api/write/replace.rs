//! `PUT`, and what every change of a stored object goes through.

use std::sync::Arc;

use chalk_deploy_core::cloud::ByteStream;
use http::{Response, StatusCode};
use serde_json::Value;

use super::delete::is_held;
use super::{Body, Order};
use crate::simulated::kubernetes::api::read::key_of;
use crate::simulated::kubernetes::api::{ApiServer, defaults};
use crate::simulated::kubernetes::objects::{Key, count_generation};
use crate::simulated::kubernetes::resource::{Resource, SERVICE};
use crate::simulated::kubernetes::status::{Cause, Status};

/// How often a change is worked out anew because a controller was faster.
const ATTEMPTS: usize = 5;

/// What a write wants an object to be.
pub(super) struct Wanted {
    pub(super) object: Value,
    /// Whether its managed fields are worked out already, as those of an apply are.
    pub(super) applied: bool,
}

impl ApiServer {
    pub(super) fn replace(&self, order: &Order<'_>, body: Body) -> Result<Response<ByteStream>, Status> {
        let mut warnings = Vec::new();
        let mut object = order.decode(body, &mut warnings)?;
        super::identity::hold_to(order.place, &mut object)?;
        let key = key_of(order.place)?;
        let live = self.objects().get(&key);
        let missing = live.is_none();
        // A precondition comes first.
        let another = live.is_some_and(|live| {
            object["metadata"]["uid"].as_str().is_some_and(|uid| !uid.is_empty() && live["metadata"]["uid"] != uid)
        });
        if missing && key.resource == SERVICE && order.place.subresource.is_none() {
            // The one kind of ours whose `PUT` creates; whatever version it names.
            let _alone = self.alone();
            self.authorize_write(&order.call.user, order.place, "create", &key.name)?;
            let made = self.create_object(order, object, false)?;
            return Ok(self.written(order, StatusCode::CREATED, &made, &warnings));
        }
        if !missing
            && !another
            && !may_be_replaced_blindly(&key.resource)
            && object["metadata"]["resourceVersion"].as_str().unwrap_or_default().is_empty()
        {
            let cause = Cause::invalid("metadata.resourceVersion", &Value::from(0), "must be specified for an update");
            return Err(Status::invalid(&key.resource, &key.name, vec![cause]).about(&key.resource, &key.name));
        }
        let _alone = self.alone();
        let changed = self.change(order, &key, |_| Ok(Wanted { object: object.clone(), applied: false }))?;
        Ok(self.written(order, StatusCode::OK, &changed, &warnings))
    }

    /// Changes a stored object: works out what it is to be, keeps what this write may not change, completes it, holds it
    /// to the rules, admits and stores it.
    pub(super) fn change(
        &self,
        order: &Order<'_>,
        key: &Key,
        mut wanted: impl FnMut(&Value) -> Result<Wanted, Status>,
    ) -> Result<Arc<Value>, Status> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let live = self.objects().get(key).ok_or_else(|| {
                Status::not_found(&key.resource.qualified(), &key.name).about(&key.resource, &key.name)
            })?;
            let Wanted { object: mut next, applied } = wanted(&live)?;
            check_preconditions(key, &live, &next)?;
            keep(order, &live, &mut next);
            defaults::complete(&key.resource, &mut next);
            if !applied {
                next = order.owned(Some(&live), next);
            }
            // Nobody owns what a write left out and gets back.
            defaults::keep_allocated(&key.resource, &live, &mut next);
            // What only says when something was last written says nothing.
            if without_times(&next) == without_times(&live) {
                return Ok(live);
            }
            super::fields::check_change(key, &live, &next)?;
            self.hold_to_own_power(&order.call.user, key, &next)?;
            self.admit(key, &next, Some(&live))?;
            if order.dry_run {
                count_generation(key, &live, &mut next);
                return Ok(Arc::new(next));
            }
            let version = live["metadata"]["resourceVersion"].as_str();
            match self.objects().update(key, version, |object| {
                *object = next;
                Ok(())
            }) {
                Err(status) if status.reason == "Conflict" && attempt < ATTEMPTS => {}
                outcome => {
                    let mut changed = outcome?;
                    if is_let_go(&live, &changed) {
                        let uid = changed["metadata"]["uid"].as_str();
                        changed = self.objects().remove(key, uid, None)?.unwrap_or(changed);
                    }
                    self.count_quotas(&key.namespace);
                    return Ok(changed);
                }
            }
        }
    }
}

/// Whether a `PUT` may do without a version. Custom resources may not, nor may those whose strategies say so.
fn may_be_replaced_blindly(resource: &Resource) -> bool {
    !resource.is_custom() && !matches!(resource.kind, "PodDisruptionBudget" | "EndpointSlice")
}

/// The version and the uid that a write names must be those of the object.
fn check_preconditions(key: &Key, live: &Value, next: &Value) -> Result<(), Status> {
    let conflict =
        |why: &str| Err(Status::conflict(&key.resource.qualified(), &key.name, why).about(&key.resource, &key.name));
    let named = |field: &str| next["metadata"][field].as_str().filter(|text| !text.is_empty());
    if let Some(uid) = named("uid")
        && live["metadata"]["uid"] != uid
    {
        let of_live = live["metadata"]["uid"].as_str().unwrap_or_default();
        return conflict(&format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {of_live}"));
    }
    if named("resourceVersion").is_some_and(|version| live["metadata"]["resourceVersion"] != version) {
        return conflict("the object has been modified; please apply your changes to the latest version and try again");
    }
    Ok(())
}

/// Keeps what no write changes, and what this one does not: the status on the main resource, everything else on
/// `status`.
fn keep(order: &Order<'_>, live: &Value, next: &mut Value) {
    let resource = order.place.resource;
    match order.place.subresource.as_deref() {
        Some("status") => {
            let status = next["status"].take();
            let managed = next["metadata"]["managedFields"].take();
            *next = live.clone();
            put(next, "status", status);
            put(&mut next["metadata"], "managedFields", managed);
        }
        Some("finalize") => {
            let finalizers = next["spec"]["finalizers"].take();
            let managed = next["metadata"]["managedFields"].take();
            *next = live.clone();
            put(&mut next["spec"], "finalizers", finalizers);
            put(&mut next["metadata"], "managedFields", managed);
        }
        _ if resource.has("status") => put(next, "status", live["status"].clone()),
        _ => {}
    }
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "resourceVersion",
    ] {
        put(&mut next["metadata"], field, live["metadata"][field].clone());
    }
    if let Some(metadata) = next["metadata"].as_object_mut() {
        metadata.remove("selfLink");
    }
    if resource.kind == "Namespace" && order.place.subresource.is_none() {
        // Only `finalize` changes them.
        let finalizers = live["spec"]["finalizers"].clone();
        if !next["spec"].is_object() {
            next["spec"] = serde_json::json!({});
        }
        put(&mut next["spec"], "finalizers", finalizers);
    }
}

/// Sets a field of an object; null takes it away.
fn put(object: &mut Value, field: &str, value: Value) {
    if !object.is_object() {
        *object = serde_json::json!({});
    }
    let Some(fields) = object.as_object_mut() else { return };
    if value.is_null() {
        fields.remove(field);
    } else {
        fields.insert(field.to_owned(), value);
    }
}

/// Whether this change took the last that held an object that is being deleted.
fn is_let_go(live: &Value, next: &Value) -> bool {
    next["metadata"]["deletionTimestamp"].is_string()
        && next["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or_default() == 0
        && is_held(live)
        && !is_held(next)
}

fn without_times(object: &Value) -> Value {
    let mut rest = object.clone();
    if let Some(entries) = rest["metadata"]["managedFields"].as_array_mut() {
        for entry in entries {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
        }
    } else if let Some(metadata) = rest["metadata"].as_object_mut() {
        // Indexing has made it.
        metadata.remove("managedFields");
    }
    rest
}
