//! `PATCH`, in its four forms.

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use http::{Response, StatusCode};
use serde_json::Value;

use super::body::unsupported;
use super::replace::Wanted;
use super::{Body, Order};
use crate::simulated::kubernetes::api::ApiServer;
use crate::simulated::kubernetes::api::read::key_of;
use crate::simulated::kubernetes::ownership;
use crate::simulated::kubernetes::patch::{json_patch, merge_patch, strategic_patch};
use crate::simulated::kubernetes::schema::{Problem, Schema};
use crate::simulated::kubernetes::status::{Cause, Status};

/// A patch that is no apply.
#[derive(Debug)]
pub(super) enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
}

impl Patch {
    /// The patch of a body.
    ///
    /// # Errors
    /// 400, 415.
    pub(super) fn read(order: &Order<'_>, bytes: &Bytes) -> Result<(Self, Vec<Problem>), Status> {
        let custom = order.place.resource.is_custom();
        let media = order.call.media_type();
        let read = |of: fn(Value) -> Self| {
            let body = Body::json(bytes)?;
            let doubts = body.duplicates.clone();
            Ok((of(body.into_value()), doubts))
        };
        match media.as_str() {
            "application/json-patch+json" => read(Self::Json),
            "application/merge-patch+json" => read(Self::Merge),
            "application/strategic-merge-patch+json" if !custom => read(Self::Strategic),
            other => {
                let mut accepted = vec!["application/json-patch+json", "application/merge-patch+json"];
                if !custom {
                    accepted.push("application/strategic-merge-patch+json");
                }
                accepted.push("application/apply-patch+yaml");
                Err(unsupported(other, &accepted.join(", ")))
            }
        }
    }

    /// # Errors
    /// 400, 422.
    pub(super) fn patched(&self, schema: &'static Schema, live: &Value) -> Result<Value, Status> {
        let patched = match self {
            Self::Json(operations) => json_patch(live, operations).map_err(|refusal| refusal.status())?,
            Self::Merge(patch) if !patch.is_object() => {
                return Err(Status::bad_request("the patch is not an object"));
            }
            Self::Merge(patch) => merge_patch(live, patch),
            Self::Strategic(patch) => strategic_patch(schema, live, patch).map_err(|refusal| refusal.status())?,
        };
        if patched.is_object() { Ok(patched) } else { Err(Status::bad_request("the patch leaves no object")) }
    }
}

impl ApiServer {
    pub(super) fn patch(&self, order: &Order<'_>, bytes: &Bytes) -> Result<Response<ByteStream>, Status> {
        if order.call.media_type() == "application/apply-patch+yaml" {
            return self.apply(order, bytes);
        }
        if order.call.query.optional_flag("force").is_some() {
            let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
            return Err(options_invalid(cause));
        }
        let (patch, doubts) = Patch::read(order, bytes)?;
        let key = key_of(order.place)?;
        let mut warnings = Vec::new();
        let _alone = self.alone();
        let changed = self.change(order, &key, |live| {
            warnings.clear();
            let patched = patch.patched(order.schema(), live)?;
            let mut object = order.check(patched, doubts.clone(), &mut warnings)?;
            super::identity::hold_to(order.place, &mut object)?;
            Ok(Wanted { object, applied: false })
        })?;
        Ok(self.written(order, StatusCode::OK, &changed, &warnings))
    }

    /// Server-side apply.
    fn apply(&self, order: &Order<'_>, bytes: &Bytes) -> Result<Response<ByteStream>, Status> {
        if order.call.query.get("fieldManager").is_none() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(options_invalid(cause));
        }
        let mut warnings = Vec::new();
        let body = Body::yaml(bytes)?;
        let mut applied = order.decode_applied(body, &mut warnings)?;
        if applied["kind"].as_str().unwrap_or_default().is_empty()
            || applied["apiVersion"].as_str().unwrap_or_default().is_empty()
        {
            return Err(Status::bad_request("invalid object type: apiVersion and kind are required for apply patch"));
        }
        super::identity::hold_to(order.place, &mut applied)?;
        let force = order.call.query.flag("force");
        let key = key_of(order.place)?;
        let about = |status: Status| status.about(&key.resource, &key.name);
        let _alone = self.alone();
        if self.objects().get(&key).is_none() {
            if order.place.subresource.is_some() {
                return Err(about(Status::not_found(&key.resource.qualified(), &key.name)));
            }
            let uid = applied["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty());
            if let Some(uid) = uid {
                let why =
                    format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
                return Err(about(Status::conflict(&key.resource.qualified(), &key.name, &why)));
            }
            // To apply what is not there is to create it.
            self.authorize_write(&order.call.user, order.place, "create", &key.name)?;
            let mut object = ownership::apply(order.schema(), None, &applied, &order.manager, force, &order.now)
                .map_err(|conflicts| conflicts.status())?;
            let version = &applied["metadata"]["resourceVersion"];
            if version.is_string() {
                object["metadata"]["resourceVersion"] = version.clone();
            }
            let made = self.create_object(order, object, true)?;
            return Ok(self.written(order, StatusCode::CREATED, &made, &warnings));
        }
        let changed = self.change(order, &key, |live| {
            let mut object = ownership::apply(order.schema(), Some(live), &applied, &order.manager, force, &order.now)
                .map_err(|conflicts| conflicts.status())?;
            // Preconditions, which are no part of what is applied.
            for field in ["uid", "resourceVersion"] {
                if let Some(named) = applied["metadata"][field].as_str().filter(|text| !text.is_empty()) {
                    object["metadata"][field] = named.into();
                }
            }
            Ok(Wanted { object, applied: true })
        })?;
        Ok(self.written(order, StatusCode::OK, &changed, &warnings))
    }
}

fn options_invalid(cause: Cause) -> Status {
    let message = format!("PatchOptions.meta.k8s.io \"\" is invalid: {}: {}", cause.field, cause.message);
    let mut status = Status::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
    status.causes.push((cause.reason.to_owned(), cause.message, cause.field));
    status
}
