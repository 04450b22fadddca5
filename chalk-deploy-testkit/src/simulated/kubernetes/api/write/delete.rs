//! `DELETE`, of one object and of many.

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::cloud::ByteStream;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Body, Order};
use crate::simulated::http::json as answer;
use crate::simulated::kubernetes::api::ApiServer;
use crate::simulated::kubernetes::api::read::key_of;
use crate::simulated::kubernetes::objects::{Key, timestamp_of};
use crate::simulated::kubernetes::resource::{NAMESPACE, POD, Resource};
use crate::simulated::kubernetes::status::Status;

/// How an object is to be deleted.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    uid: Option<String>,
    version: Option<String>,
    pub(super) grace: Option<u64>,
    propagation: Option<Propagation>,
    pub(super) dry_run: bool,
}

/// What happens to those that an object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagation {
    Background,
    Foreground,
    Orphan,
}

impl Propagation {
    fn read(text: &str) -> Result<Self, Status> {
        match text {
            "Background" => Ok(Self::Background),
            "Foreground" => Ok(Self::Foreground),
            "Orphan" => Ok(Self::Orphan),
            other => Err(Status::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                format!(
                    "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: {other:?}: must be one \
                     of Background, Foreground, Orphan"
                ),
            )),
        }
    }
}

impl Options {
    /// # Errors
    /// 400, 422.
    pub(super) fn read(order: &Order<'_>, body: Option<Body>) -> Result<Self, Status> {
        let query = &order.call.query;
        let body = body.map(Body::into_object).transpose()?.unwrap_or_default();
        let mut options = Self::of(&body)?;
        options.dry_run |= order.dry_run;
        // The query counts where there is no body.
        if options.grace.is_none() {
            options.grace = query.number("gracePeriodSeconds")?;
        }
        if options.propagation.is_none() {
            options.propagation = query.get("propagationPolicy").map(Propagation::read).transpose()?;
        }
        if options.propagation.is_none() && query.optional_flag("orphanDependents") == Some(true) {
            options.propagation = Some(Propagation::Orphan);
        }
        Ok(options)
    }

    pub(super) fn of(body: &Value) -> Result<Self, Status> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if body["kind"].as_str().is_some_and(|kind| kind != "DeleteOptions") {
            return Err(Status::bad_request(format!("{} cannot be handled as DeleteOptions", body["kind"])));
        }
        let grace = match &body["gracePeriodSeconds"] {
            Value::Null => None,
            number => Some(number.as_u64().ok_or_else(|| {
                Status::bad_request("gracePeriodSeconds: Invalid value: must be greater than or equal to 0")
            })?),
        };
        let dry_run = match &body["dryRun"] {
            Value::Null => false,
            Value::Array(all) if all.iter().all(|one| one == "All") => !all.is_empty(),
            _ => return Err(Status::bad_request("dryRun: Unsupported value: supported values: \"All\"")),
        };
        Ok(Self {
            uid: text(&body["preconditions"]["uid"]),
            version: text(&body["preconditions"]["resourceVersion"]),
            grace,
            propagation: body["propagationPolicy"].as_str().map(Propagation::read).transpose()?,
            dry_run,
        })
    }
}

/// What became of an object that was deleted.
#[derive(Debug)]
pub(super) enum Deleted {
    /// It is gone.
    Gone(Arc<Value>),
    /// It is being deleted: someone still has to let it go.
    Going(Arc<Value>),
}

impl ApiServer {
    pub(super) fn delete(&self, order: &Order<'_>, body: Option<Body>) -> Result<Response<ByteStream>, Status> {
        let options = Options::read(order, body)?;
        let key = key_of(order.place)?;
        let _alone = self.alone();
        Ok(match self.delete_object(&key, &options)? {
            Deleted::Going(object) => self.written(order, StatusCode::OK, &object, &[]),
            Deleted::Gone(object) if returns_deleted(&key) => self.written(order, StatusCode::OK, &object, &[]),
            Deleted::Gone(object) => answer(StatusCode::OK, &success(&key, &object)),
        })
    }

    pub(super) fn delete_collection(
        &self,
        order: &Order<'_>,
        body: Option<Body>,
    ) -> Result<Response<ByteStream>, Status> {
        let options = Options::read(order, body)?;
        let (labels, fields) = order.call.query.selectors(order.place.resource)?;
        let _alone = self.alone();
        let (mut objects, _) = self.objects().list(*order.place.resource, order.place.namespace.as_deref());
        objects.retain(|object| labels.matches(object) && fields.matches(object));
        let mut items = Vec::new();
        for object in objects {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            let key = Key::new(*order.place.resource, text("namespace"), text("name"));
            // What is told is what the list had found.
            let mut shown = (*object).clone();
            self.delete_object(&key, &options)?;
            if !order.place.resource.is_custom()
                && let Some(fields) = shown.as_object_mut()
            {
                fields.remove("kind");
                fields.remove("apiVersion");
            }
            items.push(shown);
        }
        let resource = order.place.resource;
        let mut metadata = json!({"resourceVersion": self.objects().version().to_string()});
        if resource.is_custom() {
            metadata["continue"] = "".into();
        }
        Ok(answer(
            StatusCode::OK,
            &json!({
                "kind": format!("{}List", resource.kind),
                "apiVersion": resource.api_version(),
                "metadata": metadata,
                "items": items,
            }),
        ))
    }

