//! Replica sets: so many pods of one template.

use std::sync::Arc;

use serde_json::{Value, json};

use super::event::Tone;
use super::identifier::generated;
use super::pass::Pass;
use super::write::{Propagation, Writer, document, owned};
use super::{pod, selector, view};
use crate::simulated::kubernetes::api::admission::within_quotas;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{POD, REPLICA_SET};

const WRITER: Writer = Writer::ControllerManager;

/// More pods than that no simulated cluster is for; a slip of the pen would fill the memory.
const MOST: usize = 5000;

/// Looks at every replica set.
pub(super) fn reconcile(pass: &Pass<'_>) {
    for set in pass.list(REPLICA_SET, None) {
        let mut pods = pods(pass, &set);
        let mut refusal = None;
        if !view::is_deleting(&set) {
            let wanted = usize::try_from(super::deployment::replicas(&set)).unwrap_or(usize::MAX);
            if pods.len() < wanted {
                refusal = fill(pass, &set, &mut pods, wanted).err();
            } else if pods.len() > wanted {
                empty(pass, &set, &mut pods, wanted);
            }
        }
        write_status(pass, &set, &pods, refusal);
    }
}

/// The pods that count: its own that neither have ended nor are going away. Pods that nobody manages and that its
/// selector takes become its own.
fn pods(pass: &Pass<'_>, set: &Value) -> Vec<Arc<Value>> {
    let mut pods = Vec::new();
    for found in pass.list(POD, Some(view::namespace(set))) {
        if !pod::is_active(&found) {
            continue;
        }
        if view::is_controlled_by(&found, view::uid(set)) {
            pods.push(found);
        } else if view::controller(&found).is_none()
            && !view::is_deleting(set)
            && selector::selects(&set["spec"]["selector"], &view::labels(&found))
        {
            let reference = view::controller_reference(REPLICA_SET, set);
            pods.extend(pass.update(WRITER, POD, &found, |pod| super::adopt(pod, reference)));
        }
    }
    pods
}

/// Makes the pods that are missing, until one is refused.
fn fill(pass: &Pass<'_>, set: &Value, pods: &mut Vec<Arc<Value>>, wanted: usize) -> Result<(), String> {
    let pod = new_pod(set);
    let prefix = format!("{}-", view::name(set));
    while pods.len() < wanted {
        if pods.len() >= MOST {
            return Err(format!("this simulated cluster makes at most {MOST} pods of one replica set"));
        }
        // The name in a refusal stays the same while the same pod is refused: a new one each time would be a change
        // of the set's status, and a change brings the next pass.
        let asked =
            Key::new(POD, view::namespace(set), generated(&prefix, &format!("{}/{}", view::uid(set), pods.len())));
        let key = pass.new_name(POD, view::namespace(set), &prefix, view::uid(set));
        let created =
            within_quotas(pass.objects, &asked, &pod, None).and_then(|()| pass.create(WRITER, &key, pod.clone()));
        match created {
            Ok(pod) => {
                let message = format!("Created pod: {}", view::name(&pod));
                pass.tell(WRITER, Tone::Normal, (REPLICA_SET, set), "SuccessfulCreate", &message);
                pods.push(pod);
            }
            Err(status) => return Err(status.message),
        }
    }
    Ok(())
}

fn new_pod(set: &Value) -> Value {
    let template = &set["spec"]["template"];
    let mut metadata = owned(REPLICA_SET, set, &view::labels(template));
    metadata["generateName"] = format!("{}-", view::name(set)).into();
    if let Some(annotations) = template.pointer("/metadata/annotations").filter(|annotations| annotations.is_object()) {
        metadata["annotations"] = annotations.clone();
    }
    document(metadata, json!({"spec": template["spec"], "status": {"phase": "Pending"}}))
}

/// Deletes the pods that are too many: those first that do least.
fn empty(pass: &Pass<'_>, set: &Value, pods: &mut Vec<Arc<Value>>, wanted: usize) {
    pods.sort_by_cached_key(|pod| std::cmp::Reverse(rank(pod)));
    for pod in pods.drain(wanted..) {
        pass.delete(WRITER, POD, &pod, Propagation::Background);
        let message = format!("Deleted pod: {}", view::name(&pod));
        pass.tell(WRITER, Tone::Normal, (REPLICA_SET, set), "SuccessfulDelete", &message);
    }
}

/// The order in which pods are deleted: those without a node, those that do not run yet, those that are not ready,
/// those that cost least, those that were made last.
fn rank(pod: &Value) -> impl Ord + use<> {
    let phase = match view::text(pod, "/status/phase") {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    };
    let cost: i64 = view::annotation(pod, "controller.kubernetes.io/pod-deletion-cost").parse().unwrap_or(0);
    let ready_since = view::condition(pod, "Ready").map(|condition| view::text(condition, "/lastTransitionTime"));
    (
        !view::text(pod, "/spec/nodeName").is_empty(),
        phase,
        view::holds(pod, "Ready"),
        cost,
        std::cmp::Reverse(ready_since.unwrap_or_default().to_owned()),
        std::cmp::Reverse(view::text(pod, "/metadata/creationTimestamp").to_owned()),
        view::name(pod).to_owned(),
    )
}

fn write_status(pass: &Pass<'_>, set: &Value, pods: &[Arc<Value>], refusal: Option<String>) {
    let template = view::labels(&set["spec"]["template"]);
    let least = view::count(set, "/spec/minReadySeconds");
    let labelled = pods.iter().filter(|pod| {
        let labels = view::labels(pod);
        template.iter().all(|(name, value)| labels.get(name) == Some(value))
    });
    let mut conditions = view::items(set, "/status/conditions").to_vec();
    match refusal {
        Some(message) => {
            let told = view::condition(set, "ReplicaFailure").is_some_and(|old| old["message"] == *message);
            if !told {
                let event = format!("Error creating: {message}");
                pass.tell(WRITER, Tone::Warning, (REPLICA_SET, set), "FailedCreate", &event);
            }
            let failure =
                json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message});
            view::set_condition(&mut conditions, failure, &pass.stamp());
        }
        None if view::is_deleting(set) => {}
        None => conditions.retain(|condition| condition["type"] != "ReplicaFailure"),
    }
    let status = view::without_nothing(json!({
        "fullyLabeledReplicas": labelled.count(),
        "readyReplicas": pods.iter().filter(|pod| view::holds(pod, "Ready")).count(),
        "availableReplicas": pods.iter().filter(|pod| pod::is_available(pass, pod, least)).count(),
        "observedGeneration": set["metadata"]["generation"],
        "conditions": conditions,
    }));
    // The number of replicas is written even when it is zero.
    let mut status = status;
    status["replicas"] = pods.len().into();
    pass.set_status(WRITER, REPLICA_SET, set, status);
}
