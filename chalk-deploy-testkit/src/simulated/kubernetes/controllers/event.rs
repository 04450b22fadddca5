//! Events: what controllers and kubelet tell about objects.

use std::time::Duration;

use serde_json::{Value, json};

use super::identifier::word;
use super::pass::Pass;
use super::view;
use super::write::Writer;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{EVENT, Resource};

/// How long an event is kept: the default of an API server.
const KEPT: Duration = Duration::from_hours(1);

/// The longest message of an event, as the API server allows it.
const LONGEST_MESSAGE: usize = 1024;

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Normal,
    Warning,
}

impl Pass<'_> {
    /// Tells something about an object. The same thing told again is counted.
    pub(crate) fn tell(
        &self,
        writer: Writer,
        tone: Tone,
        (resource, object): (Resource, &Value),
        reason: &str,
        message: &str,
    ) {
        let message: String = message.chars().take(LONGEST_MESSAGE).collect();
        let key = event_key(object, reason, &message);
        if let Some(event) = self.objects.get(&key) {
            let count = view::count(&event, "/count").saturating_add(1);
            self.update(writer, EVENT, &event, |event| {
                event["count"] = count.into();
                event["lastTimestamp"] = self.stamp().into();
            });
            return;
        }
        let event = json!({
            "involvedObject": {
                "apiVersion": resource.api_version(),
                "kind": resource.kind,
                "namespace": view::namespace(object),
                "name": view::name(object),
                "uid": view::uid(object),
                "resourceVersion": view::text(object, "/metadata/resourceVersion"),
            },
            "type": match tone { Tone::Normal => "Normal", Tone::Warning => "Warning" },
            "reason": reason,
            "message": message,
            "source": {"component": component(writer, resource)},
            "reportingComponent": component(writer, resource),
            "reportingInstance": "",
            "firstTimestamp": self.stamp(),
            "lastTimestamp": self.stamp(),
            "eventTime": null,
            "count": 1,
        });
        // In a namespace that goes away nothing is told any more.
        let _ = self.create(writer, &key, event);
    }
}

impl Pass<'_> {
    /// Tells something that is so for as long as nothing changes, and is not counted.
    pub(crate) fn tell_once(&self, writer: Writer, tone: Tone, of: (Resource, &Value), reason: &str, message: &str) {
        let shown: String = message.chars().take(LONGEST_MESSAGE).collect();
        if self.objects.get(&event_key(of.1, reason, &shown)).is_none() {
            self.tell(writer, tone, of, reason, message);
        }
    }
}

fn event_key(object: &Value, reason: &str, message: &str) -> Key {
    let source = format!("{}\n{reason}\n{message}", view::uid(object));
    // A node's events lie in the default namespace.
    let namespace = Some(view::namespace(object)).filter(|namespace| !namespace.is_empty()).unwrap_or("default");
    Key::new(EVENT, namespace, format!("{}.{}", view::name(object), word(&source, 16)))
}

/// Removes the events that are too old.
pub(super) fn reconcile(pass: &Pass<'_>) {
    for event in pass.list(EVENT, None) {
        let last = view::text(&event, "/lastTimestamp");
        let last = if last.is_empty() { view::text(&event, "/metadata/creationTimestamp") } else { last };
        if pass.has_passed_since(KEPT, last) {
            pass.remove(EVENT, &event);
        }
    }
}

/// Who tells: within the controller manager, the controller.
fn component(writer: Writer, resource: Resource) -> &'static str {
    match (writer, resource.kind) {
        (Writer::ControllerManager, "Deployment") => "deployment-controller",
        (Writer::ControllerManager, "ReplicaSet") => "replicaset-controller",
        (Writer::ControllerManager, "Job") => "job-controller",
        (Writer::Scheduler, _) => "default-scheduler",
        (writer, _) => writer.name(),
    }
}
