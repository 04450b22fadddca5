//! Namespaces: what every new one gets, and how one goes away.

use serde_json::{Value, json};

use super::pass::Pass;
use super::view;
use super::write::{Propagation, Writer, document};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{EVENT, NAMESPACE, RESOURCES, SERVICE_ACCOUNT};

const WRITER: Writer = Writer::ControllerManager;

/// Looks at every namespace.
pub(super) fn reconcile(pass: &Pass<'_>) {
    for namespace in pass.list(NAMESPACE, None) {
        if view::is_deleting(&namespace) {
            empty(pass, &namespace);
        } else {
            furnish(pass, &namespace);
        }
    }
}

fn furnish(pass: &Pass<'_>, namespace: &Value) {
    let key = Key::new(SERVICE_ACCOUNT, view::name(namespace), "default");
    if pass.objects.get(&key).is_none() {
        // It may go away in this very moment.
        let _ = pass.create(WRITER, &key, document(json!({}), json!({})));
    }
    if view::text(namespace, "/status/phase").is_empty() {
        pass.set_status(WRITER, NAMESPACE, namespace, json!({"phase": "Active"}));
    }
}

/// Deletes everything in a namespace, and lets go of it when nothing is left. Events go last, with it: others still
/// tell what happens to them.
fn empty(pass: &Pass<'_>, namespace: &Value) {
    let mut left = 0;
    for resource in RESOURCES.iter().filter(|resource| resource.namespaced && **resource != EVENT) {
        for object in pass.list(*resource, Some(view::name(namespace))) {
            left += 1;
            pass.delete(WRITER, *resource, &object, Propagation::Background);
        }
    }
    if left > 0 {
        let status = json!({
            "phase": "Terminating",
            "conditions": [condition(namespace, pass, left)],
        });
        pass.set_status(WRITER, NAMESPACE, namespace, status);
        return;
    }
    for event in pass.list(EVENT, Some(view::name(namespace))) {
        pass.remove(EVENT, &event);
    }
    let finalizers = view::items(namespace, "/spec/finalizers");
    if finalizers.iter().any(|finalizer| finalizer == "kubernetes") {
        let others: Vec<_> = finalizers.iter().filter(|finalizer| **finalizer != "kubernetes").cloned().collect();
        // The garbage collector removes what nothing holds any more.
        pass.update(WRITER, NAMESPACE, namespace, |namespace| {
            view::map(namespace, "spec").insert("finalizers".to_owned(), others.into());
        });
    }
}

fn condition(namespace: &Value, pass: &Pass<'_>, left: usize) -> Value {
    let mut conditions = view::items(namespace, "/status/conditions").to_vec();
    conditions.retain(|condition| condition["type"] == "NamespaceContentRemaining");
    let condition = json!({
        "type": "NamespaceContentRemaining",
        "status": "True",
        "reason": "SomeResourcesRemain",
        "message": format!("Some resources are remaining: {left} objects"),
    });
    view::set_condition(&mut conditions, condition, &pass.stamp());
    conditions.pop().unwrap_or_default()
}
