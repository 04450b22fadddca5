//! The garbage collector: objects go when their owners are gone, and owners wait for their objects where they were
//! asked to (documentation: *Garbage Collection*).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::pass::Pass;
use super::view;
use super::write::{Propagation, Writer};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{NAMESPACE, POD, RESOURCES, Resource};

const WRITER: Writer = Writer::ControllerManager;

/// Looks at every object.
pub(super) fn reconcile(pass: &Pass<'_>) {
    let mut dependents: BTreeMap<String, Vec<(Resource, Arc<Value>)>> = BTreeMap::new();
    let mut deleting = Vec::new();
    for resource in RESOURCES {
        for object in pass.list(*resource, None) {
            for owner in view::items(&object, "/metadata/ownerReferences") {
                let owner = view::text(owner, "/uid").to_owned();
                dependents.entry(owner).or_default().push((*resource, object.clone()));
            }
            if view::is_deleting(&object) {
                deleting.push((*resource, object));
            } else {
                collect(pass, *resource, &object);
            }
        }
    }
    for (resource, object) in deleting {
        let dependents = dependents.get(view::uid(&object)).map(Vec::as_slice).unwrap_or_default();
        finish(pass, resource, &object, dependents);
    }
}

/// What is known of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    There,
    /// It goes only when its dependents are gone.
    Waiting,
    Gone,
}

fn look_up(pass: &Pass<'_>, object: &Value, reference: &Value) -> Owner {
    let kind = Resource::of_kind(view::text(reference, "/apiVersion"), view::text(reference, "/kind"));
    // Of a kind that is not served nothing can be said; its objects stay.
    let Some(resource) = kind else { return Owner::There };
    let namespace = if resource.namespaced { view::namespace(object) } else { "" };
    let owner = pass.objects.get(&Key::new(*resource, namespace, view::text(reference, "/name")));
    match owner.filter(|owner| view::uid(owner) == view::text(reference, "/uid")) {
        None => Owner::Gone,
        Some(owner) if view::is_deleting(&owner) && has_finalizer(&owner, Propagation::Foreground) => Owner::Waiting,
        Some(_) => Owner::There,
    }
}

/// Deletes an object whose owners are all gone or wait for it.
fn collect(pass: &Pass<'_>, resource: Resource, object: &Arc<Value>) {
    let references = view::items(object, "/metadata/ownerReferences");
    if references.is_empty() {
        return;
    }
    let owners: Vec<_> = references.iter().map(|reference| look_up(pass, object, reference)).collect();
    if owners.contains(&Owner::There) {
        // The others are forgotten.
        if owners.iter().any(|owner| *owner != Owner::There) {
            let kept = references.iter().zip(&owners).filter(|(_, owner)| **owner == Owner::There);
            let kept: Value = kept.map(|(reference, _)| reference.clone()).collect();
            pass.update(WRITER, resource, object, |object| object["metadata"]["ownerReferences"] = kept);
        }
        return;
    }
    let propagation = if owners.contains(&Owner::Waiting) && has_controlled_kinds(resource) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    pass.delete(WRITER, resource, object, propagation);
}

/// Whether objects of this kind may have dependents of their own that are to be waited for.
fn has_controlled_kinds(resource: Resource) -> bool {
    matches!(resource.kind, "Deployment" | "ReplicaSet" | "Job" | "Service" | "Workflow" | "ScaledObject")
}

/// Does what an object's deletion waits for, and removes it when nothing is left to wait for.
fn finish(pass: &Pass<'_>, resource: Resource, object: &Arc<Value>, dependents: &[(Resource, Arc<Value>)]) {
    let blocked = dependents.iter().any(|(_, dependent)| {
        let owners = view::items(dependent, "/metadata/ownerReferences");
        owners.iter().any(|owner| owner["uid"] == view::uid(object) && owner["blockOwnerDeletion"] == true)
    });
    if has_finalizer(object, Propagation::Foreground) {
        if !blocked {
            let_go(pass, resource, object, Propagation::Foreground);
        }
        return;
    }
    if has_finalizer(object, Propagation::Orphan) {
        for (kind, dependent) in dependents {
            let others: Value = view::items(dependent, "/metadata/ownerReferences")
                .iter()
                .filter(|owner| owner["uid"] != view::uid(object))
                .cloned()
                .collect();
            pass.update(WRITER, *kind, dependent, |object| object["metadata"]["ownerReferences"] = others);
        }
        if dependents.is_empty() {
            let_go(pass, resource, object, Propagation::Orphan);
        }
        return;
    }
    let held = !view::items(object, "/metadata/finalizers").is_empty()
        || (resource == NAMESPACE && !view::items(object, "/spec/finalizers").is_empty());
    let runs = resource == POD
        && view::count(object, "/metadata/deletionGracePeriodSeconds") > 0
        && !view::text(object, "/spec/nodeName").is_empty();
    if !held && !runs {
        pass.remove(resource, object);
    }
}

fn has_finalizer(object: &Value, propagation: Propagation) -> bool {
    let finalizer = propagation.finalizer();
    view::items(object, "/metadata/finalizers").iter().any(|one| one.as_str() == finalizer)
}

fn let_go(pass: &Pass<'_>, resource: Resource, object: &Value, propagation: Propagation) {
    let finalizer = propagation.finalizer();
    let left: Vec<_> =
        view::items(object, "/metadata/finalizers").iter().filter(|one| one.as_str() != finalizer).cloned().collect();
    if left.is_empty() {
        pass.remove(resource, object);
    } else {
        pass.update(WRITER, resource, object, |object| object["metadata"]["finalizers"] = left.into());
    }
}
