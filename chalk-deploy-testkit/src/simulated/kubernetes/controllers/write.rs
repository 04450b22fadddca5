//! The one place through which controllers and kubelet write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::pass::Pass;
use super::{time, view};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::ownership::{self, Manager};
use crate::simulated::kubernetes::resource::{EVENT, NAMESPACE, POD, Resource};
use crate::simulated::kubernetes::schema::schema_of;
use crate::simulated::kubernetes::status::Status;

/// How long after a failure of the storage a controller tries again.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// What a pod gets whose manifest names no grace period.
pub(crate) const DEFAULT_GRACE: u32 = 30;

/// Who writes, as events and managed fields name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    ControllerManager,
    Scheduler,
    Kubelet,
    Keda,
    Argo,
}

impl Writer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Keda => "keda-operator",
            Self::Argo => "workflow-controller",
        }
    }
}

/// What becomes of the objects that an object owns when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

impl Propagation {
    /// The finalizer that makes the garbage collector do its part before the owner goes.
    pub(crate) const fn finalizer(self) -> Option<&'static str> {
        match self {
            Self::Background => None,
            Self::Foreground => Some("foregroundDeletion"),
            Self::Orphan => Some("orphan"),
        }
    }
}

impl Pass<'_> {
    /// Creates an object.
    ///
    /// # Errors
    /// 409 when there is one of that name; 403 in a namespace that is going away, as the API server refuses it.
    pub(crate) fn create(&self, writer: Writer, key: &Key, object: Value) -> Result<Arc<Value>, Status> {
        if key.resource.namespaced
            && let Some(namespace) = self.objects.get(&Key::new(NAMESPACE, "", &*key.namespace))
            && view::is_deleting(&namespace)
        {
            return Err(Status::new(
                StatusCode::FORBIDDEN,
                "Forbidden",
                format!(
                    "{} \"{}\" is forbidden: unable to create new content in namespace {} because it is being \
                     terminated",
                    key.resource.qualified(),
                    key.name,
                    key.namespace
                ),
            ));
        }
        let object = self.recorded(writer, key.resource, None, object);
        self.objects.create(key, object).inspect_err(|status| self.note(status))
    }

    /// Changes an object, if it is still as it was seen. `None` when it was not written: somebody else was faster, and
    /// the pass that follows their change decides anew.
    pub(crate) fn update(
        &self,
        writer: Writer,
        resource: Resource,
        seen: &Value,
        change: impl FnOnce(&mut Value),
    ) -> Option<Arc<Value>> {
        let version = view::text(seen, "/metadata/resourceVersion");
        let written = self.objects.update(&view::key(resource, seen), Some(version), |object| {
            let live = object.clone();
            change(object);
            if *object != live {
                *object = self.recorded(writer, resource, Some(&live), object.take());
            }
            Ok(())
        });
        written.inspect_err(|status| self.note(status)).ok()
    }

    /// Writes the status of an object, if it differs and the object is still as it was seen.
    pub(crate) fn set_status(
        &self,
        writer: Writer,
        resource: Resource,
        seen: &Value,
        status: Value,
    ) -> Option<Arc<Value>> {
        if seen.get("status") == Some(&status) {
            return None;
        }
        self.update(writer, resource, seen, |object| object["status"] = status)
    }

    /// Deletes an object as the API server does it: at once, or by marking it where a finalizer or a grace period is to
    /// be waited for.
    pub(crate) fn delete(&self, writer: Writer, resource: Resource, seen: &Value, propagation: Propagation) {
        if view::is_deleting(seen) {
            return;
        }
        let grace = if resource == POD { grace(seen) } else { 0 };
        let mut finalizers = view::items(seen, "/metadata/finalizers").to_vec();
        finalizers.extend(propagation.finalizer().map(Value::from));
        if finalizers.is_empty() && grace == 0 {
            self.remove(resource, seen);
            return;
        }
        let end = time::print(self.now.plus(Duration::from_secs(grace.into())));
        self.update(writer, resource, seen, |object| {
            object["metadata"]["deletionTimestamp"] = end.into();
            object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
            if !finalizers.is_empty() {
                object["metadata"]["finalizers"] = finalizers.into();
            }
        });
    }

    /// Takes an object away, if it is still as it was seen.
    pub(crate) fn remove(&self, resource: Resource, seen: &Value) {
        let version = view::text(seen, "/metadata/resourceVersion");
        let removed = self.objects.remove(&view::key(resource, seen), Some(view::uid(seen)), Some(version));
        if let Err(status) = removed {
            self.note(&status);
        }
    }

    /// An object as it is to be stored: with the fields that the writer owns now. Events are left out; nobody else ever
    /// writes to one.
    fn recorded(&self, writer: Writer, resource: Resource, live: Option<&Value>, mut next: Value) -> Value {
        if resource == EVENT {
            return next;
        }
        let schema = schema_of(&resource);
        let now = self.stamp();
        let manager = |subresource: Option<&str>| Manager {
            name: writer.name().to_owned(),
            api_version: resource.api_version(),
            subresource: subresource.map(str::to_owned),
        };
        let had = live.and_then(|live| live.get("status"));
        let status = next.get("status").cloned();
        if status.as_ref() == had {
            return ownership::update(schema, live, next, &manager(None), &now);
        }
        // Two writes in one, as two requests would have made them: the object, then its status.
        match (next.as_object_mut(), had) {
            (Some(next), Some(had)) => next.insert("status".to_owned(), had.clone()),
            (Some(next), None) => next.remove("status"),
            (None, _) => None,
        };
        let first = ownership::update(schema, live, next, &manager(None), &now);
        let mut second = first.clone();
        if let Some(status) = status {
            second["status"] = status;
        } else if let Some(second) = second.as_object_mut() {
            second.remove("status");
        }
        ownership::update(schema, Some(&first), second, &manager(Some("status")), &now)
    }

    /// A conflict means that a change has come in between, and a change brings a pass. A failure of the storage does
    /// not.
    fn note(&self, status: &Status) {
        if status.code.is_server_error() {
            tracing::warn!(message = %status.message, "a simulated controller cannot write");
            self.look_again(AFTER_A_FAILURE);
        }
    }
}

/// A document for [`Pass::create`] whose metadata are these.
pub(crate) fn document(metadata: Value, rest: Value) -> Value {
    let mut document = match rest {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    document.insert("metadata".to_owned(), metadata);
    Value::Object(document)
}

/// An owner's reference and labels, as metadata.
pub(crate) fn owned(resource: Resource, owner: &Value, labels: &BTreeMap<String, String>) -> Value {
    json!({"labels": labels, "ownerReferences": [view::controller_reference(resource, owner)]})
}

/// How long a pod may go on after it was asked to end: nothing where no kubelet runs it, and nothing when it has ended.
fn grace(pod: &Value) -> u32 {
    let ended = matches!(view::text(pod, "/status/phase"), "Succeeded" | "Failed");
    if ended || view::text(pod, "/spec/nodeName").is_empty() {
        return 0;
    }
    view::number(pod, "/spec/terminationGracePeriodSeconds").unwrap_or(DEFAULT_GRACE)
}