    pub(super) fn delete_object(&self, key: &Key, options: &Options) -> Result<Deleted, Status> {
        let about = |status: Status| status.about(&key.resource, &key.name);
        let live =
            self.objects().get(key).ok_or_else(|| about(Status::not_found(&key.resource.qualified(), &key.name)))?;
        for (field, name, wanted) in
            [("uid", "UID", &options.uid), ("resourceVersion", "ResourceVersion", &options.version)]
        {
            if let Some(wanted) = wanted
                && live["metadata"][field] != wanted.as_str()
            {
                let recorded = live["metadata"][field].as_str().unwrap_or_default();
                let since = if field == "uid" { "deleted and then recreated" } else { "modified" };
                let why = format!(
                    "the {name} in the precondition ({wanted}) does not match the {name} in record ({recorded}). The \
                     object might have been {since}"
                );
                // Of the kind, where others speak of the resource.
                let resource = Resource { plural: key.resource.kind, ..key.resource };
                return Err(Status::conflict(&resource.qualified(), &key.name, &why).about(&resource, &key.name));
            }
        }
        if key.resource == NAMESPACE && ["default", "kube-system", "kube-public"].contains(&key.name.as_str()) {
            return Err(Status::forbidden(&key.resource, &key.name, "this namespace may not be deleted"));
        }
        self.admit_deletion(key, &live)?;
        let grace = if key.resource == POD { grace_of(&live, options.grace) } else { 0 };
        let mut next = (*live).clone();
        add_finalizers(&mut next, options.propagation);
        let held = is_held(&next);
        let already = live["metadata"]["deletionTimestamp"].is_string();
        if grace == 0 && !held {
            if options.dry_run {
                return Ok(Deleted::Gone(live));
            }
            let gone = self.objects().remove(key, live["metadata"]["uid"].as_str(), None)?;
            self.count_quotas(&key.namespace);
            return Ok(Deleted::Gone(gone.unwrap_or(live)));
        }
        let before = live["metadata"]["deletionGracePeriodSeconds"].as_u64();
        if !already || before.is_some_and(|before| grace < before) {
            let end = self.objects().runtime().now().plus(Duration::from_secs(grace));
            next["metadata"]["deletionTimestamp"] = timestamp_of(end).into();
            next["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        }
        if key.resource == NAMESPACE {
            next["status"]["phase"] = "Terminating".into();
        }
        if options.dry_run {
            return Ok(Deleted::Going(Arc::new(next)));
        }
        let version = live["metadata"]["resourceVersion"].as_str();
        let going = self.objects().update(key, version, |object| {
            *object = next;
            Ok(())
        })?;
        Ok(Deleted::Going(going))
    }
}

/// How long a pod may take to end. What never ran on a node has nothing to end.
fn grace_of(pod: &Value, asked: Option<u64>) -> u64 {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if ended || pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty() {
        return 0;
    }
    let wanted = asked.or_else(|| pod["spec"]["terminationGracePeriodSeconds"].as_u64()).unwrap_or(30);
    // A pod that is ending already may end sooner, and not later.
    pod["metadata"]["deletionGracePeriodSeconds"].as_u64().map_or(wanted, |before| before.min(wanted))
}

/// The garbage collector deletes or orphans the dependents before it takes these away.
fn add_finalizers(object: &mut Value, propagation: Option<Propagation>) {
    let add = match propagation {
        Some(Propagation::Foreground) => "foregroundDeletion",
        Some(Propagation::Orphan) => "orphan",
        _ => return,
    };
    if !object["metadata"]["finalizers"].is_array() {
        object["metadata"]["finalizers"] = json!([]);
    }
    if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut()
        && !finalizers.iter().any(|one| one == add)
    {
        finalizers.push(add.into());
    }
}

pub(super) fn is_held(object: &Value) -> bool {
    let any = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    any(&object["metadata"]["finalizers"]) || (object["kind"] == "Namespace" && any(&object["spec"]["finalizers"]))
}

/// The kinds whose deletion is answered with the object rather than with a status.
fn returns_deleted(key: &Key) -> bool {
    matches!(key.resource.kind, "Pod" | "Service" | "ServiceAccount" | "ResourceQuota")
}

fn success(key: &Key, object: &Value) -> Value {
    let mut details = json!({"name": key.name, "kind": key.resource.plural, "uid": object["metadata"]["uid"]});
    if !key.resource.group.is_empty() {
        details["group"] = key.resource.group.into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
