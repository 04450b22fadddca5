//! The replica sets of a deployment over time: which is new, which number each has, and which go.

use chalk_deploy_core::model::Digest;
use serde_json::{Value, json};

use super::{Seen, TEMPLATE_HASH, WRITER, condition, replicas};
use crate::simulated::kubernetes::controllers::event::Tone;
use crate::simulated::kubernetes::controllers::identifier::word;
use crate::simulated::kubernetes::controllers::pass::Pass;
use crate::simulated::kubernetes::controllers::view;
use crate::simulated::kubernetes::controllers::write::{Propagation, document, owned};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{DEPLOYMENT, REPLICA_SET};

/// The number of a template's turn.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// The turns that it had before, when it comes back.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// What the deployment asked for when the set was last scaled: how a scaling is told from a rollout.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// That with the surge.
const MOST: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a deployment that its replica sets do not inherit.
const NOT_INHERITED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];

/// Whether the numbers were right.
pub(super) enum Revisions {
    Same,
    Written,
}

/// What came of making a replica set.
pub(super) enum Created {
    /// It is there, or it will have another name because its own was taken. The next pass goes on.
    Written,
    Refused(String),
}

pub(super) fn revision(set: &Value) -> u64 {
    view::annotation(set, REVISION).parse().unwrap_or(0)
}

/// A template as the deployment has it.
pub(super) fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
        if labels.is_empty()
            && let Some(metadata) = template["metadata"].as_object_mut()
        {
            metadata.remove("labels");
        }
    }
    if let Some(metadata) = template.get("metadata")
        && metadata.as_object().is_some_and(|metadata| metadata.values().all(Value::is_null))
        && let Some(template) = template.as_object_mut()
    {
        template.remove("metadata");
    }
    template
}

/// Gives the new replica set its number, and the deployment the number of its replica set.
pub(super) fn settle(pass: &Pass<'_>, seen: &Seen) -> Revisions {
    let Some(new) = &seen.new else { return Revisions::Same };
    let newest_old = seen.old.iter().map(|set| revision(set)).max().unwrap_or(0);
    let wanted = (newest_old + 1).max(revision(new));
    let mut annotations = inherited(&seen.deployment, new);
    if revision(new) < wanted {
        let before = view::annotation(new, REVISION);
        if !before.is_empty() {
            let history = view::annotation(new, REVISION_HISTORY);
            let history = if history.is_empty() { before.to_owned() } else { format!("{history},{before}") };
            annotations.insert(REVISION_HISTORY.to_owned(), history.into());
        }
        annotations.insert(REVISION.to_owned(), wanted.to_string().into());
    }
    let least_seconds = seen.deployment.pointer("/spec/minReadySeconds");
    let same = Some(&annotations) == new.pointer("/metadata/annotations").and_then(Value::as_object)
        && least_seconds == new.pointer("/spec/minReadySeconds");
    if !same {
        pass.update(WRITER, REPLICA_SET, new, |set| {
            set["metadata"]["annotations"] = annotations.into();
            match least_seconds {
                Some(seconds) => {
                    view::map(set, "spec").insert("minReadySeconds".to_owned(), seconds.clone());
                }
                None => {
                    view::map(set, "spec").remove("minReadySeconds");
                }
            }
        });
        return Revisions::Written;
    }
    number_deployment(pass, seen, wanted)
}

fn number_deployment(pass: &Pass<'_>, seen: &Seen, wanted: u64) -> Revisions {
    let deployment = &seen.deployment;
    if view::annotation(deployment, REVISION) == wanted.to_string() {
        return Revisions::Same;
    }
    let found = seen.new.as_ref().map(|set| view::name(set).to_owned()).unwrap_or_default();
    let of_template = seen.new.as_ref().map_or(0, |set| view::count(set, "/status/replicas"));
    let says_nothing = view::condition(deployment, "Progressing").is_none();
    pass.update(WRITER, DEPLOYMENT, deployment, |deployment| {
        view::annotate(deployment, REVISION, wanted.to_string());
        if says_nothing {
            let message = format!("Found new replica set \"{found}\"");
            condition::progress(deployment, pass, "True", "FoundNewReplicaSet", &message);
        }
        updated(deployment, of_template);
    });
    Revisions::Written
}

/// Sets how many pods are of the present template, when that becomes another one: progress is measured from here.
fn updated(deployment: &mut Value, pods: u32) {
    let status = view::map(deployment, "status");
    if pods == 0 {
        status.remove("updatedReplicas");
    } else {
        status.insert("updatedReplicas".to_owned(), pods.into());
    }
}

