//! The `scale` subresource: the number of replicas, whatever the kind.

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::patch::Patch;
use super::replace::Wanted;
use super::{Body, Order};
use crate::simulated::http::json as answer;
use crate::simulated::kubernetes::api::ApiServer;
use crate::simulated::kubernetes::api::read::key_of;
use crate::simulated::kubernetes::schema::Schema;
use crate::simulated::kubernetes::status::{Cause, Status};

/// What the subresource shows of an object.
pub(in super::super) fn scale_of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut kept = serde_json::Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !metadata[field].is_null() {
            kept.insert(field.to_owned(), metadata[field].clone());
        }
    }
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    let selector: Vec<_> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": kept,
        "spec": {"replicas": object["spec"]["replicas"].as_u64().unwrap_or_default()},
        "status": {
            "replicas": object["status"]["replicas"].as_u64().unwrap_or_default(),
            "selector": selector.join(","),
        },
    })
}

impl ApiServer {
    pub(super) fn replace_scale(&self, order: &Order<'_>, body: Body) -> Result<Response<ByteStream>, Status> {
        let scale = body.into_object()?;
        self.scale(order, |_| Ok(scale.clone()))
    }

    pub(super) fn patch_scale(&self, order: &Order<'_>, bytes: &Bytes) -> Result<Response<ByteStream>, Status> {
        if order.call.media_type() == "application/apply-patch+yaml" {
            // Its only field is a number: to apply it is to set it.
            let applied = Body::yaml(bytes)?.into_object()?;
            return self
                .scale(order, |live| Ok(crate::simulated::kubernetes::patch::merge_patch(&scale_of(live), &applied)));
        }
        let (patch, _) = Patch::read(order, bytes)?;
        self.scale(order, |live| patch.patched(&Schema::Any, &scale_of(live)))
    }

    fn scale(
        &self,
        order: &Order<'_>,
        wanted: impl Fn(&Value) -> Result<Value, Status>,
    ) -> Result<Response<ByteStream>, Status> {
        let key = key_of(order.place)?;
        let _alone = self.alone();
        let changed = self.change(order, &key, |live| {
            let scale = wanted(live)?;
            let replicas = match &scale["spec"]["replicas"] {
                Value::Null => 0,
                other => {
                    other.as_i64().filter(|number| *number >= 0 && *number <= i64::from(i32::MAX)).ok_or_else(|| {
                        let cause = Cause::invalid("spec.replicas", other, "must be greater than or equal to 0");
                        Status::invalid(&key.resource, &key.name, vec![cause])
                    })?
                }
            };
            let mut object = live.clone();
            object["spec"]["replicas"] = replicas.into();
            for field in ["uid", "resourceVersion"] {
                if let Some(named) = scale["metadata"][field].as_str().filter(|text| !text.is_empty()) {
                    object["metadata"][field] = named.into();
                }
            }
            Ok(Wanted { object, applied: false })
        })?;
        Ok(answer(StatusCode::OK, &scale_of(&changed)))
    }
}
