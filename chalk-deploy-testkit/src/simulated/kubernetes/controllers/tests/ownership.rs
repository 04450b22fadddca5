//! What goes with what: garbage collection and namespaces.

use serde_json::{Value, json};

use super::stage::{SPACE, Stage};
use crate::simulated::kubernetes::controllers::{ClusterSettings, view};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{
    CONFIG_MAP, DEPLOYMENT, EVENT, NAMESPACE, POD, REPLICA_SET, RESOURCES, SERVICE_ACCOUNT,
};

/// Marks an object as the API server does it.
fn mark(object: &mut Value, finalizer: Option<&str>) {
    object["metadata"]["deletionTimestamp"] = "2025-01-01T00:00:00Z".into();
    object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    if let Some(finalizer) = finalizer {
        object["metadata"]["finalizers"] = json!([finalizer]);
    }
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_the_owner_goes_last() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(2);
    stage.seconds(1).await;
    stage.change(DEPLOYMENT, "engine", |deployment| mark(deployment, Some("foregroundDeletion")));
    stage.millis(300).await;
    assert_eq!((stage.list(DEPLOYMENT).len(), stage.replica_sets().len(), stage.pods().len()), (1, 1, 2));
    stage.seconds(1).await;
    assert_eq!((stage.list(DEPLOYMENT).len(), stage.replica_sets().len(), stage.pods().len()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_and_are_taken_in_by_the_next_owner() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(2);
    stage.seconds(1).await;
    let set = stage.replica_sets()[0].clone();
    stage.change(DEPLOYMENT, "engine", |deployment| mark(deployment, Some("orphan")));
    stage.seconds(1).await;
    assert!(stage.list(DEPLOYMENT).is_empty());
    assert_eq!((view::controller(&stage.replica_sets()[0]), stage.ready_pods()), (None, 2));
    stage.create(DEPLOYMENT, "engine", super::stage::deployment(2, super::stage::IMAGE));
    stage.seconds(1).await;
    let adopted = stage.replica_sets();
    assert_eq!((adopted.len(), view::uid(&adopted[0])), (1, view::uid(&set)));
    assert!(view::is_controlled_by(&adopted[0], view::uid(&stage.deployment())));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_finalizer_holds_an_object_until_it_is_taken_off() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(1);
    stage.seconds(1).await;
    let name = view::name(&stage.pods()[0]).to_owned();
    stage.change(POD, &name, |pod| pod["metadata"]["finalizers"] = json!(["example.org/hold"]));
    stage.delete(DEPLOYMENT, "engine");
    stage.seconds(5).await;
    let pod = stage.get(POD, &name);
    assert_eq!((view::text(&pod, "/status/phase"), view::holds(&pod, "Ready")), ("Succeeded", false));
    stage.change(POD, &name, |pod| pod["metadata"]["finalizers"] = json!([]));
    stage.seconds(1).await;
    assert!(stage.pods().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_object_stays_while_one_owner_is_there_and_while_an_owner_is_of_an_unknown_kind() {
    let stage = Stage::new(ClusterSettings::default());
    let there = stage.create(CONFIG_MAP, "there", json!({}));
    let owner = |name: &str, uid: &str, kind: &str| json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": uid});
    let dependent = |owners: Value| json!({"metadata": {"ownerReferences": owners}});
    let gone = owner("gone", "1", "ConfigMap");
    stage.create(CONFIG_MAP, "both", dependent(json!([owner("there", view::uid(&there), "ConfigMap"), gone])));
    stage.create(CONFIG_MAP, "unknown", dependent(json!([owner("x", "2", "Unknown")])));
    stage.create(CONFIG_MAP, "orphan", dependent(json!([gone])));
    stage.create(CONFIG_MAP, "mistaken", dependent(json!([owner("there", "another uid", "ConfigMap")])));
    stage.seconds(1).await;
    let names: Vec<_> = stage.list(CONFIG_MAP).iter().map(|map| view::name(map).to_owned()).collect();
    assert_eq!(names, ["both", "there", "unknown"]);
    assert_eq!(view::items(&stage.get(CONFIG_MAP, "both"), "/metadata/ownerReferences").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_when_everything_in_it_is_gone() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(2);
    stage.change(NAMESPACE, SPACE, |namespace| namespace["spec"]["finalizers"] = json!(["kubernetes"]));
    stage.create(CONFIG_MAP, "held", json!({"metadata": {"finalizers": ["example.org/hold"]}}));
    stage.seconds(1).await;
    assert_eq!(view::name(&stage.get(SERVICE_ACCOUNT, "default")), "default");
    assert_eq!(stage.get(NAMESPACE, SPACE)["status"]["phase"], "Active");
    stage.change(NAMESPACE, SPACE, |namespace| mark(namespace, None));
    stage.seconds(3).await;
    let namespace = stage.get(NAMESPACE, SPACE);
    assert_eq!(namespace["status"]["phase"], "Terminating");
    assert!(view::text(&namespace, "/status/conditions/0/message").contains("1 objects"), "{namespace:#}");
    assert!(stage.list(DEPLOYMENT).is_empty() && stage.list(REPLICA_SET).is_empty() && stage.pods().is_empty());
    stage.change(CONFIG_MAP, "held", |map| map["metadata"]["finalizers"] = json!([]));
    stage.seconds(1).await;
    assert!(stage.objects.get(&Key::new(NAMESPACE, "", SPACE)).is_none());
    for resource in RESOURCES.iter().filter(|resource| resource.namespaced) {
        assert!(stage.list(*resource).is_empty(), "{}", resource.kind);
    }
    assert!(stage.objects.list(EVENT, Some(SPACE)).0.is_empty());
}