/// Makes the replica set of the present template, with as many pods as the strategy lets it begin with.
pub(super) fn create(pass: &Pass<'_>, seen: &Seen) -> Created {
    let deployment = &seen.deployment;
    let collisions = view::count(deployment, "/status/collisionCount");
    let template = without_hash(&deployment["spec"]["template"]);
    let source = format!("{}/{collisions}", Digest::of(template.to_string()));
    let hash = word(&source, 10);
    let key = Key::new(REPLICA_SET, view::namespace(deployment), format!("{}-{hash}", view::name(deployment)));
    let begin = super::rolling::beginning(seen);
    let mut labels = view::labels(&deployment["spec"]["template"]);
    labels.insert(TEMPLATE_HASH.to_owned(), hash.clone());
    let mut hashed = deployment["spec"]["template"].clone();
    view::map(&mut hashed, "metadata");
    view::map(&mut hashed["metadata"], "labels").insert(TEMPLATE_HASH.to_owned(), hash.clone().into());
    let mut selector = deployment["spec"]["selector"].clone();
    view::map(&mut selector, "matchLabels").insert(TEMPLATE_HASH.to_owned(), hash.into());
    let mut metadata = owned(DEPLOYMENT, deployment, &labels);
    let mut annotations = inherited(deployment, &Value::Null);
    let number = seen.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    annotations.insert(REVISION.to_owned(), number.to_string().into());
    annotations.extend(scaling(seen));
    metadata["annotations"] = annotations.into();
    let mut spec = json!({"replicas": begin, "selector": selector, "template": hashed});
    if let Some(seconds) = deployment.pointer("/spec/minReadySeconds") {
        spec["minReadySeconds"] = seconds.clone();
    }
    match pass.create(WRITER, &key, document(metadata, json!({"spec": spec}))) {
        Ok(set) => {
            if begin > 0 {
                tell_scaled(pass, deployment, "up", &key.name, 0, begin);
            }
            // From here on the progress deadline counts.
            pass.update(WRITER, DEPLOYMENT, deployment, |deployment| {
                view::annotate(deployment, REVISION, number.to_string());
                let message = format!("Created new replica set \"{}\"", view::name(&set));
                condition::progress(deployment, pass, "True", "NewReplicaSetCreated", &message);
                updated(deployment, 0);
            });
            Created::Written
        }
        Err(status) if status.reason == "AlreadyExists" => {
            // It is not ours, or it would have been found: the name is taken by another template or another owner.
            let mut next = deployment["status"].clone();
            if !next.is_object() {
                next = json!({});
            }
            next["collisionCount"] = (collisions + 1).into();
            pass.set_status(WRITER, DEPLOYMENT, deployment, next);
            Created::Written
        }
        Err(status) => {
            Created::Refused(format!("Failed to create new replica set \"{}\": {}", key.name, status.message))
        }
    }
}

/// The annotations by which a scaling is recognised.
pub(super) fn scaling(seen: &Seen) -> [(String, Value); 2] {
    [
        (DESIRED.to_owned(), seen.plan.replicas.to_string().into()),
        (MOST.to_owned(), seen.plan.most().to_string().into()),
    ]
}

/// Scales a replica set. Whether it was written.
pub(super) fn scale(pass: &Pass<'_>, seen: &Seen, set: &Value, wanted: u32) -> bool {
    let annotated = scaling(seen);
    let up_to_date =
        annotated.iter().all(|(name, value)| view::annotation(set, name) == value.as_str().unwrap_or_default());
    let before = replicas(set);
    if before == wanted && up_to_date {
        return false;
    }
    let written = pass.update(WRITER, REPLICA_SET, set, |set| {
        view::map(set, "spec").insert("replicas".to_owned(), wanted.into());
        for (name, value) in annotated {
            view::annotate(set, &name, value);
        }
    });
    if written.is_some() && before != wanted {
        let way = if wanted > before { "up" } else { "down" };
        tell_scaled(pass, &seen.deployment, way, view::name(set), before, wanted);
    }
    true
}

/// Deletes the replica sets beyond the history limit that have no pods, the oldest turn first.
pub(super) fn clean_up(pass: &Pass<'_>, seen: &Seen) {
    let limit = view::number(&seen.deployment, "/spec/revisionHistoryLimit").unwrap_or(10);
    let mut idle: Vec<_> = seen.old.iter().filter(|set| !view::is_deleting(set)).collect();
    let excess = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    idle.sort_by_key(|set| revision(set));
    for set in idle.into_iter().take(excess) {
        let observed = set["status"]["observedGeneration"].as_u64() >= set["metadata"]["generation"].as_u64();
        if replicas(set) == 0 && view::count(set, "/status/replicas") == 0 && observed {
            pass.delete(WRITER, REPLICA_SET, set, Propagation::Background);
        }
    }
}

/// The annotations of a replica set: its own, and those that it inherits.
fn inherited(deployment: &Value, set: &Value) -> serde_json::Map<String, Value> {
    let annotations = |object: &Value| {
        object.pointer("/metadata/annotations").and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let mut all = annotations(set);
    all.extend(annotations(deployment).into_iter().filter(|(name, _)| !NOT_INHERITED.contains(&name.as_str())));
    all
}

fn tell_scaled(pass: &Pass<'_>, deployment: &Value, way: &str, set: &str, from: u32, to: u32) {
    let message = format!("Scaled {way} replica set {set} from {from} to {to}");
    pass.tell(WRITER, Tone::Normal, (DEPLOYMENT, deployment), "ScalingReplicaSet", &message);
}
